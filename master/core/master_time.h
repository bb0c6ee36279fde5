#pragma once
// The time that orders epochs (docs/protocol.md, section "Time"). It never steps back, whatever the
// master's wall clock does: before a time is told, a reservation beyond it is in the log. Pure.
#include <algorithm>
#include <cstdint>
#include <optional>

#include "master/core/log_record.h"
#include "protocol/ids.h"
#include "protocol/now.h"

namespace rollcall::master {

class MasterTimeSource {
 public:
  static constexpr std::int64_t kAheadUs = 20'000'000;

  // `last`: the last reservation in the log; nothing later was ever told. Within the same boot the
  // time goes on as it ran, so that moments which workers translated before the restart keep their
  // places. After a reboot it begins at the wall clock or the reservation, whichever is later.
  MasterTimeSource(const TimeReserved& last, std::uint64_t boot, const Now& now)
      : boot_(boot), reserved_(last.until) {
    const bool goes_on = last.boot == boot && last.until.us != 0;
    const MasterTime begin{std::max(now.wall_us, last.until.us)};
    // The first run of a log's time has no other before it.
    began_ = goes_on ? last.began : last.until.us == 0 ? MasterTime{} : begin;
    offset_us_ = goes_on ? last.offset_us : begin.us - now.boot_us;
  }

  // Where the clock stands, told or not.
  MasterTime clock(const Now& now) const { return {now.boot_us + offset_us_}; }
  // The time to tell: stands still at the reservation until a later one is durable.
  MasterTime tell(const Now& now) {
    told_ = std::max(told_, std::min(clock(now), reserved_));
    return told_;
  }
  // False while it stands still: then it is no sample for anybody's estimate.
  bool runs(const Now& now) const { return clock(now) <= reserved_; }
  // Where this run of the time began (0: it is the first): what was translated before is not to be
  // moved.
  MasterTime began() const { return began_; }

  // A reservation that should be logged now, if one is due.
  std::optional<TimeReserved> due(const Now& now) {
    const MasterTime at = clock(now);
    if (asked_.us != 0 && at.us + kAheadUs / 2 < asked_.us) return std::nullopt;
    asked_ = {at.us + kAheadUs};
    return TimeReserved{asked_, began_, boot_, offset_us_};
  }
  void reserved(MasterTime until) {
    reserved_ = std::max(reserved_, until);
    ready_ = true;
  }
  // Whether any time can be told: false until the first reservation of this run is durable.
  bool ready() const { return ready_; }

 private:
  std::uint64_t boot_;
  std::int64_t offset_us_ = 0;
  MasterTime began_;
  MasterTime reserved_;
  MasterTime asked_;
  MasterTime told_;
  bool ready_ = false;
};

}  // namespace rollcall::master
