// Drain, the manager's restart and a planned stop, as the whole core does them (docs/protocol.md,
// section 15).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "sidecar/core/sidecar_core.h"
#include "tests/scenario/describe.h"
#include "tests/support/sidecar_disk.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;
using ::testing::HasSubstr;
using Manager = SidecarCore::Manager;

// A core, a disk that stores at once, and a master that welcomed it.
class SidecarHandoff : public ::testing::Test {
 protected:
  SidecarHandoff() { start(1); }

  void start(double s) {
    SidecarCore::Config config;
    config.node = "w1";
    config.machine = "m1";
    config.boot = kBoot;
    core = std::make_unique<SidecarCore>(config, 1);
    auto out = core->start(disk, at(s));
    ASSERT_TRUE(out) << out.error().message;
    take(std::move(*out), s);
    take(core->connected(at(s)), s);
    Welcome w;
    w.master = MasterId{11};
    w.term = Term{22};
    w.t0 = std::get<Hello>(messages.at(0)).t0;
    w.t1 = w.t2 = master_time(s).us;
    take(core->message(w, at(s)), s);
    messages.clear();
  }
  void take(Output out, double s) {
    if (out.commit) {
      apply(out.commit->change, disk);
      const std::uint64_t ticket = out.commit->ticket;
      out.commit.reset();
      take(core->stored(ticket, at(s)), s);
    }
    for (Message& m : out.send) {
      if (const auto* delta = std::get_if<Delta>(&m)) seq = delta->first_seq + delta->events.size();
      messages.push_back(std::move(m));
    }
    for (const Note& n : out.notes) notes += n.text + "\n";
    if (out.close) closed = out.close;
    for (const AgentId agent : out.force_reconnect) asked.push_back(agent);
  }
  std::string said() {
    std::string out;
    for (const Message& m : messages) {
      if (!std::holds_alternative<Delta>(m) && !std::holds_alternative<Bye>(m)) continue;
      out += (out.empty() ? "" : "\n") + scenario::describe(m, master_time(0));
    }
    messages.clear();
    return out;
  }
  std::string look(double s, std::vector<Row> rows) {
    take(core->look(look_at(s, std::move(rows))), s);
    return said();
  }
  // Agents 1 to n, last heard in that second.
  std::string look(double s, std::uint32_t n, std::int64_t heard) {
    std::vector<Row> rows;
    for (std::uint32_t agent = 1; agent <= n; ++agent) rows.push_back(row(agent, kActive, heard));
    return look(s, std::move(rows));
  }
  std::string tick(double s) {
    take(core->tick(at(s)), s);
    return said();
  }
  void ticks(double from, double until) {
    for (double s = from; s < until; s += 0.5) tick(s);
  }
  std::string drain(double s, std::uint32_t move_per_s = 0) {
    Drain d;
    d.grace_us = 100 * kSecond;
    d.move_per_s = move_per_s;
    auto out = core->drain(d, at(s));
    EXPECT_TRUE(out);
    take(std::move(*out), s);
    return tick(s);
  }
  std::string failed(double s, Manager manager) {
    take(core->look_failed(at(s), manager), s);
    return tick(s);
  }
  std::size_t offered() const {
    std::size_t n = 0;
    for (const auto& [agent, state] : core->tracker().agents()) n += state.offered() ? 1u : 0u;
    return n;
  }

  StoreImage disk;
  std::unique_ptr<SidecarCore> core;
  std::vector<Message> messages;
  std::vector<AgentId> asked;
  std::optional<std::string> closed;
  std::string notes;
  std::uint64_t seq = 1;
};

TEST_F(SidecarHandoff, ADrainOffersInBatchesAndTheRestOfTheGraceGoesOnTheWire) {
  look(10, 3000, 9);
  drain(11);
  EXPECT_EQ(offered(), 2000u);
  tick(12);
  EXPECT_EQ(offered(), 3000u);
  ASSERT_TRUE(core->tracker().drain());
}

