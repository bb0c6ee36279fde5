#include "tests/simulation/simulator.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>

#include "app/master_driver.h"
#include "app/sidecar_driver.h"
#include "persist/memory_event_log.h"
#include "persist/memory_session_store.h"
#include "protocol/codec.h"
#include "protocol/framing.h"
#include "sidecar/source/look_plan.h"

namespace rollcall::simulation {
namespace {

using sidecar::Row;
using sidecar::RowStatus;

constexpr std::int64_t kMs = 1'000, kSecond = 1'000'000;
constexpr std::int64_t kKeepalive = 10 * kSecond;
constexpr std::int64_t kReaper = 140 * kSecond;  // longer than the quiet time: it comes to no help
constexpr std::int64_t kLook = kSecond;
constexpr std::int64_t kScan = 10 * kSecond;
constexpr std::int64_t kTimeout = 40 * kSecond;  // of silence, on a worker
constexpr std::int64_t kEpochOfTime = 1'700'000'000 * kSecond;

class World;

// A machine's clocks. Real time is the world's; the wall clock is off and steps.
class MachineClock final : public app::Clock {
 public:
  explicit MachineClock(const World& world) : world_(world) {}
  Now now() override;
  std::string boot_id() override { return std::to_string(boot_); }
  std::uint64_t boot() const { return boot_; }
  void reboot();
  void step(std::int64_t by) { skew_ += by; }
  std::int64_t wall_s();

 private:
  const World& world_;
  std::int64_t skew_ = 0;
  std::int64_t booted_at_ = -1000 * kSecond;
  std::uint64_t boot_ = 1;
};

struct Connection {
  std::uint64_t id = 0;
  int worker = 0;
  bool open = true;                     // carries messages
  std::int64_t up_at = 0, down_at = 0;  // FIFO in each direction
  std::uint64_t sidecar_life = 0, master_life = 0;
};

struct WorkerNode final : app::SidecarDriver::Store,
                          app::SidecarDriver::Link,
                          app::SidecarDriver::Source {
  WorkerNode(World& w, int i, std::string n) : world(w), index(i), name(std::move(n)), clock(w) {}
  void commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) override;
  void connect() override;
  void send(std::string bytes) override;
  void close(const std::string& reason) override;
  void read_info(const std::vector<AgentId>& agents) override;

  World& world;
  int index;
  std::string name;
  MachineClock clock;
  std::map<AgentId, Row> table;            // as wazuh-db has it; survives everything here
  std::map<AgentId, std::int64_t> gone_s;  // its column disconnection_time
  std::map<AgentId, AgentInfo> infos;
  std::map<AgentId, std::int64_t> heard;  // real time of the last contact, for the reaper
  persist::MemorySessionStore disk;
  std::uint64_t durable_position = 0;  // of the last event that the disk keeps
  std::optional<persist::StoreContents> backup;
  std::unique_ptr<app::SidecarDriver> driver;
  std::uint64_t life = 0;  // counts processes: what belongs to a dead one is dropped
  std::shared_ptr<Connection> connection;
  bool link_up = true;
  bool source_blind = false;
  std::uint64_t source_connection = 1;
  sidecar::LookPlan plan{std::chrono::microseconds(kScan)};  // of the process
};

struct MasterNode final : app::MasterDriver::Log, app::MasterDriver::Links {
  explicit MasterNode(World& w) : world(w), clock(w) {}
  void append(std::vector<std::string> records, Snapshot snapshot, Done done) override;
  void send(master::ConnId conn, std::string bytes) override;
  void close(master::ConnId conn, const std::string& reason) override;
  void pause_reading(bool) override {}

  World& world;
  MachineClock clock;
  persist::MemoryEventLog log;
  master::State durable;  // the fold of what the disk keeps
  std::optional<persist::MemoryEventLog::Disk> backup;
  std::unique_ptr<app::MasterDriver> driver;
  std::uint64_t life = 0;
  std::map<master::ConnId, std::shared_ptr<Connection>> connections;
  std::uint64_t decisions_read = 0;
};

struct Agent {
  AgentId id{};
  int place = -1;       // worker, or -1
  bool silent = false;  // left the last place without goodbye
  std::int64_t next_contact = 0;
  std::int64_t next_move = 0;
  int version = 0;  // of its info
  bool cloned = false;
  int clone_place = -1;
};

class World {
 public:
  World(std::uint64_t seed, const Options& options);
  Result run();

