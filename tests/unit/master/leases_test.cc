#include "master/core/leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/master/core_fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::HasSubstr;

// Heartbeats every 10 s, a TTL of 30 s, a grace of 100 s.
class LeaseTest : public ::testing::Test {
 protected:
  static MasterCore::Config config() {
    MasterCore::Config c = test::config();
    c.ttl_us = 30 * kSecond;
    c.grace_us = 100 * kSecond;
    return c;
  }
  // w1 … w<n> are connected as 1 … n, each with `agents` open agents of its own.
  void connect(std::uint32_t n, std::uint32_t agents = 1) {
    for (std::uint32_t i = 1; i <= n; ++i) {
      m.connect(10, ConnId{i}, hello(name(i), 100 + i));
      std::vector<Event> events;
      for (std::uint32_t a = 0; a < agents; ++a) events.push_back(opened(i * 1000 + a, 9));
      told[i] += events.size();
      if (!events.empty()) m.delta(10, ConnId{i}, 1, std::move(events));
    }
    now = 10;
  }
  static NodeName name(std::uint32_t i) { return "w" + std::to_string(i); }
  void heartbeat(std::uint32_t i) {
    Heartbeat beat;
    beat.seq = told[i];
    beat.digest = m.core.state().nodes().at(name(i)).open.digest();
    m.message(now, ConnId{i}, beat);
  }
  // Ticks each second; the workers in `alive` send heartbeats.
  void run(double until, std::vector<std::uint32_t> alive = {}) {
    for (; now < until; now += 1) {
      if (std::llround(now) % 10 == 0) {
        for (const std::uint32_t i : alive) heartbeat(i);
      }
      m.tick(now);
    }
    m.said();
  }
  // The disk takes nothing any more, and w2 fills the memory.
  void congest() {
    m.disk = Master::Disk::slow;
    Event large = opened(2000, 9);
    const std::string notes(1u << 20, 'x');
    large.info = std::make_shared<const AgentInfo>(AgentInfo{{"notes", notes}});
    large.info_hash = hash_of(*large.info);
    while (!m.core.congested()) m.delta(now, ConnId{2}, ++told[2], {large});
  }
  void recover() {
    m.disk = Master::Disk::fast;
    m.store(now);
    ASSERT_FALSE(m.core.congested());
  }
  std::string lease(std::uint32_t i) const {
    return std::string(to_string(m.core.state().lease_of(name(i))));
  }
  std::string status(std::uint32_t i) const {
    return std::string(
        to_string(m.core.state().status_of(*m.core.state().find(AgentId{i * 1000}))));
  }
  void restart(double s) {
    std::vector<std::string> records = m.records;
    m.~Master();
    new (&m) Master(std::move(records), "", s, config());
    now = s;
  }
  Master m{{}, "", 1, config()};
  double now = 1;
  std::map<std::uint32_t, std::uint64_t> told;
};

TEST_F(LeaseTest, HeartbeatsKeepItAndSilenceEndsItInTwoSteps) {
  connect(4);
  run(100, {1, 2, 3, 4});
  EXPECT_EQ(status(1), "active");
  EXPECT_EQ(m.core.node_status("w1", at(100)).lease_left_us, 20 * kSecond);
  run(140, {2, 3, 4});
  EXPECT_EQ(status(1), "unreachable");
  EXPECT_EQ(m.core.state().counts().active, 3u);
  EXPECT_EQ(m.core.state().counts().unreachable, 1u);
  run(300, {2, 3, 4});
  EXPECT_EQ(status(1), "disconnected");
  EXPECT_EQ(m.core.state().reason_of(*m.core.state().find(AgentId{1000})), Reason::lease_expired);
  EXPECT_EQ(m.top(1000), "9@w1+0 open") << "a lease never changes a record";
  EXPECT_EQ(m.core.counters().leases.at(LeaseStatus::expired), 1u);
}

