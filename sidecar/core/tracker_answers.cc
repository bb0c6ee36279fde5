// Tracker's part in what the master answers: sessions that do not stand, doubt, and times that it
// does not take (docs/protocol.md, sections 10 and 11).
#include <algorithm>
#include <cassert>

#include "sidecar/core/tracker.h"

namespace rollcall::sidecar {

void Tracker::superseded(AgentId agent, const Winner& winner, const Now& now,
                         const LocalEvent* refused) {
  const auto it = agents_.find(agent);
  if (it == agents_.end() || !it->second.session) {
    if (refused) remove_again(*refused, winner);
    return;
  }
  AgentState& state = it->second;
  Session& s = *state.session;
  const Version& top = winner.version;
  const Version own{s.epoch, own_node_, s.change};
  const bool known_here = top == own && winner.open && s.phase == Phase::open;
  if (top < own || known_here) {
    // The master holds no more than what is known here or is already on its way to it. But another
    // copy of this store may have told it that, and with another meaning.
    const bool heard = state.seen_at_look != 0 || is_kept(state);
    if (refused && otherwise(*refused, state, winner)) {
      // What the store says may be over, or its offer: the source is asked first.
      if (!heard) return wait_for_source(agent, winner);
      const bool info = state.info_hash != InfoHash{};
      change_session(agent, state, info ? EventKind::info : EventKind::confirmed, Reason::none);
    }
    return;
  }

  if (top.node == own_node_) {
    if (state.seen_at_look != 0 || is_kept(state)) return outbid_own(agent, state, winner, now);
    return wait_for_source(agent, winner);
  }
  if (s.phase != Phase::open) return;
  if (timeline_.at(s.evidence.lo, now) > time_of(top.epoch)) {
    claim_again(agent, state, now);
    return;
  }
  taken(state, top.node, now);
  given_up_.push_back(agent);
  change_session(agent, state, EventKind::released, Reason::moved);
  state.session->fence = top.epoch;
  state.session->fence_node = top.node;
}

// Whether what the master holds of the session that stands here says something else than the event
// of it that was refused: under its version, or in place of the fields that are known here.
bool Tracker::otherwise(const LocalEvent& refused, const AgentState& state,
                        const Winner& winner) const {
  const Session& s = *state.session;
  const Version said{refused.epoch, own_node_, refused.change};
  if (s.phase != Phase::open || !winner.open || refused.epoch != s.epoch ||
      !winner.version.same_session(said))
    return false;
  const bool same_info = refused.info_hash != InfoHash{} && refused.info_hash == state.info_hash;
  return said == winner.version || same_info;
}

// What the store says of an agent may be over.
void Tracker::wait_for_source(AgentId agent, const Winner& winner) {
  Winner& waiting = own_winners_[agent];
  if (waiting.version < winner.version) waiting = winner;
}

// The agent is gone from the source, and another copy of this store had told more of its session.
void Tracker::remove_again(const LocalEvent& refused, const Winner& winner) {
  const bool mine = winner.open && winner.version.node == own_node_;
  if (!mine || refused.kind != EventKind::removed) return;
  LocalEvent e = refused;
  e.epoch = winner.version.epoch;
  e.change = winner.version.change + 1;
  events_.push_back(std::move(e));
}

// A new session, of the same evidence. An offer of the old one stands for it.
void Tracker::claim_again(AgentId agent, AgentState& state, const Now& now, Epoch at_least) {
  const LocalEvidence evidence = state.session->evidence;
  open_session(agent, state, evidence, now, EventKind::opened, Reason::none, at_least);
  if (state.offered()) change_session(agent, state, EventKind::offered, Reason::none);
  want_info(agent, state, now);
}

// The master holds a session that this store does not know: the store is an older copy, or the
// master closed the session itself. What the source says now is the truth, one epoch above.
void Tracker::outbid_own(AgentId agent, AgentState& state, const Winner& winner, const Now& now) {
  Session& s = *state.session;
  const Version& top = winner.version;
  const bool here = s.phase == Phase::open;
  if (here && winner.open && top.epoch == s.epoch) {
    // This session has gone further than the store remembers, or as far with another meaning. It
    // goes on from there, and what is known of the agent is told again.
    s.change = top.change;
    const bool info = state.info_hash != InfoHash{};
    change_session(agent, state, info ? EventKind::info : EventKind::confirmed, Reason::none);
    return;
  }
  if (!here && !winner.open) return;
  if (here) return claim_again(agent, state, now, next(top.epoch));
  const LocalEvidence evidence = s.evidence;
  const Reason reason = s.reason;
  open_session(agent, state, evidence, now, EventKind::closed, reason, next(top.epoch));
}

// What the source said meanwhile may be beyond the winner.
void Tracker::outbid_if_newer(AgentId agent, AgentState& state, const Winner& winner,
                              const Now& now) {
  if (!state.session) return;
  const Version own{state.session->epoch, own_node_, state.session->change};
  if (winner.version >= own) outbid_own(agent, state, winner, now);
}

void Tracker::challenged(AgentId agent, Epoch epoch, MasterTime upto, const Now& now) {
  const auto it = agents_.find(agent);
  if (it == agents_.end() || !is_open(it->second)) return;
  AgentState& state = it->second;
  if (state.session->epoch != epoch) return;
  if (sent_lo(state.session->evidence, now) > upto) {
    state.due.reset();
    change_session(agent, state, EventKind::confirmed, Reason::none);
  } else if (state.due) {
    state.due->upto = std::max(state.due->upto, upto);
  } else {
    state.due = Due{upto, 0};
    due_.insert(agent);
  }
}

void Tracker::acked(const LocalEvent& event) {
  const auto it = agents_.find(event.agent);
  if (it == agents_.end() || it->second.accepted >= event.epoch) return;
  AgentState& state = it->second;
  state.accepted = event.epoch;
  acked_.push_back(event.agent);
  // It was on its way when the session was refused as from the future, and was taken after that:
  // what was stamped anew is below it.
  const bool stamped = state.session && state.session->epoch != kUnstamped;
  if (!stamped || state.session->epoch >= event.epoch || state.restamp_after >= 0) return;
  state.session->epoch = next(event.epoch);
  tell(event.agent, state);
  dirty_.insert(event.agent);
}

void Tracker::future_epoch(AgentId agent, Epoch epoch) {
  const auto it = agents_.find(agent);
  if (it == agents_.end() || !it->second.session || it->second.session->epoch != epoch) return;
  if (it->second.restamp_after < 0) it->second.restamp_after = timeline_.clock().samples();
  restamp_.insert(agent);
}

void Tracker::sampled(const Now& now) {
  for (auto it = restamp_.begin(); it != restamp_.end();) {
    const auto found = agents_.find(*it);
    if (found == agents_.end() || !found->second.session || found->second.restamp_after < 0) {
      it = restamp_.erase(it);
      continue;
    }
    AgentState& state = found->second;
    if (timeline_.clock().samples() <= state.restamp_after) {
      ++it;
      continue;
    }
    state.restamp_after = -1;
    Session& s = *state.session;
    s.epoch = std::max(epoch_at(timeline_.at(s.start, now)), next(state.accepted));
    notes_.push_back({NoteLevel::warning,
                      "the master refused a session as from the future; stamped anew",
                      {{"agent", id_text(*it)}}});
    tell(*it, state);
    dirty_.insert(*it);
    it = restamp_.erase(it);
  }
}

void Tracker::tell_everything(const Now&) {
  // What the master took before, it may have lost, and with it some of its time: a winner's epoch
  // may be far ahead of all that it will tell. Only what it takes from now on binds.
  for (auto& [agent, state] : agents_) {
    state.accepted = kUnstamped;
    dirty_.insert(agent);
    if (!state.session) continue;
    state.session->fence = kUnstamped;
    state.session->fence_node.clear();
    dirty_.insert(agent);
    tell(agent, state);
  }
}

void Tracker::tell_untaken(const std::unordered_set<AgentId>& waiting) {
  for (auto& [agent, state] : agents_) {
    if (!state.session || state.session->epoch == kUnstamped) continue;
    if (state.accepted < state.session->epoch && !waiting.contains(agent)) tell(agent, state);
  }
}

void Tracker::forget_master() {
  own_winners_.clear();
  for (auto& [agent, state] : agents_) {
    state.accepted = kUnstamped;
    state.told_hash = InfoHash{};
    state.due.reset();
    state.restamp_after = -1;
    if (!state.session) continue;
    state.session->epoch = kUnstamped;
    state.session->fence = kUnstamped;
    state.session->fence_node.clear();
    dirty_.insert(agent);
  }
}

void Tracker::stamp(LocalEvent& event, const Now& now) {
  assert(timeline_.known());
  const auto it = agents_.find(event.agent);
  Epoch& last = stamped_[event.agent];
  if (event.epoch != kUnstamped) {
    last = std::max(last, event.epoch);
    return;
  }
  if (it != agents_.end()) last = std::max(last, it->second.accepted);
  if (event.starts_session || last == kUnstamped) {
    last = std::max(epoch_at(timeline_.at(event.start, now)), next(last));
  }
  event.epoch = last;
  // The state's own session is the agent's newest, so the last of its events leaves its epoch.
  if (it != agents_.end() && it->second.session &&
      (it->second.session->epoch == kUnstamped || stamping_.contains(event.agent))) {
    it->second.session->epoch = last;
    stamping_.insert(event.agent);
    dirty_.insert(event.agent);
  }
}

void Tracker::end_stamping() {
  drop_all(stamped_);
  drop_all(stamping_);
}

}  // namespace rollcall::sidecar
