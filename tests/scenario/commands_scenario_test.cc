// Commands to agents that move, and workers that come and go meanwhile, played with both drivers.
// Each transcript beside this file is the expectation.
#include <gmock/gmock.h>

#include "tests/scenario/cluster.h"

namespace rollcall::scenario {
namespace {

class CommandScenario : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster.run_until(5.2);
    speaks(w1, "Agent 7 connects to w1.");
    cluster.run_until(20.2);
  }
  void speaks(Worker& w, const std::string& words) {
    cluster.tell(words);
    w.agent_speaks(7);
  }
  void stops(Worker& w, const std::string& words) {
    cluster.tell(words);
    w.agent_stops(7);
  }
  // How often it was told something by this worker.
  std::size_t told_by(const std::string& worker) const {
    const std::string words = worker + "'s Wazuh has: ";
    std::size_t count = 0;
    for (auto at = cluster.transcript().find(words); at != std::string::npos;
         at = cluster.transcript().find(words, at + 1))
      ++count;
    return count;
  }

  Cluster cluster;
  Worker& w1 = cluster.add_worker("w1");
  Worker& w2 = cluster.add_worker("w2", 3600);
};

TEST_F(CommandScenario, AnAgentThatMovesBetweenLookUpAndDeliveryIsToldByItsNewOwner) {
  cluster.tell("What w1 hears is slow.");
  w1.hold_what_it_hears();
  cluster.restart_agent("c", 7, 10);
  cluster.run_until(20.4);
  stops(w1, "Agent 7 leaves w1 with a goodbye and connects to w2.");
  w2.agent_speaks(7);
  cluster.run_until(22);
  cluster.tell("What w1 was sent arrives.");
  w1.deliver_what_was_held();
  cluster.run_until(35);
  EXPECT_EQ(told_by("w1"), 0u);
  EXPECT_EQ(told_by("w2"), 1u);
  expect_transcript(cluster, "commands_move");
}

TEST_F(CommandScenario, AnAgentBetweenTwoWorkersIsHeldUntilTheNextClaimsIt) {
  w1.break_link();
  cluster.run_until(20.21);
  cluster.tell("Nothing reaches w1, nor leaves it.");
  cluster.restart_agent("c", 7, 30);
  w1.hold_what_it_hears();
  w1.hold_what_it_sends();
  cluster.run_until(22.2);
  speaks(w2, "Agent 7 connects to w2.");
  cluster.run_until(35);
  EXPECT_EQ(told_by("w2"), 1u);
  expect_transcript(cluster, "commands_held");
}

TEST_F(CommandScenario, AnAgentOfADrainedWorkerIsToldByTheOneThatTakesIt) {
  w1.drain(300);
  cluster.run_until(20.5);
  cluster.restart_agent("c", 7, 30);
  cluster.run_until(22.2);
  stops(w1, "Agent 7 leaves w1 with a goodbye and connects to w2.");
  w2.agent_speaks(7);
  cluster.run_until(35);
  EXPECT_EQ(told_by("w1"), 0u);
  EXPECT_EQ(told_by("w2"), 1u);
  expect_transcript(cluster, "commands_drain");
}

TEST_F(CommandScenario, AWorkerThatIsGoneLeavesItsAgentUntold) {
  cluster.tell("What w1 hears is slow.");
  w1.hold_what_it_hears();
  cluster.restart_agent("c", 7, 10);
  cluster.run_until(35);
  EXPECT_EQ(told_by("w1"), 0u);
  EXPECT_THAT(cluster.transcript(), ::testing::HasSubstr("=> command c: no_answer"));
}

TEST_F(CommandScenario, ACommandThatComesAgainAfterAReconnectTellsTheAgentOnce) {
  cluster.tell("What w1 sends is slow.");
  w1.hold_what_it_sends();
  cluster.restart_agent("c", 7, 30);
  cluster.run_until(21);
  w1.break_link();
  cluster.run_until(35);
  EXPECT_EQ(told_by("w1"), 1u);
  expect_transcript(cluster, "commands_again");
}

TEST_F(CommandScenario, ACommandWhoseSidecarWasKilledTellsTheAgentAtMostOnce) {
  cluster.tell("What w1 sends is slow.");
  w1.hold_what_it_sends();
  cluster.restart_agent("c", 7, 30);
  cluster.run_until(21);
  w1.restart();
  cluster.run_until(35);
  EXPECT_EQ(told_by("w1"), 1u);
  EXPECT_THAT(cluster.transcript(), ::testing::HasSubstr("=> command c: uncertain"));
}

TEST_F(CommandScenario, TheSameIdIsAnsweredAgainWithoutAWordToAnybody) {
  cluster.restart_agent("c", 7, 10);
  cluster.run_until(21);
  cluster.restart_agent("c", 7, 10);
  cluster.run_until(22);
  EXPECT_EQ(told_by("w1"), 1u);
  cluster.restart_agent("another", 7, 10);
  cluster.run_until(23);
  EXPECT_EQ(told_by("w1"), 2u);
  expect_transcript(cluster, "commands_same_id");
}

}  // namespace
}  // namespace rollcall::scenario
