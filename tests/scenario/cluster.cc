#include "tests/scenario/cluster.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "app/stored_infos.h"
#include "protocol/codec.h"
#include "tests/scenario/describe.h"

namespace rollcall::scenario {
namespace {

constexpr std::int64_t kMs = 1'000, kSecond = 1'000'000;
constexpr std::int64_t kMessage = 5 * kMs, kCommit = 2 * kMs, kLook = 10 * kMs;
constexpr std::int64_t kWall = 1'700'000'000;
constexpr std::int64_t kBooted = 1000;  // seconds before the story begins

// Heartbeats and inventories are left out: in a story where nothing is lost they change nothing.
bool is_routine(const Message& message) {
  return std::holds_alternative<Heartbeat>(message) ||
         std::holds_alternative<HeartbeatAck>(message) ||
         std::holds_alternative<InventoryBegin>(message) ||
         std::holds_alternative<InventoryChunk>(message) ||
         std::holds_alternative<InventoryEnd>(message) ||
         std::holds_alternative<InventoryAck>(message);
}

}  // namespace

Now MachineClock::now() {
  const std::int64_t t = cluster_.now_us();
  return {t + (kWall + wrong_by_s_) * kSecond, t + kBooted * kSecond, t + kBooted * kSecond};
}

// ---- a worker --------------------------------------------------------------------------------

Worker::Worker(Cluster& cluster, NodeName name, std::uint64_t number,
               std::int64_t wall_is_wrong_by_s)
    : cluster_(cluster),
      name_(std::move(name)),
      number_(number),
      clock_(cluster, wall_is_wrong_by_s) {}

void Worker::start() {
  ++life_;
  sidecar::SidecarCore::Config c;
  c.node = name_;
  c.machine = "the machine of " + name_;
  c.boot = 1;
  c.commands = true;
  driver_ = std::make_unique<app::SidecarDriver>(c, number_ * 100 + life_, clock_, *this, *this,
                                                 *this, [](const Note&) {});
  driver_->reach_agents(*this);
  auto contents = app::load_with_infos(disk_);
  if (!contents || !driver_->start(*contents))
    cluster_.write("!! " + name_ + ": its store is refused");
}

void Worker::restart() {
  cluster_.tell(name_ + "'s sidecar is killed and starts again.");
  driver_.reset();
  disk_.crash();
  if (connection_ != 0) {
    const std::uint64_t id = std::exchange(connection_, 0);
    cluster_.master().link_closed(master::ConnId{id});
  }
  holding_up_ = holding_down_ = false;
  held_up_.clear();
  held_down_.clear();
  start();
}

void Worker::drain(std::int64_t grace_s) {
  cluster_.tell(name_ + " is drained, with a grace of " + std::to_string(grace_s) + " s.");
  sidecar::Drain drain;
  drain.grace_us = grace_s * kSecond;
  if (!driver_->drain(drain)) cluster_.write("!! the drain is refused");
}

void Worker::manager_restarts() {
  for (auto& [agent, row] : table_) {
    row.status = sidecar::RowStatus::disconnected;
    row.code = 5;
  }
}

void Worker::stop_on_purpose(std::int64_t back_within_s) {
  cluster_.tell(name_ + "'s sidecar is stopped, to be back within " +
                std::to_string(back_within_s) + " s.");
  last_words_ = connection_;
  driver_->bye(ByeReason::shutdown, back_within_s * kSecond);
  driver_->stop();
}

void Worker::agent_speaks(std::uint32_t agent) {
  sidecar::Row& row = table_[AgentId{agent}];
  row.agent = AgentId{agent};
  row.status = sidecar::RowStatus::active;
  row.keepalive_s = clock_.now().wall_us / kSecond;
  row.code = 0;
}

void Worker::agent_speaks(std::uint32_t agent, const AgentInfo& info) {
  infos_[AgentId{agent}] = info;
  agent_speaks(agent);
}

void Worker::agent_stops(std::uint32_t agent) {
  sidecar::Row& row = table_[AgentId{agent}];
  row.status = sidecar::RowStatus::disconnected;
  row.code = 3;
}

void Worker::told(std::uint32_t agent, sidecar::Observation::Kind kind) {
  using Kind = sidecar::Observation::Kind;
  sidecar::Observation o;
  o.agent = AgentId{agent};
  o.kind = kind;
  o.boot_us = clock_.now().boot_us;
  o.heard = kind != Kind::remove;
  if (kind == Kind::disconnect) o.reason = Reason::shutdown;
  if (kind == Kind::connect) {
    o.info = std::make_shared<const AgentInfo>(
        AgentInfo{{"name", "agent-" + std::to_string(agent)}, {"seen_by", name_}});
  }
  driver_->observe({o});
}

void Worker::look() {
  if (events_) return driver_->watch(true);
  sidecar::Look look;
  look.started = clock_.now();
  look.connection = 1;
  for (const auto& [id, row] : table_) look.rows.push_back(row);
  cluster_.after(kLook, [this, look = std::move(look), was = life_]() mutable {
    if (life_ != was) return;
    look.finished = clock_.now();
    driver_->look(look);
  });
}

void Worker::commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) {
  auto result = disk_.commit_unsynced(*batch);
  cluster_.after(kCommit, [this, result, done, was = life_] {
    if (life_ != was) return;
    if (result) disk_.sync();
    done(result);
  });
}

