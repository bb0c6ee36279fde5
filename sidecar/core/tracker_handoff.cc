// Tracker's part in handoff: offers, and how they end (docs/protocol.md, section 15).
#include <algorithm>
#include <utility>

#include "sidecar/core/tracker.h"

namespace rollcall::sidecar {
namespace {

// Without a look for so long, nobody waits any more for one that could show an agent.
constexpr std::int64_t kBlindUs = 60'000'000;

}  // namespace

// ---- who is offered ----------------------------------------------------------------------------

void Tracker::set_drain(std::optional<Drain> drain) {
  drain_ = std::move(drain);
  hand_all();
}

void Tracker::set_manager_gone(bool gone) {
  if (std::exchange(manager_gone_, gone) != gone && gone) hand_all();
}

// Each is looked at when its turn comes.
void Tracker::hand_all() {
  to_hand_.clear();
  for (const auto& [agent, state] : agents_) {
    if (is_open(state)) to_hand_.push_back(agent);
  }
}

void Tracker::hand_off(std::size_t most, const Now& now) {
  for (; most > 0 && !to_hand_.empty(); --most) {
    const AgentId agent = to_hand_.back();
    to_hand_.pop_back();
    const auto it = agents_.find(agent);
    if (it != agents_.end() && is_open(it->second)) hand(agent, it->second, now);
  }
}

void Tracker::hand(AgentId agent, AgentState& state, const Now& now) {
  const bool of_this_drain = drain_ && state.handoff && state.handoff->drain == drain_->number;
  if (manager_gone_ && !state.offered()) {
    offer(agent, state, Reason::none, now);
  } else if (drain_ && !of_this_drain) {
    offer(agent, state, state.offered() ? state.handoff->left : Reason::none, now);
  } else if (!drain_ && state.offered() && state.handoff->cause == Handoff::Cause::drain) {
    if (manager_gone_) {
      belongs_to_manager(agent, state);
    } else {
      withdraw(agent, state, now);
    }
  }
}

// It would have been offered without a drain too.
void Tracker::belongs_to_manager(AgentId agent, AgentState& state) {
  state.handoff->cause = Handoff::Cause::manager;
  dirty_.insert(agent);
}

bool Tracker::offer_now(AgentId agent, const Now& now) {
  const auto it = agents_.find(agent);
  if (it == agents_.end() || !is_open(it->second)) return false;
  if (!it->second.offered()) offer(agent, it->second, Reason::none, now);
  return it->second.handoff->left == Reason::none;
}

void Tracker::offer(AgentId agent, AgentState& state, Reason left, const Now& now) {
  Handoff h;
  h.cause = drain_ ? Handoff::Cause::drain : Handoff::Cause::manager;
  h.drain = drain_ ? drain_->number : 0;
  h.grace_us = drain_ ? drain_->grace_us : config_.manager_grace_us;
  // Whoever is here has the time to say so.
  if (left == Reason::none) h.grace_us = std::max(h.grace_us, patience_us(state));
  h.made = timeline_.moment(now.boot_us, now);
  h.left = left;
  state.handoff = std::move(h);
  offers_.insert(agent);
  change_session(agent, state, EventKind::offered, Reason::none);
}

// On a worker that is drained a session begins with an offer.
void Tracker::begin_session(AgentId agent, AgentState& state, const LocalEvidence& evidence,
                            const Now& now) {
  open_session(agent, state, evidence, now, EventKind::opened, Reason::none);
  if (drain_) offer(agent, state, Reason::none, now);
}

// The source shows that an agent is not here any more. That the manager restarts says nothing of
// it, and whoever leaves a worker that is drained is on the way to another.
void Tracker::left_here(AgentId agent, AgentState& state, Reason reason, const Now& now) {
  // Silence ends the session no sooner.
  const bool waits =
      reason == Reason::worker_restart || (reason == Reason::no_keepalive && state.offered());
  if (!drain_ && !waits) return change_session(agent, state, EventKind::closed, reason);
  if (!state.offered() || heard_since_offer(state, now)) return offer(agent, state, reason, now);
  state.handoff->left = reason;
  dirty_.insert(agent);
}

// It came and went between two looks: without a word of it, another worker's ghost would stay on
// top. What was long ago is no handoff.
void Tracker::visited(AgentId agent, AgentState& state, const LocalEvidence& evidence,
                      Reason reason, const Now& now) {
  const std::int64_t grace = drain_ ? drain_->grace_us : config_.manager_grace_us;
  const bool handed =
      (drain_ || reason == Reason::worker_restart) && timeline_.since_us(evidence.hi, now) < grace;
  if (!handed) return open_session(agent, state, evidence, now, EventKind::closed, reason);
  open_session(agent, state, evidence, now, EventKind::opened, Reason::none);
  offer(agent, state, reason, now);
}

// ---- how it ends -------------------------------------------------------------------------------

bool Tracker::heard_since_offer(const AgentState& state, const Now& now) const {
  return timeline_.at(state.session->evidence.lo, now) > timeline_.at(state.handoff->made, now);
}

void Tracker::end_offer(AgentState& state, Handoff::End end, const Now& now) {
  state.handoff->end = end;
  state.handoff->ended = timeline_.moment(now.boot_us, now);
}

// The agent is here: evidence after the offer ends it.
void Tracker::answer_offer(AgentId agent, AgentState& state, const Now& now) {
  if (!state.offered()) return;
  state.handoff->left = Reason::none;
  if (heard_since_offer(state, now)) stay(agent, state, now);
}

void Tracker::stay(AgentId agent, AgentState& state, const Now& now) {
  end_offer(state, Handoff::End::stayed, now);
  if (state.due && sent_lo(state.session->evidence, now) > state.due->upto) state.due.reset();
  change_session(agent, state, EventKind::confirmed, Reason::none);
}

void Tracker::withdraw(AgentId agent, AgentState& state, const Now& now) {
  const Reason left = state.handoff->left;
  if (left == Reason::worker_restart) return belongs_to_manager(agent, state);
  end_offer(state, Handoff::End::withdrawn, now);
  if (left == Reason::none) {
    change_session(agent, state, EventKind::withdrawn, Reason::none);
  } else {
    change_session(agent, state, EventKind::closed, left);
  }
}

// Whoever was not heard within the grace is gone. One that may have been is not: the ordinary rules
// will find out.
void Tracker::expire_offers(const Now& now) {
  for (auto it = offers_.begin(); it != offers_.end();) {
    const auto found = agents_.find(*it);
    if (found == agents_.end() || !found->second.offered()) {
      it = offers_.erase(it);
      continue;
    }
    const AgentId agent = *it++;
    AgentState& state = found->second;
    Handoff& h = *state.handoff;
    if (h.made.boot != timeline_.boot()) {
      // How long ago that was only a wall clock says, and it may have been set.
      h.made = timeline_.moment(now.boot_us, now);
      dirty_.insert(agent);
    }
    if (timeline_.since_us(h.made, now) < h.grace_us) continue;
    const bool maybe_here = h.left == Reason::none && timeline_.at(state.session->evidence.hi,
                                                                   now) > timeline_.at(h.made, now);
    if (maybe_here) {
      stay(agent, state, now);
    } else {
      end_offer(state, Handoff::End::expired, now);
      change_session(agent, state, EventKind::closed, Reason::handoff_expired);
    }
  }
}

void Tracker::waited_blind(std::int64_t us, const Now& now) {
  blind_us_ += us;
  if (blind_us_ >= kBlindUs) expire_offers(now);
}

// What another worker took. While this one is drained it counts as offered.
void Tracker::taken(AgentState& state, const NodeName& by, const Now& now) {
  const bool of_this_drain = drain_ && state.handoff && state.handoff->drain == drain_->number;
  if (!state.offered() && !of_this_drain) {
    if (!drain_) {
      remember(state.moves, {Move::Kind::released, by, timeline_.moment(now.boot_us, now)});
      return;
    }
    state.handoff = Handoff{};
    state.handoff->drain = drain_->number;
    state.handoff->grace_us = drain_->grace_us;
    state.handoff->made = timeline_.moment(now.boot_us, now);
  }
  end_offer(state, Handoff::End::taken, now);
  state.handoff->to = by;
}

DrainProgress Tracker::drain_progress() const {
  DrainProgress p;
  if (!drain_) return p;
  for (const auto& [agent, state] : agents_) {
    const bool handed = state.handoff && state.handoff->drain == drain_->number;
    if (is_open(state)) {
      ++(!handed ? p.waiting : state.offered() ? p.offered : p.stayed);
    } else if (handed && state.handoff->end == Handoff::End::taken) {
      ++p.taken[state.handoff->to];
    } else if (handed && state.handoff->end == Handoff::End::expired) {
      ++p.expired;
    }
  }
  return p;
}

}  // namespace rollcall::sidecar
