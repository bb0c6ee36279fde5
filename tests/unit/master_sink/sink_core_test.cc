#include "master/sink/sink_core.h"

#include <gmock/gmock.h>

#include "tests/unit/master_sink/fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// Two rounds of the default configuration.
constexpr double kTwoRounds = 10.5;

// The rows that `row` has in common with `other`, and those that differ, as "field: a -> b".
std::vector<std::string> differences(const TableOfTexts& a, const TableOfTexts& b) {
  std::vector<std::string> out;
  for (const auto& [key, value] : a) {
    const auto found = b.find(key);
    if (found == b.end() || found->second != value)
      out.push_back(key + ": " + value + " -> " + (found == b.end() ? "(none)" : found->second));
  }
  for (const auto& [key, value] : b) {
    if (!a.contains(key)) out.push_back(key + ": (none) -> " + value);
  }
  return out;
}

// What happens, by shared/wazuh's names: each leaves Wazuh's own table wrong.
struct Case {
  const char* name;
  void (*play)(Rig&);
  const char* right;
};
void late_disconnect(Rig& rig) {  // S1: w1 has it, and w2's "disconnected" comes last
  rig.connects(7, "w2", 900);
  rig.leaves(7, "w2", 900, 940);
  rig.connects(7, "w1", 950);
  rig.syncs(7, "w1", "active", 990);
  rig.syncs_status(7, "disconnected");
}
void own_older_chunk(Rig& rig) {  // S2: stopped on w1, whose older keepalive comes last
  rig.connects(7, "w1", 900);
  rig.leaves(7, "w1", 900, 995);
  rig.syncs(7, "w1", "disconnected", 990);
  rig.syncs_keepalive(7);
}
void stale_full_row(Rig& rig) {  // S3: w1 -> w2, upgraded; w1's full row comes last
  rig.connects(7, "w1", 800, {{"version", "Wazuh v4.11.2"}});
  rig.connects(7, "w2", 950);
  rig.syncs(7, "w2", "active", 990);
  rig.syncs(7, "w1", "active", 900, {{"version", "Wazuh v4.11.2"}, {"label.site", "old"}});
}
void pending_keepalive(Rig& rig) {  // S7: w1 -> w2, stops there; w1's keepalive comes last
  rig.connects(7, "w1", 800);
  rig.connects(7, "w2", 950);
  rig.leaves(7, "w2", 950, 990);
  rig.syncs(7, "w1", "active", 900);
  rig.syncs(7, "w2", "disconnected", 985);
  rig.syncs_keepalive(7);
}
void remoted_restart(Rig& rig) {  // S9: remoted starts on w1; the master is never told
  rig.connects(7, "w1", 900);
  rig.syncs(7, "w1", "active", 990);
  rig.leaves(7, "w1", 900, 995, Reason::worker_restart);
}
class EachCase : public ::testing::TestWithParam<Case> {
 public:
  static std::string name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }
};
INSTANTIATE_TEST_SUITE_P(SinkCore, EachCase,
                         ::testing::Values(Case{"S1", late_disconnect, "active on w1"},
                                           Case{"S2", own_older_chunk, "disconnected on w1"},
                                           Case{"S3", stale_full_row, "active on w2"},
                                           Case{"S7", pending_keepalive, "disconnected on w2"},
                                           Case{"S9", remoted_restart, "disconnected on w1"}),
                         EachCase::name);

TEST_P(EachCase, IsPutRightWithinTwoRounds) {
  Rig rig;
  rig.enroll(7);
  GetParam().play(rig);
  ASSERT_NE(rig.shows(7), GetParam().right) << "Wazuh's own table is wrong at first";
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), GetParam().right);
  EXPECT_EQ(rig.sink().status().written, 1u);
  rig.pass(60);
  EXPECT_EQ(rig.sink().status().written, 1u) << "and then it agrees";
  EXPECT_EQ(rig.sink().status().differing, 0u);
}

