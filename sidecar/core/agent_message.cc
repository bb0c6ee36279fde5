#include "sidecar/core/agent_message.h"

#include "protocol/agent_version.h"

namespace rollcall::sidecar {
namespace {

constexpr AgentVersion kFirstWithJson{4, 2, 0};

// Wazuh writes ids with three digits at least.
std::string padded(AgentId agent) {
  std::string id = std::to_string(static_cast<std::uint32_t>(agent));
  if (id.size() < 3) id.insert(0, 3 - id.size(), '0');
  return id;
}

}  // namespace

std::optional<std::string> restart_message(AgentId agent, std::string_view version) {
  const auto number = agent_version(version);
  if (!number) return std::nullopt;
  const std::string to = "(msg_to_agent) [] NNS " + padded(agent);
  if (*number < kFirstWithJson) return to + " restart-ossec0 - null (from_the_server) (no_rule_id)";
  return to +
         R"( {"version": 1, "origin": {"module": "framework"}, "command": "restart-wazuh0",)"
         R"( "parameters": {"extra_args": [], "alert": {}}} - null (from_the_server) (no_rule_id))";
}

std::string force_reconnect_message(AgentId agent) {
  return "(msg_to_agent) [] N!S " + padded(agent) + " force_reconnect";
}

}  // namespace rollcall::sidecar
