// What is asked of wazuh-db and what its replies mean: the table of agents in compact pages, whole
// or what may have changed, and the fields of single agents. No socket, no clock; any thread, one
// at a time for each object.
//
// Only SELECTs, never above kMaxRequestBytes, never a secret column.
#pragma once
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/error.h"
#include "protocol/event.h"
#include "protocol/ids.h"
#include "sidecar/core/observation.h"
#include "sidecar/source/look_plan.h"
#include "wazuh/fields_read.h"
#include "wazuh/wdb_frame.h"

namespace rollcall::sidecar {

using wazuh::frame_request;
using wazuh::is_reply;
using wazuh::kMaxReplyBytes;
using wazuh::kMaxRequestBytes;
using wazuh::kReplyLimitBytes;
using wazuh::PageSize;
using wazuh::ReplyReader;
using wazuh::sql_quoted;

// How far Wazuh's own sync has to go with a row, in the order in which marks replace each other.
enum class SyncMark : std::uint8_t { synced, keepalive, status, fields };

// One reading of the table after another. Pages are ordered by id, so a scan ends whatever the
// replies are.
class TableScan {
 public:
  struct Options {
    // On the master's own table: only rows of this node, for the others are what workers reported.
    // Without it a table that shows agents on two nodes is an error.
    std::optional<NodeName> only_node_name = {};
    std::size_t page_rows = 1500;   // of rows with times in a window
    std::size_t whole_rows = 1000;  // of the whole table, whose rows are longer
    std::size_t max_rows = 2'000'000;
  };
  explicit TableScan(Options options);

  // Of the whole table, or of the rows with a time in the window. Forgets a scan that was under
  // way; the page sizes stay.
  // Rows of the `watched` are found under any node's name.
  void begin(std::optional<LookPlan::Window> window = {}, std::span<const AgentId> watched = {});
  // What to ask now.
  std::string request() const;

  struct More {};  // ask request() again
  struct Done {
    std::vector<Row> rows;              // by id, never the manager's own (0)
    std::vector<SyncMark> marks;        // one for each row, or none if this Wazuh has none
    std::vector<std::uint32_t> prints;  // as in Look; of the whole table only
    std::vector<AgentId> elsewhere;     // of the watched: under another node's name
  };
  // The reply to request(). After an error the scan is over: begin() again.
  std::expected<std::variant<More, Done>, Error> take(std::string_view reply);

  // What the first page said of the table; nothing before it came.
  struct Head {
    std::optional<std::int64_t> table_ms;  // wazuh-db's wall clock
    std::size_t table_rows = 0;            // agents of all nodes
  };
  const std::optional<Head>& head() const { return head_; }

  std::size_t page_size() const { return page().get(); }

 private:
  using Result = std::expected<std::variant<More, Done>, Error>;

  PageSize& page() { return window_ ? window_page_ : whole_page_; }
  const PageSize& page() const { return window_ ? window_page_ : whole_page_; }
  bool wants_prints() const { return !window_ && has_prints_; }
  Result ask_less(std::string_view why);
  bool forget_column(std::string_view complaint);
  std::optional<Error> add(std::string_view row_text);

  Options options_;
  std::string node_condition_, watched_;
  PageSize window_page_;
  PageSize whole_page_;
  bool has_marks_ = true;
  bool has_prints_ = true;
  std::optional<LookPlan::Window> window_;
  std::uint32_t last_ = 0;  // the highest id that was read
  std::size_t asked_ = 0;   // rows of the page that is being asked
  std::optional<Head> head_;
  Done done_;
};

// What the table says of some agents: the columns that a worker knows best, and the labels.
class InfoRead : public wazuh::FieldsRead {
 public:
  InfoRead();
};

// Whether a row's fields are what an agent said of itself. remoted writes `version` and `os_uname`
// (and what it makes of that) from one line of the agent's; a version alone it writes for an agent
// that it refuses, and neither for one that it only enrolled.
bool is_description(const AgentInfo& fields);

}  // namespace rollcall::sidecar