TEST_P(EachCase, IsOnlyReportedByAnObserver) {
  Rig rig{SinkCore::Config{}};
  rig.enroll(7);
  GetParam().play(rig);
  const auto before = rig.row(7);
  rig.pass(60);
  EXPECT_EQ(rig.row(7), before);
  EXPECT_THAT(rig.posted, IsEmpty());
  ASSERT_THAT(rig.sink().reports(), SizeIs(1)) << "once, as long as it stays so";
  EXPECT_FALSE(rig.sink().reports()[0].written);
  EXPECT_EQ(rig.sink().status().observed, 1u);
}

TEST_P(EachCase, OfWhatWasKnownNothingBecomesBlank) {
  Rig rig;
  rig.enroll(7);
  GetParam().play(rig);
  const auto before = rig.row(7);
  rig.pass(kTwoRounds);
  const auto after = rig.row(7);
  for (const auto& [key, value] : before) {
    ASSERT_TRUE(after.contains(key)) << key;
    EXPECT_EQ(after.at(key).empty(), value.empty()) << key;
  }
}

// ---- whole rows, before and after

TEST(SinkCore, AStatusIsPutRightAndNothingElse) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  const auto before = rig.row(7);
  rig.pass(kTwoRounds);
  EXPECT_THAT(differences(before, rig.row(7)),
              ElementsAre("connection_status: disconnected -> active",
                          "disconnection_time: " + std::to_string(rig.seconds(1000)) + " -> 0",
                          "status_code: 3 -> 0"));
  EXPECT_THAT(rig.posted, ElementsAre(StartsWith(R"({"syncreq_status":[{"id":7)")));
}

TEST(SinkCore, ANodeIsPutRightWithTheFieldsThatItsWorkerKnows) {
  Rig rig;
  rig.enroll(7);
  rig.connects(7, "w2", 950);
  rig.syncs(7, "w2", "active", 990);
  const auto right = rig.row(7);
  rig.connects(7, "w1", 800, {{"version", "Wazuh v4.11.2"}});
  rig.syncs(7, "w1", "active", 900, {{"version", "Wazuh v4.11.2"}, {"label.site", "old"}});
  rig.pass(kTwoRounds);
  EXPECT_THAT(differences(right, rig.row(7)),
              ElementsAre("last_keepalive: " + std::to_string(rig.seconds(990)) + " -> " +
                          std::to_string(rig.seconds(950))))
      << "which is when w2 surely heard it: later than in the row that was there";
}

TEST(SinkCore, WithoutTheWorkersFieldsARowKeepsItsOwn) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990);
  rig.decided("w2", opened(7, 950));
  const auto before = rig.row(7);
  rig.pass(kTwoRounds);
  EXPECT_THAT(differences(before, rig.row(7)), ElementsAre("node_name: w1 -> w2"));
}

TEST(SinkCore, BlankFieldsOfTheWorkerAreNotWritten) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990, {{"os_build", "7"}});
  rig.connects(7, "w2", 950, {{"os_build", ""}, {"config_sum", ""}});
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w2");
  EXPECT_EQ(rig.row(7)["os_build"], "7");
  EXPECT_EQ(rig.row(7)["config_sum"], Rig::fields(7, "w1").at("config_sum"));
}

TEST(SinkCore, LabelsStayWhenTheWorkerTellsNone) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990, {{"label.room", "12"}});
  rig.decided("w2", with_info(opened(7, 950), {{"version", "Wazuh v4.14.7"}}));
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.row(7)["label.room"], "12");
  EXPECT_EQ(rig.row(7)["label.site"], "lab");
}

TEST(SinkCore, WhatTheWorkerDoesNotKnowAsAWholeIsNotWritten) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990, {{"label.room", "12"}, {"os_build", "7"}});
  rig.decided("w2", with_info(opened(7, 950), {{"version", "Wazuh v4.14.7"},
                                               {"os_arch", "arm"},
                                               {"os_build", "cut"},
                                               {"label.site", "cellar"},
                                               {"unknown_fields", "label.room\nos_build"}}));
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w2");
  auto row = rig.row(7);
  EXPECT_EQ(row["os_arch"], "arm");
  EXPECT_EQ(row["os_build"], "7");
  EXPECT_EQ(row["label.room"], "12");
  EXPECT_EQ(row["label.site"], "lab") << "some labels never take the place of all";
  EXPECT_FALSE(row.contains("unknown_fields"));
}

