#include "persist/memory_event_log.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace rollcall::persist {
namespace {

using Group = std::vector<std::string>;

std::string all_of(const EventLog& log) {
  std::string text;
  EXPECT_TRUE(log.for_each(log.first_index(), [&](std::uint64_t index, std::string_view record) {
    text += std::to_string(index) + "=" + std::string(record) + " ";
    return Reading::kGoOn;
  }));
  return text;
}

TEST(MemoryEventLog, LosesWholeGroupsThatWereNotSynced) {
  MemoryEventLog log;
  ASSERT_TRUE(log.append(Group{"a"}));
  ASSERT_TRUE(log.append_unsynced(Group{"b", "c"}));
  EXPECT_EQ(log.next_index(), 4u);
  log.crash();
  EXPECT_EQ(all_of(log), "1=a ");
  EXPECT_FALSE(log.recover().torn_tail_dropped);
}

TEST(MemoryEventLog, ReportsATornTailUntilAnAppendSucceeds) {
  MemoryEventLog log;
  ASSERT_TRUE(log.append(Group{"a"}));
  ASSERT_TRUE(log.append_unsynced(Group{"b"}));
  log.crash(MemoryEventLog::Tail::kTorn);
  EXPECT_TRUE(log.recover().torn_tail_dropped);
  ASSERT_TRUE(log.append_unsynced(Group{"c"}));
  log.crash();
  EXPECT_TRUE(log.recover().torn_tail_dropped);
  ASSERT_TRUE(log.append(Group{"c"}));
  EXPECT_FALSE(log.recover().torn_tail_dropped);
}

TEST(MemoryEventLog, RecoversFromTheNewestSnapshot) {
  MemoryEventLog log;
  EXPECT_TRUE(log.recover().created);
  ASSERT_TRUE(log.append(Group{"a", "b", "c"}));
  for (std::uint64_t upto : {1, 2, 3}) ASSERT_TRUE(log.write_snapshot(upto, std::to_string(upto)));
  ASSERT_TRUE(log.remove_segments_before(3));
  const auto recovery = log.recover();
  EXPECT_FALSE(recovery.created);
  EXPECT_EQ(recovery.snapshot, (Snapshot{3, "3"}));
  EXPECT_EQ(recovery.first_index, 3u);
  EXPECT_EQ(recovery.next_index, 4u);
  EXPECT_EQ(log.copy().snapshots.size(), 2u);
}

TEST(MemoryEventLog, SnapshotsCoverOnlyWhatIsDurable) {
  MemoryEventLog log;
  ASSERT_TRUE(log.append_unsynced(Group{"a"}));
  EXPECT_FALSE(log.write_snapshot(1, "state"));
  log.sync();
  EXPECT_TRUE(log.write_snapshot(1, "state"));
  EXPECT_FALSE(log.remove_segments_before(3));
}

TEST(MemoryEventLog, FailsOrIsFullAndChangesNothingThen) {
  MemoryEventLog log;
  log.fail_next(1, "EIO");
  EXPECT_EQ(log.append(Group{"a"}).error().message, "EIO");
  EXPECT_TRUE(log.append(Group{"a"}));
  log.set_full(true);
  EXPECT_FALSE(log.append(Group{"b"}));
  EXPECT_FALSE(log.write_snapshot(1, "state"));
  log.set_full(false);
  EXPECT_EQ(all_of(log), "1=a ");
}

TEST(MemoryEventLog, GoesBackToAnOlderCopy) {
  MemoryEventLog log;
  ASSERT_TRUE(log.append(Group{"a"}));
  const auto older = log.copy();
  ASSERT_TRUE(log.append(Group{"b"}));
  log.restore(older);
  ASSERT_TRUE(log.append(Group{"c"}));
  EXPECT_EQ(all_of(log), "1=a 2=c ");
}

TEST(MemoryEventLog, CanLoseItsTailAsAnOlderBackupWould) {
  MemoryEventLog log;
  ASSERT_TRUE(log.append(Group{"a", "b", "c"}));
  ASSERT_TRUE(log.write_snapshot(1, "one"));
  ASSERT_TRUE(log.write_snapshot(3, "three"));
  log.truncate_tail(3);
  EXPECT_EQ(log.recover().snapshot, (Snapshot{1, "one"}));
  EXPECT_EQ(log.recover().next_index, 3u);
  EXPECT_FALSE(log.recover().torn_tail_dropped);
}

TEST(MemoryEventLog, RefusesReadingWhatItHasForgotten) {
  MemoryEventLog log;
  ASSERT_TRUE(log.append(Group{"a", "b"}));
  ASSERT_TRUE(log.write_snapshot(1, "one"));
  ASSERT_TRUE(log.remove_segments_before(2));
  EXPECT_FALSE(log.for_each(1, [](auto, auto) { return Reading::kGoOn; }));
  EXPECT_EQ(all_of(log), "2=b ");
}

}  // namespace
}  // namespace rollcall::persist
