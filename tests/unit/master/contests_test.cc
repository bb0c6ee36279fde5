// Agents whose workers keep changing, as the master sees them; with sidecars that answer in
// tests/scenario/contest_scenario_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/master/core_fixture.h"
#include "tests/unit/master/fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Contests : public ::testing::Test {
 protected:
  Contests() {
    m.connect(10, kW1, hello("w1", 101));
    m.connect(11, kW2, hello("w2", 102));
  }
  // Both workers claim agent 7 in turn, every `pace` seconds.
  void claim(int times, double pace) {
    for (int i = 0; i < times; ++i, s += pace) {
      const bool first = i % 2 == 0;
      std::uint64_t& seq = first ? seq1 : seq2;
      Event e = with_info(opened(7, s), {{"name", "web"}, {"ip", first ? "10.1.1.1" : "10.2.2.2"}});
      m.delta(s, first ? kW1 : kW2, seq++, {std::move(e)});
    }
  }
  std::vector<AgentId> listed(std::size_t moves) const {
    std::vector<AgentId> ids;
    for (const auto& c : m.core.contests(moves, AgentId{}, 100, at(s))) ids.push_back(c.agent);
    return ids;
  }

  Master m;
  double s = 20;
  std::uint64_t seq1 = 1, seq2 = 1;
};

TEST_F(Contests, AreShownWithBothWorkersTheirAddressesAndWhatEachSays) {
  claim(6, 10);
  const auto c = m.core.contest_of(AgentId{7}, at(s));
  EXPECT_TRUE(c.contested);
  EXPECT_EQ(c.moves.size(), 5u);
  ASSERT_EQ(c.claims.size(), 2u);
  EXPECT_EQ(c.claims[0].node, "w1");
  EXPECT_FALSE(c.claims[0].on_top);
  EXPECT_EQ(c.claims[0].address, "10.0.0.1:5");
  EXPECT_EQ(c.claims[0].open, epoch(60));
  EXPECT_EQ(c.claims[0].contact, master_time(60));
  EXPECT_EQ(c.claims[0].agent_ip, "10.1.1.1");
  EXPECT_EQ(c.claims[1].node, "w2");
  EXPECT_TRUE(c.claims[1].on_top);
  EXPECT_EQ(c.claims[1].open, epoch(70));
  EXPECT_EQ(c.claims[1].agent_ip, "10.2.2.2");
}

TEST_F(Contests, AnAgentThatMovesOftenIsListedAsFlappingBeforeItIsContested) {
  claim(7, 400);
  EXPECT_FALSE(m.core.contested(AgentId{7}, at(s)));
  EXPECT_THAT(listed(6), ElementsAre(AgentId{7}));
  EXPECT_THAT(listed(7), IsEmpty());
  s += 3600;
  EXPECT_THAT(listed(2), IsEmpty()) << "it has not moved for an hour";
}

TEST_F(Contests, OneThatMovedOnceIsNotListed) {
  claim(2, 10);
  EXPECT_THAT(listed(2), IsEmpty());
}

TEST_F(Contests, SurviveARestartOfTheMaster) {
  claim(6, 10);
  Master again(m.records, "", s);
  EXPECT_TRUE(again.core.contested(AgentId{7}, at(s)));
  EXPECT_EQ(again.core.contest_of(AgentId{7}, at(s)).moves.size(), 5u);
}

TEST_F(Contests, NobodyIsToldMoreThanSixTimesAMinuteHoweverLongItLasts) {
  claim(6, 2);
  std::size_t told = 0, most = 0, minutes = 0;
  for (const double end = s + 2 * 3600; s < end; ++minutes) {
    std::size_t minute = 0;
    for (int i = 0; i < 30; ++i, s += 2) {
      const bool first = i % 2 == 0;
      std::uint64_t& seq = first ? seq1 : seq2;
      const std::string said = m.delta(s, first ? kW1 : kW2, seq++, {opened(7, s)}) + m.tick(s + 1);
      for (std::size_t at = said.find("SUPERSEDED"); at != said.npos;
           at = said.find("SUPERSEDED", at + 1))
        ++minute;
      m.message(s, kW1, Heartbeat{});
      m.message(s, kW2, Heartbeat{});
    }
    told += minute;
    most = std::max(most, minute);
  }
  EXPECT_LE(most, 2 * 7u) << "of two workers, with 30 claims in the minute";
  EXPECT_GE(told, minutes * 2 * 5) << "or who is really there stays on the wrong worker";
}

// ---- the feed, through the core

TEST_F(Contests, TheFeedShowsNothingThatIsNotYetOnTheDisk) {
  m.store(s);
  m.disk = Master::Disk::slow;
  m.delta(s, kW1, 1, {opened(7, s)});
  EXPECT_EQ(m.core.feed().last(), 0u);
  m.delta(s, kW1, 2, {opened(8, s)});
  EXPECT_EQ(m.core.feed().last(), 0u) << "neither its group nor the next";
  m.store(s);
  EXPECT_EQ(m.core.feed().last(), 2u);
}

TEST_F(Contests, TheFeedGoesOnWithItsNumbersAfterARestart) {
  claim(6, 10);
  const std::uint64_t last = m.core.feed().last();
  EXPECT_EQ(last, 7u) << "a connect, five moves and the contest";
  Master again(m.records, "", s);
  EXPECT_EQ(again.core.feed().last(), last);
  EXPECT_EQ(again.core.feed().first(), last + 1) << "nobody read the log for it";
  again.connect(s, kW1, hello("w1", 101, seq1));
  again.delta(s, kW1, seq1, {closed(7, s, 1, s)});
  EXPECT_EQ(again.core.feed().after(last, 9).at(0).agent_seq, last + 1);
}

}  // namespace
}  // namespace rollcall::master
