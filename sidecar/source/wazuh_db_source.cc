#include "sidecar/source/wazuh_db_source.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <variant>

#include "protocol/unknown_fields.h"
#include "sidecar/source/client_keys.h"

namespace rollcall::sidecar {
namespace {

// Fields of this many pages are read before the next look, even if it is due: with a table so large
// that looks follow each other without a pause, fields must still arrive.
constexpr int kInfoPagesBetweenLooks = 20;
// Then the fields of this page are given up: agents that wazuh-db fails on must not hold up others.
constexpr int kInfoAttempts = 3;
// Of agents of a Wazuh that does not say which it is.
constexpr std::int64_t kKeepaliveUs = 20'000'000;
const std::array<std::string, 1> kOnlyLabels = {std::string(kAllLabels)};

}  // namespace

WazuhDbSource::WazuhDbSource(net::Loop& loop, app::Clock& clock, Options options, Events events)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      events_(std::move(events)),
      client_(loop,
              {.socket_path = options_.socket_path,
               .request_timeout = options_.request_timeout,
               .backoff = options_.backoff,
               .seed = options_.seed},
              {.on_connected = [this] { connected(); },
               .on_reply = [this](const std::string& reply) { on_reply(reply); },
               .on_lost = [this](const std::string& reason) { lost(reason); }}),
      look_timer_(loop),
      plan_(options_.scan),
      scan_({.only_node_name = options_.only_node_name}),
      remoted_(loop, {.socket_path = options_.remoted_path, .seed = options_.seed}) {
  if (options_.only_node_name) own_.emplace();
}

WazuhDbSource::~WazuhDbSource() {
  *alive_ = false;
}

void WazuhDbSource::remember(std::span<const Row> rows) {
  if (own_) own_->remember(rows);
}

void WazuhDbSource::given_up(AgentId agent) {
  if (own_) own_->given_up(agent);
}

void WazuhDbSource::start() {
  if (phase_ != Phase::stopped) return;
  look_due_ = true;
  phase_ = Phase::connecting;
  client_.start();
}

void WazuhDbSource::set_intervals(std::chrono::microseconds poll, std::chrono::microseconds scan) {
  options_.poll = poll;
  plan_.set_scan(scan);
}

void WazuhDbSource::stop(std::function<void()> done) {
  phase_ = Phase::stopped;
  client_.stop();
  look_timer_.stop();
  remoted_.stop();
  starts_.reset();
  waiting_.clear();
  wanted_.clear();
  info_page_.clear();
  info_failures_ = 0;
  info_allowed_ = false;
  status_.connected = false;
  if (done) loop_.at_turn_end(std::move(done));
}

void WazuhDbSource::read_info(const std::vector<AgentId>& agents) {
  if (phase_ == Phase::stopped) return;
  std::vector<AgentId> refused;
  for (const AgentId agent : agents) {
    if (wanted_.contains(agent)) continue;
    if (agent == AgentId{} || wanted_.size() >= options_.max_waiting) {
      refused.push_back(agent);
      continue;
    }
    wanted_.insert(agent);
    waiting_.push_back(agent);
  }
  if (refused.empty() && phase_ != Phase::idle) return;
  // Later, since the caller is busy with what made it ask.
  loop_.at_turn_end([this, alive = alive_, refused = std::move(refused)] {
    if (!*alive) return;
    if (!refused.empty() && phase_ != Phase::stopped) {
      note(NoteLevel::warning,
           "too many agents wait for their fields to be read; some are passed over",
           {{"agents", std::to_string(refused.size())}});
    }
    for (const AgentId agent : refused) {
      if (phase_ != Phase::stopped && events_.on_info) events_.on_info(agent, {});
    }
    if (phase_ == Phase::idle) proceed();
  });
}

WazuhDbSource::Status WazuhDbSource::status() const {
  Status status = status_;
  status.page_size = scan_.page_size();
  status.waiting_info = wanted_.size();
  status.unreadable = unreadable_.size();
  status.hints = hints_.found();
  status.gone = gone();
  status.remoted = remoted_.answers();
  if (own_) status.own_rows = own_->counters();
  return status;
}

// ---- the connection

void WazuhDbSource::connected() {
  phase_ = Phase::idle;
  ++status_.connection;
  status_.connected = true;
  plan_.connected();
  version_due_ = false;
  proceed();
}

void WazuhDbSource::lost(const std::string& reason) {
  const Phase was = std::exchange(phase_, Phase::connecting);
  info_allowed_ = false;
  status_.connected = false;
  remoted_.stop();
  starts_.reset();
  if (was == Phase::looking || was == Phase::counting_starts || was == Phase::asking_counts ||
      (was == Phase::connecting && look_due_)) {
    fail_look(reason);
  } else {
    report_trouble(reason);
    if (was == Phase::reading_info) fail_info(reason);
  }
}

// ---- one request at a time

void WazuhDbSource::on_reply(const std::string& reply) {
  if (phase_ == Phase::asking_version) return on_version_reply(reply);
  phase_ == Phase::looking ? on_look_reply(reply) : on_info_reply(reply);
}

void WazuhDbSource::proceed() {
  if (std::exchange(version_due_, false)) return ask_version();
  const bool info_may = info_allowed_ && !waiting_.empty();
  if (info_may && (!look_due_ || info_pages_ < kInfoPagesBetweenLooks)) return begin_info();
  if (look_due_) begin_look();
}

// ---- looks

void WazuhDbSource::next_look_in_poll() {
  look_due_ = false;
  look_timer_.start(std::chrono::ceil<std::chrono::milliseconds>(options_.poll), [this] {
    look_due_ = true;
    if (phase_ == Phase::idle) proceed();
  });
}

void WazuhDbSource::begin_look() {
  next_look_in_poll();
  look_requests_ = 0;
  look_bytes_ = 0;
  if (starts_ && remoted_.may_ask()) return count_starts();
  begin_rows(plan_.next(clock_.now()));
}

// Who started since the look before: a row that is the same at this one hides a visit.
void WazuhDbSource::count_starts() {
  phase_ = Phase::counting_starts;
  const CountsOf before = std::exchange(starts_, {}).value();
  std::vector<AgentId> agents;
  for (const auto& [agent, count] : before) agents.push_back(agent);
  remoted_.ask(agents, [this, before](const std::optional<CountsOf>& now) {
    std::vector<AgentId> started;
    for (const auto& [agent, count] : now.value_or(CountsOf{})) {
      const auto old = before.find(agent);
      if (old != before.end() && count.startup > old->second.startup) started.push_back(agent);
    }
    hints_.started(started);
    begin_rows(plan_.next(clock_.now()));
  });
}

void WazuhDbSource::begin_rows(std::optional<LookPlan::Window> window) {
  phase_ = Phase::looking;
  watched_.clear();
  if (own_ && !window) watched_ = own_->to_watch();
  scan_.begin(window, watched_);
  look_ = Look{};
  look_.connection = status_.connection;
  look_.complete = !window;
  if (window) {
    look_.from_s = window->from_s;
    look_.to_s = window->to_s;
  }
  look_.started = clock_.now();
  head_ = {.table_ms = {}, .table_rows = 0, .asked = look_.started, .answered = look_.started};
  ++look_requests_;
  client_.ask(scan_.request());
}

void WazuhDbSource::on_look_reply(const std::string& reply) {
  look_bytes_ += reply.size() + wazuh::kHeaderBytes;
  const bool first = !scan_.head();
  auto step = scan_.take(reply);
  if (!step) {
    phase_ = Phase::idle;
    fail_look(client_.about_socket(step.error().message));
    if (phase_ == Phase::idle) proceed();
    return;
  }
  if (first && scan_.head()) {
    head_.table_ms = scan_.head()->table_ms;
    head_.table_rows = scan_.head()->table_rows;
    head_.answered = clock_.now();
    // The wall clock was set: what the agents wrote since may be anywhere.
    if (!look_.complete && !plan_.goes_on(head_)) return begin_rows(std::nullopt);
  }
  if (auto* done = std::get_if<TableScan::Done>(&*step)) return finish_rows(std::move(*done));
  ++look_requests_;
  client_.ask(scan_.request());
}

void WazuhDbSource::finish_rows(TableScan::Done done) {
  look_.finished = clock_.now();
  look_.prints = std::move(done.prints);
  look_.defaults = status_.defaults;
  if (head_.table_ms) {
    // Before 4.13 a keepalive left the same mark as a visit.
    if (!version_.since_4_13) done.marks.clear();
    hints_.apply(done.rows, done.marks, *head_.table_ms);
  }
  starts_.reset();
  if (own_) return ask_own(std::move(done));
  look_.rows = std::move(done.rows);
  finish_look();
}

// Whether it was this node's remoted that wrote what changed.
void WazuhDbSource::ask_own(TableScan::Done done) {
  OwnRows::Found found{.rows = std::move(done.rows),
                       .watched = watched_,
                       .elsewhere = std::move(done.elsewhere),
                       .complete = look_.complete,
                       .table_s = head_.table_ms.value_or(look_.finished.wall_us / 1000) / 1000,
                       .mono_us = look_.finished.mono_us};
  auto asked = own_->question(found);
  doubts_ = {.found = std::move(found), .asked = std::move(asked), .answered = 0, .counts = {}};
  ask_counts();
}

// As many as remoted takes at a time, until all are answered or it does not.
void WazuhDbSource::ask_counts() {
  const std::size_t left = doubts_.asked.size() - doubts_.answered;
  if (left == 0 || !remoted_.may_ask()) return judge_own();
  phase_ = Phase::asking_counts;
  const std::size_t count = std::min(left, RemotedCounters::kMaxAgents);
  remoted_.ask(std::span(doubts_.asked).subspan(doubts_.answered, count),
               [this, count](std::optional<CountsOf> counts) {
                 if (!counts) return judge_own();
                 doubts_.counts.merge(*counts);
                 doubts_.answered += count;
                 ask_counts();
               });
}

void WazuhDbSource::judge_own() {
  Doubts doubts = std::exchange(doubts_, {});
  const bool any = doubts.answered > 0;
  doubts.asked.resize(doubts.answered);
  look_.rows =
      own_->judge(std::move(doubts.found), doubts.asked,
                  any ? OwnRows::Answer(std::move(doubts.counts)) : std::nullopt, keepalive_us());
  look_.late = own_->late();
  finish_look();
}

std::int64_t WazuhDbSource::keepalive_us() const {
  for (const std::int64_t us : {options_.keepalive.count(), status_.defaults.keepalive_us}) {
    if (us > 0) return us;
  }
  return kKeepaliveUs;
}

void WazuhDbSource::finish_look() {
  if (auto hidden = hints_.may_hide(); !hidden.empty() && remoted_.may_ask()) {
    hidden.resize(std::min(hidden.size(), RemotedCounters::kMaxAgents));
    remoted_.ask(hidden, [this](std::optional<CountsOf> counts) { starts_ = std::move(counts); });
  }
  if (look_.complete && look_.rows.empty()) {
    // A table that has other nodes' agents has none of this one's by right.
    look_.no_agents_enrolled =
        head_.table_rows > 0 ? std::optional(true) : no_agents_enrolled(options_.client_keys_path);
  }
  version_due_ = version_due_ || look_.complete;
  plan_.looked(look_.complete ? LookPlan::Kind::whole : LookPlan::Kind::window, head_,
               look_.finished);
  status_.table_rows = head_.table_rows;
  status_.scans += look_.complete ? 1u : 0u;
  status_.last_look_us = look_.finished.mono_us - look_.started.mono_us;
  status_.last_rows = look_.rows.size();
  status_.last_requests = look_requests_;
  status_.last_bytes = look_bytes_;
  ++status_.looks;
  phase_ = Phase::idle;
  client_.works();
  info_allowed_ = true;
  info_pages_ = 0;
  if (std::exchange(status_.failing, false)) {
    const std::int64_t ms = (look_.finished.mono_us - failing_since_us_) / 1000;
    note(NoteLevel::info, client_.about_socket("the table of agents can be read again"),
         {{"after", wazuh::seconds_text(std::chrono::milliseconds(ms))}});
  }
  if (phase_ == Phase::idle && events_.on_look) events_.on_look(std::exchange(look_, {}));
  if (phase_ == Phase::idle) proceed();
}

void WazuhDbSource::fail_look(const std::string& reason) {
  if (look_due_) {  // there was not even a connection to begin on: that was this look
    next_look_in_poll();
  }
  info_allowed_ = false;
  ++status_.failures;
  report_trouble(reason);
  if (phase_ != Phase::stopped && events_.on_look_failed) events_.on_look_failed(reason);
}

void WazuhDbSource::report_trouble(const std::string& reason) {
  status_.last_error = reason;
  if (std::exchange(status_.failing, true)) return;
  failing_since_us_ = clock_.now().mono_us;
  note(NoteLevel::warning, reason);
}

void WazuhDbSource::note(NoteLevel level, std::string text,
                         std::vector<std::pair<std::string, std::string>> fields) {
  if (events_.on_note) events_.on_note({level, std::move(text), std::move(fields)});
}

// ---- which Wazuh it is

// After each look at the whole table, since it may be upgraded under a running sidecar.
void WazuhDbSource::ask_version() {
  phase_ = Phase::asking_version;
  client_.ask(wazuh::version_request());
}

void WazuhDbSource::on_version_reply(const std::string& reply) {
  phase_ = Phase::idle;
  // An answer that cannot be read leaves what was known; looks have their own way to complain.
  if (auto version = wazuh::take_version(reply)) {
    version_ = std::move(*version);
    status_.wazuh = version_.text;
    status_.defaults = defaults_of(version_, read_disconnection_time(options_.config_path));
  }
  proceed();
}

// ---- fields of single agents

void WazuhDbSource::begin_info() {
  const auto count = std::min(waiting_.size(), InfoRead::kMaxAgents);
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  info_page_.assign(waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  ++info_pages_;
  phase_ = Phase::reading_info;
  info_.begin(info_page_);
  client_.ask(info_.request());
}

void WazuhDbSource::on_info_reply(const std::string& reply) {
  auto step = info_.take(reply);
  if (!step) {
    phase_ = Phase::idle;
    info_allowed_ = false;  // after the next look, not at once
    fail_info(client_.about_socket(step.error().message));
    if (phase_ == Phase::idle) proceed();
    return;
  }
  auto* done = std::get_if<InfoRead::Done>(&*step);
  if (done == nullptr) return client_.ask(info_.request());
  phase_ = Phase::idle;
  info_failures_ = 0;
  info_failing_ = false;
  info_page_.clear();
  note_unreadable(*done);
  for (auto& [agent, info] : done->agents) {
    if (phase_ == Phase::stopped) return;
    ++status_.infos;
    if (!is_description(info)) {
      info = {};
    } else if (std::ranges::find(done->without_labels, agent) != done->without_labels.end()) {
      add_unknown_fields(info, kOnlyLabels);
    }
    answer(agent, std::move(info));
  }
  if (phase_ == Phase::idle) proceed();
}

// Once for each agent, until it was read without a problem.
void WazuhDbSource::note_unreadable(const InfoRead::Done& done) {
  std::unordered_set<AgentId> now;
  for (const auto& [agent, problem] : done.problems) {
    now.insert(agent);
    if (unreadable_.insert(agent).second) note(NoteLevel::warning, problem);
  }
  for (const auto& [agent, info] : done.agents) {
    if (!now.contains(agent)) unreadable_.erase(agent);
  }
}

void WazuhDbSource::fail_info(const std::string& reason) {
  if (phase_ == Phase::stopped) return;
  const auto page = std::exchange(info_page_, {});
  status_.last_error = reason;
  if (++info_failures_ < kInfoAttempts) {
    waiting_.insert(waiting_.begin(), page.begin(), page.end());
    return;
  }
  info_failures_ = 0;
  if (!std::exchange(info_failing_, true)) {
    note(NoteLevel::warning, "the fields of agents cannot be read and are passed over: " + reason,
         {{"agents", std::to_string(page.size())}});
  }
  for (const AgentId agent : page) {
    if (phase_ == Phase::stopped) return;
    answer(agent, {});
  }
}

void WazuhDbSource::answer(AgentId agent, AgentInfo info) {
  wanted_.erase(agent);  // before the call: the answer may be a reason to ask again
  if (events_.on_info) events_.on_info(agent, std::move(info));
}

}  // namespace rollcall::sidecar
