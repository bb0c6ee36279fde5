#pragma once
// What remoted takes for an agent: the texts of datagrams to its queue/alerts/ar (docs/wazuh.md).
// It hands a text to the agent if that is connected to this very worker, and else drops it without
// a word. Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/ids.h"

namespace rollcall::sidecar {

// Restarts the agent. Agents since v4.2.0 understand one text, older ones another; `version` is
// what the agent reported. Nothing if that is no version: the wrong text would be ignored unseen.
std::optional<std::string> restart_message(AgentId agent, std::string_view version);

// Makes the agent drop its connection and choose a server anew.
std::string force_reconnect_message(AgentId agent);

// One of them on its way.
struct AgentDatagram {
  std::uint64_t number = 0;  // by which it is told how it went; 0: nobody asks
  std::string text;
  std::int64_t patience_us = 0;  // so long it may be tried
};

}  // namespace rollcall::sidecar
