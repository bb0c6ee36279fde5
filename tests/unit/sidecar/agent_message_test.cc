#include "sidecar/core/agent_message.h"

#include <gtest/gtest.h>

namespace rollcall::sidecar {
namespace {

TEST(AgentMessages, ARestartIsJsonForAgentsSince4_2) {
  const std::string expected =
      R"((msg_to_agent) [] NNS 007 {"version": 1, "origin": {"module": "framework"}, "command": )"
      R"("restart-wazuh0", "parameters": {"extra_args": [], "alert": {}}} - null )"
      R"((from_the_server) (no_rule_id))";
  EXPECT_EQ(restart_message(AgentId{7}, "Wazuh v4.2.0"), expected);
  EXPECT_EQ(restart_message(AgentId{7}, "Wazuh v4.14.7"), expected);
}

TEST(AgentMessages, ARestartIsAPlainWordForOlderAgents) {
  EXPECT_EQ(restart_message(AgentId{42}, "Wazuh v4.1.5"),
            "(msg_to_agent) [] NNS 042 restart-ossec0 - null (from_the_server) (no_rule_id)");
  EXPECT_EQ(restart_message(AgentId{42}, "Wazuh v3.13.6"),
            "(msg_to_agent) [] NNS 042 restart-ossec0 - null (from_the_server) (no_rule_id)");
}

TEST(AgentMessages, WithoutAVersionNoRestartIsGuessed) {
  EXPECT_EQ(restart_message(AgentId{7}, ""), std::nullopt);
  EXPECT_EQ(restart_message(AgentId{7}, "unknown"), std::nullopt);
}

TEST(AgentMessages, IdsHaveThreeDigitsOrMore) {
  EXPECT_EQ(force_reconnect_message(AgentId{7}), "(msg_to_agent) [] N!S 007 force_reconnect");
  EXPECT_EQ(force_reconnect_message(AgentId{999}), "(msg_to_agent) [] N!S 999 force_reconnect");
  EXPECT_EQ(force_reconnect_message(AgentId{12345}), "(msg_to_agent) [] N!S 12345 force_reconnect");
}

}  // namespace
}  // namespace rollcall::sidecar
