#include "persist/log_retention.h"

#include "persist/memory_event_log.h"
#include "tests/unit/persist/log_fixture.h"

namespace rollcall::persist {
namespace {

using namespace std::chrono_literals;

const std::chrono::system_clock::time_point kNow(std::chrono::hours(500'000));
const Retention kMonthOrThousand{720h, 1'000};

// Segments of 10 records and 100 bytes each; the first was written `oldest` ago, the others just
// now.
LogFiles files(std::size_t segments, std::vector<std::uint64_t> snapshots,
               std::chrono::hours oldest = 0h) {
  LogFiles out;
  for (std::size_t i = 0; i < segments; ++i) {
    out.segments.push_back({i * 10 + 1, 100, i == 0 ? kNow - oldest : kNow});
  }
  for (const auto upto : snapshots) out.snapshots.push_back({upto, 50});
  return out;
}

TEST(LogRetention, KeepsALogThatIsNeitherOldNorLarge) {
  const auto plan = plan_retention(files(9, {50, 60}), kMonthOrThousand, kNow);
  EXPECT_EQ(plan.keep_from, 0u);
  EXPECT_EQ(plan.left_bytes, 1'000u);
}

TEST(LogRetention, DropsTheOldestSegmentsUntilTheRestFits) {
  const auto plan = plan_retention(files(12, {50, 60}), kMonthOrThousand, kNow);
  EXPECT_EQ(plan.first_index, 1u);
  EXPECT_EQ(plan.keep_from, 31u);
  EXPECT_EQ(plan.segments, 3u);
  EXPECT_EQ(plan.bytes, 300u);
  EXPECT_EQ(plan.left_bytes, 1'000u);
  EXPECT_EQ(plan.head, 50u);
}

TEST(LogRetention, DropsWhatIsOldAlsoFromASmallLog) {
  EXPECT_EQ(plan_retention(files(9, {50, 60}, 721h), kMonthOrThousand, kNow).keep_from, 11u);
  EXPECT_EQ(plan_retention(files(9, {50, 60}, 720h), kMonthOrThousand, kNow).keep_from, 0u);
}

TEST(LogRetention, KeepsWhatTheOlderSnapshotNeedsHoweverLargeThatIs) {
  const auto plan = plan_retention(files(30, {15, 290}), kMonthOrThousand, kNow);
  EXPECT_EQ(plan.keep_from, 11u);
  EXPECT_EQ(plan.left_bytes, 3'000u);
}

TEST(LogRetention, DropsNothingBeforeThereAreTwoSnapshots) {
  EXPECT_EQ(plan_retention(files(30, {}), kMonthOrThousand, kNow).keep_from, 0u);
  EXPECT_EQ(plan_retention(files(30, {290}), kMonthOrThousand, kNow).keep_from, 0u);
}

TEST(LogRetention, KeepsTheSegmentThatIsWritten) {
  EXPECT_EQ(plan_retention(files(3, {30, 30}), {720h, 0}, kNow).keep_from, 21u);
}

TEST(LogRetention, KeepsWhatIsOfNoKnownAge) {
  auto unknown = files(9, {50, 60});
  unknown.segments[0].written = std::chrono::system_clock::time_point::max();
  EXPECT_EQ(plan_retention(unknown, kMonthOrThousand, kNow).keep_from, 0u);
}

class RetainedLog : public LogTest {
 protected:
  RetentionPlan retain(const Retention& retention) {
    const auto plan = plan_retention(log_->files(), retention, std::chrono::system_clock::now());
    if (plan.keep_from != 0) {
      EXPECT_TRUE(log_->remove_segments_before(plan.keep_from));
    }
    return plan;
  }
};

TEST_F(RetainedLog, OpensWithEitherSnapshotAlone) {
  append_segments(9);
  snapshot(4, "four");
  snapshot(7, "seven");
  EXPECT_EQ(retain({1h, 1}).keep_from, 5u);
  EXPECT_EQ(log_->first_index(), 5u);
  EXPECT_EQ(log_->snapshot(4).value(), "four");
  flip(snapshot_file(7), 82);
  open();
  ASSERT_TRUE(recovery_.snapshot);
  EXPECT_EQ(recovery_.snapshot->upto_index, 4u);
  EXPECT_EQ(records().size(), 5u);
}

TEST_F(RetainedLog, TellsWhatItsFilesAre) {
  append_segments(3);
  snapshot(2, "two");
  const auto files = log_->files();
  ASSERT_EQ(files.segments.size(), 3u);
  EXPECT_EQ(files.segments[1].first_index, 2u);
  EXPECT_EQ(files.segments[1].bytes, size(segment(2)));
  EXPECT_LT(std::chrono::abs(std::chrono::system_clock::now() - files.segments[1].written), 1h);
  ASSERT_EQ(files.snapshots.size(), 1u);
  EXPECT_EQ(files.snapshots[0].bytes, size(snapshot_file(2)));
}

TEST_F(RetainedLog, ASnapshotThatIsDamagedOnTheDiskIsNotGivenOut) {
  append_segments(3);
  snapshot(2, "two");
  flip(snapshot_file(2), 81);
  EXPECT_FALSE(log_->snapshot(2));
  EXPECT_FALSE(log_->snapshot(1));
}

TEST(MemoryEventLogRetention, GoesByTheSameRule) {
  MemoryEventLog log;
  ASSERT_TRUE(log.append(std::vector<std::string>{"1", "2", "3", "4"}));
  ASSERT_TRUE(log.write_snapshot(2, "two"));
  ASSERT_TRUE(log.write_snapshot(4, "four"));
  const auto plan = plan_retention(log.files(), {1h, 1}, kNow);
  EXPECT_EQ(plan.keep_from, 3u);
  ASSERT_TRUE(log.remove_segments_before(plan.keep_from));
  EXPECT_EQ(records_of(log), (Records{{3, "3"}, {4, "4"}}));
  EXPECT_EQ(log.snapshot(2).value(), "two");
  EXPECT_FALSE(log.snapshot(3));
}

}  // namespace
}  // namespace rollcall::persist
