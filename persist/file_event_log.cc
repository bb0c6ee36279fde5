#include "persist/file_event_log.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "persist/directory_lock.h"
#include "persist/log_format.h"
#include "persist/log_rules.h"
#include "persist/log_survey.h"
#include "persist/open_file.h"

namespace rollcall::persist {
namespace {

namespace fs = std::filesystem;

// The promise that makes a new segment safe to write groups to: its header and its name are
// durable. A file that is already there holds no group (it is left over from a failed attempt).
std::expected<OpenFile, Error> start_segment(FileOps& ops, const fs::path& directory,
                                             const LogId& log, std::uint64_t first_index) {
  const auto path = directory / file_name(FileKind::kSegment, first_index);
  auto file = OpenFile::open(ops, path, FileOps::Open::kEmpty);
  if (!file) return std::unexpected(file_error("cannot create", path, file.error()));
  const auto header = encode_header(FileKind::kSegment, {log, first_index});
  if (auto written = file->write_all(header, 0); !written) {
    return std::unexpected(file_error("cannot write the header of", path, written.error()));
  }
  if (auto synced = file->sync(); !synced) {
    return std::unexpected(file_error("cannot sync", path, synced.error()));
  }
  if (auto synced = ops.sync_directory(directory); !synced) {
    return std::unexpected(file_error("cannot sync", directory, synced.error()));
  }
  return std::move(*file);
}

class LogInFiles final : public FileEventLog {
 public:
  LogInFiles(fs::path directory, const LogOptions& options, FileOps& ops, DirectoryLock lock)
      : directory_(std::move(directory)), options_(options), ops_(ops), lock_(std::move(lock)) {}

  std::expected<void, Error> recover(LogRecovery& recovery);

  std::expected<void, Error> append(std::span<const std::string> records) override;
  std::uint64_t next_index() const override {
    const std::scoped_lock lock(mutex_);
    return next_index_;
  }
  std::uint64_t first_index() const override {
    const std::scoped_lock lock(mutex_);
    return segments_.front();
  }
  LogPosition end() const override {
    const std::scoped_lock lock(mutex_);
    return {segments_.back(), end_};
  }
  std::expected<void, Error> for_each(std::uint64_t from_index,
                                      const RecordReader& reader) const override;
  std::expected<void, Error> write_snapshot(std::uint64_t upto_index,
                                            std::string_view bytes) override;
  LogFiles files() const override;
  std::expected<std::string, Error> snapshot(std::uint64_t upto_index) const override;
  std::expected<void, Error> remove_segments_before(std::uint64_t index) override;

 private:
  fs::path segment_path(std::uint64_t first_index) const {
    return directory_ / file_name(FileKind::kSegment, first_index);
  }
  std::expected<void, Error> cut_torn_tail(const Survey& survey);
  std::expected<void, Error> make_durable(const SurveyedSegment& last);
  std::expected<void, SystemError> forget_failed_append();
  std::expected<void, Error> rotate();
  void remove_old_snapshots();

  const fs::path directory_;
  const LogOptions options_;
  FileOps& ops_;
  const DirectoryLock lock_;
  LogId log_{};

  // Of the writer's thread.
  OpenFile active_;
  // The last append failed, and what it wrote may still be in the file behind `end_`.
  bool unclean_ = false;
  bool tail_dropped_mark_ = false;
  std::string frame_;

  std::mutex snapshot_mutex_;  // one snapshot at a time; taken before mutex_

