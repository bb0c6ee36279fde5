#include "app/clock.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "app/random.h"

namespace rollcall::app {
namespace {

std::int64_t read_us(clockid_t clock) {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) {
    // Linux has had all three clocks since 2.6.39; going on with a zero would make wrong epochs.
    std::perror("clock_gettime");
    std::abort();
  }
  return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

std::string read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (std::getline(file, id) && !id.empty()) return id;
  return "process-" + std::to_string(random_seed());
}

}  // namespace

Now SystemClock::now() {
  return Now{.wall_us = read_us(CLOCK_REALTIME),
             .mono_us = read_us(CLOCK_MONOTONIC),
             .boot_us = read_us(CLOCK_BOOTTIME)};
}

std::string SystemClock::boot_id() {
  static const std::string id = read_boot_id();
  return id;
}

}  // namespace rollcall::app
