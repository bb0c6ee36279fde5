#include "master/core/reconciliation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <type_traits>

#include "tests/unit/master/core_fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What a worker holds open, by its own account, and what it would say of it.
class Worker {
 public:
  Worker(Master& m, ConnId conn) : m_(m), conn_(conn) {}

  OpenSessions open;
  std::uint64_t seq = 0;

  std::string tell(double s, std::vector<Event> events) {
    const std::uint64_t first = seq + 1;
    seq += events.size();
    for (const Event& e : events) open.take(e.agent, e.kind, e.epoch, e.change);
    return m_.delta(s, conn_, first, std::move(events));
  }
  std::string heartbeat(double s) {
    Heartbeat beat;
    beat.seq = seq;
    beat.digest = open.digest();
    return m_.message(s, conn_, beat);
  }
  // The walk that a heartbeat began, to its last question.
  Want walk(double s) {
    Want want;
    want.digests_of = {kTreeRoot};
    while (!want.digests_of.empty()) {
      const Output out = m_.core.message(conn_, digests_of(want), at(s));
      if (out.send.size() != 1) break;
      want = std::get<Want>(out.send[0].message);
    }
    return want;
  }
  Digests digests_of(const Want& want) const {
    Digests d;
    d.seq = seq;
    for (const TreeNode node : want.digests_of) d.entries.push_back({node, open.children(node)});
    return d;
  }
  std::vector<InventoryEntry> entries(const std::vector<TreeNode>& leaves = {}) const {
    std::vector<InventoryEntry> out;
    const auto add = [&](AgentId agent, const OpenSessions::Session& session) {
      out.push_back({agent,
                     session.epoch,
                     session.change,
                     {time_of(session.epoch), {time_of(session.epoch).us + kSecond}}});
    };
    if (leaves.empty()) open.for_each(range_of(kTreeRoot), add);
    for (const TreeNode leaf : leaves) open.for_each(range_of(leaf), add);
    return out;
  }
  std::string begin(double s, std::uint64_t id = 1, std::vector<TreeNode> leaves = {}) {
    InventoryBegin b;
    b.id = id;
    b.seq = seq;
    b.leaves = std::move(leaves);
    return m_.message(s, conn_, b);
  }
  std::string chunk(double s, std::vector<InventoryEntry> part, std::uint64_t id = 1) {
    return m_.message(s, conn_, InventoryChunk{id, std::move(part)});
  }
  std::string end(double s, const std::vector<InventoryEntry>& all, std::uint64_t id = 1) {
    return m_.message(s, conn_, end_of(all, id));
  }
  static InventoryEnd end_of(const std::vector<InventoryEntry>& all, std::uint64_t id = 1) {
    InventoryEnd e;
    e.id = id;
    e.count = all.size();
    for (const auto& x : all) e.digest += digest_of(x.agent, x.epoch, x.change);
    return e;
  }
  // A whole inventory in one chunk; what the master answered to its end.
  std::string inventory(double s, std::vector<TreeNode> leaves = {}) {
    const auto all = entries(leaves);
    return inventory_of(s, all, std::move(leaves));
  }
  std::string inventory_of(double s, const std::vector<InventoryEntry>& all,
                           std::vector<TreeNode> leaves = {}) {
    begin(s, 1, std::move(leaves));
    chunk(s, all);
    return end(s, all);
  }

 private:
  Master& m_;
  ConnId conn_;
};

class ReconciliationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    EXPECT_EQ(m.connect(10, kW1, hello("w1", 101)), "1 WELCOME, have seq 0");
    EXPECT_EQ(m.connect(10, kW2, hello("w2", 102)), "2 WELCOME, have seq 0");
  }
  std::uint64_t repairs(Cause cause) const {
    const auto& all = m.core.counters().repairs;
    const auto it = all.find(cause);
    return it == all.end() ? 0 : it->second;
  }
  std::uint64_t all_repairs() const {
    std::uint64_t n = 0;
    for (const auto& [cause, count] : m.core.counters().repairs) n += count;
    return n;
  }
  std::string last_close() const { return m.closes.empty() ? "" : m.closes.back().reason; }
  const OpenSessions& open_of(const NodeName& node) const {
    return m.core.state().nodes().at(node).open;
  }
  // The log tells the same state as the one that the core has.
  void expect_replay() const {
    EXPECT_TRUE(Master::fold(m.records).encode() == m.core.state().encode());
  }

  Master m;
  Worker w1{m, kW1}, w2{m, kW2};
};

InventoryEntry entry(std::uint32_t agent, double epoch_s, std::uint32_t change) {
  return {AgentId{agent}, epoch(epoch_s), change, {master_time(epoch_s), master_time(epoch_s + 1)}};
}

// ---- heartbeats

TEST_F(ReconciliationTest, EqualDigestsAreConfirmed) {
  w1.tell(20, {opened(7, 15), opened(8, 16)});
  EXPECT_EQ(w1.heartbeat(21), "1 HEARTBEAT_ACK, equal");
  EXPECT_EQ(m.core.counters().digests_equal, 1u);
  EXPECT_EQ(m.core.node_status("w1", at(21)).agreement, Agreement::equal);
  EXPECT_EQ(m.core.node_status("w1", at(24)).agreed_ago_us, 3'000'000);
  EXPECT_EQ(m.core.node_status("w2", at(24)).agreed_ago_us, std::nullopt);
}

