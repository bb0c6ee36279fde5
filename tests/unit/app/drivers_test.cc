// Both drivers against disks in memory that fail, on a virtual clock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "persist/memory_event_log.h"
#include "tests/scenario/describe.h"
#include "tests/unit/app/fixture.h"

namespace rollcall::app {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

MasterTime base() {
  return {at(0)};
}

std::string describe_all(std::string_view bytes) {
  FrameReader reader(kMaxFrame);
  reader.feed(bytes);
  std::string out;
  for (;;) {
    const auto payload = reader.next();
    if (!payload || !*payload) return out;
    out += (out.empty() ? "" : "; ") + scenario::describe(*decode(**payload), base());
  }
}

std::string line_of(const Note& n) {
  std::string line = n.text;
  for (const auto& [key, value] : n.fields) line += " " + key + "=" + value;
  return line;
}

// ---- the sidecar

class SidecarDriverTest : public ::testing::Test,
                          public SidecarDriver::Link,
                          public SidecarDriver::Source,
                          public SidecarDriver::AgentMessages {
 protected:
  void SetUp() override {
    ASSERT_TRUE(driver.start({}));
    disk_turn();
    driver.tick();
    ASSERT_EQ(connects, 1);
    driver.link_connected();
    welcome();
    sent.clear();
  }

  // The master's answer to the HELLO that was sent.
  void welcome() {
    disk_turn();
    driver.link_received(app::welcome(sent, clock.now().wall_us));
    disk_turn();
  }

  void connect() override { ++connects; }
  void send(std::string bytes) override { sent += bytes; }
  void close(const std::string& reason) override { closed = reason; }
  void read_info(const std::vector<AgentId>&) override {}
  void force_reconnect(AgentId agent) override { asked.push_back(agent); }

  void disk_turn() { store.turn(); }
  void look(std::int64_t s, sidecar::RowStatus status) {
    clock.s = s;
    sidecar::Look l;
    l.started = l.finished = clock.now();
    l.rows = {{AgentId{7}, status, kWall + s - 1, 3, 0}};
    driver.look(l);
  }

  HandClock clock;
  HeldStore store;
  persist::MemorySessionStore& disk = store.disk;
  std::string sent, closed;
  int connects = 0;
  std::vector<AgentId> asked;  // to reconnect
  std::vector<std::string> notes;
  std::vector<std::string> lines;  // the same with their fields
  SidecarDriver driver{first_worker(), 1, clock, store, *this, *this, [this](const Note& n) {
                         notes.push_back(n.text);
                         lines.push_back(line_of(n));
                       }};
};

TEST_F(SidecarDriverTest, SendsNothingThatCouldNotBeStoredAndTriesAgainUntilItIs) {
  disk.set_full(true);
  look(10, sidecar::RowStatus::active);
  disk_turn();
  EXPECT_EQ(sent, "");
  EXPECT_NE(driver.store_error(), "");
  const int tried = store.commits;
  driver.tick();
  EXPECT_EQ(store.commits, tried) << "not before a second has passed";

  // Observing goes on.
  look(11, sidecar::RowStatus::disconnected);
  EXPECT_EQ(store.commits, tried) << "one batch at a time";
  for (clock.s = 12; clock.s < 20; ++clock.s) {
    driver.tick();
    disk_turn();
  }
  EXPECT_EQ(store.commits, tried + 8);
  EXPECT_EQ(sent.find("DELTA"), sent.npos);
  EXPECT_THAT(describe_all(sent), ::testing::Not(HasSubstr("DELTA")));

  sent.clear();
  disk.set_full(false);
  clock.s = 21;
  driver.tick();
  disk_turn();
  EXPECT_THAT(describe_all(sent),
              ::testing::EndsWith("DELTA 1: 7 opened 9+0; DELTA 2: 7 closed 9+1 shutdown"));
  EXPECT_EQ(driver.store_error(), "");
  EXPECT_EQ(disk.load()->outbox.size(), 2u);
}

TEST_F(SidecarDriverTest, TellsOfEachEventThatItSendsIfThatIsAskedFor) {
  bool wanted = false;
  driver.tell_each([&] { return wanted; });
  look(10, sidecar::RowStatus::active);
  disk_turn();
  EXPECT_THAT(notes, Not(Contains("the master is told")));
  wanted = true;
  look(40, sidecar::RowStatus::disconnected);
  disk_turn();
  EXPECT_THAT(lines, Contains(AllOf(HasSubstr("the master is told agent=7 node=w1 session="),
                                    HasSubstr(" event=closed "), HasSubstr(" seq=2"))));
}

TEST_F(SidecarDriverTest, MeasuresHowLongAnAckTakesAndWhatGoesOverTheLink) {
  look(10, sidecar::RowStatus::active);
  disk_turn();
  const auto before = driver.measured();
  EXPECT_GT(before.traffic.sent, 0u);
  EXPECT_EQ(before.looks.total(), 1u);
  Ack ack;
  ack.through = 1;
  clock.s = 12;
  driver.link_received(frame(ack));
  EXPECT_EQ(driver.measured().acks, before.acks + 1);
  EXPECT_EQ(driver.measured().ack_times.total(), 1u);
  EXPECT_EQ(driver.measured().ack_times.sum_us, 2 * kSecond);
  EXPECT_EQ(driver.measured().traffic.received, before.traffic.received + frame(ack).size());
}

TEST_F(SidecarDriverTest, SaysOnceThatTheStoreFailsAndOnceThatItDoesNotAnyMore) {
  notes.clear();
  disk.fail_next(3, "no space left on device");
  look(10, sidecar::RowStatus::active);
  disk_turn();
  EXPECT_EQ(driver.store_error(), "no space left on device");
  for (clock.s = 12; clock.s < 17; ++clock.s) {
    driver.tick();
    disk_turn();
  }
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_THAT(notes[0], HasSubstr("cannot be written"));
  EXPECT_THAT(notes[1], HasSubstr("again"));
}

TEST_F(SidecarDriverTest, ACrashWhileTheStoreFailsLosesOnlyWhatNobodyWasTold) {
  disk.set_full(true);
  look(10, sidecar::RowStatus::active);
  disk_turn();
  driver.stop();
  disk.crash();
  EXPECT_TRUE(disk.load()->outbox.empty());
  EXPECT_EQ(sent, "");
}

TEST_F(SidecarDriverTest, ConnectsAgainNoSoonerThanTheMasterSaid) {
  ErrorMessage e;
  e.text = "busy";
  e.code = ErrorCode::busy;
  e.retry_after_us = 100 * kSecond;
  clock.s = 20;
  driver.link_received(frame(e));
  EXPECT_EQ(closed, "busy");
  driver.link_closed("closed");
  EXPECT_EQ(driver.link_error(), "busy") << "the reason, not its consequence";
  for (clock.s = 21; clock.s < 120; ++clock.s) driver.tick();
  EXPECT_EQ(connects, 1);
  clock.s = 120;
  driver.tick();
  EXPECT_EQ(connects, 2);
}

TEST_F(SidecarDriverTest, AMasterThatWelcomesAndThenRefusesIsAskedMoreAndMoreSeldom) {
  ErrorMessage e;
  e.text = "no";
  e.code = ErrorCode::malformed;
  int within_an_hour = 0;
  for (clock.s = 20; clock.s < 3620; ++clock.s) {
    const int before = connects;
    driver.tick();
    if (connects == before) continue;
    ++within_an_hour;
    sent.clear();
    driver.link_connected();
    welcome();
    driver.link_received(frame(e));
    driver.link_closed("closed");
  }
  EXPECT_LE(within_an_hour, 400) << "a backoff grows up to 10 s and more";
}

TEST_F(SidecarDriverTest, BytesThatAreNoFrameCloseTheLink) {
  driver.link_received(std::string(8, '\xff'));
  EXPECT_NE(closed, "");
}

TEST_F(SidecarDriverTest, NothingIsSentOnALinkThatIsBeingClosed) {
  driver.link_received(std::string(8, '\xff'));
  sent.clear();
  look(10, sidecar::RowStatus::active);
  disk_turn();
  EXPECT_EQ(sent, "");
}

TEST_F(SidecarDriverTest, ADrainThatMovesNeedsAWayToTheAgents) {
  look(10, sidecar::RowStatus::active);
  sidecar::Drain drain;
  drain.move_per_s = 1;
  ASSERT_FALSE(driver.drain(drain));
  EXPECT_FALSE(driver.core().tracker().drain());
  driver.attach(*this);
  ASSERT_TRUE(driver.drain(drain));
  for (clock.s = 11; clock.s < 15; ++clock.s) driver.tick();
  EXPECT_EQ(asked, (std::vector<AgentId>{AgentId{7}}));
  ASSERT_TRUE(driver.undrain());
  EXPECT_FALSE(driver.undrain()) << "there is none to end";
}

// A drain that is restored needs no leave of the configuration.
TEST_F(SidecarDriverTest, WithoutAWayToTheAgentsNobodyCountsAsAsked) {
  look(10, sidecar::RowStatus::active);
  driver.attach(*this);
  sidecar::Drain drain;
  drain.move_per_s = 1;
  ASSERT_TRUE(driver.drain(drain));
  disk_turn();
  SidecarDriver again{first_worker(), 2, clock, store, *this, *this, [](const Note&) {}};
  ASSERT_TRUE(again.start(*disk.load()));
  for (clock.s = 11; clock.s < 15; ++clock.s) {
    again.tick();
    disk_turn();
  }
  const auto moves = again.core().status(clock.now()).moves;
  EXPECT_EQ(moves.taken, 0u);
  EXPECT_EQ(moves.failed, 1u);
  EXPECT_EQ(moves.why, "this sidecar cannot reach agents");
}

TEST_F(SidecarDriverTest, AGoodbyeIsSentAndTheLinkClosed) {
  driver.bye(ByeReason::restart, 5'000'000);
  EXPECT_EQ(describe_all(sent), "BYE");
  EXPECT_EQ(closed, "this sidecar stops");
}

TEST_F(SidecarDriverTest, WithoutAWayToAgentsACommandIsAnsweredSo) {
  look(10, sidecar::RowStatus::active);
  disk_turn();
  sent.clear();
  std::string command;
  encode_frame(Command{"c", CommandKind::restart, {{AgentId{7}, "v4.14.0"}}, 10'000'000}, command);
  driver.link_received(command);
  disk_turn();
  EXPECT_EQ(describe_all(sent), "RESULT c 7 socket: this sidecar cannot reach agents");
}

TEST_F(SidecarDriverTest, CarriesOutNothingAfterStop) {
  look(10, sidecar::RowStatus::active);
  driver.stop();
  disk_turn();
  driver.tick();
  EXPECT_EQ(sent, "");
}

// ---- the master

class MasterDriverTest : public ::testing::Test,
                         public MasterDriver::Log,
                         public MasterDriver::Links {
 protected:
  void SetUp() override {
    driver.start();
    disk_turn();
    ASSERT_TRUE(driver.ready());
    driver.link_accepted(kConn, {"w1"}, "10.0.0.1:5");
    driver.link_received(kConn, frame(hello("w1", 1)));
    disk_turn();
    sent.clear();
  }

  void append(std::vector<std::string> records, Snapshot snapshot, Done done) override {
    ++appends;
    waiting.push_back({std::move(records), std::move(snapshot), std::move(done)});
  }
  void send(master::ConnId, std::string bytes) override { sent += bytes; }
  void close(master::ConnId, const std::string& reason) override { closed = reason; }
  void pause_reading(bool p) override { paused = p; }

  void disk_turn() {
    while (!waiting.empty()) {
      Group g = std::move(waiting.front());
      waiting.pop_front();
      auto result = log.append(g.records);
      if (result && g.snapshot) {
        EXPECT_TRUE(log.write_snapshot(log.next_index() - 1, g.snapshot()));
        ++snapshots;
        snapshot_is_the_fold();
      }
      g.done(std::move(result));
    }
  }
  void delta(std::int64_t s, std::vector<Event> events) {
    clock.s = s;
    Delta d;
    d.first_seq = seq;
    d.events = std::move(events);
    seq += d.events.size();
    driver.link_received(kConn, frame(d));
  }
  static Event opened(std::uint32_t agent, std::int64_t s) {
    Event e;
    e.agent = AgentId{agent};
    e.epoch = epoch_at({at(s)});
    e.evidence = {{at(s)}, {at(s + 1)}};
    return e;
  }
  // The newest snapshot is what the records up to its index fold to, byte for byte.
  void snapshot_is_the_fold() {
    const persist::LogRecovery recovery = log.recover();
    ASSERT_TRUE(recovery.snapshot);
    master::State state;
    ASSERT_TRUE(log.for_each(1, [&](std::uint64_t index, std::string_view bytes) {
      if (index > recovery.snapshot->upto_index) return persist::Reading::kStop;
      auto record = master::decode_log_record(bytes);
      EXPECT_TRUE(record && state.apply(*record));
      return persist::Reading::kGoOn;
    }));
    EXPECT_EQ(state.encode(), recovery.snapshot->bytes);
  }

  static constexpr master::ConnId kConn{1};
  struct Group {
    std::vector<std::string> records;
    Snapshot snapshot;
    Done done;
  };
  HandClock clock;
  persist::MemoryEventLog log;
  std::deque<Group> waiting;
  std::string sent, closed;
  std::uint64_t seq = 1;
  int appends = 0, snapshots = 0;
  bool paused = false;
  std::vector<std::string> notes;
  std::vector<std::string> lines;  // the same with their fields
  MasterDriver driver{first_master(),
                      MasterDriver::Options{6},
                      master::State{},
                      "",
                      1,
                      clock,
                      *this,
                      *this,
                      [this](const Note& n) {
                        notes.push_back(n.text);
                        lines.push_back(line_of(n));
                      }};
};

TEST_F(MasterDriverTest, AcksNothingWhileTheLogFailsAndEverythingWhenItRecovers) {
  notes.clear();
  log.set_full(true);
  delta(5, {opened(7, 4)});
  disk_turn();
  delta(6, {opened(8, 5)});
  EXPECT_EQ(sent, "");
  EXPECT_NE(driver.log_error(), "");
  const int tried = appends;
  for (clock.s = 7; clock.s < 12; ++clock.s) {
    driver.tick();
    disk_turn();
  }
  EXPECT_EQ(appends, tried + 5) << "once a second";
  EXPECT_EQ(sent, "");

  log.set_full(false);
  clock.s = 13;
  driver.tick();
  disk_turn();
  EXPECT_EQ(describe_all(sent), "ACK 1; ACK 2");
  EXPECT_EQ(driver.log_error(), "");
  ASSERT_EQ(notes.size(), 2u) << "said once, and once that it is over";
  auto fold = fold_log(log, log.recover());
  ASSERT_TRUE(fold);
  EXPECT_EQ(fold->encode(), driver.core().state().encode());
}

TEST_F(MasterDriverTest, TellsOfEachDecisionIfThatIsAskedFor) {
  bool wanted = false;
  driver.tell_each([&] { return wanted; });
  delta(5, {opened(7, 4)});
  EXPECT_THAT(notes, Not(Contains("decided")));
  wanted = true;
  delta(6, {opened(8, 5)});
  EXPECT_THAT(lines, Contains("decided agent=8 node=w1 session=" + std::to_string(at(5)) +
                              " change=0 event=opened seq=2 cause=told rule=first"));
  EXPECT_EQ(std::ranges::count(notes, "decided"), 1);
}

TEST_F(MasterDriverTest, MeasuresAcksWithTheDisksTimeAndTheBytesOfEachWorker) {
  delta(5, {opened(7, 4)});
  clock.s = 8;
  disk_turn();
  const auto& measured = driver.measured();
  EXPECT_EQ(measured.ack_times.total(), 1u);
  EXPECT_EQ(measured.ack_times.sum_us, 3 * kSecond);
  ASSERT_TRUE(measured.nodes.contains("w1"));
  EXPECT_EQ(measured.nodes.at("w1").acks, 1u);
  EXPECT_GT(measured.nodes.at("w1").traffic.received, 0u);
  EXPECT_GE(measured.nodes.at("w1").traffic.sent, sent.size());
}

TEST_F(MasterDriverTest, ASnapshotIsTheFoldUpToItsIndexAlsoWhenTheLogFailedMeanwhile) {
  for (std::int64_t s = 5; s < 200; ++s) {
    if (s % 17 == 0) log.fail_next(2, "I/O error");
    delta(s, {opened(static_cast<std::uint32_t>(s % 9 + 1), s - 1)});
    if (s % 3 != 0) disk_turn();  // otherwise several frames wait for one group
    driver.tick();
  }
  for (clock.s = 200; clock.s < 205; ++clock.s) {
    driver.tick();
    disk_turn();
  }
  EXPECT_GE(snapshots, 10);
  auto fold = fold_log(log, log.recover());
  ASSERT_TRUE(fold) << fold.error().message;
  EXPECT_EQ(fold->encode(), driver.core().state().encode());
}

TEST_F(MasterDriverTest, AHistoryIsReadFromTheLogAndSaysFromWhenIfASnapshotStandsForTheRest) {
  constexpr std::uint64_t kAll = ~0ull;
  delta(5, {opened(7, 4)});
  disk_turn();
  ASSERT_EQ(snapshots, 1);
  delta(105, {opened(9, 104)});  // the time reserved in the snapshot is past
  disk_turn();
  ASSERT_EQ(snapshots, 1);

  persist::LogRecovery recovery = log.recover();
  master::History history;
  ASSERT_TRUE(fold_log(log, recovery, &history));
  EXPECT_TRUE(history.of(AgentId{7}, kAll, 10).empty());
  ASSERT_EQ(history.of(AgentId{9}, kAll, 10).size(), 1u);
  ASSERT_TRUE(history.missing_before());
  EXPECT_GT(*history.missing_before(), MasterTime{at(5)});
  EXPECT_LE(*history.missing_before(), history.of(AgentId{9}, kAll, 10)[0].at);

  recovery.snapshot.reset();
  history = master::History();
  ASSERT_TRUE(fold_log(log, recovery, &history));
  EXPECT_EQ(history.missing_before(), std::nullopt);
  const auto seven = history.of(AgentId{7}, kAll, 10);
  ASSERT_EQ(seven.size(), 1u);
  EXPECT_EQ(seven[0].at, driver.core().history().of(AgentId{7}, kAll, 10).at(0).at);
}

TEST_F(MasterDriverTest, AChangeIsDoneWhenItIsInTheLogAlsoWhileOtherGroupsAreUnderWay) {
  const auto freeze = [](master::MasterCore& core, const Now& now) {
    return core.freeze(std::nullopt, 60 * kSecond, now);
  };
  delta(5, {opened(7, 4)});  // its group is under way
  std::vector<std::string> ended;
  driver.change(freeze, [&](const auto& result) { ended.push_back(result ? "done" : "refused"); });
  EXPECT_TRUE(ended.empty());
  log.fail_next(1, "I/O error");
  disk_turn();
  EXPECT_TRUE(ended.empty());
  clock.s = 7;
  driver.tick();
  disk_turn();
  EXPECT_THAT(ended, ::testing::ElementsAre("done"));
  const auto fold = fold_log(log, log.recover());
  ASSERT_TRUE(fold);
  EXPECT_EQ(fold->frozen().size(), 1u);
}

TEST_F(MasterDriverTest, AChangeThatIsRefusedSaysSoAtOnce) {
  std::string why;
  driver.change(
      [](master::MasterCore&, const Now&) -> std::expected<master::Output, Error> {
        return std::unexpected(Error{"no"});
      },
      [&](const auto& result) { why = result ? "" : result.error().message; });
  EXPECT_EQ(why, "no");
}

TEST_F(MasterDriverTest, ALogThatDisagreesWithThisProgramIsRefusedWithTheIndex) {
  master::Decided d;
  d.node = "w1";
  d.at = {at(5)};
  d.events = {opened(7, 4)};
  d.rules = {Rule::older};
  ASSERT_TRUE(log.append(std::vector<std::string>{encode(master::LogRecord{d})}));
  const auto fold = fold_log(log, log.recover());
  ASSERT_FALSE(fold);
  EXPECT_THAT(fold.error().message,
              HasSubstr("record " + std::to_string(log.next_index() - 1) + ": "));
}

TEST_F(MasterDriverTest, BytesThatAreNoFrameCloseTheConnection) {
  driver.link_received(kConn, std::string(8, '\xff'));
  EXPECT_NE(closed, "");
  EXPECT_THAT(describe_all(sent), HasSubstr("ERROR malformed fatal"));
}

TEST_F(MasterDriverTest, AFrameInPiecesIsOneFrame) {
  Delta d;
  d.first_seq = 1;
  clock.s = 5;
  d.events = {opened(7, 4)};
  for (const char c : frame(d)) {
    EXPECT_EQ(sent, "");
    driver.link_received(kConn, std::string_view(&c, 1));
  }
  disk_turn();
  EXPECT_EQ(describe_all(sent), "ACK 1");
}

TEST_F(MasterDriverTest, ReadingPausesWhileTooMuchWaitsForTheDisk) {
  std::vector<Event> many;
  for (std::uint32_t a = 1; a <= 10'000; ++a) many.push_back(opened(a, 4));
  for (int i = 0; i < 200 && !paused; ++i) delta(5, many);
  EXPECT_TRUE(paused);
  disk_turn();
  EXPECT_FALSE(paused);
}

}  // namespace
}  // namespace rollcall::app