  std::int64_t now() const { return now_; }
  std::int64_t chance(std::int64_t lo, std::int64_t hi) {
    return std::uniform_int_distribution<std::int64_t>(lo, hi)(random_);
  }
  bool one_in(double probability) {
    return std::uniform_real_distribution<>(0, 1)(random_) < probability;
  }
  void at(std::int64_t when, std::function<void()> what) {
    queue_.push({std::max(when, now_), ++order_, std::move(what)});
  }
  void say(const std::string& who, const std::string& what);
  bool calm() const { return now_ >= options_.chaos_us; }

  std::int64_t message_delay();
  void cut(const std::shared_ptr<Connection>& c);
  void start_sidecar(WorkerNode& w);
  void stop_sidecar(WorkerNode& w);
  void start_master(const std::string& lost);
  void stop_master();
  void read_decisions();
  void broken(std::string promise) { result_.broken.push_back(std::move(promise)); }

  std::vector<std::unique_ptr<WorkerNode>> workers;
  std::unique_ptr<MasterNode> master;
  std::uint64_t last_connection = 0;

 private:
  struct Item {
    std::int64_t when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Item& o) const { return when != o.when ? when > o.when : order > o.order; }
  };

  void look(WorkerNode& w);
  void ticks();
  void live();
  void chaos();
  void arrive(Agent& a, int place);
  void leave(Agent& a, bool goodbye);
  void contact(Agent& a, int place, RowStatus status);

  Options options_;
  std::mt19937_64 random_;
  std::int64_t now_ = 0;
  std::uint64_t order_ = 0;
  std::priority_queue<Item> queue_;
  std::vector<Agent> agents_;
  std::map<AgentId, std::string> last_writer_;
  Result result_;
  bool exact_;  // clocks and delays without noise: epochs of two workers may be equal
};

// ---- clocks ----------------------------------------------------------------------------------

Now MachineClock::now() {
  const std::int64_t t = world_.now();
  return {kEpochOfTime + t + skew_, t - booted_at_, t - booted_at_};
}
void MachineClock::reboot() {
  booted_at_ = world_.now() - kSecond;
  ++boot_;
}
std::int64_t MachineClock::wall_s() {
  return now().wall_us / kSecond;
}

// Calls f with each message in these whole frames.
template <typename F>
void each_message(std::string_view bytes, F f) {
  FrameReader reader(kMaxFrame);
  reader.feed(bytes);
  for (auto payload = reader.next(); payload && *payload; payload = reader.next()) {
    if (const auto message = decode(**payload)) f(*message);
  }
}

// ---- a worker's ports ------------------------------------------------------------------------

void WorkerNode::commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) {
  auto result = disk.commit_unsynced(*batch);
  std::uint64_t position = 0;
  for (const auto& [at, event] : batch->outbox) position = std::max(position, at);
  world.at(world.now() + world.chance(kMs, 12 * kMs), [this, was = life, result, position, done] {
    if (life != was) return;
    if (result) {
      disk.sync();
      durable_position = std::max(durable_position, position);
    }
    done(result);
  });
}

void WorkerNode::connect() {
  world.at(world.now() + world.chance(kMs, 50 * kMs), [this, was = life] {
    if (life != was || !driver) return;
    MasterNode& m = *world.master;
    if (!link_up || !m.driver || !m.driver->ready()) {
      driver->link_closed("refused");
      return;
    }
    auto c = std::make_shared<Connection>();
    c->id = ++world.last_connection;
    c->worker = index;
    c->sidecar_life = life;
    c->master_life = m.life;
    connection = c;
    m.connections[master::ConnId{c->id}] = c;
    m.driver->link_accepted(master::ConnId{c->id}, {name}, name + ":1");
    driver->link_connected();
  });
}

void WorkerNode::send(std::string bytes) {
  const auto c = connection;
  if (!c || !c->open) return;
  each_message(bytes, [this](const Message& m) {
    const auto* delta = std::get_if<Delta>(&m);
    if (delta && delta->position > durable_position)
      world.broken(name + ": an event was sent before it was durable");
  });
  c->up_at = std::max(c->up_at, world.now() + world.message_delay());
  world.at(c->up_at, [this, c, bytes = std::move(bytes)] {
    MasterNode& m = *world.master;
    if (!c->open || m.life != c->master_life || !m.driver) return;
    m.driver->link_received(master::ConnId{c->id}, bytes);
    world.read_decisions();
  });
}