  // What is durable; shared with readers.
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> segments_;  // first indexes, the active one last
  std::uint64_t end_ = 0;                // of the active segment
  std::uint64_t next_index_ = 1;
  std::vector<SurveyedSnapshot> snapshots_;  // oldest first
};

std::string named(const fs::path& path) {
  return path.filename().string();
}

void add(std::string& message, const std::string& sentence) {
  if (!message.empty()) message += "; ";
  message += sentence;
}

Error refusal(const fs::path& directory, const Survey& survey) {
  const auto& damage = *survey.damage;
  return {"the log in " + directory.string() + " is damaged: " + damage.what.file.string() +
          ", byte " + std::to_string(damage.what.offset) + ": " + damage.what.reason +
          ". Nothing was changed. " + possible_repairs(directory, damage)};
}

std::expected<void, Error> LogInFiles::recover(LogRecovery& recovery) {
  auto surveyed = survey_log(directory_, ops_);
  if (!surveyed) return std::unexpected(surveyed.error());
  auto& survey = *surveyed;
  if (survey.damage) return std::unexpected(refusal(directory_, survey));

  recovery = {};
  const bool empty = !survey.log;
  recovery.created = survey.next_index == 1;
  log_ = survey.log ? *survey.log : new_log_id();
  next_index_ = survey.next_index;
  for (const auto& temporary : survey.temporaries) {
    if (!ops_.unlink(temporary)) continue;
    add(recovery.message, "removed " + named(temporary) + ", left over from an interrupted write");
  }
  for (const auto& snapshot : survey.snapshots) {
    if (snapshot.fault.empty()) continue;
    add(recovery.message, named(snapshot.path) + " was not used: " + snapshot.fault);
  }
  if (const auto* snapshot = survey.newest_valid_snapshot()) {
    auto bytes = read_snapshot(snapshot->path, ops_);
    if (!bytes) return std::unexpected(bytes.error());
    recovery.snapshot = Snapshot{snapshot->upto_index, std::move(*bytes)};
  }

  tail_dropped_mark_ = survey.tail_dropped_before;
  if (survey.tail_dropped_before) {
    add(recovery.message,
        "the end of the log was cut off at an earlier start, and nothing was appended since");
  }
  // Without an id there is nothing but, perhaps, a first segment that got no header: no tail.
  if (survey.torn_bytes && !empty) {
    const auto& last = survey.segments.back();
    add(recovery.message, named(last.path) + " ended at byte " + std::to_string(last.end) +
                              " with " + std::to_string(*survey.torn_bytes) +
                              " bytes that are no whole group: cut off");
    if (auto cut = cut_torn_tail(survey); !cut) return cut;
  }
  recovery.torn_tail_dropped = tail_dropped_mark_;

  for (const auto& segment : survey.segments) segments_.push_back(segment.first_index);
  if (segments_.empty() || survey.segments.back().end == 0) {
    if (segments_.empty()) segments_.push_back(next_index_);
    auto file = start_segment(ops_, directory_, log_, segments_.back());
    if (!file) return std::unexpected(file.error());
    active_ = std::move(*file);
    end_ = kFileHeaderBytes;
  } else {
    const auto& last = survey.segments.back();
    auto file = OpenFile::open(ops_, last.path, FileOps::Open::kExisting);
    if (!file) return std::unexpected(file_error("cannot open", last.path, file.error()));
    active_ = std::move(*file);
    end_ = last.end;
    if (auto durable = make_durable(last); !durable) return durable;
  }
  snapshots_ = std::move(survey.snapshots);
  recovery.first_index = segments_.front();
  recovery.next_index = next_index_;
  return {};
}

// The mark is durable before the tail is gone, so that no crash in between can hide that the
// tail was there.
std::expected<void, Error> LogInFiles::cut_torn_tail(const Survey& survey) {
  if (!tail_dropped_mark_) {
    const auto mark = directory_ / kTailDroppedName;
    if (auto made = OpenFile::open(ops_, mark, FileOps::Open::kEmpty); !made) {
      return std::unexpected(file_error("cannot create", mark, made.error()));
    }
    if (auto synced = ops_.sync_directory(directory_); !synced) {
      return std::unexpected(file_error("cannot sync", directory_, synced.error()));
    }
    tail_dropped_mark_ = true;
  }
  const auto& last = survey.segments.back();
  if (last.end == 0) return {};  // without a header the whole segment is written anew
  auto file = OpenFile::open(ops_, last.path, FileOps::Open::kExisting);
  if (!file) return std::unexpected(file_error("cannot open", last.path, file.error()));
  if (auto cut = file->truncate(last.end); !cut) {
    return std::unexpected(file_error("cannot cut", last.path, cut.error()));
  }
  if (auto synced = file->sync(); !synced) {
    return std::unexpected(file_error("cannot sync", last.path, synced.error()));
  }
  return {};
}

// What was read may be in the page cache only: the process before this one may have died between
// its write and its sync, or after a sync that failed, and then the pages even count as clean. At
// most the last group is in doubt, so that one is written again.
std::expected<void, Error> LogInFiles::make_durable(const SurveyedSegment& last) {
  const auto from = last.last_group;  // without a group: the header
  BufferedReader reader(active_);
  auto bytes = reader.at(from, static_cast<std::size_t>(last.end - from));
  if (!bytes) return std::unexpected(file_error("cannot read", last.path, bytes.error()));
  auto done = active_.write_all(*bytes, from);
  if (done) done = active_.sync();
  if (done) done = ops_.sync_directory(directory_);
  if (!done) return std::unexpected(file_error("cannot sync", last.path, done.error()));
  return {};
}

std::expected<void, Error> LogInFiles::append(std::span<const std::string> records) {
  if (records.empty()) return {};
  if (auto fits = check_group(records); !fits) return fits;
  // Only this thread changes these, so it may read them without the mutex.
  const auto path = segment_path(segments_.back());
  if (unclean_) {
    if (auto forgotten = forget_failed_append(); !forgotten) {
      return std::unexpected(
          file_error("cannot remove what a failed write left in", path, forgotten.error()));
    }
  }
  if (end_ >= options_.segment_bytes && next_index_ > segments_.back()) {
    if (auto rotated = rotate(); !rotated) return rotated;
  }

  encode_frame(log_, next_index_, records, frame_);
  auto stored = active_.write_all(frame_, end_);
  if (stored) stored = active_.sync();
  if (!stored) {
    // After a failed sync the kernel may call the pages clean although they are not on disk: a
    // second sync would lie. The bytes go away and are written again by the next append.
    unclean_ = true;
    [[maybe_unused]] auto tried_again_by_next_append = forget_failed_append();
    return std::unexpected(
        file_error("cannot append " + std::to_string(records.size()) + " records to",
                   segment_path(segments_.back()), stored.error()));
  }
  {
    const std::scoped_lock lock(mutex_);
    end_ += frame_.size();
    next_index_ += records.size();
  }
  if (tail_dropped_mark_ && ops_.unlink(directory_ / kTailDroppedName)) tail_dropped_mark_ = false;
  return {};
}

std::expected<void, SystemError> LogInFiles::forget_failed_append() {
  if (auto cut = active_.truncate(end_); !cut) return cut;
  // Durable before anything is written in its place: remains of two groups must never mix.
  if (auto synced = active_.sync(); !synced) return synced;
  unclean_ = false;
  return {};
}

std::expected<void, Error> LogInFiles::rotate() {
  auto file = start_segment(ops_, directory_, log_, next_index_);
  if (!file) {
    // Otherwise the next open() would take it for a torn tail.
    [[maybe_unused]] auto written_anew_otherwise = ops_.unlink(segment_path(next_index_));
    return std::unexpected(file.error());
  }
  active_ = std::move(*file);
  const std::scoped_lock lock(mutex_);
  segments_.push_back(next_index_);
  end_ = kFileHeaderBytes;
  return {};
}

std::expected<void, Error> LogInFiles::for_each(std::uint64_t from_index,
                                                const RecordReader& reader) const {
  std::vector<std::uint64_t> segments;
  std::uint64_t end = 0;
  std::uint64_t next_index = 0;
  {
    const std::scoped_lock lock(mutex_);
    segments = segments_;
    end = end_;
    next_index = next_index_;
  }
  if (from_index < segments.front()) {
    return std::unexpected(too_old(from_index, segments.front()));
  }
  if (from_index >= next_index) return {};
  auto segment = std::prev(std::ranges::upper_bound(segments, from_index));
  for (; segment != segments.end(); ++segment) {
    const auto path = segment_path(*segment);
    auto file = OpenFile::open(ops_, path, FileOps::Open::kReadOnly);
    if (!file) {
      // Retention may have removed it since.
      if (const auto first = first_index(); first > *segment) {
        return std::unexpected(too_old(*segment, first));
      }
      return std::unexpected(file_error("cannot open", path, file.error()));
    }
    const bool last = std::next(segment) == segments.end();
    std::error_code error;
    const auto size = last ? end : fs::file_size(path, error);
    BufferedReader buffered(*file);
    auto walk = error ? std::unexpected(SystemError{error.value()})
                      : walk_frames(buffered, log_, *segment, size, from_index, reader);
    if (!walk) return std::unexpected(file_error("cannot read", path, walk.error()));
    if (walk->stopped) return {};
    const auto expected_next = last ? next_index : *std::next(segment);
    if (walk->fault.empty() && walk->next_index != expected_next) {
      walk->fault = "the segment ends before record " + std::to_string(expected_next);
    }
    if (!walk->fault.empty()) {
      return std::unexpected(Error{"the log is damaged: " + path.string() + ", byte " +
                                   std::to_string(walk->end) + ": " + walk->fault});
    }
  }
  return {};
}

std::expected<void, Error> LogInFiles::write_snapshot(std::uint64_t upto_index,
                                                      std::string_view bytes) {
  const std::scoped_lock one_at_a_time(snapshot_mutex_);
  if (const auto next = next_index(); upto_index >= next) {
    return std::unexpected(not_yet_durable(upto_index, next));
  }
  const auto path = directory_ / file_name(FileKind::kSnapshot, upto_index);
  auto temporary = path;
  temporary += kTemporaryEnding;
  const auto write = [&]() -> std::expected<void, Error> {
    auto file = OpenFile::open(ops_, temporary, FileOps::Open::kEmpty);
    if (!file) return std::unexpected(file_error("cannot create", temporary, file.error()));
    const auto head = encode_snapshot_header({log_, upto_index}, bytes);
    auto written = file->write_all(head, 0);
    if (written) written = file->write_all(bytes, head.size());
    if (written) written = file->sync();
    if (!written) return std::unexpected(file_error("cannot write", temporary, written.error()));
    if (auto renamed = ops_.rename(temporary, path); !renamed) {
      return std::unexpected(file_error("cannot put in place", path, renamed.error()));
    }
    if (auto synced = ops_.sync_directory(directory_); !synced) {
      return std::unexpected(file_error("cannot sync", directory_, synced.error()));
    }
    return {};
  };
  if (auto done = write(); !done) {
    [[maybe_unused]] auto swept_at_next_open_otherwise = ops_.unlink(temporary);
    return done;
  }
  {
    const std::scoped_lock lock(mutex_);
    std::erase_if(snapshots_, [&](const auto& old) { return old.upto_index == upto_index; });
    snapshots_.push_back({path, upto_index, {}});
    std::ranges::sort(snapshots_, {}, &SurveyedSnapshot::upto_index);
  }
  remove_old_snapshots();
  return {};
}

// Keeps the newest valid ones, and invalid ones that are newer than all of them.
void LogInFiles::remove_old_snapshots() {
  std::vector<SurveyedSnapshot> old;
  {
    const std::scoped_lock lock(mutex_);
    std::size_t valid = 0;
    for (auto snapshot = snapshots_.rbegin(); snapshot != snapshots_.rend(); ++snapshot) {
      const bool keep = snapshot->fault.empty() ? valid < kSnapshotsKept : valid == 0;
      if (!keep) old.push_back(*snapshot);
      if (snapshot->fault.empty()) ++valid;
    }
  }
  for (const auto& snapshot : old) {
    if (!ops_.unlink(snapshot.path)) continue;  // the next snapshot tries again
    const std::scoped_lock lock(mutex_);
    std::erase_if(snapshots_, [&](const auto& one) { return one.path == snapshot.path; });
  }
}

LogFiles LogInFiles::files() const {
  LogFiles out;
  std::vector<SurveyedSnapshot> snapshots;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto first_index : segments_) out.segments.push_back({.first_index = first_index});
    snapshots = snapshots_;
  }
  std::error_code error;
  for (auto& segment : out.segments) {
    const auto path = segment_path(segment.first_index);
    const auto bytes = fs::file_size(path, error);
    if (!error) segment.bytes = bytes;
    const auto written = fs::last_write_time(path, error);
    if (!error) segment.written = std::chrono::file_clock::to_sys(written);
  }
  for (const auto& snapshot : snapshots) {
    if (!snapshot.fault.empty()) continue;
    const auto bytes = fs::file_size(snapshot.path, error);
    out.snapshots.push_back({snapshot.upto_index, error ? 0 : bytes});
  }
  return out;
}

