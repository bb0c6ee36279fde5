#include "cli/live.h"

#include <gmock/gmock.h>

namespace rollcall::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Keys, AreLettersAndWhatTerminalsSendForArrows) {
  EXPECT_THAT(keys_in("jq"), ElementsAre(Key::down, Key::quit));
  EXPECT_THAT(keys_in("\x1b[A\x1b[6~\x1bOF"), ElementsAre(Key::up, Key::page_down, Key::last));
  EXPECT_THAT(keys_in("\x1b[99zx\xff"), IsEmpty()) << "others do nothing";
}

TEST(Scrolls, NeverLeavesTheList) {
  Scroll s;
  const auto press = [&s](Key key) {
    s.take(key, 10, 25);
    return s.first;
  };
  EXPECT_EQ(press(Key::up), 0u);
  EXPECT_EQ(press(Key::down), 1u);
  EXPECT_EQ(press(Key::page_down), 11u);
  EXPECT_EQ(press(Key::page_down), 15u);
  EXPECT_EQ(press(Key::down), 15u);
  EXPECT_EQ(press(Key::page_up), 5u);
  EXPECT_EQ(press(Key::last), 15u);
  EXPECT_EQ(press(Key::first), 0u);
  press(Key::last);
  s.take(Key::none, 30, 25);
  EXPECT_EQ(s.first, 0u) << "the screen grew: all can be seen";
}

}  // namespace
}  // namespace rollcall::cli
