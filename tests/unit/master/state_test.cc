#include "master/core/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

#include "protocol/wire.h"
#include "tests/unit/master/fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::HasSubstr;

Decided frame(const NodeName& node, std::uint64_t seq, double s, std::vector<Event> events) {
  Decided d;
  d.node = node;
  d.first_seq = seq;
  d.position = seq + events.size() + 100;
  d.at = master_time(s);
  d.events = std::move(events);
  return d;
}

// One record of each kind, with every field set.
std::vector<LogRecord> story() {
  Event claim = with_info(opened(7, 20), {{"name", "a"}, {"label.room", "12"}});
  claim.from = SessionName{epoch(10), "w1"};
  claim.folded = 2;
  return {
      Genesis{MasterId{~0ull}},
      TermBegun{Term{22}, "a new log"},
      TimeReserved{master_time(100), master_time(1), kBoot, kWall * kSecond},
      NodeWelcomed{"w1", "m1", StoreId{1}, StreamId{2}, 5, 100, master_time(3)},
      NodeWelcomed{"w2", "m2", StoreId{3}, StreamId{4}, 1, 0, master_time(4)},
      frame("w1", 5, 11, {opened(7, 10), opened(8, 10), closed(8, 10, 1, 10)}),
      frame("w2", 1, 21,
            {claim, event(9, EventKind::contact, 20, 0, 20),
             with_info(opened(8, 15), {{"name", "b"}}, false), opened(10, 500)}),
      frame("w1", 8, 30, {closed(7, 10, 1, 25)}),
      TimeReserved{master_time(120), master_time(1), kBoot, kWall * kSecond},
      frame("w2", 5, 31, {event(8, EventKind::confirmed, 15, 1, 29)}),
  };
}