TEST_F(ReconciliationTest, AHeartbeatWithoutADigestIsNotCompared) {
  w1.tell(20, {opened(7, 15)});
  EXPECT_EQ(m.message(21, kW1, Heartbeat{}), "1 HEARTBEAT_ACK");
}

TEST_F(ReconciliationTest, ADigestForASeqNeverSentIsRefused) {
  w1.tell(20, {opened(7, 15)});
  ++w1.seq;
  EXPECT_EQ(w1.heartbeat(21), "1 ERROR sequence fatal");
  EXPECT_THAT(last_close(), HasSubstr("digest at seq 2, but the last that came is 1"));
}

TEST_F(ReconciliationTest, ADigestForASeqThatIsPastIsRefused) {
  w1.tell(20, {opened(7, 15)});
  --w1.seq;
  EXPECT_EQ(w1.heartbeat(21), "1 ERROR sequence fatal");
}

TEST_F(ReconciliationTest, AHeartbeatOfAConnectionThatWasRefusedIsNotHeard) {
  ++w1.seq;
  w1.heartbeat(21);
  EXPECT_EQ(w1.heartbeat(22), "");
  EXPECT_EQ(m.core.counters().digest_mismatches, 0u);
}

TEST_F(ReconciliationTest, ADigestBeforeHelloIsRefused) {
  m.core.connected(ConnId{9}, {"w9"}, "10.0.0.9:5", at(20));
  EXPECT_EQ(m.message(20, ConnId{9}, Heartbeat{0, 0, 5, Digest{1, 2}}), "9 ERROR protocol fatal");
}

TEST_F(ReconciliationTest, WhileEventsAreSentAgainNothingIsCompared) {
  w1.tell(20, {opened(7, 15), opened(8, 16)});
  m.lose(21, kW1);
  m.connect(22, ConnId{3}, hello("w1", 101, 1));
  EXPECT_EQ(m.message(23, ConnId{3}, Heartbeat{0, 0, 5, Digest{1, 2}}), "3 HEARTBEAT_ACK");
  EXPECT_EQ(m.core.counters().digest_mismatches, 0u);
}

// Sent again, evidence is translated anew, by a clock that is known better.
TEST_F(ReconciliationTest, ASessionThatEndedIsNotOpenAgainBecauseItsEventsAreSentAgain) {
  Event open = opened(7, 15), close = closed(7, 15, 1, 15);
  w1.tell(20, {open});
  w1.tell(21, {close});
  m.lose(22, kW1);
  m.connect(23, ConnId{3}, hello("w1", 101, 1));
  for (Event* e : {&open, &close}) e->evidence.hi.us += 40;
  m.delta(24, ConnId{3}, 1, {open});
  m.delta(24, ConnId{3}, 2, {close});
  EXPECT_EQ(open_of("w1").size(), 0u);
  EXPECT_EQ(m.message(25, ConnId{3}, Heartbeat{2, 0, 5, Digest{}}), "3 HEARTBEAT_ACK, equal");
  expect_replay();
}

TEST_F(ReconciliationTest, AWorkerThatComesBackAndAgreesIsConfirmedByHello) {
  w1.tell(20, {opened(7, 15)});
  m.lose(21, kW1);
  Hello h = hello("w1", 101, 2);
  h.last_master = m.core.state().master();
  h.last_term = m.core.state().term();
  h.acked_position = m.position;
  h.digest = w1.open.digest();
  EXPECT_EQ(m.connect(22, ConnId{3}, h), "3 WELCOME, have seq 1, equal");
  m.lose(23, ConnId{3});
  h.digest = Digest{1, 2};
  EXPECT_EQ(m.connect(24, ConnId{4}, h), "4 WELCOME, have seq 1, differs\n4 WANT digests of 1");
}

