#include "persist/file_event_log.h"

#include <thread>

#include "tests/unit/persist/log_fixture.h"

namespace rollcall::persist {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A group {"1"} takes 40 bytes of header and 5 of payload.
constexpr std::uint64_t kOneGroup = kFrameHeaderBytes + 4 + 1;
constexpr std::uint64_t kFirstGroup = kFileHeaderBytes;

class FileEventLogTest : public LogTest {};

TEST_F(FileEventLogTest, ANewLogBeginsAtIndexOne) {
  open();
  EXPECT_TRUE(recovery_.created);
  EXPECT_FALSE(recovery_.torn_tail_dropped);
  EXPECT_THAT(recovery_.message, IsEmpty());
  EXPECT_EQ(log_->next_index(), 1u);
  EXPECT_EQ(log_->first_index(), 1u);
}

TEST_F(FileEventLogTest, RecordsAreThereAfterReopening) {
  open();
  append({"a", "", "c"});
  append({std::string("d\0d", 3)});
  open();
  EXPECT_FALSE(recovery_.created);
  EXPECT_THAT(recovery_.message, IsEmpty());
  EXPECT_EQ(recovery_.next_index, 5u);
  EXPECT_EQ(records(), (Records{{1, "a"}, {2, ""}, {3, "c"}, {4, std::string("d\0d", 3)}}));
}

TEST_F(FileEventLogTest, AnEmptyGroupDoesNothing) {
  open();
  append({});
  EXPECT_EQ(log_->next_index(), 1u);
  EXPECT_EQ(size(segment()), kFileHeaderBytes);
}

TEST_F(FileEventLogTest, AGroupBeyondTheLimitIsRefusedBeforeAnythingIsWritten) {
  open();
  EXPECT_THAT(failure({std::string(kMaxGroupBytes, 'x')}), HasSubstr("split it"));
  EXPECT_THAT(failure(std::vector<std::string>(kMaxGroupRecords + 1)), HasSubstr("split it"));
  EXPECT_EQ(size(segment()), kFileHeaderBytes);
}

TEST(FileEventLogOnDisk, AGroupOfExactlyTheLimitIsKept) {
  const TemporaryDirectory directory(Where::kDisk);
  LogRecovery recovery;
  const std::vector<std::string> group{std::string(kMaxGroupBytes - 4, 'x')};
  auto log = FileEventLog::open(directory.path(), {}, recovery);
  ASSERT_TRUE(log && (*log)->append(group));
  log->reset();
  log = FileEventLog::open(directory.path(), {}, recovery);
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ(records_of(**log).at(1), group.front());
}

TEST_F(FileEventLogTest, RecordsMayLookLikeFrames) {
  open();
  append({"x"});
  const auto frame = read_file(segment()).substr(kFirstGroup);
  append({frame, std::string(kFrameMarker) + frame});
  append({"y"});
  open();
  EXPECT_EQ(records().at(2), frame);
  cut(segment(), 1);  // the embedded copies are no groups after the damage
  open();
  EXPECT_EQ(log_->next_index(), 4u);
}

TEST_F(FileEventLogTest, SegmentsRotateAndAreReadAsOneLog) {
  append_segments(4);
  EXPECT_TRUE(std::filesystem::exists(segment(4)));
  open();
  append({"5"});
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2"}, {3, "3"}, {4, "4"}, {5, "5"}}));
  EXPECT_EQ(log_->end(), (LogPosition{5, kFileHeaderBytes + kOneGroup}));
}

TEST_F(FileEventLogTest, ReadingBeginsAnywhereAndStopsOnRequest) {
  append_segments(2);
  append({"3", "4", "5"});
  std::vector<std::uint64_t> seen;
  ASSERT_TRUE(log_->for_each(2, [&](std::uint64_t index, std::string_view) {
    seen.push_back(index);
    return index == 4 ? Reading::kStop : Reading::kGoOn;
  }));
  EXPECT_THAT(seen, ::testing::ElementsAre(2, 3, 4));
  EXPECT_TRUE(log_->for_each(6, [](auto, auto) { return Reading::kGoOn; }));
}

TEST_F(FileEventLogTest, ReadersOnOtherThreadsSeeOnlyWholeGroups) {
  options_.segment_bytes = 2000;
  open();
  std::jthread reader([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) EXPECT_EQ(records_of(*log_).size() % 3, 0u);
  });
  for (int i = 0; i < 300; ++i) append({"a", "b", "c"});
}

