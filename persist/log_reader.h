// Reads a log from its files and changes nothing; takes no lock, so that a master may be writing it
// meanwhile. What is read is what was there at open().
#pragma once
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "persist/file_event_log.h"

namespace rollcall::persist {

class LogReader {
 public:
  // Checks every byte. Damage is no Error: what is before it can be read.
  static std::expected<LogReader, Error> open(const std::filesystem::path& directory);
  LogReader(LogReader&&) noexcept;
  LogReader& operator=(LogReader&&) noexcept;
  ~LogReader();

  const LogVerdict& verdict() const { return verdict_; }
  // Up to which index there are valid ones, oldest first.
  std::vector<std::uint64_t> snapshots() const;
  std::expected<std::string, Error> snapshot(std::uint64_t upto_index) const;
  std::filesystem::path snapshot_file(std::uint64_t upto_index) const;

  // The records from `from_index` on, up to the end or the damage.
  std::expected<void, Error> for_each(std::uint64_t from_index, const RecordReader& reader) const;

  // Whether a file that was there at open() is no more: a master has removed an old part of the
  // log, and what was asked for may have been in it.
  bool was_shortened() const;

  // The file and the offset of the group that this record is in.
  std::expected<LogDamage, Error> place_of(std::uint64_t index) const;

 private:
  struct Contents;
  explicit LogReader(std::unique_ptr<Contents> contents);
  std::unique_ptr<Contents> contents_;
  LogVerdict verdict_;
};

}  // namespace rollcall::persist
