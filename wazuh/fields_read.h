// Single agents' fields, read from wazuh-db. No socket, no clock; any thread, one at a time for
// each object.
#pragma once
#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/agent_info.h"
#include "protocol/error.h"
#include "protocol/ids.h"
#include "wazuh/wdb_frame.h"

namespace rollcall::wazuh {

// What the table says of some agents: those of the columns that are not NULL, each under its own
// name (an empty text is known to be empty), and labels as "label.KEY". Wazuh writes both at once,
// so they are read by one statement: half of one description with half of another would be no
// record.
class FieldsRead {
 public:
  static constexpr std::size_t kMaxAgents = 50;

  // As they stand in a SELECT: `name`, or "`group`" in backquotes where it is an SQL word. Double
  // quotes would make a column that is not there a text.
  explicit FieldsRead(std::vector<std::string_view> columns) : columns_(std::move(columns)) {}

  // At most kMaxAgents, each one once.
  void begin(std::vector<AgentId> agents);
  std::string request() const;

  struct More {};
  struct Done {
    // Each agent of begin(), in that order; without fields if the table has no such row, or if it
    // is one of the `problems`.
    std::vector<std::pair<AgentId, AgentInfo>> agents;
    std::vector<std::pair<AgentId, std::string>> problems;  // for the log
    std::vector<AgentId> without_labels;  // they do not fit; the other fields are there
  };
  std::expected<std::variant<More, Done>, Error> take(std::string_view reply);

 private:
  using Result = std::expected<std::variant<More, Done>, Error>;

  std::span<const AgentId> page() const;
  bool asks_labels() const { return has_labels_ && !without_labels_; }
  Result refused(std::string_view reply, const Error& error);
  Result ask_less(std::string_view why);
  Result deliver(std::vector<AgentInfo> found);
  // A column that this version of Wazuh does not have is asked no more.
  bool forget_column(std::string_view complaint);

  std::vector<std::string_view> columns_;
  std::vector<AgentId> agents_;
  std::size_t next_ = 0;
  PageSize page_{kMaxAgents};
  std::size_t asked_ = 0;
  bool without_labels_ = false;  // of this page, one agent: they do not fit
  Done done_;
  bool has_labels_ = true;
};

}  // namespace rollcall::wazuh
