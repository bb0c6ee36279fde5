#include "master/core/master_time.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/master/fixture.h"

namespace rollcall::master {
namespace {

using namespace test;

constexpr std::int64_t kAhead = MasterTimeSource::kAheadUs;

// Reserves what is due and makes it durable.
TimeReserved reserve(MasterTimeSource& t, const Now& now, TimeReserved last = {}) {
  if (const auto due = t.due(now)) {
    t.reserved(due->until);
    return *due;
  }
  return last;
}

TEST(MasterTime, BeginsAtTheWallClockAndAdvancesWithTheBootClock) {
  MasterTimeSource t({}, kBoot, at(1));
  EXPECT_FALSE(t.ready());
  reserve(t, at(1));
  EXPECT_TRUE(t.ready());
  EXPECT_EQ(t.tell(at(1)), master_time(1));
  Now stepped = at(6);
  stepped.wall_us -= 3600 * kSecond;
  EXPECT_EQ(t.tell(stepped), master_time(6));
}

TEST(MasterTime, TellsNothingBeyondZeroBeforeItsFirstReservationIsDurable) {
  MasterTimeSource t({}, kBoot, at(1));
  t.due(at(1));
  EXPECT_FALSE(t.ready());
  EXPECT_EQ(t.tell(at(5)).us, 0);
}

TEST(MasterTime, StandsStillAtTheReservationUntilALaterOneIsDurable) {
  MasterTimeSource t({}, kBoot, at(1));
  const TimeReserved first = reserve(t, at(1));
  const auto second = t.due(at(60));
  ASSERT_TRUE(second);
  EXPECT_EQ(t.tell(at(60)), first.until);
  EXPECT_EQ(t.tell(at(90)), first.until);
  t.reserved(second->until);
  EXPECT_EQ(t.tell(at(60.5)), master_time(60.5));
}

TEST(MasterTime, AsksInTimeAndOnceForTheNextReservation) {
  MasterTimeSource t({}, kBoot, at(1));
  reserve(t, at(1));
  EXPECT_FALSE(t.due(at(1)));
  EXPECT_FALSE(t.due(at(10.9)));
  const auto next = t.due(at(11));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->until, master_time(31));
  EXPECT_FALSE(t.due(at(11.1))) << "it is being written";
}

TEST(MasterTime, GoesOnWithinOneBootWhateverTheWallClockSays) {
  MasterTimeSource first({}, kBoot, at(1));
  const TimeReserved last = reserve(first, at(1));
  const MasterTime told = first.tell(at(5));
  Now later = at(7);
  later.wall_us += 7200 * kSecond;
  MasterTimeSource second(last, kBoot, later);
  reserve(second, later);
  EXPECT_EQ(second.tell(later), master_time(7));
  EXPECT_GT(second.tell(later), told);
  EXPECT_EQ(second.began(), first.began());
}

TEST(MasterTime, AfterARebootBeginsAtTheReservationIfTheWallClockIsBehindIt) {
  MasterTimeSource first({}, kBoot, at(1000));
  const TimeReserved last = reserve(first, at(1000));
  Now rebooted = at(2);  // by its boot clock
  rebooted.wall_us = at(1000).wall_us - 3600 * kSecond;
  MasterTimeSource second(last, kBoot + 1, rebooted);
  reserve(second, rebooted);
  EXPECT_EQ(second.tell(rebooted), last.until);
  EXPECT_EQ(second.began(), last.until);
  Now then = rebooted;
  then.boot_us += 3 * kSecond;
  EXPECT_EQ(second.tell(then).us, last.until.us + 3 * kSecond);
}

TEST(MasterTime, AfterARebootBeginsAtTheWallClockIfThatIsLater) {
  MasterTimeSource first({}, kBoot, at(1));
  const TimeReserved last = reserve(first, at(1));
  Now rebooted = at(2);
  rebooted.wall_us += 100 * kSecond;
  MasterTimeSource second(last, kBoot + 1, rebooted);
  reserve(second, rebooted);
  EXPECT_EQ(second.tell(rebooted), master_time(102));
}

TEST(MasterTime, NeverGoesBackOverRestartsWithSteppedWallClocks) {
  std::mt19937 random(3);
  for (int run = 0; run < 200; ++run) {
    std::uint64_t boot = kBoot;
    Now now = at(100);
    TimeReserved durable;
    MasterTime told;
    for (int life = 0; life < 8; ++life) {
      MasterTimeSource t(durable, boot, now);
      std::optional<TimeReserved> writing;
      const std::uint32_t lives = random() % 40 + 1;
      for (std::uint32_t i = 0; i < lives; ++i) {
        const std::int64_t by = static_cast<std::int64_t>(random() % 8'000'000);
        now.wall_us += by;
        now.mono_us += by;
        now.boot_us += by;
        if (random() % 10 == 0)
          now.wall_us += static_cast<std::int64_t>(random() % 7200) * kSecond - 3600 * kSecond;
        if (const auto due = t.due(now)) {
          if (!writing) writing = due;
          // One at a time, as the log's groups: a later one waits.
        }
        if (writing && random() % 3 == 0) {
          durable = *writing;
          t.reserved(durable.until);
          writing.reset();
        }
        if (!t.ready()) continue;
        const MasterTime then = t.tell(now);
        ASSERT_GE(then, told) << "run " << run << " life " << life;
        ASSERT_LE(then, durable.until) << "nothing beyond the log is told";
        told = then;
      }
      if (random() % 3 == 0) {
        ++boot;
        now.boot_us = now.mono_us = kSecond;
      }
    }
  }
}

TEST(MasterTime, AReservationIsNeverLongInTheFuture) {
  MasterTimeSource t({}, kBoot, at(1));
  const auto due = t.due(at(1));
  ASSERT_TRUE(due);
  EXPECT_EQ(due->until.us, master_time(1).us + kAhead);
}

}  // namespace
}  // namespace rollcall::master
