#include "protocol/codec.h"

#include <gtest/gtest.h>

#include "protocol/unknown_fields.h"
#include "tests/unit/protocol/random_messages.h"

namespace rollcall {
namespace {

using testing::kMessageTypes;
using testing::random_event;
using testing::random_message;
using testing::Rng;

std::string payload_of(const Message& message) {
  std::string frame;
  encode_frame(message, frame);
  return frame.substr(kFrameHeader);
}

std::string refusal(std::string_view payload) {
  const auto message = decode(payload);
  return message ? "accepted" : message.error().message;
}

// A payload written by hand: [type, {key: value, ...}].
struct Raw {
  std::string out;
  wire::Packer packer{out};
  Raw(std::uint64_t type, std::uint32_t keys) { packer.array(2).u64(type).map(keys); }
};

// A DELTA of one event, which `write` packs.
template <typename Write>
std::string delta_refusal(Write&& write) {
  Raw raw(3, 2);
  raw.packer.u64(1).u64(1).u64(3).array(1);
  write(raw.packer);
  return refusal(raw.out);
}

Event small_event() {
  Event e;
  e.agent = AgentId{7};
  e.epoch = Epoch{1000};
  e.evidence = {{1000}, {2000}};
  return e;
}

Event decoded_event(const Event& event) {
  std::string out;
  wire::Packer packer(out);
  pack_event(packer, event);
  return *unpack_event(wire::Document::parse(out)->root());
}

class EveryMessage : public ::testing::TestWithParam<std::size_t> {};

TEST_P(EveryMessage, ComesBackAsItWasSent) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Rng rng(seed);
    const Message sent = random_message(GetParam(), rng);
    const auto received = decode(payload_of(sent));
    ASSERT_TRUE(received) << received.error().message << ", seed " << seed;
    ASSERT_EQ(*received, sent) << name_of(sent) << " seed " << seed;
  }
}

TEST_P(EveryMessage, CutAnywhereIsAnError) {
  Rng rng(GetParam());
  const std::string payload = payload_of(random_message(GetParam(), rng));
  for (std::size_t n = 0; n < payload.size(); ++n) {
    EXPECT_NE(refusal(std::string_view(payload).substr(0, n)), "accepted") << n;
  }
}

TEST_P(EveryMessage, SkipsKeysOfLaterVersions) {
  Rng rng(GetParam());
  const Message sent = random_message(GetParam(), rng);
  const std::string payload = payload_of(sent);
  // Byte 0: array of 2; 1: type; then the map: fixmap of up to 15 pairs, or map 16.
  ASSERT_EQ(payload[0], '\x92');
  const bool fixmap = (static_cast<unsigned char>(payload[2]) & 0xf0) == 0x80;
  const std::size_t header = fixmap ? 1 : 3;
  const auto pairs = static_cast<unsigned char>(fixmap ? payload[2] & 0x0f : payload[4]);
  std::string more = payload.substr(0, 2);
  wire::Packer packer(more);
  packer.map(pairs + 3u);
  packer.u64(200).str("a later version").str("text").u64(1);  // one key that is not even a number
  packer.u64(201).map(1).u64(1).array(2).nil().bin("x");
  more += payload.substr(2 + header);
  const auto received = decode(more);
  ASSERT_TRUE(received) << received.error().message;
  EXPECT_EQ(*received, sent);
}

std::string type_name(const ::testing::TestParamInfo<std::size_t>& param) {
  Rng rng(0);
  return std::string(name_of(random_message(param.param, rng)));
}
INSTANTIATE_TEST_SUITE_P(Codec, EveryMessage, ::testing::Range(std::size_t{0}, kMessageTypes),
                         type_name);

TEST(Codec, AFrameStartsWithItsLength) {
  std::string out = "before";
  encode_frame(Heartbeat{1, 2, 3}, out);
  EXPECT_EQ(out.substr(0, 6), "before");
  EXPECT_EQ(out.substr(6, 4), std::string("\0\0\0\x09", 4));
  EXPECT_EQ(out.size(), 6u + 4 + 9);
}

