#pragma once
// The 16-way tree over agent ids with which two sides that differ find where (docs/protocol.md,
// section 14). A node's digest is that of the sessions of all agents in its range.
#include <bit>
#include <cstdint>

#include "protocol/ids.h"

namespace rollcall {

// The root is 1, and the children of n are 16 n to 16 n + 15. A leaf has 16 agents.
enum class TreeNode : std::uint32_t {};

inline constexpr TreeNode kTreeRoot{1};
inline constexpr unsigned kTreeFanout = 16;
inline constexpr unsigned kTreeLeafDepth = 7;

inline constexpr unsigned depth_of(TreeNode node) {
  return (static_cast<unsigned>(std::bit_width(static_cast<std::uint32_t>(node))) - 1) / 4;
}
// Whether it is a number that the tree has.
inline constexpr bool is_tree_node(std::uint64_t number) {
  return number != 0 && (std::bit_width(number) - 1) % 4 == 0 &&
         number < std::uint64_t{2} << 4 * kTreeLeafDepth;
}
inline constexpr bool is_leaf(TreeNode node) {
  return depth_of(node) == kTreeLeafDepth;
}
// Of a node that is no leaf.
inline constexpr TreeNode child_of(TreeNode node, unsigned index) {
  return TreeNode{static_cast<std::uint32_t>(node) * kTreeFanout + index};
}

struct AgentRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;  // included
  bool operator==(const AgentRange&) const = default;
};
inline constexpr AgentRange range_of(TreeNode node) {
  const unsigned below =
      4 * (kTreeLeafDepth - depth_of(node)) + 4;  // bits that its agents differ in
  const std::uint64_t prefix =
      static_cast<std::uint32_t>(node) - (std::uint32_t{1} << 4 * depth_of(node));
  const std::uint64_t first = prefix << below;
  return {static_cast<std::uint32_t>(first),
          static_cast<std::uint32_t>(first + ((std::uint64_t{1} << below) - 1))};
}
inline constexpr TreeNode leaf_of(AgentId agent) {
  return TreeNode{(std::uint32_t{1} << 4 * kTreeLeafDepth) +
                  (static_cast<std::uint32_t>(agent) >> 4)};
}

}  // namespace rollcall
