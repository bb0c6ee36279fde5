// Which Wazuh it is, from what its database shows, and what follows from that. Pure, but for
// read_disconnection_time().
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/error.h"
#include "sidecar/core/observation.h"

namespace rollcall::sidecar {

struct WazuhVersion {
  std::string text;  // "4.14.7", "4.13 or later", "4.12 or earlier"; empty: not known
  // Since 4.13 a row's sync_status tells a keepalive, a change of status and new fields apart, and
  // agents speak every 20 s instead of every 10 s.
  bool since_4_13 = true;
  bool operator==(const WazuhVersion&) const = default;
};

// The question, a SELECT of one row, and what its reply means.
std::string version_request();
std::expected<WazuhVersion, Error> take_version(std::string_view reply);

// The manager's own <agents_disconnection_time> of <global>, in microseconds, if `text` is an
// ossec.conf that sets it: 90, 90s, 15m, 1h, 1d or 1w.
std::optional<std::int64_t> disconnection_time(std::string_view text);
// The same from etc/ossec.conf. The file holds secrets; nothing else of it is kept. Nothing if it
// is missing, unreadable, not a plain file, or longer than a megabyte.
std::optional<std::int64_t> read_disconnection_time(const std::string& path);

SourceDefaults defaults_of(const WazuhVersion& version, std::optional<std::int64_t> disconnection);

}  // namespace rollcall::sidecar
