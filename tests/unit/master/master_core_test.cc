#include "master/core/master_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/codec.h"
#include "tests/unit/master/core_fixture.h"

namespace rollcall::master {
namespace {

using namespace test;
using ::testing::HasSubstr;

using Config = MasterCore::Config;

class MasterCoreTest : public ::testing::Test {
 protected:
  // w1 is connected as 1, w2 as 2.
  void SetUp() override {
    EXPECT_EQ(m.connect(10, kW1, hello("w1", 101)), "1 WELCOME, have seq 0");
    EXPECT_EQ(m.connect(10, kW2, hello("w2", 102)), "2 WELCOME, have seq 0");
  }
  Master m;
};

// ---- the one rule

TEST_F(MasterCoreTest, ALateDisconnectChangesNothing) {
  EXPECT_EQ(m.delta(20, kW2, 1, {opened(7, 15)}), "2 ACK 1");
  EXPECT_EQ(m.delta(30, kW1, 1, {opened(7, 28)}), "1 ACK 1\n2 SUPERSEDED 7 by 28@w1+0 open");
  EXPECT_EQ(m.delta(31, kW2, 2, {closed(7, 15, 1, 20)}), "2 ACK 2");
  EXPECT_EQ(m.top(7), "28@w1+0 open");
  EXPECT_EQ(m.core.decisions().back().rule, Rule::older);
}

TEST_F(MasterCoreTest, ADisconnectThatOvertakesTheNewerConnectDoesNoHarm) {
  m.delta(20, kW2, 1, {opened(7, 15), closed(7, 15, 1, 20)});
  m.delta(31, kW1, 1, {opened(7, 28)});
  EXPECT_EQ(m.top(7), "28@w1+0 open");
}

TEST_F(MasterCoreTest, AnOlderClaimIsAnsweredWithTheWinner) {
  m.delta(30, kW1, 1, {opened(7, 28)});
  EXPECT_EQ(m.delta(31, kW2, 1, {opened(7, 15)}), "2 ACK 1; 1: superseded 7 by 28@w1+0 open");
}

TEST_F(MasterCoreTest, ThePreviousOwnerIsToldWhoWonAndAgainAtHello) {
  m.delta(20, kW2, 1, {opened(7, 15)});
  EXPECT_THAT(m.delta(30, kW1, 1, {opened(7, 28)}), HasSubstr("2 SUPERSEDED 7 by 28@w1+0 open"));
  m.lose(31, kW2);
  EXPECT_EQ(m.connect(32, ConnId{3}, hello("w2", 102, 2)),
            "3 WELCOME, have seq 1\n3 SUPERSEDED 7 by 28@w1+0 open");
  m.delta(33, ConnId{3}, 2, {event(7, EventKind::released, 15, 1, 15)});
  m.lose(34, ConnId{3});
  EXPECT_EQ(m.connect(35, ConnId{4}, hello("w2", 102, 3)), "4 WELCOME, have seq 2")
      << "it has let go of it";
}

TEST_F(MasterCoreTest, AnOpenSessionThatTheMasterHoldsAsClosedIsAnsweredByItsEnd) {
  m.delta(20, kW1, 1, {opened(7, 15), closed(7, 15, 3, 20)});
  EXPECT_EQ(m.delta(21, kW1, 3, {event(7, EventKind::info, 15, 1, 20)}),
            "1 ACK 3; 3: superseded 7 by 15@w1+3 ended");
}

TEST_F(MasterCoreTest, AnEndOfAnOlderSessionIsAnsweredByTheOpenOneOfItsOwn) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  EXPECT_EQ(m.delta(21, kW1, 2, {closed(7, 10, 1, 20)}),
            "1 ACK 2; 2: superseded 7 by 15@w1+0 open");
}

// An older copy of a store that was renamed too: what it needs is the version to go on from.
TEST_F(MasterCoreTest, AnEndThatIsAVersionWithAnotherMeaningIsNotAnsweredByAQuestionForFields) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  Event end = closed(7, 15, 0, 20);
  end.info_hash = InfoHash{9};
  EXPECT_EQ(m.delta(21, kW1, 2, {end}), "1 ACK 2; 2: superseded 7 by 15@w1+0 open");
}

// ---- durable before acked

TEST_F(MasterCoreTest, AcksOnlyWhatIsStored) {
  m.disk = Master::Disk::slow;
  EXPECT_EQ(m.delta(20, kW1, 1, {opened(7, 15)}), "");
  EXPECT_EQ(m.delta(20, kW1, 2, {opened(8, 15)}), "");
  EXPECT_EQ(m.tick(21), "");
  EXPECT_EQ(m.store(22), "1 ACK 1\n1 ACK 2");
}

