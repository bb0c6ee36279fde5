#include "sidecar/core/tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TrackerTest : public ::testing::Test {
 protected:
  TrackerTest() { sample(1); }

  // An exchange with the master that took no time.
  void sample(double s, std::int64_t master_is_ahead_us = 0) {
    const std::int64_t t = master_time(s).us + master_is_ahead_us;
    timeline.add({1}, us(s), t, t, us(s));
  }
  // What was told since the last call.
  std::string look(double s, std::vector<Row> rows) { return look(look_at(s, std::move(rows))); }
  std::string look(const Look& l) {
    tracker.look(l);
    return told();
  }
  std::string told() { return text(tracker.take_events()); }
  std::string superseded(double s, const NodeName& node, Epoch e, std::uint32_t change,
                         bool open = true) {
    tracker.superseded(kSeven, {{e, node, change}, open}, at(s));
    return told();
  }
  std::string challenged(double s, Epoch e, double upto) {
    tracker.challenged(kSeven, e, master_time(upto), at(s));
    return told();
  }
  std::string read(double s, const AgentInfo& info) {
    tracker.info_read(kSeven, info, at(s));
    return told();
  }
  const AgentState& seven() const { return tracker.agents().at(kSeven); }

  Timeline timeline{kBoot};
  // Begins anew, with nothing known.
  void restart(const Tracker::Config& config = {}) { held.emplace(config, "w1", timeline); }
  std::optional<Tracker> held{std::in_place, Tracker::Config{}, "w1", timeline};
  Tracker& tracker = *held;
};

// ---- looks

using TrackerLook = TrackerTest;

TEST_F(TrackerLook, OpensOnEvidenceWithItsEarliestMomentAsTheEpoch) {
  EXPECT_EQ(look(8.5, {row(7, kNever, -kWall)}), "");
  EXPECT_EQ(look(9.5, {row(7, kActive, 9)}), "7 opened @9+0 [9, 9.5]");
  EXPECT_EQ(tracker.open_sessions(), 1u);
}

TEST_F(TrackerLook, EvidenceIsNeverBeforeTheLookBefore) {
  look(9.5, {});
  EXPECT_EQ(look(10.5, {row(7, kActive, 9)}), "7 opened @9.4+0 [9.4, 10]");
}

TEST_F(TrackerLook, TheFirstLookTakesTheRowsSecondAsItStands) {
  EXPECT_EQ(look(100, {row(7, kActive, 20)}), "7 opened @20+0 [20, 21]");
}

TEST_F(TrackerLook, AKeepaliveOfAnOpenSessionTellsNothingAndIsRemembered) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(look(20, {row(7, kActive, 19)}), "");
  EXPECT_EQ(seven().session->evidence.lo.boot_us, us(19));
  EXPECT_EQ(seven().session->epoch, epoch(9));
}

TEST_F(TrackerLook, ClosesWithTheNewestEvidenceThoughItWasNotSeenWhileActive) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(look(20, {row(7, kGone, 19, 3)}), "7 closed @9+1 [19, 20] shutdown");
  EXPECT_EQ(tracker.open_sessions(), 0u);
}

TEST_F(TrackerLook, AClosedSessionOpensAgainOnNewEvidenceOnly) {
  look(10, {row(7, kActive, 9)});
  look(20, {row(7, kGone, 9, 4)});
  EXPECT_EQ(look(21, {row(7, kActive, 9)}), "");
  EXPECT_EQ(look(30, {row(7, kActive, 29)}), "7 opened @29+0 [29, 30]");
}

TEST_F(TrackerLook, AShortVisitBetweenTwoLooksIsOpenedAndClosedInOne) {
  look(10, {row(7, kNever, -kWall)});
  EXPECT_EQ(look(11.5, {row(7, kGone, 10, 3)}), "7 closed @10+1 [10, 11] shutdown");
  look(20, {row(7, kGone, 10, 3)});
  EXPECT_EQ(look(31, {row(7, kGone, 30, 3)}), "7 closed @30+1 [30, 31] shutdown");
  EXPECT_EQ(tracker.open_sessions(), 0u);
}

TEST_F(TrackerLook, AVisitThatOnlyACounterShowsIsAVisit) {
  look(10, {row(7, kGone, 9, 3)});
  Row again = row(7, kGone, 9, 3);
  again.visits = 2;
  EXPECT_EQ(look(10.5, {again}), "7 closed @9.9+1 [9.9, 10] shutdown");
}

TEST_F(TrackerLook, PendingIsHere) {
  EXPECT_EQ(look(10, {row(7, kPending, 9)}), "7 opened @9+0 [9, 10]");
}

TEST_F(TrackerLook, TheManagerItselfAndNeverConnectedAgentsAreNotTold) {
  EXPECT_EQ(look(10, {row(0, kActive, 9), row(7, kNever, -kWall)}), "");
  EXPECT_FALSE(tracker.agents().contains(AgentId{}));
}

TEST_F(TrackerLook, AfterARestartAnUnchangedRowIsNoNewEvidence) {
  look(10, {row(7, kActive, 9)});
  auto state = decode_agent_state(encode(seven()));
  ASSERT_TRUE(state);
  Tracker later{{}, "w1", timeline};
  later.restore(kSeven, *state);
  EXPECT_EQ(later.open_sessions(), 1u);
  later.look(look_at(15, {row(7, kActive, 9)}));
  EXPECT_EQ(text(later.take_events()), "");
  later.look(look_at(16, {row(7, kGone, 9, 4)}));
  EXPECT_EQ(text(later.take_events()), "7 closed @9+1 [9, 10] no_keepalive");
}

TEST_F(TrackerLook, TheNextEpochIsGreaterThanTheLastEvenWithinOneSecond) {
  look(10, {row(7, kActive, 9)});
  look(10.1, {row(7, kGone, 9, 3)});
  superseded(10.2, "w2", epoch(9.5), 0);
  // The same moment, told by the counter alone: still an epoch of its own.
  sample(10.3, -2 * kSecond);
  Row again = row(7, kActive, 9);
  again.visits = 1;
  look(10.4, {again});
  EXPECT_GT(seven().session->epoch, epoch(9));
}

struct ReasonCase {
  std::uint8_t code;
  const char* reason;
};
class TrackerReason : public TrackerTest, public ::testing::WithParamInterface<ReasonCase> {};