TEST_F(ReconciliationTest, TenThousandAgentsThatMoveMakeNoMismatch) {
  std::vector<Event> here, there;
  for (std::uint32_t id = 1; id <= 10'000; ++id) {
    here.push_back(opened(id, 15));
    there.push_back(opened(id, 30));
  }
  w1.tell(20, here);
  for (int part = 0; part < 10; ++part) {
    w2.tell(31 + part, {there.begin() + part * 1000, there.begin() + (part + 1) * 1000});
    EXPECT_EQ(w1.heartbeat(31 + part), "1 HEARTBEAT_ACK, equal");
    EXPECT_EQ(w2.heartbeat(31 + part), "2 HEARTBEAT_ACK, equal");
    std::vector<Event> released;
    for (std::uint32_t id = static_cast<std::uint32_t>(part) * 1000 + 1;
         id <= static_cast<std::uint32_t>(part + 1) * 1000; ++id)
      released.push_back(event(id, EventKind::released, 15, 1, 16));
    w1.tell(31 + part, std::move(released));
    EXPECT_EQ(w1.heartbeat(31 + part), "1 HEARTBEAT_ACK, equal");
  }
  EXPECT_EQ(m.core.counters().digest_mismatches, 0u);
  EXPECT_EQ(m.core.state().nodes().at("w2").on_top, 10'000u);
}

TEST_F(ReconciliationTest, EventsFromTheFutureCountOnNeitherSide) {
  w1.tell(20, {opened(7, 15)});
  m.delta(20, kW1, 2, {opened(8, 60)});
  w1.seq = 2;
  EXPECT_EQ(w1.heartbeat(21), "1 HEARTBEAT_ACK, equal");
}

// ---- the walk

TEST_F(ReconciliationTest, ADifferenceIsFoundAndRepairedWithinOneWalk) {
  std::vector<Event> events;
  for (std::uint32_t id = 1; id <= 2'000; ++id) events.push_back(opened(id, 15));
  w1.tell(20, events);
  w1.open.erase(AgentId{700});
  w1.open.set(AgentId{70'000}, {epoch(16), 0});
  EXPECT_EQ(w1.heartbeat(21), "1 HEARTBEAT_ACK, differs\n1 WANT digests of 1");
  Want want;
  want.digests_of = {kTreeRoot};
  int steps = 0;
  while (!want.digests_of.empty() && ++steps < 20) {
    m.core.tick(at(22));
    Output out = m.core.message(kW1, w1.digests_of(want), at(22));
    ASSERT_EQ(out.send.size(), 1u);
    want = std::get<Want>(out.send[0].message);
  }
  EXPECT_EQ(steps, 7);
  EXPECT_EQ(want.leaves, (std::vector{leaf_of(AgentId{700}), leaf_of(AgentId{70'000})}));
  w1.inventory(23, want.leaves);
  EXPECT_EQ(repairs(Cause::absent), 1u);
  EXPECT_EQ(repairs(Cause::missed_open), 1u);
  EXPECT_EQ(all_repairs(), 2u);
  EXPECT_EQ(m.top(700), "15@w1+4294967295 closed");
  EXPECT_EQ(w1.heartbeat(24), "1 HEARTBEAT_ACK, equal");
  expect_replay();
}

TEST_F(ReconciliationTest, AWalkThatIsNotAnsweredIsBegunAgainAfterATtl) {
  w1.open.set(AgentId{7}, {epoch(16), 0});
  EXPECT_THAT(w1.heartbeat(21), HasSubstr("WANT digests of 1"));
  EXPECT_THAT(w1.heartbeat(31), Not(HasSubstr("WANT")));
  EXPECT_THAT(w1.heartbeat(1022), HasSubstr("WANT digests of 1"));
}

TEST_F(ReconciliationTest, EqualDigestsInBetweenBringTheNextWalkNoNearer) {
  const OpenSessions right = w1.open;
  w1.open.set(AgentId{7}, {epoch(16), 0});
  const OpenSessions wrong = w1.open;
  EXPECT_THAT(w1.heartbeat(21), HasSubstr("WANT digests of 1"));
  w1.open = right;
  EXPECT_EQ(w1.heartbeat(22), "1 HEARTBEAT_ACK, equal");
  w1.open = wrong;
  EXPECT_EQ(w1.heartbeat(23), "1 HEARTBEAT_ACK, differs");
  EXPECT_THAT(w1.heartbeat(31), HasSubstr("WANT digests of 1"));
}

TEST_F(ReconciliationTest, DifferencesThatStayAreAskedForLaterAndLaterAndThenInFull) {
  w1.open.set(AgentId{7}, {epoch(16), 0});
  int walks = 0, full = 0;
  for (int s = 20; s < 3'620; s += 10) {
    const std::string said = w1.heartbeat(s);
    if (said.find("WANT digests") != std::string::npos) {
      ++walks;
      // The worker claims the same as the master everywhere below.
      m.message(s, kW1, Digests{w1.seq, {{kTreeRoot, open_of("w1").children(kTreeRoot)}}});
    }
    if (said.find("WANT inventory") != std::string::npos) {
      ++full;
      w1.begin(s);
      m.message(s, kW1, Worker::end_of({}));
    }
  }
  EXPECT_EQ(walks, 3);
  EXPECT_GT(full, 3);
  EXPECT_LT(full, 15) << "one in 10 minutes, once it has become so seldom";
}

TEST_F(ReconciliationTest, AnswersToAWalkThatWasGivenUpAreIgnored) {
  EXPECT_EQ(m.message(21, kW1, Digests{0, {{kTreeRoot, {}}}}), "");
  EXPECT_EQ(m.message(21, kW1, Digests{5, {{kTreeRoot, {}}}}), "1 ERROR sequence fatal");
}

TEST_F(ReconciliationTest, AnswersBeyondTheLastQuestionAreIgnored) {
  w1.open.set(AgentId{7}, {epoch(16), 0});
  w1.heartbeat(21);
  const Want leaves = w1.walk(21);
  EXPECT_EQ(leaves.leaves, std::vector{leaf_of(AgentId{7})});
  EXPECT_EQ(m.message(22, kW1, Digests{}), "");
  EXPECT_EQ(m.message(22, kW1, Digests{0, {{kTreeRoot, w1.open.children(kTreeRoot)}}}), "");
}

TEST_F(ReconciliationTest, QuestionsThatWaitForTheDiskCount) {
  constexpr std::uint32_t kAgents = 65'536, kMany = 70;  // 4 bytes each: more than 16 MiB
  for (std::uint32_t first = 1; first <= kAgents; first += 8192) {
    std::vector<Event> events;
    for (std::uint32_t id = first; id < first + 8192; ++id)
      events.push_back(with_info(opened(id, 15), {{"name", "a"}}, false));
    w1.tell(20, std::move(events));
  }
  m.disk = Master::Disk::slow;
  w2.tell(21, {opened(100'000, 20)});
  ASSERT_FALSE(m.core.congested());
  const auto all = w1.entries();
  for (std::uint32_t n = 0; n < kMany; ++n) {
    w1.begin(30 + 10 * n);
    for (std::size_t i = 0; i < all.size(); i += 8192)
      w1.chunk(30 + 10 * n, {all.begin() + static_cast<std::ptrdiff_t>(i),
                             all.begin() + static_cast<std::ptrdiff_t>(i + 8192)});
    w1.end(30 + 10 * n, all);
  }
  EXPECT_TRUE(m.core.congested());
}

TEST_F(ReconciliationTest, WhereMostDiffersEverythingIsAskedFor) {
  for (std::uint32_t id = 1; id <= 100'000; ++id) w1.open.set(AgentId{id}, {epoch(16), 0});
  Walk walk(0);
  std::optional<Want> want = walk.begin();
  while (want && !want->digests_of.empty()) {
    EXPECT_LE(want->digests_of.size(), kMaxTreeNodes);
    want = walk.answered(w1.digests_of(*want), open_of("w1"), 0);
  }
  ASSERT_TRUE(want);
  EXPECT_TRUE(want->inventory);
}

// ---- the set difference

TEST_F(ReconciliationTest, AMissedOpenIsTakenAndItsFieldsAreAskedFor) {
  w1.open.set(AgentId{7}, {epoch(16), 2});
  EXPECT_EQ(w1.inventory(30), "1 WANT infos 7");
  EXPECT_EQ(m.top(7), "16@w1+2 open");
  EXPECT_EQ(repairs(Cause::missed_open), 1u);
  EXPECT_EQ(w1.heartbeat(31), "1 HEARTBEAT_ACK, equal");
  expect_replay();
}

TEST_F(ReconciliationTest, AMissedChangeIsTaken) {
  w1.tell(20, {with_info(opened(7, 15), {{"name", "a"}})});
  w1.open.set(AgentId{7}, {epoch(15), 3});
  EXPECT_EQ(w1.inventory(30), "");
  EXPECT_EQ(m.top(7), "15@w1+3 open");
  EXPECT_EQ(repairs(Cause::missed_change), 1u);
}

TEST_F(ReconciliationTest, AnAbsentSessionIsClosedByTheMasterAndItsWorkerToldAtOnce) {
  w1.tell(20, {opened(7, 15), opened(8, 15)});
  w1.open.erase(AgentId{7});
  EXPECT_EQ(w1.inventory(30), "1 SUPERSEDED 7 by 15@w1+4294967295 ended");
  EXPECT_EQ(m.core.state().find(AgentId{7})->reason, Reason::absent_from_inventory);
  EXPECT_EQ(m.top(8), "15@w1+0 open");
  EXPECT_EQ(repairs(Cause::absent), 1u);
  // It has the agent after all: one above the master's close.
  w1.tell(31, {event(7, EventKind::opened, 15.000001, 0, 30)});
  EXPECT_THAT(m.top(7), HasSubstr("open"));
  EXPECT_EQ(w1.heartbeat(32), "1 HEARTBEAT_ACK, equal");
  expect_replay();
}

TEST_F(ReconciliationTest, AnAbsentSessionThatAnotherWorkerHasSinceDoesNotCloseTheOthers) {
  w1.tell(20, {opened(7, 15)});
  w2.tell(25, {opened(7, 24)});
  w1.open.erase(AgentId{7});
  w1.inventory(30);
  EXPECT_EQ(m.top(7), "24@w2+0 open");
  EXPECT_EQ(w1.heartbeat(31), "1 HEARTBEAT_ACK, equal");
}

TEST_F(ReconciliationTest, AWorkerThatWentBackIsToldSo) {
  w1.tell(20, {opened(7, 15), opened(7, 18)});
  w1.open.set(AgentId{7}, {epoch(15), 0});
  EXPECT_EQ(w1.inventory(30), "1 SUPERSEDED 7 by 18@w1+4294967295 ended");
  EXPECT_EQ(repairs(Cause::went_back), 1u);
  EXPECT_EQ(open_of("w1").find(AgentId{7}), nullptr);
  expect_replay();
}

TEST_F(ReconciliationTest, AnEqualSessionThatDoesNotStandIsToldAgain) {
  w1.tell(20, {opened(7, 15)});
  w2.tell(25, {opened(7, 24)});
  EXPECT_EQ(w1.inventory(30), "1 SUPERSEDED 7 by 24@w2+0 open");
  EXPECT_EQ(all_repairs(), 0u);
}

TEST_F(ReconciliationTest, EvidenceOfAnAgentInDoubtIsTakenAndLogged) {
  w1.tell(20, {opened(7, 15)});
  w2.tell(21, {event(7, EventKind::contact, 0, 0, 18)});
  ASSERT_TRUE(m.core.in_doubt(AgentId{7}));
  auto all = w1.entries();
  all[0].evidence = {master_time(25), master_time(26)};
  w1.inventory_of(30, all);
  EXPECT_FALSE(m.core.in_doubt(AgentId{7}));
  EXPECT_EQ(repairs(Cause::evidence), 1u);
  expect_replay();
}

// What an entry shows to be as it was says nothing of an offer.
TEST_F(ReconciliationTest, EvidenceOfAnAgentThatIsOfferedLeavesTheOfferStanding) {
  Event offer = event(7, EventKind::offered, 15, 1, 15);
  offer.grace_us = 60 * kSecond;
  w1.tell(20, {opened(7, 15), offer});
  w2.tell(21, {event(7, EventKind::contact, 0, 0, 18)});
  ASSERT_TRUE(m.core.in_doubt(AgentId{7}));
  auto all = w1.entries();
  all[0].evidence = {master_time(16), master_time(26)};
  w1.inventory_of(30, all);
  EXPECT_EQ(repairs(Cause::evidence), 1u);
  const AgentRecord& seven = *m.core.state().find(AgentId{7});
  EXPECT_TRUE(seven.is_offered());
  EXPECT_EQ(seven.offered_until, master_time(80)) << "and does not prolong it";
  EXPECT_EQ(seven.hi, master_time(26));
  EXPECT_EQ(m.core.counters().by_rule.count("conflict"), 0u);
  expect_replay();
}

TEST_F(ReconciliationTest, FieldsThatWereAskedForInVainAreAskedForAgain) {
  w1.tell(20, {with_info(opened(7, 15), {{"name", "a"}}, false)});
  EXPECT_EQ(w1.inventory(30), "1 WANT infos 7");
}

TEST_F(ReconciliationTest, AgentsThatChangeSinceTheCutAreJudgedByTheirEvents) {
  w1.tell(20, {opened(7, 15), opened(8, 15)});
  const auto cut = w1.entries();
  w1.begin(30);
  w1.tell(31, {opened(9, 30), closed(8, 15, 1, 20)});
  w1.chunk(32, cut);
  w1.tell(33, {closed(7, 15, 1, 20), opened(7, 32)});
  EXPECT_EQ(w1.end(34, cut), "");
  EXPECT_EQ(all_repairs(), 0u);
  EXPECT_EQ(m.top(9), "30@w1+0 open");
  EXPECT_EQ(w1.heartbeat(35), "1 HEARTBEAT_ACK, equal");
}

TEST_F(ReconciliationTest, AnInventoryThatOvertakesEventsSentAgainProvesNothing) {
  w1.tell(20, {opened(7, 15), closed(7, 15, 1, 20)});
  m.lose(21, kW1);
  m.connect(22, ConnId{3}, hello("w1", 101, 2));  // the close is to be sent again
  Worker again(m, ConnId{3});
  again.seq = 1;
  again.open.set(AgentId{7}, {epoch(15), 0});
  EXPECT_EQ(again.inventory(23), "3 WANT later");
  EXPECT_EQ(all_repairs(), 0u);
  EXPECT_EQ(m.top(7), "15@w1+1 closed");
}

TEST_F(ReconciliationTest, EntriesFromTheFutureAreLeftOut) {
  w1.open.set(AgentId{7}, {epoch(90), 0});
  w1.tell(20, {opened(8, 15)});
  EXPECT_EQ(w1.inventory(30), "");
  EXPECT_EQ(m.top(7), "unknown");
  EXPECT_EQ(all_repairs(), 0u);
}

TEST_F(ReconciliationTest, OnlyTheLeavesOfAnInventoryAreJudged) {
  w1.tell(20, {opened(7, 15), opened(100, 15), opened(1000, 15)});
  for (const std::uint32_t id : {7u, 100u, 1000u}) w1.open.erase(AgentId{id});
  w1.heartbeat(30);
  w1.walk(30);
  w1.inventory(30, {leaf_of(AgentId{100})});
  EXPECT_EQ(m.top(100), "15@w1+4294967295 closed");
  EXPECT_EQ(m.top(7), "15@w1+0 open");
  EXPECT_EQ(m.top(1000), "15@w1+0 open");
}

// A random set of each side, in random chunks: what is found is the plain set difference.
TEST_F(ReconciliationTest, ChunksFindWhatAWholeSetDifferenceFinds) {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    Master master;
    master.connect(10, kW1, hello("w1", 101));
    Worker w(master, kW1);
    std::vector<Event> events;
    for (std::uint32_t id = 1; id < 400; id += 1 + random() % 4) events.push_back(opened(id, 15));
    w.tell(20, events);
    std::set<std::uint32_t> absent, missed;
    for (std::uint32_t id = 1; id < 420; ++id) {
      if (random() % 8 != 0) continue;
      if (w.open.find(AgentId{id})) {
        w.open.erase(AgentId{id});
        absent.insert(id);
      } else {
        w.open.set(AgentId{id}, {epoch(16), 0});
        missed.insert(id);
      }
    }
    const auto all = w.entries();
    w.begin(30);
    for (std::size_t i = 0; i < all.size();) {
      const std::size_t n = std::min<std::size_t>(all.size() - i, 1 + random() % 50);
      w.chunk(30, {all.begin() + static_cast<std::ptrdiff_t>(i),
                   all.begin() + static_cast<std::ptrdiff_t>(i + n)});
      i += n;
    }
    w.end(30, all);
    const auto& counts = master.core.counters().repairs;
    const auto count = [&](Cause c) { return counts.contains(c) ? counts.at(c) : 0; };
    EXPECT_EQ(count(Cause::absent), absent.size());
    EXPECT_EQ(count(Cause::missed_open), missed.size());
    EXPECT_TRUE(master.core.state().nodes().at("w1").open == w.open);
    EXPECT_EQ(w.heartbeat(31), "1 HEARTBEAT_ACK, equal");
  }
}

TEST_F(ReconciliationTest, RepairsAreNamedUpToABoundAndThenCounted) {
  for (std::uint32_t id = 1; id <= 30; ++id) w1.open.set(AgentId{id}, {epoch(16), 0});
  m.notes.clear();
  w1.inventory(30);
  std::size_t named = 0;
  std::string more;
  for (const Note& n : m.notes) {
    for (const auto& [field, value] : n.fields) {
      named += field == "repair" ? 1 : 0;
      if (field == "more") more = value;
    }
  }
  EXPECT_EQ(named, 20u);
  EXPECT_EQ(more, "10");
}

TEST_F(ReconciliationTest, WhatIsTooMuchToRepairAtOnceIsLeftToTheNextInventory) {
  constexpr std::size_t kMore = 100;
  for (std::uint32_t id = 1; id <= Differences::kMaxRepairs + kMore; ++id)
    w1.open.set(AgentId{id}, {epoch(16), 0});
  EXPECT_THAT(w1.inventory(30), HasSubstr("1 WANT inventory"));
  EXPECT_EQ(repairs(Cause::missed_open), Differences::kMaxRepairs);
  EXPECT_THAT(w1.inventory(40), Not(HasSubstr("WANT inventory")));
  EXPECT_EQ(repairs(Cause::missed_open), Differences::kMaxRepairs + kMore);
  w1.open = {};
  EXPECT_THAT(w1.inventory(50), HasSubstr("1 WANT inventory"));
  EXPECT_EQ(repairs(Cause::absent), Differences::kMaxRepairs);
  w1.inventory(60);
  EXPECT_EQ(w1.heartbeat(61), "1 HEARTBEAT_ACK, equal");
}

// ---- inventories that contradict themselves: nothing of them is used

class BadInventoryTest : public ReconciliationTest {
 protected:
  void SetUp() override {
    ReconciliationTest::SetUp();
    w1.tell(20, {opened(7, 15), opened(8, 15)});
    before = m.core.state().encode();
  }
  void expect_refused(const std::string& said, const std::string& why) {
    EXPECT_EQ(said, "1 ERROR inventory fatal");
    EXPECT_THAT(last_close(), HasSubstr(why));
    EXPECT_TRUE(open_of("w1") == State::decode(before)->nodes().at("w1").open);
    EXPECT_EQ(all_repairs(), 0u);
    EXPECT_EQ(m.core.counters().inventories_refused, 1u);
  }
  std::string before;
};

TEST_F(BadInventoryTest, WithAWrongCount) {
  w1.begin(30);
  w1.chunk(30, {entry(9, 16, 0)});
  InventoryEnd end = Worker::end_of({entry(9, 16, 0)});
  end.count = 2;
  expect_refused(m.message(30, kW1, end), "a count of 2, but 1 entries came");
}

TEST_F(BadInventoryTest, WithAWrongDigest) {
  w1.begin(30);
  w1.chunk(30, {entry(9, 16, 0)});
  expect_refused(w1.end(30, {entry(9, 16, 1)}), "its digest is not that of the entries");
}

TEST_F(BadInventoryTest, WithChunksOutOfOrder) {
  w1.begin(30);
  w1.chunk(30, {entry(9, 16, 0)});
  expect_refused(w1.chunk(30, {entry(8, 16, 0)}), "agent 8 is out of order, or comes twice");
}

TEST_F(BadInventoryTest, WithAnEntryTwice) {
  w1.begin(30);
  w1.chunk(30, {entry(9, 16, 0)});
  expect_refused(w1.chunk(30, {entry(9, 17, 0)}), "agent 9 is out of order, or comes twice");
}

TEST_F(BadInventoryTest, WithAChangeOfTheMaster) {
  w1.begin(30);
  expect_refused(w1.chunk(30, {entry(9, 16, kFirstMasterChange)}),
                 "change 2147483648 is reserved for the master");
}

TEST_F(BadInventoryTest, ThatWasNotBegun) {
  expect_refused(w1.chunk(30, {entry(9, 16, 0)}), "a chunk of one that was not begun");
}

TEST_F(BadInventoryTest, WhoseEndWasNotBegun) {
  expect_refused(w1.end(30, {}), "the end of one that was not begun");
}

TEST_F(BadInventoryTest, BegunTwice) {
  w1.begin(30);
  expect_refused(w1.begin(30), "begun twice");
}

TEST_F(BadInventoryTest, WithACutThatWasNotReached) {
  ++w1.seq;
  expect_refused(w1.begin(30), "its cut is seq 3, but the last that came is 2");
}

TEST_F(BadInventoryTest, WithAnAgentOutsideItsLeaves) {
  w1.open.erase(AgentId{8});
  w1.heartbeat(30);
  w1.walk(30);
  w1.begin(30, 1, {leaf_of(AgentId{7}), leaf_of(AgentId{100})});
  expect_refused(w1.chunk(30, {entry(7, 15, 0), entry(50, 16, 0)}),
                 "agent 50 is in none of its leaves");
}

TEST_F(BadInventoryTest, WithMoreEntriesThanTheMasterTakes) {
  MasterCore::Config c = config();
  c.max_inventory_entries = 1;
  Master small({}, "", 1, c);
  small.connect(10, kW1, hello("w1", 101));
  Worker w(small, kW1);
  w.begin(20);
  EXPECT_EQ(w.chunk(20, {entry(8, 15, 0), entry(9, 15, 0)}), "1 ERROR inventory fatal");
}

// ---- state that was lost or restored, and names

class LostStateTest : public ReconciliationTest {
 protected:
  void SetUp() override {
    ReconciliationTest::SetUp();
    w1.tell(20, {opened(7, 15)});
    m.lose(21, kW1);
  }
  // A worker that this log has acked everything to.
  Hello acked(const NodeName& node, std::uint64_t store, std::uint64_t stream) const {
    Hello h = hello(node, stream, 2);
    h.store = StoreId{store};
    h.last_master = m.core.state().master();
    h.last_term = m.core.state().term();
    h.start_position = h.acked_position = m.position;
    return h;
  }
  bool noted(const std::string& text) const {
    return std::ranges::any_of(
        m.notes, [&](const Note& n) { return n.text.find(text) != std::string::npos; });
  }
};

TEST_F(LostStateTest, AWorkerUnderANewNameWithItsOldStoreBeginsNoNewTerm) {
  const Term term = m.core.state().term();
  EXPECT_EQ(m.connect(22, ConnId{3}, acked("w1-new", 101, 101)),
            "3 WELCOME, have seq 0, the store is older");
  EXPECT_TRUE(noted("a store that belongs to another node"));
  // It comes back as a store of its own, and the old name can be forgotten.
  m.lose(23, ConnId{3});
  EXPECT_EQ(m.connect(24, ConnId{4}, hello("w1-new", 103)), "4 WELCOME, have seq 0");
  EXPECT_EQ(m.core.state().term(), term);
}

TEST_F(LostStateTest, AWorkerUnderANewNameWithAStoreOfItsOwnBeginsNoNewTerm) {
  const Term term = m.core.state().term();
  Hello h = acked("w1-new", 103, 103);
  h.start_position = h.acked_position = 0;
  EXPECT_EQ(m.connect(22, ConnId{3}, h), "3 WELCOME, have seq 1");
  EXPECT_EQ(m.core.state().term(), term);
}

TEST_F(LostStateTest, TheStoreThatANodeHadBeforeIsAnOlderCopy) {
  m.connect(22, ConnId{3}, hello("w1", 103));
  m.lose(23, ConnId{3});
  EXPECT_EQ(m.connect(24, ConnId{4}, acked("w1", 101, 104)),
            "4 WELCOME, have seq 0, the store is older");
}

// Whatever term it remembers: sessions that it does not know are not absent for that.
TEST_F(LostStateTest, TheStoreThatANodeHadBeforeIsAnOlderCopyAlsoOfAnOlderTerm) {
  m.connect(22, ConnId{3}, hello("w1", 103));
  m.lose(23, ConnId{3});
  Hello h = acked("w1", 101, 104);
  h.last_term = Term{1};
  EXPECT_EQ(m.connect(24, ConnId{4}, h), "4 WELCOME, have seq 0, the store is older");
  h = hello("w1", 105);
  h.last_master = m.core.state().master();
  EXPECT_EQ(m.connect(25, ConnId{5}, h), "5 WELCOME, have seq 0") << "it goes on as one of its own";
}

TEST_F(LostStateTest, TwoMachinesWithOneNameDoNotChaseEachOther) {
  m.connect(22, ConnId{3}, hello("w1", 101, 2));
  Hello clone = acked("w1", 101, 105);
  clone.machine = "a clone";
  EXPECT_EQ(m.connect(23, ConnId{4}, clone), "4 ERROR node_in_use fatal");
  m.lose(60, ConnId{3});
  // The first fell silent: the clone takes over, as what it is.
  EXPECT_EQ(m.connect(61, ConnId{5}, hello("w1", 106)), "5 WELCOME, have seq 0");
  Hello first = acked("w1", 101, 107);
  EXPECT_EQ(m.connect(62, ConnId{6}, first), "6 ERROR node_in_use fatal");
  m.lose(80, ConnId{5});
  EXPECT_EQ(m.connect(81, ConnId{7}, first), "7 WELCOME, have seq 0, the store is older");
}

TEST_F(LostStateTest, ANewStoreIsNotComparedBeforeItHasSaidWhatIsOpen) {
  Hello h = hello("w1", 103);
  h.last_master = m.core.state().master();
  h.last_term = m.core.state().term();
  h.digest = Digest{};
  EXPECT_EQ(m.connect(22, ConnId{3}, h), "3 WELCOME, have seq 0");
  EXPECT_EQ(m.top(7), "15@w1+0 open");
}

TEST_F(LostStateTest, OfADeletedStoreWhatIsNotThereAnyMoreIsAbsent) {
  m.connect(22, ConnId{3}, hello("w1", 103));
  Worker fresh(m, ConnId{3});
  fresh.tell(23, {opened(8, 22)});
  EXPECT_THAT(fresh.heartbeat(24), HasSubstr("differs"));
  fresh.inventory(25);
  EXPECT_EQ(m.top(7), "15@w1+4294967295 closed");
  EXPECT_EQ(fresh.heartbeat(26), "3 HEARTBEAT_ACK, equal");
}

TEST_F(LostStateTest, AWorkerOfBothVersionsIsWelcomedToTheHighestInCommon) {
  Hello h = hello("w1", 101, 2);
  h.protocol_max = 2;
  m.connect(22, ConnId{3}, h);
  EXPECT_EQ(m.welcome.protocol, 1u);
  MasterCore::Config c = config();
  c.protocol_max = 2;
  Master newer({}, "", 1, c);
  newer.connect(10, kW1, h);
  EXPECT_EQ(newer.welcome.protocol, 2u);
  newer.connect(10, kW2, hello("w2", 102));
  EXPECT_EQ(newer.welcome.protocol, 1u) << "an older worker goes on";
}

TEST_F(LostStateTest, AWorkerOfAnotherVersionOnlyIsRefused) {
  Hello h = hello("w1", 101, 2);
  h.protocol_min = h.protocol_max = 2;
  EXPECT_EQ(m.connect(22, ConnId{3}, h), "3 ERROR version fatal");
  EXPECT_THAT(last_close(), HasSubstr("protocol 2 to 2, this master 1 to 1; upgrade the older"));
}

// ---- admission

static_assert(!std::is_copy_constructible_v<IncomingInventory>, "one may be very large");

class AdmissionTest : public ReconciliationTest {
 protected:
  AdmissionTest() {
    MasterCore::Config c = config();
    c.max_inventories = 1;
    c.ttl_us = 30 * kSecond;
    small.emplace(std::vector<std::string>(), "", 1, c);
    small->connect(10, kW1, hello("w1", 101));
    small->connect(10, kW2, hello("w2", 102));
    a.emplace(*small, kW1);
    b.emplace(*small, kW2);
  }
  std::optional<Master> small;
  std::optional<Worker> a, b;
};

TEST_F(AdmissionTest, OneFullInventoryTooManyIsToComeAgainLater) {
  EXPECT_EQ(a->begin(20), "1 INVENTORY_ACK 0");
  EXPECT_EQ(b->begin(20), "2 WANT later");
  a->end(21, {});
  EXPECT_EQ(b->begin(22), "2 INVENTORY_ACK 0");
}

TEST_F(AdmissionTest, InventoriesOfLeavesAlwaysHaveAPlace) {
  a->begin(20);
  b->open.set(AgentId{7}, {epoch(15), 0});
  b->heartbeat(20);
  b->walk(20);
  EXPECT_EQ(b->begin(20, 1, {leaf_of(AgentId{7})}), "2 INVENTORY_ACK 0");
}

TEST_F(AdmissionTest, AnInventoryWithoutProgressGivesUpItsPlace) {
  a->begin(20);
  small->ticks(20, 40);
  a->heartbeat(40);
  b->heartbeat(40);
  small->ticks(40, 51);
  EXPECT_EQ(small->tick(51), "1 WANT later");
  EXPECT_EQ(b->begin(52), "2 INVENTORY_ACK 0");
  EXPECT_EQ(a->chunk(53, {entry(9, 16, 0)}), "") << "it was on the way";
}

TEST_F(AdmissionTest, EmptyChunksAreNoProgress) {
  a->begin(20);
  small->ticks(20, 35);
  a->chunk(35, {});
  b->heartbeat(35);
  small->ticks(35, 51);
  EXPECT_EQ(a->chunk(50, {}), "1 INVENTORY_ACK 0");
  EXPECT_EQ(small->tick(51), "1 WANT later");
}

TEST_F(AdmissionTest, AnInventoryThatNeverEndsGivesUpItsPlace) {
  a->begin(20);
  std::uint32_t agent = 1;
  for (int s = 40; s <= 620; s += 20) a->chunk(s, {entry(agent++, 16, 0)});
  EXPECT_EQ(a->chunk(620, {entry(agent, 16, 0)}), "1 INVENTORY_ACK 31");
  EXPECT_EQ(small->tick(621), "1 WANT later");
}

TEST_F(AdmissionTest, AConnectionThatIsLostGivesUpItsPlace) {
  a->begin(20);
  small->lose(21, kW1);
  EXPECT_EQ(b->begin(22), "2 INVENTORY_ACK 0");
}

TEST_F(AdmissionTest, AnotherOfTheSameWorkerTakesThePlaceOfTheFirst) {
  a->begin(20, 1);
  EXPECT_EQ(a->begin(31, 2), "1 INVENTORY_ACK 0");
  EXPECT_EQ(a->chunk(32, {entry(9, 16, 0)}, 1), "");
  EXPECT_EQ(a->end(32, {}, 2), "");
  EXPECT_EQ(small->core.counters().inventories_full, 1u);
}

TEST_F(AdmissionTest, AWorkerBeginsAFullInventoryOnceAHeartbeat) {
  EXPECT_EQ(a->begin(20, 1), "1 INVENTORY_ACK 0");
  EXPECT_EQ(a->begin(21, 2), "1 WANT later");
  EXPECT_EQ(a->chunk(21, {entry(9, 16, 0)}, 1), "");
  EXPECT_EQ(a->chunk(21, {entry(9, 16, 0)}, 2), "");
  small->lose(22, kW1);
  small->connect(22, ConnId{3}, hello("w1", 101));
  Worker again(*small, ConnId{3});
  EXPECT_EQ(again.begin(23, 3), "3 WANT later");
  EXPECT_EQ(b->begin(23), "2 INVENTORY_ACK 0") << "nobody else waits for it";
  b->end(24, {});
  EXPECT_EQ(again.begin(30, 4), "3 INVENTORY_ACK 0");
}

TEST_F(AdmissionTest, AnInventoryOfLeavesThatNobodyAskedForIsIgnored) {
  EXPECT_EQ(b->begin(20, 1, {leaf_of(AgentId{7})}), "");
  EXPECT_EQ(b->chunk(20, {entry(7, 16, 0)}), "");
  EXPECT_EQ(b->end(20, {entry(7, 16, 0)}), "");
  EXPECT_EQ(small->top(7), "unknown");
  EXPECT_EQ(small->core.counters().inventories_refused, 1u);
}

TEST_F(AdmissionTest, AQuestionForLeavesIsAnsweredOnce) {
  b->open.set(AgentId{7}, {epoch(15), 0});
  b->heartbeat(20);
  const Want want = b->walk(20);
  EXPECT_EQ(b->begin(20, 1, want.leaves), "2 INVENTORY_ACK 0");
  EXPECT_EQ(b->begin(20, 2, want.leaves), "");
}

}  // namespace
}  // namespace rollcall::master
