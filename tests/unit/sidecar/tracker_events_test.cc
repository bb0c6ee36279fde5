// What an events source tells, one agent at a time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/core/tracker.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using Kind = Observation::Kind;

class TrackerEvents : public ::testing::Test {
 protected:
  TrackerEvents() {
    const std::int64_t t = master_time(1).us;
    timeline.add({1}, us(1), t, t, us(1));
  }

  std::string observe(double now, Observation o) {
    tracker.observe(o, test::at(now));
    EXPECT_EQ(tracker.open_sessions(), tracker.count_open());
    return text(tracker.take_events());
  }
  std::string heard(Kind kind, double s, InfoPtr info, double now) {
    return observe(
        now,
        {.agent = kSeven, .kind = kind, .boot_us = us(s), .heard = true, .info = std::move(info)});
  }
  std::string connect(double s, InfoPtr info = nullptr, double now = 100) {
    return heard(Kind::connect, s, std::move(info), now);
  }
  std::string keepalive(double s, InfoPtr info = nullptr, double now = 100) {
    return heard(Kind::keepalive, s, std::move(info), now);
  }
  // A goodbye whose moment is known.
  std::string goodbye(double s) {
    return observe(100, {.agent = kSeven,
                         .kind = Kind::disconnect,
                         .boot_us = us(s),
                         .heard = true,
                         .reason = Reason::shutdown});
  }
  // Told at this moment; nobody says when the agent last spoke.
  std::string disconnect(double s, Reason reason = Reason::no_keepalive) {
    return observe(100,
                   {.agent = kSeven, .kind = Kind::disconnect, .boot_us = us(s), .reason = reason});
  }
  std::string remove(double s) {
    return observe(100, {.agent = kSeven, .kind = Kind::remove, .boot_us = us(s)});
  }
  std::string superseded(double winner, const NodeName& node, std::uint32_t change = 0,
                         bool open = true) {
    tracker.superseded(kSeven, {{epoch(winner), node, change}, open}, test::at(100));
    return text(tracker.take_events());
  }
  std::string challenged(double s, double upto) {
    tracker.challenged(kSeven, epoch(s), master_time(upto), test::at(100));
    return text(tracker.take_events());
  }
  // A source that is there, and silent, from one moment to another.
  std::string silence(double from, double to) {
    for (double s = from; s <= to; s += 1) tracker.watched(test::at(s));
    return text(tracker.take_events());
  }
  static InfoPtr info(const std::string& name) {
    return std::make_shared<const AgentInfo>(AgentInfo{{"name", name}});
  }
  const AgentState& seven() const { return tracker.agents().at(kSeven); }

  Timeline timeline{kBoot};
  Tracker tracker{{}, "w1", timeline};
};

TEST_F(TrackerEvents, AConnectOpensAtItsMoment) {
  EXPECT_EQ(connect(10), "7 opened @10+0 [10, 10]");
}

TEST_F(TrackerEvents, AKeepaliveWithoutASessionOpensToo) {
  EXPECT_EQ(keepalive(10), "7 opened @10+0 [10, 10]");
}

TEST_F(TrackerEvents, AConnectInsideAnOpenSessionIsNewerEvidenceAndNoMore) {
  connect(10);
  EXPECT_EQ(connect(20), "");
  EXPECT_EQ(seven().session->evidence.lo.boot_us, us(20));
  EXPECT_EQ(seven().session->epoch, epoch(10));
}

TEST_F(TrackerEvents, AConnectAfterADisconnectIsAnotherSession) {
  connect(10);
  EXPECT_EQ(goodbye(20), "7 closed @10+1 [20, 20] shutdown");
  EXPECT_EQ(connect(21), "7 opened @21+0 [21, 21]");
}

TEST_F(TrackerEvents, WhatIsOlderThanTheNewestEvidenceIsNoNews) {
  connect(10);
  keepalive(20);
  EXPECT_EQ(keepalive(15), "");
  EXPECT_EQ(goodbye(19), "");
  EXPECT_EQ(disconnect(19), "");
  EXPECT_EQ(remove(19), "");
  EXPECT_EQ(seven().session->evidence.lo.boot_us, us(20));
  EXPECT_EQ(goodbye(20), "7 closed @10+1 [20, 20] shutdown");
  EXPECT_EQ(connect(20), "");
  EXPECT_EQ(keepalive(19), "");
}

TEST_F(TrackerEvents, LinesThatAreToldAgainChangeNothing) {
  connect(10);
  goodbye(20);
  EXPECT_EQ(connect(10) + goodbye(20), "");
  connect(30);
  EXPECT_EQ(connect(10) + goodbye(20) + connect(30), "");
  EXPECT_EQ(tracker.open_sessions(), 1u);
}

