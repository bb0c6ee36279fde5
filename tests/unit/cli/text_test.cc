#include "cli/text.h"

#include <gmock/gmock.h>

namespace rollcall::cli {
namespace {

std::string printed(const Table& table) {
  testing::internal::CaptureStdout();
  table.print();
  return testing::internal::GetCapturedStdout();
}

TEST(Text, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(harmless("a\x1b[31mb\n\x7f"), "a?[31mb??");
  EXPECT_EQ(harmless("a\xc2\x9b"
                     "b"),
            "a??b");
  EXPECT_EQ(harmless("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(Text, IsBrokenBetweenWordsAtEightyColumns) {
  std::string words;
  for (int i = 0; i < 40; ++i) words += "word ";
  const std::string text = wrapped(words);
  std::size_t longest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
  EXPECT_LE(longest, 80u);
  EXPECT_GE(longest, 75u);
  EXPECT_EQ(wrapped(std::string(100, 'x')), std::string(100, 'x') + "\n");
}

TEST(Text, ATableIsAsWideAsItsCellsAndCutAtTheEdge) {
  Table table({"ID", "NAME"});
  table.add({"7", "web"});
  table.add({"70000", std::string(100, 'n')});
  EXPECT_EQ(printed(table), "ID     NAME\n7      web\n70000  " + std::string(72, 'n') + "~\n");
}

TEST(Text, ALongFieldGoesOnBehindItsColumn) {
  testing::internal::CaptureStdout();
  print_field("name", std::string(60, 'a') + " " + std::string(20, 'b'));
  EXPECT_EQ(
      testing::internal::GetCapturedStdout(),
      "name         " + std::string(60, 'a') + "\n             " + std::string(20, 'b') + "\n");
}

TEST(Text, AFieldThatIsNotThereIsNull) {
  const Json answer{{"a", 1}};
  EXPECT_EQ(field(answer, "a"), 1);
  EXPECT_EQ(field(answer, "b"), nullptr);
  EXPECT_EQ(field(field(answer, "b"), "c"), nullptr);
  EXPECT_EQ(field(Json(7), "a"), nullptr);
}

TEST(Text, LargeNumbersAreGrouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(number_of(nullptr), 0);
}

TEST(Text, WhatIsNotKnownIsADash) {
  EXPECT_EQ(shown(nullptr), "-");
  EXPECT_EQ(shown_time(nullptr), "-");
  EXPECT_EQ(shown_length(nullptr), "-");
  EXPECT_EQ(shown(7), "7");
  EXPECT_EQ(shown(true), "yes");
}

// As a master answers it, with addresses of the most usual length at its widest.
TEST(Text, AContestShowsWhoFlapsWithBothWorkersAndAddressesInEightyColumns) {
  const Json agents = Json::parse(R"([{"agent": 70, "contested": true, "flapping": true,
      "moves": [1, 2, 3, 4, 5, 6], "workers": [
        {"node": "w1", "address": "192.168.101.111:50412", "on_top": false, "open_epoch": 3,
         "contact": 1767261600000000, "agent_ip": "192.168.201.211"},
        {"node": "w2", "address": null, "on_top": true, "open_epoch": 4, "contact": null,
         "agent_ip": null}]},
      {"agent": 8, "contested": false, "flapping": false, "moves": [1], "workers": [
        {"node": "w1", "address": "[2001:db8::1]:7", "on_top": true, "open_epoch": 4,
         "contact": null, "agent_ip": null}]}])");
  Table table = contested_table();
  add_contested(table, agents);
  EXPECT_EQ(printed(table),
            "AGENT  CONTESTED  FLAPPING  WORKER  ADDRESS          CONTACT   AGENT IP\n"
            "   70  yes        yes, 6    w1      192.168.101.111  10:00:00  192.168.201.211\n"
            "   70  yes        yes, 6    w2 *    -                -         -\n"
            "    8  no         no, 1     w1 *    [2001:db8::1]    -         -\n");
}

}  // namespace
}  // namespace rollcall::cli
