#include "persist/file_ops.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace rollcall::persist {
namespace {

constexpr mode_t kFileMode = 0640;

std::unexpected<SystemError> failed() {
  return std::unexpected(SystemError{errno});
}

template <typename Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

std::expected<void, SystemError> done(int result) {
  if (result < 0) return failed();
  return {};
}

}  // namespace

std::expected<int, SystemError> PosixFileOps::open(const std::filesystem::path& path, Open how) {
  int flags = O_CLOEXEC | O_NOFOLLOW | (how == Open::kReadOnly ? O_RDONLY : O_RDWR);
  if (how == Open::kEmpty) flags |= O_CREAT | O_TRUNC;
  const int fd = retried([&] { return ::open(path.c_str(), flags, kFileMode); });
  if (fd < 0) return failed();
  return fd;
}

void PosixFileOps::close(int fd) {
  ::close(fd);
}

std::expected<std::size_t, SystemError> PosixFileOps::read_at(int fd, char* into, std::size_t size,
                                                              std::uint64_t offset) {
  const auto count = retried([&] { return ::pread(fd, into, size, static_cast<off_t>(offset)); });
  if (count < 0) return failed();
  return static_cast<std::size_t>(count);
}

std::expected<std::size_t, SystemError> PosixFileOps::write_at(int fd, std::string_view bytes,
                                                               std::uint64_t offset) {
  const auto count =
      retried([&] { return ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
  if (count < 0) return failed();
  return static_cast<std::size_t>(count);
}

std::expected<void, SystemError> PosixFileOps::truncate(int fd, std::uint64_t size) {
  return done(retried([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }));
}

std::expected<void, SystemError> PosixFileOps::sync_data(int fd) {
  // Not tried again on EINTR or anything else: a second call may report success for data that
  // the first one lost. The caller writes the data again.
  return done(::fdatasync(fd));
}

std::expected<void, SystemError> PosixFileOps::sync_directory(const std::filesystem::path& path) {
  const int fd = retried([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return failed();
  const auto result = done(::fsync(fd));
  ::close(fd);
  return result;
}

std::expected<void, SystemError> PosixFileOps::rename(const std::filesystem::path& from,
                                                      const std::filesystem::path& to) {
  return done(::rename(from.c_str(), to.c_str()));
}

std::expected<void, SystemError> PosixFileOps::unlink(const std::filesystem::path& path) {
  return done(::unlink(path.c_str()));
}

}  // namespace rollcall::persist
