#include "app/logging.h"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

#include "app/clock.h"

namespace rollcall::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ManualClock final : public Clock {
 public:
  Now now() override { return now_; }
  std::string boot_id() override { return "boot"; }
  void advance_us(std::int64_t us) { now_.wall_us += us, now_.mono_us += us, now_.boot_us += us; }
  Now now_{.wall_us = 1'795'375'221'123'456, .mono_us = 5'000'000, .boot_us = 5'000'000};
};

class Logging : public ::testing::Test {
 protected:
  Log make(LogFormat format) {
    return Log(
        format, Level::Info, [this](Level, std::string_view line) { lines_.emplace_back(line); },
        clock_);
  }
  // The value as it stands in a line.
  std::string text_value(std::string value) {
    const Field field{"v", std::move(value)};
    const std::string line = format_line(LogFormat::Text, 0, Level::Warn, "m", &field, &field + 1);
    return line.substr(line.find(" v=") + 3);
  }
  std::string json_value(std::string value) {
    const Field field{"v", std::move(value)};
    const std::string line = format_line(LogFormat::Json, 0, Level::Warn, "m", &field, &field + 1);
    const std::string rest = line.substr(line.find(R"("v":)") + 4);
    return rest.substr(0, rest.size() - 1);
  }
  void write_many(int times) {
    for (int i = 0; i < times; ++i) text_.write(Level::Warn, "connection refused");
  }

