#include "sidecar/core/sidecar_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "protocol/codec.h"
#include "tests/scenario/describe.h"
#include "tests/support/sidecar_disk.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Config = SidecarCore::Config;

Config config() {
  Config c;
  c.node = "w1";
  c.machine = "m1";
  c.boot = kBoot;
  return c;
}

// A core with its disk, and a master that is played by the test.
class Machine {
 public:
  explicit Machine(Config c = config(), StoreImage disk_ = {}, double s = 1, std::uint64_t seed = 1)
      : disk(std::move(disk_)), core(std::move(c), seed) {
    auto out = core.start(disk, at(s));
    EXPECT_TRUE(out);
    if (out) take(std::move(*out), s);
  }

  // What was sent since the last call, a line for each message.
  std::string sent() {
    std::string out;
    for (const Message& m : messages)
      out += (out.empty() ? "" : "\n") + scenario::describe(m, master_time(0));
    messages.clear();
    return out;
  }
  void only_look(double s, std::vector<Row> rows) {
    take(core.look(look_at(s, std::move(rows))), s);
  }
  std::string look(double s, std::vector<Row> rows) {
    take(core.look(look_at(s, std::move(rows))), s);
    return sent();
  }
  std::string read(double s, std::uint32_t agent, const AgentInfo& info) {
    take(core.info_read(AgentId{agent}, info, at(s)), s);
    return sent();
  }
  Hello connect(double s) {
    messages.clear();
    take(core.connected(at(s)), s);
    EXPECT_FALSE(messages.empty());
    const Hello said = std::get<Hello>(messages.at(0));
    messages.clear();
    return said;
  }
  void lose_link(double s) {
    take(core.disconnected(at(s)), s);
    closed.reset();
  }
  void only_message(double s, const Message& m) { take(core.message(m, at(s)), s); }
  std::string message(double s, const Message& m) {
    take(core.message(m, at(s)), s);
    return sent();
  }
  // Connects and is welcomed by the master as it is known below.
  std::string greet(double s, const std::function<void(Welcome&)>& change = {}) {
    hello = connect(s);
    Welcome w;
    w.master = MasterId{11};
    w.term = Term{22};
    w.t0 = hello.t0;
    w.t1 = w.t2 = master_time(s).us;
    if (change) change(w);
    return message(s, w);
  }
  std::string ack(double s, std::uint64_t through, std::vector<AckException> exceptions = {}) {
    return message(s, Ack{through, std::move(exceptions)});
  }
  std::string tick(double s) {
    take(core.tick(at(s)), s);
    return sent();
  }
  // The disk does what it was asked to.
  std::string store(double s) {
    while (committing) {
      sidecar::apply(committing->change, disk);
      const std::uint64_t ticket = committing->ticket;
      committing.reset();
      take(core.stored(ticket, at(s)), s, Disk::slow);
    }
    return sent();
  }
  SidecarCore::Status status(double s) const { return core.status(at(s)); }

  enum class Disk { fast, slow };
  Disk mode = Disk::fast;
  StoreImage disk;
  SidecarCore core;
  Hello hello;
  std::vector<Message> messages;
  std::optional<Output::Commit> committing;
  std::size_t commits = 0;
  std::optional<std::string> closed;
  std::int64_t retry_after_us = 0;
  std::vector<AgentId> read_info;
  std::vector<Note> notes;

 private:
  void take(Output out, double s) {
    const Disk before = mode;
    take(std::move(out), s, before);
  }
  void take(Output out, double s, Disk how) {
    if (out.commit) {
      EXPECT_FALSE(committing) << "one commit at a time";
      ++commits;
      committing = std::move(out.commit);
    }
    // Inventories are the matter of reconciler_test.cc.
    for (Message& m : out.send) {
      if (!std::holds_alternative<InventoryBegin>(m)) messages.push_back(std::move(m));
    }
    if (out.close) {
      closed = out.close;
      retry_after_us = out.retry_after_us;
    }
    for (AgentId a : out.read_info) read_info.push_back(a);
    for (Note& n : out.notes) notes.push_back(std::move(n));
    while (how == Disk::fast && committing) {
      sidecar::apply(committing->change, disk);
      const std::uint64_t ticket = committing->ticket;
      committing.reset();
      take(core.stored(ticket, at(s)), s, how);
    }
  }
};

