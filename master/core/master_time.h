#pragma once
// The time that orders epochs (docs/protocol.md, section 6). It never steps back, whatever the
// master's wall clock does: before a time is told, a reservation beyond it is in the log. Pure.
#include <algorithm>
#include <cstdint>
#include <optional>

#include "protocol/ids.h"
#include "protocol/now.h"

namespace rollcall::master {

class MasterTimeSource {
 public:
  static constexpr std::int64_t kAheadUs = 60'000'000;

  // `reserved`: the last reservation in the log; nothing later was ever told.
  MasterTimeSource(MasterTime reserved, const Now& now)
      : base_us_(std::max(now.wall_us, reserved.us)),
        base_boot_us_(now.boot_us),
        reserved_(reserved) {}

  // Where the clock stands, told or not.
  MasterTime clock(const Now& now) const { return {base_us_ + (now.boot_us - base_boot_us_)}; }
  // The time to tell: stands still at the reservation until a later one is durable.
  MasterTime tell(const Now& now) {
    told_ = std::max(told_, std::min(clock(now), reserved_));
    return told_;
  }
  // A reservation that should be logged now, if one is due.
  std::optional<MasterTime> due(const Now& now) {
    const MasterTime at = clock(now);
    if (at.us + kAheadUs / 2 < std::max(reserved_.us, asked_.us)) return std::nullopt;
    asked_ = {at.us + kAheadUs};
    return asked_;
  }
  void reserved(MasterTime until) { reserved_ = std::max(reserved_, until); }
  // Whether any time can be told: false until the first reservation of this run is durable.
  bool ready(const Now& now) const { return clock(now) < reserved_; }

 private:
  std::int64_t base_us_;
  std::int64_t base_boot_us_;
  MasterTime reserved_;
  MasterTime asked_;
  MasterTime told_;
};

}  // namespace rollcall::master
