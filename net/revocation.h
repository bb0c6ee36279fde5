#pragma once
// Certificates that no longer count: a file with one serial number (hex, as `openssl x509 -serial`
// prints it) on each line; '#' begins a comment. Read at start.
#include <expected>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rollcall::net {

// Upper-case digits without leading zeros; nothing if it is no serial. Leading zeros, colons and
// case do not matter.
std::optional<std::string> canonical_serial(std::string_view text);

class RevokedSerials {
 public:
  // No path: nothing is revoked. The error names the file and the line.
  static std::expected<RevokedSerials, Error> load(const std::string& path);
  static std::expected<RevokedSerials, Error> parse(std::string_view text, std::string_view file);

  bool contains(std::string_view serial) const;
  std::size_t size() const { return serials_.size(); }
  bool operator==(const RevokedSerials&) const = default;

 private:
  std::set<std::string, std::less<>> serials_;
};

}  // namespace rollcall::net
