// Which old segments may go. A snapshot stays at the head of what is kept, with every record behind
// it; of the two that are kept it is the older one, so that damage to one of them loses nothing.
// Pure.
#pragma once
#include <chrono>
#include <cstdint>

#include "persist/event_log.h"

namespace rollcall::persist {

struct Retention {
  std::chrono::microseconds age;  // a segment goes when its newest record is older than that,
  std::uint64_t bytes;            // or when all files together are larger than that
};

struct RetentionPlan {
  std::uint64_t keep_from = 0;  // for remove_segments_before(); 0: nothing goes
  std::uint64_t head = 0;       // the snapshot that stands for what goes; it must be good
  std::uint64_t first_index = 0, segments = 0, bytes = 0;  // what goes
  std::uint64_t left_bytes = 0;                            // of all files that stay
};

RetentionPlan plan_retention(const LogFiles& files, const Retention& retention,
                             std::chrono::system_clock::time_point now);

}  // namespace rollcall::persist
