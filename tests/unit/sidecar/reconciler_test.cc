// What a sidecar shows of its set: heartbeats, answers to WANT, inventories, and whose store it is.
#include "sidecar/core/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/open_sessions.h"
#include "sidecar/core/sidecar_core.h"
#include "tests/support/sidecar_disk.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A worker with agents 1 to n, all active, and a fast disk; the master is played by the test.
class ReconcilerTest : public ::testing::Test {
 protected:
  void start(double s, std::string node = "w1", std::string machine = "m1",
             std::uint32_t protocol_max = kProtocolMax) {
    SidecarCore::Config c;
    c.protocol_max = protocol_max;
    c.node = std::move(node);
    c.machine = std::move(machine);
    c.boot = kBoot;
    core = std::make_unique<SidecarCore>(c, ++seed);
    notes.clear();
    auto out = core->start(disk, at(s));
    ASSERT_TRUE(out) << out.error().message;
    take(*std::move(out), s);
  }
  void look(double s, std::uint32_t agents) {
    std::vector<Row> rows;
    for (std::uint32_t a = 1; a <= agents; ++a) rows.push_back(row(a, kActive, 9));
    take(core->look(look_at(s, std::move(rows))), s);
  }
  Hello connect(double s) {
    take(core->connected(at(s)), s);
    return only<Hello>();
  }
  void welcome(double s, const Hello& hello, Term term = Term{22}, bool store_is_older = false) {
    Welcome w;
    w.store_is_older = store_is_older;
    w.master = MasterId{11};
    w.term = term;
    w.t0 = hello.t0;
    w.t1 = w.t2 = master_time(s).us;
    w.inventory_us = 1000 * kSecond;
    w.inventory_differs_us = 100 * kSecond;
    w.heartbeat_us = 10 * kSecond;
    hear(s, w);
  }
  // All that was sent is acked.
  void ack(double s) { hear(s, Ack{core->status(at(s)).last_seq, {}}); }
  void hear(double s, const Message& m) { take(core->message(m, at(s)), s); }
  void lose_link(double s) { take(core->disconnected(at(s)), s); }
  Heartbeat beat(double s) {
    for (double t = s; t < s + 11; t += 1) take(core->tick(at(t)), t);
    return only<Heartbeat>();
  }
  // A worker of so many agents that agrees with its master; the inventory that follows the telling
  // of everything is over.
  void agreed(std::uint32_t agents) {
    start(5);
    look(10, agents);
    welcome(11, connect(11));
    for (int i = 0; i < 100 && core->status(at(12)).unacked > 0; ++i) ack(12);
    const auto begin = only<InventoryBegin>();
    finish_inventory(13, begin.id);
    sent.clear();
    ASSERT_EQ(core->status(at(13)).reconciliation.full_inventories, 1u);
  }
  // Lets it in and acknowledges all of it.
  void finish_inventory(double s, std::uint64_t id) {
    hear(s, InventoryAck{id, 0});
    for (std::uint64_t entries = 0; count<InventoryEnd>() == 0;) {
      std::uint64_t now = 0;
      for (const auto& c : all<InventoryChunk>()) now += c.entries.size();
      ASSERT_NE(now, entries) << "it goes on";
      hear(s, InventoryAck{id, entries = now});
    }
  }

  template <typename M>
  std::vector<M> all() const {
    std::vector<M> found;
    for (const Message& m : sent) {
      if (const auto* one = std::get_if<M>(&m)) found.push_back(*one);
    }
    return found;
  }
  template <typename M>
  std::size_t count() const {
    return all<M>().size();
  }
  // The last one of its kind that was sent.
  template <typename M>
  M only() const {
    const auto found = all<M>();
    EXPECT_FALSE(found.empty());
    return found.empty() ? M{} : found.back();
  }
  std::vector<InventoryEntry> entries() const {
    std::vector<InventoryEntry> found;
    for (const auto& c : all<InventoryChunk>())
      found.insert(found.end(), c.entries.begin(), c.entries.end());
    return found;
  }
  std::string said() const {
    std::string out;
    for (const Note& n : notes) out += n.text + "\n";
    return out;
  }

  void take(Output out, double s) {
    for (Message& m : out.send) sent.push_back(std::move(m));
    for (Note& n : out.notes) notes.push_back(std::move(n));
    if (out.close) closed = out.close;
    if (!out.commit) return;
    apply(out.commit->change, disk);
    take(core->stored(out.commit->ticket, at(s)), s);
  }

