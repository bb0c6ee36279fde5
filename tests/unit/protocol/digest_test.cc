#include "protocol/digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "protocol/open_sessions.h"

namespace rollcall {
namespace {

constexpr AgentId kAgent{7};

// Summed up from nothing, as the digest is defined.
Digest sum_of(const OpenSessions& sessions) {
  Digest sum;
  for (const auto& [agent, s] : sessions.table()) sum += digest_of(agent, s.epoch, s.change);
  return sum;
}

// Must never change: both sides compute it, each in its own version.
TEST(Digest, IsTheSameForEver) {
  const Digest d = digest_of(kAgent, Epoch{1'700'000'000'000'000}, 3);
  EXPECT_EQ(d.high, 648305965184613834u);
  EXPECT_EQ(d.low, 9454438427108518271u);
}

TEST(Digest, CarriesAndBorrowsBetweenItsHalves) {
  Digest d{0, UINT64_MAX};
  d += Digest{0, 1};
  EXPECT_EQ(d, (Digest{1, 0}));
  d -= Digest{0, 1};
  EXPECT_EQ(d, (Digest{0, UINT64_MAX}));
  d += Digest{UINT64_MAX, 1};
  EXPECT_EQ(d, Digest{});
}

TEST(Digest, DiffersInEachOfTheThree) {
  const Digest d = digest_of(kAgent, Epoch{1000}, 3);
  EXPECT_NE(d, digest_of(AgentId{8}, Epoch{1000}, 3));
  EXPECT_NE(d, digest_of(kAgent, Epoch{1001}, 3));
  EXPECT_NE(d, digest_of(kAgent, Epoch{1000}, 4));
}

TEST(DigestTree, CoversEveryAgentOnceAtEachDepth) {
  TreeNode node = kTreeRoot;
  EXPECT_EQ(range_of(node), (AgentRange{0, UINT32_MAX}));
  for (unsigned depth = 0; depth < kTreeLeafDepth; ++depth) {
    ASSERT_EQ(depth_of(node), depth);
    const AgentRange all = range_of(node);
    std::uint64_t next = all.first;
    for (unsigned i = 0; i < kTreeFanout; ++i) {
      const AgentRange part = range_of(child_of(node, i));
      EXPECT_EQ(part.first, next);
      next = std::uint64_t{part.last} + 1;
    }
    EXPECT_EQ(next, std::uint64_t{all.last} + 1);
    node = child_of(node, depth % 2 == 0 ? 15 : 0);
  }
  EXPECT_TRUE(is_leaf(node));
  EXPECT_EQ(range_of(node).last - range_of(node).first, 15u);
}

TEST(DigestTree, KnowsItsNumbers) {
  for (const std::uint64_t number : {1u, 16u, 31u, 256u, 511u, 1u << 28, (1u << 29) - 1})
    EXPECT_TRUE(is_tree_node(number)) << number;
  for (const std::uint64_t number : {0u, 2u, 15u, 32u, 255u, 512u, 1u << 29, UINT32_MAX})
    EXPECT_FALSE(is_tree_node(number)) << number;
  EXPECT_FALSE(is_tree_node(std::uint64_t{1} << 32));
}

TEST(DigestTree, ALeafHasItsAgent) {
  for (const std::uint32_t id : {1u, 15u, 16u, 70'000u, UINT32_MAX}) {
    const AgentRange range = range_of(leaf_of(AgentId{id}));
    EXPECT_TRUE(range.first <= id && id <= range.last) << id;
    EXPECT_TRUE(is_leaf(leaf_of(AgentId{id})));
  }
}

TEST(OpenSessions, KeepsTheNewestThatIsOpen) {
  OpenSessions sessions;
  sessions.take(kAgent, EventKind::opened, Epoch{1000}, 0);
  sessions.take(kAgent, EventKind::confirmed, Epoch{1000}, 2);
  sessions.take(kAgent, EventKind::info, Epoch{1000}, 1);  // late
  ASSERT_NE(sessions.find(kAgent), nullptr);
  EXPECT_EQ(*sessions.find(kAgent), (OpenSessions::Session{Epoch{1000}, 2}));
  sessions.take(kAgent, EventKind::closed, Epoch{1000}, 1);  // late
  EXPECT_NE(sessions.find(kAgent), nullptr);
  sessions.take(kAgent, EventKind::contact, Epoch{1000}, 9);
  EXPECT_NE(sessions.find(kAgent), nullptr);
  sessions.take(kAgent, EventKind::released, Epoch{1000}, 3);
  EXPECT_EQ(sessions.find(kAgent), nullptr);
  EXPECT_EQ(sessions.digest(), Digest{});
}

TEST(OpenSessions, DigestDoesNotDependOnTheWay) {
  std::mt19937_64 random(1);
  std::vector<std::uint32_t> ids(2000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint32_t>(random());
  OpenSessions one, other;
  for (const std::uint32_t id : ids) {
    one.take(AgentId{id}, EventKind::opened, Epoch{1000}, 0);
    if (id % 3 == 0) one.take(AgentId{id}, EventKind::info, Epoch{1000}, 1);
    if (id % 5 == 0) one.take(AgentId{id}, EventKind::closed, Epoch{1000}, 2);
  }
  std::ranges::shuffle(ids, random);
  for (const std::uint32_t id : ids) {
    if (id % 5 != 0) other.take(AgentId{id}, EventKind::opened, Epoch{1000}, id % 3 == 0 ? 1 : 0);
  }
  EXPECT_EQ(one, other);
  EXPECT_EQ(one.digest(), other.digest());
  EXPECT_EQ(one.digest(), sum_of(one));
}

TEST(OpenSessions, ChildrenAddUpToTheirNode) {
  OpenSessions sessions;
  std::mt19937_64 random(2);
  for (int i = 0; i < 3000; ++i)
    sessions.take(AgentId{static_cast<std::uint32_t>(random() % 5000 + 1)}, EventKind::opened,
                  Epoch{1000 + random() % 50}, 0);
  // Down to the leaf of one agent, which one changed.
  OpenSessions changed = sessions;
  const AgentId agent{4321};
  changed.set(agent, {Epoch{5000}, 0});
  TreeNode node = kTreeRoot;
  Digest of_node = sessions.digest();
  while (!is_leaf(node)) {
    const auto before = sessions.children(node), after = changed.children(node);
    Digest sum;
    for (const Digest& d : before) sum += d;
    ASSERT_EQ(sum, of_node);
    unsigned differing = 0, where = 0;
    for (unsigned i = 0; i < kTreeFanout; ++i) {
      if (before[i] != after[i]) ++differing, where = i;
    }
    ASSERT_EQ(differing, 1u);
    of_node = before[where];
    node = child_of(node, where);
  }
  EXPECT_EQ(node, leaf_of(agent));
}

TEST(OpenSessions, WalksARange) {
  OpenSessions sessions;
  for (const std::uint32_t id : {1u, 15u, 16u, 31u, 32u}) sessions.set(AgentId{id}, {Epoch{9}, 1});
  std::vector<AgentId> found;
  sessions.for_each(range_of(leaf_of(AgentId{16})), [&](AgentId a, const OpenSessions::Session& s) {
    found.push_back(a);
    EXPECT_EQ(s.epoch, Epoch{9});
  });
  EXPECT_EQ(found, (std::vector{AgentId{16}, AgentId{31}}));
}

}  // namespace
}  // namespace rollcall
