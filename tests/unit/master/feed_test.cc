#include "master/core/feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "protocol/wire.h"
#include "tests/unit/master/core_fixture.h"
#include "tests/unit/master/fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string text_of(const FeedEntry& e) {
  std::string text = std::to_string(e.seq) + " " + std::to_string(static_cast<unsigned>(e.agent)) +
                     "/" + std::to_string(e.agent_seq) + " " + std::string(to_string(e.kind));
  if (e.kind != FeedKind::connect) text += " from " + e.from.node;
  if (e.kind != FeedKind::disconnect) text += " to " + e.to.node;
  text += " " + std::string(to_string(e.to.status));
  if (e.reason != Reason::none) text += " (" + std::string(to_string(e.reason)) + ")";
  if (e.cause != LeaseCause::none) text += " [" + std::string(to_string(e.cause)) + "]";
  return text;
}

// A state, fed with records, and what they told.
class FeedTest : public ::testing::Test {
 protected:
  FeedTest() {
    for (const char* node : {"w1", "w2", "w3"}) apply(NodeWelcomed{node, "m", {}, {}, 1, 0, {}});
  }
  void apply(LogRecord record) {
    ASSERT_TRUE(state.apply(record, nullptr, &feed));
    records.push_back(encode(record));
    feed.show_upto(feed.added());
    for (FeedEntry& e : feed.after(all.size(), 1'000)) all.push_back(std::move(e));
  }
  void decide(const NodeName& node, double s, std::vector<Event> events) {
    Decided d;
    d.node = node;
    d.at = master_time(s);
    d.events = std::move(events);
    apply(std::move(d));
  }
  void lease(const NodeName& node, LeaseStatus status, LeaseCause cause, double s) {
    apply(LeaseChanged{node, status, cause, master_time(s)});
  }
  // What was told since the last call.
  std::vector<std::string> told() {
    std::vector<std::string> out;
    for (; read < all.size(); ++read) out.push_back(text_of(all[read]));
    return out;
  }

  State state;
  Feed feed;
  std::vector<std::string> records;
  std::vector<FeedEntry> all;
  std::size_t read = 0;
};

struct Case {
  const char* name;
  Standing from, to;
  std::optional<FeedKind> kind;
};
constexpr auto kActive = AgentStatus::active, kLost = AgentStatus::unreachable,
               kGone = AgentStatus::disconnected;
class FeedKinds : public ::testing::TestWithParam<Case> {};
TEST_P(FeedKinds, FollowFromWhereTheAgentIsBeforeAndAfter) {
  EXPECT_EQ(kind_of(GetParam().from, GetParam().to), GetParam().kind);
}
INSTANTIATE_TEST_SUITE_P(
    All, FeedKinds,
    ::testing::Values(
        Case{"First", {"", {}, kGone}, {"w1", {}, kActive}, FeedKind::connect},
        Case{"Back", {"w1", {}, kGone}, {"w1", {}, kActive}, FeedKind::connect},
        Case{"BackUnreachable", {"w1", {}, kGone}, {"w1", {}, kLost}, FeedKind::connect},
        Case{"Moved", {"w1", {}, kActive}, {"w2", {}, kActive}, FeedKind::migrate},
        Case{"Found", {"w1", {}, kLost}, {"w2", {}, kActive}, FeedKind::migrate},
        Case{"MovedToALostWorker", {"w1", {}, kActive}, {"w2", {}, kLost}, FeedKind::migrate},
        Case{"Left", {"w1", {}, kActive}, {"w1", {}, kGone}, FeedKind::disconnect},
        Case{"LeftElsewhere", {"w1", {}, kActive}, {"w2", {}, kGone}, FeedKind::disconnect},
        Case{"Expired", {"w1", {}, kLost}, {"w1", {}, kGone}, FeedKind::disconnect},
        Case{"Lost", {"w1", {}, kActive}, {"w1", {}, kLost}, FeedKind::unreachable},
        Case{"HeardAgain", {"w1", {}, kLost}, {"w1", {}, kActive}, FeedKind::reachable},
        Case{"NewSession", {"w1", Epoch{1}, kActive}, {"w1", Epoch{2}, kActive}, std::nullopt},
        Case{"CameAndWent", {"w1", {}, kGone}, {"w2", {}, kGone}, std::nullopt}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(FeedTest, TellsEachAgentsMovesUnderNumbersOfItsOwn) {
  decide("w1", 11, {opened(7, 10), opened(8, 10)});
  decide("w2", 21, {opened(7, 20)});
  decide("w2", 31, {closed(7, 20, 1, 30)});
  EXPECT_THAT(told(), ElementsAre("1 7/1 connect to w1 active", "2 8/1 connect to w1 active",
                                  "3 7/2 migrate from w1 to w2 active",
                                  "4 7/3 disconnect from w2 disconnected (shutdown)"));
}

TEST_F(FeedTest, WhatIsRefusedIsNotTold) {
  decide("w1", 11, {opened(7, 10)});
  decide("w2", 21, {opened(7, 20)});
  told();
  decide("w1", 30, {closed(7, 10, 1, 25), opened(7, 10), opened(8, 100)});
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(FeedTest, AConnectComesBeforeItsOwnDisconnectHoweverTheyArrive) {
  decide("w1", 21, {closed(7, 10, 1, 15)});
  decide("w1", 22, {opened(7, 10)});
  EXPECT_THAT(told(), IsEmpty()) << "it was never shown as connected";
  decide("w2", 23, {opened(7, 20)});
  decide("w2", 24, {closed(7, 20, 1, 21)});
  EXPECT_THAT(told(), ElementsAre("1 7/1 connect to w2 active",
                                  "2 7/2 disconnect from w2 disconnected (shutdown)"));
}

TEST_F(FeedTest, ALeaseThatLapsesAndRunsAgainIsToldOfEachAgentOnTop) {
  decide("w1", 11, {opened(9, 10), opened(7, 10), opened(8, 10)});
  decide("w2", 21, {opened(8, 20)});
  told();
  lease("w1", LeaseStatus::lapsed, LeaseCause::silent, 50);
  EXPECT_THAT(told(), ElementsAre("5 7/2 unreachable from w1 to w1 unreachable [silent]",
                                  "6 9/2 unreachable from w1 to w1 unreachable [silent]"));
  lease("w1", LeaseStatus::held, LeaseCause::silent, 60);
  EXPECT_THAT(told(), IsEmpty());
  lease("w1", LeaseStatus::valid, LeaseCause::none, 70);
  EXPECT_THAT(told(), ElementsAre("7 7/3 reachable from w1 to w1 active",
                                  "8 9/3 reachable from w1 to w1 active"));
}

TEST_F(FeedTest, ALeaseThatExpiresDisconnectsAndOneThatRunsAgainConnects) {
  decide("w1", 11, {opened(7, 10)});
  lease("w1", LeaseStatus::lapsed, LeaseCause::silent, 50);
  told();
  lease("w1", LeaseStatus::expired, LeaseCause::silent, 60);
  lease("w1", LeaseStatus::valid, LeaseCause::none, 70);
  EXPECT_THAT(told(), ElementsAre("3 7/3 disconnect from w1 disconnected (lease_expired) [silent]",
                                  "4 7/4 connect to w1 active"));
}

TEST_F(FeedTest, AnAgentOfALostWorkerThatShowsUpElsewhereMigrates) {
  decide("w1", 11, {opened(7, 10)});
  lease("w1", LeaseStatus::lapsed, LeaseCause::silent, 50);
  told();
  decide("w2", 61, {opened(7, 60)});
  lease("w1", LeaseStatus::expired, LeaseCause::silent, 90);
  EXPECT_THAT(told(), ElementsAre("3 7/3 migrate from w1 to w2 active"));
}

TEST_F(FeedTest, AContestIsToldOnceAndAgainAfterAQuietTime) {
  double s = 100;
  for (int i = 0; i < 6; ++i, s += 20) decide(i % 2 ? "w2" : "w1", s + 1, {opened(7, s)});
  s += 1000;
  for (int i = 0; i < 4; ++i, s += 20) decide(i % 2 ? "w2" : "w1", s + 1, {opened(7, s)});
  std::vector<std::string> contested;
  for (const std::string& one : told()) {
    if (one.find("contested") != one.npos) contested.push_back(one);
  }
  EXPECT_THAT(contested, ElementsAre("6 7/6 contested from w2 to w1 active",
                                     "12 7/12 contested from w1 to w2 active"));
}

TEST_F(FeedTest, AnAgentThatWasForgottenBeginsAnew) {
  decide("w1", 11, {opened(7, 10)});
  Event removed = event(7, EventKind::removed, 10, 1, 12);
  removed.reason = Reason::removed;
  decide("w1", 13, {removed});
  apply(AgentsForgotten{{AgentId{7}}, master_time(20)});
  decide("w1", 31, {opened(7, 30)});
  EXPECT_THAT(told(), ElementsAre("1 7/1 connect to w1 active",
                                  "2 7/2 disconnect from w1 disconnected (removed)",
                                  "3 7/1 connect to w1 active"));
}

// ---- any story

// What holds of the feed of one story, and of its end.
void expect_consistent(const std::vector<FeedEntry>& all, const State& state) {
  std::map<AgentId, FeedEntry> newest;
  std::uint64_t seq = 0;
  for (const FeedEntry& e : all) {
    SCOPED_TRACE(text_of(e));
    ASSERT_EQ(e.seq, ++seq);
    const auto before = newest.find(e.agent);
    ASSERT_EQ(e.agent_seq, before == newest.end() ? 1 : before->second.agent_seq + 1);
    if (e.kind == FeedKind::contested) {
      newest[e.agent].agent_seq = e.agent_seq;
      continue;
    }
    const Standing was = before == newest.end() ? Standing{"", {}, kGone} : before->second.to;
    ASSERT_EQ(e.from.status, was.status) << "nothing happened in between that was not told";
    if (was.status != kGone) {
      ASSERT_EQ(e.from.node, was.node);
    }
    newest[e.agent] = e;
  }
  for (const auto& [agent, record] : state.agents()) {
    const auto told = newest.find(agent);
    const AgentStatus last = told == newest.end() ? kGone : told->second.to.status;
    EXPECT_EQ(last, state.status_of(record)) << static_cast<unsigned>(agent);
    if (last != kGone) {
      EXPECT_EQ(told->second.to.node, record.top.node);
    }
  }
}

class AnyFeed : public FeedTest, public ::testing::WithParamInterface<unsigned> {
 protected:
  // Late, lost and reordered events, and leases that come and go.
  void play() {
    std::mt19937 random(GetParam());
    const auto below = [&](unsigned n) { return random() % n; };
    const EventKind kinds[] = {EventKind::opened,   EventKind::opened, EventKind::confirmed,
                               EventKind::released, EventKind::closed, EventKind::contact};
    double s = 100;
    for (int i = 0; i < 400; ++i) {
      s += below(30);
      const NodeName node = "w" + std::to_string(1 + below(3));
      if (below(8) == 0) {
        lease(node, LeaseStatus{static_cast<std::uint8_t>(1 + below(4))}, LeaseCause::silent, s);
        continue;
      }
      std::vector<Event> events;
      for (unsigned n = 1 + below(3); n > 0; --n) {
        const double epoch_s = s - below(200);
        events.push_back(event(1 + below(4), kinds[below(6)], epoch_s, below(3), epoch_s));
      }
      decide(node, s, std::move(events));
      if (below(20) == 0) apply(TimeReserved{master_time(s + 20), {}, kBoot, 0});
    }
  }
};

TEST_P(AnyFeed, HasNoGapAndEndsAsTheTableStands) {
  play();
  ASSERT_GT(all.size(), 100u);
  expect_consistent(all, state);
}

TEST_P(AnyFeed, IsTheSameFromAnySnapshotOn) {
  play();
  std::vector<std::string> snapshots;
  State replayed;
  for (const std::string& bytes : records) {
    snapshots.push_back(replayed.encode());
    auto record = decode_log_record(bytes);
    ASSERT_TRUE(record && replayed.apply(*record));
  }
  for (std::size_t i = 0; i < records.size(); i += 37) {
    auto from = State::decode(snapshots[i]);
    ASSERT_TRUE(from) << from.error().message;
    Feed again;
    const std::uint64_t before = from->feed().last();
    again.begins_after(before);
    for (std::size_t j = i; j < records.size(); ++j) {
      auto record = decode_log_record(records[j]);
      ASSERT_TRUE(record && from->apply(*record, nullptr, &again));
    }
    EXPECT_EQ(from->encode(), state.encode()) << "from record " << i;
    again.show_upto(again.added());
    EXPECT_EQ(again.after(before, all.size()), feed.after(before, all.size()));
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, AnyFeed, ::testing::Range(1u, 9u));

TEST_F(FeedTest, AfterASnapshotWithoutNumbersTheyBeginWithWhatFollows) {
  std::string bytes;  // as 0.2.0 wrote it: node w1 with agent 7 open
  wire::Packer p(bytes);
  p.array(12).u64(2).u64(11).u64(22).i64(master_time(100).us);
  p.array(1).array(11).str("w1").str("m1").u64(1).u64(2).u64(5).u64(105).i64(master_time(3).us);
  p.array(1).array(3).u64(7).u64(std::to_underlying(epoch(10))).u64(0).u64(1).u64(0).i64(0);
  p.array(1).array(11).u64(7).array(3).u64(std::to_underlying(epoch(10))).str("w1").u64(0);
  p.u64(std::to_underlying(Phase::open)).u64(0).i64(master_time(10).us).i64(master_time(11).us);
  p.array(2).str("w1").i64(master_time(11).us).array(2).str("").i64(0).nil().nil().nil();
  p.i64(0).u64(kBoot).i64(0).array(0).array(0).array(0);
  auto old = State::decode(bytes);
  ASSERT_TRUE(old) << old.error().message;
  state = *old;
  decide("w2", 121, {opened(7, 120)});
  EXPECT_THAT(told(), ElementsAre("1 7/1 migrate from w1 to w2 active"));
  const auto kept = State::decode(state.encode());
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->encode(), state.encode());

  // Whoever folds what that snapshot stood for has other numbers, and takes those of the snapshot.
  state = *old;
  lease("w1", LeaseStatus::lapsed, LeaseCause::silent, -kWall);
  lease("w1", LeaseStatus::valid, LeaseCause::none, -kWall);
  decide("w2", 121, {opened(7, 120)});
  EXPECT_NE(state.encode(), kept->encode());
  EXPECT_EQ(state.with_times_of(*kept).encode(), kept->encode());
}

// ---- what is kept

class KeptFeed : public ::testing::Test {
 protected:
  void add(unsigned n) {
    for (; n > 0; --n) {
      ++seq;
      const Standing from{"w1", Epoch{1}, kActive}, to{"w2", Epoch{2}, kGone};
      feed.add({AgentId{7}, {5}, from, to, Reason::shutdown, LeaseCause::silent},
               FeedKind::disconnect, seq + 100);
      added.push_back({seq,
                       seq + 100,
                       AgentId{7},
                       FeedKind::disconnect,
                       {5},
                       from,
                       to,
                       Reason::shutdown,
                       LeaseCause::silent});
    }
  }
  Feed feed{10};
  std::uint64_t seq = 0;
  std::vector<FeedEntry> added;
};

TEST_F(KeptFeed, GivesBackWhatWasAddedBehindANumber) {
  add(5);
  feed.show_upto(5);
  EXPECT_EQ(feed.after(0, 100), added);
  EXPECT_EQ(feed.after(3, 1), std::vector{added[3]});
  EXPECT_THAT(feed.after(5, 100), IsEmpty());
}

TEST_F(KeptFeed, ShowsOnlyWhatIsDurable) {
  add(5);
  feed.show_upto(3);
  EXPECT_EQ(feed.last(), 3u);
  EXPECT_EQ(feed.after(0, 100).size(), 3u);
}

TEST_F(KeptFeed, ForgetsTheOldestAndRefusesToResumeBeforeThem) {
  add(25);
  feed.show_upto(25);
  EXPECT_EQ(feed.first(), 16u);
  EXPECT_FALSE(feed.can_resume(14));
  EXPECT_TRUE(feed.can_resume(15));
  EXPECT_TRUE(feed.can_resume(25));
  EXPECT_FALSE(feed.can_resume(26)) << "of another feed";
  EXPECT_EQ(feed.after(15, 100).size(), 10u);
}

TEST_F(KeptFeed, BehindASnapshotItGoesOnWithItsNumbers) {
  feed.begins_after(100);
  EXPECT_FALSE(feed.can_resume(99));
  EXPECT_TRUE(feed.can_resume(100));
  seq = 100;
  add(1);
  EXPECT_EQ(feed.added(), 101u);
  feed.show_upto(101);
  EXPECT_EQ(feed.after(100, 9).at(0).seq, 101u);
}

}  // namespace
}  // namespace rollcall::master
