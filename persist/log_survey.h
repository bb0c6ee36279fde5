// Reading a log's directory and judging what is there; changes nothing. Opening, verifying and
// repairing all go by what it says. The rules are in docs/store-format.md.
#pragma once
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "persist/file_event_log.h"
#include "persist/log_format.h"
#include "persist/open_file.h"

namespace rollcall::persist {

// An empty file that stands for "a torn end was cut off, and nothing was appended since".
inline constexpr const char* kTailDroppedName = "tail-dropped";
inline constexpr const char* kTemporaryEnding = ".tmp";

// The intact groups at the beginning of a segment, and why the walk ended.
struct FrameWalk {
  std::uint64_t end = kFileHeaderBytes;  // after the last intact group
  std::uint64_t last_group = 0;          // where that one begins; 0 if there is none
  std::uint64_t next_index = 1;
  std::uint64_t groups = 0;
  bool stopped = false;  // the reader had enough
  // What is wrong at `end`; empty if nothing is and the segment ends there.
  std::string fault;
  // The fault cannot be what a power cut leaves of the last group.
  bool certain = false;
  std::optional<FrameHeader> header;  // of the faulty group, if that much is intact
};

// Walks the groups of a segment that begins with `first_index` up to byte `size`. `reader` gets
// the records with an index of `from_index` and more; it may be empty.
std::expected<FrameWalk, SystemError> walk_frames(BufferedReader& file, const LogId& log,
                                                  std::uint64_t first_index, std::uint64_t size,
                                                  std::uint64_t from_index,
                                                  const RecordReader& reader);

struct SurveyedSegment {
  std::filesystem::path path;
  std::uint64_t first_index = 1;
  std::uint64_t size = 0;
  std::uint64_t end = 0;  // after the last intact group; 0 without a header
  std::uint64_t last_group = 0;
};

struct SurveyedSnapshot {
  std::filesystem::path path;
  std::uint64_t upto_index = 0;
  std::string fault;  // empty if it is valid
};

struct SurveyedDamage {
  enum class Kind {
    kBytes,         // at an offset of a segment, or a segment that does not follow the one before
    kStartMissing,  // the oldest records are gone and no snapshot stands for them
    kEndMissing,    // the log ends before the newest snapshot
  };
  Kind kind = Kind::kBytes;
  std::size_t segment = 0;  // which of Survey::segments
  LogDamage what;
};

struct Survey {
  std::optional<LogId> log;
  std::vector<SurveyedSegment> segments;    // oldest first; `end` is known up to the damage
  std::vector<SurveyedSnapshot> snapshots;  // oldest first
  std::vector<std::filesystem::path> temporaries;
  bool tail_dropped_before = false;
  std::optional<std::uint64_t> torn_bytes;  // after the last segment's `end`
  std::optional<SurveyedDamage> damage;
  std::uint64_t groups = 0;
  std::uint64_t next_index = 1;

  const SurveyedSnapshot* newest_valid_snapshot() const;
};

// An Error means that something cannot be read, is of a newer format, or belongs to another log.
// Segments whose first index is below `from_segment` are left out, as if they were not there.
std::expected<Survey, Error> survey_log(const std::filesystem::path& directory, FileOps& ops,
                                        const RecordReader& reader = {},
                                        std::uint64_t from_segment = 0);

// What an operator can do about it, with the commands.
std::string possible_repairs(const std::filesystem::path& directory, const SurveyedDamage& damage);

LogVerdict verdict_of(const std::filesystem::path& directory, const Survey& survey);

// The bytes of a valid snapshot.
std::expected<std::string, Error> read_snapshot(const std::filesystem::path& path, FileOps& ops);

}  // namespace rollcall::persist
