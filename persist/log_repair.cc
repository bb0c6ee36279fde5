#include <cerrno>

#include "persist/directory_lock.h"
#include "persist/file_event_log.h"
#include "persist/log_survey.h"

namespace rollcall::persist {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSetAsideEnding = ".cut";

// Each step is durable before the next, and the mark that a tail is missing comes first: an
// interrupted repair leaves a log that is still refused, or one that reports the loss.
class Repair {
 public:
  explicit Repair(const fs::path& directory) : directory_(directory) {}

  std::expected<std::string, Error> run() {
    auto lock = DirectoryLock::take(directory_, "log");
    if (!lock) return std::unexpected(lock.error());
    auto survey = survey_log(directory_, ops_);
    if (!survey) return std::unexpected(survey.error());
    if (!survey->damage) return "the log is not damaged: nothing was changed";

    const auto& damage = *survey->damage;
    const auto* snapshot = survey->newest_valid_snapshot();
    if (snapshot && snapshot->upto_index >= survey->next_index) {
      return use_snapshot(*survey, snapshot->upto_index);
    }
    if (damage.kind == SurveyedDamage::Kind::kStartMissing) {
      return std::unexpected(
          Error{"the log in " + directory_.string() +
                " cannot be repaired: its oldest records are missing and no snapshot stands for "
                "them; restore a snapshot from a backup, or begin a new log in an empty "
                "directory and let the workers rebuild it"});
    }
    return cut(*survey);
  }

 private:
  // The snapshot is newer than the damage: what follows it is kept if that is whole.
  std::expected<std::string, Error> use_snapshot(const Survey& survey, std::uint64_t upto) {
    std::size_t kept = survey.segments.size();
    for (std::size_t i = survey.damage->segment; i < survey.segments.size(); ++i) {
      if (survey.segments[i].first_index > upto + 1) break;
      auto rest = survey_log(directory_, ops_, {}, survey.segments[i].first_index);
      if (!rest) return std::unexpected(rest.error());
      if (!rest->damage) {
        kept = i;
        break;
      }
    }
    std::string report;
    const bool restart = kept == survey.segments.size();
    if (restart) {
      if (auto marked = mark(); !marked) return std::unexpected(marked.error());
      // The newest first: what stays behind an interruption ends before the snapshot, which
      // is damage still.
      for (auto i = survey.segments.size(); i-- > 0;) {
        if (auto aside = set_aside(survey.segments[i].path, report); !aside) {
          return std::unexpected(aside.error());
        }
      }
      if (auto started = start(*survey.log, upto + 1); !started) {
        return std::unexpected(started.error());
      }
      return report + "the log goes on at record " + std::to_string(upto + 1) +
             ", after the snapshot; records behind the snapshot come again from the workers";
    }
    for (std::size_t i = 0; i < kept; ++i) {
      if (auto aside = set_aside(survey.segments[i].path, report); !aside) {
        return std::unexpected(aside.error());
      }
    }
    return report + "the log begins at record " +
           std::to_string(survey.segments[kept].first_index) +
           "; the snapshot stands for everything before, only history is lost";
  }

  std::expected<std::string, Error> cut(const Survey& survey) {
    std::string report;
    if (auto marked = mark(); !marked) return std::unexpected(marked.error());
    const auto& damage = *survey.damage;
    const auto& segment = survey.segments[damage.segment];
    const bool cut_inside = damage.what.offset > 0;
    for (auto i = survey.segments.size(); i-- > damage.segment + (cut_inside ? 1 : 0);) {
      if (auto aside = set_aside(survey.segments[i].path, report); !aside) {
        return std::unexpected(aside.error());
      }
    }
    if (cut_inside) {
      if (auto copied = keep_copy(segment.path, report); !copied) {
        return std::unexpected(copied.error());
      }
      auto file = OpenFile::open(ops_, segment.path, FileOps::Open::kExisting);
      if (!file) return std::unexpected(file_error("cannot open", segment.path, file.error()));
      auto done = file->truncate(damage.what.offset);
      if (done) done = file->sync();
      if (!done) return std::unexpected(file_error("cannot cut", segment.path, done.error()));
    }
    return report + "the log ends before record " + std::to_string(survey.next_index) +
           "; later ones come again from the workers";
  }

  std::expected<void, Error> mark() {
    const auto path = directory_ / kTailDroppedName;
    if (auto made = OpenFile::open(ops_, path, FileOps::Open::kEmpty); !made) {
      return std::unexpected(file_error("cannot create", path, made.error()));
    }
    return sync();
  }

  std::expected<void, Error> start(const LogId& log, std::uint64_t first_index) {
    // A half-made segment with this name is taken by the next open() for what it is.
    const auto path = directory_ / file_name(FileKind::kSegment, first_index);
    auto file = OpenFile::open(ops_, path, FileOps::Open::kEmpty);
    if (!file) return std::unexpected(file_error("cannot create", path, file.error()));
    auto done = file->write_all(encode_header(FileKind::kSegment, {log, first_index}), 0);
    if (done) done = file->sync();
    if (!done) return std::unexpected(file_error("cannot write", path, done.error()));
    return sync();
  }

  fs::path free_name(const fs::path& path) {
    auto name = path;
    name += kSetAsideEnding;
    for (int i = 2; fs::exists(name); ++i) {
      name = path;
      name += kSetAsideEnding + std::to_string(i);
    }
    return name;
  }

  std::expected<void, Error> set_aside(const fs::path& path, std::string& report) {
    const auto name = free_name(path);
    if (auto renamed = ops_.rename(path, name); !renamed) {
      return std::unexpected(file_error("cannot rename", path, renamed.error()));
    }
    report += path.filename().string() + " is now " + name.filename().string() + "; ";
    return sync();
  }

  std::expected<void, Error> keep_copy(const fs::path& path, std::string& report) {
    const auto name = free_name(path);
    std::error_code error;
    fs::copy_file(path, name, error);
    if (error) {
      return std::unexpected(
          Error{"cannot copy " + path.string() + " to " + name.string() + ": " + error.message()});
    }
    report += path.filename().string() + " as it was is now " + name.filename().string() + "; ";
    return {};
  }

  std::expected<void, Error> sync() {
    if (auto synced = ops_.sync_directory(directory_); !synced) {
      return std::unexpected(file_error("cannot sync", directory_, synced.error()));
    }
    return {};
  }

  const fs::path& directory_;
  PosixFileOps ops_;
};

}  // namespace

std::expected<std::string, Error> cut_log_at_damage(const fs::path& directory) {
  return Repair(directory).run();
}

}  // namespace rollcall::persist
