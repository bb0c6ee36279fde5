#include "sidecar/source/look_plan.h"

#include <algorithm>

namespace rollcall::sidecar {
namespace {

// For so long may a row be written after the time that stands in it.
constexpr std::int64_t kBehindMs = 500;
// More than this between two looks is a clock that was set.
constexpr std::int64_t kStepMs = 250;
// Rows from further ahead are of a clock that was set back; they would be read at every look until
// that time has come.
constexpr std::int64_t kAheadS = 60;
// Rows vanished: a whole look at once, but not one each second while many are deleted; and another
// when the tracker may take the second one as proof.
constexpr std::int64_t kSoonUs = 10'000'000;
constexpr std::int64_t kAgainUs = 31'000'000;

std::int64_t floor_s(std::int64_t ms) {
  return ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
}

}  // namespace

void LookPlan::set_scan(std::chrono::microseconds scan) {
  scan_us_ = scan.count();
  scan_at_us_ = std::min(scan_at_us_, scanned_us_ + scan_us_);
}

void LookPlan::connected() {
  last_.reset();
}

std::optional<LookPlan::Window> LookPlan::next(const Now& now) const {
  if (!last_ || now.mono_us >= scan_at_us_) return std::nullopt;
  const std::int64_t since_ms = (now.boot_us - last_->asked.boot_us) / 1000;
  return Window{.from_s = floor_s(last_->table_ms - kBehindMs - last_->took_ms),
                .to_s = floor_s(last_->table_ms + since_ms) + kAheadS};
}

bool LookPlan::goes_on(const Head& head) const {
  if (!last_ || !head.table_ms) return false;
  const std::int64_t least = (head.asked.boot_us - last_->answered.boot_us) / 1000 - kStepMs;
  const std::int64_t most = (head.answered.boot_us - last_->asked.boot_us) / 1000 + kStepMs;
  const std::int64_t passed = *head.table_ms - last_->table_ms;
  return passed >= least && passed <= most;
}

void LookPlan::looked(Kind kind, const Head& head, const Now& finished) {
  const bool fewer = last_ && head.table_rows < rows_;
  if (kind == Kind::whole) {
    const std::int64_t again_us = std::min(scan_us_, kAgainUs);
    scanned_us_ = head.asked.mono_us;
    scan_at_us_ = scanned_us_ + (fewer || vanished_ ? again_us : scan_us_);
    vanished_ = false;
  } else if (fewer) {
    vanished_ = true;
    scan_at_us_ = std::min(scan_at_us_, scanned_us_ + kSoonUs);
  }
  rows_ = head.table_rows;
  last_.reset();
  if (!head.table_ms) return;
  last_ = Last{.table_ms = *head.table_ms,
               .took_ms = (finished.mono_us - head.asked.mono_us) / 1000,
               .asked = head.asked,
               .answered = head.answered};
}

}  // namespace rollcall::sidecar