TEST(SinkCore, AnAgentThatNeverWasAnywhereGetsAWholeRow) {
  Rig rig;
  rig.enroll(7);
  rig.connects(7, "w1", 995);
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1");
  const auto row = rig.row(7);
  for (const auto& [key, value] : Rig::fields(7, "w1")) EXPECT_EQ(row.at(key), value) << key;
  EXPECT_EQ(row.at("name"), "agent-7");
}

TEST(SinkCore, WithoutAVersionNothingIsWritten) {
  Rig rig;
  rig.enroll(7);
  rig.decided("w1", opened(7, 995));
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "never_connected on unknown");
  EXPECT_THAT(rig.posted, IsEmpty());
  EXPECT_EQ(rig.sink().status().withheld[Withheld::incomplete], 1u);
}

TEST(SinkCore, ARowWhoseBytesAreNoTextIsLeftAsItIs) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990);
  rig.sql("UPDATE agent SET os_uname=CAST(x'4c696e75f8' AS TEXT) WHERE id=7");
  rig.decided("w2", opened(7, 950));
  rig.pass(60);
  EXPECT_THAT(rig.posted, IsEmpty());
  EXPECT_EQ(rig.sink().status().withheld[Withheld::unreadable], 1u);
}

TEST(SinkCore, AFieldOfTheWorkerThatIsNoTextIsNotWritten) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990);
  rig.connects(7, "w2", 950, {{"os_uname", "Linu\xf8"}});
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_EQ(rig.sink().status().withheld[Withheld::unreadable], 1u);
}

TEST(SinkCore, OfALongFieldTheReportKeepsTheBeginning) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990);
  rig.connects(7, "w2", 950, {{"os_uname", std::string(5000, 'x')}});
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.row(7)["os_uname"].size(), 5000u);
  for (const auto& change : rig.sink().reports().at(0).changes)
    EXPECT_LT(change.after.size(), 300u);
}

TEST(SinkCore, AnOldKeepaliveBecomesNewSoThatWazuhsReaperLeavesTheAgent) {
  Rig rig;
  rig.enroll(7);
  rig.connects(7, "w1", 100);
  rig.syncs(7, "w1", "disconnected", 300);
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_THAT(rig.posted, ElementsAre(StartsWith(R"({"syncreq_keepalive":[{"id":7)")));
  EXPECT_GE(std::stoll(rig.row(7)["last_keepalive"]), rig.seconds(1000));
}

struct Code {
  Reason reason;
  const char* code;
};
TEST(SinkCore, SaysWhyAnAgentIsDisconnectedAsWazuhDoes) {
  for (const Code& c : {Code{Reason::shutdown, "3"}, Code{Reason::no_keepalive, "4"},
                        Code{Reason::worker_restart, "5"}, Code{Reason::invalid_version, "1"},
                        Code{Reason::version_error, "2"}, Code{Reason::unconfirmed, "4"}}) {
    Rig rig;
    rig.enroll(7);
    rig.connects(7, "w1", 900);
    rig.syncs(7, "w1", "active", 990);
    rig.leaves(7, "w1", 900, 995, c.reason);
    rig.pass(kTwoRounds);
    EXPECT_EQ(rig.row(7)["status_code"], c.code) << to_string(c.reason);
    EXPECT_EQ(rig.row(7)["disconnection_time"], std::to_string(rig.seconds(996)));
  }
}

// ---- what is left alone

TEST(SinkCore, NeverInsertsAnAgent) {
  Rig rig;
  rig.connects(7, "w1", 900);
  rig.pass(60);
  EXPECT_EQ(rig.db().agents(), 0u);
  EXPECT_THAT(rig.posted, IsEmpty());
}

TEST(SinkCore, LeavesAnAgentWhoseLastWorkerHasNoSidecar) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  rig.proven = {"w2"};
  const auto before = rig.row(7);
  rig.pass(60);
  EXPECT_EQ(rig.row(7), before);
  EXPECT_EQ(rig.sink().status().withheld[Withheld::unreachable], 1u);
}