// --- Damage: the end of the log ---

TEST_F(FileEventLogTest, ATornLastGroupIsDropped) {
  open();
  append({"1"});
  append({"2"});
  cut(segment(), 3);
  open();
  EXPECT_TRUE(recovery_.torn_tail_dropped);
  EXPECT_THAT(recovery_.message, HasSubstr("byte " + std::to_string(kFirstGroup + kOneGroup)));
  EXPECT_EQ(records(), (Records{{1, "1"}}));
  append({"2 again"});
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2 again"}}));
}

TEST_F(FileEventLogTest, EveryLengthOfTheLastGroupIsRepaired) {
  open();
  append({"1"});
  append({"2"});
  const auto whole = read_file(segment());
  for (auto length = kFirstGroup + kOneGroup; length < whole.size(); ++length) {
    close();
    write_file(segment(), whole.substr(0, length));
    open();
    EXPECT_EQ(recovery_.torn_tail_dropped, length > kFirstGroup + kOneGroup) << length;
    EXPECT_EQ(records(), (Records{{1, "1"}})) << length;
    close();
    std::filesystem::remove(directory_ / "tail-dropped");
  }
}

TEST_F(FileEventLogTest, EveryFlippedByteOfTheLastGroupIsNoticed) {
  open();
  append({"1"});
  append({"2"});
  const auto whole = read_file(segment());
  for (auto at = kFirstGroup + kOneGroup; at < whole.size(); ++at) {
    close();
    write_file(segment(), whole);
    flip(segment(), at);
    open();
    EXPECT_TRUE(recovery_.torn_tail_dropped) << at;
    EXPECT_EQ(records(), (Records{{1, "1"}})) << at;
  }
}

TEST_F(FileEventLogTest, ATailOfNulsIsDropped) {
  open();
  append({"1"});
  append({"2"});
  add(segment(), std::string(100'000, '\0'));
  open();
  EXPECT_TRUE(recovery_.torn_tail_dropped);
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2"}}));
}

TEST_F(FileEventLogTest, ALastGroupOfNulsIsDropped) {
  open();
  append({"1"});
  append({"2"});
  put_nuls(segment(), kFirstGroup + kOneGroup);
  open();
  EXPECT_TRUE(recovery_.torn_tail_dropped);
  EXPECT_EQ(records(), (Records{{1, "1"}}));
}

TEST_F(FileEventLogTest, ADroppedTailIsReportedUntilAnAppendSucceeds) {
  open();
  append({"1"});
  cut(segment(), 1);
  open();
  open();
  EXPECT_TRUE(recovery_.torn_tail_dropped);
  EXPECT_THAT(recovery_.message, HasSubstr("earlier start"));
  append({"term 2"});
  open();
  EXPECT_FALSE(recovery_.torn_tail_dropped);
}

TEST_F(FileEventLogTest, AnEmptyLastSegmentIsTakenUp) {
  append_segments(3);
  cut(segment(3), size(segment(3)));
  ASSERT_EQ(size(segment(3)), 0u);
  open();
  EXPECT_TRUE(recovery_.torn_tail_dropped);
  append({"3 again"});
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2"}, {3, "3 again"}}));
}

TEST_F(FileEventLogTest, HalfAHeaderOfTheLastSegmentIsWrittenAnew) {
  append_segments(3);
  cut(segment(3), kOneGroup + 10);
  open();
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2"}}));
}

TEST_F(FileEventLogTest, ALastSegmentOfNulsIsWrittenAnew) {
  append_segments(3);
  put_nuls(segment(3), 0);
  open();
  append({"3 again"});
  EXPECT_EQ(records().at(3), "3 again");
}

TEST_F(FileEventLogTest, ALogWhoseCreationWasCutOffIsCreatedAgain) {
  write_file(segment(), "RCLOG");
  open();
  EXPECT_TRUE(recovery_.created);
  EXPECT_FALSE(recovery_.torn_tail_dropped);
  append({"1"});
  open();
  EXPECT_EQ(records(), (Records{{1, "1"}}));
}

TEST_F(FileEventLogTest, LeftoverTemporaryFilesAreSwept) {
  open();
  append({"1"});
  const auto leftover = directory_ / (snapshot_file(1).filename().string() + ".tmp");
  write_file(leftover, "half a snapshot");
  open();
  EXPECT_THAT(recovery_.message, HasSubstr("interrupted write"));
  EXPECT_FALSE(std::filesystem::exists(leftover));
}

// --- Damage: anywhere else is refused ---

TEST_F(FileEventLogTest, AFlippedByteBeforeAnIntactGroupIsRefused) {
  open();
  append({"1"});
  append({"2"});
  append({"3"});
  const auto whole = read_file(segment());
  for (auto at = kFirstGroup; at < kFirstGroup + 2 * kOneGroup; ++at) {
    close();
    flip(segment(), at);
    const auto group = at < kFirstGroup + kOneGroup ? kFirstGroup : kFirstGroup + kOneGroup;
    EXPECT_THAT(refusal(), AllOf(HasSubstr(segment().string()),
                                 HasSubstr("byte " + std::to_string(group) + ":"),
                                 HasSubstr("backup"), HasSubstr("cut the log")))
        << at;
    write_file(segment(), whole);
  }
}

TEST_F(FileEventLogTest, ARefusalChangesNothing) {
  open();
  append({"1"});
  append({"2"});
  flip(segment(), kFirstGroup);
  const auto before = read_file(segment());
  refusal();
  EXPECT_EQ(read_file(segment()), before);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "tail-dropped"));
}

