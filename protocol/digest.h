#pragma once
// A digest of a set of sessions: the sum modulo 2^128 of one hash for each. It does not depend on
// an order, and a session that comes or goes is added or taken away (docs/protocol.md, section 14).
#include <compare>
#include <cstdint>
#include <string_view>

#include "protocol/ids.h"

namespace rollcall {

struct Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  Digest& operator+=(const Digest& other) {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
    return *this;
  }
  Digest& operator-=(const Digest& other) {
    high -= other.high + (low < other.low ? 1 : 0);
    low -= other.low;
    return *this;
  }
  auto operator<=>(const Digest&) const = default;
};

// XXH3-128 of the three, the same on every machine.
Digest digest_of(AgentId agent, Epoch epoch, std::uint32_t change);

}  // namespace rollcall