TEST(Codec, AbsentKeysHaveTheirDefaults) {
  Raw hello(1, 8);
  hello.packer.u64(1).u64(1).u64(2).u64(1).u64(3).str("c").u64(4).str("w1").u64(5).str("m");
  hello.packer.u64(6).u64(8).u64(7).u64(9).u64(16).u64(10);
  Hello expected;
  expected.protocol_min = expected.protocol_max = 1;
  expected.cluster = "c";
  expected.node = "w1";
  expected.machine = "m";
  expected.store = StoreId{8};
  expected.stream = StreamId{9};
  expected.t0 = 10;
  const auto message = decode(hello.out);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(*message, Message(expected));
}

TEST(Codec, AMissingRequiredKeyIsNamed) {
  EXPECT_EQ(refusal(Raw(1, 0).out), "HELLO protocol_min is missing");
  EXPECT_EQ(refusal(Raw(2, 0).out), "WELCOME protocol is missing");
  EXPECT_EQ(refusal(Raw(3, 0).out), "DELTA first_seq is missing");
  EXPECT_EQ(refusal(Raw(4, 0).out), "ACK through is missing");
  EXPECT_EQ(refusal(Raw(5, 0).out), "SUPERSEDED entries is missing");
  EXPECT_EQ(refusal(Raw(6, 0).out), "CHALLENGE entries is missing");
  EXPECT_EQ(refusal(Raw(7, 0).out), "HEARTBEAT seq is missing");
  EXPECT_EQ(refusal(Raw(8, 0).out), "HEARTBEAT_ACK t0 is missing");
  EXPECT_EQ(refusal(Raw(9, 0).out), "ERROR code is missing");
  EXPECT_EQ(refusal(Raw(17, 0).out), "BYE reason is missing");
}

TEST(Codec, AMessageOfAnUnknownTypeIsSaidToBeOne) {
  for (const std::uint32_t type : {0u, 20u, 99u, UINT32_MAX}) {
    const auto message = decode(Raw(type, 0).out);
    ASSERT_TRUE(message);
    EXPECT_EQ(*message, Message(UnknownMessage{type}));
  }
}

TEST(Codec, WhatIsNoMessageAtAllIsAnError) {
  std::string number, body_less, text_type;
  wire::Packer(number).u64(7);
  wire::Packer(body_less).array(2).u64(7).array(0);
  wire::Packer(text_type).array(2).str("HELLO").map(0);
  EXPECT_EQ(refusal(number), "message: not [type, body]");
  EXPECT_EQ(refusal(text_type), "message: not [type, body]");
  EXPECT_EQ(refusal(body_less), "message of type 7: its body is not a map");
  EXPECT_EQ(refusal(Raw(1ull << 32, 0).out), "message: not [type, body]");
  EXPECT_EQ(refusal(""), "message: msgpack: it is cut off");
}

TEST(Codec, HelloWithoutARealIdentityIsRefused) {
  Rng rng(1);
  const Hello good = std::get<Hello>(random_message(0, rng));
  auto refusal_with = [&](auto&& change) {
    Hello hello = good;
    change(hello);
    return refusal(payload_of(hello));
  };
  EXPECT_EQ(refusal_with([](Hello& h) { h.node = "a/b"; }), "HELLO node: not a valid node name");
  EXPECT_EQ(refusal_with([](Hello& h) { h.store = StoreId{}; }),
            "HELLO store: not a number, or out of range");
  EXPECT_EQ(refusal_with([](Hello& h) { h.stream = StreamId{}; }),
            "HELLO stream: not a number, or out of range");
  EXPECT_EQ(refusal_with([](Hello& h) { h.protocol_max = h.protocol_min - 1; }).substr(0, 15),
            "HELLO protocol_");
  EXPECT_EQ(refusal_with([](Hello& h) { h.software.assign(kMaxText + 1, 'x'); }),
            "HELLO software: not a string, or too long");
  EXPECT_EQ(refusal_with([](Hello& h) { h.t0 = -1; }), "HELLO t0: not a time, or out of range");
}

TEST(Codec, MomentsInTheWrongOrderAreRefused) {
  EXPECT_EQ(refusal(payload_of(HeartbeatAck{1, 3, 2})), "HEARTBEAT_ACK t1 is after t2");
}

TEST(Codec, AnErrorsTextIsCutToItsLimit) {
  ErrorMessage error;
  error.text.assign(kMaxText + 500, 'x');
  const auto message = decode(payload_of(error));
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<ErrorMessage>(*message).text, std::string(kMaxText, 'x'));
}