TEST_F(FileEventLogTest, BytesMissingInTheMiddleAreRefused) {
  open();
  append({"1"});
  append({"2"});
  append({"3"});
  auto bytes = read_file(segment());
  write_file(segment(), bytes.erase(kFirstGroup + 10, 7));
  EXPECT_THAT(refusal(), HasSubstr("an intact one begins at byte"));
}

TEST_F(FileEventLogTest, DamageFarBeforeTheEndIsRefused) {
  open();
  append({"1"});
  append({std::string(1 << 20, 'x')});
  append({"3"});
  put_nuls(segment(), kFirstGroup);
  auto bytes = read_file(segment());
  EXPECT_TRUE(try_open());  // all of it gone looks like a cut
  open();
  append({"1"});
  append({std::string(1 << 20, 'x')});
  append({"3"});
  flip(segment(), kFirstGroup + kOneGroup + 8);
  EXPECT_THAT(refusal(), HasSubstr("an intact one begins at byte"));
}

TEST_F(FileEventLogTest, ALongDamagedGroupWithMoreBehindItIsRefused) {
  open();
  append({"1"});
  append({"2"});
  append({"3"});
  flip(segment(), kFirstGroup + 2 * kOneGroup);      // the last one's marker
  flip(segment(), kFirstGroup + 2 * kOneGroup - 1);  // the contents of the one before
  EXPECT_THAT(refusal(), HasSubstr("more bytes follow it"));
}

TEST_F(FileEventLogTest, ATornEndOfAnEarlierSegmentIsRefused) {
  append_segments(3);
  cut(segment(2), 1);
  EXPECT_THAT(refusal(), HasSubstr(segment(2).string() + ", byte 64: the group here is cut short"));
}

TEST_F(FileEventLogTest, AMissingGroupAtTheEndOfAnEarlierSegmentIsRefused) {
  append_segments(3);
  cut(segment(2), kOneGroup);
  EXPECT_THAT(refusal(), HasSubstr("the records 2 to 2 are missing"));
}

TEST_F(FileEventLogTest, AMissingSegmentInTheMiddleIsRefused) {
  append_segments(4);
  std::filesystem::remove(segment(2));
  EXPECT_THAT(refusal(), HasSubstr("the records 2 to 2 are missing"));
}