TEST_P(TrackerReason, IsWhatTheStatusCodeSays) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(look(20, {row(7, kGone, 9, GetParam().code)}),
            std::string("7 closed @9+1 [9, 10] ") + GetParam().reason);
}

INSTANTIATE_TEST_SUITE_P(Codes, TrackerReason,
                         ::testing::Values(ReasonCase{0, "unknown"},
                                           ReasonCase{1, "invalid_version"},
                                           ReasonCase{2, "version_error"},
                                           ReasonCase{3, "shutdown"}, ReasonCase{4, "no_keepalive"},
                                           ReasonCase{77, "unknown"}),
                         [](const auto& c) { return "Code" + std::to_string(c.param.code); });

// ---- the wall clock

TEST_F(TrackerLook, ARowFromTheFutureAtTheFirstLookIsTakenAsBeforeNow) {
  EXPECT_EQ(look(100, {row(7, kActive, 500)}), "7 opened @-3500+0 [-3500, 100]");
}

TEST_F(TrackerLook, ATableThatWasRestoredFromABackupIsNoEvidence) {
  look(10, {row(7, kGone, 9, 3)});
  look(100, {row(7, kGone, 9, 3), row(8, kGone, 90, 3)});
  EXPECT_EQ(look(101, {row(7, kActive, 5), row(8, kActive, 80)}), "");
  EXPECT_EQ(look(130, {row(7, kActive, 5), row(8, kActive, 129)}), "8 opened @129+0 [129, 130]");
}

TEST_F(TrackerLook, AfterAStepOfTheWallClockOnlyTheLooksCount) {
  look(100, {row(7, kActive, 99)});
  look(101, {row(7, kGone, 99, 3)});
  EXPECT_EQ(look(102, {row(7, kActive, 5000)}), "7 opened @100.9+0 [100.9, 102]");
  look(103, {row(7, kGone, 5000, 3)});
  Look back = look_at(104, {row(7, kActive, -5000)});
  for (Now* now : {&back.started, &back.finished}) now->wall_us -= 3000 * kSecond;
  EXPECT_EQ(look(back), "7 opened @102.9+0 [102.9, 104]");
}

TEST_F(TrackerLook, NoStepOfTheWallClockMakesEvidenceInTheFutureOrBeforeTheLookBefore) {
  std::mt19937 random(1);
  double before = 99.9;
  look(100, {row(7, kNever, -kWall)});
  std::int64_t step = 0;
  for (int i = 1; i < 2000; ++i) {
    const double s = 100 + i;
    if (random() % 5 == 0) step = static_cast<int>(random() % 20'000) - 10'000;
    Look l = look_at(s, {row(7, i % 2 != 0 ? kActive : kGone, 99 + i + step)});
    if (random() % 2 == 0) {  // or it steps back before the look ends
      l.started.wall_us += step * kSecond;
      l.finished.wall_us += step * kSecond;
    }
    tracker.look(l);
    for (const LocalEvent& e : tracker.take_events()) {
      EXPECT_LE(e.evidence.lo.boot_us, e.evidence.hi.boot_us);
      EXPECT_LE(e.evidence.hi.boot_us, us(s));
      if (e.kind == EventKind::opened) {
        EXPECT_GE(e.evidence.lo.boot_us, us(before));
      }
      EXPECT_LE(e.epoch, epoch(s));
    }
    before = s - 0.1;
  }
}

// ---- looks that leave rows out

class TrackerWindow : public TrackerTest {
 protected:
  // A look at rows with a keepalive in these seconds of the boot clock.
  std::string window(double s, std::int64_t from, std::int64_t to, std::vector<Row> rows) {
    Look l = look_at(s, std::move(rows));
    l.complete = false;
    l.from_s = from + kWall;
    l.to_s = to + kWall;
    return look(l);
  }
};

TEST_F(TrackerWindow, ARowThatIsLeftOutIsAsItWas) {
  look(10, {row(7, kActive, 9)});
  for (double s = 11; s < 100; ++s)
    EXPECT_EQ(window(s, static_cast<std::int64_t>(s) - 2, 200, {}), "");
  EXPECT_EQ(tracker.open_sessions(), 1u);
  EXPECT_EQ(tracker.missing(), 0u);
}

TEST_F(TrackerWindow, EvidenceIsBoundedByTheLookBeforeThatWouldHaveShownIt) {
  look(10, {});
  window(11, 9, 70, {});
  EXPECT_EQ(window(12, 10, 71, {row(7, kActive, 11)}), "7 opened @11+0 [11, 12]");
  EXPECT_EQ(window(12.5, 10, 71, {row(8, kActive, 12)}), "8 opened @12+0 [12, 12.5]");
  EXPECT_EQ(window(12.7, 10, 71, {row(9, kActive, 11)}), "9 opened @12.4+0 [12.4, 12.7]");
}

TEST_F(TrackerWindow, WhatTheLookBeforeWouldHaveLeftOutMayBeAsOldAsTheLastCompleteOne) {
  look(10, {});
  for (double s = 11; s < 20; ++s) window(s, static_cast<std::int64_t>(s) - 1, 70, {});
  Look set = look_at(20, {row(7, kActive, -5000)});
  for (Now* now : {&set.started, &set.finished}) now->wall_us -= 3000 * kSecond;
  EXPECT_EQ(look(set), "7 opened @9.9+0 [9.9, 20]")
      << "the clock was set, so its second is no help";
  EXPECT_EQ(window(21, 18, 70, {}), "");
  EXPECT_EQ(window(22, 18, 70, {row(8, kGone, 500, 3)}), "8 closed @19.9+1 [19.9, 22] shutdown")
      << "from beyond what the look before showed";
}

// As after a restart of the source: the window of the look before does not reach so far.
TEST_F(TrackerWindow, AfterAGapARowsOwnSecondStillTellsWhenItSpoke) {
  look(10, {row(8, kGone, 9, 3)});
  window(11, 9, 71, {});
  EXPECT_EQ(window(200, 9, 260, {row(7, kActive, 199), row(8, kGone, 150, 3)}),
            "7 opened @199+0 [199, 200]; 8 closed @150+1 [150, 151] shutdown");
}

TEST_F(TrackerWindow, ALongGapIsNoMoreSilenceThanOneInterval) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(challenged(10, epoch(9), 15), "");
  EXPECT_EQ(window(200, 9, 260, {}), "") << "whoever was halted with this process could not speak";
  EXPECT_EQ(window(230, 199, 290, {}), "");
  EXPECT_EQ(window(260, 229, 320, {}), "7 closed @9+1 [9, 10] unconfirmed");
}

