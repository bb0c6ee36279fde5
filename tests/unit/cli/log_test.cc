// `rollcall log` on logs that are made here: arguments in, exit code and words out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "master/core/state.h"
#include "persist/file_event_log.h"
#include "protocol/wire.h"
#include "tests/unit/persist/temporary_directory.h"

namespace rollcall::cli {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// As versions before leases wrote it, of one node with nothing open and one agent without info.
std::string format_1(const master::State& state) {
  std::string bytes;
  wire::Packer p(bytes);
  p.array(9).u64(1).u64(std::to_underlying(state.master()));
  p.u64(std::to_underlying(state.term())).i64(state.time().until.us);
  const auto& [name, n] = *state.nodes().begin();
  p.array(1).array(8).str(name).str(n.machine).u64(std::to_underlying(n.store));
  p.u64(std::to_underlying(n.stream)).u64(n.last_seq).u64(n.position).i64(n.welcomed_at.us);
  p.array(0);
  const auto& [id, a] = *state.agents().begin();
  p.array(1).array(11).u64(std::to_underlying(id));
  p.array(3).u64(std::to_underlying(a.top.epoch)).str(a.top.node).u64(a.top.change);
  p.u64(std::to_underlying(a.phase)).u64(std::to_underlying(a.reason)).i64(a.lo.us).i64(a.hi.us);
  for (const auto& contact : a.contacts) p.array(2).str(contact.node).i64(contact.hi.us);
  p.nil().nil().nil();
  p.i64(state.time().began.us).u64(state.time().boot).i64(state.time().offset_us);
  return bytes;
}

constexpr std::int64_t kSecond = 1'000'000;
MasterTime at(std::int64_t s) {
  return {(1'700'000'000 + s) * kSecond};  // 2023-11-14T22:13:20Z and s seconds
}

Event event(std::uint32_t agent, EventKind kind, std::int64_t epoch_s, std::uint32_t change) {
  Event e;
  e.agent = AgentId{agent};
  e.kind = kind;
  e.epoch = epoch_at(at(epoch_s));
  e.change = change;
  e.evidence = {at(epoch_s), at(epoch_s + 1)};
  return e;
}

class LogCommand : public ::testing::Test {
 protected:
  struct Ended {
    int code;
    std::string output;  // both outputs, in one line
  };
  Ended log(const std::string& command, const std::string& options = "") const {
    const std::string line = std::string(ROLLCALL_TOOL) + " log " + command + " " +
                             directory_.path().string() + " " + options + " 2>&1";
    Ended ended{-1, ""};
    std::FILE* pipe = popen(line.c_str(), "r");
    std::array<char, 4096> buffer;
    while (const std::size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
      ended.output.append(buffer.data(), count);
    }
    const int status = pclose(pipe);
    if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
    return ended;
  }
  static std::string in_one_line(std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
  }

  void open(std::uint64_t segment_bytes = 1) {
    persist::LogRecovery recovery;
    auto opened = persist::FileEventLog::open(directory_.path(), {segment_bytes}, recovery);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
  }
  void append(master::LogRecord record) {
    ASSERT_TRUE(state_.apply(record));
    ASSERT_TRUE(log_->append(std::vector<std::string>{encode(record)}));
  }
  void decide(std::int64_t s, const NodeName& node, Event e) {
    master::Decided d;
    d.node = node;
    d.first_seq = ++seq_;
    d.at = at(s);
    d.events = {std::move(e)};
    append(d);
  }
  void snapshot() { ASSERT_TRUE(log_->write_snapshot(log_->next_index() - 1, state_.encode())); }
  // Records 1 to 7; agent 7 moves from w2 to w1 and w2's end comes late; snapshots up to 4 and 6.
  void make_log() {
    open();
    append(master::Genesis{MasterId{1}});
    append(master::NodeWelcomed{"w2", "m2", StoreId{2}, StreamId{2}, 1, 0, at(0)});
    append(master::NodeWelcomed{"w1", "m1", StoreId{1}, StreamId{1}, 1, 0, at(0)});
    decide(2, "w2", event(7, EventKind::opened, 1, 0));
    snapshot();
    decide(22, "w1", event(7, EventKind::opened, 20, 0));
    decide(23, "w1", event(8, EventKind::opened, 21, 0));
    snapshot();
    decide(40, "w2", event(7, EventKind::closed, 1, 1));
    ASSERT_EQ(log_->next_index(), 8u);
  }
  std::filesystem::path file(const std::string& name) const { return directory_ / name; }
  static std::string numbered(const char* begin, std::uint64_t index, const char* end) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%s%020llu%s", begin,
                  static_cast<unsigned long long>(index), end);
    return text.data();
  }
  std::filesystem::path segment(std::uint64_t first) const {
    return file(numbered("log-", first, ".seg"));
  }
  void flip(const std::filesystem::path& path, std::size_t offset) {
    auto bytes = persist::read_file(path);
    ASSERT_LT(offset, bytes.size());
    bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    persist::write_file(path, bytes);
  }

  persist::TemporaryDirectory directory_;
  std::unique_ptr<persist::FileEventLog> log_;
  master::State state_;
  std::uint64_t seq_ = 0;
};

TEST_F(LogCommand, VerifyProvesThatTheSnapshotsAreTheFoldWhileTheLogIsOpen) {
  make_log();
  const auto text = log("verify");
  EXPECT_EQ(text.code, 0) << text.output;
  EXPECT_THAT(
      in_one_line(text.output),
      AllOf(HasSubstr("The snapshot up to record 4 equals the fold of the records, byte for"),
            HasSubstr("The snapshot up to record 6 equals"), HasSubstr("It is whole.")));
  const auto object = json::parse(log("verify", "--json").output);
  EXPECT_EQ(object["whole"], true);
  EXPECT_EQ(object["first_record"], 1);
  EXPECT_EQ(object["next_record"], 8);
}

TEST_F(LogCommand, VerifyBeginsWithTheOldestSnapshotWhenRecordsWereDropped) {
  make_log();
  ASSERT_TRUE(log_->remove_segments_before(5));
  const auto text = log("verify");
  EXPECT_EQ(text.code, 0) << text.output;
  EXPECT_THAT(in_one_line(text.output),
              AllOf(HasSubstr("up to record 4 is what the log begins with"),
                    HasSubstr("up to record 6 equals the fold")));
}

TEST_F(LogCommand, VerifyNamesDamageWithFileByteAndRepair) {
  make_log();
  flip(segment(5), 70);
  const auto text = log("verify");
  EXPECT_EQ(text.code, 3);
  EXPECT_THAT(in_one_line(text.output),
              AllOf(HasSubstr(segment(5).string() + ", byte 64:"),
                    HasSubstr("rollcall log repair " + directory_.path().string() + " --drop-tail"),
                    HasSubstr("It is NOT whole.")));
}

TEST_F(LogCommand, VerifyNoticesASnapshotThatIsWholeAndSaysSomethingElse) {
  make_log();
  append(master::Genesis{MasterId{2}});
  ASSERT_TRUE(log_->write_snapshot(8, master::State{}.encode()));
  const auto text = log("verify");
  EXPECT_EQ(text.code, 3);
  EXPECT_THAT(in_one_line(text.output),
              AllOf(HasSubstr("up to record 8 is NOT the fold of the records: they differ at byte"),
                    HasSubstr("up to record 6 equals the fold")));
}

// The older version's snapshot does not say since when the lease runs and the agent is removed.
TEST_F(LogCommand, VerifyTakesSnapshotsOfALogThatAnOlderVersionBegan) {
  open();
  append(master::Genesis{MasterId{1}});
  append(master::NodeWelcomed{"w1", "m1", StoreId{1}, StreamId{1}, 1, 0, at(0)});
  append(master::NodeWelcomed{"w1", "m1", StoreId{1}, StreamId{1}, 1, 0, at(10)});
  decide(22, "w1", event(7, EventKind::opened, 20, 0));
  Event removed = event(7, EventKind::removed, 20, 1);
  removed.reason = Reason::removed;
  decide(40, "w1", removed);
  const std::string old = format_1(state_);
  ASSERT_TRUE(log_->write_snapshot(5, old));
  auto read = master::State::decode(old);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->removed(), ::testing::SizeIs(1));
  state_ = *std::move(read);
  append(master::NodeWelcomed{"w1", "m1", StoreId{1}, StreamId{1}, 3, 0, at(50)});
  snapshot();
  const auto ended = log("verify");
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(
      in_one_line(ended.output),
      AllOf(HasSubstr("up to record 5 equals the fold of the records, but for since when"),
            HasSubstr("up to record 6 equals the fold of the records, but for since when")));
}

