#include "sidecar/source/source_defaults.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "sidecar/source/plain_file.h"

namespace rollcall::sidecar {
namespace {

constexpr std::size_t kMaxConfigBytes = 1 << 20;
constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kLongestS = 366LL * 86'400;

std::string without_comments(std::string_view text) {
  std::string out;
  out.reserve(text.size());  // growing would leave copies behind
  while (true) {
    const auto begin = text.find("<!--");
    out += text.substr(0, begin);
    if (begin == text.npos) return out;
    const auto end = text.find("-->", begin);
    if (end == text.npos) return out;
    text.remove_prefix(end + 3);
  }
}

// What stands between <name> and </name>, from `at` on; moves `at` behind it.
std::optional<std::string_view> element(std::string_view text, std::string_view name,
                                        std::size_t& at) {
  const std::string open = "<" + std::string(name) + ">";
  const std::string close = "</" + std::string(name) + ">";
  const auto begin = text.find(open, at);
  if (begin == text.npos) return std::nullopt;
  const auto end = text.find(close, begin);
  if (end == text.npos) return std::nullopt;
  at = end + close.size();
  return text.substr(begin + open.size(), end - begin - open.size());
}

std::optional<std::int64_t> seconds_in(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  std::int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, wrong] = std::from_chars(text.data(), end, count);
  if (wrong != std::errc() || count < 1 || count > kLongestS) return std::nullopt;
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  unit = unit.substr(0, unit.find_last_not_of(kSpace) + 1);
  const std::int64_t seconds = unit.empty() || unit == "s" ? 1
                               : unit == "m"               ? 60
                               : unit == "h"               ? 3'600
                               : unit == "d"               ? 86'400
                               : unit == "w"               ? 7 * 86'400
                                                           : 0;
  if (seconds == 0 || count * seconds > kLongestS) return std::nullopt;
  return count * seconds;
}

}  // namespace

std::optional<std::int64_t> disconnection_time(std::string_view text) {
  std::string plain = without_comments(text);
  std::optional<std::int64_t> found;  // the last one counts, as for Wazuh
  for (std::size_t at = 0; const auto global = element(plain, "global", at);) {
    for (std::size_t in = 0; const auto time = element(*global, "agents_disconnection_time", in);) {
      if (const auto seconds = seconds_in(*time)) found = *seconds * kSecondUs;
    }
  }
  explicit_bzero(plain.data(), plain.size());
  return found;
}

std::optional<std::int64_t> read_disconnection_time(const std::string& path) {
  const auto file = PlainFile::read(path, kMaxConfigBytes);
  if (!file || !file->whole()) return std::nullopt;
  return disconnection_time(file->text());
}

SourceDefaults defaults_of(const WazuhVersion& version, std::optional<std::int64_t> disconnection) {
  const std::int64_t keepalive_us = (version.since_4_13 ? 20 : 10) * kSecondUs;
  const std::int64_t timeout_us = (version.since_4_13 ? 900 : 600) * kSecondUs;
  // Less than a few keepalives would end sessions of agents that are well.
  return {.keepalive_us = keepalive_us,
          .agent_timeout_us = std::max(disconnection.value_or(timeout_us), 3 * keepalive_us)};
}

}  // namespace rollcall::sidecar