  std::uint64_t seed = 0;
  StoreImage disk;
  std::unique_ptr<SidecarCore> core;
  std::vector<Message> sent;
  std::vector<Note> notes;
  std::optional<std::string> closed;
};

TEST_F(ReconcilerTest, AWorkerThatCannotLookSaysSoAtOnce) {
  agreed(3);
  EXPECT_FALSE(beat(14).blind);
  sent.clear();
  take(core->look_failed(at(26)), 26);
  take(core->tick(at(26.1)), 26.1);
  EXPECT_TRUE(only<Heartbeat>().blind);
  sent.clear();
  take(core->look_failed(at(27)), 27);
  take(core->tick(at(27.1)), 27.1);
  EXPECT_TRUE(sent.empty()) << "once";
  look(28, 3);
  EXPECT_FALSE(beat(28).blind);
}

// ---- digests

TEST_F(ReconcilerTest, AHeartbeatTellsTheDigestAtTheLastSeqSent) {
  agreed(3);
  const Heartbeat h = beat(14);
  EXPECT_EQ(h.seq, 3u);
  EXPECT_EQ(h.digest, core->stream_sessions().digest());
  EXPECT_EQ(core->stream_sessions().size(), 3u);
}

TEST_F(ReconcilerTest, AWorkerThatComesBackWithNothingUnackedTellsItsDigestAtOnce) {
  agreed(3);
  lose_link(20);
  EXPECT_EQ(connect(21).digest, core->stream_sessions().digest());
  const Digest digest = core->stream_sessions().digest();
  start(30);
  EXPECT_EQ(connect(31).digest, digest) << "after a restart, too";
}

TEST_F(ReconcilerTest, WhatIsSentAgainHoldsTheDigestBack) {
  agreed(3);
  look(20, 4);
  lose_link(21);
  const Hello hello = connect(22);
  EXPECT_FALSE(hello.digest);
  welcome(22, hello);
  EXPECT_EQ(beat(23).digest, core->stream_sessions().digest()) << "it was sent again";
  // Not acked, and the process dies: its new stream tells it again.
  start(40);
  EXPECT_FALSE(connect(41).digest);
}

TEST_F(ReconcilerTest, AStoreThatKnowsNothingComparesNothingBeforeTheSourceWasHeard) {
  start(5);
  welcome(6, connect(6));
  EXPECT_FALSE(beat(7).digest);
  EXPECT_EQ(count<InventoryBegin>(), 0u) << "or the master would close what it holds";
  look(20, 3);
  EXPECT_EQ(count<InventoryBegin>(), 0u) << "what the look showed is told first";
  ack(21);
  EXPECT_EQ(count<InventoryBegin>(), 1u);
  EXPECT_TRUE(beat(22).digest);
}

TEST_F(ReconcilerTest, AStoreOfWhichNothingWasEverAckedWaitsForTheSourceToo) {
  start(5);
  welcome(6, connect(6));
  start(7);  // with that store again, as if what was told since were lost
  EXPECT_FALSE(connect(8).digest);
  welcome(9, connect(9));
  EXPECT_FALSE(beat(10).digest);
  look(30, 3);
  ack(31);
  EXPECT_TRUE(beat(32).digest);
}

TEST_F(ReconcilerTest, AnOlderCopyWaitsForTheSourceAfterARestartToo) {
  agreed(3);
  start(20);  // as if an older copy of it had been restored
  welcome(21, connect(21), Term{22}, /*store_is_older=*/true);
  EXPECT_THAT(said(), HasSubstr("older copy"));
  lose_link(21);
  welcome(22, connect(22));
  ack(22);
  start(23);  // and the source is still not there
  welcome(24, connect(24));
  EXPECT_FALSE(beat(25).digest);
  EXPECT_EQ(count<InventoryBegin>(), 0u) << "or the master would close what came since the copy";
  look(40, 4);
  ack(41);
  EXPECT_TRUE(beat(42).digest);
}

TEST_F(ReconcilerTest, AnEventsSourceIsHeardAfterThreeIntervals) {
  start(5);
  welcome(6, connect(6));
  const auto watch = [this](double from, double to) {
    for (double s = from; s < to; s += 1) take(core->watch(true, at(s)), s);
  };
  watch(7, 66);
  EXPECT_EQ(count<InventoryBegin>(), 0u);
  take(core->watch(false, at(66)), 66);
  watch(1000, 1002);
  EXPECT_EQ(count<InventoryBegin>(), 0u) << "while nobody watched nobody was heard";
  watch(1002, 1005);
  EXPECT_EQ(count<InventoryBegin>(), 1u);
}