TEST_F(LogCommand, VerifyPlacesARecordThatThisProgramDecidesOtherwise) {
  make_log();
  master::Decided d;
  d.node = "w1";
  d.at = at(50);
  d.events = {event(9, EventKind::opened, 49, 0)};
  d.rules = {Rule::older};
  ASSERT_TRUE(log_->append(std::vector<std::string>{encode(master::LogRecord{d})}));
  const auto text = log("verify");
  EXPECT_EQ(text.code, 3);
  EXPECT_THAT(in_one_line(text.output),
              AllOf(HasSubstr("CANNOT BE FOLDED: record 8, in the group at byte 64 of " +
                              segment(8).string()),
                    HasSubstr("was decided as older, this program decides first")));
}

TEST_F(LogCommand, WhatCannotBeWrittenIsNotDone) {
  make_log();
  for (const char* command : {"export", "verify"}) {
    const auto ended = log(command, "2>&1 >/dev/full #");
    EXPECT_EQ(ended.code, 1) << command;
    EXPECT_THAT(ended.output, AllOf(HasSubstr("not all of the output could be written"),
                                    HasSubstr("No space left")));
  }
}

TEST_F(LogCommand, ATornTailIsNoDamage) {
  make_log();
  persist::write_file(segment(7), persist::read_file(segment(7)).substr(0, 80));
  const auto text = log("verify");
  EXPECT_EQ(text.code, 0) << text.output;
  EXPECT_THAT(in_one_line(text.output), HasSubstr("bytes are no whole group"));
}

