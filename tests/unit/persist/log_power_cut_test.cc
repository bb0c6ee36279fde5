// What a power cut after any operation leaves of a log can be opened, and nothing is missing of
// what append() or write_snapshot() had returned for (torn_files).
#include <array>
#include <charconv>

#include "persist/log_retention.h"
#include "persist/memory_event_log.h"
#include "tests/unit/persist/log_fixture.h"
#include "tests/unit/persist/recording_file_ops.h"

namespace rollcall::persist {
namespace {

std::string record(std::uint64_t index) {
  return "record " + std::to_string(index) + std::string(index % 7 * 9, 'x');
}
std::string state(std::uint64_t upto) {
  return "state after " + std::to_string(upto);
}

const LogOptions kSmallSegments{.segment_bytes = 400};

// A master's day. Everything that succeeded is written down in the journal, as what a socket would
// have been told. `ops` may fail now and then.
class Workload {
 public:
  // What becomes of old segments.
  enum class Old { kUpToNewestSnapshot, kRetention };
  Workload(const std::filesystem::path& directory, FileOps& ops, Journal& journal,
           std::uint64_t seed, Old old = Old::kUpToNewestSnapshot)
      : directory_(directory), ops_(ops), journal_(journal), random_(seed), old_(old) {}

  void run(int steps) {
    LogRecovery recovery;
    auto log = FileEventLog::open(directory_, kSmallSegments, recovery, ops_);
    if (!log) return;  // a failing disk
    // A master acts on what it reads at its start.
    journal_.record_marker("next " + std::to_string(recovery.next_index));
    for (int i = 0; i < steps; ++i) {
      const auto next = (*log)->next_index();
      switch (random_() % 10) {
        case 0:
          if (next > 1 && (*log)->write_snapshot(next - 1, state(next - 1))) {
            snapshot_ = next - 1;
            journal_.record_marker("snapshot " + std::to_string(next - 1));
          }
          break;
        case 1:
          remove_old(**log);
          break;
        default:
          std::vector<std::string> group;
          for (auto n = random_() % 4 + 1; n > 0; --n) group.push_back(record(next + group.size()));
          if ((*log)->append(group)) {
            journal_.record_marker("next " + std::to_string((*log)->next_index()));
          }
      }
    }
  }

 private:
  void remove_old(FileEventLog& log) {
    if (old_ == Old::kUpToNewestSnapshot) {
      if (snapshot_ > 0) (void)log.remove_segments_before(snapshot_ + 1);
      return;
    }
    const auto plan = plan_retention(log.files(), {std::chrono::hours(1), 600}, {});
    if (plan.keep_from > 0 && log.remove_segments_before(plan.keep_from)) {
      journal_.record_marker("kept " + std::to_string(plan.keep_from));
    }
  }

