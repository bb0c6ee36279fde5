#pragma once
// The master's pages over the real core and driver; only disk and links are exchanged.
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "inspect/pages.h"
#include "persist/memory_event_log.h"
#include "tests/unit/app/fixture.h"
#include "tests/unit/inspect/pages_fixture.h"

namespace rollcall::inspect {

using app::at;
using app::frame;
using app::kSecond;

inline Event event(std::uint32_t agent, EventKind kind, std::int64_t epoch_s, std::uint32_t change,
                   std::int64_t lo_s) {
  Event e;
  e.agent = AgentId{agent};
  e.kind = kind;
  e.epoch = epoch_at({at(epoch_s)});
  e.change = change;
  e.evidence = {{at(lo_s)}, {at(lo_s + 1)}};
  return e;
}
inline Event opened(std::uint32_t agent, std::int64_t s, const AgentInfo& info = {}) {
  Event e = event(agent, EventKind::opened, s, 0, s);
  if (!info.empty()) {
    e.info_hash = hash_of(info);
    e.info = std::make_shared<const AgentInfo>(info);
  }
  return e;
}
inline Event closed(std::uint32_t agent, std::int64_t epoch_s, std::int64_t s) {
  Event e = event(agent, EventKind::closed, epoch_s, 1, s);
  e.reason = Reason::shutdown;
  return e;
}

class MasterPages : public PagesTest,
                    public app::MasterDriver::Log,
                    public app::MasterDriver::Links {
 protected:
  void SetUp() override {
    add_master_pages(server_, on_loop(),
                     {driver_, clock_, "1.2.3", [] { return net::TlsListener::Counters{}; }});
    add_feed_pages(server_, on_loop(),
                   {driver_, clock_, "1.2.3", [] { return net::TlsListener::Counters{}; }});
    ASSERT_TRUE(server_.start());
  }

  void append(std::vector<std::string> records, Snapshot, Done done) override {
    if (auto result = disk_.append(records); !result || hold_disk_) {
      if (!hold_disk_) done(std::move(result));
      return;
    }
    done_.push_back(std::move(done));
  }
  void send(master::ConnId, std::string) override {}
  void close(master::ConnId, const std::string&) override {}
  void pause_reading(bool) override {}

  void disk_turn() {
    while (!done_.empty()) {
      auto done = std::move(done_.back());
      done_.pop_back();
      done({});
    }
    server_.news(driver_.core().feed().last());
  }
  void begin() {
    const std::lock_guard loop(loop_);
    driver_.start();
    disk_turn();
  }
  void connect(std::uint64_t conn, const NodeName& node) {
    const std::lock_guard loop(loop_);
    driver_.link_accepted(master::ConnId{conn}, {node}, "10.0.0.1:5");
    driver_.link_received(master::ConnId{conn}, frame(app::hello(node, conn)));
    disk_turn();
  }
  void disconnect(std::uint64_t conn) {
    const std::lock_guard loop(loop_);
    driver_.link_closed(master::ConnId{conn});
    disk_turn();
  }
  void say(std::uint64_t conn, std::int64_t s, std::vector<Event> events) {
    const std::lock_guard loop(loop_);
    clock_.s = s;
    Delta d;
    d.first_seq = seq_[conn] + 1;
    d.events = std::move(events);
    seq_[conn] += d.events.size();
    driver_.link_received(master::ConnId{conn}, frame(d));
    disk_turn();
  }
  // Agents 1 to 6: w1 has 1 (web-1), 2 (web-2), 3 (db-1, stopped); w2 has 4 (web-10), 5 without a
  // name; of 6 only a contact is known.
  void tell() {
    begin();
    connect(1, "w1");
    connect(2, "w2");
    say(1, 20,
        {opened(1, 10, {{"name", "web-1"}, {"os_name", "Ubuntu"}, {"label.room", "12"}}),
         opened(2, 11, {{"name", "web-2"}}), opened(3, 12, {{"name", "db-1"}}), closed(3, 12, 15)});
    say(2, 21,
        {opened(4, 10, {{"name", "web-10"}}), opened(5, 11),
         event(6, EventKind::contact, 9, 0, 9)});
    disconnect(2);
  }

  app::HandClock clock_;
  persist::MemoryEventLog disk_;
  bool hold_disk_ = false;
  std::vector<Done> done_;
  std::map<std::uint64_t, std::uint64_t> seq_;
  app::MasterDriver driver_{app::first_master(), {}, master::State{}, "", 1, clock_, *this, *this,
                            [](const Note&) {}};
};

}  // namespace rollcall::inspect