TEST_F(MasterCoreTest, WhatIsSaidOfAGroupWaitsForThatGroup) {
  m.tick(20);
  m.disk = Master::Disk::slow;
  m.delta(20, kW1, 1, {opened(7, 15)});
  ASSERT_TRUE(m.appending);
  EXPECT_EQ(m.delta(20, kW2, 1, {opened(7, 18)}), "");
  const std::uint64_t ticket = m.appending->ticket;
  m.appending.reset();
  Output out = m.core.stored(ticket, at(21));
  ASSERT_EQ(out.send.size(), 1u) << "the ACK of the first group alone";
  EXPECT_EQ(scenario::describe(out.send[0].message, master_time(0)), "ACK 1");
  ASSERT_TRUE(out.append);
}

TEST_F(MasterCoreTest, WelcomesAfterItIsInTheLog) {
  Master fresh;
  fresh.disk = Master::Disk::slow;
  EXPECT_EQ(fresh.connect(10, kW1, hello("w1", 101)), "");
  EXPECT_EQ(fresh.store(11), "1 WELCOME, have seq 0");
}

TEST_F(MasterCoreTest, AConnectionThatEndedMeanwhileIsToldNothing) {
  m.disk = Master::Disk::slow;
  m.delta(20, kW1, 1, {opened(7, 15)});
  m.lose(21, kW1);
  EXPECT_EQ(m.store(22), "");
}

// ---- the stream

TEST_F(MasterCoreTest, DuplicatesAreDroppedAndAnsweredWithTheSameExceptions) {
  m.delta(30, kW1, 1, {opened(7, 28)});
  const std::string answer = m.delta(31, kW2, 1, {opened(7, 15), opened(8, 15)});
  EXPECT_EQ(answer, "2 ACK 2; 1: superseded 7 by 28@w1+0 open");
  const std::size_t logged = m.records.size();
  m.lose(32, kW2);
  m.connect(33, kW2, hello("w2", 102));
  EXPECT_EQ(m.delta(34, kW2, 1, {opened(7, 15), opened(8, 15)}), answer);
  EXPECT_LE(m.records.size(), logged + 3) << "the welcome and a reservation, no decision";
  EXPECT_EQ(m.core.counters().duplicates, 2u);
}

TEST_F(MasterCoreTest, ADuplicateWithOtherEvidenceOpensNothingThatTheStreamClosedAfterIt) {
  m.delta(20, kW1, 1, {opened(7, 15), closed(7, 15, 1, 18)});
  m.lose(21, kW1);
  m.connect(22, kW1, hello("w1", 101));
  Event again = opened(7, 15);
  again.evidence.hi = master_time(21);  // the clock's estimate is another
  m.delta(23, kW1, 1, {again});
  EXPECT_EQ(m.core.state().nodes().at("w1").open.size(), 0u);
}

TEST_F(MasterCoreTest, AnEventSentAgainThatNeverCameIsNoDanger) {
  m.connect(20, ConnId{3}, hello("w3", 103, 50));
  m.lose(21, ConnId{3});
  m.connect(22, ConnId{3}, hello("w3", 103, 1));
  EXPECT_EQ(m.delta(23, ConnId{3}, 1, {event(9, EventKind::contact, 12, 1, 17)}), "3 ACK 1");
  EXPECT_EQ(m.top(9), "unknown");
}

TEST_F(MasterCoreTest, ADuplicateThatAsksForInfoAsksAgain) {
  const std::vector<Event> events{with_info(opened(7, 15), {{"name", "a"}}, false)};
  EXPECT_EQ(m.delta(20, kW1, 1, events), "1 ACK 1; 1: need_info 7");
  m.lose(21, kW1);
  m.connect(22, kW1, hello("w1", 101));
  EXPECT_EQ(m.delta(23, kW1, 1, events), "1 ACK 1; 1: need_info 7");
  EXPECT_EQ(m.delta(24, kW1, 2, {with_info(event(7, EventKind::info, 15, 1, 15), {{"name", "a"}})}),
            "1 ACK 2");
}

