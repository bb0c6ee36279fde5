#include "cli/table.h"

#include <gmock/gmock.h>

namespace rollcall::cli {
namespace {

using ::testing::ElementsAre;

TEST(Table, NumbersAreOnTheRightAndWordsOnTheLeft) {
  Table table({number_column("ID"), "NODE", number_column("AGENTS")});
  table.add({"7", "w1", "5"});
  table.add({"70000", "berlin", "12000"});
  EXPECT_THAT(table.lines(80, false), ElementsAre("   ID  NODE    AGENTS",  //
                                                  "    7  w1           5",  //
                                                  "70000  berlin   12000"));
}

TEST(Table, WhatIsTooWideIsCutInTheWidestColumnThatGivesWay) {
  Table table({cut_column("NODE"), "STATUS", cut_column("NAME")});
  table.add({std::string(20, 'n'), "disconnected", std::string(30, 'm')});
  EXPECT_THAT(table.lines(40, false),
              ElementsAre("NODE          STATUS        NAME",
                          std::string(11, 'n') + "~  disconnected  " + std::string(11, 'm') + "~"));
}

TEST(Table, NoLineIsWiderThanTheScreenHoweverNarrowThatIs) {
  Table table({number_column("ID"), "STATUS", cut_column("NODE"), "NAME"});
  table.add({"123456", "disconnected", "a-worker-of-some-length", "web-server-1"});
  for (std::size_t columns = 1; columns < 60; ++columns) {
    for (const std::string& line : table.lines(columns, false))
      EXPECT_LE(width_of(line), columns) << line;
  }
}

TEST(Table, ColoursDoNotCountAsWidth) {
  Table table({"LINK", "NODE"});
  table.add({toned_cell("up"), "w1"});
  EXPECT_THAT(table.lines(80, true),
              ElementsAre("\x1b[1mLINK\x1b[0m  \x1b[1mNODE\x1b[0m", "\x1b[32mup\x1b[0m    w1"));
  EXPECT_THAT(table.lines(80, false), ElementsAre("LINK  NODE", "up    w1"));
}

TEST(Table, NothingIsWrittenBehindTheLastWord) {
  Table table({"A", "B", "C"});
  table.add({"long words", "", ""});
  EXPECT_EQ(table.lines(80, false)[1], "long words");
}

TEST(Table, CharactersOfSeveralBytesAreOneColumn) {
  EXPECT_EQ(width_of("gr\xc3\xbc\xc3\x9f"), 4u);
  EXPECT_EQ(cut_to("gr\xc3\xbc\xc3\x9f"
                   "e",
                   4),
            "gr\xc3\xbc~");
  EXPECT_EQ(cut_to("abc", 0), "");
}

TEST(Table, WhatAgentsSayOfThemselvesIsHarmless) {
  Table table({"NAME"});
  table.add({"a\x1b[2Jb"});
  EXPECT_EQ(table.lines(80, true)[1], "a?[2Jb");
}

}  // namespace
}  // namespace rollcall::cli
