#include "sidecar/core/timeline.h"

#include <gtest/gtest.h>

#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;

constexpr std::int64_t kOffset = kMaster * kSecond;

// An exchange at `s` that took no time, with a master whose time is `ahead` seconds further.
void sample(Timeline& t, std::int64_t began, double s, double ahead = 0) {
  const std::int64_t then = us(s) + kOffset + us(ahead);
  t.add({began}, us(s), then, then, us(s));
}

TEST(Timeline, TranslatesMomentsOfThisBootByTheBootClock) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  const LocalMoment m = t.moment(us(90), at(100));
  EXPECT_EQ(m.wall_us, us(90) + kWall * kSecond);
  EXPECT_EQ(t.at(m, at(100)), master_time(90));
  Now stepped = at(200);
  stepped.wall_us += 12345 * kSecond;
  EXPECT_EQ(t.at(m, stepped), master_time(90)) << "whatever the wall clock says since";
}

TEST(Timeline, IsOffByHalfTheRoundTripAndByDriftSince) {
  Timeline t(kBoot);
  const std::int64_t then = master_time(100).us;
  t.add({1}, us(100), then, then, us(100.2));
  const LocalMoment m = t.moment(us(90), at(100));
  EXPECT_EQ(t.error_us(m, at(100.2)), 100'000);
  EXPECT_EQ(t.error_us(m, at(1100.2)), 200'000) << "100 ppm of 1000 s more";
}

TEST(Timeline, MomentsOfAnotherBootAreToldByWallClockAndAreHalfAnHourOffOrMore) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  LocalMoment other{kBoot + 1, us(5000), (kWall - 300) * kSecond};
  EXPECT_EQ(t.at(other, at(100)), master_time(-300));
  EXPECT_GE(t.error_us(other, at(100)), Timeline::kOtherBootErrorUs);
}

TEST(Timeline, MomentsOfAnotherBootAreNeverAfterThisBootBegan) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  // The wall clock stepped back in between: by it, that boot's moments would be yet to come.
  for (std::int64_t ahead : {50, 100, 5000, 1'000'000}) {
    const LocalMoment other{kBoot + 1, us(5000), (kWall + ahead) * kSecond};
    EXPECT_EQ(t.at(other, at(100)), master_time(0)) << ahead;
  }
}

// Its log went back, and the time that it told with it.
TEST(Timeline, RunsThatTheMasterLostTellNothingAnyMore) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  sample(t, kOffset + us(5000), 200, 4900);
  const LocalMoment then = t.moment(us(250), at(250));
  EXPECT_EQ(t.at(then, at(250)), master_time(5150));
  sample(t, kOffset + us(300), 301);
  EXPECT_EQ(t.at(then, at(301)), master_time(250));
  EXPECT_EQ(t.runs(at(301)).size(), 2u);
}

// Else every agent that was here before a reboot could be heard here "until now" for an hour.
TEST(Timeline, HoweverUncertainAMomentOfAnotherBootWasNotAfterThisBootBegan) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  const LocalMoment other{kBoot + 1, us(5000), (kWall - 300) * kSecond};
  EXPECT_LE(t.latest(other, at(100)), master_time(0));
  EXPECT_EQ(t.earliest(other, at(100)).us, master_time(-300).us - Timeline::kOtherBootErrorUs);
  const LocalMoment own = t.moment(us(90), at(100));
  EXPECT_EQ(t.latest(own, at(100)).us, master_time(90).us + t.error_us(own, at(100)));
}

TEST(Timeline, TheFirstRunGoesOnAfterARestartToo) {
  Timeline t(kBoot);
  sample(t, 0, 100);
  Timeline again(kBoot);
  again.restore(t.runs(at(110)));
  sample(again, 0, 120);
  EXPECT_EQ(again.runs(at(130)).size(), 1u);
}

TEST(Timeline, WithoutAnyExchangeMomentsCompareWithEachOther) {
  Timeline t(kBoot);
  EXPECT_FALSE(t.known());
  EXPECT_LT(t.at(t.moment(us(1), at(10)), at(10)), t.at(t.moment(us(2), at(10)), at(10)));
  EXPECT_EQ(t.error_us(t.moment(us(1), at(10)), at(10)), Timeline::kOtherBootErrorUs);
}

TEST(Timeline, MomentsBeforeARebootOfTheMasterKeepTheirPlaces) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  const LocalMoment before = t.moment(us(90), at(100));
  const MasterTime place = t.at(before, at(100));
  // The master's time began anew when this machine's clock stood at 200, 500 s further on.
  const std::int64_t began = master_time(200).us + us(500);
  sample(t, began, 210, 500);
  EXPECT_EQ(t.at(before, at(210)), place);
  EXPECT_EQ(t.at(t.moment(us(205), at(210)), at(210)).us, master_time(205).us + us(500));
}

TEST(Timeline, WhatFellBetweenTwoRunsIsNotAfterTheNewOneBegan) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  const std::int64_t began = master_time(200).us - us(50);  // it restarted and lost 50 s
  sample(t, began, 210, -50);
  MasterTime last{0};
  for (double s = 80; s < 230; ++s) {
    const MasterTime m = t.at(t.moment(us(s), at(230)), at(230));
    EXPECT_GE(m, last) << s;
    last = m;
  }
  EXPECT_EQ(t.at(t.moment(us(90), at(230)), at(230)), master_time(90));
}

TEST(Timeline, EachOfManyRunsTranslatesItsOwnMoments) {
  Timeline t(kBoot);
  double ahead = 0;
  std::vector<std::pair<LocalMoment, MasterTime>> placed;
  for (int run = 0; run < 6; ++run) {
    const double s = 100 * (run + 1);
    sample(t, run == 0 ? 1 : master_time(s - 50).us + us(ahead), s, ahead);
    const LocalMoment m = t.moment(us(s), at(s));
    placed.emplace_back(m, t.at(m, at(s)));
    ahead += 1000;
  }
  for (const auto& [m, place] : placed) EXPECT_EQ(t.at(m, at(700)), place) << m.boot_us;
}

TEST(Timeline, GoesOnWithItsRunsAfterARestartWithinOneBoot) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  const LocalMoment before = t.moment(us(90), at(100));
  sample(t, master_time(200).us + us(500), 210, 500);
  Timeline again(kBoot);
  again.restore(t.runs(at(220)));
  EXPECT_FALSE(again.known()) << "what is sent waits for an exchange";
  sample(again, master_time(200).us + us(500), 230, 500);
  EXPECT_EQ(again.at(before, at(230)), master_time(90));
  EXPECT_EQ(again.runs(at(230)).size(), 2u) << "the run that goes on is not a second one";
}

TEST(Timeline, AnotherMasterMakesItForgetEverything) {
  Timeline t(kBoot);
  sample(t, 1, 100);
  sample(t, master_time(200).us, 210, 500);
  t.reset();
  EXPECT_FALSE(t.known());
  EXPECT_TRUE(t.runs(at(220)).empty());
}

TEST(Timeline, KeepsABoundedNumberOfRuns) {
  Timeline t(kBoot);
  for (int run = 1; run < 100; ++run) sample(t, master_time(run * 10.0).us, run * 10 + 1);
  EXPECT_LE(t.runs(at(2000)).size(), Timeline::kMaxRuns + 1);
}

}  // namespace
}  // namespace rollcall::sidecar