void Worker::connect() {
  cluster_.after(kMessage, [this, was = life_] {
    if (life_ != was) return;
    if (!cluster_.master().ready()) {
      driver_->link_closed("refused");
      return;
    }
    connection_ = cluster_.new_connection(*this);
    driver_->link_connected();
  });
}

void Worker::send(std::string bytes) {
  if (holding_up_) {
    held_up_.push_back(std::move(bytes));
  } else {
    to_master(std::move(bytes));
  }
}

void Worker::to_master(std::string bytes) {
  cluster_.after(kMessage, [this, bytes = std::move(bytes), was = connection_] {
    if ((connection_ != was && last_words_ != was) || was == 0) return;
    cluster_.message_seen(name_, "master", bytes);
    cluster_.master().link_received(master::ConnId{was}, bytes);
  });
}

void Worker::from_master(std::string bytes) {
  cluster_.after(kMessage, [this, bytes = std::move(bytes), was = connection_] {
    if (connection_ != was || was == 0) return;
    cluster_.message_seen("master", name_, bytes);
    driver_->link_received(bytes);
  });
}

void Worker::deliver_what_was_held() {
  holding_up_ = holding_down_ = false;
  for (std::string& bytes : std::exchange(held_up_, {})) to_master(std::move(bytes));
  for (std::string& bytes : std::exchange(held_down_, {})) from_master(std::move(bytes));
}

void Worker::break_link() {
  cluster_.tell("The link of " + name_ + " breaks; what is under way is lost.");
  close("broken");
}

void Worker::close(const std::string& reason) {
  if (connection_ == 0) return;
  const std::uint64_t id = std::exchange(connection_, 0);
  holding_up_ = holding_down_ = false;
  held_up_.clear();
  held_down_.clear();
  cluster_.after(id == last_words_ ? kMessage + kMs : kMs, [this, id, reason, was = life_] {
    cluster_.master().link_closed(master::ConnId{id});
    if (life_ == was) driver_->link_closed(reason);
  });
}

void Worker::read_info(const std::vector<AgentId>& agents) {
  cluster_.after(kLook, [this, agents, was = life_] {
    if (life_ != was) return;
    if (events_) return read_stored_info(agents);
    for (const AgentId a : agents) {
      const auto said = infos_.find(a);
      const AgentInfo usual = {{"name", "agent-" + std::to_string(static_cast<std::uint32_t>(a))},
                               {"version", "Wazuh v4.1.0"}};
      driver_->info_read(a, said == infos_.end() ? usual : said->second);
    }
  });
}

void Worker::send(std::uint64_t number, std::string datagram, std::chrono::microseconds) {
  cluster_.after(kMs, [this, number, datagram = std::move(datagram), was = life_] {
    cluster_.write(name_ + "'s Wazuh has: " + datagram);
    if (life_ == was) driver_->datagram_sent(number, std::nullopt);
  });
}

void Worker::read_stored_info(const std::vector<AgentId>& agents) {
  for (const AgentId a : agents) {
    const auto id = static_cast<std::uint32_t>(a);
    const auto found = disk_.read_infos({id});
    if (found && found->contains(id))
      driver_->info_read(a, sidecar::decode_info(found->at(id)).value_or(AgentInfo{}));
  }
}

// ---- the cluster -----------------------------------------------------------------------------

void Cluster::restart_master() {
  tell("The master is killed and starts again.");
  driver_.reset();
  log_.crash();
  decisions_read_ = 0;
  start_master();
  for (auto& w : workers_) w->close("the master restarts");
}

void Cluster::start_master() {
  ++master_life_;
  master::MasterCore::Config c;
  c.boot = 1;
  auto state = app::fold_log(log_, log_.recover());
  if (!state) return write("!! the master refuses its log: " + state.error().message);
  driver_ = std::make_unique<app::MasterDriver>(c, app::MasterDriver::Options{}, std::move(*state),
                                                "", 1, clock_, *this, *this, [](const Note&) {});
  driver_->start();
}

Cluster::Cluster(std::int64_t length_s) : clock_(*this, 0) {
  start_master();
  for (std::int64_t t = 0; t < length_s * kSecond; t += 250 * kMs) {
    after(t, [this, t] {
      driver_->tick();
      for (auto& w : workers_) {
        w->tick();
        if (t % kSecond == 500 * kMs) w->look();
      }
    });
  }
}

MasterTime Cluster::begin() {
  return {kWall * kSecond};
}

Worker& Cluster::add_worker(NodeName name, std::int64_t wall_is_wrong_by_s) {
  workers_.push_back(
      std::make_unique<Worker>(*this, std::move(name), workers_.size() + 1, wall_is_wrong_by_s));
  workers_.back()->start();
  return *workers_.back();
}

void Cluster::after(std::int64_t us, std::function<void()> what) {
  agenda_.add(now_ + us, std::move(what));
}