TEST_F(MasterCoreTest, AGapInsideAConnectionIsRefused) {
  EXPECT_EQ(m.delta(20, kW1, 2, {opened(7, 15)}), "1 ERROR sequence fatal");
  ASSERT_EQ(m.closes.size(), 1u);
  EXPECT_EQ(m.top(7), "unknown");
  EXPECT_EQ(m.delta(20, kW1, 1, {opened(7, 15)}), "") << "nothing more is heard from it";
  EXPECT_EQ(m.delta(20, kW2, 1, {opened(7, 15)}), "2 ACK 1") << "nobody else is touched";
}

TEST_F(MasterCoreTest, AGapBeforeTheFirstSeqOfHelloIsAccepted) {
  m.connect(20, ConnId{3}, hello("w3", 103, 50));
  EXPECT_EQ(m.delta(21, ConnId{3}, 50, {opened(7, 15)}), "3 ACK 50");
}

TEST_F(MasterCoreTest, EventsOfOneStreamThatCameBeforeAreNotAppliedWhenAPartIsNew) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  m.lose(21, kW1);
  EXPECT_EQ(m.connect(22, kW1, hello("w1", 101)), "1 WELCOME, have seq 1");
  EXPECT_EQ(m.delta(23, kW1, 1, {opened(7, 15), opened(8, 16)}), "1 ACK 2");
  EXPECT_EQ(m.top(8), "16@w1+0 open");
  EXPECT_EQ(m.core.counters().by_rule.at("first"), 2u);
  EXPECT_EQ(Master::fold(m.records).encode(), m.core.state().encode());
}

TEST_F(MasterCoreTest, ReservedChangesAreRefusedAndNothingOfTheFrameCounts) {
  Event e = closed(7, 15, kFirstMasterChange, 20);
  EXPECT_EQ(m.delta(21, kW1, 1, {opened(8, 15), e}), "1 ERROR reserved_change fatal");
  EXPECT_EQ(m.top(8), "unknown");
}

TEST_F(MasterCoreTest, InfoWithTheWrongHashIsRefused) {
  Event e = with_info(opened(7, 15), {{"name", "a"}});
  e.info_hash = InfoHash{1};
  EXPECT_EQ(m.delta(21, kW1, 1, {e}), "1 ERROR malformed fatal");
}

TEST_F(MasterCoreTest, AnEmptyDeltaIsRefused) {
  EXPECT_EQ(m.delta(21, kW1, 1, {}), "1 ERROR malformed fatal");
}