TEST_F(LogCommand, ReplayShowsTheTableOfAnyRecordAndOfAnyMoment) {
  make_log();
  const auto owner = [&](const std::string& options) {
    const auto ended = log("replay", options + " --agent 7 --json");
    EXPECT_EQ(ended.code, 0) << ended.output;
    return json::parse(ended.output)["agents"][0]["node"].get<std::string>();
  };
  EXPECT_EQ(owner("--until-record 4"), "w2");
  EXPECT_EQ(owner("--until-record 5"), "w1");
  EXPECT_EQ(owner("--until-record 99"), "w1");
  EXPECT_EQ(owner("--until 2023-11-14T22:13:41.999Z"), "w2");
  EXPECT_EQ(owner("--until 2023-11-14T22:13:42Z"), "w1");
  EXPECT_EQ(owner("--until " + std::to_string(at(22).us)), "w1");
  const auto text = log("replay", "--until-record 6");
  EXPECT_THAT(text.output,
              AllOf(HasSubstr("after record 6, of 2 agents"), HasSubstr("LAST REPORTED"),
                    HasSubstr(" 7  active  w1    2023-11-14T22:13:41")));
}

TEST_F(LogCommand, ReplayRefusesWhatWasDropped) {
  make_log();
  ASSERT_TRUE(log_->remove_segments_before(5));
  for (const std::string options : {"--until-record 3", "--until 2023-11-14T22:13:21Z"}) {
    const auto ended = log("replay", options);
    EXPECT_EQ(ended.code, 1) << options;
    EXPECT_THAT(ended.output, HasSubstr("not kept ([store] retention, max_size)")) << options;
  }
  EXPECT_EQ(log("replay", "--until-record 4").code, 0);
}

TEST_F(LogCommand, ExportPrintsOneObjectForEachRecord) {
  make_log();
  std::vector<json> records;
  std::istringstream lines(log("export", "--json").output);
  for (std::string line; std::getline(lines, line);) records.push_back(json::parse(line));
  ASSERT_EQ(records.size(), 7u);
  EXPECT_EQ(records[0]["record"], "genesis");
  EXPECT_EQ(records[6]["index"], 7);
  EXPECT_EQ(records[6]["events"][0]["rule"], "older");
  EXPECT_EQ(records[6]["events"][0]["accepted"], false);
  EXPECT_EQ(records[4]["events"][0]["version"]["node"], "w1");
}

TEST_F(LogCommand, ExportTakesBoundsAndAnAgent) {
  make_log();
  const auto indexes = [&](const std::string& options) {
    std::vector<int> found;
    std::istringstream lines(log("export", options).output);
    for (std::string line; std::getline(lines, line);) found.push_back(json::parse(line)["index"]);
    return found;
  };
  EXPECT_THAT(indexes("--agent 7"), ::testing::ElementsAre(4, 5, 7));
  EXPECT_THAT(indexes("--from 3 --to 5"), ::testing::ElementsAre(3, 4, 5));
  EXPECT_THAT(indexes("--from 2023-11-14T22:13:43Z"), ::testing::ElementsAre(6, 7));
  EXPECT_THAT(indexes("--to 2023-11-14T22:13:42Z --agent 7"), ::testing::ElementsAre(4, 5));
  EXPECT_THAT(indexes("--agent 99"), ::testing::IsEmpty());
}

TEST_F(LogCommand, RepairSaysWhatItWouldDoAndDoesItOnlyWhenTold) {
  make_log();
  flip(segment(7), 70);
  persist::write_file(segment(8), "no segment");
  log_.reset();
  const auto before = persist::read_file(segment(7));
  EXPECT_EQ(log("repair").code, 3);
  EXPECT_EQ(persist::read_file(segment(7)), before);
  EXPECT_EQ(log("repair", "--drop-tail").code, 0);
  EXPECT_EQ(log("verify").code, 0);
  EXPECT_EQ(log("repair").code, 0);
}

TEST_F(LogCommand, RepairIsRefusedWhileAMasterHasTheLog) {
  make_log();
  flip(segment(5), 70);
  const auto ended = log("repair", "--drop-tail");
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.output, HasSubstr("log"));
}

TEST_F(LogCommand, BadInputIsCalledWronglyOrFails) {
  EXPECT_EQ(log("verify").code, 1);  // an empty directory
  make_log();
  EXPECT_EQ(log("replay").code, 2);
  EXPECT_EQ(log("replay", "--until-record 3 --until 2023-11-14T22:13:42Z").code, 2);
  EXPECT_EQ(log("replay", "--until yesterday").code, 2);
  EXPECT_EQ(log("export", "--agent 0").code, 2);
  EXPECT_EQ(log("export", "--to x").code, 2);
  EXPECT_EQ(log("no-such-command").code, 2);
  EXPECT_THAT(log("replay", "--until yesterday").output, HasSubstr("2026-11-23T02:40:10.123Z"));
}

}  // namespace
}  // namespace rollcall::cli
