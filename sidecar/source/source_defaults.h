// What follows from which Wazuh it is, and from how it is configured. Pure, but for
// read_disconnection_time().
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/core/observation.h"
#include "wazuh/wazuh_version.h"

namespace rollcall::sidecar {

using wazuh::WazuhVersion;

// The manager's own <agents_disconnection_time> of <global>, in microseconds, if `text` is an
// ossec.conf that sets it: 90, 90s, 15m, 1h, 1d or 1w.
std::optional<std::int64_t> disconnection_time(std::string_view text);
// The same from etc/ossec.conf. The file holds secrets; nothing else of it is kept. Nothing if it
// is missing, unreadable, not a plain file, or longer than a megabyte.
std::optional<std::int64_t> read_disconnection_time(const std::string& path);

SourceDefaults defaults_of(const WazuhVersion& version, std::optional<std::int64_t> disconnection);

}  // namespace rollcall::sidecar
