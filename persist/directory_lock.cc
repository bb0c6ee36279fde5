#include "persist/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <vector>

namespace rollcall::persist {
namespace {

constexpr const char* kLockName = "owner.lock";

std::string read_pid(int fd) {
  std::array<char, 24> text{};
  const auto size = ::pread(fd, text.data(), text.size(), 0);
  std::string pid(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  return pid.substr(0, pid.find_first_not_of("0123456789"));
}

}  // namespace

Error system_error(const std::string& message, int number) {
  return {message + ": " + std::generic_category().message(number)};
}

std::expected<DirectoryLock, Error> DirectoryLock::take(const std::filesystem::path& directory,
                                                        const std::string& what) {
  const auto path = directory / kLockName;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return std::unexpected(system_error("cannot open " + path.string(), errno));
  DirectoryLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return std::unexpected(system_error("cannot lock " + path.string(), errno));
    }
    auto pid = read_pid(fd);
    return std::unexpected(Error{"the " + what + " in " + directory.string() +
                                 " is in use by process " + (pid.empty() ? "(unknown)" : pid) +
                                 ": stop that one first, or configure another directory"});
  }
  // For people and messages only; what counts is the lock, so a full disk does no harm here.
  const auto pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) == 0) {
    [[maybe_unused]] auto written = ::pwrite(fd, pid.data(), pid.size(), 0);
  }
  return lock;
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) ::close(fd_);
}

bool locked_by_this_process(const std::filesystem::path& directory) {
  const int fd = ::open((directory / kLockName).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  // The number may be left over from an earlier process. The lock is only tried when the number
  // fits, so that this look cannot get in the way of a daemon that starts.
  const bool ours =
      read_pid(fd) == std::to_string(::getpid()) && ::flock(fd, LOCK_SH | LOCK_NB) != 0;
  ::close(fd);
  return ours;
}

std::expected<void, Error> make_directory(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> missing;
  auto path = std::filesystem::absolute(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  std::error_code error;
  for (; !std::filesystem::exists(path, error); path = path.parent_path()) {
    if (error) break;
    missing.push_back(path);
  }
  for (auto next = missing.rbegin(); next != missing.rend(); ++next) {
    if (::mkdir(next->c_str(), 0750) != 0 && errno != EEXIST) {
      return std::unexpected(system_error("cannot create directory " + next->string(), errno));
    }
    const int parent = ::open(next->parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = parent >= 0 && ::fsync(parent) == 0;
    const int number = errno;
    if (parent >= 0) ::close(parent);
    if (!synced) {
      return std::unexpected(
          system_error("cannot sync directory " + next->parent_path().string(), number));
    }
  }
  if (!std::filesystem::is_directory(directory, error)) {
    return std::unexpected(Error{directory.string() +
                                 " is no directory that this program may use: check the "
                                 "configured path and its permissions"});
  }
  return {};
}

}  // namespace rollcall::persist
