#include "protocol/duration_counts.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace rollcall {
namespace {

TEST(DurationCounts, ADurationIsInTheFirstClassThatHoldsIt) {
  DurationCounts counts;
  counts.add(DurationCounts::kBoundsUs[0]);
  counts.add(DurationCounts::kBoundsUs[0] + 1);
  counts.add(DurationCounts::kBoundsUs.back() + 1);
  EXPECT_EQ(counts.counts.front(), 1u);
  EXPECT_EQ(counts.counts[1], 1u);
  EXPECT_EQ(counts.counts.back(), 1u);
  EXPECT_EQ(counts.total(), 3u);
}

TEST(DurationCounts, TheSumIsOfAllAndWhatAClockTookBackCountsAsNothing) {
  DurationCounts counts;
  counts.add(300);
  counts.add(-5);
  EXPECT_EQ(counts.sum_us, 300);
  EXPECT_EQ(counts.counts.front(), 1u);
}

TEST(DurationCounts, TheBoundsAscend) {
  EXPECT_TRUE(std::ranges::is_sorted(DurationCounts::kBoundsUs));
}

}  // namespace
}  // namespace rollcall
