// Commands in the master's core: where agents are, by its own table and connections.
#include <gmock/gmock.h>

#include "tests/unit/master/core_fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::HasSubstr;

Hello able(const NodeName& node, std::uint64_t stream, std::uint64_t first_seq = 1) {
  Hello h = hello(node, stream, first_seq);
  h.features = {std::string(kFeatureCommands)};
  return h;
}

const AgentInfo kInfo{{"name", "db"}, {"version", "Wazuh v4.14.7"}};

Event here(std::uint32_t agent, double s) {
  return with_info(opened(agent, s), kInfo);
}

class MasterCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    m.connect(10, kW1, able("w1", 101));
    m.connect(10, kW2, able("w2", 102));
  }
  // What is said because of it.
  std::string restart(double s, const std::string& id, std::vector<std::uint32_t> agents) {
    CommandRequest r;
    r.id = id;
    for (const std::uint32_t agent : agents) r.agents.push_back(AgentId{agent});
    r.timeout_us = 10 * kSecond;
    return ask(s, std::move(r));
  }
  std::string restart_all(double s, const std::string& id) {
    CommandRequest r;
    r.id = id;
    r.all = true;
    r.timeout_us = 10 * kSecond;
    return ask(s, std::move(r));
  }
  std::string result(double s, ConnId conn, const std::string& id,
                     std::vector<Result::Entry> entries) {
    return m.message(s, conn, Result{id, std::move(entries), {}});
  }
  std::string ends() {
    std::string out;
    for (const auto& [end, count] : m.core.commands().ends)
      out += (out.empty() ? "" : ", ") + std::string(to_string(end)) + " " + std::to_string(count);
    return out;
  }

  Master m;

 private:
  std::string ask(double s, CommandRequest r) {
    m.tick(s);
    auto out = m.core.command(std::move(r), at(s));
    if (!out) return "refused: " + out.error().text;
    EXPECT_TRUE(m.act(s, *std::move(out)));
    return m.said();
  }
};

TEST_F(MasterCommands, AWorkerIsWelcomedWithWhatBothCan) {
  m.connect(11, ConnId{3}, hello("w3", 103));
  EXPECT_TRUE(m.welcome.features.empty());
  m.connect(11, ConnId{4}, able("w4", 104));
  EXPECT_THAT(m.welcome.features, ::testing::ElementsAre(kFeatureCommands));
}

TEST_F(MasterCommands, GoToTheOwnerWithTheAgentsVersion) {
  m.delta(20, kW1, 1, {here(7, 15)});
  EXPECT_EQ(restart(21, "c", {7}), "1 COMMAND c restart 7");
  EXPECT_EQ(result(22, kW1, "c", {{AgentId{7}, CommandOutcome::sent}}), "");
  EXPECT_EQ(ends(), "sent 1");
}

TEST_F(MasterCommands, AgentsThatCannotBeToldHaveTheirOwnAnswer) {
  m.connect(11, ConnId{3}, hello("w3", 103));
  m.delta(20, kW1, 1, {here(7, 15), here(8, 15), closed(8, 15, 1, 16), opened(9, 15)});
  m.delta(20, ConnId{3}, 1, {here(10, 15)});
  EXPECT_EQ(restart(21, "c", {7, 8, 9, 10, 11}), "1 COMMAND c restart 7");
  EXPECT_EQ(ends(), "unknown 1, disconnected 1, no_commands 1, unknown_version 1");
}

TEST_F(MasterCommands, AContestedAgentIsNotTold) {
  std::uint64_t seq[2] = {1, 1};
  for (int i = 0; i < 5; ++i)
    m.delta(20 + i, i % 2 == 0 ? kW1 : kW2, seq[i % 2]++, {here(7, 20 + i)});
  EXPECT_EQ(restart(26, "c", {7}), "");
  EXPECT_EQ(ends(), "contested 1");
}

TEST_F(MasterCommands, AnAgentThatMovesBeforeItIsToldIsToldByItsNewOwner) {
  m.delta(20, kW1, 1, {here(7, 15)});
  restart(21, "c", {7});
  m.delta(22, kW2, 1, {here(7, 21)});
  EXPECT_EQ(result(23, kW1, "c", {{AgentId{7}, CommandOutcome::not_here}}),
            "2 COMMAND c restart 7");
}

TEST_F(MasterCommands, AnAgentWhoseWorkerIsAwayIsHeldUntilSomebodyClaimsIt) {
  m.delta(20, kW1, 1, {here(7, 15)});
  m.lose(21, kW1);
  EXPECT_EQ(restart(22, "c", {7}), "");
  EXPECT_EQ(m.delta(23, kW2, 1, {here(7, 22)}), "2 ACK 1\n2 COMMAND c restart 7");
}