// And of those that say what the master found out, or what an operator said.
std::vector<LogRecord> whole_story() {
  std::vector<LogRecord> records = story();
  Event removed = event(8, EventKind::removed, 15, 2, 30);
  removed.reason = Reason::removed;
  records.emplace_back(frame("w2", 6, 40, {removed}));
  Event close = closed(7, 20, kMasterCloses, 20);
  close.reason = Reason::absent_from_inventory;
  for (const Cause cause : {Cause::absent, Cause::forgotten}) {
    Decided found = frame("w2", 0, 45, {close});
    found.position = 0;
    found.cause = cause;
    records.emplace_back(found);
  }
  records.emplace_back(
      LeaseChanged{"w1", LeaseStatus::lapsed, LeaseCause::silent, master_time(50)});
  records.emplace_back(
      LeaseChanged{"w2", LeaseStatus::held, LeaseCause::unconfirmed, master_time(50)});
  records.emplace_back(ExpiryFrozen{"", master_time(99), master_time(51)});
  records.emplace_back(ExpiryFrozen{"w2", master_time(99), master_time(51)});
  records.emplace_back(ExpiryFrozen{"", {}, master_time(52)});
  Event offer = event(10, EventKind::offered, 46, 1, 46);
  offer.grace_us = 60 * kSecond;
  records.emplace_back(frame("w2", 7, 47, {opened(10, 46), offer}));
  records.emplace_back(OffersExpired{"w2", master_time(48), master_time(48)});
  records.emplace_back(NodeLeft{"w2", ByeReason::drain, master_time(90), master_time(49)});
  records.emplace_back(MigrationsKept{20});
  records.emplace_back(frame("w1", 9, 55, {opened(10, 54), closed(10, 54, 1, 54)}));
  records.emplace_back(NodeForgotten{"w1", master_time(60)});
  records.emplace_back(AgentsForgotten{{AgentId{8}, AgentId{4'000'000'000}}, master_time(61)});
  records.emplace_back(NodeWelcomed{"w1", "m1", StoreId{1}, StreamId{2}, 9, 100, master_time(62)});
  return records;
}

TEST(State, DecidesAndWritesTheRulesDown) {
  State state;
  std::string rules;
  for (LogRecord r : story()) {
    ASSERT_TRUE(state.apply(r));
    if (const auto* d = std::get_if<Decided>(&r)) {
      for (const Rule rule : d->rules) rules += std::string(to_string(rule)) + " ";
      rules += "| ";
    }
  }
  EXPECT_EQ(rules, "first first newer | newer contact newer future_epoch | older | newer | ");
  EXPECT_EQ(state.find(AgentId{10}), nullptr) << "nothing of an event from the future counts";
  EXPECT_EQ(state.nodes().at("w1").open.size(), 0u);
  EXPECT_EQ(state.nodes().at("w2").open.size(), 2u);
  EXPECT_EQ(state.nodes().at("w2").last_seq, 5u);
  EXPECT_EQ(state.nodes().at("w1").position, 109u);
}

// The log as the live master wrote it, and the states that it had after each record.
struct Live {
  std::vector<std::string> records;
  std::vector<std::string> states;
  State state;
};
Live live() {
  Live l;
  for (LogRecord r : whole_story()) {
    EXPECT_TRUE(l.state.apply(r));
    l.records.push_back(encode(r));
    l.states.push_back(l.state.encode());
  }
  return l;
}

TEST(State, ReplayEqualsLifeAfterEachRecord) {
  const Live l = live();
  State replayed;
  for (std::size_t i = 0; i < l.records.size(); ++i) {
    auto record = decode_log_record(l.records[i]);
    ASSERT_TRUE(record) << record.error().message;
    ASSERT_TRUE(replayed.apply(*record));
    EXPECT_EQ(replayed.encode(), l.states[i]) << "record " << i;
    EXPECT_EQ(encode(*record), l.records[i]) << "record " << i;
  }
}

TEST(State, ReplayFromAnySnapshotEqualsReplayFromTheBeginning) {
  const Live l = live();
  for (std::size_t i = 0; i < l.records.size(); ++i) {
    auto state = State::decode(l.states[i]);
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->encode(), l.states[i]) << "byte for byte";
    for (std::size_t j = i + 1; j < l.records.size(); ++j) {
      auto record = decode_log_record(l.records[j]);
      ASSERT_TRUE(record && state->apply(*record));
    }
    EXPECT_EQ(state->encode(), l.states.back()) << "from " << i;
  }
}

TEST(State, ASnapshotKeepsWhatItIsMadeOf) {
  const Live l = live();
  const auto back = State::decode(l.states.back());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->master(), l.state.master());
  EXPECT_EQ(back->term(), l.state.term());
  EXPECT_EQ(back->time(), l.state.time());
  EXPECT_TRUE(back->agents() == l.state.agents());
  EXPECT_TRUE(back->nodes() == l.state.nodes());
}

TEST(State, WhatTheMasterFindsOutHasNoSeqAndNoPosition) {
  const Live l = live();
  const NodeLog& w2 = l.state.nodes().at("w2");
  EXPECT_EQ(w2.last_seq, 8u);
  EXPECT_EQ(w2.position, 109u);
  EXPECT_EQ(w2.open.find(AgentId{7}), nullptr);
  EXPECT_EQ(l.state.find(AgentId{7})->reason, Reason::absent_from_inventory);
}

TEST(State, AForgottenNodeComesBackWithTheStoreThatItHad) {
  const Live l = live();
  EXPECT_EQ(l.state.nodes().at("w1").position, 111u) << "as far as it had ever told";
  EXPECT_EQ(l.state.lease_of("w1"), LeaseStatus::valid);
  EXPECT_TRUE(l.state.forgotten().empty());
}

TEST(State, CountsTheAgentsOfEachNode) {
  State state;
  for (LogRecord r : whole_story()) {
    ASSERT_TRUE(state.apply(r));
    std::map<NodeName, std::size_t> open;
    std::size_t all = 0;
    for (const auto& [agent, record] : state.agents()) {
      if (record.is_open()) ++open[record.top.node], ++all;
    }
    for (const auto& [name, node] : state.nodes()) EXPECT_EQ(node.on_top, open[name]);
    EXPECT_EQ(state.active(), all);
  }
}

TEST(State, EqualStatesGiveEqualBytesHoweverTheyCameAbout) {
  std::vector<std::uint32_t> ids(500);
  for (std::uint32_t i = 0; i < ids.size(); ++i) ids[i] = i + 1;
  std::string bytes;
  for (unsigned seed = 0; seed < 5; ++seed) {
    std::ranges::shuffle(ids, std::mt19937(seed));
    State state;
    std::vector<Event> events;
    for (const std::uint32_t id : ids) events.push_back(opened(id, 10));
    LogRecord record = frame("w1", 1, 11, events);
    ASSERT_TRUE(state.apply(record));
    if (bytes.empty()) bytes = state.encode();
    EXPECT_EQ(state.encode(), bytes);
  }
}

TEST(State, AReplayWithAnotherOutcomeIsRefusedAndSaysWhich) {
  State state;
  Decided d = frame("w1", 1, 11, {opened(7, 10), opened(8, 10)});
  d.rules = {Rule::first, Rule::older};
  LogRecord record = d;
  const auto result = state.apply(record);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("agent 8"));
  EXPECT_THAT(result.error().message, HasSubstr("older"));
  EXPECT_THAT(result.error().message, HasSubstr("first"));
}

TEST(State, ADecisionInTheLogWithoutItsRulesIsRefused) {
  Decided d = frame("w1", 1, 11, {opened(7, 10)});
  EXPECT_FALSE(decode_log_record(encode(LogRecord{d})));
}

TEST(State, AnotherStreamCountsAnewAndTheSameOneGoesOn) {
  State state;
  auto apply = [&](LogRecord r) { ASSERT_TRUE(state.apply(r)); };
  apply(NodeWelcomed{"w1", "m", StoreId{1}, StreamId{1}, 1, 0, master_time(1)});
  apply(frame("w1", 1, 11, {opened(7, 10), opened(8, 10)}));
  EXPECT_EQ(state.nodes().at("w1").last_seq, 2u);
  apply(NodeWelcomed{"w1", "m", StoreId{1}, StreamId{1}, 1, 0, master_time(12)});
  EXPECT_EQ(state.nodes().at("w1").last_seq, 2u);
  apply(NodeWelcomed{"w1", "m", StoreId{1}, StreamId{2}, 1, 2, master_time(13)});
  EXPECT_EQ(state.nodes().at("w1").last_seq, 0u);
  EXPECT_EQ(state.nodes().at("w1").position, 103u) << "the same store";
  apply(NodeWelcomed{"w1", "m", StoreId{2}, StreamId{3}, 9, 40, master_time(14)});
  EXPECT_EQ(state.nodes().at("w1").last_seq, 8u);
  EXPECT_EQ(state.nodes().at("w1").position, 40u);
  EXPECT_EQ(state.nodes().at("w1").open.size(), 2u) << "what it left open stays";
}

TEST(State, TheTimeReservedNeverShrinks) {
  State state;
  for (double s : {100., 50.}) {
    LogRecord r = TimeReserved{master_time(s), master_time(1), kBoot, 5};
    ASSERT_TRUE(state.apply(r));
  }
  EXPECT_EQ(state.time().until, master_time(100));
}

// ---- bytes

TEST(LogRecordBytes, KeepEverything) {
  State state;
  for (LogRecord r : whole_story()) {
    ASSERT_TRUE(state.apply(r));
    const auto back = decode_log_record(encode(r));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(*back == r) << "kind " << r.index();
  }
}

TEST(LogRecordBytes, CutAnywhereAreAnErrorAndNotACrash) {
  for (const std::string& bytes : live().records) {
    for (std::size_t n = 0; n < bytes.size(); ++n)
      EXPECT_FALSE(decode_log_record(bytes.substr(0, n))) << n;
  }
}

// Read or refused; and what is read is written as what would be read again.
TEST(LogRecordBytes, WithAnyByteChangedAreRefusedOrReadAsWhatCanBeWritten) {
  std::mt19937 random(5);
  std::size_t read = 0, refused = 0;
  for (const std::string& whole : live().records) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (int n = 0; n < 10; ++n) {
        std::string bytes = whole;
        bytes[i] = static_cast<char>(random());
        auto record = decode_log_record(bytes);
        ++(record ? read : refused);
        if (!record) continue;
        const auto again = decode_log_record(encode(*record));
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(encode(*again), encode(*record));
        State state;
        (void)state.apply(*record);
      }
    }
  }
  EXPECT_GT(read, 0u);
  EXPECT_GT(refused, read / 100);
}