  std::filesystem::path directory_;
  FileOps& ops_;
  Journal& journal_;
  std::mt19937_64 random_;
  Old old_;
  std::uint64_t snapshot_ = 0;
};

// The largest number after `word` in the markers.
std::uint64_t last_said(const std::vector<std::string>& markers, const std::string& word) {
  std::uint64_t last = 0;
  for (const auto& marker : markers) {
    if (!marker.starts_with(word + " ")) continue;
    std::uint64_t number = 0;
    std::from_chars(marker.data() + word.size() + 1, marker.data() + marker.size(), number);
    last = std::max(last, number);
  }
  return last;
}

void expect_nothing_missing(const std::filesystem::path& directory,
                            const std::vector<std::string>& markers, FileOps& ops) {
  LogRecovery recovery;
  auto log = FileEventLog::open(directory, kSmallSegments, recovery, ops);
  ASSERT_TRUE(log) << log.error().message;
  const auto next = (*log)->next_index();
  EXPECT_GE(next, last_said(markers, "next"));
  const auto snapshot = recovery.snapshot.value_or(Snapshot{});
  EXPECT_GE(snapshot.upto_index, last_said(markers, "snapshot"));
  if (recovery.snapshot) {
    EXPECT_EQ(snapshot.bytes, state(snapshot.upto_index));
  }
  EXPECT_LE((*log)->first_index(), snapshot.upto_index + 1);
  Records expected;
  for (auto i = (*log)->first_index(); i < next; ++i) expected[i] = record(i);
  EXPECT_EQ(records_of(**log), expected);
}

struct Fates {
  DataFate data;
  NameFate names;
};

// Every operation is cut after; sanitizers are slow at files, so there only every seventh.
#ifdef ROLLCALL_SANITIZED
constexpr std::size_t kStride = 7;
#else
constexpr std::size_t kStride = 1;
#endif

std::string name_of(const Fates& fates) {
  constexpr std::array kData{"Lost", "Kept", "CutShort", "Zeros", "SomeSectors", "AnyOrder"};
  constexpr std::array kNames{"Lost", "Kept", "Some"};
  return std::string("Data") + kData[static_cast<std::size_t>(fates.data)] + "Names" +
         kNames[static_cast<std::size_t>(fates.names)];
}

class PowerCutTest : public ::testing::TestWithParam<Fates> {
 protected:
  // Cuts the power after each of the recorded operations, and once more during the recovery.
  void cut_everywhere(const Journal& journal) {
    const auto entries = journal.entries();
    for (std::size_t cut = 0; cut <= entries.size(); cut += kStride) {
      SCOPED_TRACE("cut after operation " + std::to_string(cut));
      const auto markers = journal.markers_before(cut);
      const TemporaryDirectory once;
      PowerCut(GetParam().data, GetParam().names, cut).rebuild(entries, cut, once.path());

      Journal second;
      RecordingFileOps ops(once.path(), disk_, second);
      const auto before = second.size();  // the files that exist already
      ASSERT_NO_FATAL_FAILURE(expect_nothing_missing(once.path(), markers, ops));
      Workload(once.path(), ops, second, cut).run(2);

      const auto later = second.entries();
      const auto second_cut = before + std::mt19937_64(cut)() % (later.size() - before + 1);
      auto said = markers;
      for (auto& marker : second.markers_before(second_cut)) said.push_back(marker);
      const TemporaryDirectory twice;
      PowerCut(GetParam().data, GetParam().names, cut + 1).rebuild(later, second_cut, twice.path());
      ASSERT_NO_FATAL_FAILURE(expect_nothing_missing(twice.path(), said, disk_));
      if (HasFailure()) return;
    }
  }

  UnsyncedFileOps disk_;
};

TEST_P(PowerCutTest, NothingThatWasAcknowledgedIsMissingAndNothingIsRefused) {
  const TemporaryDirectory directory;
  Journal journal;
  RecordingFileOps ops(directory.path(), disk_, journal);
  Workload(directory.path(), ops, journal, 1).run(40);
  cut_everywhere(journal);
}

TEST_P(PowerCutTest, RetentionLeavesWhatEachSnapshotNeeds) {
  const TemporaryDirectory directory;
  Journal journal;
  RecordingFileOps ops(directory.path(), disk_, journal);
  Workload(directory.path(), ops, journal, 3, Workload::Old::kRetention).run(80);
  const auto entries = journal.entries();
  ASSERT_GT(last_said(journal.markers_before(entries.size()), "kept"), 1u);
  for (std::size_t cut = 0; cut <= entries.size(); cut += kStride) {
    SCOPED_TRACE("cut after operation " + std::to_string(cut));
    const TemporaryDirectory once;
    PowerCut(GetParam().data, GetParam().names, cut).rebuild(entries, cut, once.path());
    ASSERT_NO_FATAL_FAILURE(
        expect_nothing_missing(once.path(), journal.markers_before(cut), disk_));
    LogRecovery recovery;
    auto log = FileEventLog::open(once.path(), kSmallSegments, recovery, disk_);
    ASSERT_TRUE(log) << log.error().message;
    for (const auto& snapshot : (*log)->files().snapshots) {
      EXPECT_LE((*log)->first_index(), snapshot.upto_index + 1);
    }
    if (HasFailure()) return;
  }
}

TEST_P(PowerCutTest, TheSameOnADiskThatFailsNowAndThen) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const TemporaryDirectory directory;
    Journal journal;
    FaultyFileOps faulty(disk_);
    std::mt19937_64 random(seed);
    faulty.short_write_bytes = 13;
    faulty.decide = [&](Op op) {
      return op != Op::kRead && random() % 10 == 0 ? (random() % 2 == 0 ? EIO : ENOSPC) : 0;
    };
    RecordingFileOps ops(directory.path(), faulty, journal);
    for (int restart = 0; restart < 3; ++restart) {
      Workload(directory.path(), ops, journal, seed + static_cast<std::uint64_t>(restart)).run(20);
    }
    cut_everywhere(journal);
  }
}

