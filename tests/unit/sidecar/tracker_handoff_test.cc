// Offers and how they end (docs/protocol.md, section 15).
#include <gtest/gtest.h>

#include <optional>
#include <sstream>
#include <string>

#include "sidecar/core/tracker.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;

constexpr std::uint8_t kRestart = 5, kShutdown = 3;

class TrackerHandoff : public ::testing::Test {
 protected:
  TrackerHandoff() {
    sample(1);
    look(9.5, {});
    look(10.5, {row(7, kActive, 10)});
  }

  void sample(double s) {
    const std::int64_t t = master_time(s).us;
    timeline.add({1}, us(s), t, t, us(s));
  }
  std::string told() { return text(tracker.take_events()); }
  std::string look(double s, std::vector<Row> rows) {
    tracker.look(look_at(s, std::move(rows)));
    return told();
  }
  std::string drain(double s, std::int64_t grace_s = 100) {
    Drain d;
    d.number = ++drains;
    d.grace_us = grace_s * kSecond;
    tracker.set_drain(d);
    return hand(s);
  }
  std::string undrain(double s) {
    tracker.set_drain(std::nullopt);
    return hand(s);
  }
  std::string hand(double s, std::size_t most = 100) {
    tracker.hand_off(most, at(s));
    return told();
  }
  std::string superseded(double s, const NodeName& node, Epoch e) {
    tracker.superseded(kSeven, {{e, node, 0}, true}, at(s));
    return told();
  }
  std::string challenged(double s, double upto) {
    tracker.challenged(kSeven, seven().session->epoch, master_time(upto), at(s));
    return told();
  }
  const AgentState& seven() const { return tracker.agents().at(kSeven); }
  std::string_view end() const { return to_string(seven().handoff->end); }
  std::string moves() const {
    std::ostringstream out;
    for (const Move& m : seven().moves) {
      out << (out.view().empty() ? "" : "; ") << to_string(m.kind) << ' ' << m.node << ' '
          << static_cast<double>(m.at.boot_us) / kSecond;
    }
    return out.str();
  }
  // The same store, read by another process.
  void restart() {
    const Tracker::Agents stored = tracker.agents();
    held.emplace(Tracker::Config{}, "w1", timeline);
    for (const auto& [agent, state] : stored)
      tracker.restore(agent, *decode_agent_state(encode(state)));
  }
  // In a machine that was booted meanwhile.
  void reboot() {
    timeline = Timeline(kBoot + 1);
    sample(1);
    restart();
  }

  Timeline timeline{kBoot};
  std::uint64_t drains = 0;
  std::optional<Tracker> held{std::in_place, Tracker::Config{}, "w1", timeline};
  Tracker& tracker = *held;
};

// ---- drain

TEST_F(TrackerHandoff, ADrainOffersEveryOpenSessionOnce) {
  look(11, {row(7, kActive, 10), row(8, kActive, 10), row(9, kGone, 10, kShutdown)});
  Drain d;
  d.number = 1;
  tracker.set_drain(d);
  tracker.hand_off(100, at(11));
  EXPECT_EQ(tracker.take_events().size(), 2u);
  EXPECT_FALSE(tracker.handing_off());
  EXPECT_EQ(hand(12), "");
  EXPECT_EQ(tracker.open_sessions(), 2u) << "an offered session is open";
}

TEST_F(TrackerHandoff, EachGetsItsTurnSoThatTensOfThousandsHoldUpNobody) {
  std::vector<Row> rows;
  for (std::uint32_t agent = 1; agent <= 50; ++agent) rows.push_back(row(agent, kActive, 10));
  look(11, rows);
  Drain d;
  d.number = 1;
  tracker.set_drain(d);
  for (const std::size_t expected : {20u, 20u, 10u, 0u}) {
    tracker.hand_off(20, at(12));
    EXPECT_EQ(tracker.take_events().size(), expected);
  }
}

TEST_F(TrackerHandoff, EvidenceAfterTheOfferEndsIt) {
  EXPECT_EQ(drain(11), "7 offered @10+1 [10, 10.5] for 100");
  EXPECT_EQ(look(20.5, {row(7, kActive, 20)}), "7 confirmed @10+2 [20, 20.5]");
  EXPECT_EQ(end(), "stayed");
}