// ---- durable before sent

TEST(SidecarCore, SendsNothingBeforeItsCommit) {
  Machine m;
  m.greet(5);
  m.mode = Machine::Disk::slow;
  EXPECT_EQ(m.look(10, {row(7, kActive, 9)}), "");
  EXPECT_EQ(m.tick(11), "");
  EXPECT_TRUE(m.disk.outbox.empty());
  EXPECT_EQ(m.store(12), "DELTA 1: 7 opened 9+0");
  EXPECT_EQ(m.disk.outbox.size(), 1u);
}

TEST(SidecarCore, WhatComesDuringACommitWaitsForTheNextOne) {
  Machine m;
  m.greet(5);
  m.mode = Machine::Disk::slow;
  m.look(10, {row(7, kActive, 9)});
  m.look(11, {row(7, kActive, 9), row(8, kActive, 10)});
  ASSERT_TRUE(m.committing);
  EXPECT_EQ(m.committing->change.outbox.size(), 1u);
  EXPECT_EQ(m.store(12), "DELTA 1: 7 opened 9+0\nDELTA 2: 8 opened 10+0");
}

TEST(SidecarCore, KeepalivesAreStoredAtEaseAndSendNothing) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.ack(10, 1);
  const std::size_t before = m.commits;
  for (double s = 20; s < 30; s += 0.1)
    EXPECT_EQ(m.look(s, {row(7, kActive, static_cast<std::int64_t>(s))}), "");
  EXPECT_LE(m.commits - before, 11u);
  EXPECT_GE(m.commits - before, 8u);
}

TEST(SidecarCore, EventsMadeBeforeTheMastersTimeIsKnownAreStampedWhenItIs) {
  Machine m;
  m.look(10, {row(7, kActive, 9)});
  m.look(20, {row(7, kGone, 19, 3)});
  EXPECT_EQ(m.greet(30), "DELTA 1: 7 closed 9+1 shutdown")
      << "to a new master the newest session of each agent is told";
  EXPECT_EQ(m.disk.outbox.size(), 1u);
}

// ---- window and frames

std::vector<Row> many(std::uint32_t count, std::int64_t heard) {
  std::vector<Row> rows;
  for (std::uint32_t a = 1; a <= count; ++a) rows.push_back(row(a, kActive, heard));
  return rows;
}

std::size_t frame_size(const Message& m) {
  std::string bytes;
  encode_frame(m, bytes);
  return bytes.size() - kFrameHeader;
}

TEST(SidecarCore, FramesAimAtTheirTargetAndTheWindowIsRespected) {
  constexpr std::uint32_t kAgents = 40'000;
  constexpr std::size_t kWindow = 256u << 10;
  Machine m;
  m.greet(5, [](Welcome& w) { w.window = kWindow; });
  m.only_look(10, many(kAgents, 9));
  std::uint64_t seq = 0;
  for (int round = 0; round < 100 && seq < kAgents; ++round) {
    ASSERT_FALSE(m.messages.empty()) << "stuck after seq " << seq;
    std::size_t bytes = 0;
    for (const Message& message : m.messages) {
      const Delta& delta = std::get<Delta>(message);
      EXPECT_EQ(delta.first_seq, seq + 1);
      seq += delta.events.size();
      bytes += frame_size(message);
      EXPECT_LE(frame_size(message), kFrameTarget + 1024);
    }
    EXPECT_LE(bytes, kWindow + kFrameTarget);
    m.messages.clear();
    EXPECT_EQ(m.tick(10 + round * 0.1), "") << "nothing more until an ACK";
    m.only_message(10, Ack{seq, {}});
  }
  EXPECT_EQ(seq, kAgents);
}

// What is quadratic in the agents would stop the loop for minutes.
TEST(SidecarCore, ALargeWorkerThatMeetsItsFirstMasterIsToldInOneGo) {
  constexpr std::uint32_t kAgents = 40'000;
  Machine m;
  m.only_look(10, many(kAgents, 9));
  m.greet(20);
  EXPECT_EQ(m.status(20).unacked, kAgents);
  EXPECT_EQ(m.disk.outbox.size(), kAgents);
}

