#include "wazuh/wazuh_version.h"

#include <simdjson.h>

#include <charconv>
#include <cstdint>

namespace rollcall::wazuh {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kMaxVersionBytes = 32;

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

}  // namespace rollcall::wazuh
