#include "protocol/wire.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace rollcall::wire {
namespace {

template <std::size_t N>
std::string bytes(const char (&literal)[N]) {
  return std::string(literal, N - 1);
}

std::string refusal(const std::string& document, const Limits& limits = {}) {
  const auto parsed = Document::parse(document, limits);
  return parsed ? "accepted" : parsed.error().message;
}

TEST(Wire, EveryValueComesBackAsItWasPacked) {
  std::string out;
  Packer(out).array(8).u64(7).i64(-7).str("text").bin("\x01\x02").boolean(true).nil();
  Packer(out).map(1).u64(3).str("three").array(0);
  const auto document = Document::parse(out);
  ASSERT_TRUE(document);
  const Value root = document->root();
  ASSERT_EQ(root.size(), 8u);
  EXPECT_EQ(root.at(0).as_u64(), 7u);
  EXPECT_EQ(root.at(1).as_i64(), -7);
  EXPECT_EQ(root.at(2).as_str(), "text");
  EXPECT_EQ(root.at(3).as_bin(), "\x01\x02");
  EXPECT_EQ(root.at(4).as_bool(), true);
  EXPECT_TRUE(root.at(5).is_nil());
  EXPECT_EQ(root.at(6).key_at(0).as_u64(), 3u);
  EXPECT_EQ(root.at(6).value_at(0).as_str(), "three");
  EXPECT_EQ(root.at(6).get(3).as_str(), "three");
  EXPECT_TRUE(root.at(7).is_array());
  EXPECT_EQ(root.at(7).size(), 0u);
}

TEST(Wire, NumbersOfEveryLengthComeBack) {
  for (int shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t v : {(1ull << shift) - 1, 1ull << shift, (1ull << shift) + 1}) {
      std::string out;
      const auto negative = static_cast<std::int64_t>(0 - v);
      Packer(out).array(2).u64(v).i64(negative);
      const auto document = Document::parse(out);
      ASSERT_TRUE(document);
      EXPECT_EQ(document->root().at(0).as_u64(), v);
      EXPECT_EQ(document->root().at(1).as_i64(), negative);
    }
  }
}

