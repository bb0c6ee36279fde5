#pragma once
// Which software an agent runs, as its `version` says. Pure.
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rollcall {

struct AgentVersion {
  std::uint32_t major = 0, minor = 0, patch = 0;
  auto operator<=>(const AgentVersion&) const = default;
};

// "Wazuh v4.14.7" as agents report it, "v4.14.7" and "4.14.7" as people write it; what follows a
// '-' does not count. Nothing of any other text: of that no version is guessed.
std::optional<AgentVersion> agent_version(std::string_view text);

}  // namespace rollcall