TEST(Codec, ASupersededWithoutItsWinnerIsRefused) {
  Superseded none;
  none.entries.push_back({AgentId{7}, {}});
  EXPECT_EQ(refusal(payload_of(none)), "SUPERSEDED entry 0: winner is missing");
  Ack ack;
  ack.exceptions.push_back({1, AgentId{7}, ExceptionKind::superseded, {}});
  EXPECT_EQ(refusal(payload_of(ack)), "ACK exception 0: winner is missing");
}

TEST(Codec, AsManyEntriesAsAreAllowedFitAFrame) {
  const Winner longest{{Epoch{1ull << 60}, NodeName(kMaxNodeName, 'x'), UINT32_MAX}, true};
  Ack ack;
  ack.exceptions.assign(kMaxEntries,
                        {UINT64_MAX, AgentId{UINT32_MAX}, ExceptionKind::superseded, longest});
  EXPECT_EQ(refusal(payload_of(ack)), "accepted");
  ack.exceptions.push_back(ack.exceptions.back());
  EXPECT_EQ(refusal(payload_of(ack)), "ACK exceptions: not an array, or too long");
}

TEST(Codec, ACommandIsRefusedByWhatIsWrongWithIt) {
  const Command good{"id", CommandKind::restart, {{AgentId{7}, "Wazuh v4.14.7"}}, 1};
  auto refusal_with = [&](auto&& change) {
    Command command = good;
    change(command);
    return refusal(payload_of(command));
  };
  EXPECT_EQ(refusal_with([](Command&) {}), "accepted");
  EXPECT_EQ(refusal_with([](Command& c) { c.id = "a/b"; }), "COMMAND id: not a valid command id");
  EXPECT_EQ(refusal_with([](Command& c) { c.kind = CommandKind{9}; }),
            "COMMAND kind: not a number, or out of range");
  EXPECT_EQ(refusal_with([](Command& c) { c.entries[0].agent = AgentId{}; }),
            "COMMAND agent 0: not [agent, version], or too long");
  EXPECT_EQ(
      refusal_with([](Command& c) { c.entries[0].version.assign(kMaxAgentVersion + 1, 'x'); }),
      "COMMAND agent 0: not [agent, version], or too long");
  EXPECT_EQ(refusal_with([](Command& c) { c.left_us = -1; }),
            "COMMAND left_us: not a time, or out of range");
  EXPECT_EQ(refusal(Raw(15, 0).out), "COMMAND id is missing");
  EXPECT_EQ(refusal(Raw(16, 0).out), "RESULT id is missing");
}

TEST(Codec, AsManyCommandsAsAreAllowedFitAFrame) {
  Command command{std::string(kMaxNodeName, 'x'), CommandKind::restart, {}, kMaxTimeUs};
  command.entries.assign(kMaxCommandAgents,
                         {AgentId{UINT32_MAX}, std::string(kMaxAgentVersion, 'x')});
  EXPECT_EQ(refusal(payload_of(command)), "accepted");
  command.entries.push_back(command.entries.back());
  EXPECT_EQ(refusal(payload_of(command)), "COMMAND agents: not an array, or too long");
}

TEST(Codec, AnOutcomeOfALaterVersionIsUncertain) {
  Result result{"id", {{AgentId{7}, CommandOutcome{77}}}, {}};
  const auto message = decode(payload_of(result));
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<Result>(*message).entries[0].outcome, CommandOutcome::uncertain);
  result.entries[0].outcome = CommandOutcome{};
  EXPECT_EQ(refusal(payload_of(result)), "RESULT outcome 0: not [agent, outcome]");
}

TEST(Codec, SequenceNumbersMayNotWrap) {
  Delta delta;
  delta.first_seq = UINT64_MAX - 1;
  delta.events = {small_event()};
  EXPECT_EQ(refusal(payload_of(delta)), "accepted");
  delta.events = {small_event(), small_event()};
  EXPECT_EQ(refusal(payload_of(delta)), "DELTA first_seq: too near the end of 2^64");
}

