// What MasterCore does when both sides differ: digests are compared, the difference is found and
// repaired (docs/protocol.md, section 14).
#include <algorithm>
#include <utility>

#include "master/core/master_core.h"
#include "protocol/codec.h"

namespace rollcall::master {
namespace {

constexpr int kRepairsNamed = 20;     // of one inventory, in the log for people
constexpr unsigned kWalksToFull = 3;  // without agreement, until everything is asked for

Event taken_from(const InventoryEntry& entry) {
  Event e;
  e.agent = entry.agent;
  e.epoch = entry.epoch;
  e.change = entry.change;
  e.kind = EventKind::opened;
  e.evidence = entry.evidence;
  return e;
}

std::vector<Event> taken_from(const std::vector<InventoryEntry>& entries) {
  std::vector<Event> events;
  events.reserve(entries.size());
  for (const InventoryEntry& entry : entries) events.push_back(taken_from(entry));
  return events;
}

std::vector<Event> closes_of(const std::vector<Differences::Own>& sessions) {
  std::vector<Event> events;
  events.reserve(sessions.size());
  for (const auto& own : sessions)
    events.push_back(master_close(own.agent, own.session.epoch, Reason::absent_from_inventory));
  return events;
}

}  // namespace

// Evidence of its own the master has none: the session's epoch tells nobody anything new.
Event master_close(AgentId agent, Epoch epoch, Reason reason) {
  Event e;
  e.agent = agent;
  e.epoch = epoch;
  e.change = kMasterCloses;
  e.kind = EventKind::closed;
  e.evidence = {time_of(epoch), time_of(epoch)};
  e.reason = reason;
  return e;
}

// ---- heartbeats and the walk -----------------------------------------------------------------

void MasterCore::on(ConnId id, Conn& conn, const Heartbeat& m, const Now& now, Output& out) {
  if (m.digest && m.seq + 1 != conn.expected_seq) {
    return refuse(id, ErrorCode::sequence,
                  "HEARTBEAT has a digest at seq " + std::to_string(m.seq) +
                      ", but the last that " + "came is " + std::to_string(conn.expected_seq - 1),
                  now, out);
  }
  conn.open_sessions = m.open_sessions;
  conn.blind = m.blind;
  log_lease(leases_.renewed(state_, conn.node, lease_times(), now), now, out);
  HeartbeatAck ack;
  ack.t0 = m.t0;
  if (m.digest) ack.agreement = compare(conn, *m.digest, now, out);
  ack.t1 = ack.t2 = time_.runs(now) ? time_.tell(now).us : 0;  // 0: no sample
  ack.lease_us = leases_.left_us(state_, conn.node, now).value_or(0);
  if (conn.heartbeat_us != heartbeat_us()) ack.heartbeat_us = conn.heartbeat_us = heartbeat_us();
  out.send.push_back({id, ack});
  if (ack.agreement == Agreement::differs) walk(id, conn, now);
}

// The worker has sent everything up to the last event that this connection brought.
Agreement MasterCore::compare(Conn& conn, const Digest& theirs, const Now& now, Output& out) {
  const NodeLog& log = state_.nodes().at(conn.node);
  if (log.last_seq + 1 > conn.expected_seq) return Agreement::unknown;  // it sends some again
  Reconciling& r = conn.reconciling;
  r.agreement = log.open.digest() == theirs ? Agreement::equal : Agreement::differs;
  if (r.agreement == Agreement::differs) {
    ++counters_.digest_mismatches;
    ++counters_.nodes[conn.node].digests_differ;
  } else {
    ++counters_.digests_equal;
    agreed_mono_us_[conn.node] = now.mono_us;
    ++counters_.nodes[conn.node].digests_equal;
    r.walk.reset();
    r.walks = 0;
    log_lease(leases_.confirmed(state_, conn.node, lease_times(), now), now, out);
  }
  return r.agreement;
}

void MasterCore::ask(ConnId id, Want want) {
  if (!want.leaves.empty()) conns_.at(id).reconciling.leaves_asked = true;
  say(id, std::move(want));
}

// Begins a walk, or again if the last question was not answered. One that does not help is followed
// by one later and later. Digests that agree in between bring the next one no nearer.
void MasterCore::walk(ConnId id, Conn& conn, const Now& now) {
  Reconciling& r = conn.reconciling;
  const std::int64_t ttl = lease_times().ttl_us;
  if (!r.inventories.empty()) return;
  if (r.walk && now.mono_us - r.walk->asked_at_mono_us() < ttl) return;
  std::int64_t& next_mono_us = paces_[conn.node].next_walk_mono_us;
  if (now.mono_us < next_mono_us) return;
  ++r.walks;
  const std::int64_t pause = heartbeat_us() << std::min(r.walks - 1, 10u);
  next_mono_us =
      now.mono_us + std::max(heartbeat_us(), std::min(pause, config_.inventory_differs_us));
  r.walk.emplace(now.mono_us);
  Want want = r.walk->begin();
  if (r.walks > kWalksToFull) {
    want = {};
    want.inventory = true;
  }
  ask(id, std::move(want));
}

void MasterCore::on(ConnId id, Conn& conn, const Digests& m, const Now& now, Output& out) {
  if (m.seq + 1 != conn.expected_seq) {
    return refuse(id, ErrorCode::sequence,
                  "DIGESTS at seq " + std::to_string(m.seq) + ", but the last that came is " +
                      std::to_string(conn.expected_seq - 1),
                  now, out);
  }
  const NodeLog& log = state_.nodes().at(conn.node);
  Reconciling& r = conn.reconciling;
  if (!r.walk || log.last_seq > m.seq) return;
  std::optional<Want> want = r.walk->answered(m, log.open, now.mono_us);
  if (!want) return;
  if (*want == Want{}) {
    finish_walk(conn, now, out);
  } else {
    ask(id, *std::move(want));
  }
}

void MasterCore::finish_walk(Conn& conn, const Now& now, Output& out) {
  conn.reconciling.walk.reset();
  log_lease(leases_.confirmed(state_, conn.node, lease_times(), now), now, out);
}

// ---- inventories -----------------------------------------------------------------------------

void MasterCore::refuse_inventory(ConnId id, std::string text, const Now& now, Output& out) {
  ++counters_.inventories_refused;
  refuse(id, ErrorCode::inventory, "inventory: " + text, now, out);
}

void MasterCore::drop(Conn& conn, std::uint64_t inventory) {
  Reconciling& r = conn.reconciling;
  r.inventories.erase(inventory);
  r.dropped[1] = std::exchange(r.dropped[0], inventory);
}

// A worker that begins another of the same scope has given this one up.
void MasterCore::drop_scope(Conn& conn, bool full) {
  const auto& all = conn.reconciling.inventories;
  const auto it = std::ranges::find_if(all, [&](const auto& i) { return i.second.full() == full; });
  if (it != all.end()) drop(conn, it->first);
}

std::size_t MasterCore::full_inventories() const {
  std::size_t n = 0;
  for (const auto& [id, conn] : conns_) {
    if (conn.closing) continue;
    for (const auto& [number, inventory] : conn.reconciling.inventories)
      n += inventory.full() ? 1 : 0;
  }
  return n;
}

// How long a full inventory must wait; 0: it may begin.
std::int64_t MasterCore::full_later_us(const NodeName& node, const Now& now) const {
  const auto pace = paces_.find(node);
  if (pace != paces_.end() && now.mono_us < pace->second.next_full_mono_us)
    return pace->second.next_full_mono_us - now.mono_us;
  return full_inventories() >= config_.max_inventories ? heartbeat_us() : 0;
}

void MasterCore::on(ConnId id, Conn& conn, const InventoryBegin& m, const Now& now, Output& out) {
  Reconciling& r = conn.reconciling;
  if (m.seq + 1 != conn.expected_seq) {
    return refuse_inventory(id,
                            "its cut is seq " + std::to_string(m.seq) + ", but the last that " +
                                "came is " + std::to_string(conn.expected_seq - 1),
                            now, out);
  }
  if (r.inventories.contains(m.id)) return refuse_inventory(id, "begun twice", now, out);
  IncomingInventory begun(m, conn.node, config_.max_inventory_entries, now.mono_us);
  drop_scope(conn, begun.full());
  if (!begun.full() && !std::exchange(r.leaves_asked, false)) {
    ++counters_.inventories_refused;
    return drop(conn, m.id);
  }
  if (begun.full()) {
    Want later;
    later.retry_after_us = full_later_us(conn.node, now);
    if (later.retry_after_us > 0) {
      ++counters_.inventories_refused;
      drop(conn, m.id);
      out.send.push_back({id, std::move(later)});
      return;
    }
    paces_[conn.node].next_full_mono_us = now.mono_us + heartbeat_us();
  }
  r.inventories.emplace(m.id, std::move(begun));
  out.send.push_back({id, InventoryAck{m.id, 0}});
}

void MasterCore::on(ConnId id, Conn& conn, const InventoryChunk& m, const Now& now, Output& out) {
  Reconciling& r = conn.reconciling;
  const auto it = r.inventories.find(m.id);
  if (it == r.inventories.end()) {
    if (std::ranges::find(r.dropped, m.id) != std::end(r.dropped)) return;
    return refuse_inventory(id, "a chunk of one that was not begun", now, out);
  }
  if (auto ok = it->second.take(m, state_, time_.tell(now), now.mono_us); !ok)
    return refuse_inventory(id, std::move(ok.error().message), now, out);
  out.send.push_back({id, InventoryAck{m.id, it->second.entries()}});
}

void MasterCore::on(ConnId id, Conn& conn, const InventoryEnd& m, const Now& now, Output& out) {
  Reconciling& r = conn.reconciling;
  const auto it = r.inventories.find(m.id);
  if (it == r.inventories.end()) {
    if (std::ranges::find(r.dropped, m.id) != std::end(r.dropped)) return;
    return refuse_inventory(id, "the end of one that was not begun", now, out);
  }
  auto found = it->second.end(m, state_, time_.tell(now));
  if (!found) return refuse_inventory(id, std::move(found.error().message), now, out);
  const bool full = it->second.full();
  drop(conn, m.id);
  if (state_.nodes().at(conn.node).last_seq + 1 > conn.expected_seq) {
    // Events that the log has are still to be sent again: they are newer than the cut.
    ++counters_.inventories_refused;
    if (!full) return;
    Want later;
    later.retry_after_us = heartbeat_us();
    out.send.push_back({id, std::move(later)});
    return;
  }
  ++(full ? counters_.inventories_full : counters_.inventories_partial);
  apply(id, conn, *found, now, out);
  finish_walk(conn, now, out);
  if (!found->more) return;
  Want rest;
  rest.inventory = true;
  ask(id, std::move(rest));
}

void MasterCore::apply(ConnId id, Conn& conn, const Differences& found, const Now& now,
                       Output& out) {
  const NodeName node = conn.node;
  int notes = 0;
  repair(node, Cause::missed_open, taken_from(found.missed_open), notes, now, out);
  repair(node, Cause::missed_change, taken_from(found.missed_change), notes, now, out);
  repair(node, Cause::absent, closes_of(found.absent), notes, now, out);
  repair(node, Cause::went_back, closes_of(found.went_back), notes, now, out);
  std::vector<Event> evidence = taken_from(found.in_doubt);
  keep_offers(node, evidence);
  repair(node, Cause::evidence, std::move(evidence), notes, now, out);
  if (notes > kRepairsNamed) {
    note(out, NoteLevel::warning, "more was repaired, all of it is in the event log",
         {{"node", node}, {"more", std::to_string(notes - kRepairsNamed)}});
  }
  for (const AgentId agent : found.not_standing) tell_superseded(node, agent, now);
  ask_for_infos(id, node, found);
}

// Whatever the master changes by itself is decided by the same rule and logged as workers' events.
// What an entry shows to be as it was says nothing of an offer.
void MasterCore::keep_offers(const NodeName& node, std::vector<Event>& events) const {
  for (Event& e : events) {
    const AgentRecord* r = state_.find(e.agent);
    if (r && r->is_offered() && r->top == Version{e.epoch, node, e.change})
      e.kind = EventKind::offered;
  }
}

void MasterCore::repair(const NodeName& node, Cause cause, std::vector<Event> events, int& notes,
                        const Now& now, Output& out) {
  for (std::size_t from = 0; from < events.size(); from += kMaxEntries) {
    const std::size_t to = std::min(events.size(), from + kMaxEntries);
    Decided d;
    d.node = node;
    d.first_seq = 0;
    d.at = time_.tell(now);
    d.cause = cause;
    d.events.assign(events.begin() + static_cast<std::ptrdiff_t>(from),
                    events.begin() + static_cast<std::ptrdiff_t>(to));
    std::vector<Outcome> outcomes;
    LogRecord record = std::move(d);
    log(record, &outcomes);
    Decided& decided = std::get<Decided>(record);
    history_.add(decided, outcomes);
    counters_.repairs[cause] += decided.events.size();
    counters_.nodes[node].repairs[cause] += decided.events.size();
    after_repair(decided, outcomes, notes, now, out);
    remember(decided, outcomes, std::vector<std::uint64_t>(decided.events.size(), 0));
  }
}

void MasterCore::after_repair(const Decided& d, const std::vector<Outcome>& outcomes, int& notes,
                              const Now& now, Output& out) {
  const ConnId conn = conn_of(d.node);
  for (std::size_t i = 0; i < d.events.size(); ++i) {
    const Event& e = d.events[i];
    if (d.cause != Cause::evidence && d.cause != Cause::forgotten && ++notes <= kRepairsNamed) {
      note(out, NoteLevel::warning, "a worker's table and this one differed; repaired",
           {{"node", d.node},
            {"agent", id_text(e.agent)},
            {"repair", std::string(to_string(d.cause))},
            {"version", to_string(Version{e.epoch, d.node, e.change})},
            {"rule", std::string(to_string(d.rules[i]))}});
    }
    if (conn != ConnId{}) {
      for (auto& [number, inventory] : conns_.at(conn).reconciling.inventories)
        inventory.touch(e.agent);
    }
    const AgentRecord* r = outcomes[i].record;
    if (!r) continue;
    if (accepted(d.rules[i]) && !outcomes[i].other_owner.empty()) {
      owner_changed(e.agent, outcomes[i].other_owner, now, out);
      tell_superseded(outcomes[i].other_owner, e.agent, now);
    }
    if (e.change == kMasterCloses) {
      superseded_[d.node].push_back({e.agent, {r->top, r->is_open()}});
    } else {
      tell_superseded(d.node, e.agent, now);
    }
    check_doubt(e.agent, *r);
  }
}

// The fields of what was taken from an inventory, and those that were asked for in vain.
void MasterCore::ask_for_infos(ConnId id, const NodeName& node, const Differences& found) {
  std::vector<AgentId> agents = found.info_missing;
  for (const auto* taken : {&found.missed_open, &found.missed_change}) {
    for (const InventoryEntry& e : *taken) {
      const AgentRecord* r = state_.find(e.agent);
      if (r && r->is_open() && r->top.node == node && (!r->info || r->info_missing()))
        agents.push_back(e.agent);
    }
  }
  for (std::size_t from = 0; from < agents.size(); from += kMaxEntries) {
    const std::size_t to = std::min(agents.size(), from + kMaxEntries);
    Want want;
    want.infos.assign(agents.begin() + static_cast<std::ptrdiff_t>(from),
                      agents.begin() + static_cast<std::ptrdiff_t>(to));
    ask(id, std::move(want));
  }
}

// An inventory that makes no progress, or takes too long altogether, gives up its place.
void MasterCore::drop_stale_inventories(bool deaf, const Now& now, Output& out) {
  const std::int64_t ttl = lease_times().ttl_us;
  const std::int64_t longest = std::max(ttl, config_.inventory_differs_us);
  for (auto& [id, conn] : conns_) {
    if (conn.closing) continue;
    std::vector<std::uint64_t> stale;
    for (auto& [number, inventory] : conn.reconciling.inventories) {
      if (deaf) {
        inventory.made_progress(now.mono_us);
      } else if (now.mono_us - inventory.progress_mono_us() > ttl ||
                 now.mono_us - inventory.began_mono_us() > longest) {
        stale.push_back(number);
      }
    }
    for (const std::uint64_t number : stale) {
      const bool full = conn.reconciling.inventories.at(number).full();
      drop(conn, number);
      ++counters_.inventories_refused;
      note(out, NoteLevel::warning,
           "an inventory made no progress for a TTL, or did not end within [timing] "
           "inventory_differs; it is dropped",
           {{"node", conn.node}});
      if (!full) continue;
      Want later;
      later.retry_after_us = heartbeat_us();
      out.send.push_back({id, std::move(later)});
    }
  }
}

}  // namespace rollcall::master