TEST_F(TrackerHandoff, EvidenceThatMayBeOfBeforeTheOfferDoesNotEndIt) {
  drain(11.5);
  EXPECT_EQ(look(12, {row(7, kActive, 11)}), "");
  EXPECT_EQ(end(), "none");
}

TEST_F(TrackerHandoff, AnAgentThatStaysIsNotOfferedAgainAndItsStatusDoesNotFlap) {
  drain(11);
  look(20.5, {row(7, kActive, 20)});
  for (int s = 30; s < 200; s += 10) {
    EXPECT_EQ(look(s + 0.5, {row(7, kActive, s)}), "") << s;
    EXPECT_EQ(hand(s + 0.6), "") << s;
  }
}

TEST_F(TrackerHandoff, AnAgentThatOpensOnADrainedWorkerIsOfferedAtOnce) {
  drain(11);
  EXPECT_EQ(look(20.5, {row(7, kActive, 10), row(8, kActive, 20)}),
            "8 opened @20+0 [20, 20.5]; 8 offered @20+1 [20, 20.5] for 100");
}

TEST_F(TrackerHandoff, WhoeverLeavesADrainedWorkerIsOnItsWayAndNotDisconnected) {
  drain(11);
  look(20.5, {row(7, kActive, 20)});
  EXPECT_EQ(look(30.5, {row(7, kGone, 29, kShutdown)}), "7 offered @10+3 [29, 30] for 100");
  EXPECT_EQ(look(40.5, {row(7, kGone, 29, kShutdown)}), "");
  EXPECT_EQ(look(130.6, {row(7, kGone, 29, kShutdown)}), "7 closed @10+4 [29, 30] handoff_expired");
}

TEST_F(TrackerHandoff, LeavingWhileOfferedProlongsNothing) {
  drain(11);
  EXPECT_EQ(look(20.5, {row(7, kGone, 10, kShutdown)}), "");
  EXPECT_EQ(look(111.5, {row(7, kGone, 10, kShutdown)}),
            "7 closed @10+2 [10, 10.5] handoff_expired");
}

TEST_F(TrackerHandoff, AVisitBetweenTwoLooksAtADrainedWorkerIsOfferedToo) {
  drain(11);
  EXPECT_EQ(look(20.5, {row(7, kActive, 10), row(8, kGone, 20, kShutdown)}),
            "8 opened @20+0 [20, 20.5]; 8 offered @20+1 [20, 20.5] for 100");
}

TEST_F(TrackerHandoff, UndrainTakesBackWhatStillStands) {
  look(11, {row(7, kActive, 10), row(8, kActive, 10)});
  drain(12);
  look(20.5, {row(7, kActive, 10), row(8, kActive, 20)});
  EXPECT_EQ(undrain(21), "7 withdrawn @10+2 [10, 10.5]");
  EXPECT_EQ(end(), "withdrawn");
  EXPECT_EQ(look(200, {row(7, kActive, 10), row(8, kActive, 20)}), "") << "and nothing expires";
}

TEST_F(TrackerHandoff, UndrainClosesWhatLeftMeanwhile) {
  drain(11);
  look(20.5, {row(7, kGone, 10, kShutdown)});
  EXPECT_EQ(undrain(21), "7 closed @10+2 [10, 10.5] shutdown");
}

TEST_F(TrackerHandoff, AnotherDrainOffersAnew) {
  drain(11);
  look(20.5, {row(7, kActive, 20)});
  EXPECT_EQ(drain(21, 60), "7 offered @10+3 [20, 20.5] for 60");
}

// Or an agent that stays would be disconnected and come back with each of its keepalives.
TEST_F(TrackerHandoff, AShortGraceLeavesWhoStaysTheTimeToSaySo) {
  look(11, {row(7, kActive, 10), row(8, kGone, 10, kShutdown)});
  EXPECT_EQ(drain(11, 1), "7 offered @10+1 [10, 10.5] for 50");
  EXPECT_EQ(look(30.5, {row(7, kActive, 29)}), "7 confirmed @10+2 [29, 30]");
  EXPECT_EQ(look(40.5, {row(7, kGone, 39, kShutdown)}), "7 offered @10+3 [39, 40] for 1");
}

