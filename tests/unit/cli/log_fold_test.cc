// Reading a log of which a master removes old parts meanwhile.
#include "cli/log_fold.h"

#include "tests/unit/persist/log_fixture.h"

namespace rollcall::cli {
namespace {

using persist::LogReader;
using persist::Reading;
using ::testing::HasSubstr;

class ReadLog : public persist::LogTest {
 protected:
  // The first record that is there, as it is read after `meanwhile`.
  std::expected<std::uint64_t, Error> first_after(const std::function<void()>& meanwhile) {
    return read_log<std::uint64_t>(
        directory_.path(), [&](const LogReader& log) -> std::expected<std::uint64_t, Error> {
          ++reads_;
          meanwhile();
          std::uint64_t first = 0;
          const auto done = log.for_each(1, [&](std::uint64_t index, std::string_view) {
            first = index;
            return Reading::kStop;
          });
          if (!done) return std::unexpected(done.error());
          return first;
        });
  }
  void remove_oldest() { ASSERT_TRUE(log_->remove_segments_before(log_->first_index() + 1)); }

  int reads_ = 0;
};

TEST_F(ReadLog, BeginsAgainWhenAnOldPartWasRemoved) {
  append_segments(4);
  snapshot(3, "three");
  const auto first = first_after([&] {
    if (reads_ == 1) remove_oldest();
  });
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*first, 2u);
  EXPECT_EQ(reads_, 2);
}

TEST_F(ReadLog, EndsWithAReasonIfThatNeverEnds) {
  append_segments(20);
  snapshot(19, "nineteen");
  const auto first = first_after([&] { remove_oldest(); });
  ASSERT_FALSE(first);
  EXPECT_EQ(reads_, 5);
  EXPECT_THAT(first.error().message, HasSubstr("faster than they can be read"));
}

TEST_F(ReadLog, WhatIsMissingIsNoFaultOfARecord) {
  append_segments(4);
  snapshot(3, "three");
  const auto log = LogReader::open(directory_.path());
  ASSERT_TRUE(log);
  remove_oldest();
  Fold fold;
  EXPECT_FALSE(go_on(*log, fold, {}));
  EXPECT_EQ(fold.fault, "");
}

}  // namespace
}  // namespace rollcall::cli