TEST_F(SidecarHandoff, AnOfferThatIsSentLateHasLessOfItsGrace) {
  look(10, 1, 9);
  take(core->disconnected(at(11)), 11);
  drain(11);
  messages.clear();
  take(core->connected(at(41)), 41);
  Welcome w;
  w.master = MasterId{11};
  w.term = Term{22};
  w.t0 = us(41);
  w.t1 = w.t2 = master_time(41).us;
  take(core->message(w, at(41)), 41);
  std::int64_t grace_us = 0;
  for (const Message& m : messages) {
    if (const auto* delta = std::get_if<Delta>(&m)) grace_us = delta->events.back().grace_us;
  }
  EXPECT_EQ(grace_us, 70 * kSecond);
}

TEST_F(SidecarHandoff, ADrainSurvivesARestartAndSoDoesItsEnd) {
  look(10, 2, 9);
  drain(11);
  look(20.5, 2, 20);
  start(30);
  ASSERT_TRUE(core->tracker().drain());
  EXPECT_EQ(core->tracker().drain()->number, 1u);
  tick(31);
  EXPECT_EQ(offered(), 0u) << "nobody is offered twice";
  take(*core->undrain(at(32)), 32);
  start(40);
  EXPECT_FALSE(core->tracker().drain());
  drain(41);
  EXPECT_EQ(core->tracker().drain()->number, 2u) << "another one offers anew";
  EXPECT_EQ(offered(), 2u);
}

TEST_F(SidecarHandoff, AnOrderOutOfBoundsIsRefused) {
  Drain d;
  d.grace_us = 0;
  ASSERT_FALSE(core->drain(d, at(10)));
  EXPECT_EQ(core->drain(d, at(10)).error().message, "the grace of a drain is 1s to 24h");
  d.grace_us = kSecond;
  d.move_per_s = 10'001;
  EXPECT_FALSE(core->drain(d, at(10)));
  EXPECT_FALSE(core->tracker().drain());
  EXPECT_FALSE(core->undrain(at(10)));
}

// Otherwise the set that it compares would lack a session that the master was not told of yet.
TEST_F(SidecarHandoff, WhatATickHandsOffIsInTheOutboxBeforeItsHeartbeat) {
  look(10, {row(7, kActive, 9)});
  drain(11);
  look(12, {row(7, kGone, 9, 3)});
  take(core->message(Ack{seq - 1, {}}, at(13)), 13);
  take(*core->undrain(at(14)), 14);
  notes.clear();
  EXPECT_THAT(tick(24), HasSubstr("7 closed 9+2 shutdown"));
  EXPECT_EQ(notes, "");
}

// ---- asked to move

TEST_F(SidecarHandoff, AgentsAreAskedToMoveAtTheRateAndEachOnceInARound) {
  look(10, 100, 9);
  drain(11, 10);
  ticks(11.5, 16);
  EXPECT_GE(asked.size(), 40u);
  EXPECT_LE(asked.size(), 50u);
  ticks(16, 40);
  EXPECT_EQ(asked.size(), 100u);
  EXPECT_EQ(std::set(asked.begin(), asked.end()).size(), 100u);
  ticks(40, 71);
  EXPECT_EQ(asked.size(), 100u) << "those that stay are asked again a minute later";
  ticks(71, 73);
  EXPECT_GT(asked.size(), 100u);
}

TEST_F(SidecarHandoff, WhoIsAskedToMoveIsOfferedAtThatMoment) {
  look(10, 3, 9);
  drain(11);
  look(20.5, 3, 20);
  ASSERT_EQ(offered(), 0u);
  drain(21, 1);
  look(30.5, 3, 30);
  ASSERT_EQ(offered(), 0u);
  asked.clear();
  ticks(82, 84);
  ASSERT_FALSE(asked.empty());
  EXPECT_EQ(offered(), asked.size());
}