// What both readers make of the same bytes; fails the test if they differ.
bool agree(std::string_view bytes) {
  // A copy of its own size, so that a read beyond its end is seen by a sanitizer.
  const std::vector<char> copy(bytes.begin(), bytes.end());
  const std::string_view exact(copy.data(), copy.size());
  const auto plain = read_plain_decision(exact);
  if (!plain) return false;
  const auto slow = decode_log_record_by_values(exact);
  EXPECT_TRUE(slow) << slow.error().message;
  if (slow) {
    EXPECT_TRUE(*slow == LogRecord(*plain));
  }
  return true;
}

TEST(PlainDecision, EveryDecisionOfWhatWasToldIsPlainAndNothingElseIs) {
  State state;
  for (LogRecord r : whole_story()) {
    ASSERT_TRUE(state.apply(r));
    const auto* decided = std::get_if<Decided>(&r);
    EXPECT_EQ(agree(encode(r)), decided && decided->cause == Cause::told) << "kind " << r.index();
  }
}

TEST(PlainDecision, WhatIsChangedOrCutAnywhereIsReadAlikeOrNotAtAll) {
  std::mt19937 random(7);
  std::size_t still_plain = 0;
  for (const std::string& whole : live().records) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      EXPECT_FALSE(read_plain_decision(whole.substr(0, i)));
      for (int n = 0; n < 100; ++n) {
        std::string bytes = whole;
        bytes[i] = static_cast<char>(random());
        still_plain += agree(bytes);
      }
    }
  }
  EXPECT_GT(still_plain, 1000u);
}

