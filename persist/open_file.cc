#include "persist/open_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "persist/directory_lock.h"

namespace rollcall::persist {
namespace {
constexpr std::size_t kReadAheadBytes = std::size_t{256} << 10;
}

std::expected<OpenFile, SystemError> OpenFile::open(FileOps& ops, const std::filesystem::path& path,
                                                    FileOps::Open how) {
  auto fd = ops.open(path, how);
  if (!fd) return std::unexpected(fd.error());
  return OpenFile(ops, *fd);
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) ops_->close(fd_);
}

std::expected<void, SystemError> OpenFile::write_all(std::string_view bytes,
                                                     std::uint64_t offset) const {
  while (!bytes.empty()) {
    auto written = ops_->write_at(fd_, bytes, offset);
    if (!written) return std::unexpected(written.error());
    if (*written == 0) return std::unexpected(SystemError{EIO});
    offset += *written;
    bytes.remove_prefix(*written);
  }
  return {};
}

std::expected<std::string_view, SystemError> BufferedReader::at(std::uint64_t offset,
                                                                std::size_t size) {
  if (offset < start_ || offset + size > start_ + filled_) {
    // Keeps what is already there of the piece, which may begin it or be all that is left.
    const bool begun = offset >= start_ && offset < start_ + filled_;
    const auto skip = begun ? static_cast<std::size_t>(offset - start_) : filled_;
    filled_ -= skip;
    const auto capacity = std::max({capacity_, size, kReadAheadBytes});
    if (capacity > capacity_) {
      auto larger = std::make_unique_for_overwrite<char[]>(capacity);
      if (filled_ > 0) std::memcpy(larger.get(), buffer_.get() + skip, filled_);
      buffer_ = std::move(larger);
      capacity_ = capacity;
    } else if (filled_ > 0) {
      std::memmove(buffer_.get(), buffer_.get() + skip, filled_);
    }
    start_ = offset;
    while (filled_ < size) {
      auto count = file_->ops().read_at(file_->fd(), buffer_.get() + filled_, capacity_ - filled_,
                                        start_ + filled_);
      if (!count) {
        filled_ = 0;
        return std::unexpected(count.error());
      }
      if (*count == 0) break;
      filled_ += *count;
    }
  }
  const auto skip = static_cast<std::size_t>(offset - start_);
  return std::string_view(buffer_.get() + skip, std::min(size, filled_ - skip));
}

Error file_error(const std::string& what, const std::filesystem::path& path, SystemError error) {
  return system_error(what + " " + path.string(), error.number);
}

}  // namespace rollcall::persist
