// Agents that move between two workers whose sidecars are told of them by events sources. As in
// scenario_test.cc, each transcript beside this file is the expectation.
#include <gtest/gtest.h>

#include "tests/scenario/cluster.h"

namespace rollcall::scenario {
namespace {

using Kind = sidecar::Observation::Kind;

class EventScenario : public ::testing::Test {
 protected:
  EventScenario() {
    w1.use_events();
    w2.use_events();
  }

  Cluster cluster;
  Worker& w1 = cluster.add_worker("w1");
  Worker& w2 = cluster.add_worker("w2", 3600);

  void told(Worker& w, Kind kind, const std::string& words) {
    cluster.tell(words);
    w.told(7, kind);
  }
};

TEST_F(EventScenario, AnAgentMovesAndTheOldWorkersLateDisconnectEndsNothing) {
  cluster.run_until(5.2);
  told(w1, Kind::connect, "Agent 7 connects to w1.");
  cluster.run_until(15.2);
  told(w1, Kind::keepalive, "Agent 7 is heard on w1.");
  cluster.run_until(20.2);
  cluster.tell("From here on, what w1 sends is slow.");
  w1.hold_what_it_sends();
  told(w1, Kind::disconnect, "Agent 7 leaves w1 with a goodbye...");
  cluster.run_until(20.7);
  told(w2, Kind::connect, "...and connects to w2.");
  cluster.run_until(23);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  cluster.tell("What w1 sent arrives.");
  w1.deliver_what_was_held();
  cluster.run_until(25);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  w2.restart();
  cluster.run_until(30);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  told(w2, Kind::disconnect, "Agent 7 leaves w2 with a goodbye.");
  cluster.run_until(32);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (shutdown), last on w2");
  expect_transcript(cluster, "events_move");
}

TEST_F(EventScenario, AnAgentThatMovesTooFastForTheClocksIsConfirmedByItsNextKeepalive) {
  cluster.run_until(5.2);
  told(w1, Kind::connect, "Agent 7 connects to w1...");
  cluster.run_until(5.203);
  told(w2, Kind::connect, "...and three milliseconds later to w2.");
  cluster.run_until(8);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  told(w2, Kind::keepalive, "Agent 7 is heard on w2.");
  cluster.run_until(100);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  expect_transcript(cluster, "events_challenge");
}

TEST_F(EventScenario, AnAgentThatIsHeardNoMoreAfterItsFastMoveIsGivenUp) {
  cluster.run_until(5.2);
  told(w1, Kind::connect, "Agent 7 connects to w1...");
  cluster.run_until(5.203);
  told(w2, Kind::connect, "...and three milliseconds later to w2, which never hears of it again.");
  cluster.run_until(100);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (unconfirmed), last on w2");
  expect_transcript(cluster, "events_ghost");
}

}  // namespace
}  // namespace rollcall::scenario