TEST_F(TrackerEvents, ADisconnectThatIsNoGoodbyeClosesWithTheNewestEvidence) {
  connect(10);
  keepalive(20);
  EXPECT_EQ(disconnect(90), "7 closed @10+1 [20, 20] no_keepalive");
  EXPECT_EQ(keepalive(50), "7 opened @50+0 [50, 50]") << "it spoke before the source gave it up";
}

TEST_F(TrackerEvents, AGoodbyeOfAnAgentThatWasNotKnownHereIsAShortVisit) {
  EXPECT_EQ(goodbye(20), "7 closed @20+1 [20, 20] shutdown");
  EXPECT_EQ(goodbye(20), "");
  EXPECT_EQ(goodbye(30), "7 closed @30+1 [30, 30] shutdown");
}

TEST_F(TrackerEvents, ADisconnectWithoutASessionThatProvesNothingIsNoNews) {
  EXPECT_EQ(disconnect(20), "");
  EXPECT_THAT(tracker.agents(), IsEmpty());
  connect(30);
  goodbye(40);
  EXPECT_EQ(disconnect(50), "");
}

TEST_F(TrackerEvents, ARemovedAgentIsForgotten) {
  connect(10, info("a"));
  tracker.take_kept_infos();
  EXPECT_EQ(remove(20), "7 removed @10+1 [10, 10] removed");
  EXPECT_THAT(tracker.take_removed(), ElementsAre(kSeven));
  EXPECT_THAT(tracker.take_kept_infos(), ElementsAre(Pair(kSeven, nullptr)));
  EXPECT_THAT(tracker.agents(), IsEmpty());
  EXPECT_EQ(remove(30), "");
  EXPECT_THAT(tracker.take_removed(), IsEmpty());
}

// ---- info

TEST_F(TrackerEvents, TheHashGoesWithTheClaimAndTheFieldsAreKept) {
  EXPECT_EQ(connect(10, info("a")), "7 opened @10+0 [10, 10] hash");
  const auto kept = tracker.take_kept_infos();
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(*kept[0].second, (AgentInfo{{"name", "a"}}));
  EXPECT_THAT(tracker.take_wanted_info(), IsEmpty());
}

TEST_F(TrackerEvents, FieldsThatAreTheSameAreToldOnceASessionByTheirHash) {
  connect(10, info("a"));
  EXPECT_EQ(keepalive(20, info("a")), "");
  goodbye(30);
  EXPECT_EQ(connect(40, info("a")), "7 opened @40+0 [40, 40] hash");
  EXPECT_EQ(tracker.take_kept_infos().size(), 1u);
}

TEST_F(TrackerEvents, OtherFieldsAreAnEventOfTheirOwn) {
  connect(10, info("a"));
  EXPECT_EQ(keepalive(20, info("b")), "7 info @10+1 [20, 20] info");
  EXPECT_EQ(tracker.take_kept_infos().size(), 2u);
}

TEST_F(TrackerEvents, FieldsThatComeLateCountIfNothingWasToldInThisStay) {
  connect(10);
  keepalive(20);
  EXPECT_EQ(keepalive(15, info("a")), "7 info @10+1 [20, 20] hash");
  EXPECT_EQ(keepalive(16, info("b")), "") << "older than what is known";
  goodbye(30);
  connect(40);
  EXPECT_EQ(keepalive(35, info("c")), "") << "of the stay before";
}

TEST_F(TrackerEvents, AReopenedSessionTellsNoFieldsThatAnotherWorkerMayHaveReplaced) {
  connect(10, info("a"));
  goodbye(20);
  EXPECT_EQ(keepalive(30), "7 opened @30+0 [30, 30]");
  EXPECT_THAT(tracker.take_wanted_info(), IsEmpty());
}

TEST_F(TrackerEvents, FieldsThatTheMasterWantsAreReadBackAndTold) {
  connect(10, info("a"));
  tracker.fields_wanted(kSeven, test::at(100));
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
  tracker.info_read(kSeven, *info("a"), test::at(100));
  EXPECT_EQ(text(tracker.take_events()), "7 info @10+1 [10, 10] info");
}

TEST_F(TrackerEvents, FieldsOfAnAgentThatLeftMeanwhileAreToldToo) {
  connect(10, info("a"));
  goodbye(20);
  tracker.fields_wanted(kSeven, test::at(100));
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
  tracker.info_read(kSeven, *info("a"), test::at(100));
  EXPECT_EQ(text(tracker.take_events()), "7 closed @10+2 [20, 20] shutdown info");
  EXPECT_EQ(tracker.open_sessions(), 0u);
}