TEST_F(TrackerHandoff, ProgressCountsWhoIsHereAndWhoIsWhere) {
  look(11, {row(7, kActive, 10), row(8, kActive, 10), row(9, kActive, 10)});
  drain(12);
  superseded(13, "w2", epoch(12.5));
  look(20.5, {row(7, kActive, 10), row(8, kActive, 20), row(9, kActive, 10)});
  const DrainProgress p = tracker.drain_progress();
  EXPECT_EQ(p.taken, (std::map<NodeName, std::size_t>{{"w2", 1}}));
  EXPECT_EQ(p.stayed, 1u);
  EXPECT_EQ(p.offered, 1u);
  EXPECT_EQ(p.left(), 2u);
}

TEST_F(TrackerHandoff, WhoStayedAndThenMovedCountsAsTaken) {
  drain(11);
  look(20.5, {row(7, kActive, 20)});
  superseded(30, "w2", epoch(25));
  EXPECT_EQ(tracker.drain_progress().taken.at("w2"), 1u);
}

// ---- the end of the grace

TEST_F(TrackerHandoff, AtTheEndOfTheGraceWhoWasNotHeardIsClosed) {
  drain(11);
  EXPECT_EQ(look(110.9, {row(7, kActive, 10)}), "");
  EXPECT_EQ(look(111.5, {row(7, kActive, 10)}), "7 closed @10+2 [10, 10.5] handoff_expired");
  EXPECT_EQ(end(), "expired");
  EXPECT_EQ(tracker.open_sessions(), 0u);
}

TEST_F(TrackerHandoff, AtTheEndOfTheGraceWhoMayHaveBeenHeardIsNot) {
  drain(11.5);
  look(12, {row(7, kActive, 11)});
  EXPECT_EQ(look(112, {row(7, kActive, 11)}), "7 confirmed @10+2 [11, 12]");
}

TEST_F(TrackerHandoff, WhoIsHeardAfterTheGraceOpensASessionOfItsOwn) {
  drain(11);
  look(111.5, {row(7, kActive, 10)});
  EXPECT_EQ(look(112.5, {row(7, kActive, 112)}),
            "7 opened @112+0 [112, 112.5]; 7 offered @112+1 [112, 112.5] for 100");
}

TEST_F(TrackerHandoff, TheGraceIsJudgedByALookAndWithoutOneForAMinuteByNone) {
  drain(11);
  tracker.look_failed(at(115));
  tracker.waited_blind(59 * kSecond, at(170));
  EXPECT_EQ(told(), "");
  tracker.waited_blind(1 * kSecond, at(171));
  EXPECT_EQ(told(), "7 closed @10+2 [10, 10.5] handoff_expired");
}

TEST_F(TrackerHandoff, SilenceEndsNoOfferedSessionSooner) {
  drain(11, 1000);
  EXPECT_EQ(challenged(12, 11), "");
  for (int s = 20; s < 900; s += 5) EXPECT_EQ(look(s, {row(7, kActive, 10)}), "") << s;
  EXPECT_EQ(look(1011.5, {row(7, kActive, 10)}), "7 closed @10+2 [10, 10.5] handoff_expired");
}

TEST_F(TrackerHandoff, TheReaperEndsNoOfferedSessionSooner) {
  tracker.set_manager_gone(true);
  EXPECT_EQ(hand(21), "7 offered @10+1 [10, 10.5] for 300");
  EXPECT_EQ(look(200, {row(7, kGone, 10, 4)}), "");
  EXPECT_EQ(look(330, {row(7, kGone, 10, 4)}), "7 closed @10+2 [10, 10.5] handoff_expired");
}

// ---- what is told meanwhile

