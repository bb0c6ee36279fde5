// An open file of FileOps, closed at the end of its scope, and what is done with one.
#pragma once
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "persist/file_ops.h"
#include "protocol/error.h"

namespace rollcall::persist {

class OpenFile {
 public:
  OpenFile() = default;
  static std::expected<OpenFile, SystemError> open(FileOps& ops, const std::filesystem::path& path,
                                                   FileOps::Open how);
  OpenFile(OpenFile&& other) noexcept : ops_(other.ops_), fd_(std::exchange(other.fd_, -1)) {}
  OpenFile& operator=(OpenFile&& other) noexcept {
    std::swap(ops_, other.ops_);
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OpenFile();

  explicit operator bool() const { return fd_ >= 0; }
  FileOps& ops() const { return *ops_; }
  int fd() const { return fd_; }

  // Everything or an error; after an error any part of it may be in the file.
  std::expected<void, SystemError> write_all(std::string_view bytes, std::uint64_t offset) const;
  std::expected<void, SystemError> truncate(std::uint64_t size) const {
    return ops_->truncate(fd_, size);
  }
  std::expected<void, SystemError> sync() const { return ops_->sync_data(fd_); }

 private:
  OpenFile(FileOps& ops, int fd) : ops_(&ops), fd_(fd) {}
  FileOps* ops_ = nullptr;
  int fd_ = -1;
};

// Reads a file in large steps, with a buffer that grows to the largest piece asked for.
class BufferedReader {
 public:
  // `file` must outlive the reader.
  explicit BufferedReader(const OpenFile& file) : file_(&file) {}

  // The bytes from `offset` on, fewer than `size` only at the end of the file. They stay valid
  // until the next call.
  std::expected<std::string_view, SystemError> at(std::uint64_t offset, std::size_t size);

 private:
  const OpenFile* file_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::uint64_t start_ = 0;
  std::size_t filled_ = 0;
};

Error file_error(const std::string& what, const std::filesystem::path& path, SystemError error);

}  // namespace rollcall::persist