TEST_F(FileEventLogTest, AMissingFirstSegmentIsRefused) {
  append_segments(3);
  std::filesystem::remove(segment(1));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("the records 1 to 1 are missing"), HasSubstr("snapshot")));
}

TEST_F(FileEventLogTest, ADamagedHeaderWithGroupsBehindItIsRefused) {
  open();
  append({"1"});
  flip(segment(), 40);
  EXPECT_THAT(refusal(), HasSubstr("byte 0: its header's checksum is wrong"));
}

TEST_F(FileEventLogTest, ARenamedSegmentIsRefused) {
  append_segments(2);
  std::filesystem::rename(segment(2), segment(3));
  refusal();
  std::filesystem::rename(segment(3), segment(2));
  std::filesystem::remove(segment(2));
  std::filesystem::copy_file(segment(1), segment(2));
  EXPECT_THAT(refusal(), HasSubstr("made for index 1 and renamed"));
}

TEST_F(FileEventLogTest, ASegmentOfRecordZeroIsRefused) {
  write_file(segment(0), encode_header(FileKind::kSegment, {LogId{1}, 0}));
  EXPECT_THAT(refusal(), HasSubstr("the first one is 1"));
}

TEST_F(FileEventLogTest, ASegmentOfAnotherLogIsRefused) {
  append_segments(2);
  close();
  const auto foreign = read_file(segment(2));
  for (int i : {1, 2}) std::filesystem::remove(segment(static_cast<std::uint64_t>(i)));
  append_segments(2);
  write_file(segment(2), foreign);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("belongs to another log"), HasSubstr("move")));
}

TEST_F(FileEventLogTest, ANewerFormatIsRefusedWithTheVersionThatReadsIt) {
  open();
  append({"1"});
  auto bytes = read_file(segment());
  bytes[8] = 2;
  bytes.replace(16, 5, "7.8.9");
  std::string sum;
  for (auto value = checksum(bytes.substr(0, 56)); sum.size() < 8; value >>= 8) {
    sum.push_back(static_cast<char>(value));
  }
  write_file(segment(), bytes.replace(56, 8, sum));
  EXPECT_THAT(refusal(), AllOf(HasSubstr("format 2"), HasSubstr("use rollcall 7.8.9 or newer")));
  EXPECT_FALSE(verify_log(directory_.path()));
}

TEST_F(FileEventLogTest, AnUnreadableSegmentIsNotTakenForATornOne) {
  open();
  append({"1"});
  close();
  ops_.fail_every(Op::kRead, EIO);
  EXPECT_THAT(refusal(), HasSubstr("Input/output error"));
  ops_.mend();
  open();
  EXPECT_EQ(records(), (Records{{1, "1"}}));
}

TEST_F(FileEventLogTest, TwoMastersCannotShareADirectory) {
  open();
  LogRecovery recovery;
  auto second = FileEventLog::open(directory_.path(), {}, recovery);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("in use by process " + std::to_string(::getpid())));
}

// --- Failed writes ---

struct FailedAppend {
  const char* name;
  Op op;
  int number;
  std::size_t short_write_bytes;
};
class FailedAppendTest : public FileEventLogTest,
                         public testing::WithParamInterface<FailedAppend> {};

TEST_P(FailedAppendTest, LeavesTheLogAsBeforeAndSucceedsWhenTriedAgain) {
  open();
  append({"1"});
  const auto before = read_file(segment());
  ops_.short_write_bytes = GetParam().short_write_bytes;
  ops_.fail(GetParam().op, 1, GetParam().number);
  EXPECT_THAT(failure({"two", "three"}), HasSubstr("cannot append 2 records to"));
  EXPECT_EQ(read_file(segment()), before);
  EXPECT_EQ(records(), (Records{{1, "1"}}));
  append({"two", "three"});
  open();
  EXPECT_THAT(recovery_.message, IsEmpty());
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "two"}, {3, "three"}}));
}

