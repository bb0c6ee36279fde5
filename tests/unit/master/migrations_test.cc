// What is kept of moves between workers (docs/protocol.md, section 15).
#include <gtest/gtest.h>

#include "tests/unit/master/core_fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using End = Migrations::End;

Event offered(double epoch_s, std::uint32_t change) {
  Event e = event(7, EventKind::offered, epoch_s, change, epoch_s);
  e.grace_us = 60 * kSecond;
  return e;
}
Event released(double epoch_s, std::uint32_t change, double lo) {
  Event e = event(7, EventKind::released, epoch_s, change, lo);
  e.reason = Reason::moved;
  return e;
}
Event ended(double epoch_s, std::uint32_t change, Reason reason) {
  Event e = closed(7, epoch_s, change, epoch_s);
  e.reason = reason;
  return e;
}

class MigrationsTest : public ::testing::Test {
 protected:
  static MasterCore::Config config() {
    MasterCore::Config c = test::config();
    c.ttl_us = 30 * kSecond;
    c.grace_us = 50 * kSecond;
    return c;
  }
  MigrationsTest() {
    for (std::uint64_t i = 1; i <= 5; ++i)
      m.connect(2, ConnId{i}, hello("w" + std::to_string(i), 100 + i));
    says(10, 1, opened(7, 10));
  }
  void says(double s, std::uint64_t node, Event e) {
    m.delta(s, ConnId{node}, ++seq[node], {std::move(e)});
  }
  const Migrations& migrations() const { return m.core.state().migrations(); }
  // "w1@10 -> w2@20 offered 11 taken 21 released 22 gap 9 released", a line for each.
  std::string told() const {
    std::string out;
    const auto number = [](MasterTime t) {
      return std::to_string((t.us - master_time(0).us) / kSecond);
    };
    const auto session = [&](const SessionName& n) {
      return n.epoch == kUnstamped ? std::string("?") : n.node + "@" + number(time_of(n.epoch));
    };
    for (const auto& [n, x] : migrations().all()) {
      out += (out.empty() ? "" : "\n") + session(x.from) + " -> " + session(x.to);
      if (x.offered.us != 0) out += " offered " + number(x.offered);
      if (x.taken.us != 0) out += " taken " + number(x.taken);
      if (x.released.us != 0) out += " released " + number(x.released);
      if (const auto gap = x.gap_us()) out += " gap " + std::to_string(*gap / kSecond);
      if (x.end != End::none) out += " " + std::string(to_string(x.end));
    }
    return out;
  }
  void TearDown() override {
    EXPECT_EQ(Master::fold(m.records).encode(), m.core.state().encode());
    const auto back = State::decode(m.core.state().encode());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->encode(), m.core.state().encode());
    EXPECT_TRUE(back->migrations() == migrations());
  }

  Master m{{}, "", 1, config()};
  std::map<std::uint64_t, std::uint64_t> seq;
};

// The log that had the first session was lost; the new worker was told of it before.
TEST_F(MigrationsTest, OfAnAgentThatIsNotKnownTheNewWorkerSaysWhoHadIt) {
  Event e = opened(8, 30);
  e.from = SessionName{epoch_at(master_time(20)), "w2"};
  says(31, 3, e);
  EXPECT_EQ(told(), "w2@20 -> w3@30 taken 31") << "how long it was nowhere is not known";
  Event released = event(8, EventKind::released, 20, 3, 28);
  says(33, 2, released);
  EXPECT_EQ(told(), "w2@20 -> w3@30 taken 31 released 33 gap 1 released");
}

TEST_F(MigrationsTest, WhatTheMasterKnowsCountsMoreThanWhatTheWorkerSays) {
  Event e = opened(7, 20);
  e.from = SessionName{epoch_at(master_time(5)), "w4"};
  says(21, 2, e);
  EXPECT_EQ(told(), "w1@10 -> w2@20 taken 21 gap 10");
}

TEST_F(MigrationsTest, AnOfferThatIsTakenAndReleased) {
  says(11, 1, offered(10, 1));
  EXPECT_EQ(told(), "w1@10 -> ? offered 11");
  says(21, 2, opened(7, 20));
  EXPECT_EQ(told(), "w1@10 -> w2@20 offered 11 taken 21 gap 9");
  EXPECT_EQ(migrations().under_way(), 1u);
  says(22, 1, released(10, 2, 15));
  EXPECT_EQ(told(), "w1@10 -> w2@20 offered 11 taken 21 released 22 gap 4 released")
      << "the old worker had heard it later than it had said";
  EXPECT_EQ(migrations().under_way(), 0u);
}

TEST_F(MigrationsTest, EachEndIsCountedOnceWithTheGapIfItIsKnown) {
  const auto count = [this](End end) {
    return migrations().tally().ends[static_cast<std::size_t>(end)];
  };
  says(11, 1, offered(10, 1));
  EXPECT_EQ(migrations().tally().gaps.total(), 0u);
  says(21, 2, opened(7, 20));
  EXPECT_EQ(count(End::released), 0u);
  says(22, 1, released(10, 2, 11));
  EXPECT_EQ(count(End::released), 1u);
  EXPECT_EQ(migrations().tally().gaps.total(), 1u);
  EXPECT_EQ(migrations().tally().gaps.sum_us, *migrations().all().begin()->second.gap_us());
  // A master that reads its log again has seen none of them end.
  const Master again(m.records, "", 30, config());
  EXPECT_EQ(again.core.state().migrations().tally().gaps.total(), 0u);
}

