// Two agents with one key, each on a worker of its own: the record follows whoever speaks, nobody
// talks without end, and when one of them is silent the other one has it.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/scenario/cluster.h"

namespace rollcall::scenario {
namespace {

constexpr double kKeepalive = 10;

class Contest : public ::testing::Test {
 protected:
  static constexpr AgentId kAgent{7};
  // Both clones speak every `pace` seconds until `end`, the second one half of it later.
  void both_speak(double end, double pace) {
    for (; s < end; s += pace) {
      first.agent_speaks(7, {{"name", "web"}, {"ip", "10.1.1.1"}});
      cluster.run_until(s + pace / 2);
      second.agent_speaks(7, {{"name", "web"}, {"ip", "10.2.2.2"}});
      cluster.run_until(s + pace);
    }
  }
  void one_speaks(Worker& one, double end, double pace) {
    for (; s < end; s += pace) {
      one.agent_speaks(7);
      cluster.run_until(s + pace);
    }
  }
  master::MasterCore::Contest contest() {
    return cluster.master().core().contest_of(kAgent, first.now());
  }

  Cluster cluster{4 * 3600};
  Worker& first = cluster.add_worker("w1");
  Worker& second = cluster.add_worker("w2", 3600);
  double s = 5.2;
};

TEST_F(Contest, IsSeenWithWhatEachWorkerSays) {
  both_speak(120, kKeepalive);
  const auto c = contest();
  EXPECT_TRUE(c.contested);
  ASSERT_EQ(c.claims.size(), 2u);
  EXPECT_EQ(c.claims[0].address, "w1:1");
  EXPECT_EQ(c.claims[1].address, "w2:1");
  EXPECT_EQ(c.claims[0].agent_ip, "10.1.1.1");
  EXPECT_EQ(c.claims[1].agent_ip, "10.2.2.2");
  EXPECT_NE(c.claims[0].on_top, c.claims[1].on_top);
}

struct Pace {
  const char* name;
  double s;
};
class ContestAtAnyPace : public Contest, public ::testing::WithParamInterface<Pace> {};

TEST_P(ContestAtAnyPace, NeverBecomesAHotLoop) {
  both_speak(300, GetParam().s);
  std::size_t most = 0, most_superseded = 0;
  for (int minute = 0; minute < 120; ++minute) {
    const std::size_t before = cluster.seen(), superseded = cluster.seen("SUPERSEDED");
    both_speak(s + 60, GetParam().s);
    most = std::max(most, cluster.seen() - before);
    most_superseded = std::max(most_superseded, cluster.seen("SUPERSEDED") - superseded);
  }
  EXPECT_LE(most_superseded, 14u) << "each of two workers once in 10 s";
  // A claim, the info's hash and its fields, and what the loser says; an ACK for each; SUPERSEDED.
  EXPECT_LE(most, 9u * 13) << "each of two workers claims once in 10 s";
  EXPECT_TRUE(contest().contested);
}

TEST_P(ContestAtAnyPace, IsOverTwoKeepalivesAfterOneOfThemFellSilent) {
  for (int round = 0; round < 8; ++round) {
    both_speak(s + 200 + round, GetParam().s);
    Worker& left = round % 2 == 0 ? first : second;
    const double silent_since = s;
    one_speaks(left, silent_since + 2 * kKeepalive + 1, GetParam().s);
    for (const double end = s + 120; s < end;) {
      one_speaks(left, s + GetParam().s, GetParam().s);
      ASSERT_EQ(cluster.shown(7), "7 active on " + left.name())
          << s - silent_since << " s after, round " << round;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Paces, ContestAtAnyPace,
                         ::testing::Values(Pace{"Keepalive", kKeepalive}, Pace{"Busy", 2},
                                           Pace{"Hasty", 1}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace rollcall::scenario
