#pragma once
// Identities that both sides agree on. Each is a type of its own, so that they cannot be swapped.
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rollcall {

// An endpoint with a Wazuh agent. 0 is the manager itself and never travels.
enum class AgentId : std::uint32_t {};

// Microseconds since the Unix epoch in the master's time: when the agent was first known to be on
// a worker (docs/protocol.md, section 2). 0 means "not stamped yet" and never travels.
enum class Epoch : std::uint64_t {};
inline constexpr Epoch kUnstamped{0};

// A moment in the master's time, microseconds since the Unix epoch.
struct MasterTime {
  std::int64_t us = 0;
  auto operator<=>(const MasterTime&) const = default;
};
inline MasterTime time_of(Epoch e) {
  return {static_cast<std::int64_t>(e)};
}
// An epoch from a moment; moments before 1 become the smallest epoch.
inline Epoch epoch_at(MasterTime t) {
  return Epoch{t.us < 1 ? 1u : static_cast<std::uint64_t>(t.us)};
}
inline Epoch next(Epoch e) {
  return Epoch{static_cast<std::uint64_t>(e) + 1};
}

// A worker by name: 1 to 64 of letters, digits, '.', '_' and '-'. Compared bytewise.
using NodeName = std::string;
inline constexpr std::size_t kMaxNodeName = 64;
bool is_valid_node_name(std::string_view name);

// Random 64-bit identities; 0 means "none yet".
enum class MasterId : std::uint64_t {};  // one event log
enum class Term : std::uint64_t {};      // new whenever the master may have lost something
enum class StoreId : std::uint64_t {};   // one sidecar store
enum class StreamId : std::uint64_t {};  // one run of events of one sidecar (section 4)

std::string to_hex(std::uint64_t id);  // 16 lower-case digits, for people
std::string id_text(AgentId id);       // for people, in decimal and without leading zeros

}  // namespace rollcall

template <>
struct std::hash<rollcall::AgentId> {
  std::size_t operator()(rollcall::AgentId id) const noexcept {
    // Ids are small and dense: spread them, so that tables of any size work.
    return static_cast<std::size_t>(id) * 0x9E3779B97F4A7C15ull;
  }
};
