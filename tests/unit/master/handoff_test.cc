// Offers and planned stops at the master (docs/protocol.md, section 15).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/master/core_fixture.h"

namespace rollcall::master {
namespace {

using namespace test;

constexpr AgentId kSeven{7};

Event offered(std::uint32_t agent, double epoch_s, std::uint32_t change, double grace_s) {
  Event e = event(agent, EventKind::offered, epoch_s, change, epoch_s);
  e.grace_us = us(grace_s);
  return e;
}

// Heartbeats every 10 s, a TTL of 30 s, a grace of 50 s from lapsed to expired.
class Handoff : public ::testing::Test {
 protected:
  static MasterCore::Config config() {
    MasterCore::Config c = test::config();
    c.ttl_us = 30 * kSecond;
    c.grace_us = 50 * kSecond;
    return c;
  }
  // Two workers of five; agent 7 is on w1.
  Handoff() {
    for (std::uint64_t i = 1; i <= 5; ++i)
      m.connect(10, ConnId{i}, hello("w" + std::to_string(i), 100 + i));
    m.delta(10, kW1, 1, {opened(7, 9)});
  }
  // The workers but w1 are alive, and w1 if asked for.
  enum class First { silent, alive };
  void run(double until, First first = First::silent) {
    for (; now < until; now += 1) {
      if (std::llround(now) % 10 == 0) {
        for (std::uint64_t i = first == First::alive ? 1 : 2; i <= 5; ++i)
          m.message(now, ConnId{i}, Heartbeat{i == 1 ? told : 0, 0, 5, std::nullopt});
      }
      m.tick(now);
    }
  }
  void restart(double s) {
    std::vector<std::string> records = m.records;
    m.~Master();
    new (&m) Master(std::move(records), "", s, config());
    now = s;
  }
  const AgentRecord& seven() const { return *m.core.state().find(kSeven); }
  std::string shown() const {
    const State& state = m.core.state();
    const Reason reason = state.reason_of(seven());
    return std::string(to_string(state.status_of(seven()))) +
           (reason == Reason::none ? "" : " " + std::string(to_string(reason)));
  }
  // As counted and as looked at one by one.
  std::string counted() const {
    const State::Counts c = m.core.state().counts();
    return std::to_string(c.active) + " " + std::to_string(c.migrating) + " " +
           std::to_string(c.unreachable) + " " + std::to_string(c.disconnected);
  }
  std::string lease() const { return std::string(to_string(m.core.state().lease_of("w1"))); }
  void expect_replay_equal() const {
    EXPECT_EQ(Master::fold(m.records).encode(), m.core.state().encode());
    const auto back = State::decode(m.core.state().encode());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->encode(), m.core.state().encode());
    EXPECT_EQ(back->counts().migrating, m.core.state().counts().migrating);
  }

