#pragma once
// What a source tells the tracker: rows as Wazuh's table has them, read at a known time, or single
// events (docs/events.md).
#include <cstdint>
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
  // Starts and stops that the source counted, where it can: tells visits that whole seconds hide.
  std::uint32_t visits = 0;
  bool operator==(const Row&) const = default;

  bool present() const { return status == RowStatus::active || status == RowStatus::pending; }
};

// One look at the whole table.
struct Look {
  Now started;                   // before the first request was written
  Now finished;                  // after the last reply was read
  bool complete = true;          // every row was read; only such a look may find rows missing
  std::uint64_t connection = 0;  // another number after every reconnect to the source
  // What the list of enrolled agents says, asked only when the table is empty: true if it is too.
  std::optional<bool> no_agents_enrolled;
  std::vector<Row> rows;
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
