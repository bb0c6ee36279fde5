// The EventLog on disk: segments of checksummed frames, one frame for each group, and snapshots.
// docs/store-format.md has the bytes and the rules for reopening after damage.
//
// Threads: as EventLog says.
#pragma once
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "persist/event_log.h"
#include "persist/file_ops.h"

namespace rollcall::persist {

struct LogOptions {
  // A segment that has reached this size is followed by a new one.
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
};

class FileEventLog : public EventLog {
 public:
  // Opens the log in `directory`, which is created if it is missing; one process at a time. Reads
  // and checks every segment. A torn end is cut off and reported in `recovery`; any other damage
  // is refused with the file, the offset and the possible repairs, and nothing is changed.
  // `ops` must outlive the log.
  static std::expected<std::unique_ptr<FileEventLog>, Error> open(
      const std::filesystem::path& directory, const LogOptions& options, LogRecovery& recovery,
      FileOps& ops);
  // The same on the real disk.
  static std::expected<std::unique_ptr<FileEventLog>, Error> open(
      const std::filesystem::path& directory, const LogOptions& options, LogRecovery& recovery);

  virtual LogPosition end() const = 0;  // where the next frame goes
};

struct LogDamage {
  std::filesystem::path file;
  std::uint64_t offset = 0;
  std::string reason;
};

struct LogVerdict {
  std::uint64_t segments = 0;
  std::uint64_t groups = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t first_index = 1;
  std::uint64_t next_index = 1;
  std::uint64_t snapshots = 0;             // valid ones
  std::optional<std::uint64_t> torn_tail;  // bytes after the last valid group that open() would cut
  std::optional<LogDamage> damage;         // the first one; the counts end there
  std::string repairs;                     // what can be done about it; empty without damage
  std::string message;                     // snapshots that are not valid
};

// Reads a whole log and changes nothing; also possible beside a running master. `reader` gets
// every record up to the first damage. An Error means that the directory could not be read.
std::expected<LogVerdict, Error> verify_log(const std::filesystem::path& directory,
                                            const RecordReader& reader = {});

// The repair of last resort for a log that open() refuses: the damaged segment is cut before the
// damage and what follows is set aside under names that end in ".cut". The next open() reports
// torn_tail_dropped, so that the master starts a new term and the workers send what is missing.
// Returns what was done, for a person.
std::expected<std::string, Error> cut_log_at_damage(const std::filesystem::path& directory);

}  // namespace rollcall::persist