TEST_F(TrackerWindow, AfterACompleteLookTheNextIsBoundedByIt) {
  look(10, {});
  EXPECT_EQ(window(11, 10, 70, {row(7, kActive, -500)}), "7 opened @9.9+0 [9.9, 11]")
      << "whatever second it names";
}

TEST_F(TrackerWindow, AChallengeRunsOutThoughItsRowIsLeftOut) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(challenged(10, epoch(9), 15), "");
  double s = 10;
  for (; s < 60; ++s) EXPECT_EQ(window(s + 1, 9, 70, {}), "") << s;
  EXPECT_EQ(window(61, 9, 70, {}), "7 closed @9+1 [9, 10] unconfirmed");
  EXPECT_EQ(window(62, 9, 70, {}), "");
}

TEST_F(TrackerWindow, AChallengeIsAnsweredByARowThatIsShown) {
  look(10, {row(7, kActive, 9)});
  challenged(10, epoch(9), 15);
  EXPECT_EQ(window(20, 18, 70, {}), "");
  EXPECT_EQ(window(21, 19, 70, {row(7, kActive, 20)}), "7 confirmed @9+1 [20, 21]");
}

TEST_F(TrackerWindow, FewerVisitsThanBeforeAreNoVisit) {
  Row before = row(7, kGone, 9, 3);
  before.visits = 5;
  look(10, {before});
  EXPECT_EQ(look(10.5, {row(7, kGone, 9, 3)}), "") << "the source began to count anew";
}

// ---- silence

class TrackerSilence : public TrackerTest {
 protected:
  static constexpr std::int64_t kTimeout = 100;
  void SetUp() override { restart({.agent_timeout_us = kTimeout * kSecond}); }

  // Looks each second up to `to`, the row as it is; what was told.
  std::string watch(double from, double to, const Row& r) {
    std::string all;
    for (double s = from; s <= to; ++s) all += look(s, {r});
    return all;
  }
};

TEST_F(TrackerSilence, LongerThanTheTimeoutEndsTheSession) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(watch(11, 110, row(7, kActive, 9)), "");
  EXPECT_EQ(look(111, {row(7, kActive, 9)}), "7 closed @9+1 [9, 10] no_keepalive");
  EXPECT_EQ(tracker.open_sessions(), 0u);
}

TEST_F(TrackerSilence, IsOverWithEachKeepalive) {
  for (int s = 10; s < 1000; s += 90)
    EXPECT_EQ(watch(s, s + 89, row(7, kActive, s - 1)).empty(), s > 10);
  EXPECT_EQ(tracker.open_sessions(), 1u);
}

TEST_F(TrackerSilence, ThatEndedASessionDoesNotKeepTheNextFromOpening) {
  look(10, {row(7, kActive, 9)});
  watch(11, 111, row(7, kActive, 9));
  EXPECT_EQ(look(112, {row(7, kActive, 9)}), "") << "the ghost's row";
  EXPECT_EQ(look(120, {row(7, kActive, 119)}), "7 opened @119+0 [119, 120]");
  EXPECT_EQ(watch(121, 219, row(7, kActive, 119)), "");
}

TEST_F(TrackerSilence, IsNotCountedWhileTheSourceIsBlind) {
  look(10, {row(7, kActive, 9)});
  watch(11, 100, row(7, kActive, 9));
  for (double s = 101; s < 900; ++s) tracker.look_failed(at(s));
  EXPECT_EQ(watch(900, 910, row(7, kActive, 9)), "");
  EXPECT_EQ(look(911, {row(7, kActive, 9)}), "7 closed @9+1 [9, 10] no_keepalive");
}

TEST_F(TrackerSilence, IsNotCountedWhileTheMachineWasSuspended) {
  look(10, {row(7, kActive, 9)});
  watch(11, 100, row(7, kActive, 9));
  // The boot clock went on, the monotonic one did not.
  Look l = look_at(5000, {row(7, kActive, 9)});
  l.started.mono_us = l.finished.mono_us = at(101).mono_us;
  EXPECT_EQ(look(l), "");
}

TEST_F(TrackerSilence, IsCountedOnlyInPartWhileNobodyLooked) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(look(1000, {row(7, kActive, 9)}), "") << "this process may have been halted";
  EXPECT_EQ(look(1001, {row(7, kActive, 1000)}), "");
  EXPECT_EQ(tracker.open_sessions(), 1u);
}

TEST_F(TrackerSilence, BeginsAnewWhenTheSidecarDoes) {
  look(10, {row(7, kActive, 9)});
  Tracker later{{.agent_timeout_us = kTimeout * kSecond}, "w1", timeline};
  later.restore(kSeven, *decode_agent_state(encode(seven())));
  for (double s = 5000; s <= 5100; ++s) later.look(look_at(s, {row(7, kActive, 9)}));
  EXPECT_EQ(text(later.take_events()), "");
  later.look(look_at(5101, {row(7, kActive, 9)}));
  EXPECT_EQ(text(later.take_events()), "7 closed @9+1 [9, 10] no_keepalive");
}

TEST_F(TrackerSilence, IsJudgedByCompleteLooksOnly) {
  look(10, {row(7, kActive, 9)});
  for (double s = 11; s < 300; ++s) {
    Look l = look_at(s, {});
    l.complete = false;
    EXPECT_EQ(look(l), "") << "a window may miss a keepalive";
  }
  EXPECT_EQ(look(300, {row(7, kActive, 250)}), "");
  EXPECT_EQ(look(301, {row(7, kActive, 250)}), "");
}

TEST_F(TrackerSilence, OfAnAgentThatIsGoneOrWasNeverHereIsNoNews) {
  look(10, {row(7, kGone, 9, 3)});
  EXPECT_EQ(watch(11, 300, row(7, kGone, 9, 3)), "");
}

TEST(TrackerDefaults, AreTheSourcesUnlessConfigured) {
  Timeline timeline{kBoot};
  Tracker plain{{}, "w1", timeline};
  EXPECT_EQ(plain.keepalive_us(), 20 * kSecond);
  EXPECT_EQ(plain.agent_timeout_us(), 900 * kSecond);
  Tracker configured{
      {.keepalive_us = 30 * kSecond, .agent_timeout_us = 60 * kSecond}, "w1", timeline};
  Look l = look_at(10, {});
  l.defaults = {.keepalive_us = 10 * kSecond, .agent_timeout_us = 600 * kSecond};
  plain.look(l);
  configured.look(l);
  EXPECT_EQ(plain.keepalive_us(), 10 * kSecond);
  EXPECT_EQ(plain.agent_timeout_us(), 600 * kSecond);
  EXPECT_EQ(configured.keepalive_us(), 30 * kSecond);
  EXPECT_EQ(configured.agent_timeout_us(), 60 * kSecond);
}

