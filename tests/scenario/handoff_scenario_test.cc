// Moves that are meant (docs/protocol.md, section 15), played with both drivers. The transcripts are
// the expectation, as in scenario_test.cc.
#include <gtest/gtest.h>

#include "tests/scenario/cluster.h"

namespace rollcall::scenario {
namespace {

class HandoffScenario : public ::testing::Test {
 protected:
  Cluster cluster;
  Worker& w1 = cluster.add_worker("w1");
  Worker& w2 = cluster.add_worker("w2", 3600);

  void speaks(Worker& w, const std::string& words) {
    cluster.tell(words);
    w.agent_speaks(7);
  }
  void stops(Worker& w, const std::string& words) {
    cluster.tell(words);
    w.agent_stops(7);
  }
};

TEST_F(HandoffScenario, AnAgentOfADrainedWorkerMovesWithoutADisconnect) {
  cluster.run_until(5.2);
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(20.2);
  w1.drain(60);
  cluster.run_until(22);
  EXPECT_EQ(cluster.shown(7), "7 migrating from w1");
  stops(w1, "Agent 7 says goodbye to w1...");
  cluster.run_until(24.2);
  EXPECT_EQ(cluster.shown(7), "7 migrating from w1");
  speaks(w2, "...and connects to w2.");
  cluster.run_until(30);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  expect_transcript(cluster, "handoff_drain");
}

TEST_F(HandoffScenario, AnAgentThatStaysIsActiveAndOneThatGoesNowhereIsDisconnectedAGraceLater) {
  cluster.run_until(5.2);
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(20.2);
  w1.drain(60);
  cluster.run_until(25.2);
  EXPECT_EQ(cluster.shown(7), "7 migrating from w1");
  speaks(w1, "Agent 7 stays, and is heard on w1.");
  cluster.run_until(35.2);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  stops(w1, "Then it says goodbye, and does not come back.");
  cluster.run_until(94);
  EXPECT_EQ(cluster.shown(7), "7 migrating from w1");
  cluster.run_until(98);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (handoff_expired), last on w1");
  expect_transcript(cluster, "handoff_nowhere");
}

TEST_F(HandoffScenario, AnOfferThatCrossesATakeChangesNothing) {
  cluster.run_until(5.2);
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(20.2);
  cluster.tell("From here on, what w1 sends is slow.");
  w1.hold_what_it_sends();
  w1.drain(60);
  speaks(w2, "Agent 7 connects to w2.");
  cluster.run_until(24.2);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  cluster.tell("What w1 sent arrives.");
  w1.deliver_what_was_held();
  cluster.run_until(40);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  expect_transcript(cluster, "handoff_crossed");
}

TEST_F(HandoffScenario, ARestartOfTheManagerAndOfTheMasterAreNoDisconnect) {
  cluster.run_until(5.2);
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(20.2);
  cluster.tell("Wazuh's manager restarts on w1.");
  w1.manager_restarts();
  cluster.run_until(22.2);
  EXPECT_EQ(cluster.shown(7), "7 migrating from w1");
  cluster.restart_master();
  cluster.run_until(23);
  EXPECT_EQ(cluster.shown(7), "7 migrating from w1");
  cluster.run_until(35.2);
  speaks(w1, "Agent 7 connects again.");
  cluster.run_until(38);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  expect_transcript(cluster, "handoff_restarts");
}

TEST_F(HandoffScenario, ASidecarThatStopsOnPurposeIsWaitedFor) {
  cluster.run_until(5.2);
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(20.2);
  w1.stop_on_purpose(60);
  cluster.run_until(70);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  w1.start();
  cluster.run_until(75.2);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  w1.stop_on_purpose(60);
  cluster.run_until(134);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  cluster.run_until(138);
  EXPECT_EQ(cluster.shown(7), "7 unreachable on w1");
  expect_transcript(cluster, "handoff_goodbye");
}

}  // namespace
}  // namespace rollcall::scenario
