#pragma once
// One change of one agent as a worker reports it: what a DELTA carries and the log keeps.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/agent_info.h"
#include "protocol/ids.h"
#include "protocol/version.h"

namespace rollcall {

// Wire numbers; never reused (docs/protocol.md, section 4).
enum class EventKind : std::uint8_t {
  opened = 1,     // the agent is here
  info = 2,       // what is known of the agent changed; the session goes on
  confirmed = 3,  // answers a CHALLENGE: heard again
  closed = 4,     // the agent left, with a reason
  removed = 5,    // the agent is gone from the source
  offered = 6,    // handoff notices (section 15)
  withdrawn = 7,
  released = 8,  // the agent went elsewhere; this session says nothing more
  contact = 9,   // only raises the agent's `hi`; its version is not compared
};
std::string_view to_string(EventKind kind);
// Whether a session is open after an event of this kind. `contact` says nothing and gives false.
bool leaves_open(EventKind kind);

// Why a session ended. Wire numbers; never reused.
enum class Reason : std::uint8_t {
  none = 0,
  shutdown = 1,
  no_keepalive = 2,
  worker_restart = 3,
  unconfirmed = 4,
  handoff_expired = 5,
  absent_from_inventory = 6,
  lease_expired = 7,
  removed = 8,
  invalid_version = 9,
  version_error = 10,
  moved = 11,  // released: another worker has it
  unknown = 12,
  node_forgotten = 13,  // by the master: an operator said that the worker is gone for good
};
inline constexpr Reason kLastReason = Reason::node_forgotten;
std::string_view to_string(Reason reason);

// Of an offer: longer is no handoff.
inline constexpr std::int64_t kLongestGraceUs = 86'400'000'000;

using InfoPtr = std::shared_ptr<const AgentInfo>;
enum class InfoHash : std::uint64_t {};
// XXH3-64 over the fields in order; the same on all workers for the same fields. Never 0.
InfoHash hash_of(const AgentInfo& info);

struct SessionName {
  Epoch epoch = kUnstamped;
  NodeName node;
  auto operator<=>(const SessionName&) const = default;
};

// Evidence: the earliest and the latest moment at which the agent can have spoken to the worker.
struct Evidence {
  MasterTime lo;
  MasterTime hi;
  auto operator<=>(const Evidence&) const = default;
};

struct Event {
  AgentId agent{};
  Epoch epoch = kUnstamped;
  std::uint32_t change = 0;
  EventKind kind = EventKind::opened;
  Evidence evidence;
  Reason reason = Reason::none;
  std::optional<InfoHash> info_hash;  // present whenever the worker knows the info
  InfoPtr info;                       // the fields themselves, when the master may not know them
  std::optional<SessionName> from;    // handoff: the session that this worker knows it had before
  std::uint32_t folded = 0;           // events of this agent that were folded into this one
  std::int64_t grace_us = 0;          // of `offered`: so long from now nobody calls it a disconnect
};
// Equality by content, the info's fields included.
bool operator==(const Event& a, const Event& b);

}  // namespace rollcall