// ---- SUPERSEDED

using TrackerSuperseded = TrackerTest;

TEST_F(TrackerSuperseded, ReleasesWhenTheWinnerIsNewer) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(superseded(13, "w2", epoch(12), 0), "7 released @9+1 [9, 10] moved");
  EXPECT_EQ(seven().session->fence, epoch(12));
  EXPECT_EQ(tracker.open_sessions(), 0u);
}

TEST_F(TrackerSuperseded, ClaimsAgainWithEvidenceNewerThanTheWinnerAndOnlyOnce) {
  look(10, {row(7, kActive, 9)});
  look(20, {row(7, kActive, 19)});
  EXPECT_EQ(superseded(21, "w2", epoch(12), 0), "7 opened @19+0 [19, 20]");
  EXPECT_EQ(superseded(22, "w2", epoch(12), 0), "") << "the winner is older than the new claim";
  EXPECT_EQ(superseded(23, "w2", epoch(21), 0), "7 released @19+1 [19, 20] moved");
}

TEST_F(TrackerSuperseded, AReleasedAgentOpensOnlyWithEvidenceAfterTheFence) {
  look(9, {});
  look(10, {row(7, kActive, 9)});
  superseded(10.5, "w2", epoch(10.4), 0);
  EXPECT_EQ(look(11, {row(7, kActive, 10)}), "7 contact @9+1 [10, 11] moved")
      << "second 10 may be before 10.4 or after it";
  EXPECT_EQ(look(12, {row(7, kActive, 10)}), "") << "told once";
  EXPECT_EQ(look(12.5, {row(7, kActive, 12)}), "7 opened @12+0 [12, 12.5]");
}

TEST_F(TrackerSuperseded, EvidenceWhollyBeforeTheFenceIsNotEvenAContact) {
  look(9, {});
  look(10, {row(7, kActive, 9)});
  superseded(10.5, "w2", epoch(50), 0);
  EXPECT_EQ(look(11, {row(7, kActive, 10)}), "");
}

TEST_F(TrackerSuperseded, AShortVisitThatOverlapsTheFenceIsAContact) {
  look(9, {});
  look(10, {row(7, kActive, 9)});
  superseded(10.5, "w2", epoch(10.4), 0);
  EXPECT_EQ(look(11, {row(7, kGone, 10, 3)}), "7 contact @9+1 [10, 11] moved");
}

TEST_F(TrackerSuperseded, IgnoresAWinnerOlderThanTheOwnSession) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(superseded(11, "w2", epoch(8), 99), "");
  EXPECT_EQ(superseded(11, "w0", epoch(9), 99), "") << "by name";
  EXPECT_EQ(tracker.open_sessions(), 1u);
}

TEST_F(TrackerSuperseded, AnAgentThatIsNotHereIsNoConcern) {
  EXPECT_EQ(superseded(11, "w2", epoch(8), 0), "");
  look(10, {row(7, kActive, 9)});
  look(11, {row(7, kGone, 9, 3)});
  EXPECT_EQ(superseded(12, "w2", epoch(11), 0), "") << "closed already";
}

TEST_F(TrackerSuperseded, ByACloseOfItsOwnLocalTruthWinsOneEpochAbove) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(superseded(31, "w1", epoch(30), 5, false), "7 opened @30.000001+0 [9, 10]");
  EXPECT_EQ(tracker.open_sessions(), 1u);
}

TEST_F(TrackerSuperseded, BySessionsThatARestoredDiskForgotLocalTruthWinsOneEpochAbove) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(superseded(31, "w1", epoch(30), 2, true), "7 opened @30.000001+0 [9, 10]");
  look(40, {row(7, kGone, 9, 3)});
  EXPECT_EQ(superseded(51, "w1", epoch(50), 0, true), "7 closed @50.000001+1 [9, 10] shutdown");
  EXPECT_EQ(superseded(52, "w1", epoch(60), 0, false), "") << "both say that it is gone";
}

TEST_F(TrackerSuperseded, TheMastersOwnCloseOfThisVerySessionIsOutbid) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(superseded(31, "w1", epoch(9), 0xffff'ffffu, false), "7 opened @9.000001+0 [9, 10]");
}

TEST_F(TrackerSuperseded, AnOlderCopyWithinOneSessionGoesOnFromTheChangeItIsTold) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(superseded(11, "w1", epoch(9), 4, true), "7 confirmed @9+5 [9, 10]")
      << "both sides know then how far it has gone";
  EXPECT_EQ(look(20, {row(7, kGone, 9, 3)}), "7 closed @9+6 [9, 10] shutdown");
}

// As a copy of the store may have said it.
TEST_F(TrackerSuperseded, AVersionThatStandsWithAnotherMeaningIsGoneOnFrom) {
  look(10, {row(7, kActive, 9)});
  LocalEvent said;
  said.agent = kSeven;
  said.epoch = epoch(9);
  const Winner winner{{epoch(9), "w1", 0}, true};
  tracker.superseded(kSeven, winner, at(11));
  EXPECT_EQ(told(), "") << "an answer to no event: it is what is known here";
  said.change = 7;
  tracker.superseded(kSeven, winner, at(11), &said);
  EXPECT_EQ(told(), "") << "another event was refused";
  said.change = 0;
  tracker.superseded(kSeven, winner, at(11), &said);
  EXPECT_EQ(told(), "7 confirmed @9+1 [9, 10]");
}

// Another copy of the store told other fields at a later change.
TEST_F(TrackerSuperseded, FieldsThatWereRefusedAreToldAgainFromThere) {
  look(10, {row(7, kActive, 9)});
  const std::string info = read(10, {{"name", "a"}});
  ASSERT_EQ(info, "7 info @9+1 [9, 10] hash");
  challenged(11, epoch(9), 10.5);
  ASSERT_EQ(look(20, {row(7, kActive, 19)}), "7 confirmed @9+2 [19, 20]");
  LocalEvent said;
  said.agent = kSeven;
  said.epoch = epoch(9);
  said.change = 1;
  const Winner winner{{epoch(9), "w1", 2}, true};
  tracker.superseded(kSeven, winner, at(21), &said);
  EXPECT_EQ(told(), "") << "it said nothing of fields";
  said.info_hash = tracker.agents().at(kSeven).info_hash;
  tracker.superseded(kSeven, winner, at(21), &said);
  EXPECT_EQ(told(), "7 info @9+3 [19, 20] hash");
}

