#pragma once
// The master's records as JSON. The pages and the tool that reads the log show them alike.
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "inspect/page_tools.h"
#include "master/core/history.h"
#include "master/core/master_core.h"
#include "master/sink/sink_core.h"

namespace rollcall::inspect {

Json version_json(const Version& v);
Json reason_json(Reason reason);
Json time_json(const std::optional<MasterTime>& at);

// What stands beside an agent's record and is not part of it.
struct AgentBeside {
  master::NodeStanding standing;           // of its worker
  std::optional<bool> node_connected;  // not known from a log
  std::optional<bool> contested;
};

// "unknown" if only contacts are known of it.
std::string_view status_text(const AgentRecord& a, const master::NodeStanding& of_its_node);
// Names of the fields that the record does not know, in the order in which it is shown.
Json unknown_json(const AgentRecord& a);
Json agent_json(AgentId id, const AgentRecord& a, const AgentBeside& beside);

struct NodeView {
  NodeName name;
  master::MasterCore::NodeStatus status;
  StreamId stream{};
  StoreId store{};
  std::uint64_t last_seq = 0;
  std::size_t open_sessions = 0;
};
Json node_json(const NodeView& n);
Json lease_json(const master::MasterCore::NodeStatus& status);

struct MasterView;
Json status_json(const MasterView& view);  // /status; loop thread

// What the sink says of itself, for /status and /sink.
Json sink_json(const master::SinkCore& sink);
Json feed_json(const master::FeedEntry& e);
Json contest_json(const master::MasterCore::Contest& c, std::size_t flapping);

Json decision_json(const master::Decision& d);
Json history_json(const master::History::Entry& e);

}  // namespace rollcall::inspect
