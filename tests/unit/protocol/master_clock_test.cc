#include "protocol/master_clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

namespace rollcall {
namespace {

// A master whose time is boot time + `offset_us`, reached over a link of two delays.
struct Link {
  std::int64_t offset_us;
  void exchange(MasterClock& clock, std::int64_t t0, std::int64_t there_us, std::int64_t back_us,
                std::int64_t thinks_us = 0) const {
    const std::int64_t t1 = t0 + there_us + offset_us;
    const std::int64_t t2 = t1 + thinks_us;
    clock.add(t0, t1, t2, t0 + there_us + thinks_us + back_us);
  }
};

constexpr std::int64_t kOffset = 1'700'000'000'000'000;
constexpr std::int64_t kSecond = 1'000'000;

TEST(MasterClock, KnowsNothingBeforeTheFirstExchange) {
  MasterClock clock;
  EXPECT_FALSE(clock.known());
  EXPECT_EQ(clock.samples(), 0);
}

TEST(MasterClock, SymmetricDelaysGiveTheExactOffset) {
  MasterClock clock;
  Link{kOffset}.exchange(clock, 5000, 700, 700, 12'345);
  EXPECT_EQ(clock.offset_us(), kOffset);
  EXPECT_EQ(clock.at(9000), MasterTime{kOffset + 9000});
}

TEST(MasterClock, TheMastersThinkingTimeIsNoRoundTrip) {
  MasterClock clock;
  Link{kOffset}.exchange(clock, 0, 700, 700, 50'000);
  EXPECT_EQ(clock.error_us(51'400), 700);
}

TEST(MasterClock, AsymmetricDelaysStayWithinTheErrorBound) {
  std::mt19937_64 rng(1);
  std::uniform_int_distribution<std::int64_t> delay(0, 200'000);
  for (int round = 0; round < 2000; ++round) {
    MasterClock clock;
    const Link link{kOffset};
    std::int64_t now = 0;
    for (int i = 0; i < 20; ++i) {
      link.exchange(clock, now, delay(rng), delay(rng));
      now += kSecond;
      // One for the halves that integers drop.
      EXPECT_LE(std::abs(clock.offset_us() - kOffset), clock.error_us(now) + 1)
          << "round " << round << " exchange " << i;
    }
  }
}

TEST(MasterClock, DriftWithin100PpmStaysWithinTheErrorBound) {
  for (const int ppm : {-100, 100}) {
    MasterClock clock;
    std::mt19937_64 rng(2);
    std::uniform_int_distribution<std::int64_t> delay(50, 3000);
    for (int i = 0; i < 500; ++i) {
      const std::int64_t t0 = i * 10 * kSecond;
      const auto offset = [&](std::int64_t boot) { return kOffset + boot * ppm / 1'000'000; };
      Link{offset(t0)}.exchange(clock, t0, delay(rng), delay(rng));
      for (const std::int64_t later : {1 * kSecond, 9 * kSecond}) {
        const std::int64_t truth = t0 + later + offset(t0 + later);
        EXPECT_LE(std::abs(clock.at(t0 + later).us - truth), clock.error_us(t0 + later) + 2)
            << ppm << " ppm, exchange " << i;
      }
    }
  }
}

TEST(MasterClock, TheSampleWithTheSmallestRoundTripWins) {
  MasterClock clock;
  const Link link{kOffset};
  link.exchange(clock, 0 * kSecond, 0, 80'000);
  link.exchange(clock, 1 * kSecond, 100, 100);
  link.exchange(clock, 2 * kSecond, 90'000, 0);
  EXPECT_EQ(clock.offset_us(), kOffset);
}

TEST(MasterClock, AnOldGoodSampleYieldsToANewOneOnceDriftMadeItWorse) {
  MasterClock clock;
  const Link link{kOffset};
  link.exchange(clock, 0, 100, 100);               // error 100, and 100 a second more
  link.exchange(clock, 100 * kSecond, 10'000, 0);  // error 5,000
  EXPECT_EQ(clock.offset_us(), kOffset + 5000);
}

TEST(MasterClock, TheErrorGrowsBy100PpmOfTheSamplesAge) {
  MasterClock clock;
  Link{kOffset}.exchange(clock, 0, 500, 500);
  EXPECT_EQ(clock.error_us(1000), 500);
  EXPECT_EQ(clock.error_us(1000 + 10 * kSecond), 500 + 1000);
  EXPECT_EQ(clock.error_us(1000 + 3600 * kSecond), 500 + 360'000);
}

TEST(MasterClock, AGoodSampleLeavesTheWindowAfterSixteenMore) {
  MasterClock clock;
  const Link link{kOffset};
  link.exchange(clock, 0, 10, 10);
  for (std::size_t i = 1; i < MasterClock::kWindow; ++i) {
    link.exchange(clock, static_cast<std::int64_t>(i) * 1000, 4000, 0);
    EXPECT_EQ(clock.offset_us(), kOffset);
  }
  link.exchange(clock, 100'000, 4000, 0);
  EXPECT_EQ(clock.offset_us(), kOffset + 2000);
}

TEST(MasterClock, ASteppedMasterTimeClearsTheOldSamples) {
  for (const std::int64_t step : {-3600 * kSecond, -20'000l, 20'000l, 3600 * kSecond}) {
    MasterClock clock;
    Link{kOffset}.exchange(clock, 0, 100, 100);
    Link{kOffset + step}.exchange(clock, 1 * kSecond, 3000, 3000);  // although less exact
    EXPECT_EQ(clock.offset_us(), kOffset + step);
    EXPECT_EQ(clock.error_us(1 * kSecond + 6000), 3000);
  }
}

TEST(MasterClock, ASlowAnswerAloneClearsNothing) {
  MasterClock clock;
  const Link link{kOffset};
  link.exchange(clock, 0, 100, 100);
  link.exchange(clock, 1 * kSecond, 5 * kSecond, 0);
  EXPECT_EQ(clock.offset_us(), kOffset);
}

TEST(MasterClock, ImpossibleExchangesAreIgnored) {
  MasterClock clock;
  clock.add(1000, kOffset, kOffset + 500, 1400);  // thought longer than the round took
  clock.add(1000, kOffset, kOffset, 900);         // answered before it was sent
  clock.add(1000, kOffset, kOffset - 1, 1400);    // sent before it was received
  EXPECT_FALSE(clock.known());
  EXPECT_EQ(clock.samples(), 0);
}

TEST(MasterClock, ResetForgetsTheOffsetAndStillCounts) {
  MasterClock clock;
  Link{kOffset}.exchange(clock, 0, 100, 100);
  clock.reset();
  EXPECT_FALSE(clock.known());
  Link{kOffset - 5 * kSecond}.exchange(clock, 0, 100, 100);
  EXPECT_EQ(clock.samples(), 2);
  EXPECT_EQ(clock.offset_us(), kOffset - 5 * kSecond);
}

}  // namespace
}  // namespace rollcall
