// A power cut after any operation of a master's disk: what the master had said to anybody before
// the cut (ACK, WELCOME, the time) is in the log that is found afterwards. The master is the real
// one down to FileEventLog; only the disk below it, the links and the clock are exchanged.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <random>

#include "app/master_driver.h"
#include "persist/file_event_log.h"
#include "protocol/codec.h"
#include "tests/unit/persist/faulty_file_ops.h"
#include "tests/unit/persist/recording_file_ops.h"

namespace rollcall {
namespace {

using persist::DataFate;
using persist::Journal;
using persist::NameFate;
using persist::RecordingFileOps;

constexpr master::ConnId kConns[] = {master::ConnId{1}, master::ConnId{2}};
const NodeName kNodes[] = {"w1", "w2"};
const persist::LogOptions kSmallSegments{.segment_bytes = 2'000};

class ManualClock final : public app::Clock {
 public:
  Now now() override { return {1'700'000'000'000'000 + t_us_, t_us_, t_us_}; }
  std::string boot_id() override { return "one"; }
  void advance(std::int64_t us) { t_us_ += us; }

 private:
  std::int64_t t_us_ = 1'000'000;
};

// The disk thread, in one thread: an append is carried out at once or a while later.
class SteppedLog final : public app::MasterDriver::Log {
 public:
  enum class Says { after_commit, before_commit };
  SteppedLog(persist::EventLog& log, Says says) : log_(log), says_(says) {}
  void append(std::vector<std::string> records, Snapshot snapshot, Done done) override {
    ASSERT_FALSE(job_) << "one group at a time";
    job_ = [this, records = std::move(records), snapshot = std::move(snapshot),
            done = std::move(done)] {
      if (says_ == Says::before_commit) done({});
      auto result = log_.append(records);
      if (result && snapshot) {
        ASSERT_TRUE(log_.write_snapshot(log_.next_index() - 1, snapshot()));
      }
      if (says_ == Says::after_commit) done(result);
    };
  }
  bool step() {
    if (!job_) return false;
    std::exchange(job_, nullptr)();
    return true;
  }

 private:
  persist::EventLog& log_;
  const Says says_;
  std::function<void()> job_;
};

// What was said before a cut.
struct Said {
  std::uint64_t through[2] = {0, 0};
  bool welcomed[2] = {false, false};
  MasterId master{};
  Term term{};
  std::int64_t time_us = 0;
};

// Writes down in the journal what goes to the workers, where it comes between the disk's doings.
class RecordingLinks final : public app::MasterDriver::Links {
 public:
  explicit RecordingLinks(Journal& journal) : journal_(journal) {}
  void send(master::ConnId conn, std::string bytes) override {
    FrameReader reader(kMaxFrame);
    reader.feed(bytes);
    const std::size_t who = conn == kConns[0] ? 0 : 1;
    for (auto payload = reader.next(); payload && *payload; payload = reader.next()) {
      const auto message = decode(**payload);
      ASSERT_TRUE(message);
      if (const auto* w = std::get_if<Welcome>(&*message)) {
        said_.welcomed[who] = true;
        said_.master = w->master;
        said_.term = w->term;
        said_.time_us = std::max(said_.time_us, w->t2);
      } else if (const auto* a = std::get_if<Ack>(&*message)) {
        said_.through[who] = std::max(said_.through[who], a->through);
      } else if (const auto* h = std::get_if<HeartbeatAck>(&*message)) {
        said_.time_us = std::max(said_.time_us, h->t2);
      } else {
        ASSERT_FALSE(std::get_if<ErrorMessage>(&*message)) << std::get<ErrorMessage>(*message).text;
        continue;
      }
      history_.push_back(said_);
      journal_.record_marker("said");
    }
  }
  void close(master::ConnId, const std::string& reason) override { ADD_FAILURE() << reason; }
  void pause_reading(bool) override {}

  // `marker` as many as the journal has before a cut.
  Said after(std::size_t markers) const { return markers == 0 ? Said{} : history_[markers - 1]; }

 private:
  Journal& journal_;
  Said said_;
  std::vector<Said> history_;
};

struct Fates {
  DataFate data;
  NameFate names;
};

class MasterPowerCut : public testing::TestWithParam<Fates> {
 protected:
  // Two workers tell of agents that move between them, while the disk takes its time.
  void storm(const std::filesystem::path& directory, std::uint64_t seed, SteppedLog::Says says) {
    RecordingFileOps ops(directory, disk_, journal_);
    persist::LogRecovery recovery;
    auto file = persist::FileEventLog::open(directory, kSmallSegments, recovery, ops);
    ASSERT_TRUE(file) << file.error().message;
    auto state = app::fold_log(**file, recovery);
    ASSERT_TRUE(state);
    ManualClock clock;
    SteppedLog log(**file, says);
    master::MasterCore::Config config;
    config.heartbeat_us = 1'000'000'000;
    config.ttl_us = 3'000'000'000;
    app::MasterDriver driver(config, {.snapshot_every = 25}, std::move(*state), "", seed, clock,
                             log, links_, [](const Note&) {});
    driver.start();
    while (!driver.ready()) {
      log.step();
      driver.tick();
    }
    auto tell = [&](std::size_t who, const Message& message) {
      std::string bytes;
      encode_frame(message, bytes);
      driver.link_received(kConns[who], bytes);
    };
    for (std::size_t who : {0u, 1u}) {
      driver.link_accepted(kConns[who], {kNodes[who]}, "test");
      Hello hello;
      hello.cluster = config.cluster;
      hello.node = kNodes[who];
      hello.machine = "m";
      hello.store = StoreId{who + 1};
      hello.stream = StreamId{who + 11};
      hello.t0 = clock.now().boot_us;
      tell(who, hello);
    }
    while (log.step()) {
    }
    std::mt19937_64 random(seed);
    std::uint64_t seq[2] = {0, 0};
    for (int step = 0; step < 90; ++step) {
      clock.advance(static_cast<std::int64_t>(random() % 200'000));
      const std::size_t who = random() % 2;
      if (random() % 8 == 0) {
        tell(who, Heartbeat{seq[who], 1, clock.now().boot_us});
      } else {
        Delta delta;
        delta.first_seq = seq[who] + 1;
        for (auto n = random() % 3 + 1; n > 0; --n) {
          Event e;
          e.agent = AgentId{static_cast<std::uint32_t>(random() % 5 + 1)};
          e.epoch = Epoch{static_cast<std::uint64_t>(clock.now().wall_us)};
          e.change = static_cast<std::uint32_t>(random() % 3);
          e.kind = random() % 3 ? EventKind::opened : EventKind::closed;
          e.evidence = {{clock.now().wall_us}, {clock.now().wall_us}};
          told_[who].push_back(e);
          delta.events.push_back(std::move(e));
        }
        seq[who] += delta.events.size();
        delta.position = seq[who];
        tell(who, delta);
      }
      while (random() % 3 != 0 && log.step()) {
      }
      driver.tick();
    }
    while (log.step()) {
    }
    ASSERT_EQ(links_.after(journal_.markers_before(journal_.size()).size()).through[0], seq[0]);
  }

  // What of that is not in the log that is found there; empty if all is.
  std::string missing(const std::filesystem::path& directory, const Said& said) {
    persist::LogRecovery recovery;
    auto file = persist::FileEventLog::open(directory, kSmallSegments, recovery, disk_);
    if (!file) return file.error().message;
    const auto state = app::fold_log(**file, recovery);
    if (!state) return state.error().message;
    if (said.master != MasterId{} && (state->master() != said.master || state->term() != said.term))
      return "the master or its term";
    if (state->time().until.us < said.time_us) return "the time";
    for (std::size_t who : {0u, 1u}) {
      const NodeName& node = kNodes[who];
      if (!said.welcomed[who]) continue;
      if (!state->nodes().contains(node)) return node;
      if (state->nodes().at(node).last_seq < said.through[who]) return "the last seq of " + node;
      for (std::uint64_t seq = 1; seq <= said.through[who]; ++seq) {
        const Event& e = told_[who][seq - 1];
        const AgentRecord* record = state->find(e.agent);
        if (!record || record->top < Version{e.epoch, node, e.change})
          return node + " seq " + std::to_string(seq);
      }
    }
    return "";
  }

  // The first that is missing after any cut.
  std::string first_missing() {
    const auto entries = journal_.entries();
    EXPECT_GT(entries.size(), 250u);
    for (std::size_t cut = 0; cut <= entries.size(); ++cut) {
      const persist::TemporaryDirectory after;
      persist::PowerCut(GetParam().data, GetParam().names, cut).rebuild(entries, cut, after.path());
      const Said said = links_.after(journal_.markers_before(cut).size());
      if (auto what = missing(after.path(), said); !what.empty())
        return "cut after operation " + std::to_string(cut) + ": " + what;
    }
    return "";
  }

  persist::UnsyncedFileOps disk_;
  Journal journal_;
  RecordingLinks links_{journal_};
  std::vector<Event> told_[2];
};

TEST_P(MasterPowerCut, NothingThatWasSaidIsMissing) {
  const persist::TemporaryDirectory directory;
  ASSERT_NO_FATAL_FAILURE(storm(directory.path(), 7, SteppedLog::Says::after_commit));
  EXPECT_EQ(first_missing(), "");
}

// The test itself: whoever speaks before the commit is caught.
TEST_P(MasterPowerCut, AMasterThatSpeaksBeforeItsCommitIsCaught) {
  const persist::TemporaryDirectory directory;
  ASSERT_NO_FATAL_FAILURE(storm(directory.path(), 7, SteppedLog::Says::before_commit));
  EXPECT_NE(first_missing(), "");
}

INSTANTIATE_TEST_SUITE_P(Disks, MasterPowerCut,
                         testing::Values(Fates{DataFate::kLost, NameFate::kLost},
                                         Fates{DataFate::kKept, NameFate::kSome},
                                         Fates{DataFate::kCutShort, NameFate::kKept},
                                         Fates{DataFate::kZeros, NameFate::kSome},
                                         Fates{DataFate::kSomeSectors, NameFate::kKept}));

}  // namespace
}  // namespace rollcall
