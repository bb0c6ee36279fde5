#include "sidecar/source/client_keys.h"

#include <cstddef>
#include <string_view>

#include "sidecar/source/plain_file.h"

namespace rollcall::sidecar {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;

// "001 web-1 any 6d79..."; removed: "001 !web-1 any 6d79..."
bool enrols(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with('#') || line.find_first_not_of(" \t") == line.npos) return false;
  const auto space = line.find(' ');
  return space == line.npos || !line.substr(space + 1).starts_with('!');
}

}  // namespace

std::optional<bool> no_agents_enrolled(const std::string& path) {
  const auto file = PlainFile::read(path, kMaxBytes);
  if (!file) return std::nullopt;
  std::string_view left = file->text();
  while (!left.empty()) {
    const auto end = left.find('\n');
    if (end == left.npos && !file->whole()) break;
    if (enrols(left.substr(0, end))) return false;
    left.remove_prefix(end == left.npos ? left.size() : end + 1);
  }
  return file->whole() ? std::optional(true) : std::nullopt;
}

}  // namespace rollcall::sidecar
