#include "app/ack_times.h"

#include <gtest/gtest.h>

namespace rollcall::app {
namespace {

TEST(AckTimes, AnAckEndsTheWaitOfAllUpToIt) {
  AckTimes times;
  DurationCounts counts;
  times.sent(10, 1'000);
  times.sent(20, 2'000);
  times.sent(30, 3'000);
  times.acked(20, 5'000, counts);
  EXPECT_EQ(counts.total(), 2u);
  EXPECT_EQ(counts.sum_us, 4'000 + 3'000);
}

TEST(AckTimes, OneForAPartOfAMessageEndsNothing) {
  AckTimes times;
  DurationCounts counts;
  times.sent(10, 1'000);
  times.acked(9, 2'000, counts);
  EXPECT_EQ(counts.total(), 0u);
  times.acked(10, 4'000, counts);
  EXPECT_EQ(counts.sum_us, 3'000);
  times.acked(10, 9'000, counts);  // said again
  EXPECT_EQ(counts.total(), 1u);
}

}  // namespace
}  // namespace rollcall::app
