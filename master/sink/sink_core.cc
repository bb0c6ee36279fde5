#include "master/sink/sink_core.h"

#include <algorithm>
#include <utility>

namespace rollcall::master {
namespace {

constexpr std::int64_t kShortestGapUs = 1'000'000;
constexpr int kGapPerRound = 10;  // rounds take at most a tenth of the time
constexpr unsigned kMostDoubled = 6;
constexpr std::string_view kSet = "global sync-agent-info-set [";

// What is kept of a text; an agent's worker may have sent a very long one.
std::string shortened(const std::string& text) {
  constexpr std::size_t kShown = 200;
  return text.size() <= kShown ? text : text.substr(0, kShown) + "...";
}

std::string change_text(const Correction::Change& change) {
  return change.before + " -> " + change.after;
}

}  // namespace

std::string_view to_string(SinkMode mode) {
  switch (mode) {
    case SinkMode::off:
      return "off";
    case SinkMode::observe:
      return "observe";
    case SinkMode::correct:
      return "correct";
  }
  return "?";
}

SinkCore::SinkCore(Config config)
    : config_(std::move(config)),
      names_(config_.node_names),
      table_(config_.page_rows),
      fields_({row_columns().begin(), row_columns().end()}) {
  status_.mode = config_.mode;
}

SinkCore::Status SinkCore::status() const {
  Status status = status_;
  status.wazuh = version_ ? version_->text : "";
  status.write = by_http() ? SinkWrite::http : SinkWrite::stream;
  status.own_node = own_node();
  return status;
}

bool SinkCore::by_http() const {
  if (config_.write != SinkWrite::by_version) return config_.write == SinkWrite::http;
  return version_ && version_->since_4_13;
}

std::string_view SinkCore::own_node() const {
  return config_.own_node.empty() ? std::string_view(table_.own_node()) : config_.own_node;
}

// ---- when

void SinkCore::connected(const Now& now) {
  phase_ = Phase::idle;
  if (failures_in_a_row_ > 0) return;  // it may be what this asks of it: the pause goes on
  regular_at_us_ = now.mono_us;
  not_before_us_ = now.mono_us;
}

void SinkCore::lost(const std::string& reason, const Now& now) {
  // What differed may have agreed meanwhile.
  differences_.clear();
  wait_longer(reason, now);
  phase_ = Phase::away;
}

SinkCore::Order SinkCore::tick(const DecidedView& view, const Now& now) {
  if (phase_ != Phase::idle || now.mono_us < next_round_us(view)) return Nothing{};
  events_seen_ = view.events;
  return begin_round(now);
}

std::int64_t SinkCore::next_round_us(const DecidedView& view) const {
  if (view.events != events_seen_) return not_before_us_;
  return std::max(std::min(regular_at_us_, settled_at_us_), not_before_us_);
}

std::int64_t SinkCore::settled_at(AgentId agent, const Difference& difference) const {
  const auto found = repeated_.find(agent);
  const unsigned times = found == repeated_.end() ? 0 : found->second.times;
  const unsigned doubled = std::min(times > 1 ? times - 1 : 0, kMostDoubled);
  return difference.since_mono_us + (config_.settle_us << doubled);
}

// ---- a round: the version, the table, the rows of those that are due, and what is written there

SinkCore::Order SinkCore::begin_round(const Now& now) {
  phase_ = Phase::version;
  began_us_ = now.mono_us;
  regular_at_us_ = now.mono_us + config_.every_us;
  ++round_;
  looking_ = {};
  one_at_a_time_ = wrote_ = false;
  suspects_.clear();
  return Ask{wazuh::version_request()};
}

SinkCore::Order SinkCore::replied(const std::string& reply, const DecidedView& view,
                                  const Now& now) {
  switch (phase_) {
    case Phase::version:
      return take_version(reply, now);
    case Phase::table:
      return take_table(reply, view, now);
    case Phase::rows:
      return take_rows(reply, view, now);
    case Phase::writing:
      if (reply == "ok") return written({}, view, now);
      return written(std::unexpected(Error{"wazuh-db does not take corrections: " + reply}), view,
                     now);
    case Phase::away:
    case Phase::idle:
      break;
  }
  return Nothing{};
}

SinkCore::Order SinkCore::posted(const std::expected<void, Error>& outcome, const DecidedView& view,
                                 const Now& now) {
  return phase_ == Phase::writing ? written(outcome, view, now) : Order(Nothing{});
}

// An answer that cannot be read leaves what was known.
SinkCore::Order SinkCore::take_version(const std::string& reply, const Now& now) {
  auto version = wazuh::take_version(reply);
  if (!version && !version_) return fail(version.error().message, now);
  if (version) version_ = std::move(*version);
  phase_ = Phase::table;
  table_.begin();
  return Ask{table_.request()};
}

SinkCore::Order SinkCore::take_table(const std::string& reply, const DecidedView& view,
                                     const Now& now) {
  auto page = table_.take(reply);
  if (!page) return fail(page.error().message, now);
  for (const ShownRow& row : page->rows) compare(row, view, now);
  looking_.rows += page->rows.size();
  return page->last ? finish_look(now) : Order(Ask{table_.request()});
}

void SinkCore::compare(const ShownRow& row, const DecidedView& view, const Now& now) {
  const Verdict verdict = judge(row, view, names_, own_node());
  const auto* differs = std::get_if<Differs>(&verdict);
  if (!differs) {
    differences_.erase(row.agent);
    if (const auto* why = std::get_if<Withheld>(&verdict)) ++looking_.withheld[*why];
    return;
  }
  ++looking_.differing;
  const auto [it, is_new] = differences_.try_emplace(row.agent);
  Difference& difference = it->second;
  if (is_new || difference.what != *differs)
    difference = {.since_mono_us = now.mono_us, .what = *differs};
  difference.round = round_;
  if (difference.withheld) ++looking_.withheld[*difference.withheld];
}

SinkCore::Order SinkCore::finish_look(const Now& now) {
  std::erase_if(differences_, [this](const auto& d) { return d.second.round != round_; });
  std::erase_if(repeated_,
                [&now](const auto& r) { return now.mono_us - r.second.last_mono_us > kForgetUs; });
  std::vector<AgentId> due;
  for (const auto& [agent, difference] : differences_) {
    if (!difference.reported && settled_at(agent, difference) <= began_us_) due.push_back(agent);
  }
  std::ranges::sort(due);
  // Those that were refused last do not come first again: there may be others behind them.
  if (!due.empty())
    std::ranges::rotate(due, due.begin() + static_cast<std::ptrdiff_t>(turn_ % due.size()));
  if (due.size() > config_.max_corrections) due.resize(config_.max_corrections);
  due_.assign(due.begin(), due.end());
  return read_next(now);
}

SinkCore::Order SinkCore::read_next(const Now& now) {
  if (due_.empty()) return finish_round(now);
  const auto count = std::min(due_.size(), wazuh::FieldsRead::kMaxAgents);
  const auto end = due_.begin() + static_cast<std::ptrdiff_t>(count);
  fields_.begin({due_.begin(), end});
  due_.erase(due_.begin(), end);
  phase_ = Phase::rows;
  return Ask{fields_.request()};
}

SinkCore::Order SinkCore::take_rows(const std::string& reply, const DecidedView& view,
                                    const Now& now) {
  auto step = fields_.take(reply);
  if (!step) return fail(step.error().message, now);
  auto* done = std::get_if<wazuh::FieldsRead::Done>(&*step);
  if (done == nullptr) return Ask{fields_.request()};
  for (const auto& [agent, row] : done->agents) {
    settle_anew(agent, now);  // unless it is written or reported below
    const auto unread =
        std::ranges::find(done->problems, agent, [](const auto& p) { return p.first; });
    if (unread != done->problems.end()) {
      withhold(agent, Withheld::unreadable, now);
    } else if (!row.empty()) {
      prepare(agent, row, view, now);
    }
  }
  return config_.mode == SinkMode::correct ? write_next(now) : observe(view, now);
}

// The row may have changed since the look, and so may what was decided.
void SinkCore::prepare(AgentId agent, const AgentInfo& row, const DecidedView& view,
                       const Now& now) {
  const auto difference = differences_.find(agent);
  const auto seen = shown(agent, row);
  if (!seen || difference == differences_.end()) return;
  const Verdict verdict = judge(*seen, view, names_, own_node());
  const auto* differs = std::get_if<Differs>(&verdict);
  if (!differs || *differs != difference->second.what) return;
  auto made = correct(agent, row, *view.state.find(agent), names_, table_.table_s());
  if (const auto* why = std::get_if<Withheld>(&made)) {
    withhold(agent, *why, now);
  } else {
    ready_.push_back(std::get<Correction>(std::move(made)));
  }
}

// ---- what is written

SinkCore::Order SinkCore::observe(const DecidedView& view, const Now& now) {
  for (const Correction& c : std::exchange(ready_, {})) {
    differences_[c.agent].reported = true;
    ++status_.observed;
    report(c, "", view);
  }
  return read_next(now);
}

// By HTTP what was read together; by the stream socket what fits into one request.
SinkCore::Order SinkCore::write_next(const Now& now) {
  if (ready_.empty()) return read_next(now);
  phase_ = Phase::writing;
  std::string text(kSet);
  while (!ready_.empty()) {
    const std::string row = full_row(ready_.back());
    const bool fits = text.size() + row.size() + 2 <= wazuh::kMaxRequestBytes;
    if ((!fits || one_at_a_time_) && !writing_.empty()) break;
    if (fits) {
      text += (writing_.empty() ? "" : ",") + row;
      writing_.push_back(std::move(ready_.back()));
    } else {  // not even alone
      withhold(ready_.back().agent, Withheld::unreadable, now);
    }
    ready_.pop_back();
  }
  if (writing_.empty()) return read_next(now);
  return by_http() ? Order(Post{http_body(writing_)}) : Order(Ask{text + "]"});
}

SinkCore::Order SinkCore::written(const std::expected<void, Error>& outcome,
                                  const DecidedView& view, const Now& now) {
  auto batch = std::exchange(writing_, {});
  if (!outcome && batch.size() > 1) {
    // One of them may be at fault, and must not keep the others from being written.
    one_at_a_time_ = true;
    std::ranges::move(batch, std::back_inserter(ready_));
    return write_next(now);
  }
  if (!outcome) {
    Correction& c = batch.front();
    if (wrote_ || at_fault_.contains(c.agent)) {
      blame(c, outcome.error().message, view, now);
      return write_next(now);
    }
    suspects_.emplace_back(std::move(c), outcome.error().message);
    if (suspects_.size() == kMostSuspects || (ready_.empty() && due_.empty())) {
      return refused(view, now);
    }
    return write_next(now);
  }
  refusing_ = false;
  wrote_ = true;
  blame_suspects(view, now);
  for (const Correction& c : batch) {
    ++status_.written;
    at_fault_.erase(c.agent);
    note_repeated(c.agent, now);
    report(c, "", view);
    differences_.erase(c.agent);  // the next look shows what became of it
  }
  return write_next(now);
}

// Others are taken: it is these rows' own fault.
void SinkCore::blame_suspects(const DecidedView& view, const Now& now) {
  for (auto& [correction, error] : std::exchange(suspects_, {}))
    blame(correction, std::move(error), view, now);
}

void SinkCore::blame(const Correction& c, std::string error, const DecidedView& view,
                     const Now& now) {
  ++status_.refused;
  at_fault_.insert(c.agent);
  withhold(c.agent, Withheld::refused, now);
  report(c, std::move(error), view);
}

// None is taken: it is the table's.
SinkCore::Order SinkCore::refused(const DecidedView& view, const Now& now) {
  const auto suspects = std::exchange(suspects_, {});
  turn_ += suspects.size();
  status_.refused += suspects.size();
  conclude_look();
  if (!std::exchange(refusing_, true)) {
    for (const auto& [correction, error] : suspects) report(correction, error, view);
  }
  return fail(suspects.back().second, now);
}

void SinkCore::settle_anew(AgentId agent, const Now& now) {
  if (const auto it = differences_.find(agent); it != differences_.end())
    it->second.since_mono_us = now.mono_us;
}

// It is tried again, ever more seldom.
void SinkCore::withhold(AgentId agent, Withheld why, const Now& now) {
  note_repeated(agent, now);
  auto& shown = differences_[agent].withheld;
  if (!std::exchange(shown, why)) ++looking_.withheld[why];
}

void SinkCore::note_repeated(AgentId agent, const Now& now) {
  Repeated& repeated = repeated_[agent];
  ++repeated.times;
  repeated.last_mono_us = now.mono_us;
}

void SinkCore::report(const Correction& c, std::string error, const DecidedView& view) {
  const AgentRecord* record = view.state.find(c.agent);
  Report report;
  report.number = ++report_number_;
  report.round = status_.rounds + 1;
  report.at = view.at;
  report.written = config_.mode == SinkMode::correct && error.empty();
  report.decided = record ? record->top : Version{};
  report.agent = c.agent;
  report.kind = c.kind;
  for (const Correction::Change& change : c.changes)
    report.changes.push_back({change.field, shortened(change.before), shortened(change.after)});
  std::string text = report.written  ? "Wazuh's table was corrected"
                     : error.empty() ? "Wazuh's table is wrong; observed only"
                                     : "Wazuh's table is wrong and was not corrected";
  // An observer finds every move that Wazuh's own sync has still to tell.
  Note note{report.written ? NoteLevel::info : NoteLevel::debug,
            std::move(text),
            {{"agent", id_text(c.agent)}, {"by", std::string(to_string(c.kind))}}};
  for (const Correction::Change& change : report.changes)
    note.fields.emplace_back(change.field, change_text(change));
  notes_.push_back(std::move(note));
  report.error = std::move(error);
  reports_.push_back(std::move(report));
  if (reports_.size() > config_.keep_reports) reports_.pop_front();
}

// ---- how it ends

SinkCore::Order SinkCore::finish_round(const Now& now) {
  phase_ = Phase::idle;
  const std::int64_t took = now.mono_us - began_us_;
  const std::int64_t gap = std::min(kShortestGapUs, config_.every_us / 2);
  not_before_us_ = now.mono_us + std::max(gap, kGapPerRound * took);
  settled_at_us_ = regular_at_us_;
  for (const auto& [agent, difference] : differences_) {
    if (!difference.reported)
      settled_at_us_ = std::min(settled_at_us_, settled_at(agent, difference));
  }
  ++status_.rounds;
  conclude_look();
  status_.round_us = took;
  if (refusing_ && looking_.differing > 0)
    return Nothing{};  // nothing was written to see if it goes
  refusing_ = false;
  failures_in_a_row_ = 0;
  if (!std::exchange(status_.error, {}).empty()) {
    notes_.push_back({NoteLevel::info,
                      "Wazuh's table can be compared again",
                      {{"after_ms", std::to_string((now.mono_us - failing_since_us_) / 1000)}}});
  }
  return Nothing{};
}

void SinkCore::conclude_look() {
  status_.rows = looking_.rows;
  status_.differing = looking_.differing;
  status_.withheld = looking_.withheld;
}

SinkCore::Order SinkCore::fail(const std::string& reason, const Now& now) {
  wait_longer(reason, now);
  phase_ = Phase::idle;
  return Nothing{};
}

// Rounds go on, ever more seldom: whether it works again is found by trying.
void SinkCore::wait_longer(const std::string& reason, const Now& now) {
  due_.clear();
  ready_.clear();
  writing_.clear();
  ++status_.failures;
  const std::int64_t wait = config_.every_us << std::min(failures_in_a_row_++, kMostDoubled);
  not_before_us_ = now.mono_us + std::min(wait, std::max(kLongestWaitUs, config_.every_us));
  regular_at_us_ = not_before_us_;
  if (!std::exchange(status_.error, reason).empty()) return;
  failing_since_us_ = now.mono_us;
  notes_.push_back({NoteLevel::warning, reason + "; Wazuh's table is not compared", {}});
}

}  // namespace rollcall::master
