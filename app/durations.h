#pragma once
#include <charconv>
#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rollcall::app {

// What parse_duration accepts, for error messages and manuals.
inline constexpr std::string_view kDurationForm =
    "a whole number with a unit, such as 250ms, 10s, 15m or 2h";

// Reads "250ms", "10s", "15m" or "2h". No sign, no fraction, no space; at most a year, so that
// sums of durations cannot overflow. The error says what is allowed.
inline std::expected<std::chrono::microseconds, Error> parse_duration(std::string_view text) {
  const auto refuse = [](std::string_view why) {
    return std::unexpected(Error{std::string(why) + "; allowed is " + std::string(kDurationForm)});
  };
  std::int64_t count = 0;
  const char* end = text.data() + text.size();
  // from_chars would take a minus sign.
  if (text.empty() || text.front() < '0' || text.front() > '9') return refuse("not a duration");
  const auto [rest, problem] = std::from_chars(text.data(), end, count);
  constexpr std::chrono::microseconds kLongest = std::chrono::hours(24 * 366);
  if (problem == std::errc::result_out_of_range) return refuse("longer than a year");
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  std::int64_t unit_us = 0;
  if (unit == "ms") {
    unit_us = 1'000;
  } else if (unit == "s") {
    unit_us = 1'000'000;
  } else if (unit == "m") {
    unit_us = 60'000'000;
  } else if (unit == "h") {
    unit_us = 3'600'000'000;
  } else {
    return refuse(unit.empty() ? "the unit is missing" : "not a duration");
  }
  if (count > kLongest.count() / unit_us) return refuse("longer than a year");
  return std::chrono::microseconds(count * unit_us);
}

// The shortest exact form that parse_duration reads back.
inline std::string to_text(std::chrono::microseconds duration) {
  const std::int64_t us = duration.count();
  if (us != 0 && us % 3'600'000'000 == 0) return std::to_string(us / 3'600'000'000) + "h";
  if (us != 0 && us % 60'000'000 == 0) return std::to_string(us / 60'000'000) + "m";
  if (us != 0 && us % 1'000'000 == 0) return std::to_string(us / 1'000'000) + "s";
  return std::to_string(us / 1'000) + "ms";
}

}  // namespace rollcall::app