TEST_P(PowerCutTest, TheSameAfterAProcessDiedInTheMiddle) {
  for (int last_operation = 5; last_operation < 60; last_operation += 3) {
    SCOPED_TRACE("died after operation " + std::to_string(last_operation));
    const TemporaryDirectory directory;
    Journal journal;
    FaultyFileOps dying(disk_);
    int operations = 0;
    dying.decide = [&](Op) { return ++operations > last_operation ? EIO : 0; };
    RecordingFileOps ops(directory.path(), dying, journal);
    Workload(directory.path(), ops, journal, 1).run(20);
    dying.mend();
    Workload(directory.path(), ops, journal, 2).run(1);
    cut_everywhere(journal);
  }
}

INSTANTIATE_TEST_SUITE_P(Disks, PowerCutTest,
                         ::testing::Values(Fates{DataFate::kLost, NameFate::kLost},
                                           Fates{DataFate::kLost, NameFate::kKept},
                                           Fates{DataFate::kKept, NameFate::kKept},
                                           Fates{DataFate::kKept, NameFate::kSome},
                                           Fates{DataFate::kCutShort, NameFate::kKept},
                                           Fates{DataFate::kCutShort, NameFate::kSome},
                                           Fates{DataFate::kZeros, NameFate::kKept},
                                           Fates{DataFate::kZeros, NameFate::kSome},
                                           Fates{DataFate::kSomeSectors, NameFate::kKept},
                                           Fates{DataFate::kSomeSectors, NameFate::kSome},
                                           Fates{DataFate::kAnyOrder, NameFate::kKept},
                                           Fates{DataFate::kAnyOrder, NameFate::kSome}),
                         [](const auto& param_info) { return name_of(param_info.param); });

// What a failed append left is cut off, and that is durable before the next group is written there:
// otherwise the cut may be lost while a part of the next group is kept, and the two would mix.
TEST(PowerCut, RemainsOfAGroupThatFailedNeverSpoilTheNext) {
  const TemporaryDirectory directory;
  Journal journal;
  UnsyncedFileOps disk;
  FaultyFileOps faulty(disk);
  RecordingFileOps ops(directory.path(), faulty, journal);
  {
    LogRecovery recovery;
    auto log = FileEventLog::open(directory.path(), {}, recovery, ops);
    ASSERT_TRUE(log) << log.error().message;
    ASSERT_TRUE((*log)->append(std::vector<std::string>{"first"}));
    faulty.fail(Op::kSync, 1, EIO);
    ASSERT_FALSE((*log)->append(std::vector<std::string>{std::string(900, 'f')}));
    ASSERT_TRUE((*log)->append(std::vector<std::string>{std::string(300, 's')}));
  }
  const auto entries = journal.entries();
  const auto failure =
      std::ranges::find(entries, Journal::Entry::Kind::kSyncFailed, &Journal::Entry::kind);
  ASSERT_NE(failure, entries.end());
  // Many fates: few of them leave the beginning of the next group and the end of the failed one.
  const auto first = static_cast<std::size_t>(failure - entries.begin());
  for (std::size_t cut = first; cut <= entries.size(); ++cut) {
    for (std::uint64_t seed = 1; seed <= 1'000; seed += kStride) {
      SCOPED_TRACE("cut after operation " + std::to_string(cut) + ", seed " + std::to_string(seed));
      const TemporaryDirectory after;
      PowerCut(DataFate::kAnyOrder, NameFate::kKept, seed).rebuild(entries, cut, after.path());
      LogRecovery recovery;
      auto log = FileEventLog::open(after.path(), {}, recovery, disk);
      ASSERT_TRUE(log) << log.error().message;
    }
  }
}

TEST(PowerCutHarness, ALogThatForgetsToSyncIsCaught) {
  const TemporaryDirectory directory;
  const TemporaryDirectory after;
  Journal journal;
  UnsyncedFileOps disk;
  RecordingFileOps ops(directory.path(), disk, journal);
  const auto fd = ops.open(directory / "file", FileOps::Open::kEmpty);
  ASSERT_TRUE(fd);
  ASSERT_TRUE(ops.sync_directory(directory.path()));
  ASSERT_TRUE(ops.write_at(*fd, "unsynced", 0));
  journal.record_marker("sent");
  PowerCut(DataFate::kLost, NameFate::kKept, 1)
      .rebuild(journal.entries(), journal.size(), after.path());
  EXPECT_EQ(read_file(after / "file"), "");
  ops.close(*fd);
}

}  // namespace
}  // namespace rollcall::persist
