#include "inspect/why.h"

#include <gmock/gmock.h>

namespace rollcall::inspect {
namespace {

using master::LeaseStatus;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kSecondUs = 1'000'000;
MasterTime at(std::int64_t s) {
  return {(1'700'000'000 + s) * kSecondUs};
}
Version version(std::int64_t s, const NodeName& node, std::uint32_t change = 0) {
  return {epoch_at(at(s)), node, change};
}

master::History::Entry entry(Version of, EventKind kind, Rule rule, std::int64_t decided_s,
                             std::int64_t hi_s) {
  master::History::Entry e;
  e.at = at(decided_s);
  e.node = of.node;
  e.seq = 5;
  e.kind = kind;
  e.version = of;
  e.evidence = {at(hi_s - 1), at(hi_s)};
  e.rule = rule;
  return e;
}

// Agent 7, which came from w2 to w1 after 20 s; w2's end came late and was refused.
class Why : public ::testing::Test {
 protected:
  Why() {
    facts.agent = AgentId{7};
    facts.record.top = version(20, "w1");
    facts.record.phase = Phase::open;
    facts.record.lo = at(20);
    facts.record.hi = at(21);
    facts.node.connected = true;
    facts.log_directory = "/log";
    auto late = entry(version(0, "w2", 1), EventKind::closed, Rule::older, 40, 19);
    late.met = {version(20, "w1"), Phase::open};
    auto moved = entry(version(20, "w1"), EventKind::opened, Rule::newer, 22, 21);
    moved.met = {version(0, "w2"), Phase::open};
    facts.decisions = {late, moved, entry(version(0, "w2"), EventKind::opened, Rule::first, 1, 1)};
  }
  std::string text() const { return why_json(facts)["text"].get<std::string>(); }
  WhyFacts facts;
};

TEST_F(Why, TellsTheDecisionWhatItMetAndHowLateItCame) {
  EXPECT_EQ(text(),
            "Agent 7 is active on w1. w1 said \"opened\", decided at 2023-11-14T22:13:42.000Z, 1 s "
            "after what it speaks of, by the rule \"newer\": its stay began 20 s after w2's, which "
            "was open. What was decided since did not change that: 1 by \"older\".");
  const Json j = why_json(facts);
  EXPECT_EQ(j["decision"]["rule"], "newer");
  EXPECT_EQ(j["decision"]["met"]["node"], "w2");
  EXPECT_EQ(j["decision"]["version"]["node"], "w1");
  EXPECT_EQ(j["decision"]["late_us"], kSecondUs);
  EXPECT_EQ(j["since"], (Json{{"older", 1}}));
}

TEST(DecisionText, SaysWhyItCountsOrDoesNot) {
  auto e = entry(version(20, "w1", 2), EventKind::info, Rule::newer, 30, 29);
  const auto said = [&e](Rule rule, const Version& met) {
    e.rule = rule;
    e.met = {met, Phase::open};
    return decision_text(e);
  };
  const Version same = version(20, "w1", 1), other = version(0, "w2");
  EXPECT_EQ(said(Rule::first, {}),
            "w1 said \"info\", 1 s after what it speaks of. Taken: nothing was known of the agent "
            "before.");
  EXPECT_THAT(said(Rule::newer, same), HasSubstr("Taken: it goes on with the stay"));
  EXPECT_THAT(said(Rule::newer, other), HasSubstr("Taken: its stay began 20 s after w2's"));
  EXPECT_THAT(said(Rule::older, same), HasSubstr("Refused: a later change of the same stay"));
  EXPECT_THAT(said(Rule::older, version(25, "w2")),
              HasSubstr("Refused: its stay began 5 s before w2's, which was open"));
  EXPECT_THAT(said(Rule::older, version(20, "w2")), HasSubstr("older by the names of the workers"));
  EXPECT_THAT(said(Rule::duplicate, same), HasSubstr("Refused: this was known already"));
  EXPECT_THAT(said(Rule::conflict, same), HasSubstr("Refused: it says something else"));
  EXPECT_THAT(said(Rule::future_epoch, other),
              HasSubstr("Refused: its stay would have begun later"));
  EXPECT_THAT(said(Rule::contact, other), HasSubstr("only the latest contact is kept"));
  e.cause = master::Cause::missed_open;
  EXPECT_THAT(said(Rule::newer, other), HasSubstr("The master found \"info\" on w1 out itself ("));
}

TEST_F(Why, NewInfoIsNotWhatMadeItActive) {
  facts.record.top = version(20, "w1", 1);
  auto info = entry(version(20, "w1", 1), EventKind::info, Rule::newer, 30, 29);
  info.met = {version(20, "w1"), Phase::open};
  facts.decisions.insert(facts.decisions.begin(), info);
  const Json j = why_json(facts);
  EXPECT_EQ(j["decision"]["event"], "opened");
  EXPECT_EQ(j["since"], (Json{{"newer", 1}, {"older", 1}}));
}

TEST_F(Why, NamesTheCommandWhenTheHistoryBeginsLater) {
  facts.decisions.resize(1);
  facts.history_begins = at(30);
  EXPECT_THAT(text(), HasSubstr("is not kept in memory, which begins at 2023-11-14T22:13:50.000Z; "
                                "ask the log: rollcall log export /log --agent 7 --json."));
  EXPECT_TRUE(why_json(facts)["decision"].is_null());
}

TEST_F(Why, ALeaseThatLapsedMakesItUnreachableAndSaysWhatComes) {
  facts.node.connected = false;
  facts.node.lease = {LeaseStatus::lapsed, master::LeaseCause::silent, at(60)};
  facts.node.lease_left_us = 540 * kSecondUs;
  EXPECT_THAT(text(), HasSubstr("Agent 7 is unreachable, last on w1."));
  EXPECT_THAT(text(), HasSubstr("w1's lease lapsed at 2023-11-14T22:14:20.000Z, since nothing was "
                                "heard of it: nobody knows where its agents are, and in 9 min they "
                                "count as disconnected."));
}

TEST_F(Why, AFrozenLeaseSaysUntilWhen) {
  facts.node.lease = {LeaseStatus::lapsed, master::LeaseCause::silent, at(60)};
  facts.node.frozen_until = at(120);
  EXPECT_THAT(text(), HasSubstr("expiry is frozen until 2023-11-14T22:15:20.000Z."));
}

TEST_F(Why, AHeldLeaseNamesTheCommand) {
  facts.node.lease = {LeaseStatus::held, master::LeaseCause::silent, at(60)};
  EXPECT_THAT(text(), HasSubstr("waits for \"rollcall confirm\""));
}

TEST_F(Why, AnExpiredLeaseIsTheReason) {
  facts.node.lease = {LeaseStatus::expired, master::LeaseCause::confirmed, at(60)};
  EXPECT_THAT(text(), HasSubstr("disconnected, last on w1 (lease_expired)."));
  EXPECT_THAT(text(), HasSubstr("since an operator confirmed it."));
  EXPECT_EQ(why_json(facts)["reason"], "lease_expired");
}

TEST_F(Why, ALeaseSaysNothingOfAnAgentThatLeft) {
  facts.record.phase = Phase::closed;
  facts.record.reason = Reason::shutdown;
  facts.node.lease = {LeaseStatus::expired, master::LeaseCause::silent, at(60)};
  EXPECT_THAT(text(),
              AllOf(HasSubstr("disconnected, last on w1 (shutdown)."), Not(HasSubstr("lease"))));
}

TEST_F(Why, ADoubtNamesTheOtherWorker) {
  facts.record.contacts[0] = {"w2", at(50)};
  facts.challenged = true;
  EXPECT_THAT(text(), HasSubstr("It is in doubt: w2 can have heard it as late as "
                                "2023-11-14T22:14:10.000Z, and w1 was asked for newer evidence."));
  EXPECT_EQ(why_json(facts)["doubt"], at(50).us);
}

TEST_F(Why, AContestedAgentIsSaidToBe) {
  facts.contested = true;
  EXPECT_THAT(text(), HasSubstr("two agents may share one key"));
}

TEST_F(Why, WhatTheMasterFoundOutItselfIsSaidToBeSo) {
  facts.record.top = version(20, "w1", 0xffff'ffffu);
  facts.record.phase = Phase::closed;
  facts.record.reason = Reason::absent_from_inventory;
  auto closed = entry(facts.record.top, EventKind::closed, Rule::newer, 60, 21);
  closed.cause = master::Cause::absent;
  closed.met = {version(20, "w1"), Phase::open};
  facts.decisions.insert(facts.decisions.begin(), closed);
  EXPECT_THAT(text(),
              HasSubstr("The master found \"closed\" on w1 out itself (absent), decided at"));
  EXPECT_THAT(text(), HasSubstr("it goes on with the stay that was known."));
  EXPECT_TRUE(why_json(facts)["decision"]["seq"].is_null());
}

TEST_F(Why, AnAgentOfWhichOnlyContactsAreKnownIsUnknown) {
  facts.record = {};
  facts.decisions.clear();
  EXPECT_THAT(text(), HasSubstr("Agent 7 is unknown: workers only told"));
}

}  // namespace
}  // namespace rollcall::inspect
