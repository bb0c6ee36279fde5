// The register of an offer (docs/protocol.md, section 15).
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "protocol/agent_record.h"

namespace rollcall {
namespace {

constexpr MasterTime kNow{1'000'000};

Event event(EventKind kind, std::uint64_t epoch, std::uint32_t change) {
  Event e;
  e.agent = AgentId{7};
  e.kind = kind;
  e.epoch = Epoch{epoch};
  e.change = change;
  e.evidence = {time_of(Epoch{epoch}), time_of(Epoch{epoch})};
  return e;
}

Event offered(std::uint64_t epoch, std::uint32_t change, std::int64_t grace_us) {
  Event e = event(EventKind::offered, epoch, change);
  e.grace_us = grace_us;
  return e;
}

TEST(AgentRecordOffer, RunsFromItsReceiptForItsGraceAndLeavesTheSessionOpen) {
  AgentRecord record;
  record.apply("w1", event(EventKind::opened, 100, 0), kNow);
  EXPECT_FALSE(record.is_offered());
  EXPECT_EQ(record.apply("w1", offered(100, 1, 500), kNow), Rule::newer);
  EXPECT_TRUE(record.is_open());
  EXPECT_TRUE(record.is_offered());
  EXPECT_EQ(record.offered_until, MasterTime{kNow.us + 500});
}

TEST(AgentRecordOffer, AnyNewerEventEndsIt) {
  for (const Event& e : {event(EventKind::confirmed, 100, 2), event(EventKind::withdrawn, 100, 2),
                         event(EventKind::info, 100, 2), event(EventKind::closed, 100, 2),
                         event(EventKind::opened, 200, 0)}) {
    AgentRecord record;
    record.apply("w1", offered(100, 1, 500), kNow);
    ASSERT_TRUE(record.is_offered());
    EXPECT_EQ(record.apply(e.epoch == Epoch{200} ? "w2" : "w1", e, kNow), Rule::newer);
    EXPECT_FALSE(record.is_offered()) << to_string(e.kind);
    EXPECT_EQ(record.offered_until, MasterTime{}) << to_string(e.kind);
  }
}

TEST(AgentRecordOffer, ThatCrossesATakeChangesNothing) {
  AgentRecord record;
  record.apply("w1", event(EventKind::opened, 100, 0), kNow);
  record.apply("w2", event(EventKind::opened, 200, 0), kNow);
  EXPECT_EQ(record.apply("w1", offered(100, 1, 500), kNow), Rule::older);
  EXPECT_FALSE(record.is_offered());
}

TEST(AgentRecordOffer, SaidAgainRaisesItAtMost) {
  AgentRecord record;
  record.apply("w1", offered(100, 1, 500), kNow);
  EXPECT_EQ(record.apply("w1", offered(100, 1, 300), {kNow.us + 100}), Rule::duplicate);
  EXPECT_EQ(record.offered_until.us, kNow.us + 500);
  record.apply("w1", offered(100, 1, 600), {kNow.us + 100});
  EXPECT_EQ(record.offered_until.us, kNow.us + 700);
}

TEST(AgentRecordOffer, ItsVersionWithAnotherMeaningIsAConflictAndTheOfferStands) {
  for (const EventKind kind : {EventKind::opened, EventKind::confirmed, EventKind::info}) {
    AgentRecord record;
    record.apply("w1", offered(100, 1, 500), kNow);
    EXPECT_EQ(record.apply("w1", event(kind, 100, 1), kNow), Rule::conflict) << to_string(kind);
    EXPECT_TRUE(record.is_offered());
  }
}

// Told anew, as `opened`, the same version says no less.
TEST(AgentRecordOffer, DoesNotDependOnTheOrder) {
  std::vector<Event> story = {event(EventKind::opened, 100, 0), offered(100, 1, 500),
                              offered(100, 1, 200), event(EventKind::opened, 100, 1),
                              offered(90, 4, 900)};
  const auto earlier = [](const Event& a, const Event& b) {
    return std::tie(a.epoch, a.change, a.kind, a.grace_us) <
           std::tie(b.epoch, b.change, b.kind, b.grace_us);
  };
  std::ranges::sort(story, earlier);
  do {
    AgentRecord record;
    for (const Event& e : story) record.apply("w1", e, kNow);
    ASSERT_EQ(record.offered_until.us, kNow.us + 500);
    ASSERT_EQ(record.top, (Version{Epoch{100}, "w1", 1}));
  } while (std::next_permutation(story.begin(), story.end(), earlier));
}

}  // namespace
}  // namespace rollcall
