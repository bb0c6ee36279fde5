#pragma once
// Times and lengths as people read them.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "protocol/error.h"
#include "protocol/ids.h"

namespace rollcall::inspect {

std::string time_text(MasterTime at);      // "2026-11-23T02:40:10.123Z"
std::string length_text(std::int64_t us);  // "250 ms", "3.2 s", "15 min", "4.5 h", "3 d"

// Reads what time_text() writes, also without seconds or their fraction, and microseconds since
// 1970.
std::expected<MasterTime, Error> parse_time(std::string_view text);

}  // namespace rollcall::inspect
