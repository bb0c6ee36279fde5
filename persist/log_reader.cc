#include "persist/log_reader.h"

#include <algorithm>
#include <utility>

#include "persist/log_format.h"
#include "persist/log_survey.h"
#include "persist/open_file.h"

namespace rollcall::persist {

namespace fs = std::filesystem;

struct LogReader::Contents {
  fs::path directory;
  PosixFileOps ops;
  Survey survey;

  // Walks the segments that hold `from_index` and what follows. `end_of_walk(segment, walk)` says
  // whether to go on with the next one.
  template <typename EndOfWalk>
  std::expected<void, Error> walk(std::uint64_t from_index, const RecordReader& reader,
                                  EndOfWalk end_of_walk) {
    for (std::size_t i = 0; i < survey.segments.size(); ++i) {
      const auto& segment = survey.segments[i];
      const bool last = i + 1 == survey.segments.size();
      if (segment.end <= kFileHeaderBytes) continue;  // without a group, or not reached
      if (!last && survey.segments[i + 1].first_index <= from_index) continue;
      auto file = OpenFile::open(ops, segment.path, FileOps::Open::kReadOnly);
      if (!file) return std::unexpected(file_error("cannot open", segment.path, file.error()));
      BufferedReader buffered(*file);
      auto walk =
          walk_frames(buffered, *survey.log, segment.first_index, segment.end, from_index, reader);
      if (!walk) return std::unexpected(file_error("cannot read", segment.path, walk.error()));
      if (!walk->fault.empty()) {
        return std::unexpected(Error{segment.path.string() + " changed while it was read, byte " +
                                     std::to_string(walk->end) + ": " + walk->fault +
                                     "; try again"});
      }
      if (end_of_walk(segment, *walk) == Reading::kStop) break;
    }
    return {};
  }
};

LogReader::LogReader(std::unique_ptr<Contents> contents)
    : contents_(std::move(contents)),
      verdict_(verdict_of(contents_->directory, contents_->survey)) {}
LogReader::LogReader(LogReader&&) noexcept = default;
LogReader& LogReader::operator=(LogReader&&) noexcept = default;
LogReader::~LogReader() = default;

std::expected<LogReader, Error> LogReader::open(const fs::path& directory) {
  // A running master appends, and removes old files: what is wrong with the log itself is wrong
  // at each look.
  constexpr int kLooks = 3;
  auto contents = std::make_unique<Contents>();
  contents->directory = directory;
  for (int look = 1;; ++look) {
    auto survey = survey_log(directory, contents->ops);
    if (look < kLooks && (!survey || survey->damage)) continue;
    if (!survey) return std::unexpected(survey.error());
    contents->survey = std::move(*survey);
    break;
  }
  if (contents->survey.segments.empty() && contents->survey.snapshots.empty()) {
    return std::unexpected(Error{
        directory.string() +
        " holds no log: name the directory that [store] path of the master's configuration names"});
  }
  return LogReader(std::move(contents));
}

std::vector<std::uint64_t> LogReader::snapshots() const {
  std::vector<std::uint64_t> valid;
  for (const auto& snapshot : contents_->survey.snapshots) {
    if (snapshot.fault.empty()) valid.push_back(snapshot.upto_index);
  }
  return valid;
}

std::expected<std::string, Error> LogReader::snapshot(std::uint64_t upto_index) const {
  return read_snapshot(snapshot_file(upto_index), contents_->ops);
}

fs::path LogReader::snapshot_file(std::uint64_t upto_index) const {
  return contents_->directory / file_name(FileKind::kSnapshot, upto_index);
}

bool LogReader::was_shortened() const {
  std::error_code ignored;
  const auto gone = [&](const auto& file) { return !fs::exists(file.path, ignored); };
  const Survey& survey = contents_->survey;
  return std::ranges::any_of(survey.segments, gone) || std::ranges::any_of(survey.snapshots, gone);
}

std::expected<void, Error> LogReader::for_each(std::uint64_t from_index,
                                               const RecordReader& reader) const {
  return contents_->walk(from_index, reader, [](const auto&, const FrameWalk& walk) {
    return walk.stopped ? Reading::kStop : Reading::kGoOn;
  });
}

std::expected<LogDamage, Error> LogReader::place_of(std::uint64_t index) const {
  LogDamage place;
  const auto found = [](std::uint64_t, std::string_view) { return Reading::kStop; };
  // A walk that is stopped ends before the group in which it was.
  auto walked = contents_->walk(index, found, [&](const auto& segment, const FrameWalk& walk) {
    place = {segment.path, walk.end, ""};
    return Reading::kStop;
  });
  if (!walked) return std::unexpected(walked.error());
  return place;
}

}  // namespace rollcall::persist
