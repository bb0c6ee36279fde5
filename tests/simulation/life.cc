// Agents, and what the workers' tables show of them.
#include "tests/simulation/world.h"

namespace rollcall::simulation {

using sidecar::RowStatus;

void World::look_always(WorkerNode& w) {
  after(kLook, [this, &w] { look_always(w); });
  if (w.driver && w.halted_until <= now_) look(w);
}

void World::look(WorkerNode& w) {
  if (w.source_blind || w.manager_until > now_) {
    using Manager = sidecar::SidecarCore::Manager;
    w.driver->look_failed(w.manager_until > now_ ? Manager::gone : Manager::maybe_there);
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
  } else {
    reap(w);
  }
  look.rows.reserve(w.table.size());
  const auto shown = [&](std::int64_t s) { return s >= window->from_s && s <= window->to_s; };
  for (const auto& [id, entry] : w.table) {
    if (window && !shown(entry.row.keepalive_s) && !shown(entry.gone_s)) continue;
    // Whatever the reason: a row that should be here and is not.
    if (window && !exact_ && one_in(0.02)) continue;
    look.rows.push_back(entry.row);
  }
  if (look.complete && w.table.empty()) look.no_agents_enrolled = true;
  at_process(w, now_ + (exact_ ? kMs : chance(kMs, 60 * kMs)),
             [&w, look = std::move(look), head]() mutable {
               look.finished = w.clock.now();
               using Kind = sidecar::LookPlan::Kind;
               w.plan.looked(look.complete ? Kind::whole : Kind::window, head, look.finished);
               w.driver->look(look);
             });
}

void World::reap(WorkerNode& w) {
  for (auto& [id, entry] : w.table) {
    if (!entry.row.present() || now_ - entry.heard <= kReaper) continue;
    entry.row.status = RowStatus::disconnected;
    entry.row.code = 4;
    entry.gone_s = w.clock.wall_s();
    say(w.name, "the reaper takes agent " + text_of(id));
  }
}

void World::contact(Agent& a, WorkerNode& w, RowStatus status) {
  TableEntry& entry = w.table[a.id];
  if (!entry.row.present()) entry.here_since = now_;
  entry.row.agent = a.id;
  entry.row.status = status;
  entry.row.keepalive_s = w.clock.wall_s();
  entry.row.code = 0;
  entry.gone_s = 0;
  entry.heard = now_;
  if (status == RowStatus::active) entry.info = a.info;
}

void World::contact_at(Agent& a, std::int64_t when) {
  at(when, [this, &a, was = ++a.visit] {
    if (a.visit != was) return;
    if (const auto until = std::max(a.place->suspended_until, a.place->manager_until); until > now_)
      return contact_at(a, until + chance(0, 3 * kSecond));
    contact(a, *a.place, RowStatus::active);
    if (a.clone_place && a.clone_place != a.place) contact(a, *a.clone_place, RowStatus::active);
    contact_at(a, now_ + kKeepalive);
  });
}

void World::renew_info(Agent& a) {
  ++a.version;
  a.info = {{"name", "agent-" + text_of(a.id)}, {"version", "v" + std::to_string(a.version)}};
}

void World::arrive(Agent& a, WorkerNode& w) {
  a.place = &w;
  a.since = now_;
  a.silent = false;
  if (one_in(0.2)) renew_info(a);
  const bool pending = one_in(0.5);
  contact(a, w, pending ? RowStatus::pending : RowStatus::active);
  say("truth", "agent " + text_of(a.id) + " is on " + w.name);
  contact_at(a, now_ + (pending ? chance(20 * kMs, 500 * kMs) : kKeepalive));
}

void World::leave(Agent& a, bool goodbye) {
  if (!a.place) return;
  WorkerNode& w = *a.place;
  say("truth", "agent " + text_of(a.id) + " leaves " + w.name +
                   (goodbye ? " with goodbye" : " without a word"));
  if (goodbye && w.manager_until <= now_) {
    TableEntry& entry = w.table[a.id];
    entry.row.agent = a.id;
    entry.row.status = RowStatus::disconnected;
    entry.row.code = 3;
    entry.gone_s = w.clock.wall_s();
  }
  a.silent = !goodbye;
  a.place = nullptr;
  ++a.visit;
}

void World::move(Agent& a) {
  leave(a, one_in(0.6));
  const auto to = chance(-1, static_cast<std::int64_t>(workers.size()) - 1);
  // Nobody connects to a machine that is suspended, or to a manager that is stopped.
  if (to >= 0 && workers[static_cast<std::size_t>(to)]->suspended_until <= now_ &&
      workers[static_cast<std::size_t>(to)]->manager_until <= now_)
    arrive(a, *workers[static_cast<std::size_t>(to)]);
  if (a.cloned) a.clone_place = &any_worker();
}

void World::move_always(Agent& a) {
  if (calm()) return;
  move(a);
  // The more there are, the less each one moves.
  const auto pace = std::max<std::int64_t>(1, static_cast<std::int64_t>(agents_.size()) / 2);
  const auto stay =
      one_in(0.5) ? chance(50 * kMs, 900 * kMs) : chance(50 * kMs, 40 * kSecond * pace);
  after(stay, [this, &a] { move_always(a); });
}

// Its row is gone everywhere; if it comes back, then as a new one.
void World::remove(Agent& a) {
  say("truth", "agent " + text_of(a.id) + " is removed");
  a.place = nullptr;
  a.silent = false;
  ++a.visit;
  for (auto& w : workers) w->table.erase(a.id);
}

// Of two that share a key one falls silent, without a word; now and then both go on.
void World::end_contest(Agent& a) {
  if (!a.clone_place || a.clone_place == a.place || one_in(0.3)) return;
  if (a.place && one_in(0.5)) a.place = a.clone_place;
  a.clone_place = nullptr;
  say("truth", "only one is left that has the key of agent " + text_of(a.id) +
                   (a.place ? ", on " + a.place->name : ""));
}

// Most of those that left without a word, since nobody could know of the others.
void World::come_back(Agent& a) {
  if (!a.place && a.silent && one_in(0.85)) arrive(a, any_worker());
}

}  // namespace rollcall::simulation
