#pragma once
// Handoff on the worker's side (docs/protocol.md, section 15): what a worker that is drained, or
// whose manager stops, says of its sessions, and what became of it. Both are stored.
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"
#include "protocol/event.h"
#include "sidecar/core/timeline.h"

namespace rollcall::sidecar {

// An operator empties this worker, until he takes it back. Survives a restart.
struct Drain {
  std::uint64_t number = 0;  // counts the drains of this store
  LocalMoment since;
  std::int64_t grace_us = 300'000'000;
  std::uint32_t move_per_s = 0;  // so many agents are asked to reconnect each second; 0: none
  bool operator==(const Drain&) const = default;
};
std::string to_text(const Drain& drain);
std::optional<Drain> drain_of(std::string_view text);
// Whether an operator may ask for it.
std::expected<void, Error> check(const Drain& drain);

// The newest offer of an agent's session. Numbers are stored; never reused.
struct Handoff {
  enum class Cause : std::uint8_t { drain = 1, manager = 2 };
  enum class End : std::uint8_t {
    none = 0,       // the offer stands
    stayed = 1,     // the agent spoke here after it
    withdrawn = 2,  // the operator took it back
    taken = 3,      // another worker has the agent
    expired = 4,    // nobody heard it within the grace
    over = 5,       // its session ended otherwise
  };
  Cause cause = Cause::drain;
  std::uint64_t drain = 0;  // its number, if that is the cause
  LocalMoment made;
  std::int64_t grace_us = 0;
  Reason left = Reason::none;  // the source showed since that it left, and why
  End end = End::none;
  LocalMoment ended;
  NodeName to;  // taken: by whom
  bool operator==(const Handoff&) const = default;
};
std::string_view to_string(Handoff::Cause cause);
std::string_view to_string(Handoff::End end);

// An agent came here from another worker, or was given up to one although it was not offered.
// Numbers are stored; never reused.
struct Move {
  enum class Kind : std::uint8_t { took = 1, released = 2 };
  Kind kind = Kind::took;
  NodeName node;  // from which, or to which
  LocalMoment at;
  bool operator==(const Move&) const = default;
};
std::string_view to_string(Move::Kind kind);
// So many of an agent are kept, the newest.
inline constexpr std::size_t kMovesKept = 4;
void remember(std::vector<Move>& moves, Move move);

// Messages that ask agents to connect anew, and what became of them.
struct MovesAsked {
  std::uint64_t taken = 0;   // Wazuh has it for the agent
  std::uint64_t failed = 0;  // it does not, so the agent was not asked
  std::string why;           // the last one failed
};

// How far a drain has come: agents that were here when it began, or came since.
struct DrainProgress {
  std::size_t waiting = 0;                // not offered yet
  std::size_t offered = 0;                // and nothing heard since
  std::size_t stayed = 0;                 // spoke here after the offer
  std::size_t expired = 0;                // heard nowhere within the grace
  std::map<NodeName, std::size_t> taken;  // by whom
  std::size_t left() const { return waiting + offered + stayed; }
};

}  // namespace rollcall::sidecar
