#include "cli/drain_text.h"

#include <gtest/gtest.h>

namespace rollcall::cli {
namespace {

// As a sidecar answers it.
Json drain() {
  return Json::parse(R"({"left": 0, "waiting": 0, "offered": 0, "stayed": 0, "taken": {},
                         "expired": 0, "asked": 0, "asked_failed": 0, "asked_error": null})");
}

TEST(DrainLine, SaysHowManyAreGoneWhereToAndWhatIsLeftByKind) {
  Json d = drain();
  d["taken"] = {{"w2", 400}, {"w3", 190}};
  d["expired"] = 10;
  d["left"] = 400;
  d["waiting"] = 300;
  d["offered"] = 93;
  d["stayed"] = 7;
  EXPECT_EQ(drain_line(d),
            "[##################------------]  600 of 1000 are gone (w2 400, w3 190, nowhere 10), "
            "400 left: 300 not offered yet, 93 offered, 7 stayed");
}

TEST(DrainLine, LeavesOutWhatIsNotThere) {
  Json d = drain();
  d["left"] = d["offered"] = 8;
  EXPECT_EQ(drain_line(d), "[------------------------------]  0 of 8 are gone, 8 left: 8 offered");
  d["left"] = d["offered"] = 0;
  d["taken"] = {{"w2", 8}};
  EXPECT_EQ(drain_line(d), "[##############################]  8 of 8 are gone (w2 8)");
  EXPECT_EQ(drain_line(drain()), "[##############################]  0 of 0 are gone");
}

TEST(DrainLine, SaysWhyNobodyCouldBeAskedToGo) {
  Json d = drain();
  d["left"] = d["stayed"] = 3;
  d["asked"] = 2;
  EXPECT_EQ(drain_line(d).find("asked"), std::string::npos) << "all of them were";
  d["asked_failed"] = 6;
  d["asked_error"] = "nobody listens\n";
  EXPECT_EQ(drain_line(d),
            "[------------------------------]  0 of 3 are gone, 3 left: 3 stayed; 6 could not be "
            "asked to go: nobody listens?");
}

TEST(DrainLine, OfAnOlderSidecarSaysWhatThatKnows) {
  const Json d = Json::parse(R"({"left": 2, "taken": {"w2": 2}})");
  EXPECT_EQ(drain_line(d), "[###############---------------]  2 of 4 are gone (w2 2), 2 left");
  EXPECT_EQ(drain_left(d), 2u);
}

TEST(Rewritten, GoesBackToWhereTheLinesBeforeBegan) {
  const std::string words(70, 'a');
  const auto first = rewritten(words + " " + words, 0, 80);
  EXPECT_EQ(first.bytes, "\r\x1b[J" + words + "\n" + words);
  EXPECT_EQ(first.lines, 2u);
  const auto second = rewritten("short", first.lines, 80);
  EXPECT_EQ(second.bytes, "\r\x1b[1A\x1b[Jshort");
  EXPECT_EQ(second.lines, 1u);
}

}  // namespace
}  // namespace rollcall::cli
