#include "net/revocation.h"

#include <fstream>
#include <iterator>

namespace rollcall::net {

std::optional<std::string> canonical_serial(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == ':') continue;
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'))) return std::nullopt;
    if (out.empty() && c == '0') continue;
    out.push_back(c);
  }
  if (out.empty() || out.size() > 40) return std::nullopt;  // RFC 5280: at most 20 bytes
  return out;
}

std::expected<RevokedSerials, Error> RevokedSerials::load(const std::string& path) {
  if (path.empty()) return RevokedSerials{};
  // With errors as exceptions a folder or a disk error does not pass for an empty file.
  std::string text;
  try {
    std::ifstream file;
    file.exceptions(std::ios::failbit | std::ios::badbit);
    file.open(path);
    file.exceptions(std::ios::badbit);
    text.assign(std::istreambuf_iterator<char>(file), {});
  } catch (const std::ios::failure&) {
    return std::unexpected(
        Error{path + ": the list of revoked certificates cannot be read; create it (it may be "
                     "empty) or remove [tls] revoked"});
  }
  return parse(text, path);
}

std::expected<RevokedSerials, Error> RevokedSerials::parse(std::string_view text,
                                                           std::string_view file) {
  RevokedSerials out;
  std::size_t line = 0;
  while (!text.empty()) {
    ++line;
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view entry = text.substr(0, std::min(end, text.find('#')));
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto from = entry.find_first_not_of(" \t\r");
    if (from == std::string_view::npos) continue;
    entry = entry.substr(from, entry.find_last_not_of(" \t\r") - from + 1);
    auto serial = canonical_serial(entry);
    if (!serial) {
      return std::unexpected(
          Error{std::string(file) + ":" + std::to_string(line) +
                ": this is not a serial number; allowed are up to 40 hex digits, as "
                "`openssl x509 -noout -serial -in FILE` prints them behind serial="});
    }
    out.serials_.insert(std::move(*serial));
  }
  return out;
}

bool RevokedSerials::contains(std::string_view serial) const {
  const auto s = canonical_serial(serial);
  return s && serials_.contains(*s);
}

}  // namespace rollcall::net
