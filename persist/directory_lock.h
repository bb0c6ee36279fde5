// One process at a time in one directory: flock() on a file in it, which the kernel releases
// when the process ends, however it ends.
#pragma once
#include <expected>
#include <filesystem>
#include <string>
#include <utility>

#include "protocol/error.h"

namespace rollcall::persist {

class DirectoryLock {
 public:
  // `what` names the thing in the message: "session store", "log".
  static std::expected<DirectoryLock, Error> take(const std::filesystem::path& directory,
                                                  const std::string& what);
  DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  DirectoryLock& operator=(DirectoryLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

// Whether this process itself holds the lock.
bool locked_by_this_process(const std::filesystem::path& directory);

// Creates the directory and its parents, durably, readable for the owner's group only.
std::expected<void, Error> make_directory(const std::filesystem::path& directory);

// "message: No space left on device"
Error system_error(const std::string& message, int number);

}  // namespace rollcall::persist