TEST(LogRecordBytes, OfANumberThatIsNotKnownNameTheRemedy) {
  const std::string bytes("\x91\x63", 2);  // [99]
  const auto record = decode_log_record(bytes);
  ASSERT_FALSE(record);
  EXPECT_THAT(record.error().message, HasSubstr("newer version"));
}

TEST(SnapshotBytes, CutAnywhereAreAnErrorAndNotACrash) {
  const std::string bytes = live().states.back();
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(State::decode(bytes.substr(0, n)));
}

TEST(SnapshotBytes, WithAnyByteChangedAreRefusedOrReadAsWhatCanBeWritten) {
  std::mt19937 random(6);
  std::size_t read = 0, refused = 0;
  const std::string whole = live().states.back();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int n = 0; n < 10; ++n) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(random());
      const auto state = State::decode(bytes);
      ++(state ? read : refused);
      if (!state) continue;
      const auto again = State::decode(state->encode());
      ASSERT_TRUE(again) << again.error().message;
      EXPECT_EQ(again->encode(), state->encode());
    }
  }
  EXPECT_GT(read, 0u);
  EXPECT_GT(refused, read / 100);
}

TEST(SnapshotBytes, OfANewerFormatNameTheRemedy) {
  std::string bytes = live().states.back();
  bytes[1] = 4;  // its format
  const auto state = State::decode(bytes);
  ASSERT_FALSE(state);
  EXPECT_THAT(state.error().message, HasSubstr("newer version"));
}

// As 0.1.0 wrote it before there were leases: node w1 with agent 7 open.
TEST(SnapshotBytes, OfFormat1AreReadAndAllLeasesRun) {
  std::string bytes;
  wire::Packer p(bytes);
  p.array(9).u64(1).u64(11).u64(22).i64(master_time(100).us);
  p.array(1).array(8).str("w1").str("m1").u64(1).u64(2).u64(5).u64(105).i64(master_time(3).us);
  p.array(1).array(3).u64(7).u64(std::to_underlying(epoch(10))).u64(0);
  p.array(1).array(11).u64(7).array(3).u64(std::to_underlying(epoch(10))).str("w1").u64(0);
  p.u64(std::to_underlying(Phase::open)).u64(0).i64(master_time(10).us).i64(master_time(11).us);
  p.array(2).str("w1").i64(master_time(11).us).array(2).str("").i64(0).nil().nil().nil();
  p.i64(0).u64(kBoot).i64(0);
  const auto state = State::decode(bytes);
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->lease_of("w1"), LeaseStatus::valid);
  EXPECT_EQ(state->nodes().at("w1").lease.since, master_time(3));
  EXPECT_EQ(state->counts().active, 1u);
  const auto again = State::decode(state->encode());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->nodes() == state->nodes());
}

TEST(SnapshotBytes, OfAnEmptyStateAreRead) {
  const auto state = State::decode(State().encode());
  ASSERT_TRUE(state);
  EXPECT_TRUE(state->agents().empty());
}

}  // namespace
}  // namespace rollcall::master