INSTANTIATE_TEST_SUITE_P(Errors, FailedAppendTest,
                         ::testing::Values(FailedAppend{"FullDisk", Op::kWrite, ENOSPC, 0},
                                           FailedAppend{"FullDiskAfterAPart", Op::kWrite, ENOSPC,
                                                        30},
                                           FailedAppend{"FailedWrite", Op::kWrite, EIO, 1},
                                           FailedAppend{"FailedSync", Op::kSync, EIO, 0},
                                           FailedAppend{"FullDiskAtTheSync", Op::kSync, ENOSPC, 0}),
                         [](const auto& param_info) { return param_info.param.name; });

TEST_F(FileEventLogTest, AfterAFailedSyncTheGroupIsWrittenAgainAndNotJustSyncedAgain) {
  open();
  int writes = 0;
  int syncs = 0;
  ops_.decide = [&](Op op) {
    writes += op == Op::kWrite ? 1 : 0;
    return op == Op::kSync && ++syncs == 1 ? EIO : 0;
  };
  failure({"1"});
  append({"1"});
  EXPECT_EQ(writes, 2);
  EXPECT_EQ(records(), (Records{{1, "1"}}));
}

TEST_F(FileEventLogTest, AFailedTruncationIsDoneBeforeTheNextAppend) {
  open();
  append({"1"});
  ops_.short_write_bytes = 20;
  ops_.decide = [](Op op) { return op == Op::kWrite || op == Op::kTruncate ? EIO : 0; };
  failure({std::string(1000, 'x')});
  EXPECT_THAT(failure({"2"}), HasSubstr("cannot remove what a failed write left"));
  EXPECT_EQ(records(), (Records{{1, "1"}}));
  ops_.mend();
  append({"2"});
  EXPECT_EQ(size(segment()), kFirstGroup + 2 * kOneGroup);
}

TEST_F(FileEventLogTest, AnotherGroupMayFollowAFailedOne) {
  open();
  ops_.fail(Op::kSync, 1, EIO);
  failure({"a long group", "that fails"});
  append({"b"});
  open();
  EXPECT_EQ(records(), (Records{{1, "b"}}));
}

TEST_F(FileEventLogTest, AFailedRotationIsTriedAgain) {
  append_segments(1);
  for (Op op : {Op::kOpen, Op::kWrite, Op::kSync, Op::kSyncDirectory}) {
    ops_.short_write_bytes = 7;
    ops_.fail(op, 1, ENOSPC);
    EXPECT_THAT(failure({"2"}), HasSubstr("No space left on device"));
  }
  append({"2"});
  open();
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2"}}));
}

TEST_F(FileEventLogTest, ACrashAfterAFailedRotationIsHarmless) {
  append_segments(1);
  ops_.short_write_bytes = 7;
  ops_.fail(Op::kWrite, 1, ENOSPC);
  failure({"2"});
  open();
  append({"2"});
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2"}}));
}

// --- Snapshots ---

TEST_F(FileEventLogTest, TheNewestSnapshotIsHandedOutAtOpening) {
  open();
  append({"1", "2", "3"});
  snapshot(1, "state 1");
  snapshot(3, "state 3");
  open();
  EXPECT_EQ(recovery_.snapshot, (Snapshot{3, "state 3"}));
}

TEST_F(FileEventLogTest, OnlyTheNewestTwoSnapshotsAreKept) {
  open();
  append({"1", "2", "3"});
  for (auto upto : {1u, 2u, 3u}) snapshot(upto, "state");
  EXPECT_FALSE(std::filesystem::exists(snapshot_file(1)));
  EXPECT_TRUE(std::filesystem::exists(snapshot_file(2)));
  EXPECT_TRUE(std::filesystem::exists(snapshot_file(3)));
}

TEST_F(FileEventLogTest, ASnapshotOfRecordsThatAreNotThereIsRefused) {
  open();
  append({"1"});
  EXPECT_FALSE(log_->write_snapshot(2, "future"));
  EXPECT_TRUE(log_->write_snapshot(1, "now"));
  EXPECT_TRUE(log_->write_snapshot(0, "the beginning"));
}

