// The master's table of agents as wazuh-db has it: status and node of each, page by page. Pure;
// one thread at a time for each object.
#pragma once
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"
#include "protocol/ids.h"
#include "wazuh/wdb_frame.h"

namespace rollcall::master {

enum class RowStatus : std::uint8_t { never_connected, pending, active, disconnected };
std::string_view to_string(RowStatus status);  // as in the table
std::optional<RowStatus> row_status(std::string_view text);

// What Wazuh's own table shows of an agent.
struct ShownRow {
  AgentId agent{};
  RowStatus status = RowStatus::never_connected;
  std::string node;  // "unknown" or empty if it never was on one
};

class TableRead {
 public:
  explicit TableRead(std::size_t page_rows = 1000) : page_(page_rows) {}

  // Forgets a reading that was under way; the page size stays.
  void begin();
  std::string request() const;

  struct Page {
    std::vector<ShownRow> rows;  // by id, never the manager's own (0)
    bool last = false;           // else ask request() again
  };
  // The reply to request(). No rows and not the last: the same is to be asked in smaller pages.
  // After an error the reading is over: begin() again.
  std::expected<Page, Error> take(std::string_view reply);

  // What the first page said beside its rows.
  std::int64_t table_s() const { return table_s_; }          // wazuh-db's wall clock
  const std::string& own_node() const { return own_node_; }  // whose table it is; empty: not said

 private:
  wazuh::PageSize page_;
  std::size_t asked_ = 0;
  std::uint32_t last_ = 0;
  bool first_ = true;
  std::int64_t table_s_ = 0;
  std::string own_node_;
};

}  // namespace rollcall::master
