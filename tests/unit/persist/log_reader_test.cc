#include "persist/log_reader.h"

#include "tests/unit/persist/log_fixture.h"

namespace rollcall::persist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LogReaderTest : public LogTest {
 protected:
  LogReader reader() {
    auto opened = LogReader::open(directory_.path());
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  static Records read(const LogReader& log, std::uint64_t from) {
    Records records;
    auto done = log.for_each(from, [&](std::uint64_t index, std::string_view record) {
      records.emplace(index, record);
      return Reading::kGoOn;
    });
    EXPECT_TRUE(done) << done.error().message;
    return records;
  }
};

TEST_F(LogReaderTest, ReadsWhatAnOpenLogHolds) {
  append_segments(4);
  snapshot(2, "two");
  const auto log = reader();
  EXPECT_EQ(read(log, 1), records());
  EXPECT_EQ(read(log, 3), (Records{{3, "3"}, {4, "4"}}));
  EXPECT_THAT(log.snapshots(), ElementsAre(2u));
  EXPECT_EQ(log.snapshot(2).value(), "two");
}

TEST_F(LogReaderTest, KnowsThatTheLogWasShortenedMeanwhile) {
  append_segments(4);
  snapshot(3, "three");
  const auto log = reader();
  EXPECT_FALSE(log.was_shortened());
  ASSERT_TRUE(log_->remove_segments_before(3));
  EXPECT_TRUE(log.was_shortened());
  EXPECT_FALSE(log.for_each(1, [](std::uint64_t, std::string_view) { return Reading::kGoOn; }));
  EXPECT_FALSE(reader().was_shortened());
}

TEST_F(LogReaderTest, ATailThatGrowsIsNoDamageAndIsNotRead) {
  open();
  append({"1"});
  const auto whole = size(segment());
  append({"2"});
  cut(segment(), 3);  // as if the second group was being written
  const auto log = reader();
  EXPECT_FALSE(log.verdict().damage);
  EXPECT_EQ(log.verdict().torn_tail, size(segment()) - whole);
  EXPECT_EQ(read(log, 1), (Records{{1, "1"}}));
}

TEST_F(LogReaderTest, WhatIsAppendedLaterIsNotRead) {
  open();
  append({"1"});
  const auto log = reader();
  append({"2"});
  EXPECT_EQ(read(log, 1), (Records{{1, "1"}}));
}

TEST_F(LogReaderTest, ReadsUpToTheDamageAndNamesTheRepair) {
  append_segments(4);
  close();
  flip(segment(3), kFileHeaderBytes + 5);
  const auto log = reader();
  ASSERT_TRUE(log.verdict().damage);
  EXPECT_EQ(log.verdict().damage->file, segment(3));
  EXPECT_EQ(log.verdict().damage->offset, kFileHeaderBytes);
  EXPECT_THAT(log.verdict().repairs,
              HasSubstr("rollcall log repair " + directory_.path().string() + " --drop-tail"));
  EXPECT_EQ(read(log, 1), (Records{{1, "1"}, {2, "2"}}));
}

TEST_F(LogReaderTest, KnowsWhereARecordIs) {
  open();
  append({"1", "2"});
  const auto second = size(segment());
  append({"3", "4"});
  const auto place = reader().place_of(4);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->file, segment());
  EXPECT_EQ(place->offset, second);
}

TEST_F(LogReaderTest, AFolderWithoutALogIsNamed) {
  const auto opened = LogReader::open(directory_.path());
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("holds no log"));
  EXPECT_FALSE(LogReader::open(directory_ / "missing"));
}

}  // namespace
}  // namespace rollcall::persist
