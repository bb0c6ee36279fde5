#pragma once
// Local moments and what they are in the master's time (docs/protocol.md, section 6). Evidence is
// kept in local terms and translated when it is used, never as "now". Pure; loop thread.
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

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

// The master's time begins anew when its machine reboots, and may then have jumped ahead. Moments
// of before keep the places that they had: each run of the master's time has a translation of its
// own, and a moment is translated by the run in which it was.
class Timeline {
 public:
  static constexpr std::int64_t kOtherBootErrorUs = 3'600'000'000;
  static constexpr std::size_t kMaxRuns = 8;

  struct Run {
    MasterTime began;
    std::int64_t offset_us = 0;  // the master's time minus this machine's boot clock
    std::int64_t error_us = 0;
    bool operator==(const Run&) const = default;
  };

  explicit Timeline(std::uint64_t boot) : boot_(boot) {}

  // An exchange with the master whose time began at `began`.
  void add(MasterTime began, std::int64_t t0, std::int64_t t1, std::int64_t t2, std::int64_t t3) {
    if (began != began_ || !clock_.known()) {
      if (clock_.known()) runs_.push_back(present(t3));
      // After a restart of this process the run that it remembers goes on. Runs that began later
      // the master has lost with its log: nobody else tells their time any more.
      std::erase_if(runs_, [&](const Run& r) { return r.began >= began; });
      if (runs_.size() > kMaxRuns) runs_.erase(runs_.begin());
      clock_.reset();
      began_ = began;
    }
    clock_.add(t0, t1, t2, t3);
  }
  void add(std::int64_t t0, std::int64_t t1, std::int64_t t2, std::int64_t t3) {
    clock_.add(t0, t1, t2, t3);
  }
  // Another master: nothing that was learnt holds.
  void reset() {
    clock_.reset();
    runs_.clear();
    began_ = {};
  }

  const MasterClock& clock() const { return clock_; }
  // Whether moments can be told in the master's time. Without it at() is never sent.
  bool known() const { return clock_.known(); }
  // Whether at() can be compared with what the master said: after a restart within one boot it goes
  // on with what was learnt before. Otherwise it is this machine's wall clock, good for comparing
  // moments of this machine with each other only.
  bool comparable() const { return known() || !runs_.empty(); }

  LocalMoment moment(std::int64_t boot_us, const Now& now) const {
    return {boot_, boot_us, now.wall_us - (now.boot_us - boot_us)};
  }

  MasterTime at(const LocalMoment& m, const Now& now) const {
    const std::int64_t boot_us = boot_time(m, now);
    if (!comparable()) return {now.wall_us - (now.boot_us - boot_us)};
    std::size_t before = runs_.size();  // the runs before the one that is tried
    MasterTime t, next;
    if (known()) {
      t = clock_.at(boot_us);
      next = began_;
    } else {
      t = {boot_us + runs_[--before].offset_us};
      next = runs_[before].began;
    }
    while (t < next && before > 0) {
      t = std::min(MasterTime{boot_us + runs_[--before].offset_us}, next);
      next = runs_[before].began;
    }
    return t;
  }

  // How far at() can be off for this moment.
  std::int64_t error_us(const LocalMoment& m, const Now& now) const {
    std::int64_t error = kOtherBootErrorUs;
    if (known()) {
      error = clock_.error_us(now.boot_us);
      // Of before the present run: as good as what is known of the run before, if anything is.
      if (clock_.at(boot_time(m, now)) < began_)
        error = std::max(error, runs_.empty() ? kOtherBootErrorUs : runs_.back().error_us);
    }
    return error + (m.boot == boot_ ? 0 : kOtherBootErrorUs);
  }

  // How long ago a moment was, by this machine's own clocks.
  std::int64_t since_us(const LocalMoment& m, const Now& now) const {
    return m.boot == boot_ ? now.boot_us - m.boot_us : now.wall_us - m.wall_us;
  }

  // The same moment at the earliest and at the latest. Whatever the wall clock said, what was in
  // another boot was before this one began.
  MasterTime earliest(const LocalMoment& m, const Now& now) const {
    return {at(m, now).us - error_us(m, now)};
  }
  MasterTime latest(const LocalMoment& m, const Now& now) const {
    const MasterTime t{at(m, now).us + error_us(m, now)};
    if (m.boot == boot_) return t;
    const LocalMoment began{boot_, 0, 0};
    return std::min(t, {at(began, now).us + error_us(began, now)});
  }

  // For the store: within one boot a restarted process goes on with what was learnt.
  std::uint64_t boot() const { return boot_; }
  std::vector<Run> runs(const Now& now) const {
    std::vector<Run> all = runs_;
    if (clock_.known()) all.push_back(present(now.boot_us));
    return all;
  }
  void restore(std::vector<Run> runs) { runs_ = std::move(runs); }

 private:
  std::int64_t boot_time(const LocalMoment& m, const Now& now) const {
    // Another boot's moments are told apart by wall clock alone; whatever it says, they were before
    // this boot began.
    return m.boot == boot_ ? m.boot_us
                           : std::min<std::int64_t>(0, now.boot_us - (now.wall_us - m.wall_us));
  }
  Run present(std::int64_t now_boot_us) const {
    return {began_, clock_.offset_us(), clock_.error_us(now_boot_us)};
  }

  std::uint64_t boot_;
  MasterClock clock_;
  MasterTime began_;
  std::vector<Run> runs_;  // before the present one, oldest first
};

}  // namespace rollcall::sidecar