TEST(SinkCore, LeavesAnAgentThatWazuhLastSawOnANodeWithoutASidecar) {
  Rig rig;
  rig.enroll(7);
  rig.connects(7, "w1", 900);
  rig.syncs(7, "w3", "active", 990);
  const auto before = rig.row(7);
  rig.pass(60);
  EXPECT_EQ(rig.row(7), before);
  EXPECT_EQ(rig.sink().status().withheld[Withheld::no_sidecar], 1u);
}

TEST(SinkCore, SaysNothingOfAnAgentThatIsNotSettled) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  rig.unsettled = {AgentId{7}};
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "disconnected on w1");
  EXPECT_EQ(rig.sink().status().withheld[Withheld::unsettled], 1u);
  rig.unsettled = {};
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1");
}

TEST(SinkCore, SaysNothingOfAnAgentThatItsWorkerLetGo) {
  Rig rig;
  rig.enroll(7);
  rig.connects(7, "w1", 900);
  rig.syncs(7, "w1", "active", 990);
  Event e = closed(7, 900, 1, 995);
  e.kind = EventKind::released;
  e.reason = Reason::moved;
  rig.decided("w1", e);
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_EQ(rig.sink().status().withheld[Withheld::moving], 1u);
}

TEST(SinkCore, LeavesAnAgentThatWasRemoved) {
  Rig rig;
  rig.enroll(7);
  rig.connects(7, "w1", 900);
  rig.syncs(7, "w1", "active", 990);
  Event e = closed(7, 900, 1, 995);
  e.kind = EventKind::removed;
  e.reason = Reason::removed;
  rig.decided("w1", e);
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_EQ(rig.sink().status().withheld[Withheld::removed], 1u);
}

TEST(SinkCore, LeavesAgentsThatNobodyToldOf) {
  Rig rig;
  rig.enroll(7);
  rig.syncs(7, "w1", "active", 990);
  rig.pass(60);
  EXPECT_EQ(rig.sink().status().rows, 1u);
  EXPECT_EQ(rig.sink().status().differing, 0u);
}

TEST(SinkCore, AnAgentThatIsStartingCountsAsActive) {
  Rig rig;
  rig.enroll(7);
  rig.connects(7, "w1", 995);
  rig.syncs(7, "w1", "pending", 995);
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "pending on w1");
}

TEST(SinkCore, WritesNoRowOfTheNodeWhoseTableItIs) {
  Rig rig;
  rig.proven = {"m", "w1"};
  rig.sql("UPDATE agent SET node_name='m' WHERE id=0");
  rig.enroll(7);
  rig.connects(7, "m", 900);
  rig.syncs(7, "w1", "active", 800);
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_EQ(rig.sink().status().withheld[Withheld::own_node], 1u);
  EXPECT_EQ(rig.sink().status().own_node, "m");
  rig.connects(7, "w1", 1050);
  rig.sql("UPDATE agent SET node_name='m' WHERE id=7");
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1") << "but it may leave that node";
}

TEST(SinkCore, TheOwnNodeMayBeConfigured) {
  auto config = correcting();
  config.own_node = "w1";
  Rig rig{config};
  rig.enroll(7);
  late_disconnect(rig);
  rig.pass(60);
  EXPECT_EQ(rig.shows(7), "disconnected on w1");
}

TEST(SinkCore, NodesMayHaveOtherNamesInWazuh) {
  auto config = correcting();
  config.node_names = {{"w1", "worker-01"}, {"w2", "w1"}};
  Rig rig{config};
  rig.enroll(7);
  rig.connects(7, "w2", 950);
  rig.syncs(7, "worker-01", "active", 900);
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1") << "as Wazuh calls w2";
}

// ---- when

TEST(SinkCore, WritesOnlyWhatHasDifferedForLongEnough) {
  Rig rig;
  rig.enroll(7);
  rig.tick();
  late_disconnect(rig);
  rig.pass(2.9);
  EXPECT_THAT(rig.posted, IsEmpty());
  rig.pass(6);
  EXPECT_THAT(rig.posted, SizeIs(1));
}

TEST(SinkCore, ADecisionBeginsTheTimeAnew) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  rig.pass(2.5);
  rig.connects(7, "w2", 1002);
  rig.pass(2.5);
  EXPECT_THAT(rig.posted, IsEmpty());
  rig.pass(6);
  EXPECT_EQ(rig.shows(7), "active on w2");
}