TEST_F(LeaseTest, AWorkerThatComesBackHasItsAgentsBackAtOnce) {
  connect(4);
  run(300, {2, 3, 4});
  ASSERT_EQ(status(1), "disconnected");
  m.connect(300, ConnId{9}, hello("w1", 101, 2));
  EXPECT_EQ(status(1), "active");
  EXPECT_EQ(lease(1), "valid");
}

TEST_F(LeaseTest, SessionsThatAreNotConfirmedForThreeTtlsLapseAlthoughTheLinkIsAlive) {
  connect(4);
  heartbeat(1);
  for (double until = 20; until <= 110; until += 10) {
    run(until, {2, 3, 4});
    m.message(now, ConnId{1}, Heartbeat{1, 0, 5, std::nullopt});
  }
  EXPECT_EQ(status(1), "unreachable");
  EXPECT_EQ(m.core.state().nodes().at("w1").lease.cause, LeaseCause::unconfirmed);
  m.message(now, ConnId{1}, Heartbeat{1, 0, 5, std::nullopt});
  EXPECT_EQ(status(1), "unreachable") << "a heartbeat proves the link only";
  heartbeat(1);
  EXPECT_EQ(status(1), "active");
}

TEST_F(LeaseTest, AWorkerThatSendsNoDigestsIsNotLateWithThem) {
  connect(4);
  const auto beats = [&](double until, const std::optional<Digest>& digest) {
    for (double next = now + 10; next <= until; next += 10) {
      run(next, {2, 3, 4});
      m.message(now, ConnId{1}, Heartbeat{1, 0, 5, digest});
    }
  };
  beats(300, std::nullopt);
  EXPECT_EQ(status(1), "active");
  EXPECT_EQ(m.core.node_status("w1", at(now)).lease_left_us, 30 * kSecond);
  beats(380, Digest{});
  EXPECT_EQ(status(1), "active");
  beats(410, Digest{});
  EXPECT_EQ(status(1), "unreachable") << "three TTLs of digests that differ";
}

TEST_F(LeaseTest, AfterAStartOnlyLeasesThatRanRunAgain) {
  connect(5);
  run(60, {3, 4, 5});
  ASSERT_EQ(lease(1), "lapsed");
  restart(1000);
  EXPECT_EQ(lease(1), "lapsed");
  EXPECT_EQ(lease(3), "valid");
  run(1029);
  EXPECT_EQ(lease(3), "valid") << "for a whole TTL";
  run(1032);
  EXPECT_EQ(lease(3), "lapsed");
}

TEST_F(LeaseTest, TimeInWhichTheMasterWasHaltedIsNobodysSilence) {
  connect(4);
  run(30, {1, 2, 3, 4});
  now = 500;
  m.tick(now);
  EXPECT_EQ(lease(1), "valid");
  run(532);
  EXPECT_EQ(lease(1), "lapsed");
}

TEST_F(LeaseTest, AHaltOfTheMasterEndsNoConnectionAndNoInventory) {
  connect(4);
  InventoryBegin begin;
  begin.id = 1;
  begin.seq = told[1];
  m.message(now, ConnId{1}, begin);
  run(30, {1, 2, 3, 4});
  now = 500;
  m.tick(now);
  EXPECT_TRUE(m.core.node_status("w1", at(now)).connected);
  EXPECT_EQ(m.core.counters().inventories_refused, 0u);
  run(532);
  EXPECT_FALSE(m.core.node_status("w1", at(now)).connected);
}

TEST_F(LeaseTest, TimeInWhichTheMachineWasSuspendedIsNobodysSilence) {
  connect(4);
  run(29, {1, 2, 3, 4});
  // Monotonic time stood still for an hour.
  const Now before = at(now);
  Now after = at(now + 3600);
  after.mono_us = before.mono_us + 100'000;
  m.core.tick(after);
  after.mono_us += 25 * kSecond;
  after.boot_us += 25 * kSecond;
  m.core.tick(after);
  EXPECT_EQ(lease(1), "valid");
}

