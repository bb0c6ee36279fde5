// What is believed of the master's own rows, which Wazuh's sync writes too.
#include "sidecar/source/own_rows.h"

#include <gmock/gmock.h>

#include <string>

namespace rollcall::sidecar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kKeepaliveUs = 20'000'000;

// One second after another: the table as it is then, and what remoted counts.
class OwnRowsTest : public ::testing::Test {
 protected:
  OwnRowsTest() { table[7] = row(7, RowStatus::active, 0); }

  static Row row(std::uint32_t agent, RowStatus status, std::int64_t s, std::uint8_t code = 0) {
    return {.agent = AgentId{agent}, .status = status, .keepalive_s = s, .code = code};
  }
  void says_goodbye() {
    ++counts[7].shutdown;
    writes_disconnected();
  }
  void writes_disconnected(std::uint8_t code = 3) {
    table[7].status = RowStatus::disconnected;
    table[7].code = code;
  }
  void speaks() {
    ++counts[7].keepalive;
    writes_active();
  }
  void starts() {
    ++counts[7].startup;
    writes_active(RowStatus::pending);
  }
  void writes_active(RowStatus status = RowStatus::active) { table[7] = row(7, status, now_s + 1); }

  // A look, a second later: "active 12", "disconnected 12 code 3".
  std::string look(bool complete = true) {
    ++now_s;
    OwnRows::Found found{.complete = complete, .table_s = now_s, .mono_us = now_s * 1'000'000};
    if (complete) found.watched = own.to_watch();
    for (const auto& [id, r] : table) {
      if (!others.contains(id)) found.rows.push_back(r);
      if (others.contains(id) && std::ranges::binary_search(found.watched, AgentId{id}))
        found.elsewhere.push_back(AgentId{id});
    }
    if (!complete)
      std::erase_if(found.rows, [this](const Row& r) { return r.keepalive_s < now_s - 2; });
    asked = own.question(found);
    OwnRows::Answer answer;
    if (answers) {
      answer.emplace();
      for (const auto& [id, c] : counts) answer->emplace(AgentId{id}, c);
    }
    for (const Row& r : own.judge(std::move(found), asked, answer, kKeepaliveUs)) {
      if (r.agent == AgentId{7}) last = text(r);
    }
    return last;
  }
  static std::string text(const Row& r) {
    const std::string status = r.status == RowStatus::pending        ? "pending "
                               : r.status == RowStatus::disconnected ? "disconnected "
                                                                     : "active ";
    return status + std::to_string(r.keepalive_s) +
           (r.code != 0 ? " code " + std::to_string(r.code) : "");
  }

  OwnRows own;
  std::map<std::uint32_t, Row> table;
  std::set<std::uint32_t> others;  // agents whose row has another node's name
  std::map<std::uint32_t, Counts> counts;
  bool answers = true;
  std::int64_t now_s = 0;
  std::vector<AgentId> asked;
  std::string last = "nothing";
};

TEST_F(OwnRowsTest, WhatIsFoundFirstIsBelieved) {
  EXPECT_EQ(look(), "active 0");
}

TEST_F(OwnRowsTest, AKeepaliveOfAnAgentThatIsHereIsBelieved) {
  look();
  speaks();
  EXPECT_EQ(look(), "active 2");
}

TEST_F(OwnRowsTest, AGoodbyeThatRemotedCountedIsBelievedAtOnce) {
  look();
  says_goodbye();
  EXPECT_EQ(look(), "disconnected 0 code 3");
}

// S1: a worker's late word that the agent left it.
TEST_F(OwnRowsTest, ADisconnectThatRemotedDidNotCountIsNotBelieved) {
  look();
  writes_disconnected();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(look(), "active 0");
  EXPECT_EQ(own.counters().held, 1u);
  speaks();
  EXPECT_EQ(look(), "active 22");
  EXPECT_EQ(own.counters().held, 0u);
  EXPECT_EQ(own.counters().refused, 1u);
}

TEST_F(OwnRowsTest, WhoeverStaysSilentAfterItIsGone) {
  look();
  writes_disconnected(4);
  std::string before;
  for (int i = 0; i < 50; ++i) before = look();
  EXPECT_EQ(before, "active 0");
  look();
  EXPECT_EQ(look(), "disconnected 0 code 4");
}