TEST(Codec, ADeltaHasABoundedNumberOfEvents) {
  Delta delta;
  delta.events.assign(kMaxEventsPerDelta, small_event());
  EXPECT_EQ(refusal(payload_of(delta)), "accepted");
  delta.events.push_back(small_event());
  EXPECT_EQ(refusal(payload_of(delta)), "DELTA events: not an array, or too long");
}

TEST(EventCodec, AnEventThatIsWrongIsNamedByItsPlaceAndField) {
  Delta delta;
  delta.events.assign(4, small_event());
  delta.events[3].evidence = {{3000}, {2000}};
  EXPECT_EQ(refusal(payload_of(delta)), "DELTA event 3: lo is after hi");
}

TEST(EventCodec, EachFieldIsChecked) {
  using P = wire::Packer;
  EXPECT_EQ(delta_refusal([](P& p) { p.array(6).u64(7).u64(1000).u64(0).u64(1).i64(0).i64(5); }),
            "accepted");
  EXPECT_EQ(delta_refusal([](P& p) { p.u64(1); }),
            "DELTA event 0: not [agent, epoch, change, kind, lo, hi]");
  EXPECT_EQ(delta_refusal([](P& p) { p.array(5).u64(7).u64(1000).u64(0).u64(1).i64(0); }),
            "DELTA event 0: not [agent, epoch, change, kind, lo, hi]");
  EXPECT_EQ(delta_refusal([](P& p) { p.array(6).u64(0).u64(1000).u64(0).u64(1).i64(0).i64(5); }),
            "DELTA event 0: agent is not a 32-bit number from 1 up");
  EXPECT_EQ(
      delta_refusal([](P& p) { p.array(6).u64(1ull << 32).u64(9).u64(0).u64(1).i64(0).i64(5); }),
      "DELTA event 0: agent is not a 32-bit number from 1 up");
  EXPECT_EQ(delta_refusal([](P& p) { p.array(6).u64(7).u64(0).u64(0).u64(1).i64(0).i64(5); }),
            "DELTA event 0: epoch is 0");
  EXPECT_EQ(
      delta_refusal([](P& p) { p.array(6).u64(7).u64(UINT64_MAX).u64(0).u64(1).i64(0).i64(5); }),
      "DELTA event 0: epoch is not a number up to 2^60");
  EXPECT_EQ(
      delta_refusal([](P& p) { p.array(6).u64(7).u64(9).u64(1ull << 32).u64(1).i64(0).i64(5); }),
      "DELTA event 0: change is not a 32-bit number");
  for (const std::uint64_t kind : {0ull, 10ull, 257ull, ~0ull}) {
    EXPECT_EQ(delta_refusal([&](P& p) { p.array(6).u64(7).u64(9).u64(0).u64(kind).i64(0).i64(5); }),
              "DELTA event 0: kind is unknown");
  }
  EXPECT_EQ(
      delta_refusal([](P& p) { p.array(7).u64(7).u64(9).u64(0).u64(1).i64(0).i64(5).u64(1); }),
      "DELTA event 0: the optional fields are not a map");
}

TEST(EventCodec, AMomentThatWrapsAroundIsRefused) {
  for (const std::int64_t far : {INT64_MAX, kMaxTimeUs}) {
    EXPECT_EQ(delta_refusal([&](wire::Packer& p) {
                p.array(6).u64(7).u64(1000).u64(0).u64(1).i64(0).i64(far);
              }),
              "DELTA event 0: hi is not a time, or out of range");
  }
  EXPECT_EQ(delta_refusal([](wire::Packer& p) {
              p.array(6).u64(7).u64(1000).u64(0).u64(1).i64(INT64_MIN).i64(0);
            }),
            "DELTA event 0: lo is not a time, or out of range");
}

TEST(EventCodec, AContactNeedsNoSession) {
  Delta delta;
  delta.events = {small_event()};
  delta.events[0].epoch = kUnstamped;
  delta.events[0].kind = EventKind::contact;
  EXPECT_EQ(decode(payload_of(delta)), Message(delta));
}

TEST(EventCodec, AStoreMayKeepAnEventThatIsNotStampedYet) {
  Event event = small_event();
  event.epoch = kUnstamped;
  EXPECT_EQ(decoded_event(event), event);
}