TEST_F(MasterCoreTest, AnAckWithMoreExceptionsThanAMessageHoldsIsSaidInParts) {
  std::vector<Event> newer, older;
  for (std::uint32_t a = 1; a <= 10'000; ++a) {
    newer.push_back(opened(a, 20));
    older.push_back(opened(a, 15));
  }
  m.delta(30, kW1, 1, newer);
  Delta d;
  d.first_seq = 1;
  d.events = older;
  m.core.message(kW2, d, at(31));
  const Output out = m.core.stored(~0ull, at(32));
  std::vector<std::uint64_t> through;
  std::size_t exceptions = 0;
  for (const auto& s : out.send) {
    const Ack& ack = std::get<Ack>(s.message);
    EXPECT_LE(ack.exceptions.size(), kMaxEntries);
    for (const AckException& e : ack.exceptions) EXPECT_LE(e.seq, ack.through);
    through.push_back(ack.through);
    exceptions += ack.exceptions.size();
  }
  EXPECT_THAT(through, ::testing::ElementsAre(8192, 10'000));
  EXPECT_EQ(exceptions, 10'000u);
}

// ---- who may connect

TEST_F(MasterCoreTest, ANameThatIsNotInTheCertificateIsRefused) {
  m.core.connected(ConnId{3}, {"w3"}, "10.0.0.3:5", at(20));
  EXPECT_EQ(m.message(20, ConnId{3}, hello("w1", 109)), "3 ERROR name fatal");
  EXPECT_TRUE(m.core.node_status("w1", at(20)).connected) << "the true w1 is untouched";
}

TEST_F(MasterCoreTest, ANodeThatIsNotAllowedIsRefused) {
  Config c = config();
  c.allow = {"w1"};
  Master strict({}, "", 1, c);
  EXPECT_EQ(strict.connect(10, kW1, hello("w1", 101)), "1 WELCOME, have seq 0");
  EXPECT_EQ(strict.connect(10, kW2, hello("w2", 102)), "2 ERROR name fatal");
}

TEST_F(MasterCoreTest, AnotherClusterOrVersionIsRefused) {
  Hello h = hello("w3", 103);
  h.cluster = "other";
  EXPECT_EQ(m.connect(20, ConnId{3}, h), "3 ERROR cluster fatal");
  h = hello("w4", 104);
  h.protocol_min = h.protocol_max = kProtocolMax + 1;
  EXPECT_EQ(m.connect(20, ConnId{4}, h), "4 ERROR version fatal");
}

TEST_F(MasterCoreTest, ASecondMachineUnderOneNameIsRefusedWhileTheFirstIsAlive) {
  Hello h = hello("w1", 999);
  h.machine = "another";
  EXPECT_EQ(m.connect(20, ConnId{3}, h), "3 ERROR node_in_use fatal");
  EXPECT_EQ(m.delta(21, kW1, 1, {opened(7, 15)}), "1 ACK 1") << "the first one goes on";
}

TEST_F(MasterCoreTest, ASecondMachineUnderOneNameTakesOverFromASilentOne) {
  Hello h = hello("w1", 999);
  h.machine = "another";
  m.ticks(10, 25.1);
  EXPECT_EQ(m.connect(25.1, ConnId{3}, h), "3 WELCOME, have seq 0");
  ASSERT_EQ(m.closes.size(), 1u);
  EXPECT_EQ(m.closes[0].conn, kW1);
  EXPECT_EQ(m.lose(26, kW1), "") << "the end of the old connection";
  EXPECT_TRUE(m.core.node_status("w1", at(26)).connected);
}

TEST_F(MasterCoreTest, AReconnectOfTheSameStreamTakesOverAtOnce) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  EXPECT_EQ(m.connect(20.1, ConnId{3}, hello("w1", 101, 2)), "3 WELCOME, have seq 1");
  EXPECT_EQ(m.closes.at(0).conn, kW1);
}

TEST_F(MasterCoreTest, NothingIsSaidBeforeHello) {
  m.core.connected(ConnId{3}, {"w3"}, "10.0.0.3:5", at(20));
  EXPECT_EQ(m.delta(20, ConnId{3}, 1, {opened(7, 15)}), "3 ERROR protocol fatal");
  EXPECT_EQ(m.message(20, kW1, hello("w1", 101)), "1 ERROR protocol fatal") << "nor HELLO twice";
  EXPECT_EQ(m.message(20, kW2, Welcome{}), "2 ERROR protocol fatal");
}

TEST_F(MasterCoreTest, AnUnknownMessageIsAnsweredAndNotFatal) {
  EXPECT_EQ(m.message(20, kW1, UnknownMessage{77}), "1 ERROR unknown_type");
  EXPECT_EQ(m.delta(21, kW1, 1, {opened(7, 15)}), "1 ACK 1");
}

TEST_F(MasterCoreTest, BytesThatAreNoMessageEndThatConnectionOnly) {
  const Error error{"DELTA event 3: lo is after hi"};
  EXPECT_EQ(m.malformed(20, kW1, error), "1 ERROR malformed fatal");
  ASSERT_EQ(m.closes.size(), 1u);
  EXPECT_EQ(m.closes[0].conn, kW1);
  EXPECT_EQ(m.closes[0].reason, error.message);
  EXPECT_EQ(m.delta(21, kW2, 1, {opened(7, 15)}), "2 ACK 1");
}

TEST_F(MasterCoreTest, AWorkerThatIsSilentForATtlIsClosed) {
  m.ticks(10, 500);
  m.message(500, kW2, Heartbeat{});
  m.ticks(500, 1010);
  m.tick(1010);
  EXPECT_TRUE(m.closes.empty());
  m.tick(1010.1);
  ASSERT_EQ(m.closes.size(), 1u);
  EXPECT_EQ(m.closes[0].conn, kW1);
  EXPECT_EQ(m.core.state().nodes().count("w1"), 1u) << "its sessions stay as they are";
}

TEST_F(MasterCoreTest, AWorkerThatCannotLookIsShownSo) {
  EXPECT_FALSE(m.core.node_status("w1", at(20)).blind);
  m.core.message(kW1, Heartbeat{0, 3, 77, std::nullopt, true}, at(20));
  EXPECT_TRUE(m.core.node_status("w1", at(20)).blind);
  m.core.message(kW1, Heartbeat{0, 3, 77}, at(30));
  EXPECT_FALSE(m.core.node_status("w1", at(30)).blind);
}

TEST_F(MasterCoreTest, AHeartbeatIsAnsweredWithTheTime) {
  m.core.message(kW1, Heartbeat{0, 3, 77}, at(20));
  const Output out = m.core.message(kW1, Heartbeat{0, 3, 77}, at(20));
  const HeartbeatAck ack = std::get<HeartbeatAck>(out.send.at(0).message);
  EXPECT_EQ(ack.t0, 77);
  EXPECT_EQ(MasterTime{ack.t1}, m.core.time(at(20)));
  EXPECT_EQ(m.core.node_status("w1", at(20)).open_sessions_reported, 3u);
}

// ---- doubt

TEST_F(MasterCoreTest, TheWinnerIsChallengedWhenAnotherWorkerMayHaveSpokenLater) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  Event late = closed(7, 12, 1, 17);
  EXPECT_EQ(m.delta(21, kW2, 1, {late}), "2 ACK 1\n1 CHALLENGE 7 session 15 upto 18");
  EXPECT_TRUE(m.core.in_doubt(AgentId{7}));
  EXPECT_EQ(m.top(7), "15@w1+0 open") << "it stands";
  EXPECT_EQ(m.delta(26, kW1, 2, {event(7, EventKind::confirmed, 15, 1, 25)}), "1 ACK 2");
  EXPECT_FALSE(m.core.in_doubt(AgentId{7}));
}

TEST_F(MasterCoreTest, AChallengeIsRepeatedAfterAReconnectUntilItIsAnswered) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  m.lose(21, kW1);
  EXPECT_EQ(m.delta(22, kW2, 1, {closed(7, 12, 1, 17)}), "2 ACK 1");
  EXPECT_EQ(m.connect(23, kW1, hello("w1", 101, 2)),
            "1 WELCOME, have seq 1\n1 CHALLENGE 7 session 15 upto 18");
  m.lose(24, kW1);
  EXPECT_EQ(m.connect(25, kW1, hello("w1", 101, 2)),
            "1 WELCOME, have seq 1\n1 CHALLENGE 7 session 15 upto 18");
  m.delta(60, kW1, 2, {event(7, EventKind::closed, 15, 1, 15)});
  m.lose(61, kW1);
  EXPECT_EQ(m.connect(62, kW1, hello("w1", 101, 3)), "1 WELCOME, have seq 2");
}