std::expected<std::string, Error> LogInFiles::snapshot(std::uint64_t upto_index) const {
  return read_snapshot(directory_ / file_name(FileKind::kSnapshot, upto_index), ops_);
}

std::expected<void, Error> LogInFiles::remove_segments_before(std::uint64_t index) {
  std::uint64_t covered = 0;
  std::vector<std::uint64_t> removable;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& snapshot : snapshots_) {
      if (snapshot.fault.empty()) covered = snapshot.upto_index;
    }
    for (std::size_t i = 0; i + 1 < segments_.size() && segments_[i + 1] <= index; ++i) {
      removable.push_back(segments_[i]);
    }
  }
  if (auto allowed = check_removal(index, covered); !allowed) return allowed;
  for (const auto segment : removable) {
    const auto path = segment_path(segment);
    {
      // Out of the readers' sight first.
      const std::scoped_lock lock(mutex_);
      segments_.erase(segments_.begin());
    }
    if (auto removed = ops_.unlink(path); !removed) {
      const std::scoped_lock lock(mutex_);
      segments_.insert(segments_.begin(), segment);
      return std::unexpected(file_error("cannot remove", path, removed.error()));
    }
    // One by one: if a power cut brought an old segment back without the one after it, the log
    // would seem to have lost records in the middle.
    if (auto synced = ops_.sync_directory(directory_); !synced) {
      return std::unexpected(file_error("cannot sync", directory_, synced.error()));
    }
  }
  return {};
}

FileOps& real_disk() {
  static PosixFileOps ops;  // has no state
  return ops;
}

}  // namespace

std::expected<std::unique_ptr<FileEventLog>, Error> FileEventLog::open(const fs::path& directory,
                                                                       const LogOptions& options,
                                                                       LogRecovery& recovery,
                                                                       FileOps& ops) {
  if (auto created = make_directory(directory); !created) {
    return std::unexpected(created.error());
  }
  auto lock = DirectoryLock::take(directory, "log");
  if (!lock) return std::unexpected(lock.error());
  auto log = std::make_unique<LogInFiles>(directory, options, ops, std::move(*lock));
  if (auto recovered = log->recover(recovery); !recovered) {
    return std::unexpected(recovered.error());
  }
  return log;
}

std::expected<std::unique_ptr<FileEventLog>, Error> FileEventLog::open(const fs::path& directory,
                                                                       const LogOptions& options,
                                                                       LogRecovery& recovery) {
  return open(directory, options, recovery, real_disk());
}

}  // namespace rollcall::persist