  ManualClock clock_;
  std::vector<std::string> lines_;
  Log text_ = make(LogFormat::Text);
  Log json_ = make(LogFormat::Json);
};

TEST_F(Logging, TextLineHasTimeLevelMessageAndFields) {
  text_.write(Level::Warn, "message", {{"agent", "7"}, {"node", "w1"}});
  text_.write(Level::Error, "other");
  EXPECT_THAT(lines_, ElementsAre("2026-11-22T19:20:21.123Z WARN  message agent=7 node=w1",
                                  "2026-11-22T19:20:21.123Z ERROR other"));
}

TEST_F(Logging, JsonLineHasTheSameAsAnObject) {
  json_.write(Level::Warn, "message", {{"agent", "7"}, {"node", "w1"}});
  EXPECT_THAT(
      lines_,
      ElementsAre(
          R"({"time":"2026-11-22T19:20:21.123Z","level":"warn","message":"message","agent":"7","node":"w1"})"));
}

TEST_F(Logging, PlainValuesStandBareAndOthersInQuotes) {
  EXPECT_EQ(text_value("10.0.0.7:41234"), "10.0.0.7:41234");
  EXPECT_EQ(text_value(""), R"("")");
  EXPECT_EQ(text_value("two words"), R"("two words")");
  EXPECT_EQ(text_value("a=b"), R"("a=b")");
  EXPECT_EQ(text_value(R"(say "x")"), R"("say \"x\"")");
  EXPECT_EQ(text_value(R"(C:\x)"), R"("C:\\x")");
  EXPECT_EQ(text_value("Zürich"), "Zürich");
  EXPECT_EQ(text_value("{}%s"), "{}%s");
}

TEST_F(Logging, NoLineBreakOfAPeerBeginsANewLine) {
  EXPECT_EQ(text_value("a\nb\r\tc"), R"("a\nb\r\tc")");
  EXPECT_EQ(json_value("a\nb\r\tc"), R"("a\nb\r\tc")");
  EXPECT_EQ(text_value("a\xe2\x80\xa8z"), R"("a\u2028z")");
}

TEST_F(Logging, NoTerminalEscapeOfAPeerGetsThrough) {
  EXPECT_EQ(text_value("\x1b[2J"), R"("\u001b[2J")");
  EXPECT_EQ(json_value("\x1b[2J"), R"("\u001b[2J")");
  EXPECT_EQ(text_value("\x7f"), R"("\u007f")");
  EXPECT_EQ(text_value("\xc2\x9b[2J"), R"("\u009b[2J")");
  EXPECT_EQ(json_value("\xc2\x9b[2J"), R"("\u009b[2J")");
  EXPECT_EQ(text_value("\x9b[2J"), R"("\x9b[2J")");  // the one-byte form is no UTF-8
  EXPECT_EQ(json_value("\x9b[2J"), R"("\ufffd[2J")");
  EXPECT_EQ(text_value(std::string("a\0b", 3)), R"("a\u0000b")");
}

TEST_F(Logging, TextThatTurnsItsDirectionIsEscaped) {
  EXPECT_EQ(text_value("\xe2\x80\xaetxt"), R"("\u202etxt")");
  EXPECT_EQ(text_value("\xe2\x81\xa6x"), R"("\u2066x")");
  EXPECT_EQ(json_value("\xf3\xa0\x81\x81"), R"("\udb40\udc41")");  // a tag character
}

TEST_F(Logging, BytesThatAreNotUtf8AreEscapedOneByOne) {
  EXPECT_EQ(text_value("\xc0\xaf"), R"("\xc0\xaf")");                  // overlong
  EXPECT_EQ(text_value("\xed\xa0\x80"), R"("\xed\xa0\x80")");          // surrogate
  EXPECT_EQ(text_value("\xf4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");  // above U+10FFFF
  EXPECT_EQ(text_value("a\xe2\x82"), R"("a\xe2\x82")");                // cut short
}

TEST_F(Logging, EveryByteInEveryPlaceGivesAPlainLine) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string value = {static_cast<char>(first), static_cast<char>(second)};
      for (const std::string& out : {text_value(value), json_value(value)}) {
        for (const char c : out) {
          const auto byte = static_cast<unsigned char>(c);
          ASSERT_TRUE(byte >= 0x20 && byte != 0x7f) << first << " " << second;
        }
        // Two-byte characters from U+00A0 on are the only bytes beyond ASCII.
        if (out.size() == 2 && static_cast<unsigned char>(out[0]) >= 0x80) {
          ASSERT_FALSE(out[0] == '\xc2' && static_cast<unsigned char>(out[1]) < 0xa0);
        }
      }
    }
  }
}

TEST_F(Logging, MessagesAndKeysAreEscapedToo) {
  text_.write(Level::Warn, "a\nb", {{"k\x1b", "v"}});
  EXPECT_THAT(lines_.at(0), ::testing::EndsWith(R"(a\nb k\u001b=v)"));
}

TEST_F(Logging, LongValuesAreCutAtACharacterAndSayHowMuch) {
  const std::string kept(Log::kLongestValue - 1, 'x');
  EXPECT_EQ(text_value(kept + "xy"), '"' + kept + "x (and 1 more bytes)\"");
  EXPECT_EQ(text_value(kept + "\xc3\xbc"), '"' + kept + " (and 2 more bytes)\"");
  EXPECT_THAT(text_value(std::string(100'000, '\x80')), SizeIs(::testing::Lt(5'000)));
}

TEST_F(Logging, LinesBelowTheLevelAreNotWrittenAndTheLevelCanChange) {
  text_.write(Level::Debug, "a");
  EXPECT_THAT(lines_, IsEmpty());
  text_.set_level(Level::Debug);
  text_.write(Level::Debug, "a");
  EXPECT_THAT(lines_, SizeIs(1));
  text_.set_level(Level::Error);
  text_.write(Level::Warn, "a");
  EXPECT_THAT(lines_, SizeIs(1));
}

TEST_F(Logging, TwentyLinesOfOneMessageAreWrittenInTenSeconds) {
  write_many(20);
  EXPECT_THAT(lines_, SizeIs(20));
  write_many(100);
  EXPECT_THAT(lines_, SizeIs(20));
  clock_.advance_us(Log::kWindowUs - 1);
  write_many(1);
  EXPECT_THAT(lines_, SizeIs(20));
}

TEST_F(Logging, AfterTheWindowOneLineSaysHowManyWereLeftOut) {
  write_many(57);
  lines_.clear();
  clock_.advance_us(Log::kWindowUs);
  write_many(1);
  EXPECT_THAT(lines_,
              ElementsAre("2026-11-22T19:20:31.123Z WARN  lines left out of=\"connection refused\" "
                          "count=37",
                          "2026-11-22T19:20:31.123Z WARN  connection refused"));
}

TEST_F(Logging, AnotherMessageTellsOfTheLeftOutOnesToo) {
  write_many(21);
  lines_.clear();
  clock_.advance_us(Log::kWindowUs);
  text_.write(Level::Info, "started");
  ASSERT_THAT(lines_, SizeIs(2));
  EXPECT_THAT(lines_[0], HasSubstr("count=1"));
  EXPECT_THAT(lines_[1], HasSubstr("started"));
}

TEST_F(Logging, WhatTheJournalDoesNotTakeIsWrittenAsText) {
  bool takes = true;
  std::vector<std::string> entries;
  Log log(
      LogFormat::Journal, Level::Info,
      [this](Level, std::string_view line) { lines_.emplace_back(line); }, clock_,
      [&](std::string_view entry) {
        if (takes) entries.emplace_back(entry);
        return takes;
      });
  log.write(Level::Warn, "taken", {{"node", "w1"}});
  takes = false;
  log.write(Level::Warn, "not taken", {{"node", "w1"}});
  EXPECT_THAT(entries, ElementsAre(HasSubstr("MESSAGE=taken node=w1\nPRIORITY=4\n")));
  EXPECT_THAT(lines_, ElementsAre("2026-11-22T19:20:21.123Z WARN  not taken node=w1"));
}

TEST_F(Logging, WhoAsksForDetailsSeesMoreOfOneMessage) {
  text_.set_level(Level::Debug);
  for (std::size_t i = 0; i < 2 * Log::kDebugBurst; ++i) text_.write(Level::Debug, "decided");
  EXPECT_THAT(lines_, SizeIs(Log::kDebugBurst));
}

TEST_F(Logging, AMessageIsNotHeldBackByAnother) {
  write_many(50);
  lines_.clear();
  text_.write(Level::Warn, "disk full");
  EXPECT_THAT(lines_, SizeIs(1));
}

TEST_F(Logging, FlushTellsAtOnceAndOnlyOnce) {
  write_many(25);
  lines_.clear();
  text_.flush();
  text_.flush();
  ASSERT_THAT(lines_, SizeIs(1));
  EXPECT_THAT(lines_[0], HasSubstr("count=5"));
  write_many(1);  // the window still runs
  EXPECT_THAT(lines_, SizeIs(1));
}

TEST_F(Logging, AStepOfTheWallClockNeitherOpensNorClosesTheWindow) {
  write_many(25);
  clock_.now_.wall_us += 86'400'000'000;
  write_many(5);
  EXPECT_THAT(lines_, SizeIs(20));
  clock_.now_.wall_us -= 2 * 86'400'000'000;
  write_many(5);
  EXPECT_THAT(lines_, SizeIs(20));
}

TEST_F(Logging, EndlesslyManyMessagesAreBoundedToo) {
  for (int i = 0; i < 5'000; ++i) text_.write(Level::Warn, "message " + std::to_string(i));
  EXPECT_THAT(lines_, SizeIs(Log::kMessagesTold + Log::kBurst));
  lines_.clear();
  text_.flush();
  EXPECT_THAT(lines_, ElementsAre(HasSubstr("of=\"(other messages)\"")));
}

TEST_F(Logging, ManyThreadsMayLog) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([this, t] {
        const std::string message = "thread " + std::to_string(t);
        for (int i = 0; i < 100; ++i) {
          text_.write(Level::Info, message, {{"i", std::to_string(i)}});
          text_.set_level(Level::Info);
        }
      });
    }
  }
  EXPECT_THAT(lines_, SizeIs(80));
}

TEST(ProcessLog, WritesWholeLinesToStandardError) {
  testing::internal::CaptureStderr();
  log(Level::Warn, "process log test", {{"v", "{} two"}});
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_THAT(out, ::testing::EndsWith("Z WARN  process log test v=\"{} two\"\n"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
}

TEST(ProcessLog, LevelAndFormatCanChangeWhileItRuns) {
  testing::internal::CaptureStderr();
  set_log_level(Level::Error);
  set_log_format(LogFormat::Json);
  log(Level::Warn, "not written");
  log(Level::Error, "written");
  flush_log();
  set_log_level(Level::Info);
  set_log_format(LogFormat::Text);
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_THAT(out, HasSubstr(R"("level":"error","message":"written"})"));
  EXPECT_THAT(out, ::testing::Not(HasSubstr("not written")));
  EXPECT_EQ(log_level(), Level::Info);
}

}  // namespace
}  // namespace rollcall::app