TEST_F(ReconcilerTest, ARefusedEventDoesNotCount) {
  agreed(3);
  const Digest before = core->stream_sessions().digest();
  look(20, 4);
  EXPECT_NE(core->stream_sessions().digest(), before);
  hear(21, Ack{4, {{4, AgentId{4}, ExceptionKind::future_epoch, {}}}});
  EXPECT_EQ(core->stream_sessions().digest(), before);
}

// ---- WANT

// The master may have taken it out of an inventory meanwhile.
TEST_F(ReconcilerTest, UntilARefusedEventThatAnInventoryToldIsToldAgainNothingIsCompared) {
  const Ack refusal{4, {{4, AgentId{4}, ExceptionKind::future_epoch, {}}}};
  agreed(3);
  look(20, 4);
  Want want;
  want.inventory = true;
  hear(21, want);
  finish_inventory(21, only<InventoryBegin>().id);
  hear(22, refusal);
  EXPECT_FALSE(beat(22).digest);
  const std::int64_t t = master_time(34).us;
  hear(34, HeartbeatAck{us(34), t, t});
  EXPECT_EQ(only<Delta>().events.at(0).kind, EventKind::opened) << "told again";
  EXPECT_FALSE(beat(34).digest);
  hear(46, Ack{5, {{5, AgentId{4}, ExceptionKind::future_epoch, {}}}});
  EXPECT_TRUE(beat(46).digest) << "refused once more, and no inventory told it";
}

TEST_F(ReconcilerTest, DigestsOfATreeNodeAreThoseOfItsChildren) {
  agreed(40);
  Want w;
  w.digests_of = {kTreeRoot, kTreeRoot};
  hear(20, w);
  const Digests d = only<Digests>();
  EXPECT_EQ(d.seq, 40u);
  ASSERT_THAT(d.entries, SizeIs(1)) << "each node once";
  EXPECT_EQ(d.entries[0].children, core->stream_sessions().children(kTreeRoot));
}

TEST_F(ReconcilerTest, AnInventoryOfLeavesHasTheirAgentsOnly) {
  agreed(40);
  Want w;
  w.leaves = {leaf_of(AgentId{1}), leaf_of(AgentId{33})};
  hear(20, w);
  const auto begin = only<InventoryBegin>();
  EXPECT_EQ(begin.leaves, w.leaves);
  finish_inventory(20, begin.id);
  std::set<std::uint32_t> agents;
  for (const auto& e : entries()) agents.insert(static_cast<std::uint32_t>(e.agent));
  EXPECT_EQ(agents.size(), 15u + 9u);
  EXPECT_EQ(*agents.begin(), 1u);
  EXPECT_EQ(*agents.rbegin(), 40u);
  EXPECT_FALSE(agents.contains(16));
  EXPECT_EQ(only<InventoryEnd>().count, agents.size());
}

TEST_F(ReconcilerTest, InfosThatAreWantedAreReadAndTold) {
  agreed(1);
  Want w;
  w.infos = {AgentId{1}, AgentId{999}};
  Output out = core->message(w, at(40));
  EXPECT_EQ(out.read_info, std::vector{AgentId{1}});
  take(std::move(out), 40);
  take(core->info_read(AgentId{1}, {{"name", "a"}}, at(41)), 41);
  ASSERT_TRUE(only<Delta>().events.at(0).info);
}

TEST_F(ReconcilerTest, OfEachKindTheNewestWantCounts) {
  agreed(40);
  Want leaves;
  leaves.leaves = {leaf_of(AgentId{1})};
  hear(23, leaves);
  const auto first = only<InventoryBegin>();
  for (std::uint32_t a : {17u, 33u}) {
    leaves.leaves = {leaf_of(AgentId{a})};
    hear(23, leaves);
  }
  EXPECT_EQ(count<InventoryBegin>(), 1u) << "one at a time";
  finish_inventory(24, first.id);
  EXPECT_EQ(only<InventoryBegin>().leaves, std::vector{leaf_of(AgentId{33})});
}

// ---- full inventories

TEST_F(ReconcilerTest, AFullInventoryIsTheSetAtItsCut) {
  agreed(3);
  Want w;
  w.inventory = true;
  hear(20, w);
  const OpenSessions cut = core->stream_sessions();
  const auto begin = only<InventoryBegin>();
  EXPECT_EQ(begin.seq, 3u);
  look(21, 5);
  EXPECT_EQ(count<InventoryChunk>(), 0u) << "it waits to be let in";
  finish_inventory(22, begin.id);
  OpenSessions told;
  for (const auto& e : entries()) {
    told.set(e.agent, {e.epoch, e.change});
    EXPECT_LE(e.evidence.lo.us, time_of(e.epoch).us);
    EXPECT_GE(e.evidence.hi.us, time_of(e.epoch).us);
  }
  EXPECT_EQ(told, cut);
  EXPECT_EQ(only<InventoryEnd>().digest, cut.digest());
}

