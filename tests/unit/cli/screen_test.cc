#include "cli/screen.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/progress.h"

namespace rollcall::cli {
namespace {

// As a pipe is: no terminal.
class Nowhere : public ::testing::Test {
 protected:
  ~Nowhere() override {
    ::unsetenv("COLUMNS");
    ::close(descriptor_);
  }
  Screen screen() const { return screen_of(descriptor_); }
  int descriptor_ = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
};

TEST_F(Nowhere, ThereAreNoColoursAndEightyColumnsUnlessItIsSaid) {
  ::unsetenv("COLUMNS");
  EXPECT_FALSE(screen().terminal);
  EXPECT_FALSE(screen().colours);
  EXPECT_EQ(screen().columns, 80u);
  ::setenv("COLUMNS", "132", 1);
  EXPECT_EQ(screen().columns, 132u);
  for (const char* wrong : {"", "wide", "0", "12x"}) {
    ::setenv("COLUMNS", wrong, 1);
    EXPECT_EQ(screen().columns, 80u) << wrong;
  }
}

TEST_F(Nowhere, AProgressShowsNothing) {
  testing::internal::CaptureStderr();
  { Progress("Reading").show(1, 2); }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, IsABarWithAPercentageIfTheEndIsKnown) {
  EXPECT_EQ(progress_line("Reading", 50, 200, 40), "Reading  [#####-----------------]  25 %");
  EXPECT_EQ(progress_line("Reading", 300, 200, 40), "Reading  [######################] 100 %");
  EXPECT_EQ(progress_line("Reading", 1234, 0, 40), "Reading  1,234");
  EXPECT_EQ(progress_line("Reading", 1, 2, 16), "Reading  50 %");
}

TEST(Tones, SayWhetherAWordIsGoodNews) {
  EXPECT_EQ(tone_of("active"), Tone::good);
  EXPECT_EQ(tone_of("unreachable"), Tone::warning);
  EXPECT_EQ(tone_of("disconnected"), Tone::bad);
  EXPECT_EQ(tone_of("whatever comes later"), Tone::plain);
  EXPECT_EQ(toned("x", Tone::bad, true), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(toned("x", Tone::bad, false), "x");
  EXPECT_EQ(toned("x", Tone::plain, true), "x");
}

}  // namespace
}  // namespace rollcall::cli
