#include "protocol/compression.h"

#include <gtest/gtest.h>

#include "protocol/codec.h"
#include "tests/unit/protocol/random_messages.h"

namespace rollcall {
namespace {

using testing::Rng;

Delta delta_with_info(std::size_t events) {
  Delta delta;
  for (std::size_t i = 0; i < events; ++i) {
    Event e;
    e.agent = AgentId{static_cast<std::uint32_t>(i + 1)};
    e.epoch = Epoch{1000 + i};
    e.evidence = {time_of(e.epoch), time_of(e.epoch)};
    e.info = std::make_shared<const AgentInfo>(
        AgentInfo{{"ip", "10.0.0." + std::to_string(i)}, {"os_name", "Debian GNU/Linux"}});
    e.info_hash = hash_of(*e.info);
    delta.events.push_back(std::move(e));
  }
  return delta;
}

std::string payload_of(const Message& message, Compression compression = Compression::zstd) {
  std::string frame;
  encode_frame(message, frame, compression);
  return frame.substr(kFrameHeader);
}

std::string compressed(std::string_view plain, std::uint64_t size) {
  std::string out;
  wire::Packer(out).array(2).u64(18).map(2).u64(1).u64(size).u64(2).bin(compress(plain));
  return out;
}

std::string refusal(std::string_view payload) {
  const auto message = decode(payload);
  return message ? "accepted" : message.error().message;
}

TEST(Compression, ADeltaWithInfoBecomesSmallerAndComesBack) {
  const Delta delta = delta_with_info(100);
  const std::string payload = payload_of(delta);
  EXPECT_LT(payload.size(), payload_of(delta, Compression::none).size() / 3);
  EXPECT_EQ(payload.substr(0, 2), "\x92\x12");
  const auto received = decode(payload);
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_EQ(*received, Message(delta));
}

TEST(Compression, WhatWouldNotBecomeSmallerStaysAsItIs) {
  const Delta small = delta_with_info(1);
  EXPECT_EQ(payload_of(small), payload_of(small, Compression::none));
}

TEST(Compression, OtherMessagesStayAsTheyAre) {
  Delta no_info = delta_with_info(100);
  for (Event& e : no_info.events) e.info.reset();
  EXPECT_EQ(payload_of(no_info), payload_of(no_info, Compression::none));
  for (std::size_t type = 0; type < testing::kMessageTypes; ++type) {
    Rng rng(type);
    const Message m = testing::random_message(type, rng);
    if (!std::holds_alternative<Delta>(m)) {
      EXPECT_EQ(payload_of(m), payload_of(m, Compression::none)) << name_of(m);
    }
  }
}

TEST(Compression, RandomDeltasComeBack) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Rng rng(seed);
    const Message sent = testing::random_message(2, rng);
    const auto received = decode(payload_of(sent));
    ASSERT_TRUE(received) << received.error().message << ", seed " << seed;
    ASSERT_EQ(*received, sent) << "seed " << seed;
  }
}

TEST(Compression, TheSizeIsBoundedBeforeAnythingIsUnpacked) {
  const std::string large(kMaxFrame + 1, '\0');
  EXPECT_EQ(refusal(compressed(large, large.size())),
            "COMPRESSED size: not a number, or out of range");
  EXPECT_EQ(refusal(compressed(large, UINT64_MAX)),
            "COMPRESSED size: not a number, or out of range");
  EXPECT_EQ(refusal(compressed(large, 0)), "COMPRESSED size: not a number, or out of range");
  // One that says less than it unpacks to is stopped at what it says.
  EXPECT_EQ(refusal(compressed(large, 1000)), "COMPRESSED packed: Destination buffer is too small");
}

TEST(Compression, TheSizeMustBeWhatItUnpacksTo) {
  const std::string plain = payload_of(delta_with_info(20), Compression::none);
  EXPECT_EQ(refusal(compressed(plain, plain.size())), "accepted");
  EXPECT_EQ(refusal(compressed(plain, plain.size() + 1)),
            "COMPRESSED packed: it unpacks to less than it says");
}

TEST(Compression, OnlyADeltaMayBeInside) {
  Superseded other;
  for (std::uint32_t i = 1; i < 50; ++i)
    other.entries.push_back({AgentId{i}, {{Epoch{5}, "w1", 0}, true}});
  const std::string plain = payload_of(other, Compression::none);
  EXPECT_EQ(refusal(compressed(plain, plain.size())), "COMPRESSED packed: not a DELTA");
  const std::string nested = compressed(payload_of(delta_with_info(200), Compression::none), 9000);
  const std::string twice = compressed(nested + std::string(500, '\0'), nested.size() + 500);
  EXPECT_NE(refusal(twice), "accepted");
}

TEST(Compression, WhatIsInsideIsJudgedLikeAnyDelta) {
  Delta bad = delta_with_info(20);
  bad.events[3].evidence = {{2}, {1}};
  const std::string plain = payload_of(bad, Compression::none);
  EXPECT_EQ(refusal(compressed(plain, plain.size())), "DELTA event 3: lo is after hi");
}

TEST(Compression, FlippedBytesNeverCrash) {
  const Delta delta = delta_with_info(20);
  const std::string payload = payload_of(delta);
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Rng rng(seed);
    std::string changed = payload;
    for (std::uint64_t n = 1 + rng() % 4; n > 0; --n) {
      changed[rng() % changed.size()] = static_cast<char>(rng());
    }
    const auto message = decode(changed);
    if (!message || !std::holds_alternative<Delta>(*message)) continue;
    const auto again = decode(payload_of(*message));
    ASSERT_TRUE(again) << again.error().message << ", seed " << seed;
    ASSERT_EQ(*again, *message) << "seed " << seed;
  }
}

}  // namespace
}  // namespace rollcall
