#pragma once
// What a source tells the tracker: rows as Wazuh's table has them, read at a known time, or single
// events (docs/events.md).
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "protocol/event.h"
#include "protocol/ids.h"
#include "protocol/now.h"

namespace rollcall::sidecar {

enum class RowStatus : std::uint8_t {
  never_connected = 0,
  pending = 1,
  active = 2,
  disconnected = 3
};

struct Row {
  AgentId agent{};
  RowStatus status = RowStatus::never_connected;
  std::int64_t keepalive_s = 0;  // whole seconds of this machine's wall clock; 0: none
  std::uint8_t code = 0;         // Wazuh's status_code
  // Visits that the source noticed though whole seconds hide them, since its own start: more than
  // before is a visit, less means nothing.
  std::uint32_t visits = 0;
  bool operator==(const Row&) const = default;

  bool present() const { return status == RowStatus::active || status == RowStatus::pending; }
};

// What follows from which Wazuh it is; 0 is not known.
struct SourceDefaults {
  std::int64_t keepalive_us = 0;      // how often its agents speak
  std::int64_t agent_timeout_us = 0;  // a silence after which it takes an agent as gone
};

// One look at the table.
struct Look {
  Now started;                     // before the first request was written
  Now finished;                    // after the last reply was read
  bool complete = true;            // every row was read; only such a look may find rows missing
  std::vector<AgentId> late = {};  // by id: they may be as they are since before the look before
  std::uint64_t connection = 0;    // another number after every reconnect to the source
  // If it is not complete: a row that is not here has no keepalive in these seconds, first and last
  // included.
  std::int64_t from_s = std::numeric_limits<std::int64_t>::min();
  std::int64_t to_s = std::numeric_limits<std::int64_t>::max();
  // Asked only when a complete look found no row: true if there is none to find, since no agent is
  // enrolled or all are other nodes'.
  std::optional<bool> no_agents_enrolled;
  SourceDefaults defaults;
  std::vector<Row> rows;
  // Beside `rows`, or empty: a number for each that changes when the agent's fields do.
  std::vector<std::uint32_t> prints;
};

// What an events source tells of one agent.
struct Observation {
  enum class Kind : std::uint8_t { connect, keepalive, disconnect, remove };

  AgentId agent{};
  Kind kind = Kind::connect;
  std::int64_t boot_us = 0;      // when, by this machine's boot-time clock
  bool heard = false;            // the agent itself spoke then, so that it is evidence
  Reason reason = Reason::none;  // of a disconnect
  InfoPtr info = {};             // null: not told
  bool info_clipped = false;     // it was larger than a frame may be
};

}  // namespace rollcall::sidecar
