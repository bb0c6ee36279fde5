#include "cli/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

namespace rollcall::cli {
namespace {

constexpr std::size_t kLeastColumns = 20, kMostColumns = 1000;

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::size_t number_or(std::string_view text, std::size_t otherwise) {
  std::size_t number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = wrong == std::errc() && end == text.data() + text.size();
  return whole && number > 0 ? number : otherwise;
}

std::string_view code_of(Tone tone) {
  switch (tone) {
    case Tone::good:
      return "32";
    case Tone::notice:
      return "36";
    case Tone::warning:
      return "33";
    case Tone::bad:
      return "31";
    case Tone::dim:
      return "2";
    case Tone::strong:
      return "1";
    case Tone::plain:
      break;
  }
  return "";
}

}  // namespace

Screen screen_of(int descriptor) {
  Screen s;
  s.terminal = ::isatty(descriptor) == 1;
  winsize size{};
  if (s.terminal && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    s.columns = size.ws_col;
    if (size.ws_row > 0) s.lines = size.ws_row;
  } else {
    s.columns = number_or(environment("COLUMNS"), s.columns);
  }
  s.columns = std::clamp(s.columns, kLeastColumns, kMostColumns);
  s.colours = s.terminal && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
  return s;
}

Screen screen() {
  return screen_of(STDOUT_FILENO);
}

std::string toned(std::string_view text, Tone tone, bool colours) {
  const std::string_view code = code_of(tone);
  if (!colours || code.empty() || text.empty()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

Tone tone_of(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, Tone>, 24> kTones = {{
      {"active", Tone::good},       {"up", Tone::good},
      {"valid", Tone::good},        {"equal", Tone::good},
      {"connect", Tone::good},      {"reachable", Tone::good},
      {"streaming", Tone::good},    {"ok", Tone::good},
      {"migrating", Tone::notice},  {"migrate", Tone::notice},
      {"frozen", Tone::notice},     {"pending", Tone::notice},
      {"greeting", Tone::notice},   {"unreachable", Tone::warning},
      {"lapsed", Tone::warning},    {"held", Tone::warning},
      {"contested", Tone::warning}, {"away", Tone::warning},
      {"blind", Tone::warning},     {"disconnected", Tone::bad},
      {"disconnect", Tone::bad},    {"down", Tone::bad},
      {"expired", Tone::bad},       {"differs", Tone::bad},
  }};
  const auto found = std::ranges::find(kTones, word, &std::pair<std::string_view, Tone>::first);
  return found == kTones.end() ? Tone::plain : found->second;
}

}  // namespace rollcall::cli
