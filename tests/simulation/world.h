#pragma once
// The simulated cluster (simulator.h): machines with their clocks and disks, the links between
// them, the agents that move, and one queue of what happens when. One thread.
//
// A sidecar or master that halts gets nothing until it goes on; a process that died leaves its
// `life` behind, so that nothing reaches the next one that was meant for it.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/master_driver.h"
#include "app/sidecar_driver.h"
#include "persist/memory_event_log.h"
#include "persist/memory_session_store.h"
#include "sidecar/source/look_plan.h"
#include "tests/simulation/simulator.h"
#include "tests/support/agenda.h"

namespace rollcall::simulation {

inline constexpr std::int64_t kMs = 1'000, kSecond = 1'000'000;
inline constexpr std::int64_t kKeepalive = 10 * kSecond;
inline constexpr std::int64_t kReaper =
    140 * kSecond;  // longer than the quiet time: it comes to no help
inline constexpr std::int64_t kLook = kSecond;
inline constexpr std::int64_t kScan = 10 * kSecond;
inline constexpr std::int64_t kTimeout = 40 * kSecond;  // of silence, on a worker
inline constexpr std::int64_t kHeartbeat = 5 * kSecond;
inline constexpr std::int64_t kTtl = 15 * kSecond;
inline constexpr std::int64_t kGrace = 20 * kSecond;
inline constexpr std::int64_t kInventory = 60 * kSecond;
inline constexpr std::int64_t kInventoryDiffers = 20 * kSecond;
inline constexpr std::int64_t kEpochOfTime = 1'700'000'000 * kSecond;

class World;

// A machine's clocks. Real time is the world's; the wall clock is off and steps, the monotonic one
// stands still while the machine is suspended.
class MachineClock final : public app::Clock {
 public:
  explicit MachineClock(const World& world) : world_(world) {}
  Now now() override;
  std::string boot_id() override { return std::to_string(boot_); }
  std::uint64_t boot() const { return boot_; }
  void reboot();
  void step(std::int64_t by) { skew_ += by; }
  void suspend(std::int64_t for_us) { slept_ += for_us; }
  std::int64_t wall_s() { return now().wall_us / kSecond; }

 private:
  const World& world_;
  std::int64_t skew_ = 0, slept_ = 0;
  std::int64_t booted_at_ = -1000 * kSecond;
  std::uint64_t boot_ = 1;
};

struct WorkerNode;

struct Connection {
  std::uint64_t id = 0;
  WorkerNode* worker = nullptr;
  NodeName node;                               // as it was called when it connected
  bool carries = true;                         // what is under way arrives
  bool sidecar_end = true, master_end = true;  // has not been told that it is over
  bool lost_up = false, lost_down = false;     // nothing arrives any more, and nobody is told
  bool closing = false;                        // the master hears nothing more of it
  std::int64_t up_at = 0, down_at = 0;         // FIFO in each direction
  std::uint64_t sidecar_life = 0, master_life = 0;
};

// An agent in a worker's table, as wazuh-db has it; it survives everything here.
struct TableEntry {
  sidecar::Row row;
  std::int64_t gone_s = 0;      // its column disconnection_time
  std::int64_t heard = 0;       // real time of the last contact, for the reaper
  std::int64_t here_since = 0;  // real time since which the row says that the agent is here
  AgentInfo info;
};
using Table = std::map<AgentId, TableEntry>;

struct WorkerNode final : app::SidecarDriver::Store,
                          app::SidecarDriver::Link,
                          app::SidecarDriver::Source,
                          app::SidecarDriver::AgentMessages {
  WorkerNode(World& w, std::string n) : world(w), name(std::move(n)), machine(name), clock(w) {}
  void commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) override;
  void connect() override;
  void send(std::string bytes) override;
  void close(const std::string& reason) override;
  void read_info(const std::vector<AgentId>& agents) override;
  void force_reconnect(AgentId agent) override;