TEST_F(TrackerSuperseded, ARemovalThatWasRefusedIsToldAgainFromThere) {
  LocalEvent said;
  said.agent = kSeven;
  said.kind = EventKind::removed;
  said.epoch = epoch(9);
  said.change = 2;
  tracker.superseded(kSeven, {{epoch(9), "w1", 5}, true}, at(21), &said);
  EXPECT_EQ(told(), "7 removed @9+6 [0, 0]");
  tracker.superseded(kSeven, {{epoch(9), "w1", 5}, false}, at(21), &said);
  tracker.superseded(kSeven, {{epoch(9), "w2", 5}, true}, at(21), &said);
  EXPECT_EQ(told(), "") << "it stands, or another worker has the agent";
}

TEST_F(TrackerSuperseded, AnOlderCopyWithinOneSessionTellsItsInfoAgain) {
  look(10, {row(7, kActive, 9)});
  read(10, {{"name", "a"}});
  EXPECT_EQ(superseded(11, "w1", epoch(9), 4, true), "7 info @9+5 [9, 10] hash");
  EXPECT_EQ(superseded(12, "w1", epoch(9), 5, true), "") << "this very session and change";
}

// A tracker that knows of 7 only what its store says: an open session.
class TrackerRestored : public TrackerTest {
 protected:
  void SetUp() override {
    look(10, {row(7, kActive, 9)});
    const auto state = decode_agent_state(encode(seven()));
    ASSERT_TRUE(state);
    restart();
    tracker.restore(kSeven, *state);
  }
};

TEST_F(TrackerRestored, AnOwnWinnerIsOutbidOnlyWhenALookShowsTheAgent) {
  EXPECT_EQ(superseded(31, "w1", epoch(30), 2, true), "") << "the store may be out of date";
  Look elsewhere = look_at(32, {row(8, kNever, -kWall)});
  elsewhere.complete = false;
  EXPECT_EQ(look(elsewhere), "");
  EXPECT_EQ(look(33, {row(7, kActive, 9)}), "7 opened @30.000001+0 [9, 10]");
  EXPECT_EQ(look(34, {row(7, kActive, 9)}), "") << "once";
}

TEST_F(TrackerRestored, AnAgentThatLeftMeanwhileIsClosedAboveTheOwnWinner) {
  superseded(31, "w1", epoch(30), 2, true);
  EXPECT_EQ(look(33, {row(7, kGone, 20, 3)}),
            "7 closed @9+1 [20, 21] shutdown; 7 closed @30.000001+1 [20, 21] shutdown");
}

TEST_F(TrackerRestored, OfTwoOwnWinnersTheNewerIsOutbid) {
  superseded(31, "w1", epoch(30), 2, true);
  superseded(31, "w1", epoch(25), 0, true);
  EXPECT_EQ(look(33, {row(7, kActive, 9)}), "7 opened @30.000001+0 [9, 10]");
}

TEST_F(TrackerRestored, ANewSessionAboveTheOwnWinnerNeedsNoOther) {
  superseded(31, "w1", epoch(30), 2, true);
  look(32, {row(7, kGone, 9, 3)});
  EXPECT_EQ(superseded(33, "w1", epoch(20), 2, true), "");
}

TEST_F(TrackerRestored, AnAgentThatIsGoneFromTheSourceIsRemovedAboveTheOwnWinner) {
  superseded(31, "w1", epoch(30), 2, true);
  look(32, {row(8, kNever, -kWall)});
  EXPECT_EQ(look(63, {row(8, kNever, -kWall)}), "7 removed @30.000001+1 [9, 10] removed");
  EXPECT_EQ(tracker.open_sessions(), 0u);
}

TEST_F(TrackerRestored, AnOwnWinnerThatTheStoreKnowsAlreadyLeavesNothingUndecided) {
  EXPECT_EQ(superseded(31, "w1", epoch(9), 0, true), "");
  EXPECT_FALSE(tracker.undecided());
}

TEST_F(TrackerRestored, AnEventsSourceThatIsThereDecidesInPlaceOfALook) {
  superseded(31, "w1", epoch(30), 2, true);
  EXPECT_TRUE(tracker.undecided());
  tracker.watched(at(32));
  EXPECT_EQ(told(), "7 opened @30.000001+0 [9, 10]");
  EXPECT_FALSE(tracker.undecided());
}

TEST_F(TrackerRestored, AnAgentThatAnEventsSourceRemovesIsRemovedAboveTheOwnWinner) {
  superseded(31, "w1", epoch(30), 2, true);
  tracker.observe({.agent = kSeven, .kind = Observation::Kind::remove, .boot_us = us(32)}, at(33));
  EXPECT_EQ(told(), "7 removed @30.000001+1 [9, 10] removed");
  EXPECT_FALSE(tracker.undecided());
}

TEST_F(TrackerRestored, AnotherNodesWinnerIsAnsweredAtOnce) {
  EXPECT_EQ(superseded(31, "w2", epoch(30), 0, true), "7 released @9+1 [9, 10] moved");
}

TEST_F(TrackerSuperseded, ByAContactAloneChangesNothing) {
  look(10, {row(7, kActive, 9)});
  tracker.superseded(kSeven, {{kUnstamped, "", 0}, false}, at(11));
  EXPECT_EQ(told(), "");
}

// ---- CHALLENGE

using TrackerChallenge = TrackerTest;

TEST_F(TrackerChallenge, IsConfirmedAtOnceByEvidenceThatIsThereAlready) {
  look(10, {row(7, kActive, 9)});
  look(20, {row(7, kActive, 19)});
  EXPECT_EQ(challenged(21, epoch(9), 15), "7 confirmed @9+1 [19, 20]");
  EXPECT_EQ(look(200, {row(7, kActive, 19)}), "");
}

TEST_F(TrackerChallenge, IsConfirmedByNewEvidenceAfterTheMomentAndNotBeforeIt) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(challenged(21, epoch(9), 25), "");
  EXPECT_EQ(look(25, {row(7, kActive, 24)}), "");
  EXPECT_EQ(look(27, {row(7, kActive, 26)}), "7 confirmed @9+1 [26, 27]");
}

