#include "inspect/texts.h"

#include <gmock/gmock.h>

namespace rollcall::inspect {
namespace {

constexpr MasterTime kMoment{1'795'401'610'123'456};

TEST(Texts, ATimeIsWrittenInUtcWithMilliseconds) {
  EXPECT_EQ(time_text(kMoment), "2026-11-23T02:40:10.123Z");
  EXPECT_EQ(time_text({0}), "1970-01-01T00:00:00.000Z");
}

TEST(Texts, ATimeIsReadAsItIsWrittenAndInShorterForms) {
  EXPECT_EQ(parse_time("2026-11-23T02:40:10.123Z").value().us, kMoment.us / 1'000 * 1'000);
  EXPECT_EQ(parse_time("2026-11-23T02:40:10.123456Z").value(), kMoment);
  EXPECT_EQ(parse_time("2026-11-23 02:40:10Z").value().us, kMoment.us / 1'000'000 * 1'000'000);
  EXPECT_EQ(parse_time("2026-11-23T02:40Z").value().us, (kMoment.us / 60'000'000) * 60'000'000);
  EXPECT_EQ(parse_time("1795401610123456").value(), kMoment);
}

TEST(Texts, WhatIsNoTimeIsRefusedWithWhatIsAllowed) {
  for (const char* wrong :
       {"", "yesterday", "2026-11-23", "2026-11-23T02:40:10", "2026-13-23T02:40Z",
        "2026-02-30T02:40Z", "2026-11-23T24:00Z", "2026-11-23T02:60Z", "2026-11-23T02:40:10.Z",
        "2026-11-23T02:40:10.1234567Z", "2026-11-23T02:40Z ", "1700000000", "-1795401610123456",
        "99999999999999999999"}) {
    const auto time = parse_time(wrong);
    ASSERT_FALSE(time) << wrong;
    EXPECT_THAT(time.error().message, ::testing::HasSubstr("2026-11-23T02:40:10.123Z"));
  }
}

TEST(Texts, ALengthHasTheUnitThatSuitsIt) {
  EXPECT_EQ(length_text(0), "0 ms");
  EXPECT_EQ(length_text(250'000), "250 ms");
  EXPECT_EQ(length_text(3'250'000), "3.2 s");
  EXPECT_EQ(length_text(90'000'000), "90 s");
  EXPECT_EQ(length_text(900'000'000), "15 min");
  EXPECT_EQ(length_text(16'200'000'000), "4.5 h");
  EXPECT_EQ(length_text(259'200'000'000), "3 d");
  EXPECT_EQ(length_text(-3'000'000), "-3 s");
}

}  // namespace
}  // namespace rollcall::inspect
