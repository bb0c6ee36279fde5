#include "protocol/master_clock.h"

#include <algorithm>

namespace rollcall {

void MasterClock::add(std::int64_t t0, std::int64_t t1, std::int64_t t2, std::int64_t t3) {
  const std::int64_t rtt = (t3 - t0) - (t2 - t1);
  if (t3 < t0 || t2 < t1 || rtt < 0) return;
  const std::int64_t offset = ((t1 - t0) + (t2 - t3)) / 2;
  // A machine that was suspended, or a master that came back with another time, makes the old
  // samples wrong by more than their own error: then only the new one counts.
  if (known()) {
    const std::int64_t room = best_.badness(t3) + rtt / 2 + 1000;
    if (offset > best_.offset + room || offset < best_.offset - room) samples_.clear();
  }
  samples_.push_back({offset, rtt, t3});
  if (samples_.size() > kWindow) samples_.pop_front();
  best_ = best_of_all();
  ++count_;
}

void MasterClock::reset() {
  samples_.clear();
}

MasterClock::Sample MasterClock::best_of_all() const {
  // Judged at the newest sample's moment: the ages that follow are common to all.
  const std::int64_t now = samples_.back().taken;
  return *std::min_element(samples_.begin(), samples_.end(), [&](const Sample& a, const Sample& b) {
    return a.badness(now) < b.badness(now);
  });
}

MasterTime MasterClock::at(std::int64_t boot_us) const {
  return {boot_us + best_.offset};
}

std::int64_t MasterClock::error_us(std::int64_t now_boot_us) const {
  return best_.badness(now_boot_us);
}

std::int64_t MasterClock::offset_us() const {
  return best_.offset;
}

}  // namespace rollcall