TEST_F(TrackerChallenge, WithoutEvidenceItEndsUnconfirmedAfterTwoAndAHalfIntervals) {
  double s = 10;
  look(s, {row(7, kActive, 9)});
  EXPECT_EQ(challenged(s, epoch(9), 15), "");
  for (; s < 60; ++s) EXPECT_EQ(look(s + 1, {row(7, kActive, 9)}), "") << s;
  EXPECT_EQ(look(61, {row(7, kActive, 9)}), "7 closed @9+1 [9, 10] unconfirmed");
  EXPECT_EQ(look(62, {row(7, kActive, 9)}), "") << "the ghost's row does not bring it back";
  EXPECT_EQ(look(70, {row(7, kActive, 69)}), "7 opened @69+0 [69, 70]");
}

TEST_F(TrackerChallenge, AnAgentThatSpeaksRarelyIsWaitedForLonger) {
  look(10, {row(7, kActive, 9)});
  look(50, {row(7, kActive, 49)});  // 40 s: twice the configured interval
  EXPECT_EQ(challenged(50, epoch(9), 55), "");
  double s = 50;
  for (; s < 150; ++s) EXPECT_EQ(look(s + 1, {row(7, kActive, 49)}), "") << s;
  EXPECT_EQ(look(151, {row(7, kActive, 49)}), "7 closed @9+1 [49, 50] unconfirmed");
}

TEST_F(TrackerChallenge, ABlindSourceRestartsTheWait) {
  look(10, {row(7, kActive, 9)});
  challenged(10, epoch(9), 15);
  double s = 10;
  for (; s < 55; ++s) EXPECT_EQ(look(s + 1, {row(7, kActive, 9)}), "") << s;
  tracker.look_failed(at(56));
  tracker.look_failed(at(500));
  s = 501;
  for (; s < 552; ++s) EXPECT_EQ(look(s, {row(7, kActive, 9)}), "") << s;
  EXPECT_EQ(look(552, {row(7, kActive, 9)}), "7 closed @9+1 [9, 10] unconfirmed");
}

TEST_F(TrackerChallenge, ALaterOneRaisesTheMomentAndDoesNotRestartTheWait) {
  look(10, {row(7, kActive, 9)});
  look(20, {row(7, kActive, 19)});
  challenged(20, epoch(9), 25);
  double s = 20;
  for (; s < 29; ++s) look(s + 1, {row(7, kActive, 19)});
  challenged(29, epoch(9), 31);
  challenged(29, epoch(9), 22);  // an older one, repeated
  EXPECT_EQ(look(30, {row(7, kActive, 29)}), "") << "not after 31";
  for (s = 30; s < 70; ++s) EXPECT_EQ(look(s + 1, {row(7, kActive, 29)}), "") << s;
  EXPECT_EQ(look(71, {row(7, kActive, 29)}), "7 closed @9+1 [29, 30] unconfirmed");
}

TEST_F(TrackerChallenge, OfAnotherSessionOrAnAgentThatLeftIsIgnored) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(challenged(11, epoch(8), 1), "");
  look(12, {row(7, kGone, 9, 3)});
  EXPECT_EQ(challenged(13, epoch(9), 1), "");
}

TEST_F(TrackerChallenge, AGoodbyeIsAnAnswerToo) {
  look(10, {row(7, kActive, 9)});
  challenged(10, epoch(9), 15);
  EXPECT_EQ(look(20, {row(7, kGone, 9, 3)}), "7 closed @9+1 [9, 10] shutdown");
}

// ---- future_epoch

using TrackerFutureEpoch = TrackerTest;

TEST_F(TrackerFutureEpoch, IsStampedAnewOnlyAfterAFreshSample) {
  look(10, {row(7, kActive, 9)});
  tracker.future_epoch(kSeven, epoch(9));
  tracker.sampled(at(11));
  EXPECT_EQ(told(), "");
  sample(12, -5 * kSecond);
  tracker.sampled(at(12));
  EXPECT_EQ(told(), "7 opened @4+0 [9, 10]");
  sample(13, -5 * kSecond);
  tracker.sampled(at(13));
  EXPECT_EQ(told(), "") << "once";
}

TEST_F(TrackerFutureEpoch, StaysAboveTheLastEpochThatWasTaken) {
  look(10, {row(7, kActive, 9)});
  LocalEvent taken;
  taken.agent = kSeven;
  taken.epoch = epoch(9);
  tracker.acked(taken);
  look(20, {row(7, kGone, 9, 3)});
  look(30, {row(7, kActive, 29)});
  told();
  tracker.future_epoch(kSeven, epoch(29));
  sample(31, -25 * kSecond);
  tracker.sampled(at(31));
  EXPECT_EQ(told(), "7 opened @9.000001+0 [29, 30]");
}

// What followed the refused event was on its way, and taken once the time had come.
TEST_F(TrackerFutureEpoch, StaysAboveWhatIsTakenAfterItWasStampedAnew) {
  look(10, {row(7, kActive, 9)});
  LocalEvent taken;
  taken.agent = kSeven;
  taken.epoch = epoch(9);
  tracker.future_epoch(kSeven, epoch(9));
  sample(12, -5 * kSecond);
  tracker.sampled(at(12));
  EXPECT_EQ(told(), "7 opened @4+0 [9, 10]");
  tracker.acked(taken);
  EXPECT_EQ(told(), "7 opened @9.000001+0 [9, 10]");
  tracker.acked(taken);
  EXPECT_EQ(told(), "") << "once";
}

TEST_F(TrackerFutureEpoch, TellsTheWholeSessionAsItStands) {
  look(10, {row(7, kActive, 9)});
  look(20, {row(7, kGone, 19, 3)});
  told();
  tracker.future_epoch(kSeven, epoch(9));
  sample(21, -5 * kSecond);
  tracker.sampled(at(21));
  EXPECT_EQ(told(), "7 closed @4+1 [19, 20] shutdown");
}

TEST_F(TrackerFutureEpoch, OfASessionThatIsNotTheNewestAnyMoreIsIgnored) {
  look(10, {row(7, kActive, 9)});
  tracker.future_epoch(kSeven, epoch(8));
  sample(12, -5 * kSecond);
  tracker.sampled(at(12));
  EXPECT_EQ(told(), "");
}