TEST(EventCodec, NilIsAbsentAndOfTwoTheFirstCounts) {
  std::string out;
  wire::Packer packer(out);
  packer.array(7).u64(7).u64(1000).u64(0).u64(4).i64(0).i64(5);
  packer.map(4).u64(4).nil().u64(5).u64(3).u64(5).u64(9).u64(1).u64(1);
  const auto event = unpack_event(wire::Document::parse(out)->root());
  ASSERT_TRUE(event) << event.error().message;
  EXPECT_FALSE(event->from);
  EXPECT_EQ(event->folded, 3u);
  EXPECT_EQ(event->reason, Reason::shutdown);
}

TEST(EventCodec, AReasonOfALaterVersionIsUnknown) {
  for (const std::uint64_t reason : {14ull, 255ull, 256ull, ~0ull}) {
    std::string out;
    wire::Packer packer(out);
    packer.array(7).u64(7).u64(1000).u64(0).u64(4).i64(0).i64(5).map(1).u64(1).u64(reason);
    const auto event = unpack_event(wire::Document::parse(out)->root());
    ASSERT_TRUE(event);
    EXPECT_EQ(event->reason, Reason::unknown);
  }
}

TEST(EventCodec, SkipsOptionalFieldsAndElementsOfLaterVersions) {
  std::string out;
  wire::Packer packer(out);
  packer.array(9).u64(7).u64(1000).u64(0).u64(1).i64(0).i64(1000);
  packer.map(2).u64(99).array(1).nil().u64(5).u64(3);
  packer.str("later").nil();
  const auto event = unpack_event(wire::Document::parse(out)->root());
  ASSERT_TRUE(event);
  Event expected = small_event();
  expected.folded = 3;
  EXPECT_EQ(*event, expected);
}

TEST(EventCodec, OptionalFieldsOfAnotherTypeAreRefused) {
  const auto refusal_of = [](std::uint64_t key) {
    return delta_refusal([&](wire::Packer& p) {
      p.array(7).u64(7).u64(1000).u64(0).u64(1).i64(0).i64(5).map(1).u64(key).boolean(true);
    });
  };
  EXPECT_EQ(refusal_of(1), "DELTA event 0: reason is not a number");
  EXPECT_EQ(refusal_of(2), "DELTA event 0: info hash is not a number from 1 up");
  EXPECT_EQ(refusal_of(3), "DELTA event 0: info is not a map");
  EXPECT_EQ(refusal_of(4), "DELTA event 0: from is not [epoch, node]");
  EXPECT_EQ(refusal_of(5), "DELTA event 0: folded is not a 32-bit number");
  EXPECT_EQ(refusal_of(6), "DELTA event 0: grace is not a time of at most a day");
}

std::string refusal_of_info(AgentInfo info) {
  Delta delta;
  delta.events = {small_event()};
  delta.events[0].info_hash = hash_of(info);
  delta.events[0].info = std::make_shared<const AgentInfo>(std::move(info));
  return refusal(payload_of(delta));
}

TEST(InfoCodec, InfoIsBoundedInEachDirection) {
  const std::string prefix = "DELTA event 0: ";
  EXPECT_EQ(refusal_of_info({{"os_name", std::string(kMaxInfoField, 'x')}}), "accepted");
  EXPECT_EQ(refusal_of_info({{"os_name", std::string(kMaxInfoField + 1, 'x')}}),
            prefix + "info field 0 is not a string, or too long");
  EXPECT_EQ(refusal_of_info({{std::string(kMaxInfoName + 1, 'x'), ""}}),
            prefix + "info field 0 has no name, or one too long");
  EXPECT_EQ(refusal_of_info({{"", ""}}), prefix + "info field 0 has no name, or one too long");
  AgentInfo many;
  for (std::size_t i = 0; i <= kMaxInfoFields; ++i) many[std::to_string(i)] = "";
  EXPECT_EQ(refusal_of_info(many), prefix + "info has too many fields");
  AgentInfo large;
  for (std::size_t i = 0; i < 40; ++i) large[std::to_string(i)] = std::string(kMaxInfoField, 'x');
  EXPECT_EQ(refusal_of_info(large), prefix + "info is too large");
}