TEST_F(LeaseTest, OneMomentOfADiskThatIsTooSlowIsNotATtlForEverybody) {
  connect(4);
  for (double until = 20; until <= 60; until += 10) {
    run(until, {2, 3, 4});
    congest();
    m.tick(now += 0.1);
    recover();
  }
  EXPECT_EQ(lease(1), "lapsed");
  EXPECT_EQ(lease(2), "valid");
  EXPECT_FALSE(m.core.node_status("w1", at(now)).connected);
}

TEST_F(LeaseTest, TimeInWhichNothingWasReadIsNobodysSilence) {
  connect(4);
  run(15, {1, 2, 3, 4});
  congest();
  run(100);
  EXPECT_EQ(lease(1), "valid");
  EXPECT_TRUE(m.core.node_status("w1", at(now)).connected);
  recover();
  run(140);
  EXPECT_EQ(lease(1), "lapsed");
  EXPECT_FALSE(m.core.node_status("w1", at(now)).connected);
}

TEST_F(LeaseTest, ATickThatIsLateDuringTheGraceMakesItLonger) {
  connect(4);
  run(45, {2, 3, 4});
  ASSERT_EQ(lease(1), "lapsed");
  now = 500;
  m.tick(now);
  for (std::uint32_t i : {2u, 3u, 4u}) heartbeat(i);
  EXPECT_EQ(lease(1), "lapsed");
  run(620, {2, 3, 4});
  EXPECT_EQ(lease(1), "expired");
}

// ---- mass expiry

TEST_F(LeaseTest, WhenEverybodyWouldExpireTheyAreHeldUntilAnOperatorConfirms) {
  connect(2);
  run(400);
  EXPECT_EQ(lease(1), "held");
  EXPECT_EQ(lease(2), "held");
  EXPECT_EQ(status(1), "unreachable");
  ASSERT_TRUE(m.act(400, m.core.confirm_expiry(at(400))));
  EXPECT_EQ(lease(1), "expired");
  EXPECT_EQ(m.core.state().nodes().at("w1").lease.cause, LeaseCause::confirmed);
  EXPECT_EQ(status(2), "disconnected");
}

TEST_F(LeaseTest, AHeartbeatDoesNotUndoAConfirmationOfWhatIsUnconfirmed) {
  connect(1);
  heartbeat(1);
  for (double until = 20; until <= 250; until += 10) {
    run(until);
    m.message(now, ConnId{1}, Heartbeat{1, 0, 5, std::nullopt});
  }
  ASSERT_EQ(lease(1), "held");
  ASSERT_TRUE(m.act(now, m.core.confirm_expiry(at(now))));
  m.message(now, ConnId{1}, Heartbeat{1, 0, 5, std::nullopt});
  EXPECT_EQ(lease(1), "expired");
  heartbeat(1);
  EXPECT_EQ(lease(1), "valid");
}

TEST_F(LeaseTest, AWorkerThatIsHeldAndComesBackIsActive) {
  connect(2);
  run(400);
  m.connect(400, ConnId{9}, hello("w1", 101, 2));
  EXPECT_EQ(lease(1), "valid");
  EXPECT_EQ(lease(2), "held");
}

TEST_F(LeaseTest, ThreeOfNineAreTooMany) {
  connect(9);
  run(400, {4, 5, 6, 7, 8, 9});
  EXPECT_EQ(lease(1), "held");
  EXPECT_EQ(lease(4), "valid");
}

TEST_F(LeaseTest, ThreeOfTwentyAreNot) {
  connect(20);
  run(400, {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20});
  EXPECT_EQ(lease(1), "expired");
}