  World& world;
  std::string name, machine;
  MachineClock clock;
  Table table;
  persist::MemorySessionStore disk;
  std::uint64_t durable_position = 0;  // of the last event that the disk keeps
  std::optional<persist::StoreContents> backup;
  std::optional<Table> table_backup;
  bool table_went_back = false;
  std::unique_ptr<app::SidecarDriver> driver;
  std::uint64_t life = 0;  // counts processes: what belongs to a dead one is dropped
  std::int64_t started = 0;
  std::int64_t halted_until = 0;
  std::int64_t suspended_until = 0;  // the whole machine: its agents are not heard either
  std::shared_ptr<Connection> connection;
  std::uint32_t protocol_max = 1;
  bool link_up = true;
  std::int64_t slow_up = 0, slow_down = 0;  // added to each message: the clock's estimate is off
  bool source_blind = false;
  bool stays_down = false;         // a clone that was switched off
  bool drained = false;            // by an operator, who will end it
  bool stopping = false;           // on purpose
  std::int64_t manager_until = 0;  // Wazuh's manager does not run until then
  MasterTime away_until;           // it said that it stops, and the master heard it
  std::int64_t away_end = 0;       // then, in real time
  std::uint64_t source_connection = 1;
  sidecar::LookPlan plan{std::chrono::microseconds(kScan)};  // of the process
  // When the newest of its messages reached the master's machine, and when its lease expired.
  std::int64_t arrived = -1, expired = -1;
  // What its present stream said, for what must hold of it.
  struct Said {
    AgentId agent{};
    Version version;
  };
  StreamId stream{};
  std::map<std::uint64_t, Said> said;  // by seq
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
  master::State durable;           // the fold of what was said to be durable,
  std::uint64_t durable_next = 0;  // and the log's first index after it
  int commits = 0;                 // under way; of this process
  std::optional<persist::MemoryEventLog::Disk> backup;
  std::unique_ptr<app::MasterDriver> driver;
  std::uint64_t life = 0;
  std::int64_t halted_until = 0;
  std::map<master::ConnId, std::shared_ptr<Connection>> connections;
  std::uint64_t decisions_read = 0;
  std::uint32_t protocol_max = 1;
};

struct Agent {
  AgentId id{};
  WorkerNode* place = nullptr;  // null: nowhere
  std::int64_t since = 0;
  bool silent = false;      // left the last place without goodbye
  std::uint64_t visit = 0;  // counts stays and restarts of remoted: older contacts do not come
  int version = -1;         // of its info
  AgentInfo info;
  bool cloned = false;
  WorkerNode* clone_place = nullptr;
};

// What must hold of the master on the way: fed with every decision and ACK.
class Promises {
 public:
  explicit Promises(World& world) : world_(world) {}
  void decided(const master::Decision& d);
  void acked(const Connection& c, const Ack& ack);
  void greeted(WorkerNode& w, const Hello& hello);
  void sent(WorkerNode& w, const Delta& delta);
  void message(const WorkerNode& w);
  // Of the table as it is: now and then, at each start of the master, and at the end.
  void table(const master::State& state);
  void master_started(const master::State& state);
  void queues();
  void heard(WorkerNode& w, std::int64_t came);
  // An operator takes back what this worker offered: Wazuh's row decides again, whatever it says.
  void undrained(const WorkerNode& w);
  // What the master's feed has come to.
  void feed();
  void feed_again();  // after a restart
  void feed_end();
  void master_ticked();
  // The master lost some of what it knew: from here on nothing of before holds it to anything.
  void master_lost();

 private:
  struct Known {
    Version top;
    Phase phase = Phase::closed;
    bool info = false;
    bool removed = false;
    std::set<NodeName> refused_for_time;  // workers whose newest event it was
    Version acked;
    Version offered;  // by this, until then
    MasterTime offered_until;
    std::map<NodeName, Version>
        taken_back;  // by whom: a session whose offer ended while it was open
  };
  // What a reader of the feed knows of an agent.
  struct Told {
    std::uint64_t agent_seq = 0;
    master::Standing standing{"", {}, master::AgentStatus::disconnected};
  };
  void told(const master::FeedEntry& e);
  void read_feed_anew();
  void repaired(const master::Decision& d, Known& known);
  void leases();
  void shown();
  void away();
  static bool holds(const WorkerNode& w, const Event& e);

  World& world_;
  std::map<AgentId, Known> known_;
  MasterTime last_offer_until_;  // of all that were ever seen: later there is none to look for
  std::map<AgentId, Told> told_;
  std::map<std::uint64_t, master::FeedEntry> feed_;  // what the present master told, by seq
  std::uint64_t feed_read_ = 0;
  bool feed_lost_ = false;      // the master may have forgotten some of it
  std::uint64_t breaches_ = 0;  // of the protocol, that the present master counted
  std::map<const WorkerNode*, std::pair<std::int64_t, std::uint64_t>> messages_;  // in a minute
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
  std::int64_t about(std::int64_t mean_us) {  // memoryless
    return static_cast<std::int64_t>(
        std::exponential_distribution<>(1.0 / static_cast<double>(mean_us))(random_));
  }
  template <typename What>
  void at(std::int64_t when, What&& what) {
    agenda_.add(std::max(when, now_), std::forward<What>(what));
  }
  template <typename What>
  void after(std::int64_t wait, What&& what) {
    at(now_ + wait, std::forward<What>(what));
  }
  // For the process that the node runs now, as soon as it is not halted.
  template <typename Node, typename What>
  void at_process(Node& n, std::int64_t when, What what) {
    at(when, [this, &n, was = n.life, what = std::move(what)]() mutable {
      if (n.life != was || !n.driver) return;
      if (n.halted_until > now_) return at_process(n, n.halted_until, std::move(what));
      what();
    });
  }
  bool telling() const { return options_.transcript; }
  void say(const std::string& who, const std::string& what);
  bool calm() const { return now_ >= options_.chaos_us; }
  std::size_t agents() const { return agents_.size(); }
  void broken(std::string promise);
  Result& result() { return result_; }
  Promises& promises() { return promises_; }

