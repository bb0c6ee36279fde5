#pragma once
// A sidecar's estimate of the master's time (docs/protocol.md, section 6). Pure.
#include <cstdint>
#include <deque>
#include <optional>

#include "protocol/ids.h"

namespace rollcall {

// Keeps the exchanges of a sliding window and believes the one with the smallest round trip.
// `boot_us` is this machine's boot-time clock; the master's time = boot_us + offset.
class MasterClock {
 public:
  static constexpr std::size_t kWindow = 16;
  static constexpr std::int64_t kDriftPpm = 100;

  // One exchange: sent at t0 and answered at t3 (boot clock); received at t1 and answered at t2
  // (the master's time). Ignored if it cannot be (negative round trip).
  void add(std::int64_t t0, std::int64_t t1, std::int64_t t2, std::int64_t t3);
  void reset();  // another master: nothing that was learnt holds

  bool known() const { return !samples_.empty(); }
  std::int64_t samples() const { return count_; }  // ever taken; tells that a fresh one came

  // The master's time at a moment of this machine's boot clock. Needs known().
  MasterTime at(std::int64_t boot_us) const;
  // How far that can be off, for an estimate used at `now_boot_us`: half the round trip and the
  // drift since the sample was taken.
  std::int64_t error_us(std::int64_t now_boot_us) const;
  std::int64_t offset_us() const;

 private:
  struct Sample {
    std::int64_t offset;
    std::int64_t rtt;
    std::int64_t taken;
    std::int64_t badness(std::int64_t now) const {
      return rtt / 2 + (now - taken) * kDriftPpm / 1'000'000;
    }
  };
  Sample best_of_all() const;
  std::deque<Sample> samples_;
  Sample best_{};  // of them
  std::int64_t count_ = 0;
};

}  // namespace rollcall
