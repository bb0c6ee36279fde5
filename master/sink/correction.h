// Where Wazuh's table on the master differs from what was decided, and what to write there instead.
// Pure: the rules of docs/wazuh.md, "What the sink writes".
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "master/core/state.h"
#include "master/sink/table_read.h"
#include "protocol/agent_info.h"

namespace rollcall::master {

// What was decided, as it stands.
struct DecidedView {
  const State& state;
  MasterTime at;
  std::uint64_t events = 0;  // changes whenever something was decided
  // The worker's sidecar is there, and both sides agree on its sessions.
  std::function<bool(const NodeName&)> proven;
  // The agent is asked for, contested, or on its way: nothing is said of it now.
  std::function<bool(AgentId)> unsettled;
};

// Which node of Wazuh's tables is which worker's.
class NodeNames {
 public:
  NodeNames() = default;
  explicit NodeNames(const std::map<NodeName, std::string>& in_wazuh);
  const std::string& in_wazuh(const NodeName& node) const;
  // The worker that this name is for, if there is a name for it or it is one.
  NodeName of(const std::string& in_wazuh) const;

 private:
  std::map<NodeName, std::string> in_wazuh_;
  std::map<std::string, NodeName> of_;
};

// Why a row that differs is left as it is.
enum class Withheld : std::uint8_t {
  removed,      // the agent is gone
  moving,       // its last worker let it go, and no other has told of it
  unreachable,  // its worker's sidecar is not proven to be there
  unsettled,    // see DecidedView
  no_sidecar,   // by Wazuh's row it was last on a node without one
  own_node,     // the row would be of the node whose table it is, and there be taken for evidence
  incomplete,   // its version is not known, and a blank would be written
  unreadable,   // the row, or its labels, could not be read as they are
  refused,      // wazuh-db refuses this very row, and takes others
};
inline constexpr Withheld kLastWithheld = Withheld::refused;
std::string_view to_string(Withheld why);

struct Agrees {};
struct Differs {
  SessionName session;  // that was decided on
  bool open = false;
  bool operator==(const Differs&) const = default;
};
using Verdict = std::variant<Agrees, Differs, Withheld>;

// `own_node`: whose table it is, in Wazuh's words; empty: not known.
Verdict judge(const ShownRow& row, const DecidedView& view, const NodeNames& names,
              std::string_view own_node);

// What is read of an agent before anything is written: all that a full row would replace.
std::span<const std::string_view> row_columns();
std::optional<ShownRow> shown(AgentId agent, const AgentInfo& row);

struct Correction {
  enum class Kind : std::uint8_t {
    fields,     // the whole row
    status,     // only connection_status and what belongs to it
    keepalive,  // active, and heard now
  };
  struct Change {
    std::string field, before, after;
  };
  AgentId agent{};
  Kind kind = Kind::fields;
  AgentInfo before, after;  // whole rows, with labels as "label.KEY"
  std::vector<Change> changes;
};
std::string_view to_string(Correction::Kind kind);

// `row` as it was just read, of an agent that differs. `table_s`: wazuh-db's clock.
std::variant<Correction, Withheld> correct(AgentId agent, const AgentInfo& row,
                                           const AgentRecord& record, const NodeNames& names,
                                           std::int64_t table_s);

// Of the HTTP request POST /v1/agents/sync.
std::string http_body(std::span<const Correction> corrections);
// One row of `global sync-agent-info-set [row,row]`.
std::string full_row(const Correction& correction);

}  // namespace rollcall::master
