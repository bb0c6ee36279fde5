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
// name (an empty text is known to be empty), and labels as "label.KEY".
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

  std::vector<std::string_view> columns_;
  std::vector<AgentId> agents_;
  std::size_t next_ = 0;
  PageSize page_{kMaxAgents};
  std::size_t asked_ = 0;
  std::variant<Columns, Labels> stage_;
  Done done_;
  bool has_labels_ = true;
};

}  // namespace rollcall::wazuh
