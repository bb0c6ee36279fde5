#include "persist/log_survey.h"

#include <algorithm>
#include <string_view>
#include <system_error>

namespace rollcall::persist {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSearchBytes = std::size_t{128} << 10;

std::expected<bool, SystemError> only_nuls(BufferedReader& file, std::uint64_t from,
                                           std::uint64_t size) {
  while (from < size) {
    auto bytes = file.at(from, kSearchBytes);
    if (!bytes) return std::unexpected(bytes.error());
    if (bytes->empty()) break;
    // What a running master has appended since `size` was read does not count.
    bytes = bytes->substr(
        0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes->size(), size - from)));
    if (bytes->find_first_not_of('\0') != std::string_view::npos) return false;
    from += bytes->size();
  }
  return true;
}

// An intact header suffices: a power cut can leave at most one group half written, so a second
// one behind it means that what is broken had been durable. A lower index does not count; a file
// system may uncover old blocks of this log.
std::expected<std::optional<std::uint64_t>, SystemError> find_group(BufferedReader& file,
                                                                    const LogId& log,
                                                                    std::uint64_t from,
                                                                    std::uint64_t size,
                                                                    std::uint64_t next_index) {
  while (from < size) {
    auto bytes = file.at(from, kSearchBytes);
    if (!bytes) return std::unexpected(bytes.error());
    if (bytes->size() < kFrameHeaderBytes) return std::nullopt;
    const auto found = bytes->find(kFrameMarker);
    if (found == std::string_view::npos) {
      from += bytes->size() - (kFrameMarker.size() - 1);
      continue;
    }
    from += found;
    if (from >= size) break;
    auto head = file.at(from, kFrameHeaderBytes);
    if (!head) return std::unexpected(head.error());
    if (const auto header = decode_frame_header(log, *head);
        header && header->first_index >= next_index) {
      return from;
    }
    ++from;
  }
  return std::nullopt;
}

// Whether the fault may be what a power cut left of a group that was being written.
std::expected<bool, SystemError> is_torn_tail(BufferedReader& file, const LogId& log,
                                              FrameWalk& walk, std::uint64_t size) {
  if (walk.certain) return false;
  if (walk.header) {
    auto nuls = only_nuls(file, walk.end + walk.header->frame_bytes(), size);
    if (!nuls) return std::unexpected(nuls.error());
    if (!*nuls) {
      walk.fault += "; it is not the last one: more bytes follow it";
      return false;
    }
  }
  auto other = find_group(file, log, walk.end + 1, size, walk.next_index);
  if (!other) return std::unexpected(other.error());
  if (*other) {
    walk.fault +=
        "; it is not the last one: an intact one begins at byte " + std::to_string(**other);
    return false;
  }
  return true;
}

std::string missing(std::uint64_t from, std::uint64_t to) {
  return "the records " + std::to_string(from) + " to " + std::to_string(to) + " are missing";
}

class Surveyor {
 public:
  Surveyor(const fs::path& directory, FileOps& ops, const RecordReader& reader)
      : directory_(directory), ops_(ops), reader_(reader) {}

  std::expected<Survey, Error> run(std::uint64_t from_segment) {
    if (auto listed = list(from_segment); !listed) return std::unexpected(listed.error());
    // Snapshots first: when the only segment has no header they still know the log's id.
    for (auto& snapshot : survey_.snapshots) {
      if (auto checked = check_snapshot(snapshot); !checked) {
        return std::unexpected(checked.error());
      }
    }
    if (!survey_.segments.empty()) survey_.next_index = survey_.segments.front().first_index;
    for (std::size_t i = 0; i < survey_.segments.size() && !survey_.damage; ++i) {
      if (auto checked = check_segment(i); !checked) return std::unexpected(checked.error());
    }
    if (!survey_.damage) compare_with_snapshot();
    return std::move(survey_);
  }

 private:
  std::expected<void, Error> list(std::uint64_t from_segment) {
    std::error_code error;
    auto entries = fs::directory_iterator(directory_, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      const auto& path = entries->path();
      const auto name = path.filename().string();
      if (name == kTailDroppedName) survey_.tail_dropped_before = true;
      if (name.ends_with(kTemporaryEnding)) survey_.temporaries.push_back(path);
      if (auto index = index_in_name(FileKind::kSegment, name); index && *index >= from_segment) {
        // A size read before the contents: a running master may append meanwhile.
        const auto size = fs::file_size(path, error);
        survey_.segments.push_back({path, *index, size, 0, 0});
      }
      if (auto index = index_in_name(FileKind::kSnapshot, name)) {
        survey_.snapshots.push_back({path, *index, {}});
      }
      if (error) break;
    }
    if (error) {
      return std::unexpected(
          Error{"cannot read the log directory " + directory_.string() + ": " + error.message()});
    }
    std::ranges::sort(survey_.segments, {}, &SurveyedSegment::first_index);
    std::ranges::sort(survey_.snapshots, {}, &SurveyedSnapshot::upto_index);
    return {};
  }