TEST_F(MasterCoreTest, AContactRaisesDoubtAndNothingElse) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  EXPECT_EQ(m.delta(21, kW2, 1, {event(7, EventKind::contact, 12, 1, 17)}),
            "2 ACK 1\n1 CHALLENGE 7 session 15 upto 18");
  EXPECT_EQ(m.top(7), "15@w1+0 open");
}

TEST_F(MasterCoreTest, DoubtSurvivesARestartOfTheMaster) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  m.delta(21, kW2, 1, {closed(7, 12, 1, 17)});
  Master again(m.records, "", 30);
  EXPECT_TRUE(again.core.in_doubt(AgentId{7}));
  Hello h = hello("w1", 101, 2);
  EXPECT_THAT(again.connect(31, kW1, h), HasSubstr("CHALLENGE 7 session 15 upto 18"));
}

// ---- cloned keys

TEST_F(MasterCoreTest, AContestedAgentsLosersAreToldAtMostOnceAKeepalive) {
  double s = 20;
  std::uint64_t seq = 1;
  for (int i = 0; i < 3; ++i, ++seq) {
    m.delta(s, kW1, seq, {opened(7, s)});
    s += 2;
    m.delta(s, kW2, seq, {opened(7, s)});
    s += 2;
  }
  EXPECT_TRUE(m.core.contested(AgentId{7}, at(s)));
  std::size_t told = 0;
  const double from = s;
  for (; s < from + 120; s += 2, ++seq) {
    const std::string said = m.delta(s, kW1, seq, {opened(7, s)}) +
                             m.delta(s + 1, kW2, seq, {opened(7, s + 1)}) + m.tick(s + 1.5);
    for (std::size_t i = said.find("1 SUPERSEDED"); i != said.npos;
         i = said.find("1 SUPERSEDED", i + 1))
      ++told;
    m.message(s, kW1, Heartbeat{});
  }
  EXPECT_GE(told, 11u) << "or an agent that really moves stays on the wrong node";
  EXPECT_LE(told, 13u) << "in two minutes, with 60 reasons to tell";
  EXPECT_EQ(m.top(7).substr(m.top(7).find('@')), "@w2+0 open") << "it still accepts";
}

