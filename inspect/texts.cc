#include "inspect/texts.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <optional>

namespace rollcall::inspect {
namespace {

using std::chrono::microseconds;
using SysTime = std::chrono::sys_time<microseconds>;

// Takes `digits` digits from the beginning of `text`.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  int value = 0;
  if (text.size() < digits) return std::nullopt;
  const char* end = text.data() + digits;
  if (text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto [rest, problem] = std::from_chars(text.data(), end, value);
  if (problem != std::errc{} || rest != end) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// The microseconds of ".123"; 0 without a fraction.
std::optional<int> take_fraction(std::string_view& text) {
  if (!take(text, '.')) return 0;
  int value = 0;
  int digits = 0;
  while (auto digit = take_digits(text, 1)) {
    if (++digits > 6) return std::nullopt;
    value = value * 10 + *digit;
  }
  if (digits == 0) return std::nullopt;
  for (; digits < 6; ++digits) value *= 10;
  return value;
}

std::optional<SysTime> parse_calendar(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !(take(text, 'T') || take(text, ' '))) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute) return std::nullopt;
  std::optional<int> second = 0, fraction = 0;
  if (take(text, ':')) {
    second = take_digits(text, 2);
    if (second) fraction = take_fraction(text);
  }
  if (!second || !fraction || !take(text, 'Z') || !text.empty()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second) + microseconds(*fraction);
}

}  // namespace

std::string time_text(MasterTime at) {
  const std::time_t seconds = at.us / 1'000'000;
  std::tm parts{};
  if (at.us < 0 || ::gmtime_r(&seconds, &parts) == nullptr) return std::to_string(at.us) + " us";
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%s.%03dZ", date.data(),
                static_cast<int>(at.us % 1'000'000 / 1'000));
  return text.data();
}

std::string length_text(std::int64_t us) {
  const auto tenths = [](std::int64_t value, std::int64_t unit, const char* name) {
    const std::int64_t all = value * 10 / unit;
    std::string text = std::to_string(all / 10);
    if (all < 1'000 && all % 10 != 0) text += "." + std::to_string(all % 10);
    return text + " " + name;
  };
  constexpr std::int64_t kSecond = 1'000'000;
  if (us < 0) return "-" + length_text(-us);
  if (us < kSecond) return std::to_string(us / 1'000) + " ms";
  if (us < 2 * 60 * kSecond) return tenths(us, kSecond, "s");
  if (us < 2 * 3'600 * kSecond) return tenths(us, 60 * kSecond, "min");
  if (us < 48 * 3'600 * kSecond) return tenths(us, 3'600 * kSecond, "h");
  return tenths(us, 24 * 3'600 * kSecond, "d");
}

std::expected<MasterTime, Error> parse_time(std::string_view text) {
  std::int64_t us = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), us);
  const bool all_digits = problem == std::errc{} && rest == text.data() + text.size();
  // So many digits are no year, and a time in seconds would be the first hour of 1970.
  constexpr std::int64_t kLeast = 1'000'000'000'000, kMost = std::int64_t{1} << 60;
  if (all_digits && us >= kLeast && us <= kMost) return MasterTime{us};
  if (const auto time = parse_calendar(text)) return MasterTime{time->time_since_epoch().count()};
  return std::unexpected(Error{"\"" + std::string(text) +
                               "\" is not a time; allowed is UTC as 2026-11-23T02:40:10.123Z, the "
                               "seconds may be missing, or microseconds since 1970"});
}

}  // namespace rollcall::inspect
