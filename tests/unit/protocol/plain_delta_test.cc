// The short cut for plain DELTAs against the reader that goes value by value: they never disagree.
#include "protocol/plain_delta.h"

#include <gtest/gtest.h>

#include "protocol/codec.h"
#include "tests/unit/protocol/random_messages.h"

namespace rollcall {
namespace {

using testing::Rng;

std::string payload_of(const Message& message) {
  std::string frame;
  encode_frame(message, frame);
  return frame.substr(kFrameHeader);
}

// What both make of the same bytes, as text; fails the test if they differ.
bool agree(std::string_view payload) {
  // A copy of its own size, so that a read beyond its end is seen by a sanitizer.
  const std::vector<char> bytes(payload.begin(), payload.end());
  const std::string_view exact(bytes.data(), bytes.size());
  const auto plain = read_plain_delta(exact);
  if (!plain) return false;
  const auto slow = decode_by_values(exact);
  EXPECT_TRUE(slow) << slow.error().message;
  if (slow) {
    EXPECT_EQ(*slow, Message(*plain));
  }
  return true;
}

TEST(PlainDelta, EveryDeltaThatThisProgramWritesIsPlain) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    Rng rng(seed);
    const Message sent = testing::random_message(2, rng);
    const auto plain = read_plain_delta(payload_of(sent));
    ASSERT_TRUE(plain) << "seed " << seed;
    ASSERT_EQ(Message(*plain), sent) << "seed " << seed;
  }
}

TEST(PlainDelta, OtherMessagesAreNot) {
  for (std::size_t type = 0; type < testing::kMessageTypes; ++type) {
    Rng rng(type);
    if (type != 2) {
      EXPECT_FALSE(read_plain_delta(payload_of(testing::random_message(type, rng))));
    }
  }
}

TEST(PlainDelta, WhatIsChangedAnywhereIsReadAlikeOrNotAtAll) {
  std::size_t still_plain = 0;
  for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
    Rng rng(seed);
    std::string payload = payload_of(testing::random_message(2, rng));
    for (std::uint64_t n = 1 + rng() % 3; n > 0; --n) {
      payload[rng() % payload.size()] = static_cast<char>(rng());
    }
    still_plain += agree(payload);
  }
  EXPECT_GT(still_plain, 100u) << "nothing was compared";
}

TEST(PlainDelta, ACutOneIsNotPlain) {
  Rng rng(3);
  const std::string payload = payload_of(testing::random_message(2, rng));
  for (std::size_t n = 0; n < payload.size(); ++n) EXPECT_FALSE(agree(payload.substr(0, n))) << n;
  EXPECT_FALSE(agree(payload + '\0'));
}

// A DELTA of one event: `epoch`, `lo` and `hi` at the bounds.
bool plain_with(std::uint64_t epoch, std::int64_t lo, std::int64_t hi, std::uint64_t kind = 1) {
  std::string out;
  wire::Packer(out).array(2).u64(3).map(3).u64(1).u64(1).u64(2).u64(0).u64(3).array(1);
  wire::Packer(out).array(6).u64(7).u64(epoch).u64(0).u64(kind).i64(lo).i64(hi);
  return agree(out);
}

TEST(PlainDelta, TheBoundsAreThoseOfTheProtocol) {
  constexpr std::uint64_t kMost = 1ull << 60;
  EXPECT_TRUE(plain_with(kMost, 0, 0));
  EXPECT_FALSE(plain_with(kMost + 1, 0, 0));
  EXPECT_FALSE(plain_with(kMost, 0, 1));
  EXPECT_FALSE(plain_with(1, 2, 1)) << "lo is after hi";
  EXPECT_FALSE(plain_with(0, 0, 1)) << "an epoch of 0";
  EXPECT_TRUE(plain_with(0, 0, 1, 9)) << "in a contact";
  EXPECT_FALSE(plain_with(1, 0, 1, 0));
  EXPECT_FALSE(plain_with(1, 0, 1, 10));
  EXPECT_FALSE(plain_with(1, INT64_MIN, 0));
  EXPECT_FALSE(plain_with(1, 0, INT64_MAX));
}

}  // namespace
}  // namespace rollcall
