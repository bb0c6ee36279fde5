#include "master/core/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "tests/scenario/describe.h"
#include "tests/unit/master/fixture.h"

namespace rollcall::master {
namespace {

using namespace test;

using Kind = Place::Kind;
using Begun = Commands::Begun;

constexpr const char* kVersion = "Wazuh v4.14.7";

// The commands, and where agents are as the test says.
class CommandsTest : public ::testing::Test {
 protected:
  void here(std::uint32_t agent, const NodeName& node, std::uint64_t epoch = 1) {
    places[AgentId{agent}] = {Kind::here, CommandEnd::unknown, node, Epoch{epoch}, kVersion, false};
  }
  void held(std::uint32_t agent, CommandEnd end) {
    places[AgentId{agent}] = {Kind::later, end, "", kUnstamped, kVersion, false};
  }
  void nowhere(std::uint32_t agent, CommandEnd end) {
    places[AgentId{agent}] = {Kind::nowhere, end, "", kUnstamped, kVersion, false};
  }
  static CommandRequest request(const std::string& id, std::vector<std::uint32_t> agents,
                                const std::string& assume = "") {
    CommandRequest r;
    r.id = id;
    for (const std::uint32_t agent : agents) r.agents.push_back(AgentId{agent});
    r.assume = assume;
    r.timeout_us = 10 * kSecond;
    return r;
  }
  // What is sent, a line for each message.
  std::string begin(double s, const CommandRequest& r) {
    EXPECT_EQ(commands.begin(r, at(s)), Begun::started);
    return advance(s);
  }
  std::string advance(double s) {
    const auto find = [&](AgentId agent) {
      const auto found = places.find(agent);
      return found == places.end() ? Place{} : found->second;
    };
    auto orders = commands.advance(find, at(s));
    std::string out;
    for (const auto& [node, command] : orders.send) {
      out += (out.empty() ? "" : "\n") + node + " " + scenario::describe(command, {});
      last = command;
    }
    for (auto& report : orders.ended) reports.push_back(std::move(report));
    return out;
  }
  std::string answer(double s, const NodeName& node, const std::string& id,
                     std::vector<Result::Entry> entries, const std::string& why = "") {
    commands.result(node, {id, std::move(entries), why});
    return advance(s);
  }
  // "7 8; 9 unknown, 10 socket w1: why"
  std::string report() {
    if (reports.empty()) return "none";
    const CommandReportPtr r = reports.front();
    reports.erase(reports.begin());
    std::ostringstream out;
    for (const AgentId agent : r->affected)
      out << (agent == r->affected.front() ? "" : " ") << static_cast<std::uint32_t>(agent);
    for (const auto& f : r->failed) {
      out << (&f == &r->failed.front() ? "; " : ", ") << static_cast<std::uint32_t>(f.agent) << " "
          << to_string(f.end) << (f.node.empty() ? "" : " ") << f.node
          << (f.why.empty() ? "" : ": ") << f.why;
    }
    return out.str();
  }

