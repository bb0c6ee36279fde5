#include "app/clock.h"

#include <gtest/gtest.h>

namespace rollcall::app {
namespace {

TEST(SystemClock, NeitherMonotonicNorBootTimeStepsBack) {
  SystemClock clock;
  Now last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    const Now now = clock.now();
    ASSERT_GE(now.mono_us, last.mono_us);
    ASSERT_GE(now.boot_us, last.boot_us);
    last = now;
  }
}

TEST(SystemClock, BootTimeHoldsAtLeastTheMonotonicTime) {
  SystemClock clock;
  const Now now = clock.now();
  // The two are read one after the other, monotonic first.
  EXPECT_GE(now.boot_us, now.mono_us);
}

TEST(SystemClock, WallTimeIsInMicrosecondsSinceTheEpoch) {
  SystemClock clock;
  EXPECT_GT(clock.now().wall_us, 1'600'000'000'000'000);   // 2020
  EXPECT_LT(clock.now().wall_us, 16'000'000'000'000'000);  // 2477: not nanoseconds
}

TEST(SystemClock, TellsTheSameBootIdEveryTime) {
  SystemClock one;
  SystemClock other;
  EXPECT_FALSE(one.boot_id().empty());
  EXPECT_EQ(one.boot_id(), other.boot_id());
}

}  // namespace
}  // namespace rollcall::app