TEST_F(MasterCoreTest, AContestEndsWhenItIsQuietForTenMinutes) {
  double s = 20;
  for (std::uint64_t seq = 1; seq <= 3; ++seq, s += 4) {
    m.delta(s, kW1, seq, {opened(7, s)});
    m.delta(s + 2, kW2, seq, {opened(7, s + 2)});
  }
  EXPECT_TRUE(m.core.contested(AgentId{7}, at(s)));
  EXPECT_FALSE(m.core.contested(AgentId{7}, at(s + 601)));
}

// ---- time

TEST_F(MasterCoreTest, AnEpochFromTheFutureIsRefusedAndNothingOfItCounts) {
  EXPECT_EQ(m.delta(20, kW1, 1, {opened(7, 22.1)}), "1 ACK 1; 1: future_epoch 7");
  EXPECT_EQ(m.top(7), "unknown");
  EXPECT_EQ(m.delta(20, kW1, 2, {opened(7, 21.9)}), "1 ACK 2");
  EXPECT_EQ(m.top(7), "21.9@w1+0 open");
}

TEST_F(MasterCoreTest, AnEventFromTheFutureThatIsSentAgainLaterIsDecidedAnew) {
  m.delta(20, kW1, 1, {opened(7, 25)});
  m.lose(21, kW1);
  m.connect(30, kW1, hello("w1", 101));
  EXPECT_EQ(m.delta(30, kW1, 1, {opened(7, 25)}), "1 ACK 1");
  EXPECT_EQ(m.top(7), "25@w1+0 open");
  EXPECT_EQ(m.core.state().nodes().at("w1").open.size(), 1u);
  EXPECT_EQ(Master::fold(m.records).encode(), m.core.state().encode());
}

// The ACK that said so was lost, and what followed in the same session is on top already.
TEST_F(MasterCoreTest, InfoThatWasRefusedAsFromTheFutureIsAskedForWhenItIsSentAgain) {
  const Event info = with_info(event(7, EventKind::info, 25, 1, 20), {{"name", "a"}});
  m.delta(20, kW1, 1, {opened(7, 25), info});
  EXPECT_EQ(m.delta(24, kW1, 3, {event(7, EventKind::confirmed, 25, 2, 23)}), "1 ACK 3");
  m.lose(25, kW1);
  m.connect(30, kW1, hello("w1", 101));
  EXPECT_EQ(m.delta(30, kW1, 1, {opened(7, 25), info, event(7, EventKind::confirmed, 25, 2, 23)}),
            "1 ACK 3; 1: superseded 7 by 25@w1+2 open; 2: need_info 7");
}

TEST_F(MasterCoreTest, EvidenceIsNeverLaterThanItsReceipt) {
  Event e = opened(7, 15);
  e.evidence.hi = master_time(5000);
  m.delta(20, kW1, 1, {e});
  EXPECT_EQ(m.core.state().find(AgentId{7})->hi, m.core.time(at(20)));
}

// ---- older copies

TEST_F(MasterCoreTest, AnEmptyLogBeginsATermAndKeepsItOverARestart) {
  EXPECT_NE(m.welcome.master, MasterId{});
  EXPECT_NE(m.welcome.term, Term{});
  Master again(m.records, "", 30, config(), 2);
  again.connect(31, kW1, hello("w1", 101));
  EXPECT_EQ(again.welcome.master, m.welcome.master);
  EXPECT_EQ(again.welcome.term, m.welcome.term);
}

TEST_F(MasterCoreTest, ALogThatMayHaveLostSomethingBeginsATerm) {
  Master again(m.records, "the end of the log was torn", 30, config(), 2);
  again.connect(31, kW1, hello("w1", 101));
  EXPECT_EQ(again.welcome.master, m.welcome.master);
  EXPECT_NE(again.welcome.term, m.welcome.term);
}

// What a worker says after it was acked `position` by this master.
Hello acked_hello(const Master& m, std::uint64_t stream, std::uint64_t position,
                  std::uint64_t first_seq = 1) {
  Hello h = hello("w1", stream, first_seq);
  h.last_master = m.welcome.master;
  h.last_term = m.welcome.term;
  h.acked_position = h.start_position = position;
  return h;
}

TEST_F(MasterCoreTest, ALogThatIsOlderThanWhatAWorkerWasAckedBeginsATermAndAllConnectAgain) {
  const std::vector<std::string> backup = m.records;
  m.delta(20, kW1, 1, {opened(7, 15)});
  const Hello h = [&] {
    Hello x = acked_hello(m, 201, 1);
    x.store = StoreId{101};
    return x;
  }();
  Master older(backup, "", 30, config(), 2);
  EXPECT_EQ(older.connect(31, kW2, hello("w2", 102)), "2 WELCOME, have seq 0");
  EXPECT_EQ(older.connect(32, kW1, h), "2 ERROR new_term fatal\n1 WELCOME, have seq 0");
  EXPECT_NE(older.welcome.term, m.welcome.term);
  EXPECT_EQ(older.welcome.master, m.welcome.master);
}