  Commands commands;
  std::map<AgentId, Place> places;
  std::vector<CommandReportPtr> reports;
  Command last;
};

constexpr auto kSent = CommandOutcome::sent;
constexpr auto kNotHere = CommandOutcome::not_here;

TEST_F(CommandsTest, EachAgentIsToldByItsOwnWorker) {
  here(7, "w1");
  here(8, "w2");
  here(9, "w1");
  EXPECT_EQ(begin(1, request("c", {7, 8, 9})), "w1 COMMAND c restart 7 9\nw2 COMMAND c restart 8");
  EXPECT_EQ(last.left_us, 10 * kSecond);
  EXPECT_EQ(last.entries[0].version, kVersion);
  EXPECT_EQ(answer(2, "w1", "c", {{AgentId{7}, kSent}, {AgentId{9}, kSent}}), "");
  EXPECT_EQ(report(), "none");
  answer(2, "w2", "c", {{AgentId{8}, kSent}});
  EXPECT_EQ(report(), "7 8 9");
}

TEST_F(CommandsTest, OneThatCannotBeToldFailsNoOther) {
  here(7, "w1");
  nowhere(8, CommandEnd::disconnected);
  nowhere(9, CommandEnd::contested);
  nowhere(10, CommandEnd::no_commands);
  EXPECT_EQ(begin(1, request("c", {7, 8, 9, 10, 11})), "w1 COMMAND c restart 7");
  answer(2, "w1", "c", {{AgentId{7}, kSent}});
  EXPECT_EQ(report(), "7; 8 disconnected, 9 contested, 10 no_commands, 11 unknown");
}

TEST_F(CommandsTest, NoVersionIsGuessed) {
  here(7, "w1");
  here(8, "w1");
  places[AgentId{8}].version = "";
  EXPECT_EQ(begin(1, request("c", {7, 8})), "w1 COMMAND c restart 7");
  answer(2, "w1", "c", {{AgentId{7}, kSent}});
  EXPECT_EQ(report(), "7; 8 unknown_version");
  EXPECT_EQ(begin(3, request("assumed", {7, 8}, "v4.1.0")), "w1 COMMAND assumed restart 7 8");
  EXPECT_EQ(last.entries[0].version, kVersion) << "what is known counts";
  EXPECT_EQ(last.entries[1].version, "v4.1.0");
}

TEST_F(CommandsTest, AVersionThatIsAskedForIsWaitedFor) {
  here(7, "w1");
  places[AgentId{7}].version = "";
  places[AgentId{7}].version_comes = true;
  EXPECT_EQ(begin(1, request("c", {7})), "");
  here(7, "w1");
  commands.heard(AgentId{7});
  EXPECT_EQ(advance(2), "w1 COMMAND c restart 7");
}

// ---- between two workers

TEST_F(CommandsTest, AnAgentInMigrationIsHeldUntilItsNewWorkerClaimsIt) {
  held(7, CommandEnd::migrating);
  EXPECT_EQ(begin(1, request("c", {7})), "");
  here(7, "w2");
  commands.heard(AgentId{7});
  EXPECT_EQ(advance(4), "w2 COMMAND c restart 7");
  EXPECT_EQ(last.left_us, 7 * kSecond);
}

TEST_F(CommandsTest, OneThatIsHeldUntilTheTimeIsOverSaysWhy) {
  held(7, CommandEnd::migrating);
  held(8, CommandEnd::unreachable);
  here(9, "w1");
  begin(1, request("c", {7, 8, 9}));
  advance(10.9);
  EXPECT_EQ(report(), "none");
  advance(11);
  EXPECT_EQ(report(), "; 7 migrating, 8 unreachable, 9 no_answer w1");
}

TEST_F(CommandsTest, AnAgentThatMovedMeanwhileIsToldByItsNewOwner) {
  here(7, "w1", 1);
  begin(1, request("c", {7}));
  here(7, "w2", 2);
  EXPECT_EQ(answer(2, "w1", "c", {{AgentId{7}, kNotHere}}), "w2 COMMAND c restart 7");
  answer(3, "w2", "c", {{AgentId{7}, kSent}});
  EXPECT_EQ(report(), "7");
}

TEST_F(CommandsTest, AWorkerThatLetGoOfAnAgentIsNotAskedAgainForThatSession) {
  here(7, "w1", 1);
  begin(1, request("c", {7}));
  EXPECT_EQ(answer(2, "w1", "c", {{AgentId{7}, kNotHere}}), "");
  commands.heard(AgentId{7});
  EXPECT_EQ(advance(3), "") << "nothing new";
  here(7, "w1", 2);
  commands.heard(AgentId{7});
  EXPECT_EQ(advance(4), "w1 COMMAND c restart 7") << "it came back";
  answer(5, "w1", "c", {{AgentId{7}, kNotHere}});
  advance(11);
  EXPECT_EQ(report(), "; 7 not_here w1");
}

TEST_F(CommandsTest, AWorkerThatCannotTellAnAgentSaysWhyUnlessTheAgentMoved) {
  here(7, "w1", 1);
  here(8, "w1", 1);
  begin(1, request("c", {7, 8}));
  here(8, "w2", 2);
  EXPECT_EQ(answer(2, "w1", "c",
                   {{AgentId{7}, CommandOutcome::socket}, {AgentId{8}, CommandOutcome::socket}},
                   "no such socket"),
            "w2 COMMAND c restart 8");
  answer(3, "w2", "c", {{AgentId{8}, kSent}});
  EXPECT_EQ(report(), "8; 7 socket w1: no such socket");
}

TEST_F(CommandsTest, AWorkerThatDoesNotAnswerIsLeftForTheNewOwner) {
  here(7, "w1", 1);
  begin(1, request("c", {7}));
  here(7, "w2", 2);
  EXPECT_EQ(advance(3.9), "") << "it may have told it";
  EXPECT_EQ(advance(4.5), "w2 COMMAND c restart 7");
  EXPECT_EQ(answer(5, "w1", "c", {{AgentId{7}, kNotHere}}), "") << "too late";
  answer(5, "w2", "c", {{AgentId{7}, kSent}});
  EXPECT_EQ(report(), "7");
}

TEST_F(CommandsTest, AnAgentThatAlwaysEscapesIsGivenUp) {
  std::uint64_t stay = 1;
  here(7, "w1", stay);
  begin(1, request("c", {7}));
  while (reports.empty() && stay < 100) {
    const NodeName holder = stay % 2 == 1 ? "w1" : "w2";
    ++stay;
    here(7, stay % 2 == 1 ? "w1" : "w2", stay);
    answer(2, holder, "c", {{AgentId{7}, kNotHere}});
  }
  EXPECT_LT(stay, 20u);
  EXPECT_EQ(report().substr(0, 13), "; 7 not_here ");
}

// ---- workers that come and go

TEST_F(CommandsTest, WhatWasAskedOverAConnectionThatBrokeIsAskedAgainUnderTheSameId) {
  here(7, "w1");
  begin(1, request("c", {7}));
  held(7, CommandEnd::unreachable);
  commands.disconnected("w1");
  EXPECT_EQ(advance(2), "");
  nowhere(7, CommandEnd::disconnected);  // restarting, perhaps
  EXPECT_EQ(advance(3), "");
  commands.connected("w1");
  EXPECT_EQ(advance(4), "w1 COMMAND c restart 7");
  answer(5, "w1", "c", {{AgentId{7}, kSent}});
  EXPECT_EQ(report(), "7");
}

TEST_F(CommandsTest, AnAgentOfABrokenConnectionIsToldByItsNewOwner) {
  here(7, "w1", 1);
  begin(1, request("c", {7}));
  commands.disconnected("w1");
  here(7, "w2", 2);
  commands.heard(AgentId{7});
  EXPECT_EQ(advance(2), "w2 COMMAND c restart 7");
}

TEST_F(CommandsTest, AWorkerThatNeverComesBackLeavesNoAnswer) {
  here(7, "w1");
  begin(1, request("c", {7}));
  held(7, CommandEnd::unreachable);
  commands.disconnected("w1");
  advance(11);
  EXPECT_EQ(report(), "; 7 no_answer w1") << "it may have been told";
}

TEST_F(CommandsTest, AWorkerIsAskedAboutABoundedNumberAtATime) {
  CommandRequest r = request("c", {});
  for (std::uint32_t i = 1; i <= Commands::kWindow + 500; ++i) {
    r.agents.push_back(AgentId{i});
    here(i, "w1");
  }
  ASSERT_EQ(commands.begin(r, at(1)), Begun::started);
  const auto find = [&](AgentId agent) { return places[agent]; };
  auto orders = commands.advance(find, at(1));
  ASSERT_EQ(orders.send.size(), Commands::kWindow / Commands::kBatch);
  for (const auto& [node, command] : orders.send)
    EXPECT_EQ(command.entries.size(), Commands::kBatch);
  Result result{"c", {}, {}};
  for (std::uint32_t i = 1; i <= Commands::kBatch; ++i)
    result.entries.push_back({AgentId{i}, kSent});
  commands.result("w1", result);
  orders = commands.advance(find, at(2));
  ASSERT_EQ(orders.send.size(), 1u);
  EXPECT_EQ(orders.send[0].second.entries.size(), 500u);
}

TEST_F(CommandsTest, OneThatWaitsForItsTurnIsLookedUpAgain) {
  CommandRequest r = request("c", {});
  for (std::uint32_t i = 1; i <= Commands::kWindow + 1; ++i) {
    r.agents.push_back(AgentId{i});
    here(i, "w1");
  }
  begin(1, r);
  here(Commands::kWindow + 1, "w2", 2);
  Result result{"c", {{AgentId{1}, kSent}}, {}};
  commands.result("w1", result);
  advance(2);
  EXPECT_EQ(advance(2), "w2 COMMAND c restart " + std::to_string(Commands::kWindow + 1));
}

TEST_F(CommandsTest, AnAnswerThatNobodyWaitsForIsIgnored) {
  here(7, "w1");
  begin(1, request("c", {7}));
  answer(2, "w2", "c", {{AgentId{7}, kSent}});
  answer(2, "w1", "another", {{AgentId{7}, kSent}});
  answer(2, "w1", "c", {{AgentId{8}, kSent}});
  EXPECT_EQ(report(), "none");
  EXPECT_EQ(commands.status().waiting, 1u);
}

TEST_F(CommandsTest, AnUncertainAnswerIsTheAnswer) {
  here(7, "w1");
  begin(1, request("c", {7}));
  here(7, "w2", 2);
  answer(2, "w1", "c", {{AgentId{7}, CommandOutcome::uncertain}});
  EXPECT_EQ(report(), "; 7 uncertain w1") << "told again it might be told twice";
}

// ---- ids

TEST_F(CommandsTest, TheSameIdIsAnsweredByTheSameReport) {
  here(7, "w1");
  begin(1, request("c", {7}));
  EXPECT_EQ(commands.begin(request("c", {7}), at(2)), Begun::joined);
  EXPECT_EQ(advance(2), "") << "it is told once";
  answer(3, "w1", "c", {{AgentId{7}, kSent}});
  EXPECT_EQ(report(), "7");
  EXPECT_EQ(commands.begin(request("c", {7}), at(100)), Begun::joined);
  EXPECT_EQ(advance(100), "");
  EXPECT_EQ(report(), "7");
  EXPECT_EQ(commands.status().commands, 1u);
}

TEST_F(CommandsTest, AnIdThatWasGivenToAnotherCommandIsAConflict) {
  here(7, "w1");
  begin(1, request("c", {7}));
  EXPECT_EQ(commands.begin(request("c", {8}), at(2)), Begun::conflict);
  EXPECT_EQ(commands.begin(request("c", {7}, "v4.0.0"), at(2)), Begun::conflict);
  answer(3, "w1", "c", {{AgentId{7}, kSent}});
  EXPECT_EQ(commands.begin(request("c", {8}), at(4)), Begun::conflict);
}

TEST_F(CommandsTest, AllIsTheSameAsAllWhoeverThereIs) {
  CommandRequest all = request("c", {7});
  all.all = true;
  here(7, "w1");
  begin(1, all);
  all.agents.push_back(AgentId{8});
  EXPECT_EQ(commands.begin(all, at(2)), Begun::joined);
  EXPECT_EQ(commands.begin(request("c", {7}), at(2)), Begun::conflict);
}

TEST_F(CommandsTest, HaveABoundOnHowManyRun) {
  here(7, "w1");
  for (std::size_t i = 0; i < Commands::kMaxRunning; ++i)
    EXPECT_EQ(commands.begin(request("c" + std::to_string(i), {7}), at(1)), Begun::started);
  EXPECT_EQ(commands.begin(request("more", {7}), at(1)), Begun::busy);
  advance(20);
  EXPECT_EQ(reports.size(), Commands::kMaxRunning);
  EXPECT_EQ(commands.begin(request("more", {7}), at(21)), Begun::started);
}

TEST_F(CommandsTest, OldReportsAreForgotten) {
  nowhere(7, CommandEnd::disconnected);
  for (std::size_t i = 0; i <= Commands::kMaxRemembered; ++i)
    begin(1, request("c" + std::to_string(i), {7}));
  EXPECT_EQ(commands.begin(request("c1", {7}), at(2)), Begun::joined);
  EXPECT_EQ(commands.begin(request("c0", {7}), at(2)), Begun::started);
}

TEST_F(CommandsTest, AreCountedByTheirEnd) {
  here(7, "w1");
  nowhere(8, CommandEnd::disconnected);
  begin(1, request("c", {7, 8}));
  EXPECT_EQ(commands.status().running, 1u);
  answer(2, "w1", "c", {{AgentId{7}, kSent}});
  const auto status = commands.status();
  EXPECT_EQ(status.running, 0u);
  EXPECT_EQ(status.ends.at(CommandEnd::sent), 1u);
  EXPECT_EQ(status.ends.at(CommandEnd::disconnected), 1u);
}

TEST_F(CommandsTest, ACommandToNobodyEndsAtOnce) {
  begin(1, request("c", {}));
  EXPECT_EQ(report(), "");
}

}  // namespace
}  // namespace rollcall::master
