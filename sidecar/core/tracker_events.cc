// What an events source tells: Tracker::observe() of single events. The rules are those of looks
// (docs/protocol.md, section 11); docs/events.md has them for whoever writes a source.
#include <algorithm>
#include <memory>
#include <utility>

#include "sidecar/core/tracker.h"

namespace rollcall::sidecar {
namespace {

// It is said a few times a second that the source is watched: longer was a halt.
constexpr std::int64_t kWatchedUs = 1'000'000;

}  // namespace

void Tracker::observe(const Observation& o, const Now& now) {
  const LocalMoment at = timeline_.moment(o.boot_us, now);
  switch (o.kind) {
    case Observation::Kind::connect:
    case Observation::Kind::keepalive:
      return heard(o, at, now);
    case Observation::Kind::disconnect:
      return left(o, at, now);
    case Observation::Kind::remove:
      return gone(o, at, now);
  }
}

// Whether something newer is known of this stay.
bool Tracker::older(const LocalMoment& at, const AgentState& state, const Now& now) const {
  return timeline_.at(at, now) < timeline_.at(state.session->evidence.lo, now);
}

// Connect and keepalive differ in nothing here: both prove that the agent spoke. A connect inside
// an open session is a reconnect that nobody ended; the stay goes on.
void Tracker::heard(const Observation& o, const LocalMoment& at, const Now& now) {
  AgentState& state = agents_[o.agent];
  state.heard_covered_us = covered_total_us_;
  if (state.row) {
    // From a time when looks told of it: its info was not kept.
    state.row.reset();
    state.info_hash = InfoHash{};
    dirty_.insert(o.agent);
  }
  const LocalEvidence evidence{at, at};
  if (is_open(state)) {
    const bool news = !older(at, state, now);
    const bool this_stay =
        timeline_.at(at, now) >= timeline_.at(state.session->start, now) && !state.info_told_here;
    if (news) {
      take_evidence(state, evidence, now);
      dirty_.insert(o.agent);
    }
    if (o.info && (news || this_stay)) {
      const InfoHash hash = hash_of(*o.info);
      keep_info(o, state, hash);
      tell_info(o.agent, state, o.info, hash);
    }
    // The master asked, and what was read back did not reach it.
    if (news && !o.info && state.told_hash == InfoHash{} && state.info_hash != InfoHash{})
      want_info(o.agent, state, now);
    if (news) answer_offer(o.agent, state, now);
    if (state.due && sent_lo(state.session->evidence, now) > state.due->upto) {
      state.due.reset();
      change_session(o.agent, state, EventKind::confirmed, Reason::none);
    }
    return;
  }
  state.due.reset();
  if (!later(evidence, state, now)) return;
  open_session(o.agent, state, evidence, now, EventKind::opened, Reason::none);
  if (o.info) tell_with_claim(o, state);
  if (drain_) offer(o.agent, state, Reason::none, now);
}

void Tracker::tell_with_claim(const Observation& o, AgentState& state) {
  // The fields go with the claim: no second event for each agent that connects.
  const InfoHash hash = hash_of(*o.info);
  keep_info(o, state, hash);
  LocalEvent& e = events_.back();
  e.info_hash = hash;
  if (hash != state.told_hash && !may_ask()) e.info = o.info;
  e.info_kept = e.info != nullptr;
  state.told_hash = hash;
  state.info_told_here = true;
}

void Tracker::keep_info(const Observation& o, AgentState& state, InfoHash hash) {
  if (state.info_hash == hash) return;
  if (o.info_clipped) {
    notes_.push_back({NoteLevel::warning,
                      "an agent's fields are larger than a frame may be; the rest is left out",
                      {{"agent", std::to_string(static_cast<std::uint32_t>(o.agent))}}});
  }
  state.info_hash = hash;
  kept_infos_.emplace_back(o.agent, o.info);
  dirty_.insert(o.agent);
}

void Tracker::left(const Observation& o, const LocalMoment& at, const Now& now) {
  auto it = agents_.find(o.agent);
  if (it == agents_.end()) {
    if (!o.heard) return;
    it = agents_.try_emplace(o.agent).first;
  }
  AgentState& state = it->second;
  const LocalEvidence evidence{at, at};
  if (is_open(state)) {
    if (older(at, state, now)) return;
    if (o.heard) take_evidence(state, evidence, now);
    left_here(o.agent, state, o.reason, now);
    return;
  }
  state.due.reset();
  // It came and went, and nobody told that it came: without a word of it, another worker's ghost
  // would stay on top. Only the agent's own goodbye proves that.
  if (o.heard && later(evidence, state, now)) visited(o.agent, state, evidence, o.reason, now);
}

void Tracker::gone(const Observation& o, const LocalMoment& at, const Now& now) {
  const auto it = agents_.find(o.agent);
  if (it == agents_.end()) return;
  AgentState& state = it->second;
  if (state.session) {
    if (older(at, state, now)) return;
    end_removed(o.agent, state, now);
  }
  kept_infos_.emplace_back(o.agent, nullptr);
  removed_.push_back(o.agent);
  dirty_.erase(o.agent);
  agents_.erase(it);
}

void Tracker::watched(const Now& now) {
  covered_us_ = last_good_mono_us_ ? std::min(now.mono_us - *last_good_mono_us_, kWatchedUs) : 0;
  last_good_mono_us_ = now.mono_us;
  for (auto it = due_.begin(); it != due_.end();) {
    const auto found = agents_.find(*it);
    if (found == agents_.end() || !found->second.due) {
      it = due_.erase(it);
      continue;
    }
    answer_due(found->first, found->second, now);
    ++it;
  }
  answer_own_winners(now);
  blind_us_ = 0;
  expire_offers(now);
  // Only if it is configured: not every source tells of keepalives.
  if (config_.agent_timeout_us == 0) return;
  covered_total_us_ += std::min(covered_us_, config_.agent_timeout_us / 4);
  if (covered_total_us_ - silence_checked_us_ < config_.agent_timeout_us / 64) return;
  silence_checked_us_ = covered_total_us_;
  for (auto& [agent, state] : agents_) close_if_silent(agent, state);
}

// No look will come for agents that looks told of before.
void Tracker::answer_own_winners(const Now& now) {
  for (const auto& [agent, winner] : std::exchange(own_winners_, {})) {
    const auto it = agents_.find(agent);
    if (it != agents_.end()) outbid_if_newer(agent, it->second, winner, now);
  }
}

void Tracker::unwatched() {
  last_good_mono_us_.reset();
  for (const AgentId agent : due_) {
    const auto it = agents_.find(agent);
    if (it != agents_.end() && it->second.due) it->second.due->covered_us = 0;
  }
}

}  // namespace rollcall::sidecar
