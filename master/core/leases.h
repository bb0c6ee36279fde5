#pragma once
// Which workers are proven to be there (docs/protocol.md, section 14, "Lease"): the deadlines
// behind the statuses that the state has. They run by the monotonic clock. Every change comes back
// as the record to be logged, which is what makes it count. Pure; loop thread only.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "master/core/log_record.h"
#include "master/core/state.h"
#include "protocol/ids.h"
#include "protocol/now.h"

namespace rollcall::master {

// Time before now that is nobody's silence: nothing was read, or this process or machine stood
// still.
struct Unheard {
  std::int64_t us = 0;
  bool halted = false;  // for an unknown time: all have a fresh one to be heard

  std::int64_t later(std::int64_t deadline, std::int64_t at_least_us, const Now& now) const;
};

class Leases {
 public:
  struct Times {
    std::int64_t ttl_us = 0;
    std::int64_t grace_us = 0;
  };

  // After a start: the leases that ran at the end of the log run again for a whole TTL, and the
  // grace of those that had lapsed begins anew.
  // Of a worker that stopped on purpose it runs until that is back. `at`: the master's time.
  Leases(const State& state, Times times, MasterTime at, const Now& now);

  // The worker's link is proven; HELLO begins its lease. A lease that lapsed because its sessions
  // were not confirmed needs confirmed().
  std::optional<LeaseChanged> renewed(const State& state, const NodeName& node, Times times,
                                      const Now& now);
  // It has a new connection. Until a digest came with it, it may be one that sends none.
  void connected(const NodeName& node) { deadlines_[node].compares = false; }
  void compares(const NodeName& node) { deadlines_[node].compares = true; }
  // Both sides agree on its sessions, or found out where they do not.
  std::optional<LeaseChanged> confirmed(const State& state, const NodeName& node, Times times,
                                        const Now& now);
  // Before each tick: what since the last one was nobody's silence ends no lease. `deaf`: nothing
  // was read.
  Unheard make_up(const State& state, Times times, bool deaf, const Now& now);
  // What is due.
  std::vector<LeaseChanged> tick(const State& state, Times times, MasterTime at, const Now& now);
  // An operator's word: what is held expires.
  std::vector<LeaseChanged> confirm_expiry(const State& state) const;
  // It stops on purpose: its lease runs for so long, or as it ran.
  void away(const NodeName& node, std::int64_t back_within_us, const Now& now);
  void forget(const NodeName& node) { deadlines_.erase(node); }

  // Until the node's lease lapses or expires; nothing if no deadline runs.
  std::optional<std::int64_t> left_us(const State& state, const NodeName& node,
                                      const Now& now) const;

 private:
  // Without a tick for so long the master was halted.
  static constexpr std::int64_t kHaltedUs = 5'000'000;

  struct Deadlines {
    std::int64_t silent_at = 0;
    std::int64_t unconfirmed_at = 0;
    bool compares = false;  // the connection has sent a digest; until then that time stands still
    std::optional<std::int64_t> expires_at;  // stays when it expired or is held
  };

  std::optional<LeaseCause> lapse_of(const Deadlines& d, const Now& now) const;
  std::vector<NodeName> due(const State& state, MasterTime at, const Now& now);
  bool too_many(const State& state, Times times, MasterTime at, const Now& now) const;

  std::map<NodeName, Deadlines> deadlines_;
  Now last_tick_;
};

}  // namespace rollcall::master