void Cluster::run_until(double s) {
  const auto end = static_cast<std::int64_t>(s * 1e6);
  for (auto next = agenda_.next(); next && *next <= end; next = agenda_.next()) {
    now_ = *next;
    agenda_.do_next();
    read_decisions();
  }
  now_ = end;
}

void Cluster::tell(const std::string& line) {
  char head[16];
  std::snprintf(head, sizeof head, "%7.3f ", static_cast<double>(now_) / 1e6);
  transcript_ += head + line + "\n";
}

void Cluster::write(const std::string& line) {
  tell("    " + line);
}

void Cluster::message_seen(const std::string& from, const std::string& to, std::string_view bytes) {
  FrameReader reader(kMaxFrame);
  reader.feed(bytes);
  for (;;) {
    const auto payload = reader.next();
    if (!payload || !*payload) return;
    const auto message = decode(**payload);
    if (!message) return;
    if (is_routine(*message)) continue;
    ++seen_[std::string(name_of(*message))];
    write(from + " -> " + to + ": " + describe(*message, begin()));
  }
}

std::size_t Cluster::seen() const {
  std::size_t all = 0;
  for (const auto& [name, count] : seen_) all += count;
  return all;
}

void Cluster::read_decisions() {
  const auto& all = driver_->core().decisions();
  if (all.empty() || all.back().number == decisions_read_) return;
  for (const master::Decision& d : all) {
    if (d.number <= decisions_read_) continue;
    decisions_read_ = d.number;
    const std::string record = d.top.epoch == kUnstamped ? "nothing known"
                                                         : describe(d.top, begin()) + " " +
                                                               std::string(to_string(d.top_phase));
    write("  master: " + describe(d.event, begin()) + " of " + d.node + " is " +
          std::string(to_string(d.rule)) + "; the record is " + record);
  }
}

std::string Cluster::shown(std::uint32_t agent) {
  const AgentRecord* r = driver_->core().state().find(AgentId{agent});
  std::string out = std::to_string(agent) + " ";
  if (!r || !r->has_session()) {
    out += "unknown";
  } else if (r->is_open()) {
    const std::string status(to_string(driver_->core().state().status_of(*r)));
    out += status + (status == "migrating" ? " from " : " on ") + r->top.node;
  } else {
    out += "disconnected (" + std::string(to_string(r->reason)) + "), last on " + r->top.node;
  }
  tell("=> the master shows: " + out);
  return out;
}

void Cluster::restart_agent(const std::string& id, std::uint32_t agent, int timeout_s) {
  tell("The master is asked to restart agent " + std::to_string(agent) + ", as command " + id +
       ", within " + std::to_string(timeout_s) + " s.");
  master::CommandRequest request;
  request.id = id;
  request.agents = {AgentId{agent}};
  request.timeout_us = timeout_s * kSecond;
  driver_->command(std::move(request), [this, id](const app::MasterDriver::CommandEnded& ended) {
    if (!ended) return tell("=> command " + id + " is refused: " + ended.error().text);
    const auto& report = **ended;
    tell("=> command " + id + ": " +
         (report.failed.empty() ? "the agent was told"
                                : std::string(to_string(report.failed[0].end))));
  });
}

std::uint64_t Cluster::new_connection(Worker& worker) {
  const std::uint64_t id = ++last_connection_;
  connections_[id] = &worker;
  driver_->link_accepted(master::ConnId{id}, {worker.name()}, worker.name() + ":1");
  return id;
}

void Cluster::append(std::vector<std::string> records, Snapshot, Done done) {
  auto result = log_.append_unsynced(records);
  after(kCommit, [this, result, done, was = master_life_] {
    if (master_life_ != was) return;
    if (result) log_.sync();
    done(result);
  });
}

void Cluster::send(master::ConnId conn, std::string bytes) {
  Worker& w = *connections_.at(static_cast<std::uint64_t>(conn));
  if (w.connection_ != static_cast<std::uint64_t>(conn)) return;
  if (w.holding_down_) {
    w.held_down_.push_back(std::move(bytes));
  } else {
    w.from_master(std::move(bytes));
  }
}

void Cluster::close(master::ConnId conn, const std::string& reason) {
  Worker& w = *connections_.at(static_cast<std::uint64_t>(conn));
  // What was said before still arrives.
  after(kMessage, [&w, conn, reason] {
    if (w.connection_ == static_cast<std::uint64_t>(conn)) w.close(reason);
  });
}

void expect_transcript(const Cluster& cluster, const std::string& name) {
  const std::string file = std::string(ROLLCALL_SOURCE_DIR "/tests/scenario/") + name + ".txt";
  if (std::getenv("ROLLCALL_REWRITE_TRANSCRIPTS")) {
    std::ofstream(file) << cluster.transcript();
    return;
  }
  std::ifstream in(file);
  std::stringstream expected;
  expected << in.rdbuf();
  EXPECT_EQ(cluster.transcript(), expected.str())
      << "if this is meant: ROLLCALL_REWRITE_TRANSCRIPTS=1, and read the diff";
}

}  // namespace rollcall::scenario