// ---- rows gone missing

class TrackerMissing : public TrackerTest {
 protected:
  // 8 stays; 7 is there or is not.
  std::string with(double s) { return look(s, {row(7, kActive, 9), row(8, kActive, 9)}); }
  std::string without(double s, bool complete = true, std::uint64_t connection = 1) {
    Look l = look_at(s, {row(8, kActive, 9)});
    l.complete = complete;
    l.connection = connection;
    return look(l);
  }
  void SetUp() override { with(10); }
};

TEST_F(TrackerMissing, IsRemovedByTwoCompleteLooksHalfAMinuteApart) {
  EXPECT_EQ(without(20), "");
  EXPECT_EQ(without(49.9), "");
  EXPECT_EQ(without(50), "7 removed @9+1 [9, 10] removed");
  EXPECT_THAT(tracker.take_removed(), ElementsAre(kSeven));
  EXPECT_FALSE(tracker.agents().contains(kSeven));
  EXPECT_EQ(tracker.open_sessions(), 1u);
}

TEST_F(TrackerMissing, AReconnectBeginsTheWaitAnew) {
  without(20);
  EXPECT_EQ(without(55, true, 2), "");
  EXPECT_EQ(without(60, true, 2), "");
  EXPECT_NE(without(85, true, 2), "");
}

TEST_F(TrackerMissing, AnIncompleteLookProvesNothing) {
  without(20, false);
  EXPECT_EQ(without(60), "") << "the first complete one";
  EXPECT_EQ(without(95, false), "");
  EXPECT_NE(without(96), "");
}

TEST_F(TrackerMissing, ARowThatCameBackWasNotMissing) {
  without(20);
  EXPECT_EQ(with(30), "");
  EXPECT_EQ(without(51), "");
  EXPECT_NE(without(81), "");
}

TEST_F(TrackerMissing, AnEmptyTableProvesNothingUnlessNobodyIsEnrolled) {
  for (double s = 20; s < 200; s += 10) EXPECT_EQ(look(s, {}), "");
  Look l = look_at(200, {});
  l.no_agents_enrolled = false;
  EXPECT_EQ(look(l), "");
  for (double s : {300., 340.}) {
    l = look_at(s, {});
    l.no_agents_enrolled = true;
    const std::string said = look(l);
    EXPECT_EQ(said.empty(), s < 340) << said;
  }
  EXPECT_TRUE(tracker.agents().empty());
}

TEST_F(TrackerMissing, AnAgentWithoutASessionIsForgottenWithoutAWord) {
  look(11, {row(7, kActive, 9), row(8, kActive, 9), row(9, kNever, -kWall)});
  with(20);
  EXPECT_EQ(with(51), "");
  EXPECT_THAT(tracker.take_removed(), ElementsAre(AgentId{9}));
}

TEST_F(TrackerMissing, ManyAtOnceAreReportedOnceBeforeTheyAreRemoved) {
  std::vector<Row> all;
  for (std::uint32_t a = 1; a <= 200; ++a) all.push_back(row(a, kActive, 19));
  look(20, all);
  tracker.take_notes();
  all.resize(100);
  look(21, all);
  const auto notes = tracker.take_notes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0].level, NoteLevel::warning);
  look(22, all);
  EXPECT_THAT(tracker.take_notes(), IsEmpty());
  EXPECT_EQ(tracker.open_sessions(), 200u);
}

TEST_F(TrackerMissing, ARowReadTwiceHidesNobodyAndMissesNobody) {
  Look l = look_at(20, {row(8, kActive, 9), row(8, kActive, 9)});
  EXPECT_EQ(look(l), "");
  l = look_at(51, {row(8, kActive, 9), row(8, kActive, 9)});
  EXPECT_EQ(look(l), "7 removed @9+1 [9, 10] removed");
  tracker.take_notes();
  look(52, {row(8, kActive, 9), row(8, kActive, 9), row(8, kActive, 9)});
  EXPECT_THAT(tracker.take_notes(), IsEmpty()) << "nobody is missing";
}

// ---- info

class TrackerInfo : public TrackerTest {
 protected:
  const AgentInfo a{{"name", "a"}};
  const AgentInfo b{{"name", "b"}};
};

TEST_F(TrackerInfo, IsAskedForWhenASessionOpens) {
  look(10, {row(7, kActive, 9)});
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
  look(11, {row(7, kActive, 10)});
  EXPECT_THAT(tracker.take_wanted_info(), IsEmpty()) << "a read is under way";
  look(27, {row(7, kActive, 26)});
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven)) << "it was never answered";
}

TEST_F(TrackerInfo, IsAskedForAtOnceWhenTheSourceCameBack) {
  look(10, {row(7, kActive, 9)});
  tracker.take_wanted_info();
  tracker.look_failed(at(11));
  look(12, {row(7, kActive, 11)});
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
}

TEST_F(TrackerInfo, IsNotAskedForWhileTheAgentIsPending) {
  look(10, {row(7, kPending, 9)});
  EXPECT_THAT(tracker.take_wanted_info(), IsEmpty());
  look(11, {row(7, kActive, 10)});
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
}

TEST_F(TrackerInfo, IsToldOnceInASessionAndAgainWhenItChanged) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(read(10, a), "7 info @9+1 [9, 10] hash") << "the master may know the fields";
  EXPECT_EQ(read(70, a), "");
  EXPECT_EQ(read(130, b), "7 info @9+2 [9, 10] info");
}

TEST_F(TrackerInfo, OfTheNextSessionIsTheHashAloneWhateverItIs) {
  look(10, {row(7, kActive, 9)});
  read(10, a);
  look(20, {row(7, kGone, 9, 3)});
  look(30, {row(7, kActive, 29)});
  EXPECT_EQ(read(30, a), "7 info @29+1 [29, 30] hash");
  look(40, {row(7, kGone, 29, 3)});
  look(50, {row(7, kActive, 49)});
  EXPECT_EQ(read(50, b), "7 info @49+1 [49, 50] hash");
}

TEST_F(TrackerInfo, OfAnAgentThatLeftIsToldIfItIsStillWhatItToldItself) {
  look(10, {row(7, kActive, 9)});
  read(10, a);
  look(20, {row(7, kGone, 9, 3)});
  tracker.take_wanted_info();
  tracker.fields_wanted(kSeven, at(21));
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
  EXPECT_EQ(read(21, b), "") << "written by another worker's sync";
  EXPECT_EQ(read(22, a), "7 closed @9+3 [9, 10] shutdown info");
  EXPECT_EQ(read(23, a), "");
}