void WorkerNode::close(const std::string&) {
  if (connection) world.cut(connection);
}

void WorkerNode::read_info(const std::vector<AgentId>& agents) {
  world.at(world.now() + world.chance(5 * kMs, 100 * kMs), [this, agents, was = life] {
    if (life != was || !driver || source_blind) return;
    for (AgentId a : agents) {
      const auto it = infos.find(a);
      driver->info_read(a, it == infos.end() ? AgentInfo{} : it->second);
      if (!driver) return;
    }
  });
}

// ---- the master's ports ----------------------------------------------------------------------

void MasterNode::append(std::vector<std::string> records, Snapshot snapshot, Done done) {
  auto result = log.append_unsynced(records);
  world.at(world.now() + world.chance(kMs, 12 * kMs),
           [this, was = life, result, records = std::move(records), snapshot, done] {
             if (life != was) return;
             if (result) {
               log.sync();
               for (const std::string& bytes : records) {
                 auto record = master::decode_log_record(bytes);
                 if (!record || !durable.apply(*record)) world.broken("a log record is refused");
               }
               if (snapshot) (void)log.write_snapshot(log.next_index() - 1, snapshot());
             }
             done(result);
             world.read_decisions();
           });
}

void MasterNode::send(master::ConnId conn, std::string bytes) {
  const auto it = connections.find(conn);
  if (it == connections.end() || !it->second->open) return;
  const auto c = it->second;
  each_message(bytes, [&](const Message& m) {
    const auto* ack = std::get_if<Ack>(&m);
    const auto node =
        durable.nodes().find(world.workers[static_cast<std::size_t>(c->worker)]->name);
    if (ack && (node == durable.nodes().end() || ack->through > node->second.last_seq))
      world.broken("an event was acked before it was durable");
  });
  c->down_at = std::max(c->down_at, world.now() + world.message_delay());
  world.at(c->down_at, [this, c, bytes = std::move(bytes)] {
    WorkerNode& w = *world.workers[static_cast<std::size_t>(c->worker)];
    if (!c->open || w.life != c->sidecar_life || !w.driver) return;
    w.driver->link_received(bytes);
  });
}

void MasterNode::close(master::ConnId conn, const std::string&) {
  const auto it = connections.find(conn);
  if (it == connections.end()) return;
  const auto c = it->second;
  // What was said before still arrives.
  world.at(std::max(c->down_at, world.now()), [this, c] { world.cut(c); });
}

// ---- the world -------------------------------------------------------------------------------

World::World(std::uint64_t seed, const Options& options)
    : options_(options), random_(seed * 0x9E3779B97F4A7C15ull + 1) {
  exact_ = one_in(0.15);
  const int n = options.workers > 0 ? options.workers : static_cast<int>(chance(2, 3));
  const int k = options.agents > 0 ? options.agents : static_cast<int>(chance(1, 4));
  master = std::make_unique<MasterNode>(*this);
  for (int i = 0; i < n; ++i) {
    workers.push_back(
        std::make_unique<WorkerNode>(*this, i, std::string("w") + static_cast<char>('1' + i)));
    if (!exact_ && one_in(0.33))
      workers.back()->clock.step(chance(-3600 * kSecond, 3600 * kSecond));
  }
  for (int i = 0; i < k; ++i) {
    Agent a;
    a.id = AgentId{static_cast<std::uint32_t>(i + 1)};
    a.next_move = chance(0, 5 * kSecond);
    a.cloned = one_in(0.01);
    agents_.push_back(a);
  }
  result_.seed = seed;
}

void World::say(const std::string& who, const std::string& what) {
  if (!options_.transcript) return;
  char head[40];
  std::snprintf(head, sizeof head, "%9.3f %-6s ", static_cast<double>(now_) / 1e6, who.c_str());
  result_.transcript += head + what + "\n";
}

std::int64_t World::message_delay() {
  if (exact_) return 100 * kMs;
  return chance(1, 400) * kMs * (one_in(0.12) ? 8 : 1);
}

