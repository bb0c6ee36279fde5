#include "protocol/agent_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <thread>

namespace rollcall {
namespace {

using Table = AgentTable<std::string>;
using Model = std::map<std::uint32_t, std::string>;

Model contents(const Table& table) {
  Model out;
  for (const auto& [agent, value] : table) out.emplace(static_cast<std::uint32_t>(agent), value);
  EXPECT_EQ(out.size(), table.size());
  return out;
}

std::uint32_t first_after(const Table& table, std::uint32_t id) {
  const auto it = table.after(AgentId{id});
  return it == table.end() ? 0 : static_cast<std::uint32_t>((*it).first);
}

TEST(AgentTable, AnEmptyOneHasNothing) {
  const Table table;
  EXPECT_TRUE(table.empty());
  EXPECT_FALSE(table.contains(AgentId{7}));
  EXPECT_TRUE(table.begin() == table.end());
  EXPECT_TRUE(table.after(AgentId{0}) == table.end());
}

// A random row of changes on the table and on a std::map; copies are kept on the way, and must stay
// what they were.
class AgentTableModel : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(AgentTableModel, IsAMapInOrderWhoseCopiesStayAsTheyAre) {
  std::mt19937 random(GetParam());
  const std::uint32_t range = GetParam() % 2 == 0 ? 300 : 0xffff'ffffu;
  Table table;
  Model model;
  std::vector<std::pair<Table, Model>> copies;
  for (int step = 0; step < 4'000; ++step) {
    // Sparse ids are drawn from a few thousand, so that they meet again.
    const std::uint32_t id = (random() % 3'000) * (range / 3'000 + 1) % range + 1;
    if (random() % 4 == 0) {
      table.erase(AgentId{id});
      model.erase(id);
    } else {
      const std::string value = std::to_string(step);
      table.edit(AgentId{id}) = value;
      model[id] = value;
    }
    if (step % 500 == 0) copies.emplace_back(table, model);
    if (step % 700 == 0 && !copies.empty()) {
      // A copy may be changed too, and is a value of its own.
      copies.front().first.edit(AgentId{1}) = "mine";
      copies.front().second[1] = "mine";
    }
    const auto next = model.upper_bound(id);
    ASSERT_EQ(first_after(table, id), next == model.end() ? 0 : next->first);
    const auto here = model.find(id);
    const std::string* found = table.find(AgentId{id});
    ASSERT_EQ(found != nullptr, here != model.end());
    if (found) {
      ASSERT_EQ(*found, here->second);
    }
  }
  EXPECT_EQ(contents(table), model);
  for (const auto& [copy, was] : copies) EXPECT_EQ(contents(copy), was);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AgentTableModel, testing::Range(1u, 9u));

TEST(AgentTable, EqualContentsAreEqualHoweverTheyCameThere) {
  Table up, down;
  for (std::uint32_t id = 1; id <= 500; ++id) up.edit(AgentId{id}) = "x";
  for (std::uint32_t id = 501; id >= 1; --id) down.edit(AgentId{id}) = "x";
  EXPECT_FALSE(up == down);
  down.erase(AgentId{501});
  EXPECT_TRUE(up == down);
  down.edit(AgentId{250}) = "y";
  EXPECT_FALSE(up == down);
}

TEST(AgentTable, IsEmptyAgainWhenAllIsErased) {
  Table table;
  for (std::uint32_t id = 1; id <= 300; ++id) table.edit(AgentId{id});
  const Table copy = table;
  for (std::uint32_t id = 1; id <= 300; ++id) table.erase(AgentId{id});
  EXPECT_TRUE(table.empty());
  EXPECT_TRUE(table.begin() == table.end());
  EXPECT_EQ(copy.size(), 300u);
  table.edit(AgentId{5}) = "again";
  EXPECT_EQ(contents(table), (Model{{5, "again"}}));
}

TEST(AgentTable, IdsBelowAllOthersComeBackAfterTheFirstPageIsGone) {
  Table table;
  Model model;
  const auto put = [&](std::uint32_t id) {
    table.edit(AgentId{id}) = "x";
    model[id] = "x";
  };
  for (std::uint32_t id = 1'000; id < 1'300; ++id) put(id);
  for (std::uint32_t id = 1'000; id < 1'100; ++id) {
    table.erase(AgentId{id});
    model.erase(id);
  }
  for (std::uint32_t id = 900; id > 500; --id) put(id);
  EXPECT_EQ(contents(table), model);
  EXPECT_TRUE(table.contains(AgentId{600}));
  EXPECT_TRUE(table.contains(AgentId{1'150}));
}

TEST(AgentTable, ARowStaysWhereItIsWhileOthersCome) {
  Table table;
  std::string& row = table.edit(AgentId{50'000});
  for (std::uint32_t id = 1; id <= 2'000; ++id) table.edit(AgentId{id * 50});
  row = "here";
  EXPECT_EQ(table.at(AgentId{50'000}), "here");
  EXPECT_EQ(table.find(AgentId{50'000}), &row);
}

TEST(AgentTable, ACopyIsReadOnAnotherThreadWhileTheOriginalChanges) {
  Table table;
  for (std::uint32_t id = 1; id <= 2'000; ++id) table.edit(AgentId{id}) = "before";
  for (int round = 0; round < 20; ++round) {
    std::jthread reader([copy = table, round] {
      for (const auto& [agent, value] : copy) {
        ASSERT_EQ(value, round == 0 ? "before" : "round " + std::to_string(round - 1));
      }
    });
    for (std::uint32_t id = 1; id <= 2'000; ++id) {
      table.edit(AgentId{id}) = "round " + std::to_string(round);
    }
  }
}

}  // namespace
}  // namespace rollcall
