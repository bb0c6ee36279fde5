// The operations on files that FileEventLog is made of. A test puts its own in between to fail
// one of them, or to remember them and rebuild the directory as a power cut would have left it.
//
// All functions may be called from several threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <string_view>

namespace rollcall::persist {

// errno as it was when the operation failed.
struct SystemError {
  int number = 0;
};

class FileOps {
 public:
  virtual ~FileOps() = default;

  // Opens for reading and writing; kEmpty makes a new file or empties an old one. kReadOnly and
  // kExisting fail when there is none.
  enum class Open { kReadOnly, kExisting, kEmpty };
  virtual std::expected<int, SystemError> open(const std::filesystem::path& path, Open how) = 0;
  virtual void close(int fd) = 0;

  // Both may do less than asked, as the system calls do; reading 0 bytes is the end of the file.
  virtual std::expected<std::size_t, SystemError> read_at(int fd, char* into, std::size_t size,
                                                          std::uint64_t offset) = 0;
  virtual std::expected<std::size_t, SystemError> write_at(int fd, std::string_view bytes,
                                                           std::uint64_t offset) = 0;

  virtual std::expected<void, SystemError> truncate(int fd, std::uint64_t size) = 0;
  virtual std::expected<void, SystemError> sync_data(int fd) = 0;  // contents and size
  virtual std::expected<void, SystemError> sync_directory(const std::filesystem::path& path) = 0;
  virtual std::expected<void, SystemError> rename(const std::filesystem::path& from,
                                                  const std::filesystem::path& to) = 0;
  virtual std::expected<void, SystemError> unlink(const std::filesystem::path& path) = 0;
};

// The system calls themselves.
class PosixFileOps final : public FileOps {
 public:
  std::expected<int, SystemError> open(const std::filesystem::path& path, Open how) override;
  void close(int fd) override;
  std::expected<std::size_t, SystemError> read_at(int fd, char* into, std::size_t size,
                                                  std::uint64_t offset) override;
  std::expected<std::size_t, SystemError> write_at(int fd, std::string_view bytes,
                                                   std::uint64_t offset) override;
  std::expected<void, SystemError> truncate(int fd, std::uint64_t size) override;
  std::expected<void, SystemError> sync_data(int fd) override;
  std::expected<void, SystemError> sync_directory(const std::filesystem::path& path) override;
  std::expected<void, SystemError> rename(const std::filesystem::path& from,
                                          const std::filesystem::path& to) override;
  std::expected<void, SystemError> unlink(const std::filesystem::path& path) override;
};

}  // namespace rollcall::persist
