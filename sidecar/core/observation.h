#pragma once
// What a source tells the tracker: rows as Wazuh's table has them, read at a known time.
#include <cstdint>
#include <optional>
#include <vector>

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

}  // namespace rollcall::sidecar
