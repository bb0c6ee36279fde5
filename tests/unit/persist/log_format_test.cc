// The bytes of docs/store-format.md. These files stay readable for ever: a test that fails here
// means a new format number, not a new expectation.
#include "persist/log_format.h"

#include <cstdio>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace rollcall::persist {
namespace {

constexpr LogId kLog{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

std::string hex(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(bytes[i]));
    if (i > 0 && i % 8 == 0) text += ' ';
    text += two;
  }
  return text;
}

TEST(LogFormat, ASegmentBeginsWithTheseBytes) {
  EXPECT_EQ(hex(encode_header(FileKind::kSegment, {kLog, 42})),
            "52434c4f47534547 0100000040000000 302e312e30000000 0000000000000000 "
            "0001020304050607 08090a0b0c0d0e0f 2a00000000000000 e6fe9365935d1d18");
}

TEST(LogFormat, AGroupHasTheseBytes) {
  std::string frame;
  encode_frame(kLog, 42, std::vector<std::string>{"one", ""}, frame);
  EXPECT_EQ(hex(frame),
            "f79d5243b64c1ae5 0b00000002000000 2a00000000000000 54cf7563ccce8557 b3dbe689e0ece3c8 "
            "030000006f6e6500 000000");
}

TEST(LogFormat, ASnapshotHasTheseBytes) {
  EXPECT_EQ(hex(encode_snapshot_header({kLog, 42}, "state")),
            "52434c4f47534e50 0100000050000000 302e312e30000000 0000000000000000 "
            "0001020304050607 08090a0b0c0d0e0f 2a00000000000000 d076f8ef5afede1b "
            "0500000000000000 b42cf542a5f6de6d");
}

TEST(LogFormat, FileNamesCarryTheIndexInTwentyDigits) {
  EXPECT_EQ(file_name(FileKind::kSegment, 42), "log-00000000000000000042.seg");
  EXPECT_EQ(file_name(FileKind::kSnapshot, 42), "snap-00000000000000000042.snap");
  EXPECT_EQ(index_in_name(FileKind::kSegment, "log-00000000000000000042.seg"), 42u);
  for (const char* other :
       {"log-42.seg", "log-0000000000000000004x.seg", "log-00000000000000000042.seg.cut",
        "snap-00000000000000000042.snap", "log-99999999999999999999.seg", "", "log-"}) {
    EXPECT_FALSE(index_in_name(FileKind::kSegment, other)) << other;
  }
}

TEST(LogFormat, LengthsThatCannotBeAreNoHeader) {
  std::string frame;
  encode_frame(kLog, 1, std::vector<std::string>{"x"}, frame);
  EXPECT_TRUE(decode_frame_header(kLog, frame));
  EXPECT_FALSE(decode_frame_header(new_log_id(), frame)) << "a group of another log";
  for (std::size_t size = 0; size < kFrameHeaderBytes; ++size) {
    EXPECT_FALSE(decode_frame_header(kLog, std::string_view(frame).substr(0, size)));
  }
}

}  // namespace
}  // namespace rollcall::persist
