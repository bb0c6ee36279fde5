#include "sidecar/source/wazuh_version.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "sidecar/source/plain_file.h"

namespace rollcall::sidecar {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kMaxConfigBytes = 1 << 20;
constexpr std::size_t kMaxVersionBytes = 32;
constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kLongestS = 366LL * 86'400;

// "Wazuh v4.14.7" -> "4.14.7"; empty if it is anything else.
std::string_view number_of(std::string_view version) {
  constexpr std::string_view kBefore = "Wazuh v";
  if (!version.starts_with(kBefore)) return {};
  version.remove_prefix(kBefore.size());
  const bool plain = version.find_first_not_of("0123456789.") == version.npos;
  return plain && version.size() <= kMaxVersionBytes ? version : std::string_view();
}

// 4.13 -> 4013
int series_of(std::string_view number) {
  int major = 0;
  int minor = 0;
  const char* end = number.data() + number.size();
  const auto [dot, wrong] = std::from_chars(number.data(), end, major);
  if (wrong != std::errc() || dot == end || *dot != '.') return 0;
  if (std::from_chars(dot + 1, end, minor).ec != std::errc() || major > 1000 || minor > 999)
    return 0;
  return major * 1000 + minor;
}

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

std::string version_request() {
  return "global sql SELECT (SELECT version FROM agent WHERE id=0) v,(SELECT count(*) FROM"
         " sqlite_master WHERE name='agent' AND sql LIKE '%syncreq_keepalive%') k";
}

std::expected<WazuhVersion, Error> take_version(std::string_view reply) {
  dom::parser parser;
  dom::array rows;
  dom::object row;
  std::int64_t marks = 0;
  if (!reply.starts_with("ok ") ||
      parser.parse(reply.data() + 3, reply.size() - 3).get(rows) != simdjson::SUCCESS ||
      rows.size() != 1 || rows.at(0).get(row) != simdjson::SUCCESS ||
      row.at_key("k").get(marks) != simdjson::SUCCESS) {
    return std::unexpected(Error{"wazuh-db's answer does not say which version it is"});
  }
  std::string_view version;
  if (row.at_key("v").get(version) != simdjson::SUCCESS) version = {};
  version = number_of(version);
  // After an upgrade the manager's own row is late; how the table was made is not.
  const bool since_4_13 = marks > 0;
  const int series = series_of(version);
  const bool fits = series != 0 && (series >= 4013) == since_4_13;
  return WazuhVersion{fits         ? std::string(version)
                      : since_4_13 ? "4.13 or later"
                                   : "4.12 or earlier",
                      since_4_13};
}

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
