#include "protocol/framing.h"

#include <gtest/gtest.h>

#include <vector>

namespace rollcall {
namespace {

std::string frame(std::string_view payload) {
  const auto n = static_cast<std::uint32_t>(payload.size());
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift & 0xff);
  return out.append(payload);
}

// All payloads that are there now; the error's text, in angle brackets, ends them.
std::vector<std::string> drain(FrameReader& reader) {
  std::vector<std::string> out;
  while (true) {
    const auto next = reader.next();
    if (!next) {
      out.push_back("<" + next.error().message + ">");
      return out;
    }
    if (!*next) return out;
    out.emplace_back(**next);
  }
}

using Frames = std::vector<std::string>;

TEST(FrameReader, GivesNothingWhileBytesAreMissing) {
  FrameReader reader(100);
  EXPECT_EQ(drain(reader), Frames{});
  reader.feed(std::string_view("\0\0\0", 3));
  EXPECT_EQ(drain(reader), Frames{});
  EXPECT_EQ(reader.buffered(), 3u);
}

TEST(FrameReader, GivesSeveralFramesThatCameAtOnce) {
  FrameReader reader(100);
  reader.feed(frame("one") + frame("two") + frame("three"));
  EXPECT_EQ(drain(reader), (Frames{"one", "two", "three"}));
  EXPECT_EQ(reader.buffered(), 0u);
}

TEST(FrameReader, JoinsFramesSplitAtEveryByteBoundary) {
  const std::string stream = frame("one") + frame("x") + frame(std::string(300, 'y'));
  const Frames expected{"one", "x", std::string(300, 'y')};
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameReader reader(300);
    reader.feed(stream.substr(0, cut));
    Frames got = drain(reader);
    reader.feed(stream.substr(cut));
    for (std::string& payload : drain(reader)) got.push_back(std::move(payload));
    EXPECT_EQ(got, expected) << "cut at " << cut;
  }
}

TEST(FrameReader, JoinsFramesThatCameByteByByte) {
  FrameReader reader(300);
  Frames got;
  for (const char c : frame("one") + frame(std::string(300, 'y')) + frame("z")) {
    reader.feed({&c, 1});
    for (std::string& payload : drain(reader)) got.push_back(std::move(payload));
  }
  EXPECT_EQ(got, (Frames{"one", std::string(300, 'y'), "z"}));
}

TEST(FrameReader, TakesAFrameOfExactlyTheLimit) {
  FrameReader reader(10);
  reader.feed(frame("0123456789"));
  EXPECT_EQ(drain(reader), Frames{"0123456789"});
}

TEST(FrameReader, RefusesALengthOverTheLimitBeforeItsBytesCome) {
  FrameReader reader(10);
  reader.feed(std::string_view("\0\0\0\x0b", 4));
  EXPECT_EQ(drain(reader), Frames{"<frame: its length 11 is over the limit 10>"});
}

TEST(FrameReader, RefusesTheLargestLengthThatCanBeSaid) {
  FrameReader reader(1u << 20);
  reader.feed("\xff\xff\xff\xff");
  EXPECT_EQ(drain(reader), Frames{"<frame: its length 4294967295 is over the limit 1048576>"});
}

TEST(FrameReader, RefusesALengthOfZero) {
  FrameReader reader(10);
  reader.feed(std::string_view("\0\0\0\0", 4));
  EXPECT_EQ(drain(reader), Frames{"<frame: its length is 0>"});
}

TEST(FrameReader, GivesTheFramesBeforeABrokenOneAndTheErrorEverAfter) {
  FrameReader reader(10);
  reader.feed(frame("ok") + std::string(4, '\0'));
  EXPECT_EQ(drain(reader), (Frames{"ok", "<frame: its length is 0>"}));
  reader.feed(frame("ok"));
  EXPECT_EQ(drain(reader), Frames{"<frame: its length is 0>"});
  EXPECT_EQ(reader.buffered(), 4u) << "nothing is kept after an error";
}

TEST(FrameReader, GoesOnAfterAFrameLargerThanItKeepsRoomFor) {
  const std::string large(900'000, 'x');
  FrameReader reader(1u << 20);
  reader.feed(frame(large));
  EXPECT_EQ(drain(reader), Frames{large});
  reader.feed(frame("small"));
  EXPECT_EQ(drain(reader), Frames{"small"});
}

}  // namespace
}  // namespace rollcall
