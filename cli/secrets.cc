#include "cli/secrets.h"

#include <algorithm>
#include <string_view>

namespace rollcall::cli {
namespace {

constexpr std::size_t kTokenDigits = 64;
constexpr std::string_view kRemoved = "[removed]";

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void remove_keys(std::string& text) {
  constexpr std::string_view kEnd = "-----END ";
  for (std::size_t at = 0; (at = text.find("-----BEGIN ", at)) != std::string::npos;) {
    const std::size_t line = std::min(text.find('\n', at), text.size());
    if (text.substr(at, line - at).find("PRIVATE KEY") == std::string::npos) {
      at = line;
      continue;
    }
    // One that has no end takes all that is behind it.
    const std::size_t end = text.find(kEnd, at);
    const std::size_t over =
        end == std::string::npos ? text.size() : std::min(text.find('\n', end), text.size());
    text.replace(at, over - at, kRemoved);
    at += kRemoved.size();
  }
}

void remove_tokens(std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    if (!is_hex(text[at])) {
      ++at;
      continue;
    }
    const auto end = static_cast<std::size_t>(
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), is_hex) -
        text.begin());
    if (end - at == kTokenDigits) {
      text.replace(at, kTokenDigits, kRemoved);
      at += kRemoved.size();
    } else {
      at = end;
    }
  }
}

void remove_bearers(std::string& text) {
  constexpr std::string_view kBearer = "Bearer ";
  for (std::size_t at = 0; (at = text.find(kBearer, at)) != std::string::npos;) {
    at += kBearer.size();
    const std::size_t end = std::min(text.find_first_of(" \t\r\n\"'", at), text.size());
    text.replace(at, end - at, kRemoved);
  }
}

}  // namespace

std::string without_secrets(std::string text) {
  remove_keys(text);
  remove_bearers(text);
  remove_tokens(text);
  return text;
}

}  // namespace rollcall::cli
