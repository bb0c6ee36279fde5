#include "sidecar/core/agent_state.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/sidecar/fixture.h"

namespace rollcall::sidecar {
namespace {

using namespace test;

AgentState full_state() {
  AgentState s;
  s.row = row(0, kGone, 19, 4);
  s.row->visits = 3;
  Session& x = s.session.emplace();
  x.epoch = epoch(9);
  x.change = 0x7fff'ffff;
  x.phase = Phase::released;
  x.reason = Reason::moved;
  x.start = {kBoot, -5, us(1)};
  x.evidence = {{kBoot, us(9), us(10)}, {~0ull, us(10), -1}};
  x.fence = epoch(12);
  s.accepted = epoch(9);
  s.info_hash = InfoHash{~0ull};
  s.told_hash = InfoHash{1};
  s.info_told_here = true;
  return s;
}

LocalEvent full_event() {
  LocalEvent e;
  e.agent = AgentId{7};
  e.kind = EventKind::info;
  e.epoch = epoch(9);
  e.change = 4;
  e.starts_session = true;
  e.start = {kBoot, us(9), us(10)};
  e.evidence = {{kBoot, us(9), us(10)}, {kBoot, us(10), us(11)}};
  e.reason = Reason::shutdown;
  e.info = std::make_shared<const AgentInfo>(AgentInfo{{"name", "a"}, {"os", ""}});
  e.info_hash = hash_of(*e.info);
  e.folded = 2;
  return e;
}

TEST(AgentStateBytes, KeepEverythingThatIsStored) {
  const AgentState s = full_state();
  const auto back = decode_agent_state(encode(s));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->row, s.row);
  EXPECT_EQ(back->session, s.session);
  EXPECT_EQ(back->accepted, s.accepted);
  EXPECT_EQ(back->info_hash, s.info_hash);
  EXPECT_EQ(back->told_hash, s.told_hash);
  EXPECT_TRUE(back->info_told_here);
}

TEST(AgentStateBytes, KeepAHandoffAndWhoReleasedTheSession) {
  AgentState s = full_state();
  s.session->fence_node = "w2";
  Handoff& h = s.handoff.emplace();
  h.cause = Handoff::Cause::manager;
  h.drain = ~0ull;
  h.made = {kBoot, us(9), -1};
  h.grace_us = kLongestGraceUs;
  h.left = Reason::worker_restart;
  h.end = Handoff::End::taken;
  h.ended = {~0ull, us(10), us(11)};
  h.to = "w3";
  const auto back = decode_agent_state(encode(s));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->handoff, s.handoff);
  EXPECT_EQ(back->session, s.session);
  for (const auto& [wrong, value] : {std::pair{&Handoff::grace_us, std::int64_t{-1}},
                                     {&Handoff::grace_us, kLongestGraceUs + 1}}) {
    h = *back->handoff;
    h.*wrong = value;
    EXPECT_FALSE(decode_agent_state(encode(s)));
  }
  h = *back->handoff;
  h.end = static_cast<Handoff::End>(6);
  EXPECT_FALSE(decode_agent_state(encode(s)));
}

TEST(AgentStateBytes, KeepMovesWithAndWithoutAHandoff) {
  AgentState s = full_state();
  s.moves = {{Move::Kind::took, "w2", {kBoot, us(9), -1}},
             {Move::Kind::released, "w3", {~0ull, us(10), us(11)}}};
  for (int i = 0; i < 2; ++i) {
    const auto back = decode_agent_state(encode(s));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->moves, s.moves);
    EXPECT_EQ(back->handoff, s.handoff);
    s.handoff.emplace().to = "w3";
  }
  s.moves[0].node = "no node";
  EXPECT_FALSE(decode_agent_state(encode(s)));
}

// A program that knows none of this reads the list up to the handoff, which stands where it stood.
TEST(AgentStateBytes, MovesAreBehindAllThatAnOlderProgramReads) {
  AgentState s = full_state();
  const std::string before = encode(s);
  s.moves = {{Move::Kind::took, "w2", {kBoot, us(9), -1}}};
  const std::string after = encode(s);
  EXPECT_EQ(after.substr(1, before.size() - 1), before.substr(1));
  EXPECT_EQ(after[before.size()], '\xc0') << "nil: no handoff";
  s.handoff.emplace();
  const std::string offered_too = encode(s);
  s.moves.clear();
  const std::string offered = encode(s);
  EXPECT_EQ(offered_too.substr(1, offered.size() - 1), offered.substr(1));
}

TEST(AgentStateBytes, MovesOfANewerProgramAreReadAsFarAsTheyAreKnown) {
  AgentState s = full_state();
  s.moves = {{static_cast<Move::Kind>(9), "", {}}};
  for (std::size_t i = 0; i <= kMovesKept; ++i)
    s.moves.push_back({Move::Kind::took, "w" + std::to_string(i), {}});
  const auto back = decode_agent_state(encode(s));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->moves, std::vector(s.moves.begin() + 2, s.moves.end())) << "the newest";
}