// ---- reconnects

TEST(SidecarCore, AfterAReconnectWhatWasNotAckedIsSentAgainUnderTheSeqsThatItHad) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  EXPECT_EQ(m.look(11, {row(7, kGone, 9, 3), row(8, kActive, 10)}),
            "DELTA 2: 7 closed 9+1 shutdown; 3: 8 opened 10+0");
  m.ack(11, 1);
  m.lose_link(12);
  EXPECT_EQ(m.look(13, {row(7, kGone, 9, 3), row(8, kActive, 10), row(9, kActive, 12)}), "");
  EXPECT_EQ(m.greet(14), "DELTA 2: 7 closed 9+1 shutdown; 3: 8 opened 10+0; 4: 9 opened 12+0");
  EXPECT_EQ(m.hello.first_seq, 2u);
  EXPECT_EQ(m.hello.acked_position, 1u);
  m.ack(15, 4);
  EXPECT_EQ(m.status(15).unacked, 0u);
  m.tick(18);
  EXPECT_TRUE(m.disk.outbox.empty());
}

TEST(SidecarCore, ARestartedProcessIsANewStreamThatSendsTheUnackedFromSeqOne) {
  Machine first;
  first.greet(5);
  first.look(10, {row(7, kActive, 9), row(8, kNever, -kWall)});
  first.look(11, {row(7, kActive, 9), row(8, kActive, 10)});
  first.ack(11, 1);
  first.tick(13);
  Machine second(config(), first.disk, 20, 2);
  EXPECT_EQ(second.greet(21), "DELTA 1: 8 opened 10+0");
  EXPECT_NE(second.hello.stream, first.hello.stream);
  EXPECT_EQ(second.hello.store, first.hello.store);
  EXPECT_EQ(second.hello.first_seq, 1u);
  EXPECT_EQ(second.hello.start_position, 2u);
  EXPECT_EQ(second.hello.acked_position, 1u);
  EXPECT_EQ(second.hello.last_master, MasterId{11});
  EXPECT_EQ(second.hello.open_sessions, 2u);
}

TEST(SidecarCore, PositionsGrowOnOverARestartWithAnEmptyOutbox) {
  Machine first;
  first.greet(5);
  first.look(10, {row(7, kActive, 9)});
  first.ack(10, 1);
  first.tick(12);
  ASSERT_TRUE(first.disk.outbox.empty());
  Machine second(config(), first.disk, 20, 2);
  second.greet(21);
  second.only_look(30, {row(7, kGone, 9, 3)});
  EXPECT_EQ(std::get<Delta>(second.messages.at(0)).position, 2u);
}

TEST(SidecarCore, AStoreThatCannotBeReadIsRefusedWithTheAgentOrEvent) {
  StoreImage image;
  image.agents[7] = "?";
  SidecarCore a(config(), 1);
  EXPECT_THAT(a.start(image, at(1)).error().message, HasSubstr("agent 7"));
  image.agents.clear();
  image.outbox[12] = "?";
  SidecarCore b(config(), 1);
  EXPECT_THAT(b.start(image, at(1)).error().message, HasSubstr("event 12"));
}

// ---- masters and terms

void another_master(Welcome& w) {
  w.master = MasterId{33};
  w.term = Term{44};
}

TEST(SidecarCore, AnotherMasterGetsANewStreamAndEverythingAnew) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9), row(8, kActive, 9)});
  m.ack(10, 1);
  m.lose_link(11);
  EXPECT_EQ(m.greet(12, another_master), "");
  ASSERT_TRUE(m.closed) << "HELLO promised seq 2, which is dropped";
  const Hello before = m.hello;
  m.lose_link(13);
  const std::string told = m.greet(14, another_master);
  EXPECT_NE(m.hello.stream, before.stream);
  EXPECT_EQ(m.hello.store, before.store);
  EXPECT_EQ(m.hello.first_seq, 1u);
  EXPECT_EQ(m.hello.acked_position, 0u);
  EXPECT_THAT(told, HasSubstr("DELTA 1: "));
  EXPECT_THAT(told, HasSubstr("7 opened 9+0"));
  EXPECT_THAT(told, HasSubstr("8 opened 9+0"));
  m.tick(16);
  EXPECT_EQ(m.disk.outbox.size(), 2u);
}