TEST_F(MasterCoreTest, AWorkerWhoseLinkBreaksBeforeItToldAnythingBeginsNoSecondTerm) {
  const std::vector<std::string> backup = m.records;
  m.delta(20, kW1, 1, {opened(7, 15)});
  Hello h = acked_hello(m, 201, 1);
  h.store = StoreId{101};
  Master older(backup, "", 30, config(), 2);
  older.connect(31, kW1, h);
  const Term term = older.welcome.term;
  older.lose(32, kW1);
  h.last_term = term;
  EXPECT_EQ(older.connect(33, ConnId{3}, h), "3 WELCOME, have seq 0");
  EXPECT_EQ(older.welcome.term, term);
  Master again(older.records, "", 40, config(), 3);
  EXPECT_EQ(again.connect(41, kW1, h), "1 WELCOME, have seq 0");
  EXPECT_EQ(again.welcome.term, term) << "nor after a restart";
}

TEST_F(MasterCoreTest, AWorkerThatClaimsToHaveBeenAckedMoreAndMoreBeginsOneTermAtMost) {
  m.lose(20, kW1);
  for (std::uint64_t i = 1; i < 5; ++i) {
    Hello h = acked_hello(m, 201, i * 1'000'000);
    h.store = StoreId{101};
    m.connect(20 + i, kW1, h);
    m.lose(20.5 + i, kW1);
  }
  const auto terms = std::ranges::count_if(m.records, [](const std::string& bytes) {
    const auto record = decode_log_record(bytes);
    return record && std::holds_alternative<TermBegun>(*record);
  });
  EXPECT_EQ(terms, 2) << "the first one is that of a new log";
}

TEST_F(MasterCoreTest, ALogThatForgotAWorkerAltogetherBeginsATerm) {
  Master fresh;
  const std::vector<std::string> backup = fresh.records;
  fresh.connect(10, kW1, hello("w1", 101));
  fresh.delta(11, kW1, 1, {opened(7, 9)});
  Hello h = acked_hello(fresh, 201, 1);
  h.store = StoreId{101};
  Master older(backup, "", 30, config(), 2);
  older.connect(31, kW1, h);
  EXPECT_NE(older.welcome.term, fresh.welcome.term);
}

TEST_F(MasterCoreTest, AStoreThatHasSaidMoreThanItRemembersIsToldSo) {
  m.delta(20, kW1, 1, {opened(7, 15), opened(8, 15), opened(9, 15)});
  m.lose(21, kW1);
  Hello h = acked_hello(m, 201, 1);
  h.store = StoreId{101};
  EXPECT_EQ(m.connect(22, ConnId{3}, h), "3 WELCOME, have seq 0, the store is older");
  EXPECT_FALSE(m.core.node_status("w1", at(22)).connected);
}

TEST_F(MasterCoreTest, ARestartedWorkerWithItsOwnStoreIsNotOlder) {
  m.delta(20, kW1, 1, {opened(7, 15)});
  m.lose(21, kW1);
  Hello h = acked_hello(m, 201, 1);
  h.store = StoreId{101};
  EXPECT_EQ(m.connect(22, ConnId{3}, h), "3 WELCOME, have seq 0");
  EXPECT_EQ(m.delta(23, ConnId{3}, 1, {opened(7, 15)}), "3 ACK 1") << "sent again, harmless";
}

// ---- bounds