  std::expected<void, Error> same_log(const fs::path& path, const LogId& log) {
    if (!survey_.log) {
      survey_.log = log;
      first_of_log_ = path;
    }
    if (*survey_.log == log) return {};
    return std::unexpected(Error{path.string() + " belongs to another log than " +
                                 first_of_log_.filename().string() +
                                 " beside it: move the one that is foreign out of the directory"});
  }

  std::expected<void, Error> check_snapshot(SurveyedSnapshot& snapshot) {
    auto file = OpenFile::open(ops_, snapshot.path, FileOps::Open::kReadOnly);
    if (!file) {
      // A running master may just have replaced it by a newer one.
      snapshot.fault = file_error("cannot open", snapshot.path, file.error()).message;
      return {};
    }
    BufferedReader reader(*file);
    auto head = reader.at(0, kSnapshotHeaderBytes);
    if (!head) return std::unexpected(file_error("cannot read", snapshot.path, head.error()));
    auto header = decode_header(FileKind::kSnapshot, *head);
    if (!header && header.error().fault == HeaderFault::kNewFormat) {
      return std::unexpected(Error{snapshot.path.string() + ": " + header.error().reason});
    }
    const auto body = decode_snapshot_body(*head);
    if (!header || !body) {
      snapshot.fault = header ? "it is cut short" : header.error().reason;
      return {};
    }
    if (header->index != snapshot.upto_index) {
      snapshot.fault = "it was made for index " + std::to_string(header->index);
      return {};
    }
    if (auto same = same_log(snapshot.path, header->log); !same) return same;
    RunningChecksum sum;
    std::uint64_t bytes = 0;
    while (true) {
      auto piece = reader.at(kSnapshotHeaderBytes + bytes, kSearchBytes);
      if (!piece) return std::unexpected(file_error("cannot read", snapshot.path, piece.error()));
      if (piece->empty()) break;
      sum.add(*piece);
      bytes += piece->size();
    }
    if (bytes != body->bytes) {
      snapshot.fault = "it has " + std::to_string(bytes) + " bytes of contents instead of " +
                       std::to_string(body->bytes);
    } else if (sum.value() != body->checksum) {
      snapshot.fault = "the checksum of its contents is wrong";
    }
    return {};
  }

  void damaged(std::size_t i, std::uint64_t offset, std::string reason) {
    survey_.damage = SurveyedDamage{
        SurveyedDamage::Kind::kBytes, i, {survey_.segments[i].path, offset, std::move(reason)}};
  }

  std::expected<void, Error> check_segment(std::size_t i) {
    auto& segment = survey_.segments[i];
    const bool last = i + 1 == survey_.segments.size();
    if (segment.first_index == 0) {
      damaged(i, 0, "its name says record 0, and the first one is 1");
      return {};
    }
    if (segment.first_index > survey_.next_index) {
      damaged(i, 0, missing(survey_.next_index, segment.first_index - 1) + " before it");
      return {};
    }
    if (segment.first_index < survey_.next_index) {
      damaged(i, 0,
              "the records from " + std::to_string(segment.first_index) +
                  " on are in the segment before it already");
      return {};
    }
    auto file = OpenFile::open(ops_, segment.path, FileOps::Open::kReadOnly);
    if (!file) return std::unexpected(file_error("cannot open", segment.path, file.error()));
    BufferedReader reader(*file);
    const auto unreadable = [&](SystemError error) {
      return std::unexpected(file_error("cannot read", segment.path, error));
    };

    auto head = reader.at(0, kFileHeaderBytes);
    if (!head) return unreadable(head.error());
    const auto header = decode_header(FileKind::kSegment, *head);
    if (!header) {
      if (header.error().fault == HeaderFault::kNewFormat) {
        return std::unexpected(Error{segment.path.string() + ": " + header.error().reason});
      }
      // The header is durable before the first group is written, so only a file without groups
      // can have lost it in a power cut.
      auto nuls = only_nuls(reader, 0, segment.size);
      if (!nuls) return unreadable(nuls.error());
      if (last && (segment.size <= kFileHeaderBytes || *nuls)) {
        survey_.torn_bytes = segment.size;
      } else {
        damaged(i, 0, header.error().reason);
      }
      return {};
    }
    if (auto same = same_log(segment.path, header->log); !same) return same;
    if (header->index != segment.first_index) {
      damaged(i, 0, "it was made for index " + std::to_string(header->index) + " and renamed");
      return {};
    }

    auto walk =
        walk_frames(reader, *survey_.log, segment.first_index, segment.size, 0, counted_reader());
    if (!walk) return unreadable(walk.error());
    segment.end = walk->end;
    segment.last_group = walk->last_group;
    survey_.groups += walk->groups;
    survey_.next_index = walk->next_index;
    if (walk->fault.empty()) return {};
    bool torn = false;
    if (last) {
      auto judged = is_torn_tail(reader, *survey_.log, *walk, segment.size);
      if (!judged) return unreadable(judged.error());
      torn = *judged;
    }
    if (torn) {
      survey_.torn_bytes = segment.size - segment.end;
    } else {
      damaged(i, segment.end, walk->fault);
    }
    return {};
  }

