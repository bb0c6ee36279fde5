#include "wazuh/wdb_frame.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <cstring>

#include "tests/unit/wazuh/bytes.h"

namespace rollcall::wazuh {
namespace {

using ::testing::HasSubstr;

TEST(RequestFrame, IsALittleEndianLengthAndTheText) {
  EXPECT_EQ(frame_request("global sql x").value(), std::string("\x0c\0\0\0global sql x", 16));
}

TEST(RequestFrame, AboveTheLimitIsRefused) {
  EXPECT_TRUE(frame_request(std::string(kMaxRequestBytes, 'x')));
  const auto tooLong = frame_request(std::string(kMaxRequestBytes + 1, 'x'));
  ASSERT_FALSE(tooLong);
  EXPECT_THAT(tooLong.error().message, HasSubstr("16385"));
  EXPECT_FALSE(frame_request("")) << "wazuh-db closes the connection on an empty frame";
}

TEST(ReplyReader, PutsAReplyTogetherFromSingleBytes) {
  const std::string frame = std::string("\x05\0\0\0ok []", 9);
  ReplyReader reader;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i + 1 < frame.size(); ++i) {
      EXPECT_EQ(reader.feed(bytes(frame).subspan(i, 1)).value(), std::nullopt);
    }
    EXPECT_EQ(reader.feed(bytes(frame).last(1)).value(), "ok []");
  }
}

TEST(ReplyReader, TakesTheLongestReplyThatWazuhDbSends) {
  const auto length = static_cast<std::uint32_t>(kReplyLimitBytes);
  std::string frame(4, '\0');
  std::memcpy(frame.data(), &length, 4);
  frame += std::string(length, 'x');
  EXPECT_EQ(ReplyReader().feed(bytes(frame)).value()->size(), kReplyLimitBytes);
}

TEST(ReplyReader, RefusesALongerReplyAtItsHeader) {
  EXPECT_FALSE(ReplyReader().feed(bytes("\xff\xff\xff\xff")));
  EXPECT_FALSE(ReplyReader().feed(bytes(std::string_view("\x01\x10\x01\0", 4))));  // 69633
}

TEST(ReplyReader, RefusesMoreThanOneReply) {
  EXPECT_FALSE(ReplyReader().feed(bytes(std::string_view("\x02\0\0\0ok\x02", 7))));
}

}  // namespace
}  // namespace rollcall::wazuh