  // links.cc
  enum class By { network, sidecar, master };
  std::int64_t message_delay();
  void cut(const std::shared_ptr<Connection>& c, By by);
  // processes.cc
  void start_sidecar(WorkerNode& w);
  enum class End { process, power };  // after a power cut nobody tells the other end
  void stop_sidecar(WorkerNode& w, End end);
  void start_master(const std::string& lost);
  void stop_master(End end);
  template <typename Node>
  void tick_always(Node& n, std::int64_t every);
  void read_decisions();
  // Whether the master hears this machine, and not a clone of it.
  bool is_connected(const WorkerNode& w) const {
    return w.driver && w.connection && w.connection->master_end && !w.connection->closing &&
           w.driver->core().link() == sidecar::SidecarCore::Link::streaming;
  }
  // Whether the agent was there, and its row said so, when the present process of its sidecar
  // began. A manager that restarts writes into the row that it is not.
  bool is_there_since_before(AgentId agent, const WorkerNode& w) const {
    const auto entry = w.table.find(agent);
    if (entry == w.table.end() || !entry->second.row.present() || w.table_went_back) return false;
    return std::ranges::any_of(agents_, [&](const Agent& a) {
      return a.id == agent && a.place == &w &&
             std::max(a.since, entry->second.here_since) < w.started;
    });
  }
  void asked_to_move(WorkerNode& w, AgentId agent);  // handoffs.cc
  WorkerNode& any_worker() {
    return *workers[static_cast<std::size_t>(
        chance(0, static_cast<std::int64_t>(workers.size()) - 1))];
  }

  std::vector<std::unique_ptr<WorkerNode>> workers;
  std::vector<std::unique_ptr<WorkerNode>> clones;  // of workers: not for agents
  std::unique_ptr<MasterNode> master;
  std::uint64_t last_connection = 0;
  // Whether anybody lost state that was durable: else there is nothing to repair.
  bool sidecar_lost = false, master_lost = false;

 private:
  // life.cc: agents and what workers see of them
  void look_always(WorkerNode& w);
  void look(WorkerNode& w);
  void reap(WorkerNode& w);
  void move_always(Agent& a);
  void move(Agent& a);
  void renew_info(Agent& a);
  void arrive(Agent& a, WorkerNode& w);
  void leave(Agent& a, bool goodbye);
  void contact(Agent& a, WorkerNode& w, sidecar::RowStatus status);
  void contact_at(Agent& a, std::int64_t when);
  void remove(Agent& a);
  void come_back(Agent& a);
  void end_contest(Agent& a);

  // handoffs.cc
  void handoff_faults(WorkerNode& w);
  void drain(WorkerNode& w);
  void undrain(WorkerNode& w);
  void stop_manager(WorkerNode& w);
  void stop_on_purpose(WorkerNode& w);
  void end_handoffs();
  void check_handoffs();
  void check_migrations();

  // faults.cc
  void faults();
  enum class Loses { nothing, state };
  void strike(std::int64_t mean_s, Loses loses, std::function<void()> what);
  void again(std::int64_t mean_us, std::function<void()> what);
  void worker_faults(WorkerNode& w);
  void master_faults();
  void calm_down();
  void link_faults(WorkerNode& w);
  void source_faults(WorkerNode& w);
  void break_link(WorkerNode& w);
  void lose_a_way(WorkerNode& w);
  void slow_a_way(WorkerNode& w);
  void kill(WorkerNode& w, End end);
  void start_later(WorkerNode& w);
  void clone(WorkerNode& w);
  void blind(WorkerNode& w);
  void restart_remoted(WorkerNode& w);
  void restore_table(WorkerNode& w);
  void suspend(WorkerNode& w);
  void kill_master();
  void operate();
  void forget_a_node();
  std::int64_t clock_step();
  std::int64_t spell(std::int64_t mean_us);
  // Not if it is halted already: what waits for its end stays in its order.
  template <typename Node>
  bool halt(Node& n, std::int64_t for_us) {
    if (n.halted_until >= now_) return false;
    n.halted_until = now_ + for_us + 1;  // off every round number, for the same reason
    return true;
  }

  // checks.cc
  void watch_always();
  void check_end();
  void check_fold();
  void check_agents();
  void check_workers();
  void check_agreement(WorkerNode& w);

  Options options_;
  std::mt19937_64 random_;
  std::int64_t now_ = 0;
  testing::Agenda agenda_;
  std::vector<Agent> agents_;
  std::map<AgentId, std::string> last_writer_;
  Result result_;
  Promises promises_{*this};
  bool exact_;  // clocks and delays without noise: epochs of two workers may be equal
  bool lossy_;  // disks may lose what was durable, or be exchanged
};

inline std::string text_of(AgentId agent) {
  return std::to_string(static_cast<std::uint32_t>(agent));
}

}  // namespace rollcall::simulation
