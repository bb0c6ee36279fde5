// What an events source tells, from the core's store to the master: when it counts as stored, and
// where its infos are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/core/sidecar_core.h"
#include "tests/scenario/describe.h"
#include "tests/support/sidecar_disk.h"
#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

InfoPtr info(const std::string& name) {
  return std::make_shared<const AgentInfo>(
      AgentInfo{{"name", name}, {"os", std::string(1000, 'x')}});
}

Observation connect(std::uint32_t agent, double s, InfoPtr fields = nullptr) {
  return {.agent = AgentId{agent}, .boot_us = us(s), .heard = true, .info = std::move(fields)};
}
// Agents 1 to n, all at once.
std::vector<Observation> crowd(std::uint32_t n) {
  std::vector<Observation> out;
  for (std::uint32_t agent = 1; agent <= n; ++agent) out.push_back(connect(agent, 9, info("a")));
  return out;
}
Observation keepalive(std::uint32_t agent, double s) {
  return {.agent = AgentId{agent},
          .kind = Observation::Kind::keepalive,
          .boot_us = us(s),
          .heard = true};
}
Observation disconnect(std::uint32_t agent, double s) {
  return {.agent = AgentId{agent},
          .kind = Observation::Kind::disconnect,
          .boot_us = us(s),
          .heard = true,
          .reason = Reason::shutdown};
}

// A core, its disk, which stores when the test says so, and a master that welcomed it.
class Events : public ::testing::Test {
 protected:
  void SetUp() override { start(); }

  void start(std::uint64_t seed = 1) {
    core = std::make_unique<SidecarCore>(config, seed);
    committing.reset();
    auto out = core->start(disk, at(1));
    ASSERT_TRUE(out) << out.error().message;
    take(std::move(*out));
    store();
  }
  void greet(MasterId master = MasterId{11}) {
    messages.clear();
    take(core->connected(at(2)));
    Welcome w;
    w.master = master;
    w.term = Term{22};
    w.t0 = std::get<Hello>(messages.at(0)).t0;
    w.t1 = w.t2 = master_time(2).us;
    messages.clear();
    take(core->message(w, at(2)));
    store();
  }
  // The ticket with which it is stored.
  std::uint64_t observe(double s, const std::vector<Observation>& batch) {
    Output out = core->observe(batch, at(s));
    const std::uint64_t ticket = out.stored_with;
    take(std::move(out));
    return ticket;
  }
  void take(Output out) {
    if (out.commit) {
      EXPECT_FALSE(committing) << "one commit at a time";
      committing = std::move(out.commit);
    }
    // Inventories are the matter of reconciler_test.cc.
    for (Message& m : out.send) {
      if (!std::holds_alternative<InventoryBegin>(m)) messages.push_back(std::move(m));
    }
    for (AgentId a : out.read_info) read_info.push_back(a);
  }
  void store() {
    while (committing) {
      sidecar::apply(committing->change, disk);
      const std::uint64_t ticket = committing->ticket;
      committing.reset();
      take(core->stored(ticket, at(100)));
    }
  }
  std::string sent() {
    std::string out;
    for (const Message& m : messages)
      out += (out.empty() ? "" : "\n") + scenario::describe(m, master_time(0));
    messages.clear();
    return out;
  }
  bool is_stored(std::uint64_t ticket) const { return core->stored_ticket() >= ticket; }

  SidecarCore::Config config = [] {
    SidecarCore::Config c;
    c.node = "w1";
    c.machine = "m1";
    c.boot = kBoot;
    return c;
  }();
  StoreImage disk;
  std::unique_ptr<SidecarCore> core;
  std::optional<Output::Commit> committing;
  std::vector<Message> messages;
  std::vector<AgentId> read_info;
};

// ---- when it is stored

TEST_F(Events, ABatchIsOneCommitAndStoredWithIt) {
  greet();
  const auto ticket = observe(10, {connect(7, 9), connect(8, 9.5), disconnect(7, 10)});
  ASSERT_TRUE(committing);
  EXPECT_EQ(committing->ticket, ticket);
  EXPECT_EQ(sent(), "") << "not before it is stored";
  store();
  EXPECT_TRUE(is_stored(ticket));
  EXPECT_EQ(sent(), "DELTA 1: 7 opened 9+0; 2: 8 opened 9.5+0; 3: 7 closed 9+1 shutdown");
}