// Both ends learn of it, each in its own time; what is under way is lost.
void World::cut(const std::shared_ptr<Connection>& c) {
  if (!c->open) return;
  c->open = false;
  WorkerNode& w = *workers[static_cast<std::size_t>(c->worker)];
  at(now_ + chance(0, 300 * kMs), [&w, c] {
    if (w.life != c->sidecar_life || !w.driver || w.connection != c) return;
    w.connection.reset();
    w.driver->link_closed("connection lost");
  });
  at(now_ + chance(0, 2 * kSecond), [this, c] {
    if (master->life != c->master_life || !master->driver) return;
    master->connections.erase(master::ConnId{c->id});
    master->driver->link_closed(master::ConnId{c->id});
  });
}

void World::start_sidecar(WorkerNode& w) {
  ++w.life;
  w.plan = sidecar::LookPlan(std::chrono::microseconds(kScan));
  sidecar::SidecarCore::Config c;
  c.node = w.name;
  c.machine = w.name;
  c.boot = w.clock.boot();
  c.tracker.keepalive_us = kKeepalive;
  c.tracker.agent_timeout_us = kTimeout;
  c.tracker.info_refresh_us = 15 * kSecond;
  w.driver = std::make_unique<app::SidecarDriver>(c, random_(), w.clock, w, w, w,
                                                  [this, &w](const Note& n) {
                                                    std::string line = n.text;
                                                    for (const auto& [key, value] : n.fields)
                                                      line += " " + key + "=" + value;
                                                    say(w.name, line);
                                                  });
  auto contents = w.disk.load();
  w.durable_position = 0;
  if (contents) {
    if (const auto it = contents->meta.find("position"); it != contents->meta.end())
      w.durable_position = std::stoull(it->second);
  }
  if (!contents || !w.driver->start(*contents)) {
    result_.broken.push_back(w.name + ": its own store is refused");
    w.driver.reset();
  }
}

void World::stop_sidecar(WorkerNode& w) {
  w.driver.reset();
  ++w.life;
  w.disk.crash();
  if (w.connection) {
    const auto c = w.connection;
    w.connection.reset();
    c->open = false;
    at(now_ + chance(0, 3 * kSecond), [this, c] {
      if (master->life != c->master_life || !master->driver) return;
      master->connections.erase(master::ConnId{c->id});
      master->driver->link_closed(master::ConnId{c->id});
    });
  }
}

void World::start_master(const std::string& lost) {
  MasterNode& m = *master;
  ++m.life;
  const persist::LogRecovery recovery = m.log.recover();
  auto state = app::fold_log(m.log, recovery);
  if (!state) {
    result_.broken.push_back("the master refuses its own log: " + state.error().message);
    return;
  }
  m.durable = *state;
  master::MasterCore::Config c;
  c.heartbeat_us = 3 * kSecond;
  c.ttl_us = 12 * kSecond;
  c.keep_decisions = 4096;
  c.boot = m.clock.boot();
  m.decisions_read = 0;
  m.driver = std::make_unique<app::MasterDriver>(
      c, app::MasterDriver::Options{200}, std::move(*state),
      recovery.torn_tail_dropped ? "the end of the log was torn" : lost, random_(), m.clock, m, m,
      [this](const Note& n) {
        std::string line = n.text;
        for (const auto& [key, value] : n.fields) line += " " + key + "=" + value;
        say("master", line);
      });
  m.driver->start();
}

void World::stop_master() {
  MasterNode& m = *master;
  m.driver.reset();
  ++m.life;
  for (auto& [id, held] : m.connections) {
    const std::shared_ptr<Connection> c = held;
    if (!c->open) continue;
    c->open = false;
    WorkerNode& w = *workers[static_cast<std::size_t>(c->worker)];
    at(now_ + chance(0, 2 * kSecond), [&w, c] {
      if (w.life != c->sidecar_life || !w.driver || w.connection != c) return;
      w.connection.reset();
      w.driver->link_closed("connection lost");
    });
  }
  m.connections.clear();
}

