// What is asked of wazuh-db and what its replies mean: the table of agents in compact pages, whole
// or what may have changed, and the fields of single agents. No socket, no clock; any thread, one
// at a time for each object.
//
// Only SELECTs, never above kMaxRequestBytes, never a secret column. wazuh-db cuts a reply at
// kReplyLimitBytes without a sign, so a reply of that length, or one that is no JSON, is taken as
// cut: the same page is asked again with half as many rows.
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

namespace rollcall::sidecar {

// wazuh-db itself loses a thread for good above 65536 bytes.
inline constexpr std::size_t kMaxRequestBytes = 16384;
inline constexpr std::size_t kReplyLimitBytes = 65536;
// More than wazuh-db ever sends: longer is not its reply.
inline constexpr std::size_t kMaxReplyBytes = kReplyLimitBytes + 4096;

// Length (uint32, little endian) and text in one piece, since a client that stops inside a frame
// holds up one of wazuh-db's threads. An error if the text is empty or too long.
std::expected<std::string, Error> frame_request(std::string_view text);

// Puts the bytes of one reply together.
class ReplyReader {
 public:
  explicit ReplyReader(std::size_t most = kMaxReplyBytes) : most_(most) {}
  // The reply's text, once it is whole. An error if it would be too long, or if bytes follow it:
  // one request is asked at a time. After an error the connection is of no more use.
  std::expected<std::optional<std::string>, Error> feed(std::span<const std::byte> bytes);
  // For a new connection.
  void reset() { buffer_.clear(); }

 private:
  std::size_t most_;
  std::string buffer_;
};

// Whether this is wazuh-db speaking: `ok` or `err`, alone or with more behind it. If not, the other
// end is something else or out of step.
bool is_reply(std::string_view reply);

// 'it''s'
std::string sql_quoted(std::string_view text);

// How many rows to ask for at once: halved when a reply was cut, grown slowly when they fit.
class PageSize {
 public:
  explicit PageSize(std::size_t max) : max_(max), size_(max) {}
  std::size_t get() const { return size_; }
  // False if there is nothing left to halve.
  bool halve(std::size_t asked);
  void fitted();

 private:
  std::size_t max_;
  std::size_t size_;
  std::size_t fitted_ = 0;  // pages since the size changed
};

// How far Wazuh's own sync has to go with a row, in the order in which marks replace each other.
enum class SyncMark : std::uint8_t { synced, keepalive, status, fields };

// One reading of the table after another. Pages are ordered by id, so a scan ends whatever the
// replies are.
class TableScan {
 public:
  struct Options {
    // On the master's own table: only rows of this node, for the others are what workers reported.
    std::optional<NodeName> only_node_name = {};
    std::size_t page_rows = 1500;   // of rows with times in a window
    std::size_t whole_rows = 1000;  // of the whole table, whose rows are longer
    std::size_t max_rows = 2'000'000;
  };
  explicit TableScan(Options options);

  // Of the whole table, or of the rows with a time in the window. Forgets a scan that was under
  // way; the page sizes stay.
  void begin(std::optional<LookPlan::Window> window = {});
  // What to ask now.
  std::string request() const;

  struct More {};  // ask request() again
  struct Done {
    std::vector<Row> rows;              // by id, never the manager's own (0)
    std::vector<SyncMark> marks;        // one for each row, or none if this Wazuh has none
    std::vector<std::uint32_t> prints;  // as in Look; of the whole table only
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
  std::string node_condition_;
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

// What the table says of some agents: every column that is not NULL under its own name (an empty
// text is known to be empty), and labels as "label.KEY".
class InfoRead {
 public:
  static constexpr std::size_t kMaxAgents = 50;

  // At most kMaxAgents, each one once.
  void begin(std::vector<AgentId> agents);
  std::string request() const;

  struct More {};
  struct Done {
    // Each agent of begin(), in that order; without fields if the table has no such row, or if it
    // is one of the `problems`.
    std::vector<std::pair<AgentId, AgentInfo>> agents;
    std::vector<std::pair<AgentId, std::string>> problems;  // for the log
  };
  std::expected<std::variant<More, Done>, Error> take(std::string_view reply);

 private:
  struct Columns {};
  struct Labels {
    std::vector<AgentInfo> found;  // beside agents_[next_ ...]
  };
  using Result = std::expected<std::variant<More, Done>, Error>;

  std::span<const AgentId> page() const;
  Result take_columns(std::string_view reply);
  Result take_labels(std::string_view reply, std::vector<AgentInfo> found);
  Result deliver(std::vector<AgentInfo> found);
  // A column that this version of Wazuh does not have is asked no more.
  bool forget_column(std::string_view complaint);

  std::vector<AgentId> agents_;
  std::size_t next_ = 0;
  PageSize page_{kMaxAgents};
  std::size_t asked_ = 0;
  std::variant<Columns, Labels> stage_;
  Done done_;
  std::vector<std::string_view> missing_columns_;
  bool has_labels_ = true;
};

}  // namespace rollcall::sidecar