TEST_F(OwnRowsTest, RemotedsOwnStartIsBelieved) {
  look();
  writes_disconnected(5);
  EXPECT_EQ(look(), "disconnected 0 code 5");
  counts.clear();  // it counts anew
  starts();
  EXPECT_EQ(look(), "pending 3");
}

// S7: a worker's late keepalive of an agent that came here after it, and left.
TEST_F(OwnRowsTest, AKeepaliveThatRemotedDidNotCountBringsNobodyBack) {
  look();
  says_goodbye();
  look();
  writes_active();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(look(), "disconnected 0 code 3");
  EXPECT_THAT(asked, IsEmpty()) << "the answer stands until the row changes";
  writes_active();
  EXPECT_EQ(look(), "disconnected 0 code 3");
  starts();
  EXPECT_EQ(look(), "pending 104");
}

TEST_F(OwnRowsTest, AKeepaliveThatAResetFollowsIsNoEvidence) {
  look();
  says_goodbye();
  look();
  writes_active();
  look();
  writes_disconnected(5);
  EXPECT_EQ(look(), "disconnected 0 code 5");
}

TEST_F(OwnRowsTest, WhatIsCountedAnewWasAllSaidSince) {
  counts[7] = {.startup = 1, .keepalive = 1, .shutdown = 0, .since = 100};
  look();
  says_goodbye();
  EXPECT_EQ(look(), "disconnected 0 code 3");
  counts.erase(7);  // remoted forgets whoever is not active
  look();
  counts[7] = {.startup = 1, .keepalive = 1, .shutdown = 0, .since = 200};
  writes_active();
  EXPECT_EQ(look(), "active 4");
  counts[7] = {.startup = 1, .keepalive = 1, .shutdown = 1, .since = 300};
  writes_disconnected();
  EXPECT_EQ(look(), "disconnected 4 code 3");
}

TEST_F(OwnRowsTest, OneMissedAnswerIsNoReasonToBelieve) {
  look();
  says_goodbye();
  look();
  writes_active();
  look();
  answers = false;
  writes_active();
  EXPECT_EQ(look(), "disconnected 0 code 3");
}

TEST_F(OwnRowsTest, SilenceCountsWhileTheTableIsLookedAt) {
  look();
  writes_disconnected();
  look();
  now_s += 50;  // wazuh-db could not be read, nor could the agent's keepalives be written
  EXPECT_EQ(look(), "active 0");
  speaks();
  EXPECT_EQ(look(), "active 54");
}

// A quick restart whose goodbye was never seen in the row.
TEST_F(OwnRowsTest, AnOldGoodbyeVouchesForNothing) {
  look();
  ++counts[7].shutdown;
  starts();
  look();
  look();
  writes_disconnected();
  EXPECT_EQ(look(), "pending 2");
}

// The agent went to a worker of which Wazuh's sync brings keepalives only.
TEST_F(OwnRowsTest, WhoseSessionWasGivenUpComesBackWhenRemotedSaysSo) {
  look();
  speaks();
  look();
  own.given_up(AgentId{7});
  for (int i = 0; i < 5; ++i) {
    writes_active();
    EXPECT_EQ(look(), "disconnected 2");
  }
  speaks();
  EXPECT_EQ(look(), "active 8");
}

TEST_F(OwnRowsTest, WhatIsBelievedLateIsSaid) {
  const std::vector<Row> before = {row(7, RowStatus::disconnected, 0, 3)};
  own.remember(before);
  writes_active();
  look();
  look();
  ++counts[7].keepalive;
  own.given_up(AgentId{7});  // asks again
  look();
  ++counts[7].keepalive;
  writes_active();
  look();
  EXPECT_THAT(own.late(), IsEmpty()) << "it is believed as it comes";
  says_goodbye();
  look();
  answers = false;
  writes_active();
  look();
  look();
  answers = true;
  ++counts[7].startup;
  EXPECT_EQ(look(), "active 6");
  EXPECT_THAT(own.late(), ElementsAre(AgentId{7}));
}