// Last writer wins, on every event in the order of arrival, refused ones too.
void World::read_decisions() {
  if (!master->driver) return;
  const auto& all = master->driver->core().decisions();
  for (auto it = all.begin() +
                 static_cast<std::ptrdiff_t>(
                     all.size() -
                     std::min<std::uint64_t>(
                         all.size(), all.empty() ? 0 : all.back().number - master->decisions_read));
       it != all.end(); ++it) {
    master->decisions_read = it->number;
    ++result_.events;
    switch (it->event.kind) {
      case EventKind::opened:
        last_writer_[it->event.agent] = it->node;
        break;
      case EventKind::closed:
      case EventKind::removed:
        last_writer_[it->event.agent] = "";
        break;
      default:
        break;  // a plain sync has no such news
    }
    if (options_.transcript) {
      const Event& e = it->event;
      say("decide", "agent " + std::to_string(static_cast<std::uint32_t>(e.agent)) + " " +
                        std::string(to_string(e.kind)) + " " +
                        to_string(Version{e.epoch, it->node, e.change}) + " lo " +
                        std::to_string(e.evidence.lo.us) + " hi " +
                        std::to_string(e.evidence.hi.us) + " -> " +
                        std::string(to_string(it->rule)) + ", record " + to_string(it->top) + " " +
                        std::string(to_string(it->top_phase)));
    }
  }
}

void World::look(WorkerNode& w) {
  if (!w.driver) return;
  if (w.source_blind) {
    w.driver->look_failed();
    return;
  }
  sidecar::Look look;
  look.started = w.clock.now();
  look.connection = w.source_connection;
  const sidecar::LookPlan::Head head{.table_ms = look.started.wall_us / kMs,
                                     .table_rows = w.table.size(),
                                     .asked = look.started,
                                     .answered = look.started};
  auto window = w.plan.next(look.started);
  if (window && !w.plan.goes_on(head)) window.reset();
  look.complete = !window;
  if (window) {
    look.from_s = window->from_s;
    look.to_s = window->to_s;
  }
  const auto shown = [&](std::int64_t s) { return s >= window->from_s && s <= window->to_s; };
  for (const auto& [id, row] : w.table) {
    if (window && !shown(row.keepalive_s) && !shown(w.gone_s[id])) continue;
    // Whatever the reason: a row that should be here and is not.
    if (window && !exact_ && one_in(0.02)) continue;
    look.rows.push_back(row);
  }
  at(now_ + (exact_ ? kMs : chance(kMs, 60 * kMs)),
     [&w, look = std::move(look), head, was = w.life]() mutable {
       if (w.life != was || !w.driver) return;
       look.finished = w.clock.now();
       using Kind = sidecar::LookPlan::Kind;
       w.plan.looked(look.complete ? Kind::whole : Kind::window, head, look.finished);
       w.driver->look(look);
     });
}

void World::contact(Agent& a, int place, RowStatus status) {
  WorkerNode& w = *workers[static_cast<std::size_t>(place)];
  Row& row = w.table[a.id];
  row.agent = a.id;
  row.status = status;
  row.keepalive_s = w.clock.wall_s();
  row.code = 0;
  w.gone_s[a.id] = 0;
  w.heard[a.id] = now_;
  if (status == RowStatus::active) {
    w.infos[a.id] = {{"name", "agent-" + std::to_string(static_cast<std::uint32_t>(a.id))},
                     {"version", "v" + std::to_string(a.version)}};
  }
}

void World::arrive(Agent& a, int place) {
  WorkerNode& w = *workers[static_cast<std::size_t>(place)];
  a.place = place;
  a.silent = false;
  if (one_in(0.2)) ++a.version;
  const bool pending = one_in(0.5);
  contact(a, place, pending ? RowStatus::pending : RowStatus::active);
  say("truth", "agent " + std::to_string(static_cast<std::uint32_t>(a.id)) + " is on " + w.name);
  a.next_contact = now_ + (pending ? chance(20 * kMs, 500 * kMs) : kKeepalive);
}

void World::leave(Agent& a, bool goodbye) {
  if (a.place < 0) return;
  WorkerNode& w = *workers[static_cast<std::size_t>(a.place)];
  say("truth", "agent " + std::to_string(static_cast<std::uint32_t>(a.id)) + " leaves " + w.name +
                   (goodbye ? " with goodbye" : " without a word"));
  if (goodbye) {
    Row& row = w.table[a.id];
    row.status = RowStatus::disconnected;
    row.code = 3;
    w.gone_s[a.id] = w.clock.wall_s();
  }
  a.silent = !goodbye;
  a.place = -1;
}