TEST_F(MigrationsTest, AMoveThatNobodyOffered) {
  says(21, 2, opened(7, 20));
  says(22, 1, released(10, 1, 10));
  EXPECT_EQ(told(), "w1@10 -> w2@20 taken 21 released 22 gap 9 released");
}

TEST_F(MigrationsTest, WhoSaidGoodbyeFirstLeftByItself) {
  says(15, 1, ended(10, 1, Reason::shutdown));
  EXPECT_EQ(told(), "");
  says(21, 2, opened(7, 20));
  EXPECT_EQ(told(), "w1@10 -> w2@20 taken 21 gap 9 left");
}

TEST_F(MigrationsTest, AnAgentThatStaysOrIsTakenBackOrGoesNowhere) {
  says(11, 1, offered(10, 1));
  says(12, 1, event(7, EventKind::confirmed, 10, 2, 12));
  says(13, 1, offered(10, 3));
  says(14, 1, event(7, EventKind::withdrawn, 10, 4, 12));
  says(15, 1, offered(10, 5));
  says(16, 1, ended(10, 6, Reason::handoff_expired));
  EXPECT_EQ(told(),
            "w1@10 -> ? offered 11 returned\nw1@10 -> ? offered 13 withdrawn\n"
            "w1@10 -> ? offered 15 expired");
}

TEST_F(MigrationsTest, WhateverEndsAnOfferOfAnAgentThatStaysEndsItsMigration) {
  says(11, 1, offered(10, 1));
  says(12, 1, event(7, EventKind::info, 10, 2, 12));
  EXPECT_EQ(told(), "w1@10 -> ? offered 11 returned");
}

TEST_F(MigrationsTest, AnOfferThatIsRenewedIsOne) {
  says(11, 1, offered(10, 1));
  says(12, 1, offered(10, 2));
  says(13, 1, opened(7, 13));
  says(14, 1, offered(13, 1));
  EXPECT_EQ(told(), "w1@13 -> ? offered 11") << "also if the session is claimed anew";
}

TEST_F(MigrationsTest, AnOfferThatCrossesATakeIsNone) {
  says(21, 2, opened(7, 20));
  says(22, 1, offered(10, 1));
  EXPECT_EQ(told(), "w1@10 -> w2@20 taken 21 gap 9");
}

TEST_F(MigrationsTest, WhoMovesOnOvertakesTheMoveBefore) {
  says(21, 2, opened(7, 20));
  says(31, 3, opened(7, 30));
  says(32, 1, released(10, 1, 10));
  says(33, 2, released(20, 1, 20));
  EXPECT_EQ(told(),
            "w1@10 -> w2@20 taken 21 gap 10 overtaken\n"
            "w2@20 -> w3@30 taken 31 released 33 gap 9 released");
}

TEST_F(MigrationsTest, WhoComesBackMovesAgain) {
  says(21, 2, opened(7, 20));
  says(22, 1, released(10, 1, 10));
  says(31, 1, opened(7, 30));
  EXPECT_EQ(told(),
            "w1@10 -> w2@20 taken 21 released 22 gap 9 released\n"
            "w2@20 -> w1@30 taken 31 gap 9");
}

TEST_F(MigrationsTest, IsOverWhenTheOldWorkersLeaseIsGone) {
  says(21, 2, opened(7, 20));
  for (double s = 22; s < 130; s += 1) {
    for (std::uint64_t i = 2; i <= 5; ++i)
      m.message(s, ConnId{i}, Heartbeat{seq[i], 0, 5, std::nullopt});
    m.tick(s);
  }
  ASSERT_EQ(m.core.state().lease_of("w1"), LeaseStatus::expired);
  EXPECT_EQ(told(), "w1@10 -> w2@20 taken 21 gap 10 lease_gone");
}

TEST_F(MigrationsTest, OnlyTheNewestAreKept) {
  for (std::uint64_t i = 1; i <= 20; ++i)
    says(20 + static_cast<double>(i), 1 + i % 2, opened(7, 20 + static_cast<double>(i)));
  EXPECT_EQ(migrations().all().size(), 20u);
  Migrations few = migrations();
  few.keep(3);
  EXPECT_EQ(few.all().size(), 3u);
  EXPECT_EQ(few.all().begin()->first, 18u);
  EXPECT_EQ(few.under_way(), 1u);
  few.keep(0);
  EXPECT_EQ(few.under_way(), 0u);
}

TEST_F(MigrationsTest, AnotherBoundIsLoggedOnceSoThatAReplayKeepsTheSame) {
  const auto again = [&](std::size_t keep) {
    MasterCore::Config c = config();
    c.keep_migrations = keep;
    return Master(m.records, "", 100, c).records.size();
  };
  const std::size_t same = again(config().keep_migrations);
  EXPECT_EQ(again(5), same + 1);
}

}  // namespace
}  // namespace rollcall::master