TEST(LocalEventBytes, KeepAnOfferAndWhereTheAgentWas) {
  LocalEvent e = full_event();
  e.kind = EventKind::offered;
  e.offered = {kBoot, us(12), us(13)};
  e.grace_us = 300 * kSecond;
  auto back = decode_local_event(encode(e));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->offered, e.offered);
  EXPECT_EQ(back->grace_us, e.grace_us);
  EXPECT_FALSE(back->from);
  e.kind = EventKind::opened;
  e.from = SessionName{epoch(5), "w2"};
  back = decode_local_event(encode(e));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->from, e.from);
  e.from->node = "no node";
  EXPECT_FALSE(decode_local_event(encode(e)));
}

TEST(AgentStateBytes, OfAnAgentNeverHeardOf) {
  const auto back = decode_agent_state(encode(AgentState{}));
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->row);
  EXPECT_FALSE(back->session);
}

TEST(LocalEventBytes, KeepEverything) {
  LocalEvent e = full_event();
  auto back = decode_local_event(encode(e));
  ASSERT_TRUE(back);
  EXPECT_EQ(encode(*back), encode(e));
  EXPECT_EQ(text(*back), text(e));
  EXPECT_EQ(*back->info, *e.info);
  EXPECT_EQ(back->start, e.start);
  EXPECT_TRUE(back->starts_session);
  e.info = nullptr;
  e.epoch = kUnstamped;
  back = decode_local_event(encode(e));
  ASSERT_TRUE(back);
  EXPECT_EQ(encode(*back), encode(e));
}

TEST(LocalEventBytes, OfNoAgentOrAnUnknownKindAreRefused) {
  LocalEvent e = full_event();
  e.agent = AgentId{};
  EXPECT_FALSE(decode_local_event(encode(e)));
  for (int kind : {0, 10, 255}) {
    e = full_event();
    e.kind = static_cast<EventKind>(kind);
    EXPECT_FALSE(decode_local_event(encode(e))) << kind;
  }
}

TEST(StoredBytes, CutAnywhereAreAnErrorAndNotACrash) {
  const std::string state = encode(full_state());
  for (std::size_t n = 0; n < state.size(); ++n)
    EXPECT_FALSE(decode_agent_state(state.substr(0, n))) << n;
  const std::string event = encode(full_event());
  for (std::size_t n = 0; n < event.size(); ++n)
    EXPECT_FALSE(decode_local_event(event.substr(0, n))) << n;
}

template <typename T>
void expect_written_as_read(const T& read, std::optional<T> again) {
  ASSERT_TRUE(again);
  EXPECT_EQ(encode(*again), encode(read));
}

TEST(StoredBytes, WithAnyByteChangedAreRefusedOrReadAsWhatCanBeWritten) {
  std::mt19937 random(7);
  AgentState moved = full_state();
  moved.handoff.emplace().to = "w2";
  moved.moves = {{Move::Kind::took, "w2", {kBoot, us(9), -1}}};
  for (const std::string& whole : {encode(full_state()), encode(moved), encode(full_event())}) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (int n = 0; n < 20; ++n) {
        std::string bytes = whole;
        bytes[i] = static_cast<char>(random());
        if (const auto s = decode_agent_state(bytes)) {
          const auto again = decode_agent_state(encode(*s));
          expect_written_as_read(*s, again ? std::optional(*again) : std::nullopt);
        }
        if (const auto e = decode_local_event(bytes)) {
          const auto again = decode_local_event(encode(*e));
          expect_written_as_read(*e, again ? std::optional(*again) : std::nullopt);
        }
      }
    }
  }
}

TEST(StoredBytes, OfAStateWithAnImpossiblePhaseAreRefused) {
  AgentState s = full_state();
  s.session->phase = static_cast<Phase>(4);
  EXPECT_FALSE(decode_agent_state(encode(s)));
  s.session->phase = static_cast<Phase>(0);
  EXPECT_FALSE(decode_agent_state(encode(s)));
}

// Bytes of the first released version. They are read for ever.
TEST(StoredBytes, OfTheFirstVersionAreStillWrittenAndRead) {
  auto hex = [](const std::string& bytes) {
    std::string out;
    for (const char c : bytes) {
      char two[3];
      std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
      out += two;
    }
    return out;
  };
  EXPECT_EQ(hex(encode(full_state())),
            "969403ce6553f113040398cf000665172921d440ce7fffffff020b932afbce000f4240932ace0089"
            "5440ce0098968093cfffffffffffffffffce00989680ffcf00066517294f9b00cf000665172921d4"
            "40cfffffffffffffffff01c3");
  EXPECT_EQ(hex(encode(full_event())),
            "9c0702cf000665172921d44004c3932ace00895440ce00989680932ace00895440ce00989680932a"
            "ce00989680ce00a7d8c001cf75f23c4c8e9f82e982a46e616d65a161a26f73a002");
}

}  // namespace
}  // namespace rollcall::sidecar
