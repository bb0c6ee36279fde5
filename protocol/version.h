#pragma once
// The version that every change of an agent's status carries, and that means the same on all
// workers (docs/protocol.md, section 2).
#include <compare>
#include <cstdint>
#include <string>

#include "protocol/ids.h"

namespace rollcall {

// Values from here up belong to the master; from a worker they are a protocol error.
inline constexpr std::uint32_t kFirstMasterChange = 0x8000'0000u;
// Of a session that the master closes itself.
inline constexpr std::uint32_t kMasterCloses = 0xffff'ffffu;

// Compared member by member in this order: that order is the rule.
struct Version {
  Epoch epoch = kUnstamped;
  NodeName node;
  std::uint32_t change = 0;
  auto operator<=>(const Version&) const = default;

  // One stay of one agent on one worker is named by (epoch, node).
  bool same_session(const Version& other) const {
    return epoch == other.epoch && node == other.node;
  }
};

std::string to_string(const Version& v);  // "1700000000000000@w1+3"

}  // namespace rollcall