TEST(SinkCore, WhatAgreedInBetweenBeginsAnew) {
  auto config = correcting();
  config.every_us = us(1);
  Rig rig{config};
  rig.enroll(7);
  late_disconnect(rig);
  rig.pass(2.5);
  rig.syncs_keepalive(7);
  rig.pass(1.5);
  rig.syncs_status(7, "disconnected");
  rig.pass(2.5);
  EXPECT_THAT(rig.posted, IsEmpty());
}

TEST(SinkCore, ALostConnectionBeginsAnew) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  rig.pass(2.5);
  rig.sink().lost("gone", at(rig.now));
  rig.sink().connected(at(rig.now));
  rig.pass(2.5);
  EXPECT_THAT(rig.posted, IsEmpty());
}

TEST(SinkCore, LooksSoonAfterADecision) {
  Rig rig;
  rig.enroll(7);
  rig.pass(5.2);
  const auto rounds = rig.sink().status().rounds;
  rig.pass(1.2);
  EXPECT_EQ(rig.sink().status().rounds, rounds);
  rig.connects(7, "w1", rig.now);
  rig.pass(0.2);
  EXPECT_EQ(rig.sink().status().rounds, rounds + 1);
}

TEST(SinkCore, ManyDecisionsAreOneLookASecond) {
  Rig rig;
  rig.pass(1);
  const auto rounds = rig.sink().status().rounds;
  for (std::uint32_t agent = 1; agent <= 100; ++agent) {
    rig.connects(agent, "w1", rig.now);
    rig.pass(0.1);
  }
  EXPECT_LE(rig.sink().status().rounds - rounds, 11u);
}

TEST(SinkCore, ARowThatChangedSinceTheLookIsNotWrittenOver) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  rig.tick();
  rig.now += 5;
  auto order = rig.sink().tick(rig.view(), at(rig.now));
  while (const auto* ask = std::get_if<SinkCore::Ask>(&order)) {
    if (ask->text.find("manager_host") != std::string::npos) break;
    order = rig.sink().replied(rig.db().handle(ask->text, rig.seconds()), rig.view(), at(rig.now));
  }
  ASSERT_TRUE(std::holds_alternative<SinkCore::Ask>(order)) << "it reads the whole row";
  rig.syncs_keepalive(7);
  rig.run(std::move(order));
  EXPECT_THAT(rig.posted, IsEmpty());
}

TEST(SinkCore, CorrectionsThatDoNotLastComeSlowerAndSlower) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  for (int i = 0; i < 600; ++i) {
    rig.pass(1);
    if (rig.shows(7) == "active on w1") rig.syncs_status(7, "disconnected");
  }
  EXPECT_GE(rig.sink().status().written, 5u);
  EXPECT_LE(rig.sink().status().written, 12u);
}

TEST(SinkCore, ManyAreWrittenInSeveralRounds) {
  auto config = correcting();
  config.max_corrections = 120;
  config.page_rows = 64;
  Rig rig{config};
  for (std::uint32_t agent = 1; agent <= 300; ++agent) {
    rig.enroll(agent);
    rig.connects(agent, "w1", 990);
  }
  rig.pass(3.3);
  EXPECT_EQ(rig.sink().status().written, 120u);
  rig.pass(5);
  EXPECT_EQ(rig.sink().status().written, 300u);
  EXPECT_EQ(rig.shows(300), "active on w1");
  EXPECT_THAT(rig.sink().reports(), SizeIs(300));
}

TEST(SinkCore, KeepsTheNewestReportsOnly) {
  auto config = correcting();
  config.keep_reports = 10;
  Rig rig{config};
  for (std::uint32_t agent = 1; agent <= 30; ++agent) {
    rig.enroll(agent);
    rig.connects(agent, "w1", 990);
  }
  rig.pass(kTwoRounds);
  ASSERT_THAT(rig.sink().reports(), SizeIs(10));
  EXPECT_EQ(rig.sink().reports().back().number, 30u);
}