TEST(SidecarCore, AnotherMasterWhenNothingWasSentNeedsNoNewConnection) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.ack(10, 1);
  m.lose_link(11);
  EXPECT_EQ(m.greet(12, another_master), "DELTA 2: 7 opened 9+0");
  EXPECT_FALSE(m.closed);
}

TEST(SidecarCore, ANewTermIsToldClosedSessionsToo) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.look(11, {row(7, kGone, 9, 3)});
  m.ack(11, 2);
  m.lose_link(12);
  EXPECT_EQ(m.greet(13, [](Welcome& w) { w.term = Term{99}; }), "DELTA 3: 7 closed 9+1 shutdown");
}

TEST(SidecarCore, TheSameMasterAndTermAreToldNothingTwice) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.ack(10, 1);
  m.lose_link(12);
  EXPECT_EQ(m.greet(13), "");
}

TEST(SidecarCore, AnOlderCopyOfTheStoreGoesOnAsAStoreOfItsOwn) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.ack(10, 1);
  m.lose_link(11);
  EXPECT_EQ(m.greet(12, [](Welcome& w) { w.store_is_older = true; }), "");
  ASSERT_TRUE(m.closed);
  const Hello before = m.hello;
  m.lose_link(13);
  EXPECT_EQ(m.greet(14), "DELTA 1: 7 opened 9+0");
  EXPECT_NE(m.hello.store, before.store);
  EXPECT_NE(m.hello.stream, before.stream);
  EXPECT_EQ(m.hello.acked_position, 0u);
  EXPECT_EQ(m.disk.meta.at("store"), std::to_string(static_cast<std::uint64_t>(m.hello.store)));
}

// ---- ACK

AckException exception_of(std::uint64_t seq, ExceptionKind kind, Winner winner = {}) {
  return {seq, AgentId{7}, kind, std::move(winner)};
}

TEST(SidecarCore, AnAckOfWhatWasNeverSentCloses) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.ack(11, 2);
  ASSERT_TRUE(m.closed);
  EXPECT_THAT(*m.closed, HasSubstr("never sent"));
  EXPECT_EQ(m.status(11).unacked, 1u) << "nothing was dropped";
}

TEST(SidecarCore, ASupersededEventReleasesItsSession) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  EXPECT_EQ(
      m.ack(10, 1, {exception_of(1, ExceptionKind::superseded, {{epoch(9.5), "w2", 0}, true})}),
      "DELTA 2: 7 released 9+1 moved");
}

TEST(SidecarCore, NeedInfoReadsTheFieldsAndTellsThem) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.read(10, 7, {{"name", "a"}});
  m.read_info.clear();
  m.ack(11, 2, {exception_of(2, ExceptionKind::need_info)});
  ASSERT_EQ(m.read_info.size(), 1u);
  EXPECT_EQ(m.read(12, 7, {{"name", "a"}}), "DELTA 3: 7 info 9+2 with info");
}

TEST(SidecarCore, ASessionFromTheFutureIsStampedAnewAfterAFreshSample) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.window = 64u << 10; });
  m.look(10, {row(7, kActive, 9)});
  EXPECT_EQ(m.ack(10, 1, {exception_of(1, ExceptionKind::future_epoch)}), "");
  m.tick(16);
  EXPECT_EQ(m.sent(), "");
  const std::int64_t t = master_time(12).us;  // four seconds less than was thought
  EXPECT_EQ(m.message(16, HeartbeatAck{us(16), t, t}), "DELTA 2: 7 opened 5+0");
}

TEST(SidecarCore, ASessionFromTheFutureIsToldAgainIfACrashComesBeforeItIsStampedAnew) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.window = 64u << 10; });
  m.look(10, {row(7, kActive, 9)});
  m.ack(10, 1, {exception_of(1, ExceptionKind::future_epoch)});
  m.tick(12);
  EXPECT_TRUE(m.disk.outbox.empty());
  Machine again(config(), m.disk, 13, 2);
  EXPECT_EQ(again.greet(14), "DELTA 1: 7 opened 9+0");
}

