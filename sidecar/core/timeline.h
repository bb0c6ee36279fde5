#pragma once
// Local moments and what they are in the master's time (docs/protocol.md, section 6). Evidence is
// kept in local terms and translated when it is used, never as "now". Pure; loop thread.
#include <algorithm>
#include <cstdint>

#include "protocol/master_clock.h"
#include "protocol/now.h"

namespace rollcall::sidecar {

// A moment on this machine: comparable by boot time within one boot, by wall clock otherwise.
struct LocalMoment {
  std::uint64_t boot = 0;  // which boot: a hash of the boot id
  std::int64_t boot_us = 0;
  std::int64_t wall_us = 0;
  bool operator==(const LocalMoment&) const = default;
};

class Timeline {
 public:
  static constexpr std::int64_t kOtherBootErrorUs = 3'600'000'000;

  explicit Timeline(std::uint64_t boot) : boot_(boot) {}

  MasterClock& clock() { return clock_; }
  const MasterClock& clock() const { return clock_; }
  // Whether moments can be told in the master's time. Without it at() is provisional: good for
  // comparing moments of this machine with each other, never sent.
  bool known() const { return clock_.known(); }

  LocalMoment moment(std::int64_t boot_us, const Now& now) const {
    return {boot_, boot_us, now.wall_us - (now.boot_us - boot_us)};
  }

  MasterTime at(const LocalMoment& m, const Now& now) const {
    const std::int64_t boot_us =
        m.boot == boot_ ? m.boot_us
                        : now.boot_us - std::max<std::int64_t>(0, now.wall_us - m.wall_us);
    return known() ? clock_.at(boot_us) : MasterTime{now.wall_us - (now.boot_us - boot_us)};
  }

  // How far at() can be off for this moment.
  std::int64_t error_us(const LocalMoment& m, const Now& now) const {
    const std::int64_t clock = known() ? clock_.error_us(now.boot_us) : kOtherBootErrorUs;
    return clock + (m.boot == boot_ ? 0 : kOtherBootErrorUs);
  }

 private:
  std::uint64_t boot_;
  MasterClock clock_;
};

}  // namespace rollcall::sidecar