Event offered(std::uint32_t agent, double epoch_s, std::uint32_t change, double grace_s) {
  Event e = event(agent, EventKind::offered, epoch_s, change, epoch_s);
  e.grace_us = us(grace_s);
  return e;
}

TEST_F(MasterCommands, AnOfferedAgentIsHeldUntilItsNewWorkerClaimsIt) {
  m.delta(20, kW1, 1, {here(7, 15), offered(7, 15, 1, 300)});
  EXPECT_EQ(restart(21, "c", {7}), "");
  EXPECT_THAT(m.delta(23, kW2, 1, {here(7, 22)}), HasSubstr("2 COMMAND c restart 7"));
}

TEST_F(MasterCommands, AnOfferedAgentThatStaysIsToldWhereItIs) {
  m.delta(20, kW1, 1, {here(7, 15), offered(7, 15, 1, 300)});
  restart(21, "c", {7});
  EXPECT_THAT(m.delta(23, kW1, 3, {event(7, EventKind::confirmed, 15, 2, 22)}),
              HasSubstr("1 COMMAND c restart 7"));
}

TEST_F(MasterCommands, AnOfferedAgentThatNobodyClaimsIsNotTold) {
  m.delta(20, kW1, 1, {here(7, 15), offered(7, 15, 1, 300)});
  restart(21, "c", {7});
  m.ticks(21, 33);
  EXPECT_EQ(ends(), "migrating 1");
}

TEST_F(MasterCommands, AWorkerThatComesBackIsAskedAgain) {
  m.delta(20, kW1, 1, {here(7, 15)});
  restart(21, "c", {7});
  m.lose(22, kW1);
  EXPECT_EQ(m.connect(23, ConnId{5}, able("w1", 101, 2)),
            "5 WELCOME, have seq 1\n5 COMMAND c restart 7");
  result(24, ConnId{5}, "c", {{AgentId{7}, CommandOutcome::sent}});
  EXPECT_EQ(ends(), "sent 1");
}

TEST_F(MasterCommands, AnExpiredWorkersAgentsAreDisconnected) {
  m.delta(20, kW1, 1, {here(7, 15)});
  m.lose(21, kW1);
  m.ticks(21, 3000);
  m.act(3000, m.core.confirm_expiry(at(3000)));
  restart(3000, "c", {7});
  EXPECT_EQ(ends(), "disconnected 1");
}

TEST_F(MasterCommands, AreSaidAfterTheDecisionsThatTheyRestOn) {
  m.delta(20, kW1, 1, {here(7, 15)});
  m.tick(21);
  m.disk = Master::Disk::slow;
  m.delta(21, kW2, 1, {here(7, 20)});
  EXPECT_EQ(restart(21, "c", {7}), "");
  EXPECT_THAT(m.store(22), HasSubstr("2 COMMAND c restart 7"));
}

TEST_F(MasterCommands, AllAreThoseThatAreNotDisconnected) {
  m.delta(20, kW1, 1, {here(7, 15), here(8, 15), closed(8, 15, 1, 16), here(9, 15)});
  m.delta(20, kW2, 1, {here(10, 15), event(10, EventKind::released, 15, 1, 16)});
  EXPECT_EQ(restart_all(21, "c"), "1 COMMAND c restart 7 9");
  EXPECT_EQ(m.core.commands().waiting, 3u) << "10 may be on its way";
}

TEST_F(MasterCommands, AnIdOfAnotherCommandIsRefusedWithWhatToDo) {
  restart(21, "c", {7});
  EXPECT_THAT(restart(22, "c", {8}), HasSubstr("was given to another command"));
}

TEST_F(MasterCommands, TheEndIsInTheDaemonsLog) {
  m.delta(20, kW1, 1, {here(7, 15)});
  restart(21, "c", {7, 8});
  m.notes.clear();
  result(22, kW1, "c", {{AgentId{7}, CommandOutcome::sent}});
  ASSERT_EQ(m.notes.size(), 1u);
  EXPECT_EQ(m.notes[0].text, "a command to agents has ended");
  EXPECT_THAT(m.notes[0].fields,
              ::testing::IsSupersetOf({std::pair<std::string, std::string>{"command", "c"},
                                       {"affected", "1"},
                                       {"failed", "1"},
                                       {"why", "8 unknown"}}));
}

TEST_F(MasterCommands, ACommandThatComesFromAWorkerEndsItsConnection) {
  EXPECT_EQ(m.message(20, kW1, Command{"c", CommandKind::restart, {}, 1}),
            "1 ERROR protocol fatal");
}

}  // namespace
}  // namespace rollcall::master
