#pragma once
// A master and its workers as the real drivers run them, on a virtual clock, with disks in memory
// and links that the story holds and breaks. Everything takes the same time in every run: a message
// 5 ms, a commit 2 ms, a look 10 ms. What happened is written down, one line each.
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/master_driver.h"
#include "app/sidecar_driver.h"
#include "persist/memory_event_log.h"
#include "persist/memory_session_store.h"
#include "protocol/framing.h"
#include "tests/support/agenda.h"

namespace rollcall::scenario {

class Cluster;

// Time on a machine; its wall clock may be wrong.
class MachineClock final : public app::Clock {
 public:
  MachineClock(const Cluster& cluster, std::int64_t wrong_by_s)
      : cluster_(cluster), wrong_by_s_(wrong_by_s) {}
  Now now() override;
  std::string boot_id() override { return "1"; }

 private:
  const Cluster& cluster_;
  std::int64_t wrong_by_s_;
};

class Worker final : public app::SidecarDriver::Store,
                     public app::SidecarDriver::Link,
                     public app::SidecarDriver::Source,
                     public app::SidecarDriver::Agents {
 public:
  Worker(Cluster& cluster, NodeName name, std::uint64_t number, std::int64_t wall_is_wrong_by_s);

  // What Wazuh does to its table.
  void agent_speaks(std::uint32_t agent);  // active, heard in this second
  void agent_stops(std::uint32_t agent);   // a goodbye

  // Its agents are told of by an events source, and not looked at.
  void use_events() { events_ = true; }
  void told(std::uint32_t agent, sidecar::Observation::Kind kind);

  void agent_speaks(std::uint32_t agent, const AgentInfo& info);  // and says this of itself

  // What the network does.
  void hold_what_it_sends() { holding_up_ = true; }
  void hold_what_it_hears() { holding_down_ = true; }
  void deliver_what_was_held();
  void break_link();
  // What was not stored is lost; the source stays as it is.
  void restart();

  // What is meant to happen.
  void drain(std::int64_t grace_s);
  void manager_restarts();  // its rows say so
  void stop_on_purpose(std::int64_t back_within_s);

  void start();
  void look();
  void tick() { driver_->tick(); }
  const NodeName& name() const { return name_; }
  Now now() { return clock_.now(); }

 private:
  friend class Cluster;
  void commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) override;
  void connect() override;
  void send(std::string bytes) override;
  void close(const std::string& reason) override;
  void read_info(const std::vector<AgentId>& agents) override;
  void send(std::uint64_t number, std::string datagram,
            std::chrono::microseconds patience) override;
  void read_stored_info(const std::vector<AgentId>& agents);
  void to_master(std::string bytes);
  void from_master(std::string bytes);

  Cluster& cluster_;
  NodeName name_;
  std::uint64_t number_;
  MachineClock clock_;
  persist::MemorySessionStore disk_;
  std::map<AgentId, sidecar::Row> table_;
  std::map<AgentId, AgentInfo> infos_;  // of those that said something else of themselves
  std::unique_ptr<app::SidecarDriver> driver_;
  std::uint64_t life_ = 0;
  std::uint64_t connection_ = 0;  // 0: none
  std::uint64_t last_words_ = 0;  // a connection that is closed; what was said before arrives
  bool events_ = false;
  bool holding_up_ = false, holding_down_ = false;
  std::deque<std::string> held_up_, held_down_;
};

class Cluster final : public app::MasterDriver::Log, public app::MasterDriver::Links {
 public:
  explicit Cluster(std::int64_t length_s = 600);
  Worker& add_worker(NodeName name, std::int64_t wall_is_wrong_by_s = 0);

  void run_until(double s);
  void tell(const std::string& line);  // the story's own words
  void restart_master();
  // "7 active on w1" or "7 disconnected (shutdown), last on w2", also into the transcript.
  std::string shown(std::uint32_t agent);
  // An operator asks the master; how it ended comes into the transcript.
  void restart_agent(const std::string& id, std::uint32_t agent, int timeout_s);
  const std::string& transcript() const { return transcript_; }
  // How many messages of this name were seen, both ways.
  std::size_t seen(const std::string& name) const {
    const auto it = seen_.find(name);
    return it == seen_.end() ? 0 : it->second;
  }
  std::size_t seen() const;  // of all but the routine ones

  // For workers.
  std::int64_t now_us() const { return now_; }
  void after(std::int64_t us, std::function<void()> what);
  void write(const std::string& line);
  void message_seen(const std::string& from, const std::string& to, std::string_view bytes);
  app::MasterDriver& master() { return *driver_; }
  std::uint64_t new_connection(Worker& worker);
  static MasterTime begin();

  void start_master();

 private:
  void append(std::vector<std::string> records, Snapshot snapshot, Done done) override;
  void send(master::ConnId conn, std::string bytes) override;
  void close(master::ConnId conn, const std::string& reason) override;
  void pause_reading(bool) override {}
  void read_decisions();

  std::int64_t now_ = 0;
  testing::Agenda agenda_;
  std::string transcript_;
  std::map<std::string, std::size_t> seen_;
  MachineClock clock_;
  persist::MemoryEventLog log_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<app::MasterDriver> driver_;
  std::map<std::uint64_t, Worker*> connections_;
  std::uint64_t last_connection_ = 0;
  std::uint64_t decisions_read_ = 0;
  std::uint64_t master_life_ = 0;
};

// Expects that what happened is what NAME.txt beside this file says; with
// ROLLCALL_REWRITE_TRANSCRIPTS=1 writes it there instead.
void expect_transcript(const Cluster& cluster, const std::string& name);

}  // namespace rollcall::scenario