TEST_F(Events, WhatComesDuringACommitIsStoredWithTheNext) {
  greet();
  const auto first = observe(10, {connect(7, 9)});
  const auto second = observe(10, {connect(8, 9)});
  const auto third = observe(10, {connect(9, 9)});
  EXPECT_EQ(second, first + 1);
  EXPECT_EQ(third, second);
  store();
  EXPECT_TRUE(is_stored(third));
  EXPECT_EQ(disk.agents.size(), 3u);
}

TEST_F(Events, NoNewsIsStoredWithWhatMadeItOld) {
  greet();
  const auto news = observe(10, {connect(7, 9)});
  EXPECT_EQ(observe(10, {connect(7, 8), disconnect(9, 7)}), news + 1);
  store();
  EXPECT_TRUE(is_stored(observe(11, {connect(7, 8)})));
}

TEST_F(Events, AKeepaliveMayWaitAndDoesNotIfItIsHurried) {
  greet();
  observe(10, {connect(7, 9)});
  store();
  const auto ticket = observe(10, {keepalive(7, 10)});
  EXPECT_FALSE(committing);
  EXPECT_FALSE(is_stored(ticket));
  take(core->store_now(at(10.1)));
  ASSERT_TRUE(committing);
  EXPECT_EQ(committing->ticket, ticket);
  store();
  EXPECT_FALSE(committing);
  take(core->store_now(at(10.2)));
  EXPECT_FALSE(committing) << "there is nothing to store";
  const auto later = observe(20, {keepalive(7, 20)});
  take(core->tick(at(21.2)));
  store();
  EXPECT_TRUE(is_stored(later)) << "nobody waits for ever";
}

// ---- infos

TEST_F(Events, AnInfoIsStoredOnceBesideItsAgentAndNotInTheEvent) {
  greet();
  Observation again = keepalive(7, 9.5);
  again.info = info("b");
  observe(10, {connect(7, 9, info("a")), again});
  store();
  EXPECT_EQ(sent(), "DELTA 1: 7 opened 9+0 with the info's hash; 2: 7 info 9+1 with info");
  EXPECT_THAT(agents_with_kept_info(disk.outbox), ElementsAre(7u));
  EXPECT_EQ(disk.infos.at(7), encode(*info("b")));
  EXPECT_LT(disk.outbox.rbegin()->second.size() + disk.agents.at(7).size(), 300u);
}

TEST_F(Events, WhatWasToldBeforeTheFirstMasterIsToldByHashAndAskedFor) {
  observe(10, {connect(7, 9, info("a"))});
  store();
  start(2);
  greet();
  EXPECT_EQ(sent(), "DELTA 1: 7 opened 9+0 with the info's hash");
  take(core->message(Ack{1, {{1, AgentId{7}, ExceptionKind::need_info, {}}}}, at(13)));
  ASSERT_THAT(read_info, ElementsAre(AgentId{7}));
  take(core->info_read(AgentId{7}, *info("a"), at(14)));
  store();
  EXPECT_EQ(sent(), "DELTA 2: 7 info 9+1 with info");
}

TEST_F(Events, AnUnackedEventKeepsItsInfoOverARestart) {
  greet();
  observe(10, crowd(65));
  store();
  start(2);
  greet();
  EXPECT_THAT(sent(), HasSubstr("; 65: 65 opened 9+0 with info"));
}

TEST_F(Events, OfFewAgentsTheMasterIsAskedOfManyTheFieldsAreTold) {
  greet();
  observe(10, crowd(65));
  store();
  const std::string all = sent();
  EXPECT_THAT(all, HasSubstr("63: 63 opened 9+0 with the info's hash; "));
  EXPECT_THAT(all, HasSubstr("; 65: 65 opened 9+0 with info"));
  observe(11, {connect(66, 10, info("a"))});
  store();
  EXPECT_EQ(sent(), "DELTA 66: 66 opened 10+0 with info") << "none of them was acked";
  take(core->message(Ack{66, {}}, at(12)));
  observe(13, {connect(67, 12, info("a"))});
  store();
  EXPECT_EQ(sent(), "DELTA 67: 67 opened 12+0 with the info's hash");
}

