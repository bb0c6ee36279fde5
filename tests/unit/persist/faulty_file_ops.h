// FileOps that pass everything on except what a test wants to fail.
#pragma once
#include <cerrno>
#include <functional>
#include <string>
#include <utility>

#include "persist/file_ops.h"

namespace rollcall::persist {

// Passes everything on; a base for the other doubles.
class ForwardingFileOps : public FileOps {
 public:
  explicit ForwardingFileOps(FileOps& below) : below_(below) {}
  std::expected<int, SystemError> open(const std::filesystem::path& path, Open how) override {
    return below_.open(path, how);
  }
  void close(int fd) override { below_.close(fd); }
  std::expected<std::size_t, SystemError> read_at(int fd, char* into, std::size_t size,
                                                  std::uint64_t offset) override {
    return below_.read_at(fd, into, size, offset);
  }
  std::expected<std::size_t, SystemError> write_at(int fd, std::string_view bytes,
                                                   std::uint64_t offset) override {
    return below_.write_at(fd, bytes, offset);
  }
  std::expected<void, SystemError> truncate(int fd, std::uint64_t size) override {
    return below_.truncate(fd, size);
  }
  std::expected<void, SystemError> sync_data(int fd) override { return below_.sync_data(fd); }
  std::expected<void, SystemError> sync_directory(const std::filesystem::path& path) override {
    return below_.sync_directory(path);
  }
  std::expected<void, SystemError> rename(const std::filesystem::path& from,
                                          const std::filesystem::path& to) override {
    return below_.rename(from, to);
  }
  std::expected<void, SystemError> unlink(const std::filesystem::path& path) override {
    return below_.unlink(path);
  }

 protected:
  FileOps& below_;
};

// Says that it has synced. For tests of everything but durability, which run much faster so.
class UnsyncedFileOps final : public ForwardingFileOps {
 public:
  UnsyncedFileOps() : ForwardingFileOps(posix_) {}
  std::expected<void, SystemError> sync_data(int) override { return {}; }
  std::expected<void, SystemError> sync_directory(const std::filesystem::path&) override {
    return {};
  }

 private:
  PosixFileOps posix_;
};

enum class Op { kOpen, kRead, kWrite, kTruncate, kSync, kSyncDirectory, kRename, kUnlink };

class FaultyFileOps final : public ForwardingFileOps {
 public:
  using ForwardingFileOps::ForwardingFileOps;

  // The errno with which an operation fails, 0 to let it happen.
  std::function<int(Op)> decide = [](Op) { return 0; };
  // A failing write leaves this many bytes behind first.
  std::size_t short_write_bytes = 0;

  void fail(Op op, int times, int number) {
    decide = [op, times, number](Op now) mutable { return now == op && times-- > 0 ? number : 0; };
  }
  void fail_every(Op op, int number) {
    decide = [op, number](Op now) { return now == op ? number : 0; };
  }
  void mend() {
    decide = [](Op) { return 0; };
  }

  std::expected<int, SystemError> open(const std::filesystem::path& path, Open how) override {
    if (how == Open::kEmpty) {
      if (const int number = decide(Op::kOpen)) return std::unexpected(SystemError{number});
    }
    return below_.open(path, how);
  }
  std::expected<std::size_t, SystemError> read_at(int fd, char* into, std::size_t size,
                                                  std::uint64_t offset) override {
    if (const int number = decide(Op::kRead)) return std::unexpected(SystemError{number});
    return below_.read_at(fd, into, size, offset);
  }
  std::expected<std::size_t, SystemError> write_at(int fd, std::string_view bytes,
                                                   std::uint64_t offset) override {
    if (const int number = decide(Op::kWrite)) {
      const auto some = bytes.substr(0, short_write_bytes);
      if (!some.empty()) (void)below_.write_at(fd, some, offset);
      return std::unexpected(SystemError{number});
    }
    return below_.write_at(fd, bytes, offset);
  }
  std::expected<void, SystemError> truncate(int fd, std::uint64_t size) override {
    if (const int number = decide(Op::kTruncate)) return std::unexpected(SystemError{number});
    return below_.truncate(fd, size);
  }
  std::expected<void, SystemError> sync_data(int fd) override {
    if (const int number = decide(Op::kSync)) return std::unexpected(SystemError{number});
    return below_.sync_data(fd);
  }
  std::expected<void, SystemError> sync_directory(const std::filesystem::path& path) override {
    if (const int number = decide(Op::kSyncDirectory)) return std::unexpected(SystemError{number});
    return below_.sync_directory(path);
  }
  std::expected<void, SystemError> rename(const std::filesystem::path& from,
                                          const std::filesystem::path& to) override {
    if (const int number = decide(Op::kRename)) return std::unexpected(SystemError{number});
    return below_.rename(from, to);
  }
  std::expected<void, SystemError> unlink(const std::filesystem::path& path) override {
    if (const int number = decide(Op::kUnlink)) return std::unexpected(SystemError{number});
    return below_.unlink(path);
  }
};

}  // namespace rollcall::persist
