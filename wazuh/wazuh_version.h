// Which Wazuh it is, from what its database shows. Pure.
#pragma once
#include <expected>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rollcall::wazuh {

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

}  // namespace rollcall::wazuh