TEST_F(SidecarHandoff, WhomNobodyTookAMessageForWasNotAsked) {
  look(10, 3, 9);
  drain(11, 10);
  ticks(11.5, 13);
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(core->status(at(13)).moves.taken, 0u) << "how it went is not known yet";
  take(core->asked_to_move(std::nullopt, at(13)), 13);
  for (int i = 0; i < 2; ++i) take(core->asked_to_move("no such file", at(18)), 18);
  const auto status = core->status(at(18));
  EXPECT_EQ(status.moves.taken, 1u);
  EXPECT_EQ(status.moves.failed, 2u);
  EXPECT_EQ(status.drain_moves.failed, 2u);
  EXPECT_EQ(status.drain_moves.why, "no such file");
  const std::string text = "an agent could not be asked to connect anew\n";
  EXPECT_EQ(notes.find(text), notes.rfind(text)) << "said once";
  EXPECT_NE(notes.find(text), notes.npos);
  drain(20);
  EXPECT_EQ(core->status(at(20)).drain_moves.failed, 0u) << "of another drain";
  EXPECT_EQ(core->status(at(20)).moves.failed, 2u);
}

TEST_F(SidecarHandoff, WithoutARateNobodyIsAsked) {
  look(10, 3, 9);
  drain(11);
  ticks(12, 100);
  EXPECT_TRUE(asked.empty());
}

// ---- the manager

TEST_F(SidecarHandoff, AManagerThatIsGoneForAWhileOffersAll) {
  look(10, 2, 9);
  failed(11, Manager::gone);
  failed(13, Manager::gone);
  EXPECT_EQ(offered(), 0u) << "a hiccup";
  failed(14, Manager::gone);
  EXPECT_EQ(offered(), 2u);
  look(20.5, 2, 20);
  EXPECT_EQ(offered(), 0u);
}

TEST_F(SidecarHandoff, ASourceThatCannotBeReadOffersNobody) {
  look(10, 2, 9);
  for (int s = 11; s < 60; ++s) failed(s, Manager::maybe_there);
  EXPECT_EQ(offered(), 0u);
}

TEST_F(SidecarHandoff, AManagerThatWasNeverThereIsAMatterOfTheConfiguration) {
  look(10, 2, 9);
  start(20);
  for (int s = 21; s < 60; ++s) failed(s, Manager::gone);
  EXPECT_EQ(offered(), 0u);
}

// ---- a planned stop

TEST_F(SidecarHandoff, AGoodbyeIsTheLastWord) {
  look(10, {row(7, kActive, 9)});
  take(core->bye(ByeReason::shutdown, 120 * kSecond, at(11)), 11);
  ASSERT_FALSE(messages.empty());
  EXPECT_EQ(messages.back(), Message(Bye{ByeReason::shutdown, 120 * kSecond}));
  EXPECT_TRUE(closed);
  messages.clear();
  EXPECT_EQ(look(20.5, {row(7, kActive, 9), row(8, kActive, 20)}), "");
}

TEST_F(SidecarHandoff, AGoodbyeOfADrainedWorkerSaysSo) {
  look(10, {row(7, kActive, 9)});
  drain(11);
  messages.clear();
  start(12);
  take(core->bye(ByeReason::shutdown, 120 * kSecond, at(13)), 13);
  ASSERT_FALSE(messages.empty());
  EXPECT_EQ(messages.back(), Message(Bye{ByeReason::drain, 120 * kSecond})) << "over a restart";
  messages.clear();
  start(14);
  take(*core->undrain(at(15)), 15);
  take(core->bye(ByeReason::shutdown, 120 * kSecond, at(16)), 16);
  EXPECT_EQ(messages.back(), Message(Bye{ByeReason::shutdown, 120 * kSecond}));
}

TEST_F(SidecarHandoff, WithoutAMasterThereIsNobodyToSayGoodbyeTo) {
  take(core->disconnected(at(5)), 5);
  take(core->bye(ByeReason::shutdown, 120 * kSecond, at(11)), 11);
  EXPECT_TRUE(messages.empty());
}

}  // namespace
}  // namespace rollcall::sidecar