  // A reader that has had enough hears no more, but the check goes on.
  RecordReader counted_reader() {
    if (!reader_ || stopped_) return {};
    return [this](std::uint64_t index, std::string_view record) {
      if (!stopped_) stopped_ = reader_(index, record) == Reading::kStop;
      return Reading::kGoOn;
    };
  }

  void compare_with_snapshot() {
    const auto* snapshot = survey_.newest_valid_snapshot();
    const auto upto = snapshot ? snapshot->upto_index : 0;
    if (survey_.segments.empty()) {
      if (snapshot) {
        survey_.damage = SurveyedDamage{
            SurveyedDamage::Kind::kEndMissing,
            0,
            {snapshot->path, 0, "it has no log: every segment beside it is missing"}};
      }
      return;
    }
    const auto& first = survey_.segments.front();
    const auto& last = survey_.segments.back();
    if (first.first_index > upto + 1) {
      survey_.damage = SurveyedDamage{SurveyedDamage::Kind::kStartMissing,
                                      0,
                                      {first.path, 0,
                                       missing(upto + 1, first.first_index - 1) +
                                           " before it, and no valid snapshot stands for them"}};
    } else if (snapshot && upto >= survey_.next_index) {
      survey_.damage =
          SurveyedDamage{SurveyedDamage::Kind::kEndMissing,
                         survey_.segments.size() - 1,
                         {last.path, last.end,
                          missing(survey_.next_index, upto) + " at its end: the snapshot " +
                              snapshot->path.filename().string() + " knows them"}};
    }
  }

  const fs::path& directory_;
  FileOps& ops_;
  const RecordReader& reader_;
  bool stopped_ = false;
  Survey survey_;
  fs::path first_of_log_;
};

}  // namespace

const SurveyedSnapshot* Survey::newest_valid_snapshot() const {
  for (auto snapshot = snapshots.rbegin(); snapshot != snapshots.rend(); ++snapshot) {
    if (snapshot->fault.empty()) return &*snapshot;
  }
  return nullptr;
}

std::expected<FrameWalk, SystemError> walk_frames(BufferedReader& file, const LogId& log,
                                                  std::uint64_t first_index, std::uint64_t size,
                                                  std::uint64_t from_index,
                                                  const RecordReader& reader) {
  FrameWalk walk;
  walk.next_index = first_index;
  const auto faulty = [&walk](std::string fault) {
    walk.fault = std::move(fault);
    return walk;
  };
  while (walk.end < size) {
    const auto left = size - walk.end;
    auto head = file.at(walk.end, kFrameHeaderBytes);
    if (!head) return std::unexpected(head.error());
    if (left < kFrameHeaderBytes || head->size() < kFrameHeaderBytes) {
      return faulty("the group here is cut short after " + std::to_string(head->size()) + " bytes");
    }
    walk.header = decode_frame_header(log, *head);
    if (!walk.header) {
      return faulty(head->starts_with(kFrameMarker) ? "the header of the group here is damaged"
                                                    : "no group begins here");
    }
    const auto header = *walk.header;
    if (header.frame_bytes() > left) {
      return faulty("the group here is cut short: " + std::to_string(left) + " bytes instead of " +
                    std::to_string(header.frame_bytes()));
    }
    auto frame = file.at(walk.end, header.frame_bytes());
    if (!frame) return std::unexpected(frame.error());
    if (!intact(log, header, *frame)) {
      return faulty("the checksum of the group here is wrong");
    }
    if (header.first_index != walk.next_index) {
      walk.certain = true;
      return faulty("the group here begins with record " + std::to_string(header.first_index) +
                    " instead of " + std::to_string(walk.next_index));
    }
    Reading reading = Reading::kGoOn;
    const bool wanted = reader && header.next_index() > from_index;
    const auto skipping = [&](std::uint64_t index, std::string_view record) {
      return wanted && index >= from_index ? reader(index, record) : Reading::kGoOn;
    };
    if (!for_each_record(header, *frame, skipping, reading)) {
      walk.certain = true;
      return faulty("the lengths of the records in the group here do not add up");
    }
    walk.header.reset();
    if (reading == Reading::kStop) {
      walk.stopped = true;
      return walk;
    }
    walk.last_group = walk.end;
    walk.end += header.frame_bytes();
    walk.next_index = header.next_index();
    ++walk.groups;
  }
  return walk;
}

