#include "sidecar/source/look_plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>

namespace rollcall::sidecar {

// For messages of failed tests.
void PrintTo(const LookPlan::Window& window, std::ostream* out) {
  *out << "[" << window.from_s << ", " << window.to_s << "]";
}

namespace {

using namespace std::chrono_literals;
using Window = LookPlan::Window;

constexpr std::int64_t kTableAhead = 1'000;  // seconds: its clock against the boot clock

// The boot clock says `s`; the monotonic one stood still for 5 s, and the wall clock is elsewhere.
Now at(double s) {
  const auto us = [](double v) { return std::llround(v * 1e6); };
  return {us(s + 77'777), us(s - 5), us(s)};
}

class LookPlanTest : public ::testing::Test {
 protected:
  // A look that was answered after `took`, by a table with `rows`; its clock is off by `step_ms`.
  LookPlan::Head head(double s, double took, std::size_t rows, std::int64_t step_ms = 0) {
    return {.table_ms = std::llround((s + took / 2 + kTableAhead) * 1000) + step_ms,
            .table_rows = rows,
            .asked = at(s),
            .answered = at(s + took)};
  }
  // What is read at `s`: the window, or nothing for the whole table.
  std::optional<Window> look(double s, std::size_t rows = 10, double took = 0.002) {
    const auto window = plan.next(at(s));
    plan.looked(window ? LookPlan::Kind::window : LookPlan::Kind::whole, head(s, took, rows),
                at(s + took));
    return window;
  }

  LookPlan plan{60s};
};

TEST_F(LookPlanTest, ReadsEverythingAtFirstThenWhatMayHaveChangedAndEverythingEachMinute) {
  EXPECT_EQ(look(100), std::nullopt);
  for (double s = 101; s < 160; ++s) EXPECT_NE(look(s), std::nullopt) << s;
  EXPECT_EQ(look(160), std::nullopt);
  EXPECT_NE(look(161), std::nullopt);
}

TEST_F(LookPlanTest, TheWindowBeginsHalfASecondBeforeTheLookBeforeByTheTablesClock) {
  look(100.2);
  EXPECT_EQ(look(101.2), (Window{1099, 1161}));
  EXPECT_EQ(look(101.6), (Window{1100, 1161}));
  EXPECT_EQ(look(102.6), (Window{1101, 1162})) << "101.6 - 0.5";
}

TEST_F(LookPlanTest, ASlowWazuhDbIsGivenMoreTimeToWrite) {
  look(100, 10, 3.5);
  EXPECT_EQ(look(104)->from_s, 1097) << "100 + 1.75 - 0.5 - 3.5";
}

TEST_F(LookPlanTest, AfterLooksThatFailedTheWindowReachesBackToTheLastThatDidNot) {
  look(100);
  EXPECT_EQ(look(130)->from_s, 1099);
}

TEST_F(LookPlanTest, AnotherConnectionIsReadWhole) {
  look(100);
  look(101);
  plan.connected();
  EXPECT_EQ(look(102), std::nullopt);
  EXPECT_NE(look(103), std::nullopt);
}

TEST_F(LookPlanTest, ATableThatDoesNotTellTheTimeIsReadWholeEachTime) {
  for (double s = 100; s < 103; ++s) {
    EXPECT_EQ(plan.next(at(s)), std::nullopt);
    plan.looked(LookPlan::Kind::whole,
                {.table_ms = {}, .table_rows = 1, .asked = at(s), .answered = at(s)}, at(s));
  }
}

TEST_F(LookPlanTest, TheClockGoesOnIfItAdvancedAsTheBootClockDid) {
  look(100);
  EXPECT_TRUE(plan.goes_on(head(101, 0.002, 10)));
  EXPECT_TRUE(plan.goes_on(head(101, 0.002, 10, 200))) << "as far as the replies can tell";
  EXPECT_TRUE(plan.goes_on(head(500, 0.002, 10)));
  EXPECT_TRUE(plan.goes_on(head(101, 4, 10, 1'900))) << "somewhere within a slow reply";
}

TEST_F(LookPlanTest, AClockThatWasSetInEitherDirectionIsNoticed) {
  look(100);
  for (const std::int64_t step_ms : {-7'200'000, -1'000, -300, 300, 1'000, 7'200'000})
    EXPECT_FALSE(plan.goes_on(head(101, 0.002, 10, step_ms))) << step_ms;
}

TEST_F(LookPlanTest, RowsThatVanishedAreLookedForAtOnceAndAgainHalfAMinuteLater) {
  look(100);
  for (double s = 101; s < 120; ++s) look(s, 10);
  EXPECT_NE(look(120, 9), std::nullopt) << "now it is noticed";
  EXPECT_EQ(look(121, 9), std::nullopt);
  for (double s = 122; s < 152; ++s) EXPECT_NE(look(s, 9), std::nullopt) << s;
  EXPECT_EQ(look(152, 9), std::nullopt);
  for (double s = 153; s < 212; ++s) EXPECT_NE(look(s, 9), std::nullopt) << s;
  EXPECT_EQ(look(212, 9), std::nullopt) << "as usual";
}

TEST_F(LookPlanTest, WhileManyAreDeletedTheTableIsReadWholeEachTenSecondsAtMost) {
  std::size_t rows = 1'000;
  int whole = 0;
  for (double s = 100; s < 200; ++s) whole += look(s, rows--) ? 0 : 1;
  EXPECT_EQ(whole, 10);
}

TEST_F(LookPlanTest, RowsThatCameAreNoReasonToReadEverything) {
  look(100);
  for (double s = 101; s < 160; ++s) EXPECT_NE(look(s, static_cast<std::size_t>(s)), std::nullopt);
}

}  // namespace
}  // namespace rollcall::sidecar