TEST(SidecarCore, WhatASessionFromTheFutureStillHadToSayIsReplaced) {
  Machine m;
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.mode = Machine::Disk::slow;
  m.look(11, {row(7, kGone, 9, 3)});  // being stored, not sent
  m.ack(11, 1, {exception_of(1, ExceptionKind::future_epoch)});
  EXPECT_EQ(m.store(12), "");
  const std::int64_t t = master_time(12).us;
  m.message(16, HeartbeatAck{us(16), t, t});
  EXPECT_EQ(m.store(17), "DELTA 2: 7 closed 5+1 shutdown");
}

// ---- the backlog

// Old fields under the stamp of a newer session would hide what another worker said between.
TEST(SidecarCore, ABacklogPastItsBoundKeepsOfEachAgentTheNewestEventAndTheFieldsOfItsSession) {
  Config c = config();
  c.max_events = 4;
  Machine m(c);
  m.greet(5);
  m.lose_link(6);
  m.look(9, {});
  m.look(10, {row(7, kActive, 9)});
  m.read(10, 7, {{"name", "a"}});
  m.look(11, {row(7, kGone, 9, 3)});
  m.look(20, {row(7, kActive, 19), row(8, kActive, 19)});
  EXPECT_EQ(m.greet(30), "DELTA 1: 7 opened 19+0 folding 3; 2: 8 opened 19+0");
  EXPECT_EQ(m.status(30).folded, 3u);
  EXPECT_EQ(m.disk.outbox.size(), 2u);
}

TEST(SidecarCore, AFoldedEventKeepsTheInfoThatItsSessionTold) {
  Config c = config();
  c.max_events = 2;
  Machine m(c);
  m.greet(5);
  m.lose_link(6);
  m.look(9, {});
  m.look(10, {row(7, kActive, 9)});
  m.read(10, 7, {{"name", "a"}});
  m.look(10, {row(8, kActive, 9)});
  m.read(10, 8, {{"name", "a"}});
  m.read(10.5, 8, {{"name", "b"}});
  m.look(11, {row(7, kGone, 9, 3), row(8, kGone, 9, 3)});
  EXPECT_EQ(m.greet(30),
            "DELTA 1: 7 closed 9+2 shutdown with the info's hash folding 2; "
            "2: 8 closed 9.9+3 shutdown with info folding 3");
}

// One event of each agent may be over the bound by itself: it is sent all the same, and what did
// not change is not stored again and again.
TEST(SidecarCore, ABacklogThatCannotBeFoldedBelowItsBoundIsStillSent) {
  Config c = config();
  c.max_bytes = 64;
  Machine m(c);
  m.greet(5);
  m.lose_link(6);
  m.look(9, {});
  m.look(10, {row(7, kActive, 9), row(8, kActive, 9)});
  m.look(11, {row(7, kGone, 9, 3), row(8, kGone, 9, 3)});
  EXPECT_EQ(m.greet(30),
            "DELTA 1: 7 closed 9+1 shutdown folding 1; 2: 8 closed 9+1 shutdown folding 1");
  EXPECT_EQ(m.tick(31), "");
  EXPECT_EQ(m.status(31).folded, 2u);
}

TEST(SidecarCore, AFoldedEventKeepsTheLatestMomentOfAll) {
  Config c = config();
  c.max_events = 2;
  Machine m(c);
  m.greet(5);
  m.look(9, {});
  m.look(10, {row(7, kActive, 9)});
  m.ack(10, 1);
  m.message(10, Superseded{{{AgentId{7}, {{epoch(10.4), "w2", 0}, true}}}});
  m.ack(10, 2);
  m.lose_link(10.5);
  m.look(11, {row(7, kActive, 10)});  // a contact, up to 11
  m.look(11.2, {row(7, kActive, 10), row(8, kActive, 11)});
  m.look(11.3, {row(7, kActive, 11), row(8, kActive, 11)});
  ASSERT_EQ(m.core.link(), SidecarCore::Link::down);
  EXPECT_EQ(m.greet(30), "DELTA 3: 8 opened 11+0; 4: 7 opened 11.1+0 folding 1");
}

