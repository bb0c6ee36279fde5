#include "sidecar/source/client_keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

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
  // O_NONBLOCK: a pipe in its place must not stop the daemon.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  struct stat file {};
  std::string text;
  bool whole = false;
  bool broken = ::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode);
  text.resize(broken ? 0 : kMaxBytes);
  std::size_t size = 0;
  while (!broken && !whole && size < text.size()) {
    const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
    if (got > 0) size += static_cast<std::size_t>(got);
    whole = got == 0;
    broken = got < 0 && errno != EINTR;
  }
  ::close(fd);

  std::optional<bool> answer;
  std::string_view left = std::string_view(text).substr(0, size);
  while (!broken && !answer && !left.empty()) {
    const auto end = left.find('\n');
    if (end == left.npos && !whole) break;
    if (enrols(left.substr(0, end))) answer = false;
    left.remove_prefix(end == left.npos ? left.size() : end + 1);
  }
  if (!broken && whole && !answer) answer = true;
  explicit_bzero(text.data(), text.size());
  return answer;
}

}  // namespace rollcall::sidecar
