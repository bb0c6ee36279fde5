// What befalls the machines. Each seed draws which kinds of faults it has, so that they meet in
// every combination and now and then not at all.
#include "tests/simulation/world.h"

namespace rollcall::simulation {

void World::again(std::int64_t mean_us, std::function<void()> what) {
  after(about(mean_us), [this, mean_us, what = std::move(what)] {
    if (calm()) return;
    what();
    again(mean_us, what);
  });
}

// A kind of fault, every `mean_s` if this seed has it.
void World::strike(std::int64_t mean_s, Loses loses, std::function<void()> what) {
  const bool has = one_in(0.6);
  if (has && (loses == Loses::nothing || lossy_)) again(mean_s * kSecond, std::move(what));
}

void World::faults() {
  for (auto& w : workers) worker_faults(*w);
  master_faults();
  strike(100, Loses::nothing, [this] {
    remove(agents_[static_cast<std::size_t>(
        chance(0, static_cast<std::int64_t>(agents_.size()) - 1))]);
  });
  at(options_.chaos_us, [this] { calm_down(); });
}

void World::worker_faults(WorkerNode& w) {
  link_faults(w);
  source_faults(w);
  handoff_faults(w);
  strike(125, Loses::nothing, [this, &w] { kill(w, End::process); });
  strike(300, Loses::nothing, [this, &w] { kill(w, End::power); });
  strike(200, Loses::state, [this, &w] {
    say(w.name, "loses its store");
    kill(w, End::process);
    w.disk.restore({});
    w.backup.reset();
    sidecar_lost = true;
  });
  again(60 * kSecond, [&w] { w.backup = w.disk.copy(); });
  strike(150, Loses::state, [this, &w] {
    if (!w.backup) return;
    say(w.name, "gets an older copy of its store");
    kill(w, End::process);
    w.disk.restore(*w.backup);
    sidecar_lost = true;
  });
  strike(400, Loses::state, [this, &w] {
    WorkerNode& other = any_worker();
    if (&other == &w) return;
    say(w.name, "gets the store of " + other.name);
    kill(w, End::process);
    w.disk.restore(other.disk.copy());
    sidecar_lost = true;
  });
  strike(500, Loses::state, [this, &w] {
    say(w.name, "is renamed to " + w.name + "r");
    kill(w, End::process);
    w.name += "r";
    sidecar_lost = true;
  });
  strike(400, Loses::state, [this, &w] { clone(w); });
  strike(200, Loses::nothing, [this, &w] {
    say(w.name, "the disk is full");
    w.disk.set_full(true);
    after(about(8 * kSecond), [&w] { w.disk.set_full(false); });
  });
  strike(200, Loses::nothing, [this, &w] {
    const auto halted = spell(10 * kSecond);
    say(w.name, "the sidecar halts for " + std::to_string(halted / kMs) + " ms");
    halt(w, halted);
  });
  strike(300, Loses::nothing, [this, &w] { suspend(w); });
  if (exact_) return;
  strike(200, Loses::nothing, [this, &w] {
    const auto by = clock_step();
    say(w.name, "wall clock steps by " + std::to_string(by / kSecond) + " s");
    w.clock.step(by);
  });
}

void World::link_faults(WorkerNode& w) {
  strike(80, Loses::nothing, [this, &w] { break_link(w); });
  strike(150, Loses::nothing, [this, &w] { lose_a_way(w); });
  strike(150, Loses::nothing, [this, &w] {
    if (!w.connection) return;
    say(w.name, "the link stalls");
    const auto until = now_ + spell(8 * kSecond);
    std::int64_t& way = one_in(0.5) ? w.connection->up_at : w.connection->down_at;
    way = std::max(way, until);
  });
  if (!exact_) strike(200, Loses::nothing, [this, &w] { slow_a_way(w); });
}

void World::source_faults(WorkerNode& w) {
  strike(150, Loses::nothing, [this, &w] { blind(w); });
  strike(400, Loses::nothing, [this, &w] { restart_remoted(w); });
  again(60 * kSecond, [&w] { w.table_backup = w.table; });
  strike(400, Loses::nothing, [this, &w] { restore_table(w); });
}

// Of about this length; long ones end before the quiet time does.
std::int64_t World::spell(std::int64_t mean_us) {
  return std::min(about(mean_us), 30 * kSecond);
}

// From a second to ten years.
std::int64_t World::clock_step() {
  constexpr std::int64_t kHour = 3600 * kSecond;
  const std::int64_t most[] = {3 * kSecond, 2 * kHour, 24 * kHour, 87'600 * kHour};
  const std::int64_t m = most[chance(0, 3)];
  return chance(-m, m);
}

// ---- the link --------------------------------------------------------------------------------

void World::break_link(WorkerNode& w) {
  if (!w.link_up) return;
  say(w.name, "link breaks");
  w.link_up = false;
  if (w.connection) cut(w.connection, By::network);
  after(about(5 * kSecond), [&w] { w.link_up = true; });
}

// Half open, or wholly: no end is told, and only silence can show it.
void World::lose_a_way(WorkerNode& w) {
  if (!w.connection) return;
  const auto ways = chance(1, 3);
  say(w.name, ways == 1   ? "link loses the way up"
              : ways == 2 ? "link loses the way down"
                          : "link loses both ways");
  if (ways & 1) w.connection->lost_up = true;
  if (ways & 2) w.connection->lost_down = true;
}

// The estimate of the master's time is off by half the difference.
void World::slow_a_way(WorkerNode& w) {
  say(w.name, "one way is slow");
  (one_in(0.5) ? w.slow_up : w.slow_down) = chance(0, 6 * kSecond);
  after(about(30 * kSecond), [&w] { w.slow_up = w.slow_down = 0; });
}

// ---- a worker --------------------------------------------------------------------------------

void World::kill(WorkerNode& w, End end) {
  if (w.driver) {
    say(w.name, end == End::power ? "machine reboots" : "sidecar crashes");
    stop_sidecar(w, end);
    start_later(w);
  }
  if (end == End::power) w.clock.reboot();
}

void World::start_later(WorkerNode& w) {
  after(about(2 * kSecond), [this, &w] {
    if (!w.driver && !w.stays_down) start_sidecar(w);
  });
}

// One machine is there twice for a while: the same name, the same store, and a table that no agent
// writes to.
void World::clone(WorkerNode& w) {
  if (!clones.empty()) return;
  say(w.name, "is cloned");
  sidecar_lost = true;
  clones.push_back(std::make_unique<WorkerNode>(*this, w.name));
  WorkerNode& c = *clones.back();
  if (one_in(0.5)) c.machine += "-clone";
  c.table = w.table;
  c.disk.restore(w.disk.copy());
  start_sidecar(c);
  look_always(c);
  after(about(30 * kSecond), [this, &c] {
    say(c.name, "the clone ends");
    c.stays_down = true;
    if (c.driver) stop_sidecar(c, End::process);
  });
}

void World::suspend(WorkerNode& w) {
  const auto for_us = spell(15 * kSecond);
  say(w.name, "machine is suspended for " + std::to_string(for_us / kMs) + " ms");
  if (!halt(w, for_us)) return;
  w.clock.suspend(for_us);
  w.suspended_until = w.halted_until;
}

void World::blind(WorkerNode& w) {
  if (w.source_blind) return;
  say(w.name, "the source is blind");
  w.source_blind = true;
  after(about(5 * kSecond), [&w] {
    w.source_blind = false;
    ++w.source_connection;
    w.plan.connected();
  });
}

void World::restart_remoted(WorkerNode& w) {
  say(w.name, "remoted restarts");
  for (auto& [id, entry] : w.table) {
    if (!entry.row.present()) continue;
    entry.row.status = sidecar::RowStatus::disconnected;
    entry.row.code = 5;
    entry.gone_s = w.clock.wall_s();
  }
  for (Agent& a : agents_) {
    if (a.place == &w) contact_at(a, now_ + chance(200 * kMs, 3 * kSecond));
  }
}

// What agents say after that is in it again.
void World::restore_table(WorkerNode& w) {
  if (!w.table_backup) return;
  say(w.name, "Wazuh's table is restored from a copy");
  w.table = *w.table_backup;
  w.table_went_back = true;
  ++w.source_connection;
  w.plan.connected();
}

// ---- the master ------------------------------------------------------------------------------

void World::master_faults() {
  MasterNode& m = *master;
  strike(150, Loses::nothing, [this] { kill_master(); });
  strike(400, Loses::nothing, [this] {
    kill_master();
    master->clock.reboot();
  });
  strike(300, Loses::nothing, [this, &m] {
    if (!m.driver) return;
    kill_master();
    m.log.crash(persist::MemoryEventLog::Tail::kTorn);
  });
  strike(400, Loses::state, [this, &m] {
    kill_master();
    say("master", "loses its log");
    m.log.restore({});
    m.backup.reset();
    master_lost = true;
    promises_.master_lost();
  });
  again(60 * kSecond, [&m] { m.backup = m.log.copy(); });
  strike(300, Loses::state, [this, &m] {
    if (!m.backup) return;
    kill_master();
    say("master", "gets an older copy of its log");
    m.log.restore(*m.backup);
    master_lost = true;
    promises_.master_lost();
  });
  strike(200, Loses::nothing, [this, &m] {
    say("master", "the disk is full");
    m.log.set_full(true);
    after(about(8 * kSecond), [&m] { m.log.set_full(false); });
  });
  strike(200, Loses::nothing, [this, &m] {
    const auto halted = spell(15 * kSecond);
    say("master", "halts for " + std::to_string(halted / kMs) + " ms");
    const bool suspended = one_in(0.3);
    if (halt(m, halted) && suspended) m.clock.suspend(halted);
  });
  strike(60, Loses::nothing, [this] { operate(); });
  strike(150, Loses::state, [this] { forget_a_node(); });
  if (exact_) return;
  strike(200, Loses::nothing, [this, &m] {
    const auto by = clock_step();
    say("master", "wall clock steps by " + std::to_string(by / kSecond) + " s");
    m.clock.step(by);
  });
}

// What an operator may say, sensible or not.
void World::operate() {
  if (!master->driver || master->halted_until > now_) return;
  std::optional<NodeName> node;
  if (one_in(0.5)) node = any_worker().name;
  const auto what = chance(0, 2);
  const auto length = chance(kSecond, 30 * kSecond);
  say("master", what == 0   ? "an operator confirms what is held"
                : what == 1 ? "an operator freezes expiry"
                            : "an operator ends a freeze");
  master->driver->change(
      [&](master::MasterCore& core, const Now& now) -> std::expected<master::Output, Error> {
        if (what == 0) return core.confirm_expiry(now);
        return what == 1 ? core.freeze(node, length, now) : core.unfreeze(node, now);
      },
      [](std::expected<void, Error>) {});
}

// A worker that may come back all the same.
void World::forget_a_node() {
  if (!master->driver || master->halted_until > now_) return;
  std::vector<NodeName> names;
  for (const auto& [name, node] : master->driver->core().state().nodes()) {
    if (node.lease.status != master::LeaseStatus::valid) names.push_back(name);
  }
  if (names.empty()) return;
  const NodeName name =
      names[static_cast<std::size_t>(chance(0, static_cast<std::int64_t>(names.size()) - 1))];
  say("master", "an operator has " + name + " forgotten");
  master_lost = true;
  master->driver->change(
      [&](master::MasterCore& core, const Now& now) { return core.forget_node(name, now); },
      [](std::expected<void, Error>) {});
}

void World::kill_master() {
  if (!master->driver) return;
  say("master", "crashes");
  stop_master(one_in(0.8) ? End::process : End::power);
  master->log.crash();
  after(one_in(0.2) ? spell(20 * kSecond) : about(2 * kSecond), [this] {
    if (!master->driver) start_master("");
  });
}

// ---- the end of it ---------------------------------------------------------------------------

void World::calm_down() {
  end_handoffs();
  for (auto& w : workers) {
    w->link_up = true;
    w->slow_up = w->slow_down = 0;
    w->disk.set_full(false);
    if (w->source_blind) {
      w->source_blind = false;
      ++w->source_connection;
      w->plan.connected();
    }
    if (!w->driver) start_sidecar(*w);
  }
  for (auto& c : clones) {
    c->stays_down = true;
    if (c->driver) stop_sidecar(*c, End::process);
  }
  master->log.set_full(false);
  if (!master->driver) start_master("");
  for (Agent& a : agents_) {
    come_back(a);
    end_contest(a);
  }
}

}  // namespace rollcall::simulation