TEST(SinkCore, ShortRepliesArePagedAndCutOnesAskedAgain) {
  Rig rig;
  for (std::uint32_t agent = 1; agent <= 40; ++agent) {
    rig.enroll(agent);
    rig.connects(agent, "w1", 990);
  }
  rig.db().set_reply_limit(1200);
  rig.pass(20);
  EXPECT_EQ(rig.sink().status().rows, 40u);
  EXPECT_EQ(rig.shows(40), "active on w1");
}

// ---- before 4.13

TEST(SinkCore, BeforeHttpWritesWholeRowsByTheStreamSocket) {
  Rig rig(correcting(), WazuhFlavour::k4_11);
  rig.enroll(7);
  rig.connects(7, "w1", 950);
  rig.syncs(7, "w1", "disconnected", 940);
  const auto before = rig.row(7);
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_THAT(differences(before, rig.row(7)),
              ElementsAre("connection_status: disconnected -> active"));
  EXPECT_THAT(rig.posted, ElementsAre(StartsWith("global sync-agent-info-set [{\"id\":7,")));
}

TEST(SinkCore, ByTheStreamSocketAFieldThatIsNullStaysSo) {
  Rig rig(correcting(), WazuhFlavour::k4_11);
  rig.enroll(7);
  rig.sql(
      "UPDATE agent SET node_name='w1',version='Wazuh v4.11.2',connection_status='disconnected',"
      "last_keepalive=" +
      std::to_string(rig.seconds(990)) + " WHERE id=7");
  rig.connects(7, "w1", 950);
  const auto before = rig.row(7);
  ASSERT_FALSE(before.contains("os_name"));
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_FALSE(rig.row(7).contains("os_name"));
}

TEST(SinkCore, ByTheStreamSocketManyRowsGoInSeveralRequests) {
  Rig rig(correcting(), WazuhFlavour::k4_11);
  for (std::uint32_t agent = 1; agent <= 100; ++agent) {
    rig.enroll(agent);
    rig.connects(agent, "w1", 990);
  }
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.sink().status().written, 100u);
  EXPECT_EQ(rig.shows(100), "active on w1");
  EXPECT_GT(rig.posted.size(), 2u) << "none above the bound, which the rig asserts";
}

