// Tiny verbs for tests of a log on disk.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "persist/file_event_log.h"
#include "persist/log_format.h"
#include "tests/unit/persist/faulty_file_ops.h"
#include "tests/unit/persist/temporary_directory.h"

namespace rollcall::persist {

using Records = std::map<std::uint64_t, std::string>;

inline Records records_of(const EventLog& log) {
  Records records;
  auto read = log.for_each(log.first_index(), [&](std::uint64_t index, std::string_view record) {
    EXPECT_TRUE(records.emplace(index, record).second) << index;
    return Reading::kGoOn;
  });
  EXPECT_TRUE(read) << read.error().message;
  return records;
}

class LogTest : public ::testing::Test {
 protected:
  // Opens the log, or opens it anew.
  void open() {
    auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
  }
  std::expected<std::unique_ptr<FileEventLog>, Error> try_open() {
    close();
    return FileEventLog::open(directory_.path(), options_, recovery_, ops_);
  }
  void close() { log_.reset(); }
  std::string refusal() {
    auto opened = try_open();
    EXPECT_FALSE(opened) << "opened, with the message: " << recovery_.message;
    return opened ? "" : opened.error().message;
  }

  // One group for each of the arguments' records.
  void append(const std::vector<std::string>& records) {
    auto done = log_->append(records);
    ASSERT_TRUE(done) << done.error().message;
  }
  // The groups {"1"}, {"2"}, … each in a segment of its own.
  void append_segments(int count) {
    options_.segment_bytes = 1;
    open();
    for (int i = 0; i < count; ++i) append({std::to_string(log_->next_index())});
  }
  std::string failure(const std::vector<std::string>& records) {
    auto done = log_->append(records);
    EXPECT_FALSE(done);
    return done ? "" : done.error().message;
  }
  void snapshot(std::uint64_t upto, const std::string& bytes) {
    auto done = log_->write_snapshot(upto, bytes);
    ASSERT_TRUE(done) << done.error().message;
  }
  Records records() { return records_of(*log_); }

  std::filesystem::path segment(std::uint64_t first_index = 1) {
    return directory_ / file_name(FileKind::kSegment, first_index);
  }
  std::filesystem::path snapshot_file(std::uint64_t upto) {
    return directory_ / file_name(FileKind::kSnapshot, upto);
  }
  std::filesystem::path last_segment() {
    std::filesystem::path last;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      if (entry.path().extension() == ".seg") last = std::max(last, entry.path());
    }
    return last;
  }
  std::uint64_t size(const std::filesystem::path& file) { return std::filesystem::file_size(file); }
  void flip(const std::filesystem::path& file, std::uint64_t offset) {
    auto bytes = read_file(file);
    ASSERT_LT(offset, bytes.size());
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x40);
    write_file(file, bytes);
  }
  void cut(const std::filesystem::path& file, std::uint64_t bytes) {
    std::filesystem::resize_file(file, size(file) - bytes);
  }
  void add(const std::filesystem::path& file, const std::string& bytes) {
    write_file(file, read_file(file) + bytes);
  }
  void put_nuls(const std::filesystem::path& file, std::uint64_t from) {
    auto bytes = read_file(file);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.end(), '\0');
    write_file(file, bytes);
  }

  TemporaryDirectory directory_;
  UnsyncedFileOps disk_;
  FaultyFileOps ops_{disk_};
  LogOptions options_;
  LogRecovery recovery_;
  std::unique_ptr<FileEventLog> log_;
};

}  // namespace rollcall::persist