void World::live() {
  for (Agent& a : agents_) {
    // Most of those that left without a word come back, since nobody could know of the others.
    if (now_ == options_.chaos_us && a.place < 0 && a.silent && one_in(0.85)) {
      arrive(a, static_cast<int>(chance(0, static_cast<std::int64_t>(workers.size()) - 1)));
    }
    if (!calm() && now_ >= a.next_move) {
      const bool goodbye = one_in(0.6);
      leave(a, goodbye);
      const auto to = chance(-1, static_cast<std::int64_t>(workers.size()) - 1);
      // Now and then the next hello comes a moment after the goodbye, not at the same instant.
      if (to >= 0) arrive(a, static_cast<int>(to));
      a.next_move =
          now_ + (one_in(0.5) ? chance(50 * kMs, 900 * kMs) : chance(50 * kMs, 40 * kSecond));
      if (a.cloned)
        a.clone_place = static_cast<int>(chance(0, static_cast<std::int64_t>(workers.size()) - 1));
    }
    if (a.place >= 0 && now_ >= a.next_contact) {
      contact(a, a.place, RowStatus::active);
      a.next_contact = now_ + kKeepalive;
      if (a.clone_place >= 0 && a.clone_place != a.place)
        contact(a, a.clone_place, RowStatus::active);
    }
  }
  for (auto& w : workers) {
    for (auto& [id, row] : w->table) {
      if (row.present() && now_ - w->heard[id] > kReaper) {
        row.status = RowStatus::disconnected;
        row.code = 4;
        w->gone_s[id] = w->clock.wall_s();
        say(w->name, "the reaper takes agent " + std::to_string(static_cast<std::uint32_t>(id)));
      }
    }
  }
}

void World::chaos() {
  for (auto& p : workers) {
    WorkerNode& w = *p;
    if (calm()) {
      w.link_up = true;
      w.source_blind = false;
      if (!w.driver) start_sidecar(w);
      continue;
    }
    if (w.link_up && one_in(0.0006)) {
      say(w.name, "link breaks");
      w.link_up = false;
      if (w.connection) cut(w.connection);
    } else if (!w.link_up && one_in(0.01)) {
      w.link_up = true;
    }
    if (w.driver && one_in(0.0004)) {
      const bool machine = one_in(0.25);
      say(w.name, machine ? "machine reboots" : "sidecar crashes");
      stop_sidecar(w);
      if (machine) w.clock.reboot();
      if (one_in(0.15)) {
        say(w.name, "and loses its disk");
        w.disk.restore({});
        w.backup.reset();
      } else if (w.backup && one_in(0.3)) {
        say(w.name, "and gets an older disk");
        w.disk.restore(*w.backup);
      }
    } else if (!w.driver && one_in(0.03)) {
      start_sidecar(w);
    }
    if (one_in(0.0008)) w.backup = w.disk.copy();
    if (!exact_ && one_in(0.0001)) {
      const std::int64_t by = chance(-7200 * kSecond, 7200 * kSecond);
      say(w.name, "wall clock steps by " + std::to_string(by / kSecond) + " s");
      w.clock.step(by);
    }
    if (!w.source_blind && one_in(0.0003)) {
      say(w.name, "the source is blind");
      w.source_blind = true;
    } else if (w.source_blind && one_in(0.01)) {
      w.source_blind = false;
      ++w.source_connection;
      w.plan.connected();
    }
    if (one_in(0.0001)) {
      say(w.name, "remoted restarts");
      for (auto& [id, row] : w.table) {
        if (!row.present()) continue;
        row.status = RowStatus::disconnected;
        row.code = 5;
        w.gone_s[id] = w.clock.wall_s();
      }
      for (Agent& a : agents_) {
        if (a.place == w.index) a.next_contact = now_ + chance(200 * kMs, 3 * kSecond);
      }
    }
  }
  MasterNode& m = *master;
  if (calm()) {
    if (!m.driver) start_master("");
    return;
  }
  if (m.driver && one_in(0.0003)) {
    stop_master();
    m.log.crash(one_in(0.1) ? persist::MemoryEventLog::Tail::kTorn
                            : persist::MemoryEventLog::Tail::kClean);
    if (one_in(0.3)) m.clock.reboot();
    if (!exact_ && one_in(0.3)) m.clock.step(chance(-7200 * kSecond, 7200 * kSecond));
    if (one_in(0.1)) {
      say("master", "crashes and loses its log");
      m.log.restore({});
      m.backup.reset();
    } else if (m.backup && one_in(0.2)) {
      say("master", "crashes and gets an older log");
      m.log.restore(*m.backup);
    } else {
      say("master", "crashes");
    }
  } else if (!m.driver && one_in(0.03)) {
    start_master("");
  }
  if (one_in(0.0008)) m.backup = m.log.copy();
  if (!exact_ && one_in(0.0001)) m.clock.step(chance(-7200 * kSecond, 7200 * kSecond));
}

