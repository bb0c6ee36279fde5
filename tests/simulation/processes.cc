// Processes start, tick and die.
#include <type_traits>

#include "tests/simulation/world.h"

namespace rollcall::simulation {
namespace {

std::string line_of(const Note& n) {
  std::string line = n.text;
  for (const auto& [key, value] : n.fields) line += " " + key + "=" + value;
  return line;
}

}  // namespace

template <typename Node>
void World::tick_always(Node& n, std::int64_t every) {
  at_process(n, now_ + every, [this, &n, every] {
    n.driver->tick();
    if constexpr (std::is_same_v<Node, MasterNode>) promises_.master_ticked();
    tick_always(n, every);
  });
}

void World::start_sidecar(WorkerNode& w) {
  ++w.life;
  w.started = now_;
  w.halted_until = std::min(w.halted_until, w.suspended_until);
  w.plan = sidecar::LookPlan(std::chrono::microseconds(kScan));
  sidecar::SidecarCore::Config c;
  c.node = w.name;
  c.machine = w.machine;
  c.boot = w.clock.boot();
  c.protocol_max = w.protocol_max;
  c.lazy_commit_us = 3 * kSecond;
  c.tracker.keepalive_us = kKeepalive;
  c.tracker.agent_timeout_us = kTimeout;
  c.tracker.info_refresh_us = 15 * kSecond;
  c.tracker.manager_grace_us = 20 * kSecond;
  w.driver = std::make_unique<app::SidecarDriver>(c, random_(), w.clock, w, w, w,
                                                  [this, &w](const Note& n) {
                                                    if (telling()) say(w.name, line_of(n));
                                                  });
  w.driver->attach(w);
  auto contents = w.disk.load();
  w.durable_position = 0;
  if (contents) {
    if (const auto it = contents->meta.find("position"); it != contents->meta.end())
      w.durable_position = std::stoull(it->second);
  }
  if (!contents || !w.driver->start(*contents)) {
    broken(w.name + ": its own store is refused");
    w.driver.reset();
    return;
  }
  tick_always(w, chance(300, 1500) * kMs);
}

void World::stop_sidecar(WorkerNode& w, End end) {
  w.driver.reset();
  ++w.life;
  w.disk.crash();
  if (!w.connection) return;
  const auto c = std::exchange(w.connection, nullptr);
  c->sidecar_end = false;
  c->carries = false;
  if (end == End::power || c->lost_up || !c->master_end || master->life != c->master_life) return;
  c->master_end = false;
  at_process(*master, now_ + chance(0, 3 * kSecond), [this, c] {
    master->connections.erase(master::ConnId{c->id});
    master->driver->link_closed(master::ConnId{c->id});
  });
}

void World::start_master(const std::string& lost) {
  MasterNode& m = *master;
  ++m.life;
  m.halted_until = 0;
  const persist::LogRecovery recovery = m.log.recover();
  master::Feed feed;
  auto state = app::fold_log(m.log, recovery, nullptr, &feed);
  if (!state) {
    broken("the master refuses its own log: " + state.error().message);
    return;
  }
  promises_.master_started(*state);
  m.durable = *state;
  m.durable_next = m.log.next_index();
  master::MasterCore::Config c;
  c.heartbeat_us = kHeartbeat;
  c.ttl_us = kTtl;
  c.inventory_us = kInventory;
  c.inventory_differs_us = kInventoryDiffers;
  c.grace_us = kGrace;
  c.keep_decisions = 4096;
  c.boot = m.clock.boot();
  c.protocol_max = m.protocol_max;
  m.decisions_read = 0;
  m.commits = 0;
  m.driver = std::make_unique<app::MasterDriver>(
      c, app::MasterDriver::Options{200}, std::move(*state),
      recovery.torn_tail_dropped ? "the end of the log was torn" : lost, random_(), m.clock, m, m,
      [this](const Note& n) {
        if (telling()) say("master", line_of(n));
      });
  m.driver->remember(std::move(feed));
  promises_.feed_again();
  m.driver->start();
  tick_always(m, chance(300, 1500) * kMs);
}

void World::stop_master(End end) {
  MasterNode& m = *master;
  m.driver.reset();
  ++m.life;
  for (auto& [id, held] : m.connections) {
    const std::shared_ptr<Connection> c = held;
    c->master_end = false;
    c->carries = false;
    WorkerNode& w = *c->worker;
    if (end == End::power || c->lost_down || !c->sidecar_end || w.life != c->sidecar_life) continue;
    c->sidecar_end = false;
    at_process(w, now_ + chance(0, 2 * kSecond), [&w, c] {
      if (w.connection != c) return;
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
  const std::uint64_t unread =
      all.empty() ? 0
                  : std::min<std::uint64_t>(all.size(), all.back().number - master->decisions_read);
  for (auto it = all.end() - static_cast<std::ptrdiff_t>(unread); it != all.end(); ++it) {
    master->decisions_read = it->number;
    ++result_.events;
    const Event& e = it->event;
    if (e.kind == EventKind::opened) last_writer_[e.agent] = it->node;
    if (e.kind == EventKind::closed || e.kind == EventKind::removed) last_writer_[e.agent] = "";
    if (telling()) {
      say("decide", "agent " + text_of(e.agent) + " " + std::string(to_string(e.kind)) + " " +
                        to_string(Version{e.epoch, it->node, e.change}) + " lo " +
                        std::to_string(e.evidence.lo.us) + " hi " +
                        std::to_string(e.evidence.hi.us) + " -> " +
                        std::string(to_string(it->rule)) + ", record " + to_string(it->top) + " " +
                        std::string(to_string(it->top_phase)));
    }
    promises_.decided(*it);
  }
}

}  // namespace rollcall::simulation
