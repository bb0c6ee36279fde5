// The master's log: records with consecutive indexes, appended in groups, each group durable
// before append() returns; snapshots as a shortcut for reading it from the beginning
// (protocol.md section 9). What the bytes mean is the business of master/core.
//
// One writer: append() and remove_segments_before() from one thread at a time. The other functions
// may run beside it on other threads; they see what is durable.
#pragma once
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"

namespace rollcall::persist {

// A place in the log's files: the segment by its first index, and the byte within that file.
struct LogPosition {
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  auto operator<=>(const LogPosition&) const = default;
};

// The state after every record with an index up to `upto_index` has been applied.
struct Snapshot {
  std::uint64_t upto_index = 0;
  std::string bytes;
  bool operator==(const Snapshot&) const = default;
};

// What opening the log found. The master's state is `snapshot` (or nothing), then every record
// from `snapshot->upto_index + 1` (or 1) to `next_index - 1`.
struct LogRecovery {
  bool created = false;  // no record was ever appended
  // The end of the log was unreadable and is gone. A power cut explains it, and then nobody was
  // told that those records exist; but damage to the last group looks the same, so the caller
  // starts a new term. Stays true, over restarts, until the first append succeeds.
  bool torn_tail_dropped = false;
  std::string message;  // for the operator: what was found and done; empty if nothing was
  std::optional<Snapshot> snapshot;
  std::uint64_t first_index = 1;  // the oldest record that is still there
  std::uint64_t next_index = 1;

  // Records that a reader of the snapshot has still to read.
  std::uint64_t behind_snapshot() const {
    return next_index - (snapshot ? snapshot->upto_index + 1 : first_index);
  }
};

// What a log consists of at one moment, oldest first.
struct LogFiles {
  struct Segment {
    std::uint64_t first_index = 1;
    std::uint64_t bytes = 0;
    // The last time; `max` if it is not known.
    std::chrono::system_clock::time_point written = std::chrono::system_clock::time_point::max();
  };
  struct SnapshotFile {
    std::uint64_t upto_index = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<Segment> segments;        // the last one is being written
  std::vector<SnapshotFile> snapshots;  // valid ones
};

enum class Reading { kGoOn, kStop };
using RecordReader = std::function<Reading(std::uint64_t index, std::string_view record)>;

// Limits of one append, the same for every implementation.
inline constexpr std::size_t kMaxGroupBytes = std::size_t{64}
                                              << 20;  // records and 4 bytes for each
inline constexpr std::size_t kMaxGroupRecords = std::size_t{1} << 20;

class EventLog {
 public:
  virtual ~EventLog() = default;

  // Appends one group; its first record gets next_index(). All or nothing, durable when it
  // returns. After an error the log reads as before, and the same or another group may be
  // appended; a crash before the next success may leave the failed group or not, never a part.
  // An empty group does nothing.
  virtual std::expected<void, Error> append(std::span<const std::string> records) = 0;

  // The index of the next record, starting at 1. Never used twice for two records that were
  // both durable.
  virtual std::uint64_t next_index() const = 0;

  // The oldest record that is still there; next_index() if there is none.
  virtual std::uint64_t first_index() const = 0;

  // Reads records from `from_index` on, in order, up to what is durable at the call. Fails if
  // `from_index` is older than first_index(), and on damage.
  virtual std::expected<void, Error> for_each(std::uint64_t from_index,
                                              const RecordReader& reader) const = 0;

  // Keeps `bytes` as the state after all records with an index up to `upto_index`, which must be
  // durable. The newest two snapshots are kept.
  virtual std::expected<void, Error> write_snapshot(std::uint64_t upto_index,
                                                    std::string_view bytes) = 0;

  virtual LogFiles files() const = 0;

  // The bytes of a snapshot that is kept, as they are on the disk now.
  virtual std::expected<std::string, Error> snapshot(std::uint64_t upto_index) const = 0;

  // Forgets old records, at most those with an index below `index`; only whole segments go, so
  // some of them may stay. Refused unless a valid snapshot covers all of them.
  virtual std::expected<void, Error> remove_segments_before(std::uint64_t index) = 0;
};

}  // namespace rollcall::persist
