#include "sidecar/source/plain_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace rollcall::sidecar {

std::optional<PlainFile> PlainFile::read(const std::string& path, std::size_t most) {
  // O_NONBLOCK: a pipe in its place must not stop the daemon.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  struct stat status {};
  PlainFile file;
  bool broken = ::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode);
  file.text_.resize(broken ? 0 : most);  // at once: growing would leave copies behind
  std::size_t size = 0;
  while (!broken && !file.whole_ && size < most) {
    const ssize_t got = ::read(fd, file.text_.data() + size, most - size);
    if (got > 0) size += static_cast<std::size_t>(got);
    file.whole_ = got == 0;
    broken = got < 0 && errno != EINTR;
  }
  ::close(fd);
  if (broken) return std::nullopt;
  file.text_.resize(size);
  return file;
}

PlainFile::~PlainFile() {
  text_.resize(text_.capacity());
  explicit_bzero(text_.data(), text_.size());
}

}  // namespace rollcall::sidecar