TEST(SidecarCore, WhatWasSentIsNeverFolded) {
  Config c = config();
  c.max_events = 3;
  Machine m(c);
  m.greet(5);
  m.look(10, {row(7, kActive, 9)});
  m.look(11, {row(7, kGone, 9, 3)});  // both sent, not acked
  m.lose_link(12);
  m.look(20, {row(7, kActive, 19)});
  m.look(21, {row(7, kGone, 19, 3)});
  EXPECT_EQ(m.greet(30),
            "DELTA 1: 7 opened 9+0; 2: 7 closed 9+1 shutdown; 3: 7 closed 19+1 shutdown folding 1");
}

TEST(SidecarCore, ABacklogOfEventsWithoutEpochsIsFoldedIntoOneSession) {
  Config c = config();
  c.max_events = 3;
  Machine m(c);
  m.look(10, {row(7, kActive, 9)});
  m.look(11, {row(7, kGone, 9, 3)});
  m.look(20, {row(7, kActive, 19)});
  m.look(21, {row(7, kGone, 19, 3)});
  EXPECT_EQ(m.status(21).unacked, 1u);
  EXPECT_EQ(m.greet(30), "DELTA 1: 7 closed 19+1 shutdown");
}

// ---- the connection

TEST(SidecarCore, SendsAHeartbeatAsOftenAsTheMasterWantsIt) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.heartbeat_us = 4 * kSecond; });
  double last = 5;
  std::set<double> gaps;
  for (int i = 1; i <= 1000; ++i) {
    const double s = 5 + i * 0.1;
    if (m.tick(s).empty()) {
      EXPECT_LT(s - last, 4.05);
      continue;
    }
    gaps.insert(std::round((s - last) * 10));
    EXPECT_GT(s - last, 3.55) << "at most a tenth early";
    last = s;
    m.message(s, HeartbeatAck{us(s), master_time(s).us, master_time(s).us});
  }
  EXPECT_GT(gaps.size(), 2u) << "workers that came together do not stay together";
}

TEST(SidecarCore, TheMasterMakesHeartbeatsRarer) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.heartbeat_us = 4 * kSecond; });
  HeartbeatAck ack{us(9), master_time(9).us, master_time(9).us};
  ack.heartbeat_us = 40 * kSecond;
  m.message(9, ack);
  for (double s = 9; s < 44; s += 1) EXPECT_EQ(m.tick(s), "") << s;
  std::string sent;
  for (double s = 44; s < 50; s += 1) sent += m.tick(s);
  EXPECT_EQ(sent, "HEARTBEAT");
}

TEST(SidecarCore, GivesUpAConnectionThatIsSilentForThreeHeartbeats) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.heartbeat_us = 4 * kSecond; });
  m.tick(9);
  m.message(10, HeartbeatAck{us(9), master_time(9).us, master_time(9).us});
  for (double s = 10; s <= 22; s += 1) m.tick(s);
  EXPECT_FALSE(m.closed);
  m.tick(22.1);
  EXPECT_TRUE(m.closed);
}

TEST(SidecarCore, AHaltIsNotTheMastersSilence) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.heartbeat_us = 4 * kSecond; });
  m.tick(6);
  EXPECT_EQ(m.tick(300), "HEARTBEAT") << "and the master hears at once that the worker is back";
  EXPECT_FALSE(m.closed);
  for (double s = 301; s <= 311; s += 1) m.tick(s);
  EXPECT_FALSE(m.closed);
  m.tick(312);
  EXPECT_TRUE(m.closed) << "now it is";
}

TEST(SidecarCore, AfterTheMachineWasSuspendedAHeartbeatIsDueAtOnce) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.heartbeat_us = 10 * kSecond; });
  EXPECT_EQ(m.tick(6), "");
  Now later = at(6.1);
  later.boot_us += 3'600 * kSecond;  // the monotonic clock stood still
  later.wall_us += 3'600 * kSecond;
  const Output out = m.core.tick(later);
  EXPECT_FALSE(out.close);
  ASSERT_EQ(out.send.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Heartbeat>(out.send[0]));
}

TEST(SidecarCore, GivesUpAConnectionThatDoesNotWelcomeIt) {
  Machine m;
  m.connect(5);
  m.tick(15);
  EXPECT_FALSE(m.closed);
  m.tick(15.1);
  EXPECT_TRUE(m.closed);
}

