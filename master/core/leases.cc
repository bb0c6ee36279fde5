#include "master/core/leases.h"

#include <algorithm>

namespace rollcall::master {
Leases::Leases(const State& state, Times times, MasterTime at, const Now& now) : last_tick_(now) {
  for (const auto& [name, node] : state.nodes()) {
    Deadlines& d = deadlines_[name];
    d.silent_at = now.mono_us + times.ttl_us;
    d.unconfirmed_at = now.mono_us + 3 * times.ttl_us;
    if (node.away) d.silent_at = std::max(d.silent_at, now.mono_us + node.away->until.us - at.us);
    if (node.lease.status == LeaseStatus::lapsed) d.expires_at = now.mono_us + times.grace_us;
  }
}

void Leases::away(const NodeName& node, std::int64_t back_within_us, const Now& now) {
  Deadlines& d = deadlines_[node];
  d.silent_at = std::max(d.silent_at, now.mono_us + back_within_us);
  d.compares = false;
}

std::optional<LeaseChanged> Leases::renewed(const State& state, const NodeName& node, Times times,
                                            const Now& now) {
  const auto [it, is_new] = deadlines_.try_emplace(node);
  Deadlines& d = it->second;
  d.silent_at = now.mono_us + times.ttl_us;
  const Lease& lease = state.nodes().at(node).lease;
  const bool begins = lease.status != LeaseStatus::valid && lease.cause != LeaseCause::unconfirmed;
  if (is_new || begins) d.unconfirmed_at = now.mono_us + 3 * times.ttl_us;
  if (!begins) return std::nullopt;
  d.expires_at.reset();
  return LeaseChanged{node, LeaseStatus::valid, LeaseCause::none, {}};
}

std::optional<LeaseChanged> Leases::confirmed(const State& state, const NodeName& node, Times times,
                                              const Now& now) {
  Deadlines& d = deadlines_[node];
  d.unconfirmed_at = now.mono_us + 3 * times.ttl_us;
  d.silent_at = std::max(d.silent_at, now.mono_us + times.ttl_us);
  if (state.nodes().at(node).lease.status == LeaseStatus::valid) return std::nullopt;
  d.expires_at.reset();
  return LeaseChanged{node, LeaseStatus::valid, LeaseCause::none, {}};
}

std::int64_t Unheard::later(std::int64_t deadline, std::int64_t at_least_us, const Now& now) const {
  return halted ? std::max(deadline, now.mono_us + at_least_us) : deadline + us;
}

Unheard Leases::make_up(const State& state, Times times, bool deaf, const Now& now) {
  const std::int64_t gap = now.mono_us - last_tick_.mono_us;
  const bool suspended = now.boot_us - last_tick_.boot_us > gap + kHaltedUs;
  last_tick_ = now;
  Unheard unheard;
  unheard.halted = suspended || gap > kHaltedUs;
  if (deaf || unheard.halted) unheard.us = gap;
  for (auto& [name, d] : deadlines_) {
    if (unheard.us == 0 && !unheard.halted && d.compares) continue;  // nothing to make up
    const LeaseStatus lease = state.lease_of(name);
    if (lease == LeaseStatus::valid) {
      d.silent_at = unheard.later(d.silent_at, times.ttl_us, now);
      d.unconfirmed_at =
          d.compares ? unheard.later(d.unconfirmed_at, times.ttl_us, now) : d.unconfirmed_at + gap;
    } else if (d.expires_at && lease == LeaseStatus::lapsed) {
      const std::int64_t of_grace = unheard.halted ? unheard.us : 0;
      d.expires_at = unheard.later(*d.expires_at + of_grace, times.ttl_us, now);
    }
  }
  return unheard;
}

std::optional<LeaseCause> Leases::lapse_of(const Deadlines& d, const Now& now) const {
  if (now.mono_us >= d.silent_at) return LeaseCause::silent;
  if (d.compares && now.mono_us >= d.unconfirmed_at) return LeaseCause::unconfirmed;
  return std::nullopt;
}

std::vector<LeaseChanged> Leases::tick(const State& state, Times times, MasterTime at,
                                       const Now& now) {
  std::vector<LeaseChanged> changes;
  for (auto& [name, d] : deadlines_) {
    const auto cause = lapse_of(d, now);
    if (!cause) continue;
    if (state.lease_of(name) != LeaseStatus::valid) continue;
    d.expires_at = now.mono_us + times.grace_us;
    changes.push_back({name, LeaseStatus::lapsed, *cause, {}});
  }
  const std::vector<NodeName> over = due(state, at, now);
  if (over.empty()) return changes;
  const LeaseStatus to = too_many(state, times, at, now) ? LeaseStatus::held : LeaseStatus::expired;
  for (const NodeName& name : over)
    changes.push_back({name, to, state.nodes().at(name).lease.cause, {}});
  return changes;
}

// Those whose grace is over. Of what is frozen it is over when the freeze ends.
std::vector<NodeName> Leases::due(const State& state, MasterTime at, const Now& now) {
  std::vector<NodeName> over;
  for (auto& [name, d] : deadlines_) {
    if (!d.expires_at || now.mono_us < *d.expires_at) continue;
    if (state.lease_of(name) != LeaseStatus::lapsed) continue;
    if (const auto until = state.frozen_until(name); until && *until > at) {
      d.expires_at = now.mono_us;
    } else {
      over.push_back(name);
    }
  }
  return over;
}

// Whether what is due within one TTL of now, before and after, is more than workers can be believed
// to fail by themselves. Those whose time was up before do not count on either side, nor those that
// lapsed and are frozen for longer: they may be away.
bool Leases::too_many(const State& state, Times times, MasterTime at, const Now& now) const {
  std::size_t workers = 0, agents = 0, due = 0, agents_due = 0;
  for (const auto& [name, d] : deadlines_) {
    const NodeLog& node = state.nodes().at(name);
    if (node.lease.status != LeaseStatus::valid) {
      if (!d.expires_at || *d.expires_at < now.mono_us - times.ttl_us) continue;
      const auto until = state.frozen_until(name);
      if (until && until->us > at.us + times.ttl_us) continue;
      if (*d.expires_at <= now.mono_us + times.ttl_us) {
        ++due;
        agents_due += node.on_top;
      }
    }
    ++workers;
    agents += node.on_top;
  }
  return due == workers || (due >= 3 && due * 100 > workers * 30) ||
         (due >= 2 && agents_due * 100 > agents * 15);
}

std::vector<LeaseChanged> Leases::confirm_expiry(const State& state) const {
  std::vector<LeaseChanged> changes;
  for (const auto& [name, node] : state.nodes()) {
    if (node.lease.status != LeaseStatus::held) continue;
    // That its sessions are unconfirmed is not over with it.
    const bool unconfirmed = node.lease.cause == LeaseCause::unconfirmed;
    changes.push_back({name,
                       LeaseStatus::expired,
                       unconfirmed ? LeaseCause::unconfirmed : LeaseCause::confirmed,
                       {}});
  }
  return changes;
}

std::optional<std::int64_t> Leases::left_us(const State& state, const NodeName& node,
                                            const Now& now) const {
  const auto it = deadlines_.find(node);
  if (it == deadlines_.end()) return std::nullopt;
  const Deadlines& d = it->second;
  const LeaseStatus status = state.lease_of(node);
  std::optional<std::int64_t> end;
  if (status == LeaseStatus::valid)
    end = d.compares ? std::min(d.silent_at, d.unconfirmed_at) : d.silent_at;
  if (status == LeaseStatus::lapsed) end = d.expires_at;
  if (!end) return std::nullopt;
  return std::max<std::int64_t>(0, *end - now.mono_us);
}

}  // namespace rollcall::master
