#include "sidecar/core/command_memory.h"

#include <gtest/gtest.h>

namespace rollcall::sidecar {
namespace {

using State = CommandMemory::State;

TEST(CommandMemory, KnowsWhoWasToldByIdAndAgent) {
  CommandMemory memory;
  memory.set("a", AgentId{7}, State::begun);
  memory.set("a", AgentId{8}, State::sent);
  EXPECT_EQ(memory.find("a", AgentId{7}), State::begun);
  EXPECT_EQ(memory.find("a", AgentId{8}), State::sent);
  EXPECT_EQ(memory.find("a", AgentId{9}), std::nullopt);
  EXPECT_EQ(memory.find("b", AgentId{7}), std::nullopt);
  memory.forget("a", AgentId{7});
  memory.forget("b", AgentId{7});
  EXPECT_EQ(memory.find("a", AgentId{7}), std::nullopt);
  EXPECT_EQ(memory.agents(), 1u);
}

TEST(CommandMemory, ReadBackNothingIsCertain) {
  CommandMemory memory;
  for (const std::uint32_t agent : {300u, 7u, 4'294'967'295u})
    memory.set("deploy-1", AgentId{agent}, State::begun);
  memory.set("deploy-2", AgentId{7}, State::sent);
  EXPECT_EQ(memory.encode(), "deploy-1 7 293 4294966995\ndeploy-2 7\n");
  const CommandMemory read = CommandMemory::decode(memory.encode());
  EXPECT_EQ(read.encode(), memory.encode());
  EXPECT_EQ(read.find("deploy-1", AgentId{4'294'967'295}), State::uncertain);
  EXPECT_EQ(read.find("deploy-2", AgentId{7}), State::uncertain);
}

TEST(CommandMemory, WhatIsNoMemoryIsLeftOut) {
  const CommandMemory read =
      CommandMemory::decode("a/b 7\n\n ok 7 x 9\nlarge 4294967295 1 1\nnegative -7\nzero 0 7\n");
  EXPECT_EQ(read.encode(), "ok 7\nlarge 4294967295\n");
}

TEST(CommandMemory, TheOldestIdsAreForgottenFirst) {
  CommandMemory memory;
  for (std::size_t i = 0; i < CommandMemory::kMaxIds; ++i)
    memory.set(std::to_string(i), AgentId{7}, State::sent);
  memory.set("0", AgentId{8}, State::sent);
  memory.set("new", AgentId{7}, State::sent);
  EXPECT_EQ(memory.find("0", AgentId{7}), State::sent) << "it was used again";
  EXPECT_EQ(memory.find("1", AgentId{7}), std::nullopt);
  EXPECT_EQ(memory.find("2", AgentId{7}), State::sent);
}

TEST(CommandMemory, HasABoundOnAgentsThatSparesTheNewestId) {
  CommandMemory memory;
  memory.set("old", AgentId{7}, State::sent);
  for (std::uint32_t i = 1; i <= CommandMemory::kMaxAgents + 1; ++i)
    memory.set("large", AgentId{i}, State::sent);
  EXPECT_EQ(memory.find("old", AgentId{7}), std::nullopt);
  EXPECT_EQ(memory.find("large", AgentId{1}), State::sent);
  memory.set("new", AgentId{7}, State::sent);
  EXPECT_EQ(memory.agents(), 1u);
}

}  // namespace
}  // namespace rollcall::sidecar
