#include "protocol/agent_info.h"

#include <gmock/gmock.h>

#include <map>
#include <random>

#include "protocol/event.h"

namespace rollcall {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(AgentInfo, FieldsComeInTheOrderOfTheirNamesHoweverTheyWereGiven) {
  const AgentInfo info{{"os_name", "Debian"}, {"ip", "10.0.0.7"}, {"name", "db-07"}};
  EXPECT_THAT(
      info, ElementsAre(Pair("ip", "10.0.0.7"), Pair("name", "db-07"), Pair("os_name", "Debian")));
  EXPECT_EQ(info, (AgentInfo{{"ip", "10.0.0.7"}, {"name", "db-07"}, {"os_name", "Debian"}}));
}

TEST(AgentInfo, AppendingTakesOnlyWhatComesInOrder) {
  AgentInfo info;
  EXPECT_TRUE(info.append("b", "1"));
  EXPECT_FALSE(info.append("b", "2"));
  EXPECT_FALSE(info.append("a", "2"));
  EXPECT_TRUE(info.append("c", ""));
  EXPECT_THAT(info, ElementsAre(Pair("b", "1"), Pair("c", "")));
}

TEST(AgentInfo, CanBeFilledAgainAfterItWasMovedAway) {
  AgentInfo info{{"z", "1"}, {"zz", "2"}};
  const AgentInfo taken = std::move(info);
  info = AgentInfo();
  EXPECT_TRUE(info.append("a", "3"));
  EXPECT_EQ(info.size(), 1u);
  EXPECT_EQ(taken.size(), 2u);
}

TEST(AgentInfo, TheHashIsThatOfTheProtocol) {
  // docs/protocol.md, section 8: the hash of the event with every optional field.
  EXPECT_EQ(hash_of(AgentInfo{{"ip", "10.0.0.7"}, {"name", "db-07"}}),
            InfoHash{0xe3b3'f0b4'f165'87ec});
}

TEST(AgentInfo, BehavesLikeAMap) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 500; ++round) {
    std::map<std::string, std::string, std::less<>> model;
    AgentInfo info;
    for (std::uint64_t n = random() % 20; n > 0; --n) {
      const std::string name(random() % 3, static_cast<char>(random()));
      const std::string value(random() % 40, static_cast<char>(random()));
      model[name] = value;
      info[name] = value;
    }
    ASSERT_EQ(info.size(), model.size());
    ASSERT_EQ(info.empty(), model.empty());
    ASSERT_TRUE(std::ranges::equal(info, model, [](const auto& a, const auto& b) {
      return a.first == b.first && a.second == b.second;
    }));
    for (const auto& [name, value] : model) {
      ASSERT_TRUE(info.contains(name));
      ASSERT_EQ(info.at(name), value);
    }
    ASSERT_FALSE(info.contains("no such name"));
  }
}

}  // namespace
}  // namespace rollcall
