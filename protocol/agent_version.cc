#include "protocol/agent_version.h"

#include <array>
#include <charconv>
#include <system_error>

namespace rollcall {
namespace {

constexpr std::size_t kLongestVersion = 64;

void skip(std::string_view& text, std::string_view prefix) {
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
}

}  // namespace

std::optional<AgentVersion> agent_version(std::string_view text) {
  if (text.size() > kLongestVersion) return std::nullopt;
  skip(text, "Wazuh ");
  skip(text, "v");
  text = text.substr(0, text.find('-'));
  std::array<std::uint32_t, 3> numbers{};
  const char* at = text.data();
  const char* end = at + text.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto [next, wrong] = std::from_chars(at, end, numbers[i]);
    if (wrong != std::errc()) return std::nullopt;
    at = next;
    if (at == end)
      return i == 0 ? std::nullopt
                    : std::optional(AgentVersion{numbers[0], numbers[1], numbers[2]});
    if (*at++ != '.') return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace rollcall
