// The cases in which Wazuh's own sync goes wrong, played with both drivers. Each transcript beside
// this file is the expectation, and reads as the protocol's story. After a deliberate change:
// ROLLCALL_REWRITE_TRANSCRIPTS=1, and read the diff.
#include <gtest/gtest.h>

#include "tests/scenario/cluster.h"

namespace rollcall::scenario {
namespace {

class Scenario : public ::testing::Test {
 protected:
  // The wall clock of w2 is an hour ahead: it decides nothing.
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

// S1: the example of docs/protocol.md, section 1.
TEST_F(Scenario, ALateDisconnectOfTheOldWorkerDoesNotEndTheSessionOnTheNewOne) {
  cluster.run_until(5.2);
  speaks(w2, "Agent 7 connects to w2.");
  cluster.run_until(20.2);
  cluster.tell("From here on, what w2 sends is slow.");
  w2.hold_what_it_sends();
  stops(w2, "Agent 7 leaves w2 with a goodbye...");
  speaks(w1, "...and connects to w1.");
  cluster.run_until(23);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  cluster.tell("What w2 sent arrives.");
  w2.deliver_what_was_held();
  cluster.run_until(26.2);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  speaks(w1, "Agent 7 is heard on w1.");
  cluster.run_until(60);
  EXPECT_EQ(cluster.shown(7), "7 active on w1");
  expect_transcript(cluster, "s1_late_disconnect");
}

// S2: the worker's own older news after its disconnect.
TEST_F(Scenario, WhatAWorkerSaidBeforeADisconnectDoesNotBringTheAgentBackWhenItIsSaidAgain) {
  cluster.run_until(5.2);
  cluster.tell("What w1 hears is slow: no ACK reaches it.");
  w1.hold_what_it_hears();
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(10.2);
  stops(w1, "Agent 7 leaves with a goodbye.");
  cluster.run_until(12);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (shutdown), last on w1");
  w1.break_link();
  cluster.run_until(20);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (shutdown), last on w1");
  expect_transcript(cluster, "s2_own_older_news");
}

// S2 again, where the older news even come as those of a new stream.
TEST_F(Scenario, ARestartedSidecarThatSaysEverythingAgainDoesNotBringTheAgentBack) {
  cluster.run_until(5.2);
  cluster.tell("What w1 hears is slow: no ACK reaches it.");
  w1.hold_what_it_hears();
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(10.2);
  stops(w1, "Agent 7 leaves with a goodbye.");
  cluster.run_until(12);
  w1.restart();
  cluster.run_until(20);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (shutdown), last on w1");
  expect_transcript(cluster, "s2_restarted_sidecar");
}

// S3: a stale full row of the old worker after the new one's.
TEST_F(Scenario, AStaleRowOfTheOldWorkerDoesNotTakeTheAgentBack) {
  cluster.run_until(5.2);
  cluster.tell("What w1 sends is slow.");
  w1.hold_what_it_sends();
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(15.2);
  speaks(w2, "It leaves w1 without a word and connects to w2.");
  cluster.run_until(20);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  cluster.tell("What w1 sent arrives: the session, and the whole row.");
  w1.deliver_what_was_held();
  cluster.run_until(30);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  expect_transcript(cluster, "s3_stale_row");
}

// S7: evidence pending on w1, while the agent moves to w2 and stops there.
TEST_F(Scenario, APendingKeepaliveOfTheOldWorkerDoesNotOutliveAStopOnTheNewOne) {
  cluster.run_until(5.2);
  speaks(w1, "Agent 7 connects to w1.");
  cluster.run_until(20.1);
  cluster.tell("From here on, what w1 sends is slow.");
  w1.hold_what_it_sends();
  speaks(w1, "Agent 7 is heard on w1...");
  cluster.run_until(22.1);
  speaks(w2, "...leaves it without a word, connects to w2...");
  cluster.run_until(22.3);
  stops(w2, "...and stops there with a goodbye, between two looks. Its row on w1 stays active.");
  cluster.run_until(25);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (shutdown), last on w2");
  cluster.tell("What w1 sent arrives.");
  w1.deliver_what_was_held();
  cluster.run_until(120);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (shutdown), last on w2");
  expect_transcript(cluster, "s7_pending_keepalive");
}

// S7, the harder half: it stops so soon that whole seconds cannot tell which came last.
TEST_F(Scenario, AGhostThatOverlapsInTimeIsChallengedAndEndsInUnderAMinute) {
  cluster.run_until(5.2);
  speaks(w1, "Agent 7 connects to w1...");
  cluster.run_until(5.3);
  speaks(w2, "...and within the same second to w2, which it leaves without a word...");
  cluster.run_until(5.4);
  stops(w1, "...for w1, where it stops. Its row on w2 stays active.");
  cluster.run_until(8);
  EXPECT_EQ(cluster.shown(7), "7 active on w2");
  cluster.run_until(70);
  EXPECT_EQ(cluster.shown(7), "7 disconnected (unconfirmed), last on w2");
  expect_transcript(cluster, "s7_ghost");
}

// A storm of moves to another worker is no difference between a worker and the master.
TEST_F(Scenario, TenThousandAgentsThatMoveMakeNoMismatch) {
  constexpr std::uint32_t kAgents = 10'000;
  cluster.run_until(5.2);
  for (std::uint32_t agent = 1; agent <= kAgents; ++agent) w1.agent_speaks(agent);
  const auto state = [&]() -> const master::State& { return cluster.master().core().state(); };
  cluster.run_until(25.2);
  ASSERT_EQ(state().nodes().at("w1").on_top, kAgents);
  // A tenth each 4 s, so that heartbeats fall among them.
  for (std::uint32_t part = 0; part < 10; ++part) {
    for (std::uint32_t agent = part * 1'000 + 1; agent <= (part + 1) * 1'000; ++agent)
      w2.agent_speaks(agent);
    cluster.run_until(25.2 + 4 * (part + 1));
  }
  cluster.run_until(90);
  const auto& counters = cluster.master().core().counters();
  EXPECT_EQ(state().nodes().at("w2").on_top, kAgents);
  EXPECT_GE(counters.digests_equal, 8u);
  EXPECT_EQ(counters.digest_mismatches, 0u);
  EXPECT_TRUE(counters.repairs.empty());
}

}  // namespace
}  // namespace rollcall::scenario