TEST(SidecarCore, AWelcomeToAnotherHelloCloses) {
  Machine m;
  m.greet(5, [](Welcome& w) { w.t0 += 1; });
  EXPECT_TRUE(m.closed);
}

TEST(SidecarCore, MessagesThatAreNotAllowedNowClose) {
  Machine early;
  early.connect(5);
  early.ack(5, 0);
  EXPECT_THAT(early.closed.value_or(""), HasSubstr("ACK before WELCOME"));
  Machine twice;
  twice.greet(5);
  twice.message(6, Welcome{});
  EXPECT_THAT(twice.closed.value_or(""), HasSubstr("WELCOME twice"));
  Machine worker;
  worker.greet(5);
  worker.message(6, Heartbeat{});
  EXPECT_THAT(worker.closed.value_or(""), HasSubstr("only a worker sends"));
}

TEST(SidecarCore, AnUnknownMessageIsAnsweredAndNotObeyed) {
  Machine m;
  m.greet(5);
  EXPECT_EQ(m.message(6, UnknownMessage{99}), "ERROR unknown_type");
  EXPECT_FALSE(m.closed);
}

TEST(SidecarCore, AFatalErrorClosesAndSaysWhenToComeAgain) {
  Machine m;
  m.connect(5);
  ErrorMessage e;
  e.code = ErrorCode::node_in_use;
  e.text = "w1 is connected from elsewhere";
  e.retry_after_us = 20 * kSecond;
  m.message(6, e);
  EXPECT_EQ(m.closed, e.text);
  EXPECT_EQ(m.retry_after_us, 20 * kSecond);
  EXPECT_THAT(m.status(6).last_error, HasSubstr("node_in_use"));
}

TEST(SidecarCore, ErrorsThatAreNotFatalAreSaidAndNothingElse) {
  Machine m;
  m.greet(5);
  ErrorMessage e;
  e.fatal = false;
  m.notes.clear();
  m.message(6, e);
  EXPECT_FALSE(m.closed);
  EXPECT_EQ(m.notes.size(), 1u);
}

TEST(SidecarCore, NoMessageCountsWithoutAConnection) {
  Machine m;
  EXPECT_EQ(m.message(6, Welcome{}), "");
  EXPECT_EQ(m.core.link(), SidecarCore::Link::down);
}

// ---- time over a restart

TEST(SidecarCore, ARestartWithinOneBootKeepsThePlacesOfEarlierMoments) {
  Machine first;
  first.greet(5);
  first.look(10, {row(7, kActive, 9)});
  first.ack(10, 1);
  first.tick(12);
  Machine second(config(), first.disk, 20, 2);
  // Meanwhile the master's machine rebooted, and its time began anew, 500 s further on.
  second.greet(30, [](Welcome& w) {
    w.time_began = {master_time(15).us + us(500)};
    w.t1 = w.t2 = master_time(30).us + us(500);
  });
  const auto moment = second.core.timeline().moment(us(9), at(30));
  EXPECT_EQ(second.core.timeline().at(moment, at(30)), master_time(9));
}

TEST(SidecarCore, ARestartAfterARebootForgetsTheOldBootsClock) {
  Machine first;
  first.greet(5);
  first.tick(12);
  Config c = config();
  c.boot = kBoot + 1;
  Machine second(c, first.disk, 20, 2);
  EXPECT_TRUE(second.core.timeline().runs(at(20)).empty());
}

// ---- bounds

TEST(SidecarCore, EndsAConnectionThatKeepsSayingWhatMeansNothing) {
  Machine m;
  m.greet(5);
  ErrorMessage complaint;
  complaint.fatal = false;
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(m.message(6, UnknownMessage{99}), HasSubstr("unknown_type"));
    EXPECT_EQ(m.message(6, complaint), "");
  }
  EXPECT_FALSE(m.closed);
  m.message(6, complaint);
  ASSERT_TRUE(m.closed);
  EXPECT_THAT(*m.closed, HasSubstr("mean nothing here"));
  m.lose_link(7);
  m.greet(8);
  EXPECT_THAT(m.message(9, UnknownMessage{99}), HasSubstr("unknown_type")) << "counted anew";
}

}  // namespace
}  // namespace rollcall::sidecar