std::expected<Survey, Error> survey_log(const fs::path& directory, FileOps& ops,
                                        const RecordReader& reader, std::uint64_t from_segment) {
  return Surveyor(directory, ops, reader).run(from_segment);
}

std::expected<std::string, Error> read_snapshot(const fs::path& path, FileOps& ops) {
  const auto failed = [&](SystemError error) {
    return std::unexpected(file_error("cannot read", path, error));
  };
  auto file = OpenFile::open(ops, path, FileOps::Open::kReadOnly);
  if (!file) return failed(file.error());
  BufferedReader reader(*file);
  auto head = reader.at(0, kSnapshotHeaderBytes);
  if (!head) return failed(head.error());
  const auto body = decode_snapshot_body(*head);
  std::string bytes;
  if (body) bytes.reserve(body->bytes);  // which the survey found there
  while (body && bytes.size() < body->bytes) {
    auto piece = reader.at(kSnapshotHeaderBytes + bytes.size(), kSearchBytes);
    if (!piece) return failed(piece.error());
    if (piece->empty()) break;
    bytes.append(*piece);
  }
  if (!body || bytes.size() != body->bytes || checksum(bytes) != body->checksum) {
    return std::unexpected(Error{path.string() + " changed while it was read: try again"});
  }
  return bytes;
}

std::string possible_repairs(const fs::path& directory, const SurveyedDamage& damage) {
  const std::string command = "\"rollcall log repair " + directory.string() + " --drop-tail\"";
  std::string text = "Either restore ";
  switch (damage.kind) {
    case SurveyedDamage::Kind::kBytes:
      text += "that file from a backup, or cut the log there with " + command +
              " (a snapshot behind the damage is used if there is one; otherwise the workers send "
              "again what is lost), ";
      break;
    case SurveyedDamage::Kind::kStartMissing:
      text += "the missing segments or a snapshot from a backup, ";
      break;
    case SurveyedDamage::Kind::kEndMissing:
      text += "the missing segments from a backup, or cut the log with " + command +
              " so that it goes on behind the snapshot, ";
      break;
  }
  return text + "or begin a new log in an empty directory and let the workers rebuild it";
}

LogVerdict verdict_of(const fs::path& directory, const Survey& survey) {
  LogVerdict verdict;
  verdict.segments = survey.segments.size();
  verdict.groups = survey.groups;
  verdict.next_index = survey.next_index;
  if (!survey.segments.empty()) verdict.first_index = survey.segments.front().first_index;
  verdict.records = verdict.next_index - verdict.first_index;
  for (const auto& segment : survey.segments) verdict.bytes += segment.end;
  for (const auto& snapshot : survey.snapshots) {
    if (snapshot.fault.empty()) {
      ++verdict.snapshots;
    } else {
      verdict.message += verdict.message.empty() ? "" : "; ";
      verdict.message += snapshot.path.filename().string() + " is not valid: " + snapshot.fault;
    }
  }
  verdict.torn_tail = survey.torn_bytes;
  if (survey.damage) {
    verdict.damage = survey.damage->what;
    verdict.repairs = possible_repairs(directory, *survey.damage);
  }
  return verdict;
}

std::expected<LogVerdict, Error> verify_log(const fs::path& directory, const RecordReader& reader) {
  PosixFileOps ops;
  // Beside a running master the newest group may be half written at the first look; what is
  // damage is damage at the second look too. Only the last look is read aloud.
  auto survey = survey_log(directory, ops);
  if (!survey || survey->damage || reader) survey = survey_log(directory, ops, reader);
  if (!survey) return std::unexpected(survey.error());
  return verdict_of(directory, *survey);
}

}  // namespace rollcall::persist