TEST_F(FileEventLogTest, EveryFlippedByteOfASnapshotMakesTheOlderOneCount) {
  open();
  append({"1", "2"});
  snapshot(1, "older");
  snapshot(2, "newer");
  const auto whole = read_file(snapshot_file(2));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    flip(snapshot_file(2), at);
    open();
    EXPECT_EQ(recovery_.snapshot, (Snapshot{1, "older"})) << at;
    EXPECT_THAT(recovery_.message, HasSubstr("was not used")) << at;
    write_file(snapshot_file(2), whole);
  }
}

TEST_F(FileEventLogTest, WithoutAValidSnapshotTheWholeLogIsRead) {
  open();
  append({"1"});
  snapshot(1, "state");
  write_file(snapshot_file(1), "");
  open();
  EXPECT_FALSE(recovery_.snapshot);
  EXPECT_THAT(recovery_.message, HasSubstr("was not used"));
  EXPECT_EQ(records(), (Records{{1, "1"}}));
}

TEST_F(FileEventLogTest, ASnapshotOfAnotherLogIsRefused) {
  open();
  append({"1"});
  snapshot(1, "foreign");
  close();
  std::filesystem::remove(segment());
  const auto foreign = read_file(snapshot_file(1));
  std::filesystem::remove(snapshot_file(1));
  open();
  append({"1"});
  write_file(snapshot_file(1), foreign);
  EXPECT_THAT(refusal(), HasSubstr("belongs to another log"));
}

TEST_F(FileEventLogTest, ALogThatEndsBeforeItsSnapshotIsRefused) {
  append_segments(3);
  snapshot(3, "state");
  std::filesystem::remove(segment(3));
  EXPECT_THAT(refusal(), HasSubstr("the records 3 to 3 are missing at its end"));
  for (auto index : {1u, 2u}) std::filesystem::remove(segment(index));
  EXPECT_THAT(refusal(), HasSubstr("every segment beside it is missing"));
}

TEST_F(FileEventLogTest, AFailedSnapshotLeavesTheOldOne) {
  open();
  append({"1", "2"});
  snapshot(1, "older");
  for (Op op : {Op::kOpen, Op::kWrite, Op::kSync, Op::kRename}) {
    ops_.fail(op, 1, ENOSPC);
    EXPECT_FALSE(log_->write_snapshot(2, "newer"));
  }
  open();
  EXPECT_EQ(recovery_.snapshot, (Snapshot{1, "older"}));
  EXPECT_THAT(recovery_.message, IsEmpty());
}

TEST_F(FileEventLogTest, OldSegmentsGoOnlyUnderTheCoverOfASnapshot) {
  append_segments(4);
  EXPECT_FALSE(log_->remove_segments_before(3));
  snapshot(2, "state");
  EXPECT_FALSE(log_->remove_segments_before(4));
  EXPECT_TRUE(log_->remove_segments_before(3));
  EXPECT_EQ(log_->first_index(), 3u);
  EXPECT_FALSE(std::filesystem::exists(segment(2)));
  EXPECT_FALSE(log_->for_each(2, [](auto, auto) { return Reading::kGoOn; }));
  open();
  EXPECT_EQ(recovery_.first_index, 3u);
  EXPECT_EQ(records(), (Records{{3, "3"}, {4, "4"}}));
}

TEST_F(FileEventLogTest, OnlyWholeSegmentsAreRemovedAndNeverTheLastOne) {
  options_.segment_bytes = 1;
  open();
  append({"1", "2"});
  append({"3", "4"});
  snapshot(4, "state");
  ASSERT_TRUE(log_->remove_segments_before(2));
  EXPECT_EQ(log_->first_index(), 1u);
  ASSERT_TRUE(log_->remove_segments_before(5));
  EXPECT_EQ(log_->first_index(), 3u);
}

TEST_F(FileEventLogTest, WithoutTheSnapshotARetainedLogIsRefused) {
  append_segments(3);
  snapshot(2, "state");
  ASSERT_TRUE(log_->remove_segments_before(3));
  flip(snapshot_file(2), 80);
  EXPECT_THAT(refusal(), HasSubstr("no valid snapshot stands for them"));
}

// --- Verifying and repairing ---