TEST(SinkCore, TheWayOfWritingMayBeConfigured) {
  auto config = correcting();
  config.write = SinkWrite::stream;
  Rig rig{config};
  rig.enroll(7);
  late_disconnect(rig);
  rig.pass(kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_THAT(rig.posted, ElementsAre(StartsWith("global sync-agent-info-set")));
}

// ---- trouble

std::vector<std::string> texts(const std::vector<Note>& notes, NoteLevel least) {
  std::vector<std::string> out;
  for (const Note& note : notes) {
    if (note.level >= least) out.push_back(note.text);
  }
  return out;
}

TEST(SinkCore, ARefusedWriteIsSaidOnceAndTriedAgainEverMoreSeldom) {
  Rig rig;
  rig.http_says = Error{"attempt to write a readonly database"};
  rig.enroll(7);
  late_disconnect(rig);
  rig.pass(600);
  EXPECT_EQ(rig.shows(7), "disconnected on w1");
  EXPECT_GE(rig.posted.size(), 8u);
  EXPECT_LE(rig.posted.size(), 20u);
  EXPECT_THAT(texts(rig.notes, NoteLevel::warning),
              ElementsAre(HasSubstr("attempt to write a readonly database")));
  EXPECT_THAT(rig.sink().reports(), SizeIs(1));
  EXPECT_THAT(rig.sink().status().error, HasSubstr("readonly"));
  rig.http_says.reset();
  rig.notes.clear();
  rig.pass(70);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_EQ(rig.sink().status().error, "");
  EXPECT_THAT(texts(rig.notes, NoteLevel::info), Contains(HasSubstr("again")));
}

TEST(SinkCore, ARowThatIsRefusedKeepsNoOtherFromBeingWritten) {
  Rig rig;
  for (std::uint32_t agent = 7; agent <= 9; ++agent) {
    rig.enroll(agent);
    rig.connects(agent, "w1", 990);
  }
  rig.sql(
      "CREATE TRIGGER refuse BEFORE UPDATE ON agent WHEN OLD.id=8 "
      "BEGIN SELECT RAISE(ABORT,'not this one'); END");
  rig.pass(2 * kTwoRounds);
  EXPECT_EQ(rig.shows(7), "active on w1");
  EXPECT_EQ(rig.shows(9), "active on w1");
  EXPECT_EQ(rig.sink().status().error, "");
  EXPECT_EQ(rig.sink().status().withheld.at(Withheld::refused), 1u);
  std::size_t refusals = 0;
  for (const auto& report : rig.sink().reports()) {
    if (report.error.empty()) continue;
    EXPECT_EQ(report.agent, AgentId{8});
    EXPECT_FALSE(report.written);
    ++refusals;
  }
  EXPECT_GE(refusals, 1u);
  rig.sql("DROP TRIGGER refuse");
  rig.pass(120);
  EXPECT_EQ(rig.shows(8), "active on w1");
}

TEST(SinkCore, ARefusalByTheStreamSocketIsTroubleToo) {
  Rig rig(correcting(), WazuhFlavour::k4_11);
  rig.stream_says =
      "err Cannot execute Global database query; attempt to write a readonly database";
  rig.enroll(7);
  rig.connects(7, "w1", 990);
  rig.pass(5);
  EXPECT_THAT(rig.sink().status().error, HasSubstr("readonly"));
  EXPECT_EQ(rig.sink().status().refused, 1u);
}

TEST(SinkCore, AnAnswerThatIsNoneEndsTheRound) {
  Rig rig;
  rig.now += 1;
  auto order = rig.sink().tick(rig.view(), at(rig.now));
  order = rig.sink().replied("ok [{\"v\":null,\"k\":1}]", rig.view(), at(rig.now));
  order = rig.sink().replied("err Cannot execute Global database query; no such table: agent",
                             rig.view(), at(rig.now));
  EXPECT_TRUE(std::holds_alternative<SinkCore::Nothing>(order));
  EXPECT_THAT(rig.sink().status().error, HasSubstr("no such table"));
  EXPECT_EQ(rig.sink().status().failures, 1u);
}

TEST(SinkCore, WithoutAVersionItIsNotKnownHowToWrite) {
  Rig rig;
  rig.now += 1;
  rig.sink().tick(rig.view(), at(rig.now));
  const auto order = rig.sink().replied("err no such table", rig.view(), at(rig.now));
  EXPECT_TRUE(std::holds_alternative<SinkCore::Nothing>(order));
  EXPECT_THAT(rig.sink().status().error, HasSubstr("does not say which version"));
}

TEST(SinkCore, WhatComesForARoundThatIsOverIsNotTaken) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  rig.tick();
  rig.now += 5;
  auto order = rig.sink().tick(rig.view(), at(rig.now));
  while (const auto* ask = std::get_if<SinkCore::Ask>(&order))
    order = rig.sink().replied(rig.db().handle(ask->text, rig.seconds()), rig.view(), at(rig.now));
  ASSERT_TRUE(std::holds_alternative<SinkCore::Post>(order));
  rig.sink().lost("gone", at(rig.now));
  order = rig.sink().posted({}, rig.view(), at(rig.now));
  EXPECT_TRUE(std::holds_alternative<SinkCore::Nothing>(order));
  EXPECT_EQ(rig.sink().status().written, 0u);
}

TEST(SinkCore, EachCorrectionIsLoggedWithBeforeAndAfter) {
  Rig rig;
  rig.enroll(7);
  late_disconnect(rig);
  rig.pass(kTwoRounds);
  ASSERT_THAT(rig.notes, SizeIs(1));
  EXPECT_EQ(rig.notes[0].text, "Wazuh's table was corrected");
  EXPECT_THAT(rig.notes[0].fields, Contains(std::pair<std::string, std::string>(
                                       "connection_status", "disconnected -> active")));
  const auto& report = rig.sink().reports().at(0);
  EXPECT_TRUE(report.written);
  EXPECT_EQ(report.decided, (Version{epoch(950), "w1", 0}));
  EXPECT_THAT(report.changes, Contains(Field(&Correction::Change::field, "status_code")));
}

}  // namespace
}  // namespace rollcall::master