TEST_F(LeaseTest, TwoWithMoreThanASixthOfTheAgentsAreTooMany) {
  connect(10);
  m.delta(10, ConnId{1}, 2, {opened(91, 9), opened(92, 9)});
  run(400, {3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_EQ(lease(1), "held");
}

TEST_F(LeaseTest, ThoseThatExpiredBeforeDoNotCount) {
  connect(3);
  run(400, {2, 3});
  ASSERT_EQ(lease(1), "expired");
  run(700, {3});
  EXPECT_EQ(lease(2), "expired") << "one of two";
}

TEST_F(LeaseTest, WhatIsHeldStaysSoOverARestart) {
  connect(2);
  run(400);
  restart(500);
  run(900);
  EXPECT_EQ(lease(1), "held");
}

// ---- freeze

TEST_F(LeaseTest, AFreezeHoldsExpiryAndEndsByItself) {
  connect(4);
  ASSERT_TRUE(m.act(10, m.core.freeze("w1", 500 * kSecond, at(10))));
  run(400, {2, 3, 4});
  EXPECT_EQ(lease(1), "lapsed");
  EXPECT_TRUE(m.core.node_status("w1", at(now)).frozen_until);
  run(520, {2, 3, 4});
  EXPECT_EQ(lease(1), "expired");
  EXPECT_FALSE(m.core.node_status("w1", at(now)).frozen_until);
}

TEST_F(LeaseTest, AFreezeOfAllHoldsThemAll) {
  connect(4);
  ASSERT_TRUE(m.act(10, m.core.freeze(std::nullopt, 500 * kSecond, at(10))));
  run(400, {3, 4});
  EXPECT_EQ(lease(1), "lapsed");
  ASSERT_TRUE(m.act(400, m.core.unfreeze(std::nullopt, at(400))));
  m.store(400);
  run(420, {3, 4});
  EXPECT_EQ(lease(1), "held") << "two of four with half of the agents";
}

TEST_F(LeaseTest, FrozenWorkersMakeNoOtherHeld) {
  connect(9);
  for (const char* node : {"w1", "w2"})
    ASSERT_TRUE(m.act(10, m.core.freeze(node, 5000 * kSecond, at(10))));
  run(200, {3, 4, 5, 6, 7, 8, 9});
  run(400, {4, 5, 6, 7, 8, 9});
  EXPECT_EQ(lease(1), "lapsed");
  EXPECT_EQ(lease(3), "expired") << "one of seven";
}

TEST_F(LeaseTest, AFreezeSurvivesARestart) {
  connect(4);
  ASSERT_TRUE(m.act(10, m.core.freeze("w1", 5000 * kSecond, at(10))));
  run(60, {2, 3, 4});
  restart(100);
  run(1000);
  EXPECT_EQ(lease(1), "lapsed");
}

TEST_F(LeaseTest, AFreezeOfAnUnknownNodeIsRefused) {
  const auto out = m.core.freeze("w9", kSecond, at(10));
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().message, HasSubstr("'w9' is not known here"));
  EXPECT_FALSE(m.core.freeze(std::nullopt, 0, at(10)));
  EXPECT_FALSE(m.core.unfreeze(std::nullopt, at(10)));
}

// ---- workers and agents that leave

TEST_F(LeaseTest, AForgottenWorkerLeavesNothingOpen) {
  connect(4);
  const auto refused = m.core.forget_node("w1", at(11));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("the lease of node 'w1' runs"));
  run(60, {2, 3, 4});
  ASSERT_TRUE(m.act(60, m.core.forget_node("w1", at(60))));
  EXPECT_FALSE(m.core.state().nodes().contains("w1"));
  EXPECT_EQ(m.core.state().find(AgentId{1000})->reason, Reason::node_forgotten);
  EXPECT_EQ(m.core.state().active(), 3u);
  EXPECT_FALSE(m.core.forget_node("w1", at(60)));
}

TEST_F(LeaseTest, AForgottenWorkerThatComesBackBeginsNoNewTerm) {
  connect(4);
  run(60, {2, 3, 4});
  m.lose(60, ConnId{1});
  ASSERT_TRUE(m.act(60, m.core.forget_node("w1", at(60))));
  const Term term = m.core.state().term();
  Hello h = hello("w1", 101, 2);
  h.last_master = m.core.state().master();
  h.last_term = term;
  h.start_position = h.acked_position = 1;
  m.connect(70, ConnId{9}, h);
  EXPECT_TRUE(m.welcome.store_is_older) << "it is to tell everything";
  EXPECT_FALSE(m.core.state().nodes().contains("w1"));
  m.connect(71, ConnId{10}, hello("w1", 201));
  EXPECT_FALSE(m.welcome.store_is_older);
  EXPECT_EQ(m.core.state().term(), term);
  EXPECT_EQ(m.core.state().nodes().at("w1").store, StoreId{201});
  EXPECT_TRUE(m.core.state().forgotten().empty());
}

