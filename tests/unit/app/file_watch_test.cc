#include "app/file_watch.h"

#include <gmock/gmock.h>

#include <map>

namespace rollcall::app {
namespace {

class Watched : public ::testing::Test {
 protected:
  Watched() : watch([this](const std::string& path) { return files[path]; }) {
    files = {{"/a", "1"}, {"/b", "1"}};
    watch.watch({"/a", "/b"});
  }
  std::map<std::string, std::string> files;
  FileWatch watch;
};

TEST_F(Watched, NothingHappensWhileNothingChanges) {
  EXPECT_FALSE(watch.changed());
  EXPECT_FALSE(watch.changed());
}

TEST_F(Watched, AChangeIsToldOnceItIsOver) {
  files["/a"] = "half";
  EXPECT_FALSE(watch.changed());
  files["/a"] = "whole";
  EXPECT_FALSE(watch.changed());
  files["/b"] = "2";
  EXPECT_FALSE(watch.changed());
  EXPECT_TRUE(watch.changed());
  EXPECT_FALSE(watch.changed()) << "once";
}

TEST_F(Watched, WhatIsAsItWasIsNoChange) {
  files["/a"] = "2";
  EXPECT_FALSE(watch.changed());
  files["/a"] = "1";
  EXPECT_FALSE(watch.changed());
  EXPECT_FALSE(watch.changed());
}

TEST_F(Watched, WhatWasTakenIsKnown) {
  files["/a"] = "2";
  watch.take();
  EXPECT_FALSE(watch.changed());
  EXPECT_FALSE(watch.changed());
}

TEST_F(Watched, OtherFilesAreKnownAsTheyAre) {
  files["/c"] = "1";
  watch.watch({"/c"});
  EXPECT_FALSE(watch.changed());
  files["/a"] = "2";
  EXPECT_FALSE(watch.changed());
  EXPECT_FALSE(watch.changed());
}

TEST(FileMark, IsTheSameForAllThatIsNotThere) {
  EXPECT_EQ(file_mark("/nonexistent"), file_mark(""));
  EXPECT_NE(file_mark("/"), file_mark(""));
}

}  // namespace
}  // namespace rollcall::app