TEST_F(FileEventLogTest, VerifyCountsAndChangesNothing) {
  append_segments(3);
  append({"4", "5"});
  snapshot(4, "state");
  cut(segment(4), 1);
  const auto before = read_file(segment(4));
  std::string seen;
  auto verdict = verify_log(directory_.path(), [&](std::uint64_t, std::string_view record) {
    seen += record;
    return Reading::kGoOn;
  });
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->damage);  // the snapshot knows records 4 and 5
  EXPECT_EQ(verdict->records, 3u);
  EXPECT_EQ(verdict->groups, 3u);
  EXPECT_EQ(verdict->segments, 4u);
  EXPECT_EQ(verdict->torn_tail, kOneGroup + 5 - 1);
  EXPECT_EQ(seen, "123");
  EXPECT_EQ(read_file(segment(4)), before);
}

TEST_F(FileEventLogTest, VerifyNamesTheFirstDamage) {
  append_segments(4);
  flip(segment(2), kFileHeaderBytes + kFrameHeaderBytes);
  auto verdict = verify_log(directory_.path());
  ASSERT_TRUE(verdict);
  ASSERT_TRUE(verdict->damage);
  EXPECT_EQ(verdict->damage->file, segment(2));
  EXPECT_EQ(verdict->damage->offset, kFileHeaderBytes);
  EXPECT_THAT(verdict->damage->reason, HasSubstr("checksum"));
  EXPECT_EQ(verdict->next_index, 2u);
}

TEST_F(FileEventLogTest, VerifyOfAHealthyLogFindsNothing) {
  append_segments(3);
  snapshot(3, "state");
  auto verdict = verify_log(directory_.path());  // beside the master
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->damage);
  EXPECT_FALSE(verdict->torn_tail);
  EXPECT_EQ(verdict->snapshots, 1u);
  EXPECT_EQ(verdict->records, 3u);
}

TEST_F(FileEventLogTest, CuttingAtTheDamageKeepsWhatIsBeforeAndReportsTheLoss) {
  append_segments(4);
  flip(segment(2), kFileHeaderBytes);
  const auto damaged = read_file(segment(2));
  close();
  auto report = cut_log_at_damage(directory_.path());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(*report, HasSubstr("ends before record 2"));
  EXPECT_EQ(read_file(directory_ / (segment(2).filename().string() + ".cut")), damaged);
  open();
  EXPECT_TRUE(recovery_.torn_tail_dropped);
  EXPECT_EQ(records(), (Records{{1, "1"}}));
}

TEST_F(FileEventLogTest, CuttingBeforeASnapshotLosesOnlyHistory) {
  append_segments(5);
  snapshot(3, "state 3");
  flip(segment(2), kFileHeaderBytes);
  close();
  auto report = cut_log_at_damage(directory_.path());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(*report, HasSubstr("only history is lost"));
  open();
  EXPECT_FALSE(recovery_.torn_tail_dropped);
  EXPECT_EQ(recovery_.snapshot, (Snapshot{3, "state 3"}));
  EXPECT_EQ(records(), (Records{{3, "3"}, {4, "4"}, {5, "5"}}));
}

TEST_F(FileEventLogTest, CuttingGoesOnBehindASnapshotThatTheLogDoesNotReach) {
  append_segments(3);
  snapshot(3, "state 3");
  std::filesystem::remove(segment(3));
  close();
  ASSERT_TRUE(cut_log_at_damage(directory_.path()));
  open();
  EXPECT_TRUE(recovery_.torn_tail_dropped);
  EXPECT_EQ(recovery_.next_index, 4u);
  EXPECT_EQ(recovery_.snapshot, (Snapshot{3, "state 3"}));
}

TEST_F(FileEventLogTest, CuttingAHealthyLogOrOneInUseDoesNothing) {
  append_segments(2);
  EXPECT_FALSE(cut_log_at_damage(directory_.path()));
  close();
  ASSERT_TRUE(cut_log_at_damage(directory_.path()));
  open();
  EXPECT_EQ(records(), (Records{{1, "1"}, {2, "2"}}));
}

}  // namespace
}  // namespace rollcall::persist
