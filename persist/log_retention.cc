#include "persist/log_retention.h"

#include "persist/log_rules.h"

namespace rollcall::persist {

RetentionPlan plan_retention(const LogFiles& files, const Retention& retention,
                             std::chrono::system_clock::time_point now) {
  RetentionPlan plan;
  for (const auto& segment : files.segments) plan.left_bytes += segment.bytes;
  for (const auto& snapshot : files.snapshots) plan.left_bytes += snapshot.bytes;
  if (files.snapshots.size() < kSnapshotsKept) return plan;
  plan.head = files.snapshots[files.snapshots.size() - kSnapshotsKept].upto_index;
  for (std::size_t i = 0; i + 1 < files.segments.size(); ++i) {
    const auto& segment = files.segments[i];
    const auto next = files.segments[i + 1].first_index;
    const bool old = now - segment.written > retention.age;
    if (next > plan.head + 1 || (!old && plan.left_bytes <= retention.bytes)) break;
    if (plan.segments == 0) plan.first_index = segment.first_index;
    plan.keep_from = next;
    ++plan.segments;
    plan.bytes += segment.bytes;
    plan.left_bytes -= segment.bytes;
  }
  return plan;
}

}  // namespace rollcall::persist
