#include "sidecar/source/visit_hints.h"

#include <gmock/gmock.h>

namespace rollcall::sidecar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using enum SyncMark;

constexpr std::int64_t kMillisPerSecond = 1'000;

class VisitHintsTest : public ::testing::Test {
 protected:
  // The visits of agent 7, whose row is looked at when wazuh-db's clock says `ms`.
  std::uint32_t look(std::int64_t ms, std::int64_t keepalive_s, SyncMark mark,
                     RowStatus status = RowStatus::disconnected) {
    std::vector<Row> rows = {{.agent = AgentId{3}, .status = RowStatus::active, .keepalive_s = 1},
                             {.agent = AgentId{7}, .status = status, .keepalive_s = keepalive_s}};
    const std::vector<SyncMark> marks = {fields, mark};
    hints.apply(rows, marks, ms);
    return rows[1].visits;
  }
  VisitHints hints;
};

TEST_F(VisitHintsTest, AMarkThatRoseOnTheSameRowWithinItsSecondIsAVisit) {
  EXPECT_EQ(look(100 * kMillisPerSecond + 300, 100, status), 0u);
  EXPECT_EQ(look(101 * kMillisPerSecond + 300, 100, fields), 1u);
  EXPECT_EQ(hints.found(), 1u);
}

TEST_F(VisitHintsTest, ItIsCountedOnceAndNotForgotten) {
  look(100 * kMillisPerSecond + 300, 100, status);
  EXPECT_EQ(look(101 * kMillisPerSecond + 300, 100, fields), 1u);
  EXPECT_EQ(look(102 * kMillisPerSecond + 300, 100, fields), 1u);
  look(130 * kMillisPerSecond + 300, 130, synced);
  EXPECT_EQ(look(131 * kMillisPerSecond + 300, 130, status), 2u);
}

TEST_F(VisitHintsTest, AMarkThatFellOrStayedTellsNothing) {
  look(100 * kMillisPerSecond + 300, 100, fields);
  EXPECT_EQ(look(101 * kMillisPerSecond + 300, 100, fields), 0u);
  look(110 * kMillisPerSecond + 300, 110, fields);
  EXPECT_EQ(look(111 * kMillisPerSecond + 300, 110, synced), 0u);
}

TEST_F(VisitHintsTest, AKeepalivesMarkIsNoVisit) {
  look(100 * kMillisPerSecond + 300, 100, synced, RowStatus::active);
  EXPECT_EQ(look(101 * kMillisPerSecond + 300, 100, keepalive, RowStatus::active), 0u);
}

TEST_F(VisitHintsTest, ARowThatChangedSpeaksForItself) {
  look(100 * kMillisPerSecond + 300, 100, synced);
  EXPECT_EQ(look(101 * kMillisPerSecond + 300, 101, fields), 0u) << "another second";
  EXPECT_EQ(look(102 * kMillisPerSecond + 300, 101, fields, RowStatus::active), 0u)
      << "another status";
}

TEST_F(VisitHintsTest, AMarkThatRoseLaterThanInTheRowsSecondHasAnotherReason) {
  look(100 * kMillisPerSecond + 300, 100, synced);
  look(101 * kMillisPerSecond + 300, 100, synced);
  EXPECT_EQ(look(102 * kMillisPerSecond + 300, 100, fields), 0u);
}

TEST_F(VisitHintsTest, AnAgentThatIsGoneInASecondThatRunsOnMayHideAVisit) {
  look(100 * kMillisPerSecond + 300, 100, synced);
  EXPECT_THAT(hints.may_hide(), ElementsAre(AgentId{7}));
  look(101 * kMillisPerSecond + 300, 100, synced);
  EXPECT_THAT(hints.may_hide(), IsEmpty()) << "the second is over";
  look(110 * kMillisPerSecond + 300, 110, synced, RowStatus::active);
  EXPECT_THAT(hints.may_hide(), IsEmpty()) << "it is here";
}

TEST_F(VisitHintsTest, AStartThatWasCountedBetweenTwoLooksAtTheSameRowIsAVisit) {
  const std::vector<AgentId> seven = {AgentId{7}};
  look(100 * kMillisPerSecond + 300, 100, synced);
  hints.started(seven);
  EXPECT_EQ(look(101 * kMillisPerSecond + 300, 100, synced), 1u);
  EXPECT_EQ(look(102 * kMillisPerSecond + 300, 100, synced), 1u) << "once";
  look(110 * kMillisPerSecond + 300, 110, synced);
  hints.started(seven);
  EXPECT_EQ(look(111 * kMillisPerSecond + 300, 111, synced), 1u) << "the row says it itself";
}

TEST_F(VisitHintsTest, WithoutMarksThereAreNoHints) {
  std::vector<Row> rows = {{.agent = AgentId{7}, .keepalive_s = 100}};
  for (int i = 0; i < 3; ++i) hints.apply(rows, {}, 100 * kMillisPerSecond + i);
  EXPECT_EQ(rows[0].visits, 0u);
}

}  // namespace
}  // namespace rollcall::sidecar