TEST_F(TrackerHandoff, NewInfoAndAnAnswerWithOlderEvidenceLeaveTheOfferStanding) {
  drain(11);
  tracker.info_read(kSeven, {{"name", "a"}}, at(12));
  EXPECT_EQ(told(), "7 offered @10+2 [10, 10.5] hash for 100");
  EXPECT_EQ(challenged(13, 5), "7 offered @10+3 [10, 10.5] for 100");
  EXPECT_EQ(look(20.5, {row(7, kActive, 20)}), "7 confirmed @10+4 [20, 20.5]");
}

TEST_F(TrackerHandoff, OneAnswerEndsAnOfferAndAChallenge) {
  drain(11);
  challenged(12, 15);
  EXPECT_EQ(look(20.5, {row(7, kActive, 20)}), "7 confirmed @10+2 [20, 20.5]");
  EXPECT_FALSE(seven().due);
}

TEST_F(TrackerHandoff, ToldAnewItIsStillOffered) {
  drain(11);
  tracker.tell_everything(at(12));
  EXPECT_EQ(told(), "7 offered @10+1 [10, 10.5] for 100");
}

// ---- taken

TEST_F(TrackerHandoff, AnotherWorkersClaimEndsTheOfferAndItIsKnownWhoseItWas) {
  drain(11);
  EXPECT_EQ(superseded(13, "w2", epoch(12)), "7 released @10+2 [10, 10.5] moved");
  EXPECT_EQ(end(), "taken");
  EXPECT_EQ(seven().handoff->to, "w2");
  EXPECT_EQ(look(111.5, {row(7, kActive, 10)}), "") << "a released session does not expire";
}

TEST_F(TrackerHandoff, WhoComesBackSaysWhereItWas) {
  superseded(13, "w2", epoch(12));
  look(30.5, {row(7, kActive, 30)});
  ASSERT_EQ(seven().session->phase, Phase::open);
  restart();
  superseded(33, "w3", epoch(32));
  restart();
  tracker.look(look_at(39.5, {row(7, kActive, 30)}));
  tracker.take_events();
  tracker.look(look_at(40.5, {row(7, kActive, 40)}));
  const auto events = tracker.take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].from, (SessionName{epoch(32), "w3"}));
}

TEST_F(TrackerHandoff, WhatWasReleasedWithoutAnOfferAndWhatWasTakenIsKeptOverARestart) {
  EXPECT_EQ(moves(), "") << "nobody had it before";
  superseded(13, "w2", epoch(12));
  EXPECT_EQ(moves(), "released w2 13");
  look(30.5, {row(7, kActive, 30)});
  restart();
  EXPECT_EQ(moves(), "released w2 13; took w2 30.5");
}

TEST_F(TrackerHandoff, WhatWasOfferedIsNotKeptTwice) {
  drain(11);
  superseded(13, "w2", epoch(12));
  EXPECT_EQ(end(), "taken");
  EXPECT_EQ(moves(), "");
}

TEST_F(TrackerHandoff, OnADrainedWorkerWhateverGoesCountsAsOffered) {
  Drain d;
  d.number = 1;
  tracker.set_drain(d);
  superseded(13, "w2", epoch(12));
  EXPECT_EQ(end(), "taken");
  EXPECT_EQ(moves(), "");
}

TEST_F(TrackerHandoff, TheNewestMovesOfAnAgentAreKept) {
  for (int s = 20; s < 80; s += 20) {
    superseded(s + 3, "w2", epoch(s + 2));
    look(s + 10.5, {row(7, kActive, s + 10)});
  }
  EXPECT_EQ(moves(), "released w2 43; took w2 50.5; released w2 63; took w2 70.5");
}

TEST_F(TrackerHandoff, AnOfferStandsWhenTheSessionIsClaimedAgain) {
  look(20.5, {row(7, kActive, 20)});
  drain(21);
  EXPECT_EQ(superseded(22, "w2", epoch(15)),
            "7 opened @20+0 [20, 20.5]; 7 offered @20+1 [20, 20.5] for 100");
  EXPECT_EQ(look(121.5, {row(7, kActive, 20)}), "7 closed @20+2 [20, 20.5] handoff_expired");
}

// ---- the manager

