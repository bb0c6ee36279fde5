#include "app/durations.h"

#include <gmock/gmock.h>

#include <optional>

namespace rollcall::app {
namespace {

using std::chrono::microseconds;
using namespace std::chrono_literals;

struct Case {
  const char* name;
  const char* text;
  std::optional<microseconds> expected;  // none: refused
};

class Durations : public ::testing::TestWithParam<Case> {};

TEST_P(Durations, AreReadExactlyOrRefusedWithWhatIsAllowed) {
  const auto duration = parse_duration(GetParam().text);
  if (GetParam().expected) {
    ASSERT_TRUE(duration) << duration.error().message;
    EXPECT_EQ(*duration, *GetParam().expected);
    EXPECT_EQ(parse_duration(to_text(*duration)).value(), *duration) << to_text(*duration);
  } else {
    ASSERT_FALSE(duration) << duration->count();
    EXPECT_THAT(duration.error().message, ::testing::HasSubstr("250ms, 10s, 15m or 2h"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, Durations,
    ::testing::Values(
        Case{"Milliseconds", "250ms", 250ms}, Case{"Seconds", "10s", 10s},
        Case{"Minutes", "15m", 15min}, Case{"Hours", "2h", 2h}, Case{"Zero", "0s", 0s},
        Case{"LeadingZero", "007s", 7s}, Case{"AYear", "8784h", 8784h},
        Case{"MoreThanAYear", "8785h", {}}, Case{"Overflow", "99999999999999999999h", {}},
        Case{"OverflowOnlyWithItsUnit", "9223372036854775807h", {}}, Case{"Empty", "", {}},
        Case{"NoUnit", "10", {}}, Case{"NoNumber", "s", {}}, Case{"Negative", "-1s", {}},
        Case{"Plus", "+1s", {}}, Case{"Fraction", "1.5s", {}}, Case{"Space", "1 s", {}},
        Case{"LeadingSpace", " 1s", {}}, Case{"TwoUnits", "1h30m", {}}, Case{"UpperCase", "1S", {}},
        Case{"Days", "1d", {}}, Case{"Micros", "5us", {}}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace rollcall::app