void World::ticks() {
  for (auto& w : workers) {
    if (w->driver) w->driver->tick();
  }
  if (master->driver) master->driver->tick();
}

Result World::run() {
  start_master("");
  for (auto& w : workers) start_sidecar(*w);
  const std::int64_t end = options_.chaos_us + options_.quiet_us;
  for (auto& w : workers) {
    const std::int64_t phase = chance(0, 19) * 50 * kMs;
    for (std::int64_t t = phase; t < end; t += kLook) at(t, [this, &w] { look(*w); });
  }
  for (std::int64_t t = 0; t < end; t += 50 * kMs) {
    at(t, [this, t] {
      live();
      chaos();
      if (t % (250 * kMs) == 0) ticks();
    });
  }
  while (!queue_.empty()) {
    Item item = queue_.top();
    if (item.when >= end) break;
    queue_.pop();
    now_ = item.when;
    item.what();
  }
  now_ = end;

  for (const Agent& a : agents_) {
    AgentResult r;
    r.agent = static_cast<std::uint32_t>(a.id);
    r.truth = a.place >= 0 ? workers[static_cast<std::size_t>(a.place)]->name : "";
    r.undecidable = a.cloned ? Undecidable::cloned : Undecidable::no;
    r.last_writer = last_writer_[a.id];
    if (master->driver) {
      const AgentRecord* record = master->driver->core().state().find(a.id);
      if (record && record->is_open()) r.master = record->top.node;
      if (a.place >= 0 && !a.cloned && r.right()) {
        const AgentInfo& info = workers[static_cast<std::size_t>(a.place)]->infos[a.id];
        if (!record->info || *record->info != info)
          result_.broken.push_back("agent " + std::to_string(r.agent) +
                                   ": the master has other info");
      }
    }
    result_.agents.push_back(std::move(r));
  }
  if (!master->driver) {
    result_.broken.push_back("no master at the end");
    return result_;
  }
  // The table in memory is the fold of the log, byte for byte.
  master->log.sync();
  auto fold = app::fold_log(master->log, master->log.recover());
  if (!fold || fold->encode() != master->driver->core().state().encode())
    result_.broken.push_back("the log's fold is not the table");
  for (const auto& w : workers) {
    if (!w->driver) continue;
    const auto& core = w->driver->core();
    if (core.tracker().open_sessions() != core.tracker().count_open())
      result_.broken.push_back(w->name + ": open sessions are miscounted");
    if (core.status(w->clock.now()).unacked > 50)
      result_.broken.push_back(w->name + ": a backlog after the quiet time");
  }
  const std::uint64_t minutes = static_cast<std::uint64_t>(end / (60 * kSecond)) + 1;
  if (result_.events > 150 * minutes * agents_.size())
    result_.broken.push_back("a hot loop of events");
  return result_;
}

}  // namespace

bool Result::undecidable() const {
  return std::ranges::any_of(agents,
                             [](const auto& a) { return a.undecidable != Undecidable::no; });
}
bool Result::failed() const {
  return !broken.empty() || std::ranges::any_of(agents, [](const auto& a) {
    return a.undecidable == Undecidable::no && !a.right();
  });
}
bool Result::last_writer_failed() const {
  return std::ranges::any_of(agents, [](const auto& a) {
    return a.undecidable == Undecidable::no && a.truth != a.last_writer;
  });
}

Result run(std::uint64_t seed, const Options& options) {
  return World(seed, options).run();
}

}  // namespace rollcall::simulation