TEST_F(TrackerEvents, FieldsThatWereReadBackTooLateDoNotReplaceNewerOnes) {
  connect(10, info("a"));
  tracker.fields_wanted(kSeven, test::at(100));
  EXPECT_EQ(keepalive(20, info("b")), "7 info @10+1 [20, 20] info");
  tracker.info_read(kSeven, *info("a"), test::at(100));
  EXPECT_EQ(text(tracker.take_events()), "");
}

TEST_F(TrackerEvents, FieldsThatCouldNotBeReadBackAreWantedAgainAtTheNextKeepalive) {
  connect(10, info("a"));
  tracker.fields_wanted(kSeven, test::at(50));
  tracker.take_wanted_info();
  tracker.info_read(kSeven, {}, test::at(50));
  keepalive(60);
  EXPECT_THAT(tracker.take_wanted_info(), ElementsAre(kSeven));
}

TEST_F(TrackerEvents, AnAgentThatLooksHadToldOfBeforeIsKeptFromNowOn) {
  tracker.look(look_at(10, {row(7, kActive, 9)}));
  tracker.info_read(kSeven, *info("a"), test::at(11));
  tracker.take_events();
  EXPECT_EQ(keepalive(20, info("a")), "");
  EXPECT_EQ(tracker.take_kept_infos().size(), 1u) << "nothing was kept while it could be read";
  EXPECT_FALSE(seven().row);
}

// ---- the master's word

TEST_F(TrackerEvents, AReleasedSessionOpensAgainBeyondTheFenceOnly) {
  connect(10);
  EXPECT_EQ(superseded(20, "w2"), "7 released @10+1 [10, 10] moved");
  EXPECT_EQ(keepalive(15), "");
  EXPECT_EQ(goodbye(18), "");
  EXPECT_EQ(keepalive(20), "");
  EXPECT_EQ(keepalive(21), "7 opened @21+0 [21, 21]");
}

TEST_F(TrackerEvents, ALateDisconnectAfterAReleaseDoesNotTakeTheAgentFromItsNewWorker) {
  connect(10);
  superseded(20, "w2");
  EXPECT_EQ(disconnect(30), "");
  EXPECT_EQ(disconnect(30, Reason::shutdown), "");
}

TEST_F(TrackerEvents, AChallengeIsAnsweredByTheNextKeepaliveAfterIt) {
  connect(10);
  EXPECT_EQ(challenged(10, 30), "");
  EXPECT_EQ(keepalive(29), "");
  EXPECT_EQ(keepalive(31), "7 confirmed @10+1 [31, 31]");
  EXPECT_EQ(keepalive(32), "");
}

TEST_F(TrackerEvents, AChallengeThatASourceIsSilentAboutEndsTheSession) {
  connect(10);
  challenged(10, 30);
  EXPECT_EQ(silence(100, 150), "") << "2.5 intervals of 20 s";
  EXPECT_EQ(silence(151, 152), "7 closed @10+1 [10, 10] unconfirmed");
}

TEST_F(TrackerEvents, AHaltOfThisProcessIsNoSilence) {
  connect(10);
  challenged(10, 30);
  EXPECT_EQ(silence(100, 101), "");
  EXPECT_EQ(silence(500, 520), "");
}

TEST_F(TrackerEvents, TimeWithoutASourceIsNoSilence) {
  connect(10);
  challenged(10, 30);
  EXPECT_EQ(silence(100, 140), "");
  tracker.unwatched();
  EXPECT_EQ(silence(500, 550), "");
  EXPECT_EQ(silence(551, 552), "7 closed @10+1 [10, 10] unconfirmed");
}

TEST_F(TrackerEvents, BeforeTheMastersTimeIsKnownSessionsWaitForTheirEpoch) {
  Timeline unknown(kBoot);
  Tracker early({}, "w1", unknown);
  early.observe({.agent = kSeven, .boot_us = us(10), .heard = true}, test::at(11));
  early.observe({.agent = kSeven,
                 .kind = Kind::disconnect,
                 .boot_us = us(12),
                 .heard = true,
                 .reason = Reason::shutdown},
                test::at(12));
  auto events = early.take_events();
  EXPECT_EQ(text(events), "7 opened @-+0 [10, 10]; 7 closed @-+1 [12, 12] shutdown");
  const std::int64_t t = master_time(20).us;
  unknown.add({1}, us(20), t, t, us(20));
  for (LocalEvent& e : events) early.stamp(e, test::at(20));
  EXPECT_EQ(text(events), "7 opened @10+0 [10, 10]; 7 closed @10+1 [12, 12] shutdown");
}

}  // namespace
}  // namespace rollcall::sidecar
