// What is meant to happen: workers are drained, managers restarted, sidecars stopped on purpose.
#include "tests/simulation/world.h"

namespace rollcall::simulation {
namespace {

constexpr std::int64_t kLongestGrace = 70 * kSecond;  // longer than a lease can stand

}  // namespace

void World::handoff_faults(WorkerNode& w) {
  strike(120, Loses::nothing, [this, &w] { drain(w); });
  strike(150, Loses::nothing, [this, &w] { stop_manager(w); });
  strike(150, Loses::nothing, [this, &w] { stop_on_purpose(w); });
}

// For a while, or until the end.
void World::drain(WorkerNode& w) {
  if (!w.driver || w.halted_until > now_) return;
  sidecar::Drain d;
  d.grace_us = chance(3 * kSecond, kLongestGrace);
  if (one_in(0.5)) d.move_per_s = static_cast<std::uint32_t>(chance(1, 3));
  say(w.name, "is drained for " + std::to_string(d.grace_us / kMs) + " ms" +
                  (d.move_per_s > 0 ? ", and its agents are asked to move" : ""));
  if (!w.driver->drain(d)) broken(w.name + ": a drain is refused");
  w.drained = true;
  if (one_in(0.7)) after(about(40 * kSecond), [this, &w] { undrain(w); });
}

void World::undrain(WorkerNode& w) {
  if (!w.drained) return;
  if (!w.driver || w.halted_until > now_) {
    after(5 * kSecond, [this, &w] { undrain(w); });
    return;
  }
  w.drained = false;
  // Its store may have been exchanged since.
  if (!w.driver->core().tracker().drain()) return;
  say(w.name, "is drained no more");
  promises_.undrained(w);
  (void)w.driver->undrain();
}

void WorkerNode::force_reconnect(AgentId agent) {
  world.asked_to_move(*this, agent);
}

// It reconnects, here or elsewhere, or is not heard of again for a while; or it never got that.
void World::asked_to_move(WorkerNode& w, AgentId agent) {
  say(w.name, "asks agent " + text_of(agent) + " to move");
  after(chance(50 * kMs, 2 * kSecond), [this, &w, agent] {
    if (calm() || one_in(0.2)) return;
    for (Agent& a : agents_) {
      if (a.id == agent && a.place == &w) move(a);
    }
  });
}

// Nobody serves its sockets meanwhile. Then all rows say that it restarted, and whoever did not
// leave connects again.
void World::stop_manager(WorkerNode& w) {
  if (w.manager_until > now_ || w.source_blind) return;
  const auto gone = spell(8 * kSecond);
  say(w.name, "the manager stops for " + std::to_string(gone / kMs) + " ms");
  w.manager_until = now_ + gone;
  at(w.manager_until, [this, &w] {
    ++w.source_connection;
    w.plan.connected();
    restart_remoted(w);
  });
}

// It comes back in time, late, or when all is over.
void World::stop_on_purpose(WorkerNode& w) {
  if (!w.driver || w.halted_until > now_ || w.stopping) return;
  const auto back_within = chance(2 * kSecond, 40 * kSecond);
  const auto away = one_in(0.4)   ? chance(kSecond, back_within)
                    : one_in(0.5) ? back_within + chance(0, 30 * kSecond)
                                  : 1'000 * kSecond;
  say(w.name, "the sidecar stops on purpose, back within " + std::to_string(back_within / kMs) +
                  " ms, comes in " + std::to_string(away / kMs) + " ms");
  w.stopping = true;
  w.driver->bye(one_in(0.5) ? ByeReason::restart : ByeReason::shutdown, back_within);
  w.driver->stop();
  // What it said is still under way.
  const std::int64_t end = w.connection ? std::max(now_, w.connection->up_at) + kMs : now_ + kMs;
  at(end, [this, &w, life = w.life, away] {
    w.stopping = false;
    if (w.life != life) return;
    stop_sidecar(w, End::process);
    after(calm() ? kSecond : away, [this, &w] {
      if (!w.driver && !w.stays_down) start_sidecar(w);
    });
  });
}

void World::end_handoffs() {
  for (auto& w : workers) {
    w->manager_until = std::min(w->manager_until, now_);
    const bool moves = w->driver && w->driver->core().tracker().drain() &&
                       w->driver->core().tracker().drain()->move_per_s > 0;
    if (moves || one_in(0.5)) undrain(*w);
  }
}

// ---- what must hold ----------------------------------------------------------------------------

void Promises::undrained(const WorkerNode& w) {
  for (const auto& [agent, state] : w.driver->core().tracker().agents()) {
    // Whom a manager that stopped left alone stays offered.
    if (state.offered() && state.handoff->left != Reason::worker_restart)
      known_[agent].taken_back[w.name] = {state.session->epoch, w.name, state.session->change};
  }
}

// Nobody is shown as disconnected while an offer of it is within its grace, unless somebody knows.
void Promises::shown() {
  master::MasterCore& core = world_.master->driver->core();
  if (!core.ready()) return;
  const master::State& state = core.state();
  const MasterTime now = core.time(world_.master->clock.now());
  for (const auto& [agent, record] : state.agents()) {
    if (!record.is_offered() && now >= last_offer_until_) continue;  // nothing to keep
    Known& known = known_[agent];
    if (!record.is_offered() && now >= known.offered_until) continue;
    const bool disconnected = state.status_of(record) == master::AgentStatus::disconnected;
    const Reason reason = state.reason_of(record);
    const bool guessed = reason == Reason::worker_restart || reason == Reason::unconfirmed ||
                         reason == Reason::no_keepalive || reason == Reason::lease_expired;
    const bool same = record.top.same_session(known.offered);
    // A master that came back with an older log may have forgotten that the offer had ended.
    const auto taken_back = known.taken_back.find(record.top.node);
    const bool ended =
        taken_back != known.taken_back.end() && record.top.same_session(taken_back->second);
    if (disconnected && guessed && same && !ended && now < known.offered_until)
      world_.broken("agent " + text_of(agent) + ": shown as disconnected (" +
                    std::string(to_string(reason)) + ") while it is offered");
    if (record.is_offered() && now < record.offered_until &&
        state.status_of(record) != master::AgentStatus::migrating)
      world_.broken("agent " + text_of(agent) + ": offered, but not shown as migrating");
    known.offered_until = record.is_offered() ? record.offered_until : MasterTime{};
    last_offer_until_ = std::max(last_offer_until_, known.offered_until);
    if (record.is_offered()) known.offered = record.top;
  }
}

// Who said that it stops is waited for.
void Promises::away() {
  master::MasterCore& core = world_.master->driver->core();
  const MasterTime now = core.time(world_.master->clock.now());
  for (const auto& w : world_.workers) {
    const auto node = core.state().nodes().find(w->name);
    if (node == core.state().nodes().end()) continue;
    const bool valid = node->second.lease.status == master::LeaseStatus::valid;
    const MasterTime until = valid && node->second.away ? node->second.away->until : MasterTime{};
    if (valid && std::exchange(w->away_until, until) != until)
      w->away_end = world_.now() + until.us - now.us;
    // By both clocks: a master that halted learns late what time it is.
    const MasterTime before = valid ? MasterTime{} : std::exchange(w->away_until, {});
    if (now.us + 2 * kSecond < before.us && world_.now() + 2 * kSecond < w->away_end)
      world_.broken(w->name + ": its lease ended before the time that it said");
  }
}

void World::check_handoffs() {
  master::MasterCore& core = master->driver->core();
  const MasterTime now = core.time(master->clock.now());
  std::size_t migrating = 0;
  for (const auto& [agent, record] : core.state().agents()) {
    if (core.state().status_of(record) != master::AgentStatus::migrating) continue;
    ++migrating;
    if (record.offered_until < now)
      broken("agent " + text_of(agent) + ": is offered although its grace is over");
  }
  if (core.state().counts().migrating != migrating) broken("agents that migrate are miscounted");
  check_migrations();
}

void World::check_migrations() {
  const master::Migrations& migrations = master->driver->core().state().migrations();
  std::size_t under_way = 0;
  for (const auto& [number, m] : migrations.all()) {
    const std::string name = "move " + std::to_string(number) + " of agent " + text_of(m.agent);
    const bool ended = m.end != master::Migrations::End::none;
    if (!ended) ++under_way;
    if (ended != (m.ended.us != 0)) broken(name + ": ended without a moment, or the other way");
    if (m.is_taken() && m.to.node == m.from.node) broken(name + ": goes to where it comes from");
    if (!m.is_taken() && !m.to.node.empty()) broken(name + ": goes somewhere, and is not taken");
    if (!m.is_taken() && m.offered.us == 0) broken(name + ": was neither offered nor taken");
    ++result().migrations[std::string(to_string(m.end))];
    if (m.offered.us != 0) ++result().migrations["offered"];
  }
  if (under_way != migrations.under_way()) broken("moves under way are miscounted");
}

}  // namespace rollcall::simulation