TEST_F(TrackerHandoff, ARestartOfTheManagerOffersAndAReturnEndsIt) {
  EXPECT_EQ(look(20.5, {row(7, kGone, 10, kRestart)}), "7 offered @10+1 [10, 10.5] for 300");
  EXPECT_EQ(look(25.5, {row(7, kActive, 25)}), "7 confirmed @10+2 [25, 25.5]");
}

TEST_F(TrackerHandoff, AfterARestartOfTheManagerAGoodbyeIsADisconnect) {
  look(20.5, {row(7, kGone, 10, kRestart)});
  look(25.5, {row(7, kActive, 25)});
  EXPECT_EQ(look(30.5, {row(7, kGone, 25, kShutdown)}), "7 closed @10+3 [25, 25.5] shutdown");
}

TEST_F(TrackerHandoff, ARestartOfLongAgoIsNoHandoff) {
  EXPECT_EQ(look(2000, {row(7, kActive, 10), row(8, kGone, 20, kRestart)}),
            "8 closed @20+1 [20, 21] worker_restart");
}

TEST_F(TrackerHandoff, AManagerThatIsGoneOffersAllOnce) {
  tracker.set_manager_gone(true);
  EXPECT_EQ(hand(20), "7 offered @10+1 [10, 10.5] for 300");
  tracker.set_manager_gone(true);
  EXPECT_EQ(hand(21), "");
  tracker.set_manager_gone(false);
  EXPECT_EQ(hand(22), "") << "evidence ends it, not the socket";
  EXPECT_EQ(look(30.5, {row(7, kGone, 10, kRestart)}), "") << "it is offered already";
  EXPECT_EQ(look(35.5, {row(7, kActive, 35)}), "7 confirmed @10+2 [35, 35.5]");
}

// ---- restarts

TEST_F(TrackerHandoff, UndrainLeavesOfferedWhomTheManagerLeftAlone) {
  drain(11);
  tracker.set_manager_gone(true);
  hand(15);
  EXPECT_EQ(undrain(16), "") << "nobody is there to say that it stays";
  EXPECT_TRUE(seven().offered());
}

TEST_F(TrackerHandoff, AnOfferSurvivesARestartOfTheSidecar) {
  drain(11);
  restart();
  EXPECT_EQ(look(20.5, {row(7, kActive, 10)}), "");
  EXPECT_EQ(look(111.5, {row(7, kActive, 10)}), "7 closed @10+2 [10, 10.5] handoff_expired");
}

// Only the wall clock says how long that took, and it may have been set.
TEST_F(TrackerHandoff, AfterARebootAnOfferHasItsWholeGraceAgain) {
  drain(11);
  reboot();
  EXPECT_EQ(look(20.5, {row(7, kActive, 10)}), "");
  EXPECT_EQ(look(119.5, {row(7, kActive, 10)}), "");
  EXPECT_EQ(look(121, {row(7, kActive, 10)}), "7 closed @10+2 [10, 10.5] handoff_expired");
}

TEST_F(TrackerHandoff, ADrainThatGoesOnAfterARestartOffersNobodyTwice) {
  drain(11);
  look(20.5, {row(7, kActive, 20)});
  restart();
  --drains;
  EXPECT_EQ(drain(21), "");
}

// ---- events sources

TEST_F(TrackerHandoff, AnEventsSourceFollowsTheSameRules) {
  const auto tell = [&](Observation::Kind kind, double s, Reason reason = Reason::none) {
    Observation o;
    o.agent = AgentId{8};
    o.kind = kind;
    o.boot_us = us(s);
    o.heard = true;
    o.reason = reason;
    tracker.observe(o, at(s));
    return told();
  };
  tell(Observation::Kind::connect, 20);
  tracker.take_events();
  drain(21);
  EXPECT_EQ(tell(Observation::Kind::keepalive, 30), "8 confirmed @20+2 [30, 30]");
  EXPECT_EQ(tell(Observation::Kind::disconnect, 40, Reason::shutdown),
            "8 offered @20+3 [40, 40] for 100");
  EXPECT_EQ(tell(Observation::Kind::connect, 50), "8 confirmed @20+4 [50, 50]");
}

}  // namespace
}  // namespace rollcall::sidecar