TEST_F(Events, AnUnackedEventWhoseInfoWasReplacedTellsItsHash) {
  greet();
  observe(10, {connect(7, 9, info("a"))});
  Observation again = keepalive(7, 11);
  again.info = info("b");
  observe(12, {again});
  store();
  start(2);
  greet();
  EXPECT_EQ(sent(), "DELTA 1: 7 opened 9+0 with the info's hash; 2: 7 info 9+1 with info");
}

TEST_F(Events, AWantedInfoThatIsNotStoredYetIsAtHand) {
  greet();
  observe(10, {connect(7, 9, info("a"))});
  store();
  sent();
  Observation again = keepalive(7, 11);
  again.info = info("b");
  observe(12, {again});
  ASSERT_TRUE(committing);
  take(core->message(Ack{1, {{1, AgentId{7}, ExceptionKind::need_info, {}}}}, at(13)));
  EXPECT_THAT(read_info, IsEmpty());
  store();
  take(core->message(Ack{2, {{2, AgentId{7}, ExceptionKind::need_info, {}}}}, at(14)));
  EXPECT_THAT(read_info, ElementsAre(AgentId{7})) << "the store has it";
}

TEST_F(Events, ARemovedAgentLeavesNothing) {
  greet();
  observe(10, {connect(7, 9, info("a"))});
  store();
  observe(12, {{.agent = AgentId{7}, .kind = Observation::Kind::remove, .boot_us = us(11)}});
  store();
  EXPECT_THAT(disk.agents, IsEmpty());
  EXPECT_THAT(disk.infos, IsEmpty());
}

TEST_F(Events, AnAgentThatIsRemovedAndComesBackInOneBatchIsThere) {
  greet();
  observe(10, {connect(7, 9, info("a"))});
  store();
  observe(12, {{.agent = AgentId{7}, .kind = Observation::Kind::remove, .boot_us = us(11)},
               connect(7, 12, info("b"))});
  store();
  EXPECT_EQ(disk.infos.at(7), encode(*info("b")));
  EXPECT_EQ(disk.agents.size(), 1u);
}

// ---- the backlog

TEST_F(Events, TheBacklogIsFullWhenFoldingDoesNotHelp) {
  config.max_events = 10;
  start();
  for (std::uint32_t i = 0; i < 30; ++i) {
    observe(10 + i, {i % 2 == 0 ? connect(7, 10 + i) : disconnect(7, 10 + i)});
    store();
  }
  EXPECT_FALSE(core->backlog_full()) << "one agent's events fold into one";
  std::vector<Observation> many;
  for (std::uint32_t agent = 1; agent <= 40; ++agent) many.push_back(connect(agent, 50));
  observe(51, many);
  store();
  EXPECT_TRUE(core->backlog_full());
}

TEST_F(Events, ABacklogThatDrainedIsFoldedAgainTheNextTime) {
  config.max_events = 10;
  start();
  std::vector<Observation> many;
  for (std::uint32_t agent = 1; agent <= 40; ++agent) many.push_back(connect(agent, 50));
  observe(51, many);
  store();
  ASSERT_TRUE(core->backlog_full());
  greet();
  take(core->message(Ack{core->status(at(61)).last_seq, {}}, at(61)));
  take(core->disconnected(at(62)));
  store();
  ASSERT_EQ(core->status(at(62)).unacked, 0u);
  for (std::uint32_t i = 0; i < 30; ++i) {
    observe(70 + i, {i % 2 == 0 ? disconnect(7, 70 + i) : connect(7, 70 + i)});
    store();
    EXPECT_FALSE(core->backlog_full()) << i;
  }
}

TEST_F(Events, TheBytesOfKeptInfosCount) {
  config.max_bytes = 5'000;
  start();
  observe(51, crowd(100));
  EXPECT_TRUE(core->backlog_full());
  EXPECT_GT(core->status(at(52)).backlog_bytes, 36 * 1'000u);
}

}  // namespace
}  // namespace rollcall::sidecar
