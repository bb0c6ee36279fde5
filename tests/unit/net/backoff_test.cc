#include "net/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace rollcall::net {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, NeverLeavesItsBoundsWhateverTheSeed) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Backoff backoff(seed);
    std::int64_t ceiling = 250;
    for (int call = 0; call < 40; ++call) {
      const auto wait = backoff.next();
      ASSERT_GE(wait.count(), 0) << "seed " << seed << " call " << call;
      ASSERT_LE(wait.count(), ceiling) << "seed " << seed << " call " << call;
      ceiling = std::min<std::int64_t>(ceiling * 2, 30'000);
    }
  }
}

TEST(Backoff, UsesTheWholeRangeAtTheCap) {
  std::vector<std::int64_t> waits;
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    Backoff backoff(seed);
    for (int call = 0; call < 10; ++call) (void)backoff.next();
    waits.push_back(backoff.next().count());
  }
  std::ranges::sort(waits);
  EXPECT_LT(waits.front(), 300);
  EXPECT_GT(waits.back(), 29'700);
  EXPECT_NEAR(static_cast<double>(waits[waits.size() / 2]), 15'000, 1'500);
}

TEST(Backoff, StartsSmallAgainAfterReset) {
  Backoff backoff(7);
  for (int call = 0; call < 20; ++call) (void)backoff.next();
  backoff.reset();
  EXPECT_LE(backoff.next(), milliseconds(250));
  EXPECT_LE(backoff.next(), milliseconds(500));
}

TEST(Backoff, SameSeedSameWaits) {
  Backoff a(42);
  Backoff b(42);
  Backoff other(43);
  bool differs = false;
  for (int call = 0; call < 20; ++call) {
    const auto wait = a.next();
    EXPECT_EQ(wait, b.next());
    differs |= wait != other.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Backoff, SurvivesLimitsThatMakeNoSense) {
  Backoff backoff(1, {.base = milliseconds(-5), .cap = milliseconds(-10)});
  for (int call = 0; call < 10; ++call) {
    const auto wait = backoff.next();
    EXPECT_GE(wait.count(), 0);
    EXPECT_LE(wait.count(), 1);
  }
}

}  // namespace
}  // namespace rollcall::net