TEST_F(LeaseTest, ARemovedAgentLeavesTheTableAfterItsRetention) {
  connect(2);
  Event e = event(1000, EventKind::removed, 9, 1, 10);
  e.reason = Reason::removed;
  m.delta(20, ConnId{1}, 2, {e});
  now = 20;
  const double week = 7 * 86'400;
  m.tick(week);
  m.tick(week + 10);
  EXPECT_NE(m.top(1000), "unknown");
  m.tick(week + 100);
  EXPECT_EQ(m.top(1000), "unknown");
  EXPECT_EQ(m.core.state().agents().size(), 1u);
  EXPECT_TRUE(Master::fold(m.records).encode() == m.core.state().encode());
}

TEST_F(LeaseTest, ARemovedAgentThatComesBackStays) {
  connect(1);
  Event e = event(1000, EventKind::removed, 9, 1, 10);
  e.reason = Reason::removed;
  m.delta(20, ConnId{1}, 2, {e});
  m.delta(30, ConnId{1}, 3, {opened(1000, 25)});
  EXPECT_TRUE(m.core.state().removed().empty());
  m.tick(8 * 86'400);
  EXPECT_EQ(m.top(1000), "25@w1+0 open");
}

// ---- scale

TEST_F(LeaseTest, HeartbeatsAreFurtherApartWhereThereAreManyWorkers) {
  connect(150, 0);
  EXPECT_EQ(m.welcome.heartbeat_us, 15 * kSecond);
  EXPECT_EQ(m.welcome.ttl_us, 45 * kSecond);
  m.core.tick(at(11));
  const auto answer = [&] {
    return std::get<HeartbeatAck>(
        m.core.message(ConnId{1}, Heartbeat{}, at(11)).send.at(0).message);
  };
  EXPECT_EQ(answer().heartbeat_us, 15 * kSecond) << "it was told 10 s";
  EXPECT_EQ(answer().heartbeat_us, 0) << "once";
}

TEST_F(LeaseTest, WhoWasToldALongHeartbeatIsNotCutOffWhenWorkersAreForgotten) {
  connect(300, 0);
  run(20);
  Hello h = hello(name(300), 400);
  m.connect(20, ConnId{999}, h);
  ASSERT_EQ(m.welcome.heartbeat_us, 30 * kSecond);
  run(105);  // all others are silent for longer than their TTL
  m.message(now, ConnId{999}, Heartbeat{});
  for (std::uint32_t i = 1; i < 300; ++i)
    ASSERT_TRUE(m.act(now, m.core.forget_node(name(i), at(now))));
  run(now + 35);
  EXPECT_TRUE(m.core.node_status(name(300), at(now)).connected);
  h.stream = StreamId{7};
  EXPECT_THAT(m.connect(now, ConnId{1000}, h), HasSubstr("node_in_use"));
}

// ---- the records

TEST_F(LeaseTest, ReplayGivesTheSameStateByteForByte) {
  connect(5);
  ASSERT_TRUE(m.act(10, m.core.freeze("w5", 5000 * kSecond, at(10))));
  run(200, {4, 5});
  m.lose(200, ConnId{1});
  ASSERT_TRUE(m.act(200, m.core.forget_node("w1", at(200))));
  run(400, {4});
  const std::string bytes = m.core.state().encode();
  EXPECT_TRUE(Master::fold(m.records).encode() == bytes);
  const auto decoded = State::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->encode() == bytes);
  EXPECT_EQ(decoded->counts().unreachable, m.core.state().counts().unreachable);
}

}  // namespace
}  // namespace rollcall::master