TEST(InfoCodec, InfoWithoutItsHashIsRefused) {
  Delta delta;
  delta.events = {small_event()};
  delta.events[0].info = std::make_shared<const AgentInfo>();
  EXPECT_EQ(refusal(payload_of(delta)), "DELTA event 0: info comes without its hash");
}

TEST(InfoCodec, AFieldThatComesTwiceIsRefused) {
  std::string out;
  wire::Packer(out).map(2).str("ip").str("a").str("ip").str("b");
  EXPECT_FALSE(unpack_info(wire::Document::parse(out)->root()));
}

TEST(InfoCodec, ClippedInfoIsAlwaysAccepted) {
  AgentInfo info;
  for (std::size_t i = 0; i < 2 * kMaxInfoFields; ++i) {
    info["label." + std::to_string(i)] = std::string(i * 37, 'x');
  }
  info[""] = "nameless";
  info[std::string(kMaxInfoName + 1, 'n')] = "too long a name";
  info["aaa"] = std::string(5 * kMaxInfoField, 'x');
  EXPECT_TRUE(clip_info(info));
  EXPECT_EQ(info.at("aaa").size(), kMaxInfoField);
  EXPECT_EQ(refusal_of_info(info), "accepted");
  EXPECT_FALSE(clip_info(info)) << "what is clipped stays as it is";
}

TEST(InfoCodec, ClippedInfoNamesWhatWasCutOrLeftOut) {
  AgentInfo info;
  for (std::size_t i = 0; i < kMaxInfoFields; ++i) info["label." + std::to_string(1000 + i)] = "";
  info["os_uname"] = std::string(kMaxInfoField + 1, 'x');
  const AgentInfo whole = info;
  EXPECT_TRUE(clip_info(info));
  for (const auto& [name, text] : whole) {
    const bool same = info.contains(name) && info.at(name) == text;
    EXPECT_NE(same, is_unknown(info, name)) << name;
  }
  EXPECT_EQ(refusal_of_info(info), "accepted");
}

TEST(InfoCodec, WhatWasUnknownBeforeClippingStaysUnknown) {
  AgentInfo info{{"os_uname", std::string(kMaxInfoField + 1, 'x')}, {"unknown_fields", "labels"}};
  EXPECT_TRUE(clip_info(info));
  EXPECT_EQ(info.at("unknown_fields"), "os_uname\nlabels");
}

TEST(InfoCodec, ClippingCutsBetweenCharacters) {
  AgentInfo info;
  info["name"] = std::string(kMaxInfoField - 1, 'x') + "\xc3\xa4";  // an umlaut over the limit
  EXPECT_TRUE(clip_info(info));
  EXPECT_EQ(info.at("name"), std::string(kMaxInfoField - 1, 'x'));
}

TEST(EventCodec, TheSizeBoundHoldsAndIsNotFarOff) {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Rng rng(seed);
    const Event event = random_event(rng);
    std::string out;
    wire::Packer packer(out);
    pack_event(packer, event);
    ASSERT_LE(out.size(), packed_size_bound(event)) << "seed " << seed;
    const std::size_t fields = event.info ? event.info->size() : 0;
    ASSERT_LE(packed_size_bound(event), out.size() + 80 + 10 * fields) << "seed " << seed;
  }
}

TEST(EventCodec, ADeltaFitsIntoTheSumOfItsBounds) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Rng rng(seed);
    Delta delta = std::get<Delta>(random_message(2, rng));
    delta.first_seq = UINT64_MAX - 100;
    delta.position = UINT64_MAX;
    std::size_t bound = kDeltaOverhead;
    for (const Event& event : delta.events) bound += packed_size_bound(event);
    ASSERT_LE(payload_of(delta).size(), bound) << "seed " << seed;
  }
}

TEST(VersionCodec, NoVersionIsAVersionToo) {
  for (const Version& version : {Version{}, Version{Epoch{5}, "w1", 0xffff'ffffu}}) {
    std::string out;
    wire::Packer packer(out);
    pack_version(packer, version);
    EXPECT_EQ(unpack_version(wire::Document::parse(out)->root()), version);
  }
  std::string half;
  wire::Packer(half).array(3).u64(0).str("w1").u64(0);
  EXPECT_FALSE(unpack_version(wire::Document::parse(half)->root()));
}

}  // namespace
}  // namespace rollcall