TEST_F(MasterCoreTest, AskTheShellToStopReadingWhileTooMuchWaitsForTheDisk) {
  m.disk = Master::Disk::slow;
  std::uint64_t seq = 1;
  for (int i = 0; i < 200 && !m.core.congested(); ++i) {
    std::vector<Event> events;
    for (std::uint32_t a = 1; a <= 10'000; ++a) events.push_back(opened(a, 15 + i * 0.001));
    const std::size_t n = events.size();
    m.delta(20, kW1, seq, std::move(events));
    seq += n;
  }
  EXPECT_TRUE(m.core.congested());
  m.store(21);
  EXPECT_FALSE(m.core.congested());
}

TEST_F(MasterCoreTest, NobodyIsSilentWhileNothingIsRead) {
  Config c = config();
  c.ttl_us = 30 * kSecond;
  Master busy({}, "", 1, c);
  busy.connect(10, kW1, hello("w1", 101));
  busy.disk = Master::Disk::slow;
  std::uint64_t seq = 1;
  while (!busy.core.congested()) {
    std::vector<Event> events;
    for (std::uint32_t a = 1; a <= 10'000; ++a) events.push_back(opened(a, 15 + seq * 1e-6));
    const std::size_t n = events.size();
    busy.delta(20, kW1, seq, std::move(events));
    seq += n;
  }
  for (double s = 21; s <= 120; s += 1) busy.tick(s);
  EXPECT_THAT(busy.store(120), HasSubstr("1 ACK"));
  for (double s = 121; s <= 149; s += 1) busy.tick(s);
  EXPECT_TRUE(busy.closes.empty());
  busy.tick(152);
  EXPECT_EQ(busy.closes.size(), 1u);
}

TEST_F(MasterCoreTest, TimeThatStandsStillIsNobodysSample) {
  const auto answer = [&](double s) {
    Heartbeat beat;
    beat.t0 = 7;
    return std::get<HeartbeatAck>(m.core.message(kW1, beat, at(s)).send.at(0).message);
  };
  EXPECT_EQ(answer(12).t1, master_time(12).us);
  EXPECT_EQ(answer(60).t1, 0) << "nothing was reserved for so long";
}

TEST_F(MasterCoreTest, KeepsTheNewestDecisionsOnly) {
  Config c = config();
  c.keep_decisions = 3;
  Master small({}, "", 1, c);
  small.connect(10, kW1, hello("w1", 101));
  small.delta(20, kW1, 1, {opened(1, 15), opened(2, 15), opened(3, 15), opened(4, 15)});
  ASSERT_EQ(small.core.decisions().size(), 3u);
  EXPECT_EQ(small.core.decisions().back().event.agent, AgentId{4});
  EXPECT_EQ(small.core.decisions().back().number, 4u);
}

TEST_F(MasterCoreTest, DecisionsInMemoryKeepNoFields) {
  const AgentInfo info{{"name", std::string(8'000, 'x')}};
  m.delta(20, kW1, 1, {with_info(opened(7, 15), info)});
  EXPECT_EQ(m.core.decisions().back().event.info, nullptr);
  EXPECT_EQ(m.core.decisions().back().event.info_hash, hash_of(info));
  ASSERT_TRUE(m.core.state().find(AgentId{7})->info);
  EXPECT_EQ(*m.core.state().find(AgentId{7})->info, info) << "the record does";
}

// Events that are known already are not logged again, but their answers wait for the disk.
TEST_F(MasterCoreTest, AskTheShellToStopReadingWhileTooMuchWaitsToBeSaid) {
  std::vector<Event> events;
  for (std::uint32_t a = 1; a <= 8'000; ++a) events.push_back(opened(a, 15));
  m.delta(20, kW1, 1, events);
  for (Event& e : events) e = opened(static_cast<std::uint32_t>(e.agent), 16);
  m.delta(20, kW2, 1, events);  // w1's are superseded
  m.disk = Master::Disk::slow;
  std::uint64_t conn = 10;
  for (Event& e : events) e = opened(static_cast<std::uint32_t>(e.agent), 15);
  for (int i = 0; i < 100 && !m.core.congested(); ++i) {
    m.lose(21, ConnId{conn - 1});
    m.connect(21, ConnId{conn}, hello("w1", 101));
    m.delta(21, ConnId{conn++}, 1, events);
  }
  EXPECT_TRUE(m.core.congested());
  m.store(22);
  EXPECT_FALSE(m.core.congested());
}

TEST_F(MasterCoreTest, EndAConnectionThatKeepsSayingWhatMeansNothing) {
  ErrorMessage complaint;
  complaint.fatal = false;
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(m.message(20, kW1, UnknownMessage{99}), HasSubstr("unknown_type"));
    EXPECT_EQ(m.message(20, kW1, complaint), "");
  }
  EXPECT_THAT(m.closes, ::testing::IsEmpty());
  EXPECT_EQ(m.message(20, kW1, complaint), "1 ERROR protocol fatal");
  ASSERT_EQ(m.closes.size(), 1u);
  EXPECT_THAT(m.closes[0].reason, HasSubstr("mean nothing to this master"));
}

}  // namespace
}  // namespace rollcall::master