TEST_F(ReconcilerTest, ALargeInventoryIsNotSentAtOnce) {
  agreed(150'000);
  Want w;
  w.inventory = true;
  hear(20, w);
  const auto begin = only<InventoryBegin>();
  hear(21, InventoryAck{begin.id, 0});
  for (double s = 22; s < 30; s += 0.1) take(core->tick(at(s)), s);
  EXPECT_LE(entries().size(), kInventoryWindow);
  EXPECT_GT(entries().size(), kInventoryWindow - kMaxChunk);
  for (const auto& c : all<InventoryChunk>()) EXPECT_LE(c.entries.size(), kMaxChunk);
  EXPECT_EQ(count<InventoryEnd>(), 0u);
  finish_inventory(31, begin.id);
  EXPECT_EQ(entries().size(), 150'000u);
}

TEST_F(ReconcilerTest, AnInventoryThatIsToldToWaitBeginsAgainThen) {
  agreed(3);
  Want w;
  w.inventory = true;
  hear(20, w);
  const auto first = only<InventoryBegin>();
  Want later;
  later.retry_after_us = 30 * kSecond;
  hear(21, later);
  hear(22, InventoryAck{first.id, 0});
  EXPECT_EQ(count<InventoryChunk>(), 0u) << "that one was dropped";
  for (double s = 22; s < 50; s += 1) take(core->tick(at(s)), s);
  EXPECT_EQ(count<InventoryBegin>(), 1u);
  for (double s = 50; s < 52; s += 1) take(core->tick(at(s)), s);
  EXPECT_EQ(count<InventoryBegin>(), 2u);
  EXPECT_NE(only<InventoryBegin>().id, first.id);
}

TEST_F(ReconcilerTest, FullInventoriesComeOftenerWhileTheDigestsDiffer) {
  agreed(3);
  // The seconds until the next one begins; it is told whole.
  const auto wait = [this](double from, Agreement agreement) {
    const std::size_t before = count<InventoryBegin>();
    for (double s = from;; s += 1) {
      HeartbeatAck ack{us(s), master_time(s).us, master_time(s).us};
      ack.agreement = agreement;
      hear(s, ack);
      take(core->tick(at(s)), s);
      if (count<InventoryBegin>() == before) continue;
      finish_inventory(s, only<InventoryBegin>().id);
      sent.clear();
      return s - from;
    }
  };
  const double equal = wait(13, Agreement::equal);
  EXPECT_GE(equal, 900);
  EXPECT_LE(equal, 1001);
  const double differs = wait(13 + equal, Agreement::differs);
  EXPECT_GE(differs, 90);
  EXPECT_LE(differs, 101);
}

TEST_F(ReconcilerTest, ANewTermIsToldEverythingAndThenAnInventory) {
  agreed(3);
  lose_link(20);
  welcome(21, connect(21), Term{23});
  EXPECT_EQ(only<Delta>().events.size(), 3u);
  EXPECT_EQ(count<InventoryBegin>(), 0u);
  ack(22);
  EXPECT_EQ(count<InventoryBegin>(), 1u);
}

TEST_F(ReconcilerTest, AnInventoryThatTheConnectionCutOffComesSoonAfter) {
  agreed(3);
  Want w;
  w.inventory = true;
  hear(20, w);
  lose_link(21);
  sent.clear();
  welcome(22, connect(22));
  for (double s = 22; s < 33; s += 1) take(core->tick(at(s)), s);
  EXPECT_EQ(count<InventoryBegin>(), 1u);
}

TEST_F(ReconcilerTest, AnInventoryThatNobodyAcknowledgesIsDropped) {
  agreed(3);
  Want w;
  w.inventory = true;
  hear(20, w);
  const auto begin = only<InventoryBegin>();
  for (double s = 20; s < 100; s += 1) {
    hear(s, HeartbeatAck{us(s), master_time(s).us, master_time(s).us});
    take(core->tick(at(s)), s);
  }
  EXPECT_FALSE(core->status(at(100)).reconciliation.inventory_under_way);
  hear(100, InventoryAck{begin.id, 0});
  EXPECT_EQ(count<InventoryChunk>(), 0u);
  EXPECT_FALSE(closed);
}

TEST_F(ReconcilerTest, ANewTermsInventoryDoesNotWaitForOneThatWasGivenUp) {
  agreed(3);
  Want w;
  w.inventory = true;
  hear(20, w);
  for (double s = 20; s < 82; s += 1) {
    hear(s, HeartbeatAck{us(s), master_time(s).us, master_time(s).us});
    take(core->tick(at(s)), s);
  }
  ASSERT_FALSE(core->status(at(82)).reconciliation.inventory_under_way);
  lose_link(82);
  sent.clear();
  welcome(83, connect(83), Term{23});
  ack(84);
  EXPECT_EQ(count<InventoryBegin>(), 1u);
}

TEST_F(ReconcilerTest, AnAckOfEntriesThatWereNeverSentEndsTheConnection) {
  agreed(3);
  Want w;
  w.inventory = true;
  hear(20, w);
  hear(21, InventoryAck{only<InventoryBegin>().id, 1});
  ASSERT_TRUE(closed);
  EXPECT_THAT(*closed, HasSubstr("1 entries, of which only 0 were sent"));
}

// ---- whose store it is

TEST_F(ReconcilerTest, ARenamedNodeTellsItsSessionsUnderItsNewName) {
  agreed(3);
  const std::string store = disk.meta.at("store");
  start(30, "w9");
  EXPECT_THAT(said(), HasSubstr("this node was renamed"));
  EXPECT_NE(disk.meta.at("store"), store);
  const Hello hello = connect(31);
  EXPECT_EQ(hello.node, "w9");
  EXPECT_EQ(hello.last_master, MasterId{});
  EXPECT_FALSE(hello.digest);
  sent.clear();
  welcome(31, hello);
  const Delta told = only<Delta>();
  ASSERT_EQ(told.events.size(), 3u);
  EXPECT_EQ(told.events[0].epoch, epoch(9)) << "the master's time when it came";
  // The old name holds the agent; what is known of it is no newer than that, so it waits for the
  // agent's next word.
  hear(32,
       Ack{1,
           {{1, told.events[0].agent, ExceptionKind::superseded, {{epoch(9.5), "w1", 0}, true}}}});
  EXPECT_EQ(only<Delta>().events.at(0).kind, EventKind::released);
  start(40, "w9");
  EXPECT_EQ(said(), "") << "once";
}

TEST_F(ReconcilerTest, AStoreOfAnotherNodeOnAnotherMachineIsForgotten) {
  agreed(3);
  start(30, "w9", "m9");
  EXPECT_THAT(said(), HasSubstr("another node on another machine"));
  EXPECT_TRUE(core->tracker().agents().empty());
  EXPECT_TRUE(disk.agents.empty());
  welcome(31, connect(31));
  EXPECT_EQ(count<InventoryBegin>(), 0u) << "not before the source was heard";
  look(32, 2);
  EXPECT_EQ(only<Delta>().events.size(), 2u) << "taken up from the source";
}

TEST_F(ReconcilerTest, AStoreThatMovedToAnotherMachineWaitsForItsSource) {
  agreed(3);
  start(30, "w1", "m9");
  EXPECT_EQ(core->tracker().agents().size(), 3u);
  EXPECT_FALSE(connect(31).digest);
}

// ---- versions of the protocol

TEST_F(ReconcilerTest, AWorkerOfTwoVersionsGoesWithTheOneThatItsMasterHas) {
  for (const std::uint32_t chosen : {1u, 2u}) {
    start(5, "w1", "m1", 2);
    const Hello hello = connect(6);
    EXPECT_EQ(hello.protocol_min, 1u);
    EXPECT_EQ(hello.protocol_max, 2u);
    Welcome w;
    w.protocol = chosen;
    w.master = MasterId{11};
    w.term = Term{22};
    w.t0 = hello.t0;
    hear(6, w);
    EXPECT_FALSE(closed);
    EXPECT_EQ(core->link(), SidecarCore::Link::streaming);
  }
}

TEST_F(ReconcilerTest, AVersionThatWasNotOfferedIsRefused) {
  start(5);
  const Hello hello = connect(6);
  EXPECT_EQ(hello.protocol_max, kProtocolMax);
  Welcome w;
  w.protocol = kProtocolMax + 1;
  w.master = MasterId{11};
  w.term = Term{22};
  w.t0 = hello.t0;
  hear(6, w);
  ASSERT_TRUE(closed);
  EXPECT_THAT(*closed, HasSubstr("was not offered"));
}

}  // namespace
}  // namespace rollcall::sidecar
