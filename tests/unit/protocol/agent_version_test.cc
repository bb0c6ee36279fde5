#include "protocol/agent_version.h"

#include <gtest/gtest.h>

#include <string>

namespace rollcall {
namespace {

TEST(AgentVersions, AreReadAsAgentsReportThemAndAsPeopleWriteThem) {
  for (const char* text : {"Wazuh v4.14.7", "v4.14.7", "4.14.7", "Wazuh v4.14.7-rc1"})
    EXPECT_EQ(agent_version(text), (AgentVersion{4, 14, 7})) << text;
  EXPECT_EQ(agent_version("Wazuh v4.2"), (AgentVersion{4, 2, 0}));
}

TEST(AgentVersions, AreComparedByNumber) {
  EXPECT_LT(*agent_version("Wazuh v4.1.99"), *agent_version("Wazuh v4.2.0"));
  EXPECT_LT(*agent_version("Wazuh v4.9.0"), *agent_version("Wazuh v4.14.0"));
  EXPECT_LT(*agent_version("Wazuh v3.13.6"), *agent_version("Wazuh v4.0.0"));
}

TEST(AgentVersions, AnyOtherTextIsNone) {
  for (const char* text : {"", "Wazuh", "Wazuh v", "Wazuh v4", "4", "4.", "v4.2.", "4.2.0.1",
                           "OSSEC HIDS v2.8.3", "4.x", "-4.2.0", " 4.2.0", "4.99999999999.0"})
    EXPECT_EQ(agent_version(text), std::nullopt) << text;
  EXPECT_EQ(agent_version("4.2.0-" + std::string(100, 'x')), std::nullopt);
}

}  // namespace
}  // namespace rollcall
