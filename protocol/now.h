#pragma once
#include <cstdint>
namespace rollcall {
// One reading of a machine's three clocks, in microseconds.
struct Now {
  std::int64_t wall_us = 0;  // since the Unix epoch; may step
  std::int64_t mono_us = 0;  // stands still while the machine is suspended
  std::int64_t boot_us = 0;  // since boot, suspend included
};
}  // namespace rollcall
