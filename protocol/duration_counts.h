#pragma once
// How often something took how long, in classes, for people who watch. A plain value; pure.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace rollcall {

struct DurationCounts {
  // What a class holds at most; a last one holds what took longer than all of these.
  static constexpr std::array<std::int64_t, 20> kBoundsUs{
      100,       250,        500,        1'000,      2'500,       5'000,        10'000,
      25'000,    50'000,     100'000,    250'000,    500'000,     1'000'000,    2'500'000,
      5'000'000, 10'000'000, 30'000'000, 60'000'000, 300'000'000, 1'800'000'000};

  std::array<std::uint64_t, kBoundsUs.size() + 1> counts{};
  std::int64_t sum_us = 0;

  // Less than nothing is what a clock says that was set back: nothing.
  void add(std::int64_t us) {
    us = std::max<std::int64_t>(us, 0);
    const auto bound = std::ranges::lower_bound(kBoundsUs, us);
    ++counts[static_cast<std::size_t>(bound - kBoundsUs.begin())];
    sum_us += us;
  }
  std::uint64_t total() const {
    std::uint64_t all = 0;
    for (const std::uint64_t n : counts) all += n;
    return all;
  }
};

}  // namespace rollcall