TEST_F(TrackerInfo, CarriesItsFieldsWhenTheMasterAsksForThem) {
  look(10, {row(7, kActive, 9)});
  read(10, a);
  tracker.take_wanted_info();
  tracker.fields_wanted(kSeven, at(20));
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
  EXPECT_EQ(read(20, a), "7 info @9+2 [9, 10] info");
  EXPECT_EQ(read(30, a), "");
}

TEST_F(TrackerInfo, OfAnAgentThatIsNotHereIsAnOldCopyAndNotTold) {
  look(10, {row(7, kActive, 9)});
  look(11, {row(7, kGone, 9, 3)});
  EXPECT_EQ(read(11, a), "");
  tracker.info_read(AgentId{99}, a, at(12));
  EXPECT_EQ(told(), "");
}

TEST_F(TrackerInfo, ARowWithoutFieldsTellsNothing) {
  look(10, {row(7, kActive, 9)});
  EXPECT_EQ(read(10, {}), "");
}

TEST_F(TrackerInfo, IsReadAgainWhenTheSourceShowsThatItChanged) {
  Look l = look_at(10, {row(7, kActive, 9)});
  l.prints = {111};
  look(l);
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven)) << "once, though both ask for it";
  read(10, a);
  l.prints = {111};
  look(l);
  EXPECT_THAT(tracker.take_wanted_info(), IsEmpty());
  l.prints = {222};
  look(l);
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
}

TEST_F(TrackerInfo, IsReadAgainAfterARestartSinceItMayHaveChanged) {
  look(10, {row(7, kActive, 9)});
  read(10, a);
  Tracker later{{}, "w1", timeline};
  later.restore(kSeven, *decode_agent_state(encode(seven())));
  Look l = look_at(15, {row(7, kActive, 9)});
  l.prints = {111};
  later.look(l);
  EXPECT_THAT(later.take_wanted_info(), ElementsAre(kSeven));
}

TEST_F(TrackerInfo, IsReadAgainNowAndThenWhateverTheSourceShows) {
  restart({.info_refresh_us = 60 * kSecond});
  look(10, {row(7, kActive, 9)});
  read(10, a);
  tracker.take_wanted_info();
  std::size_t asked = 0;
  for (int s = 11; s <= 190; ++s) {
    look(s, {row(7, kActive, s - 1)});
    asked += tracker.take_wanted_info().size();
    read(s, a);
  }
  EXPECT_EQ(asked, 3u);
}

TEST_F(TrackerInfo, TooLargeIsClippedAndSaid) {
  look(10, {row(7, kActive, 9)});
  tracker.take_notes();
  EXPECT_EQ(read(10, {{"name", std::string(20'000, 'x')}}), "7 info @9+1 [9, 10] hash");
  EXPECT_EQ(tracker.take_notes().size(), 1u);
}

// ---- masters

using TrackerMaster = TrackerTest;

TEST_F(TrackerMaster, ANewTermIsToldEverySessionAsItStandsWithItsOldVersion) {
  look(10, {row(7, kActive, 9), row(8, kActive, 9), row(9, kActive, 9)});
  look(20, {row(7, kActive, 9), row(8, kGone, 9, 3), row(9, kActive, 9)});
  tracker.superseded(AgentId{9}, {{epoch(15), "w2", 0}, true}, at(21));
  told();
  tracker.tell_everything(at(22));
  auto events = tracker.take_events();
  std::ranges::sort(events, {}, [](const auto& e) { return e.agent; });
  EXPECT_EQ(text(events),
            "7 opened @9+0 [9, 10]; 8 closed @9+1 [9, 10] shutdown; 9 released @9+1 [9, 10] moved");
}

// An older copy of the log may begin at a time that is far behind the one that the fence was made
// in.
TEST_F(TrackerMaster, ANewTermMayHaveLostTheWinnerThatReleasedASession) {
  look(9, {});
  look(10, {row(7, kActive, 9)});
  superseded(12, "w2", epoch(5000), 0);
  look(19, {row(7, kActive, 9)});
  EXPECT_EQ(look(20, {row(7, kActive, 19)}), "");
  tracker.tell_everything(at(22));
  EXPECT_EQ(text(tracker.take_events()), "7 released @9+1 [9, 10] moved");
  look(29, {row(7, kActive, 19)});
  EXPECT_EQ(look(30, {row(7, kActive, 29)}), "7 opened @29+0 [29, 30]");
}

TEST_F(TrackerMaster, AnotherMasterIsToldSessionsWithoutTheOldOnesEpochsAndFences) {
  look(10, {row(7, kActive, 9)});
  superseded(12, "w2", epoch(11), 0);
  tracker.forget_master();
  EXPECT_EQ(seven().session->fence, kUnstamped);
  tracker.tell_everything(at(22));
  auto events = tracker.take_events();
  EXPECT_EQ(text(events), "7 released @-+1 [9, 10] moved");
  tracker.stamp(events[0], at(22));
  tracker.end_stamping();
  EXPECT_EQ(text(events), "7 released @9+1 [9, 10] moved");
  EXPECT_EQ(seven().session->epoch, epoch(9));
}

TEST(TrackerStamp, WaitsForTheMastersTimeAndKeepsSessionsApart) {
  Timeline timeline{kBoot};
  Tracker tracker{{}, "w1", timeline};
  tracker.look(look_at(10, {row(7, kActive, 9)}));
  tracker.look(look_at(20, {row(7, kGone, 9, 3)}));
  tracker.look(look_at(30, {row(7, kActive, 29)}));
  auto events = tracker.take_events();
  EXPECT_EQ(text(events),
            "7 opened @-+0 [9, 10]; 7 closed @-+1 [9, 10] shutdown; 7 opened @-+0 [29, 30]");
  const std::int64_t t = master_time(31).us;
  timeline.add({1}, us(31), t, t, us(31));
  for (LocalEvent& e : events) tracker.stamp(e, at(31));
  tracker.end_stamping();
  EXPECT_EQ(text(events),
            "7 opened @9+0 [9, 10]; 7 closed @9+1 [9, 10] shutdown; 7 opened @29+0 [29, 30]");
  EXPECT_EQ(tracker.agents().at(kSeven).session->epoch, epoch(29));
}

}  // namespace
}  // namespace rollcall::sidecar