TEST(Wire, NumbersAreAsShortAsTheyCanBe) {
  const auto size = [](std::uint64_t v) {
    std::string out;
    Packer(out).u64(v);
    return out.size();
  };
  EXPECT_EQ(size(127), 1u);
  EXPECT_EQ(size(128), 2u);
  EXPECT_EQ(size(256), 3u);
  EXPECT_EQ(size(65'536), 5u);
  EXPECT_EQ(size(1ull << 32), 9u);
}

TEST(Wire, ANumberThatDoesNotFitIsNotThere) {
  std::string out;
  Packer(out).array(2).u64(UINT64_MAX).i64(-1);
  const auto document = Document::parse(out);
  ASSERT_TRUE(document);
  EXPECT_EQ(document->root().at(0).as_i64(), std::nullopt);
  EXPECT_EQ(document->root().at(1).as_u64(), std::nullopt);
}

TEST(Wire, AskingForAnotherTypeGivesNothing) {
  std::string out;
  Packer(out).array(7).u64(1).str("s").bin("b").boolean(true).nil().array(0).map(0);
  out[0] = '\x98';
  out += bytes("\xcb\x3f\xf0\0\0\0\0\0\0");  // 1.0
  const auto document = Document::parse(out);
  ASSERT_TRUE(document);
  const Value root = document->root();
  for (std::size_t i = 0; i < root.size(); ++i) {
    const Value v = root.at(i);
    const int answers = v.as_u64().has_value() + v.as_str().has_value() + v.as_bin().has_value() +
                        v.as_bool().has_value() + v.is_nil() + v.is_array() + v.is_map();
    EXPECT_EQ(answers, i == 7 ? 0 : 1) << i;
    EXPECT_TRUE(v.at(0).is_nil());
    EXPECT_TRUE(v.get(0).is_nil());
    EXPECT_TRUE(v.key_at(0).is_nil());
    EXPECT_TRUE(v.value_at(0).is_nil());
  }
}

TEST(Wire, AValueThatIsNotThereAnswersLikeNil) {
  std::string out;
  Packer(out).map(1).u64(1).u64(2);
  const auto document = Document::parse(out);
  ASSERT_TRUE(document);
  const Value absent = document->root().get(9);
  EXPECT_TRUE(absent.is_nil());
  EXPECT_EQ(absent.as_u64(), std::nullopt);
  EXPECT_EQ(absent.size(), 0u);
  EXPECT_TRUE(absent.at(0).get(1).key_at(2).value_at(3).is_nil());
}

TEST(Wire, OfAKeyThatComesTwiceTheFirstCounts) {
  std::string out;
  Packer(out).map(2).u64(1).u64(10).u64(1).u64(20);
  EXPECT_EQ(Document::parse(out)->root().get(1).as_u64(), 10u);
}

TEST(Wire, StringsPointIntoTheInput) {
  std::string out;
  Packer(out).str("a string that is too long for any small buffer");
  const auto document = Document::parse(out);
  ASSERT_TRUE(document);
  const std::string_view s = *document->root().as_str();
  EXPECT_GE(s.data(), out.data());
  EXPECT_LE(s.data() + s.size(), out.data() + out.size());
}

TEST(Wire, ADocumentOutlivesItsMove) {
  std::string out;
  Packer(out).array(1).u64(5);
  Document first = std::move(*Document::parse(out));
  const Value root = first.root();
  const Document second = std::move(first);
  EXPECT_EQ(root.at(0).as_u64(), 5u);
  EXPECT_EQ(second.root().at(0).as_u64(), 5u);
}

TEST(WireLimits, NothingAtAllIsAnError) {
  EXPECT_EQ(refusal(""), "msgpack: it is cut off");
}

TEST(WireLimits, BytesBehindTheValueAreAnError) {
  EXPECT_EQ(refusal(bytes("\x01\x02")), "msgpack: bytes follow its end");
}

TEST(WireLimits, AByteThatIsNoMsgpackIsAnError) {
  EXPECT_EQ(refusal(bytes("\xc1")), "msgpack: a byte is not msgpack");
  EXPECT_EQ(refusal(bytes("\x92\x01\xc1")), "msgpack: a byte is not msgpack");
}

TEST(WireLimits, DepthIsBounded) {
  EXPECT_EQ(refusal(std::string(8, '\x91') + '\x01'), "accepted");
  EXPECT_EQ(refusal(std::string(9, '\x91') + '\x01'), "msgpack: it is nested too deep");
  EXPECT_EQ(refusal(std::string(100, '\x91') + '\x01'), "msgpack: it is nested too deep");
  EXPECT_EQ(refusal(std::string(100'000, '\x91') + '\x01'), "msgpack: it is nested too deep");
  std::string maps;
  for (int i = 0; i < 100; ++i) maps += "\x81\x01";
  EXPECT_EQ(refusal(maps + '\x01'), "msgpack: it is nested too deep");
}

TEST(WireLimits, HugeDeclaredCountsInAFewBytesAreRefusedAtTheirHeader) {
  EXPECT_EQ(refusal(bytes("\xdd\xff\xff\xff\xff")), "msgpack: an array has too many values");
  EXPECT_EQ(refusal(bytes("\xdf\xff\xff\xff\xff")), "msgpack: a map has too many pairs");
  EXPECT_EQ(refusal(bytes("\xdc\xff\xff\x01")),
            "msgpack: it declares more values than it has bytes");
  EXPECT_EQ(refusal(bytes("\xde\x0f\xff\x01")),
            "msgpack: it declares more values than it has bytes");
}

TEST(WireLimits, HugeDeclaredLengthsInAFewBytesAreRefused) {
  EXPECT_EQ(refusal(bytes("\xdb\xff\xff\xff\xff")), "msgpack: it is cut off");
  EXPECT_EQ(refusal(bytes("\xc6\xff\xff\xff\xff")), "msgpack: it is cut off");
  EXPECT_NE(refusal(bytes("\xc9\xff\xff\xff\xff\x01")), "accepted");
}

TEST(WireLimits, NestedCountsCannotAddUpBeyondTheBytes) {
  // Each array is within its limit, each promises the rest to its first value.
  std::string hostile;
  for (int i = 0; i < 8; ++i) hostile += bytes("\xdd\0\1\x86\xa0");  // 100,000
  EXPECT_EQ(refusal(hostile), "msgpack: it declares more values than it has bytes");
  hostile.append(150'000, '\x01');
  EXPECT_EQ(refusal(hostile), "msgpack: it declares more values than it has bytes");
}

TEST(WireLimits, ALargestDocumentOfSmallestValuesIsAccepted) {
  // The worst case for memory: one node for each byte.
  std::string dense = bytes("\x98");
  for (int i = 0; i < 8; ++i) dense += bytes("\xdd\0\2\0\0") + std::string(1u << 17, '\x01');
  EXPECT_EQ(refusal(dense), "accepted");
}

TEST(WireLimits, CallersMayLowerEachLimit) {
  EXPECT_NE(refusal(bytes("\x93\1\2\3"), {.max_array = 2}), "accepted");
  EXPECT_NE(refusal(bytes("\x82\1\2\3\4"), {.max_map = 1}), "accepted");
  EXPECT_NE(refusal(bytes("\xa3"
                          "abc"),
                    {.max_str = 2}),
            "accepted");
  EXPECT_NE(refusal(bytes("\xc4\3abc"), {.max_bin = 2}), "accepted");
  EXPECT_NE(refusal(bytes("\x91\x91\1"), {.max_depth = 1}), "accepted");
}

TEST(WireLimits, RandomBytesNeverCrash) {
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    std::mt19937_64 rng(seed);
    std::string noise;
    for (std::size_t n = rng() % 64; n > 0; --n) noise += static_cast<char>(rng());
    const auto document = Document::parse(noise);
    if (!document) continue;
    const Value root = document->root();
    EXPECT_TRUE(root.at(root.size()).is_nil());
  }
}

}  // namespace
}  // namespace rollcall::wire
