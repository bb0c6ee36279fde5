#include "master/core/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/master/fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::ElementsAre;

constexpr std::uint64_t kAll = ~0ull;

class HistoryTest : public ::testing::Test {
 protected:
  void decide(const NodeName& node, double s, std::vector<Event> events) {
    Decided d;
    d.node = node;
    d.first_seq = seq;
    seq += events.size();
    d.at = master_time(s);
    d.events = std::move(events);
    LogRecord record = std::move(d);
    std::vector<Outcome> outcomes;
    ASSERT_TRUE(state.apply(record, &outcomes));
    history.add(std::get<Decided>(record), outcomes);
  }
  // "number rule version@..." of each, the newest first.
  std::vector<std::string> told(std::uint32_t agent, std::uint64_t before = kAll,
                                std::size_t limit = 100) const {
    std::vector<std::string> out;
    for (const History::Entry& e : history.of(AgentId{agent}, before, limit)) {
      out.push_back(std::to_string(e.number) + " " + std::string(to_string(e.rule)));
    }
    return out;
  }

  History history{4};
  State state;
  std::uint64_t seq = 1;
};

TEST_F(HistoryTest, TellsWhatWasSaidWhatItMetAndWhen) {
  decide("w1", 11, {opened(7, 10)});
  decide("w2", 21, {opened(7, 20)});
  decide("w1", 30, {closed(7, 10, 1, 25)});
  const auto all = history.of(AgentId{7}, kAll, 100);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].node, "w1");
  EXPECT_EQ(all[0].at, master_time(30));
  EXPECT_EQ(all[0].seq, 3u);
  EXPECT_EQ(all[0].kind, EventKind::closed);
  EXPECT_EQ(all[0].reason, Reason::shutdown);
  EXPECT_EQ(all[0].version, (Version{epoch(10), "w1", 1}));
  EXPECT_EQ(all[0].evidence, (Evidence{master_time(25), master_time(26)}));
  EXPECT_EQ(all[0].rule, Rule::older);
  EXPECT_EQ(all[0].met, (Met{{epoch(20), "w2", 0}, Phase::open}));
  EXPECT_EQ(all[1].met, (Met{{epoch(10), "w1", 0}, Phase::open}));
  EXPECT_EQ(all[2].rule, Rule::first);
  EXPECT_EQ(all[2].met.top.epoch, kUnstamped);
  EXPECT_EQ(history.missing_before(), std::nullopt);
}

TEST_F(HistoryTest, EachEventOfAFrameMetWhatTheOneBeforeItLeft) {
  decide("w1", 11, {opened(7, 10), closed(7, 10, 1, 10)});
  const auto all = history.of(AgentId{7}, kAll, 100);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].met, (Met{{epoch(10), "w1", 0}, Phase::open}));
}

TEST_F(HistoryTest, AnAgentsOwnAreToldThoughOthersComeBetween) {
  decide("w1", 11, {opened(7, 10), opened(8, 10)});
  decide("w1", 12, {closed(7, 10, 1, 11), closed(8, 10, 1, 11)});
  EXPECT_THAT(told(7), ElementsAre("3 newer", "1 first"));
  EXPECT_THAT(told(8), ElementsAre("4 newer", "2 first"));
  EXPECT_THAT(told(9), ElementsAre());
}

TEST_F(HistoryTest, IsReadInParts) {
  decide("w1", 11, {opened(7, 10)});
  decide("w1", 12, {closed(7, 10, 1, 11)});
  decide("w1", 13, {opened(7, 12)});
  EXPECT_THAT(told(7, kAll, 2), ElementsAre("3 newer", "2 newer"));
  EXPECT_THAT(told(7, 2, 2), ElementsAre("1 first"));
  EXPECT_THAT(told(7, 1, 2), ElementsAre());
}

TEST_F(HistoryTest, ForgetsTheOldestOfAllAndSaysFromWhenItIsComplete) {
  decide("w1", 11, {opened(7, 10)});
  decide("w1", 12, {opened(8, 11)});
  for (int i = 0; i < 4; ++i) {
    decide("w1", 20 + i, {event(8, EventKind::confirmed, 11, 1 + static_cast<unsigned>(i), 19)});
  }
  EXPECT_EQ(history.size(), 4u);
  EXPECT_THAT(told(7), ElementsAre());
  EXPECT_THAT(told(8), ElementsAre("6 newer", "5 newer", "4 newer", "3 newer"));
  ASSERT_TRUE(history.missing_before());
  EXPECT_GT(*history.missing_before(), master_time(12));
  EXPECT_LT(*history.missing_before(), master_time(20));
  // What was forgotten of an agent does not come back with its next decision.
  decide("w1", 30, {closed(7, 10, 1, 29)});
  EXPECT_THAT(told(7), ElementsAre("7 newer"));
}

TEST_F(HistoryTest, WithoutRoomItKeepsNothingAndSaysSo) {
  history = History(0);
  decide("w1", 11, {opened(7, 10), opened(8, 10)});
  EXPECT_THAT(told(7), ElementsAre());
  EXPECT_TRUE(history.missing_before());
}

}  // namespace
}  // namespace rollcall::master