  Master m{{}, "", 1, config()};
  double now = 10;
  std::uint64_t told = 1;
};

TEST_F(Handoff, AnOfferedAgentIsMigratingAndEvidenceMakesItActive) {
  m.delta(11, kW1, 2, {offered(7, 9, 1, 60)});
  EXPECT_EQ(shown(), "migrating");
  EXPECT_EQ(counted(), "0 1 0 0");
  expect_replay_equal();
  m.delta(12, kW1, 3, {event(7, EventKind::confirmed, 9, 2, 12)});
  EXPECT_EQ(shown(), "active");
  EXPECT_EQ(counted(), "1 0 0 0");
  expect_replay_equal();
}

// A store that went back may say the version of the offer with another meaning.
TEST_F(Handoff, WhoSaysItsVersionOtherwiseIsToldWhatStandsAndGoesOnFromThere) {
  m.delta(11, kW1, 2, {offered(7, 9, 1, 60)});
  EXPECT_EQ(m.delta(12, kW1, 3, {event(7, EventKind::confirmed, 9, 1, 12)}),
            "1 ACK 3; 3: superseded 7 by 9@w1+1 open");
  EXPECT_EQ(shown(), "migrating");
  m.delta(13, kW1, 4, {event(7, EventKind::confirmed, 9, 2, 12)});
  EXPECT_EQ(shown(), "active");
  expect_replay_equal();
}

TEST_F(Handoff, AnotherWorkersClaimEndsItAndTheLoserIsTold) {
  m.delta(11, kW1, 2, {offered(7, 9, 1, 60)});
  EXPECT_THAT(m.delta(12, kW2, 1, {opened(7, 11.5)}), ::testing::HasSubstr("1 SUPERSEDED"));
  EXPECT_EQ(counted(), "1 0 0 0");
  expect_replay_equal();
}

TEST_F(Handoff, AWorkerThatIsThereIsWaitedForWhenTheGraceIsOver) {
  m.delta(11, kW1, 2, {offered(7, 9, 1, 20)});
  told = 2;
  run(60, First::alive);
  EXPECT_EQ(shown(), "migrating");
  Event expired = closed(7, 9, 2, 9);
  expired.reason = Reason::handoff_expired;
  m.delta(60, kW1, 3, {expired});
  EXPECT_EQ(shown(), "disconnected handoff_expired");
  EXPECT_EQ(counted(), "0 0 0 1");
}

TEST_F(Handoff, OfOneThatCannotBeHeardTheGraceStillCountsAndThenTheMasterGivesUp) {
  m.delta(11, kW1, 2, {offered(7, 9, 1, 100)});
  run(110);
  ASSERT_EQ(lease(), "expired");
  EXPECT_EQ(shown(), "migrating") << "whatever became of its worker";
  run(112);
  EXPECT_EQ(shown(), "disconnected handoff_expired");
  EXPECT_EQ(counted(), "0 0 0 1");
  EXPECT_EQ(m.top(7), "9@w1+1 open") << "the record is not changed";
  expect_replay_equal();
  m.connect(113, ConnId{9}, hello("w1", 101, 3));
  EXPECT_EQ(shown(), "migrating") << "it will say what became of the agent";
  expect_replay_equal();
}

TEST_F(Handoff, TheGraceRunsOnAcrossARestartOfTheMaster) {
  m.delta(11, kW1, 2, {offered(7, 9, 1, 60)});
  restart(30);
  EXPECT_EQ(shown(), "migrating");
  EXPECT_EQ(seven().offered_until, master_time(71));
  run(70);
  ASSERT_EQ(lease(), "lapsed") << "no worker came back";
  EXPECT_EQ(shown(), "migrating");
  run(73);
  EXPECT_EQ(shown(), "disconnected handoff_expired");
}

TEST_F(Handoff, GivingUpIsLoggedOnceForManyOffers) {
  m.delta(11, kW1, 2,
          {offered(7, 9, 1, 60), opened(8, 9), offered(8, 9, 1, 60), opened(9, 9),
           offered(9, 9, 1, 70)});
  run(75);
  EXPECT_EQ(counted(), "0 1 0 2");
  const std::size_t records = m.records.size();
  run(76);
  EXPECT_EQ(m.records.size(), records);
  run(85);
  EXPECT_EQ(counted(), "0 0 0 3");
}

TEST_F(Handoff, AnOfferThatIsSaidAgainIsCountedOnce) {
  m.delta(11, kW1, 2, {offered(7, 9, 1, 60), offered(7, 9, 1, 80)});
  EXPECT_EQ(counted(), "0 1 0 0");
  m.delta(12, kW1, 4, {event(7, EventKind::withdrawn, 9, 2, 9)});
  EXPECT_EQ(counted(), "1 0 0 0");
  EXPECT_EQ(m.core.state().nodes().at("w1").offers, Offers{});
}

// ---- BYE

TEST_F(Handoff, AWorkerThatSaysGoodbyeKeepsItsLeaseForTheTimeThatItSaid) {
  m.message(11, kW1, Bye{ByeReason::restart, 120 * kSecond});
  ASSERT_EQ(m.closes.size(), 1u);
  EXPECT_EQ(m.closes[0].conn, kW1);
  run(130);
  EXPECT_EQ(lease(), "valid");
  EXPECT_EQ(shown(), "active");
  EXPECT_EQ(m.core.node_status("w1", at(130)).away, (Away{ByeReason::restart, master_time(131)}));
  expect_replay_equal();
  run(133);
  EXPECT_EQ(lease(), "lapsed");
  EXPECT_FALSE(m.core.node_status("w1", at(133)).away);
  run(190);
  EXPECT_EQ(shown(), "disconnected lease_expired") << "the ordinary expiry";
}

TEST_F(Handoff, AfterAGoodbyeTheNextConnectionIsNotRefusedAsASecondOne) {
  m.message(11, kW1, Bye{ByeReason::restart, 120 * kSecond});
  EXPECT_THAT(m.connect(12, ConnId{9}, hello("w1", 201)), ::testing::HasSubstr("9 WELCOME"));
  EXPECT_FALSE(m.core.node_status("w1", at(12)).away);
  run(45);
  EXPECT_EQ(lease(), "lapsed") << "the goodbye is over";
}

TEST_F(Handoff, AGoodbyeHoldsTheLeaseAcrossARestartOfTheMaster) {
  m.message(11, kW1, Bye{ByeReason::shutdown, 120 * kSecond});
  restart(20);
  run(130);
  EXPECT_EQ(lease(), "valid");
  run(133);
  EXPECT_EQ(lease(), "lapsed");
}

TEST_F(Handoff, AGoodbyeForLessThanATtlShortensNothing) {
  m.message(11, kW1, Bye{ByeReason::shutdown, 1 * kSecond});
  run(38);
  EXPECT_EQ(lease(), "valid");
}

TEST_F(Handoff, AGoodbyeForEverHoldsForADay) {
  m.message(11, kW1, Bye{ByeReason::shutdown, std::int64_t{1} << 60});
  EXPECT_EQ(m.core.node_status("w1", at(12)).away->until, master_time(11 + 86'400));
}

TEST_F(Handoff, BeforeHelloAGoodbyeIsRefused) {
  m.core.connected(ConnId{9}, {"w9"}, "10.0.0.9:1", at(11));
  EXPECT_EQ(m.message(11, ConnId{9}, Bye{}), "9 ERROR protocol fatal");
}

}  // namespace
}  // namespace rollcall::master