TEST_F(OwnRowsTest, ManyHiddenAgentsAreInNobodysWay) {
  for (std::uint32_t id = 100; id < 800; ++id) {
    table[id] = row(id, RowStatus::active, 0);
  }
  for (int i = 0; i < 10; ++i) look();
  for (std::uint32_t id = 100; id < 800; ++id) others.insert(id);
  std::set<AgentId> watched;
  for (int i = 0; i < 3; ++i) {
    look();
    const auto some = own.to_watch();
    EXPECT_LE(some.size(), OwnRows::kMaxWatched);
    watched.insert(some.begin(), some.end());
  }
  EXPECT_EQ(watched.size(), 700u) << "each has its turn";
  table[8] = row(8, RowStatus::active, now_s);
  look();
  EXPECT_TRUE(std::ranges::find(asked, AgentId{8}) != asked.end());
  for (int i = 0; i < 150; ++i) look();
  EXPECT_THAT(asked, IsEmpty()) << "an agent that is here is not hidden for long";
}

TEST_F(OwnRowsTest, AStallThatEndsNeedsNoStart) {
  look();
  writes_disconnected(4);
  for (int i = 0; i < 60; ++i) look();
  speaks();
  EXPECT_EQ(look(), "active 62");
}

TEST_F(OwnRowsTest, WithoutCountersOneMoreKeepaliveIsWaitedFor) {
  answers = false;
  look();
  writes_disconnected();
  for (int i = 0; i < 60; ++i) look();
  EXPECT_EQ(last, "disconnected 0 code 3");
  writes_active();
  EXPECT_EQ(look(), "disconnected 0 code 3");
  writes_active();
  EXPECT_EQ(look(), "active 63");
}

TEST_F(OwnRowsTest, WithoutCountersAKeepaliveUndoesADisconnect) {
  answers = false;
  look();
  writes_disconnected();
  EXPECT_EQ(look(), "active 0");
  speaks();
  EXPECT_EQ(look(), "active 3");
  EXPECT_EQ(own.counters().refused, 1u);
}

// S3: a worker's late full row.
TEST_F(OwnRowsTest, ARowUnderAnotherNameStaysAsItWas) {
  look();
  others.insert(7);
  EXPECT_EQ(look(), "active 0");
  EXPECT_THAT(own.to_watch(), ElementsAre(AgentId{7}));
  EXPECT_EQ(own.counters().hidden, 1u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(look(), "active 0");
  others.clear();
  speaks();
  EXPECT_EQ(look(), "active 103");
  EXPECT_EQ(own.counters().hidden, 0u);
}

TEST_F(OwnRowsTest, ItGoesOnAsTheCountersSay) {
  look();
  others.insert(7);
  look();
  look();
  ++counts[7].keepalive;
  EXPECT_EQ(look(false), "active 3") << "at the answer before it had not spoken yet";
  ++counts[7].shutdown;
  EXPECT_EQ(look(), "disconnected 3 code 3");
  ++counts[7].startup;
  EXPECT_EQ(look(), "active 5");
}

TEST_F(OwnRowsTest, WhenAHiddenAgentSpokeHasToBeKnown) {
  look();
  others.insert(7);
  look();
  answers = false;
  look();
  answers = true;
  ++counts[7].keepalive;
  EXPECT_EQ(look(), "active 0");
  ++counts[7].keepalive;
  EXPECT_EQ(look(), "active 4");
}

TEST_F(OwnRowsTest, ARowThatIsNowhereIsGone) {
  look();
  table.erase(7);
  EXPECT_EQ(look(), "active 0") << "it may be under another name";
  last = "gone";
  EXPECT_EQ(look(), "gone");
  EXPECT_THAT(own.to_watch(), IsEmpty());
}

TEST_F(OwnRowsTest, WhatWasBelievedOutlivesTheProcess) {
  const std::vector<Row> before = {row(7, RowStatus::disconnected, 0, 3)};
  own.remember(before);
  writes_active();
  EXPECT_EQ(look(), "disconnected 0 code 3");
  speaks();
  EXPECT_EQ(look(), "active 2");
}

TEST_F(OwnRowsTest, AQuestionIsBounded) {
  for (std::uint32_t id = 8; id < 300; ++id) table[id] = row(id, RowStatus::active, 0);
  std::set<AgentId> all;
  for (int i = 0; i < 3; ++i) {
    look();
    EXPECT_LE(asked.size(), RemotedCounters::kMaxAgents);
    all.insert(asked.begin(), asked.end());
  }
  EXPECT_EQ(all.size(), 293u);
  look();
  EXPECT_THAT(asked, IsEmpty());
}

}  // namespace
}  // namespace rollcall::sidecar
