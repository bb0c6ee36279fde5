#include "sidecar/source/wazuh_db_source.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/support/standin_server.h"
#include "tests/unit/sidecar_source/fake_remoted.h"

namespace rollcall::sidecar {
namespace {

using rollcall::sidecar::test::FakeRemoted;
using rollcall::testing::Fault;
using rollcall::testing::StandinServer;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class RealClock final : public app::Clock {
 public:
  Now now() override {
    const auto us = [](auto time) {
      return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
    };
    const auto mono = us(std::chrono::steady_clock::now());
    return {us(std::chrono::system_clock::now()), mono, mono};
  }
  std::string boot_id() override { return "boot"; }
};

class WazuhDbSourceTest : public ::testing::Test {
 protected:
  explicit WazuhDbSourceTest(rollcall::testing::StandinOptions standin = {})
      : server_(std::move(standin)) {
    std::string name = ::testing::TempDir() + "rollcall-source-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    ::chmod(folder_.c_str(), 0755);
    options_.socket_path = folder_ + "/wdb";
    options_.client_keys_path = folder_ + "/client.keys";
    options_.config_path = folder_ + "/ossec.conf";
    options_.remoted_path = folder_ + "/remote";
    options_.poll = 10ms;
    options_.scan = 0us;  // each look reads the whole table, unless a test says otherwise
    options_.backoff = {.base = 1ms, .cap = 5ms};
  }

  // Whatever a test did, the observer only read, and asked for nothing secret or long.
  void TearDown() override {
    source_.reset();
    EXPECT_TRUE(loop_.close());
    const auto stats = server_.stats();
    EXPECT_EQ(stats.forbidden, 0u);
    EXPECT_EQ(stats.non_select_sql, 0u);
    EXPECT_EQ(stats.secret_reads, 0u);
    EXPECT_EQ(stats.oversize_requests, 0u);
    EXPECT_LE(stats.largest_request, kMaxRequestBytes);
    EXPECT_EQ(stats.partial_frames, 0u) << "header and body in one write";
    EXPECT_THAT(stats.commands, Each(Key("sql")));
    server_.stop();
    std::filesystem::remove_all(folder_);
  }

  void serve() {
    const auto started = server_.start(options_.socket_path);
    ASSERT_TRUE(started) << started.error();
  }
  void sql(const std::string& statement) {
    ASSERT_THAT(server_.ask("global sql " + statement), ::testing::StartsWith("ok")) << statement;
  }
  void enrol(int first, int last) {
    sql("WITH RECURSIVE n(i) AS (SELECT " + std::to_string(first) +
        " UNION ALL SELECT i+1 FROM n WHERE i<" + std::to_string(last) +
        ") INSERT INTO agent (id,name,version,os_uname,date_add,last_keepalive,"
        "connection_status,node_name)"
        " SELECT i,'agent-'||i,'Wazuh v4.14.7','Linux',1,1795373635,'active','worker-1' FROM n");
  }

  WazuhDbSource& observe() {
    source_.emplace(
        loop_, clock_, options_,
        WazuhDbSource::Events{
            .on_look =
                [this](Look look) {
                  looks_.push_back(std::move(look));
                  if (in_look_) in_look_();
                },
            .on_look_failed =
                [this](const std::string& reason) {
                  failures_.push_back(reason);
                  failed_at_us_.push_back(clock_.now().mono_us);
                },
            .on_info = [this](AgentId agent, AgentInfo info) { infos_.emplace_back(agent, info); },
            .on_note = [this](const Note& note) { notes_.push_back(note.text); },
        });
    source_->start();
    return *source_;
  }

  // Runs the loop until `reached()`. A test that waits in vain fails here.
  void until(std::function<bool()> reached) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    bool late = false;
    net::Timer watch(loop_);
    watch.repeat(1ms, [&] {
      late = std::chrono::steady_clock::now() > deadline;
      if (late || reached()) loop_.stop();
    });
    loop_.run();
    ASSERT_FALSE(late) << "never happened; last error: " << source_->status().last_error;
  }
  void until_looks(std::size_t more) {
    until([this, wanted = looks_.size() + more] { return looks_.size() >= wanted; });
  }
  void until_failures(std::size_t more) {
    until([this, wanted = failures_.size() + more] { return failures_.size() >= wanted; });
  }
  // Observes until that fails, as a user who may nothing; root may everything.
  void fail_as_nobody() {
    const bool root = ::geteuid() == 0;
    if (root) {
      ASSERT_EQ(::seteuid(65534), 0);
    }
    observe();
    until_failures(1);
    if (root) {
      ASSERT_EQ(::seteuid(0), 0);
    }
  }

  std::string folder_;
  StandinServer server_;
  net::Loop loop_;
  RealClock clock_;
  WazuhDbSource::Options options_;
  std::optional<WazuhDbSource> source_;

  std::function<void()> in_look_;
  std::vector<Look> looks_;
  std::vector<std::string> failures_;
  std::vector<std::int64_t> failed_at_us_;
  std::vector<std::pair<AgentId, AgentInfo>> infos_;
  std::vector<std::string> notes_;
};

// ---- looks

TEST_F(WazuhDbSourceTest, ALookHasEveryRowAndTheTimesAroundIt) {
  serve();
  enrol(1, 5'000);
  options_.poll = 1h;
  const Now before = clock_.now();
  observe();
  until_looks(1);
  const Now after = clock_.now();
  const Look& look = looks_[0];
  ASSERT_THAT(look.rows, SizeIs(5'000));
  EXPECT_EQ(
      look.rows[4'999],
      (Row{.agent = AgentId{5'000}, .status = RowStatus::active, .keepalive_s = 1'795'373'635}));
  EXPECT_TRUE(look.complete);
  EXPECT_EQ(look.no_agents_enrolled, std::nullopt);
  EXPECT_LE(before.mono_us, look.started.mono_us);
  EXPECT_LT(look.started.mono_us, look.finished.mono_us);
  EXPECT_LE(look.finished.mono_us, after.mono_us);
  const auto status = source_->status();
  EXPECT_TRUE(status.connected);
  EXPECT_EQ(status.connection, look.connection);
  EXPECT_GE(status.looks, 1u);
  EXPECT_EQ(status.failures, 0u);
  EXPECT_EQ(status.last_rows, 5'000u);
  EXPECT_EQ(status.last_requests, 6u);
  EXPECT_EQ(status.scans, 1u);
  EXPECT_EQ(status.table_rows, 5'000u);
  EXPECT_THAT(look.prints, SizeIs(5'000));
  EXPECT_GT(status.last_bytes, 5'000u * 20);
  EXPECT_GT(status.last_look_us, 0);
  EXPECT_EQ(status.page_size, 1'000u);
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(WazuhDbSourceTest, LooksStartAPollApartOnOneConnection) {
  serve();
  enrol(1, 10);
  options_.poll = 20ms;
  observe();
  until_looks(5);
  for (std::size_t i = 1; i < looks_.size(); ++i) {
    EXPECT_GE(looks_[i].started.mono_us, looks_[i - 1].finished.mono_us);
    // A timer may be early by the time that its turn of the loop took.
    EXPECT_GE(looks_[i].started.mono_us - looks_[i - 1].started.mono_us, 15'000);
    EXPECT_EQ(looks_[i].connection, looks_[0].connection);
  }
  EXPECT_EQ(server_.stats().connections, 1u);
}

TEST_F(WazuhDbSourceTest, LooksThatTakeLongerThanAPollDoNotOverlap) {
  serve();
  enrol(1, 3'000);
  server_.set_fault({Fault::Kind::kSlow, 15});
  observe();
  until_looks(3);
  for (std::size_t i = 1; i < looks_.size(); ++i) {
    EXPECT_GE(looks_[i].started.mono_us, looks_[i - 1].finished.mono_us);
    EXPECT_THAT(looks_[i].rows, SizeIs(3'000));
  }
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(WazuhDbSourceTest, CutRepliesAreAskedAgainWithinTheSameLook) {
  serve();
  enrol(1, 300);
  server_.set_fault({Fault::Kind::kTruncate, 1'000});
  observe();
  until_looks(2);
  EXPECT_THAT(looks_[0].rows, SizeIs(300));
  EXPECT_THAT(looks_[1].rows, SizeIs(300));
  EXPECT_LT(source_->status().page_size, 100u);
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(WazuhDbSourceTest, OnlyRowsOfTheNamedNodeAreSeen) {
  serve();
  enrol(1, 10);
  sql("UPDATE agent SET node_name='master' WHERE id=4");
  options_.only_node_name = "master";
  observe();
  until_looks(1);
  ASSERT_THAT(looks_[0].rows, SizeIs(1));
  EXPECT_EQ(looks_[0].rows[0].agent, AgentId{4});
}

// ---- what may have changed

class WazuhDbWindow : public WazuhDbSourceTest {
 protected:
  WazuhDbWindow() { options_.scan = 1h; }

  void keepalive(int id) {
    ASSERT_EQ(server_.ask("global update-keepalive {\"id\":" + std::to_string(id) +
                          ",\"connection_status\":\"active\",\"sync_status\":\"synced\"}"),
              "ok");
  }
  // The first row of an agent in a look that did not read everything.
  std::optional<Row> changed(std::uint32_t id) const {
    for (const Look& look : looks_) {
      for (const Row& row : look.rows) {
        if (!look.complete && row.agent == AgentId{id}) return row;
      }
    }
    return std::nullopt;
  }
};

TEST_F(WazuhDbWindow, AfterTheFirstLookOnlyWhatMayHaveChangedIsRead) {
  serve();
  enrol(1, 3'000);
  observe();
  until_looks(3);
  EXPECT_TRUE(looks_[0].complete);
  EXPECT_THAT(looks_[0].rows, SizeIs(3'000));
  for (std::size_t i = 1; i < looks_.size(); ++i) {
    EXPECT_FALSE(looks_[i].complete);
    EXPECT_LT(looks_[i].from_s, looks_[i].to_s);
    EXPECT_THAT(looks_[i].rows, IsEmpty());
    EXPECT_EQ(looks_[i].no_agents_enrolled, std::nullopt);
  }
  keepalive(7);
  until([this] { return changed(7).has_value(); });
  EXPECT_GE(changed(7)->keepalive_s, looks_.back().from_s);
  EXPECT_EQ(source_->status().scans, 1u);
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(WazuhDbWindow, AQuietSecondCostsOneRequestAndNoPage) {
  serve();
  enrol(1, 3'000);
  observe();
  until_looks(2);  // the version was asked for
  const auto requests = server_.stats().requests;
  const auto rows = server_.stats().rows_out;
  const auto looks = looks_.size();
  until_looks(5);
  // One of them may be under way.
  EXPECT_LE(server_.stats().requests, requests + looks_.size() - looks + 1);
  EXPECT_EQ(server_.stats().rows_out, rows);
  EXPECT_EQ(source_->status().last_requests, 1u);
}

TEST_F(WazuhDbWindow, EverythingIsReadWhenTheWallClockWasSet) {
  serve();
  enrol(1, 20);
  observe();
  until_looks(3);
  server_.set_now_offset(-7'200);
  keepalive(7);
  until([this] { return source_->status().scans == 2; });
  EXPECT_THAT(looks_.back().rows, SizeIs(20));
  until_looks(2);
  keepalive(8);
  until([this] { return changed(8).has_value(); });
  EXPECT_EQ(source_->status().scans, 2u) << "from then on by the clock as it is";
}

TEST_F(WazuhDbWindow, EverythingIsReadAfterAReconnect) {
  serve();
  enrol(1, 20);
  observe();
  until_looks(3);
  server_.stop();
  until_failures(1);
  serve();
  until_looks(2);
  EXPECT_EQ(source_->status().scans, 2u);
}

TEST_F(WazuhDbWindow, EverythingIsReadEachScan) {
  serve();
  enrol(1, 20);
  options_.scan = 50ms;
  observe();
  until([this] { return source_->status().scans >= 3; });
  EXPECT_GT(looks_.size(), source_->status().scans);
  for (const Look& look : looks_) EXPECT_THAT(look.rows, SizeIs(look.complete ? 20 : 0));
}

TEST_F(WazuhDbWindow, AReconnectWithinOneSecondIsAVisit) {
  serve();
  enrol(1, 3);
  // A second that has not come yet, so that it is still running at every look of this test.
  sql("UPDATE agent SET last_keepalive=strftime('%s','now')+30 WHERE id=2");
  observe();
  until([this] { return changed(2).has_value() && !source_->status().wazuh.empty(); });
  EXPECT_EQ(changed(2)->visits, 0u);
  sql("UPDATE agent SET sync_status='syncreq' WHERE id=2");
  until([this] { return looks_.back().rows.size() == 1 && looks_.back().rows[0].visits == 1; });
  EXPECT_EQ(source_->status().hints, 1u);
}

// ---- which Wazuh it is

TEST_F(WazuhDbSourceTest, TheVersionIsShownAndGovernsWhatIsExpectedOfAgents) {
  serve();
  enrol(1, 1);
  sql("UPDATE agent SET version='Wazuh v4.14.7' WHERE id=0");
  observe();
  until([this] { return !looks_.empty() && looks_.back().defaults.keepalive_us != 0; });
  EXPECT_EQ(source_->status().wazuh, "4.14.7");
  EXPECT_EQ(looks_.back().defaults.keepalive_us, 20'000'000);
  EXPECT_EQ(looks_.back().defaults.agent_timeout_us, 900'000'000);

  std::ofstream(options_.config_path)
      << "<global><agents_disconnection_time>2m</agents_disconnection_time></global>";
  until([this] { return looks_.back().defaults.agent_timeout_us == 120'000'000; });
}

class OlderWazuh : public WazuhDbSourceTest {
 protected:
  OlderWazuh() : WazuhDbSourceTest(older()) {}

 private:
  static rollcall::testing::StandinOptions older() {
    rollcall::testing::StandinOptions options;
    options.flavour = rollcall::testing::WazuhFlavour::k4_11;
    return options;
  }
};

TEST_F(OlderWazuh, IsLookedAtInTheSameWayWithItsOwnDefaultsAndNoHints) {
  serve();
  enrol(1, 3);
  options_.scan = 1h;
  sql("UPDATE agent SET last_keepalive=strftime('%s','now')+30 WHERE id=2");
  observe();
  until([this] { return looks_.size() > 1 && looks_.back().defaults.keepalive_us == 10'000'000; });
  EXPECT_EQ(source_->status().wazuh, "4.12 or earlier");
  EXPECT_EQ(looks_.back().defaults.agent_timeout_us, 600'000'000);
  sql("UPDATE agent SET sync_status='syncreq' WHERE id=2");
  until_looks(3);
  EXPECT_EQ(source_->status().hints, 0u) << "a keepalive leaves the same mark";
  EXPECT_THAT(looks_.back().rows, SizeIs(1));
}

// ---- remoted's counters

TEST_F(OlderWazuh, AStartThatRemotedCountedOnARowThatStayedTheSameIsAVisit) {
  serve();
  enrol(1, 3);
  options_.scan = 1h;
  // Gone, in a second that is still running at every look of this test.
  sql("UPDATE agent SET last_keepalive=strftime('%s','now')+30,connection_status='disconnected',"
      "disconnection_time=strftime('%s','now')+30 WHERE id=2");
  FakeRemoted remoted(loop_, options_.remoted_path);
  remoted.counts = {{2, {7, 1, 2}}};
  observe();
  until([this] { return source_->status().remoted == true && looks_.size() > 3; });
  EXPECT_EQ(source_->status().hints, 0u);
  EXPECT_THAT(remoted.asked, Each(std::string(R"({"command":"getagentsstats",)"
                                              R"("parameters":{"agents":[2]}})")));
  // Whatever was counted while a look was under way belongs to neither side of it.
  remoted.busy = true;
  until([this] { return looks_.back().rows.size() == 1 && looks_.back().rows[0].visits > 0; });
  EXPECT_GT(source_->status().hints, 0u);
}

TEST_F(OlderWazuh, WithoutRemotedLooksGoOnInSilence) {
  serve();
  enrol(1, 1);
  options_.scan = 1h;
  sql("UPDATE agent SET last_keepalive=strftime('%s','now')+30,connection_status='disconnected'");
  observe();
  until([this] { return source_->status().remoted == false; });
  until_looks(3);
  EXPECT_THAT(failures_, IsEmpty());
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(OlderWazuh, RemotedIsNotAskedWhileNobodyMayHideAVisit) {
  serve();
  enrol(1, 3);
  options_.scan = 1h;
  FakeRemoted remoted(loop_, options_.remoted_path);
  observe();
  until_looks(4);
  EXPECT_THAT(remoted.asked, IsEmpty());
  EXPECT_EQ(source_->status().remoted, std::nullopt);
}

// ---- an empty table

TEST_F(WazuhDbSourceTest, WithoutAnAgentOfThisNodeOthersShowThatTheTableIsRead) {
  serve();
  enrol(1, 10);
  std::ofstream(options_.client_keys_path) << "001 here any 6d79\n";
  options_.only_node_name = "master";
  observe();
  until_looks(1);
  EXPECT_THAT(looks_[0].rows, IsEmpty());
  EXPECT_EQ(looks_[0].no_agents_enrolled, true);
}

TEST_F(WazuhDbSourceTest, AnEmptyTableWithoutClientKeysLeavesTheQuestionOpen) {
  serve();
  observe();
  until_looks(1);
  EXPECT_THAT(looks_[0].rows, IsEmpty());
  EXPECT_EQ(looks_[0].no_agents_enrolled, std::nullopt);
}

TEST_F(WazuhDbSourceTest, AnEmptyTableIsComparedWithClientKeys) {
  serve();
  std::ofstream(options_.client_keys_path) << "001 !gone any 6d79\n";
  observe();
  until_looks(1);
  EXPECT_EQ(looks_.back().no_agents_enrolled, true);
  std::ofstream(options_.client_keys_path) << "001 here any 6d79\n";
  until_looks(2);
  EXPECT_EQ(looks_.back().no_agents_enrolled, false);
  enrol(1, 1);
  until_looks(2);
  EXPECT_EQ(looks_.back().no_agents_enrolled, std::nullopt) << "asked only of an empty table";
}

// ---- faults

struct FaultCase {
  const char* name;
  Fault::Kind kind;
  const char* words;
};
class EachFault : public WazuhDbSourceTest, public ::testing::WithParamInterface<FaultCase> {};
INSTANTIATE_TEST_SUITE_P(
    WazuhDbSourceTest, EachFault,
    ::testing::Values(FaultCase{"Stall", Fault::Kind::kStall, "no answer within 500 ms"},
                      FaultCase{"Close", Fault::Kind::kClose, "the connection was lost"},
                      FaultCase{"Drop", Fault::Kind::kDrop, "the connection was lost"},
                      FaultCase{"Partial", Fault::Kind::kPartial, "the connection was lost"},
                      FaultCase{"Garbage", Fault::Kind::kGarbage, "not one of wazuh-db's"},
                      FaultCase{"GarbageJson", Fault::Kind::kGarbageJson, "not whole JSON"},
                      FaultCase{"GarbageFrame", Fault::Kind::kGarbageFrame, "4294967295 bytes"}),
    [](const auto& param) { return param.param.name; });

TEST_P(EachFault, FailsLooksInWordsWithOneNoteAndThenOneWhenItIsOver) {
  serve();
  enrol(1, 3'000);  // several pages: the fault comes in the middle of a look too
  options_.request_timeout = 500ms;
  observe();
  until_looks(1);
  server_.set_fault({GetParam().kind});
  until_failures(3);
  EXPECT_THAT(failures_.back(),
              AllOf(HasSubstr(options_.socket_path), HasSubstr(GetParam().words)));
  EXPECT_THAT(notes_, SizeIs(1));
  EXPECT_TRUE(source_->status().failing);
  EXPECT_EQ(source_->status().failures, failures_.size());
  const auto failed_connection = source_->status().connection;

  server_.set_fault({});
  until_looks(3);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr(GetParam().words), HasSubstr("can be read again")));
  EXPECT_FALSE(source_->status().failing);
  EXPECT_GE(looks_.back().connection, failed_connection);
  if (GetParam().kind != Fault::Kind::kGarbageJson) {
    EXPECT_GT(looks_.back().connection, looks_.front().connection);
  } else {
    EXPECT_EQ(looks_.back().connection, looks_.front().connection) << "nothing is wrong with it";
  }
  for (const Look& look : looks_) EXPECT_THAT(look.rows, SizeIs(3'000));
}

TEST_F(WazuhDbSourceTest, NoTimeoutRunsBetweenLooks) {
  serve();
  enrol(1, 1);
  options_.request_timeout = 200ms;
  options_.poll = 450ms;
  observe();
  until_looks(2);
  EXPECT_THAT(failures_, IsEmpty());
  EXPECT_THAT(notes_, IsEmpty());
  EXPECT_EQ(server_.stats().connections, 1u);
}

TEST_F(WazuhDbSourceTest, AnErrorReplyFailsTheLookAndKeepsTheConnection) {
  serve();
  sql("ALTER TABLE agent RENAME TO hidden");
  observe();
  until_failures(2);
  EXPECT_THAT(failures_[0], HasSubstr("no such table: agent"));
  sql("ALTER TABLE hidden RENAME TO agent");
  until_looks(1);
  EXPECT_EQ(server_.stats().connections, 1u);
  EXPECT_THAT(notes_, SizeIs(2));
}

TEST_F(WazuhDbSourceTest, AnAbsentSocketIsSaidOnceAndFailsOneLookEachPoll) {
  options_.poll = 40ms;
  observe();
  until_failures(4);
  EXPECT_THAT(failures_, Each(AllOf(HasSubstr(options_.socket_path),
                                    HasSubstr("no such socket; start wazuh-manager"))));
  EXPECT_THAT(notes_, SizeIs(1));
  for (std::size_t i = 1; i < failed_at_us_.size(); ++i) {
    EXPECT_GE(failed_at_us_[i] - failed_at_us_[i - 1], 35'000);
  }
  serve();
  enrol(1, 1);
  until_looks(1);
  EXPECT_THAT(notes_, SizeIs(2));
}

TEST_F(WazuhDbSourceTest, ASocketThatNobodyListensOnIsSaid) {
  serve();
  const std::string moved = options_.socket_path + ".dead";
  ASSERT_EQ(::rename(options_.socket_path.c_str(), moved.c_str()), 0);
  server_.stop();
  options_.socket_path = moved;
  observe();
  until_failures(1);
  EXPECT_THAT(failures_[0], HasSubstr("check that wazuh-db runs"));
}

TEST_F(WazuhDbSourceTest, AMissingPermissionIsSaidWithTheGroupToJoin) {
  serve();
  ASSERT_EQ(::chmod(options_.socket_path.c_str(), 0), 0);
  fail_as_nobody();
  EXPECT_EQ(failures_[0], "wazuh-db socket " + options_.socket_path +
                              ": permission denied; add the rollcall user to group wazuh");
}

TEST_F(WazuhDbSourceTest, AFolderThatMayNotBeEnteredIsSaidTheSameWay) {
  serve();
  ASSERT_EQ(::chmod(folder_.c_str(), 0), 0);
  fail_as_nobody();
  ::chmod(folder_.c_str(), 0755);
  EXPECT_THAT(failures_[0], HasSubstr("add the rollcall user to group wazuh"));
}

TEST_F(WazuhDbSourceTest, APathThatIsNoSocketOrTooLongIsSaid) {
  options_.socket_path = folder_;
  observe();
  until_failures(1);
  EXPECT_THAT(failures_.back(), HasSubstr("not a socket"));
  source_.reset();
  options_.socket_path = folder_ + "/" + std::string(200, 'x');
  observe();
  until_failures(1);
  EXPECT_THAT(failures_.back(), HasSubstr("more than 107 bytes"));
}

TEST_F(WazuhDbSourceTest, ARestartBetweenTwoLooksIsOneNoteThereAndOneBack) {
  serve();
  enrol(1, 10);
  observe();
  until_looks(2);
  server_.stop();
  until_failures(2);
  serve();
  until_looks(2);
  EXPECT_THAT(notes_, SizeIs(2));
  EXPECT_GT(looks_.back().connection, looks_.front().connection);
  EXPECT_THAT(looks_.back().rows, SizeIs(10));
}

TEST_F(WazuhDbSourceTest, ALostConnectionFailsTheLookThatWasUnderWay) {
  serve();
  enrol(1, 3'000);
  server_.set_fault({Fault::Kind::kStall});
  observe();
  until([this] { return server_.stats().requests == 1; });
  server_.stop();
  until_failures(1);
  EXPECT_THAT(failures_[0], HasSubstr("the connection was lost"));
  EXPECT_THAT(looks_, IsEmpty());
}

// ---- fields

TEST_F(WazuhDbSourceTest, FieldsAreReadAfterTheLookForEachAgentOnce) {
  serve();
  enrol(1, 120);
  sql("INSERT INTO labels VALUES (7,'site','lab')");
  in_look_ = [this] {
    in_look_ = nullptr;
    std::vector<AgentId> agents;
    for (std::uint32_t id = 1; id <= 121; ++id) agents.push_back(AgentId{id});
    source_->read_info(agents);
    source_->read_info(agents);
  };
  observe();
  until([this] { return infos_.size() >= 121; });
  until_looks(1);  // time for somebody to come twice
  ASSERT_THAT(infos_, SizeIs(121)) << "nobody twice";
  for (std::uint32_t i = 0; i < 120; ++i) {
    EXPECT_EQ(infos_[i].first, AgentId{i + 1});
    EXPECT_EQ(infos_[i].second.at("name"), "agent-" + std::to_string(i + 1));
  }
  EXPECT_EQ(infos_[6].second.at("label.site"), "lab");
  EXPECT_THAT(infos_[120], Pair(AgentId{121}, IsEmpty())) << "no such row";
  EXPECT_EQ(source_->status().infos, 121u);
  EXPECT_EQ(source_->status().waiting_info, 0u);
}

TEST_F(WazuhDbSourceTest, AnAgentThatHasNotDescribedItselfHereHasNoFieldsYet) {
  serve();
  enrol(1, 2);
  sql("UPDATE agent SET version=NULL WHERE id=1");
  in_look_ = [this] {
    in_look_ = nullptr;
    source_->read_info({AgentId{1}, AgentId{2}});
  };
  observe();
  until([this] { return infos_.size() == 2; });
  EXPECT_THAT(infos_[0], Pair(AgentId{1}, IsEmpty())) << "a name alone would replace all of it";
  EXPECT_EQ(infos_[1].second.at("name"), "agent-2");
}

TEST_F(WazuhDbSourceTest, AVersionAloneIsOfAnAgentThatWasRefusedAndDescribesNothing) {
  serve();
  enrol(1, 2);
  sql("UPDATE agent SET os_uname=NULL WHERE id=1");
  in_look_ = [this] {
    in_look_ = nullptr;
    source_->read_info({AgentId{1}, AgentId{2}});
  };
  observe();
  until([this] { return infos_.size() == 2; });
  EXPECT_THAT(infos_[0], Pair(AgentId{1}, IsEmpty()));
  EXPECT_TRUE(infos_[1].second.contains("os_uname")) << "an odd system, but described";
}

TEST_F(WazuhDbSourceTest, LabelsThatDoNotFitAreNamedAsUnknown) {
  serve();
  enrol(1, 2);
  sql("INSERT INTO labels VALUES (1,'long',hex(zeroblob(40000))),(2,'site','lab')");
  in_look_ = [this] {
    in_look_ = nullptr;
    source_->read_info({AgentId{1}, AgentId{2}});
  };
  observe();
  until([this] { return infos_.size() == 2; });
  EXPECT_EQ(infos_[0].second.at("name"), "agent-1");
  EXPECT_EQ(infos_[0].second.at("unknown_fields"), "labels");
  EXPECT_FALSE(infos_[1].second.contains("unknown_fields"));
}

TEST_F(WazuhDbSourceTest, FieldsAskedForBetweenLooksDoNotWaitForTheNext) {
  serve();
  enrol(1, 1);
  options_.poll = 1h;
  observe();
  until_looks(1);
  source_->read_info({AgentId{1}});
  until([this] { return !infos_.empty(); });
  EXPECT_THAT(looks_, SizeIs(1));
}

TEST_F(WazuhDbSourceTest, FieldsArriveEvenIfLooksFollowEachOtherWithoutAPause) {
  serve();
  enrol(1, 10);
  options_.poll = 1ms;
  server_.set_fault({Fault::Kind::kSlow, 5});
  observe();
  source_->read_info({AgentId{1}, AgentId{2}});
  until([this] { return infos_.size() == 2; });
  until_looks(1);
}

TEST_F(WazuhDbSourceTest, FieldsAskedForWhileTheSocketIsAwayAreReadWhenItIsBack) {
  observe();
  source_->read_info({AgentId{1}});
  until_failures(1);
  serve();
  enrol(1, 1);
  until([this] { return !infos_.empty(); });
  ASSERT_THAT(infos_, SizeIs(1));
  EXPECT_EQ(infos_[0].second.at("name"), "agent-1");
}

TEST_F(WazuhDbSourceTest, FieldsSurviveAConnectionThatIsLostWhileTheyAreRead) {
  serve();
  enrol(1, 1);
  in_look_ = [this] {
    in_look_ = nullptr;
    server_.set_fault({Fault::Kind::kDrop});
    source_->read_info({AgentId{1}});
  };
  observe();
  until([this] { return source_->status().failing; });
  EXPECT_THAT(infos_, IsEmpty());
  server_.set_fault({});
  until([this] { return !infos_.empty(); });
  ASSERT_THAT(infos_, SizeIs(1));
  EXPECT_EQ(infos_[0].second.at("name"), "agent-1");
}

TEST_F(WazuhDbSourceTest, FieldsThatFailAgainAndAgainAreAnsweredEmptyWithOneNote) {
  serve();
  enrol(1, 2);
  sql("ALTER TABLE labels RENAME COLUMN value TO something");
  in_look_ = [this] { source_->read_info({AgentId{1}, AgentId{2}}); };
  observe();
  until([this] { return infos_.size() >= 6; });
  EXPECT_THAT(infos_, Each(Pair(::testing::_, IsEmpty())));
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("cannot be read and are passed over")));
  EXPECT_THAT(failures_, IsEmpty()) << "looks go on";
}

TEST_F(WazuhDbSourceTest, AnAgentThatCannotBeReadIsNotedOnceUntilItWasRead) {
  serve();
  enrol(1, 2);
  const auto spoil = [this] { sql("UPDATE agent SET os_uname=hex(zeroblob(40000)) WHERE id=2"); };
  spoil();
  in_look_ = [this] { source_->read_info({AgentId{1}, AgentId{2}}); };
  observe();
  until([this] { return infos_.size() >= 8; });
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("agent 2 cannot be read")));
  EXPECT_EQ(source_->status().unreadable, 1u);
  sql("UPDATE agent SET os_uname='Linux' WHERE id=2");
  until([this] { return source_->status().unreadable == 0; });
  EXPECT_THAT(notes_, SizeIs(1));
  spoil();
  until([this] { return source_->status().unreadable == 1; });
  EXPECT_THAT(notes_, SizeIs(2));
}

TEST_F(WazuhDbSourceTest, MoreThanMayWaitAreAnsweredEmptyAtOnce) {
  serve();
  enrol(1, 3);
  options_.max_waiting = 2;
  observe();
  source_->read_info({AgentId{1}, AgentId{2}, AgentId{3}});
  EXPECT_THAT(infos_, IsEmpty()) << "not from inside the call";
  EXPECT_EQ(source_->status().waiting_info, 2u);
  until([this] { return infos_.size() == 3; });
  ASSERT_THAT(infos_, SizeIs(3));
  EXPECT_THAT(infos_[0], Pair(AgentId{3}, IsEmpty()));
  EXPECT_EQ(infos_[1].second.at("name"), "agent-1");
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("too many agents wait")));
}

// ---- the end

TEST_F(WazuhDbSourceTest, StoppedInsideALookItCallsNothingMoreButDone) {
  serve();
  enrol(1, 2);
  bool stopped = false;
  in_look_ = [&] {
    source_->read_info({AgentId{1}});
    source_->stop([&] { stopped = true; });
    EXPECT_FALSE(stopped) << "not from inside the call";
  };
  observe();
  until([&] { return stopped; });
  until([this] { return server_.stats().open_connections == 0; });
  EXPECT_THAT(looks_, SizeIs(1));
  EXPECT_THAT(infos_, IsEmpty());
  EXPECT_THAT(failures_, IsEmpty());
  EXPECT_FALSE(source_->status().connected);
}

TEST_F(WazuhDbSourceTest, StoppedWhileItWaitsForAReplyOrASocketItEnds) {
  observe();
  until_failures(1);
  source_->stop();
  serve();
  server_.set_fault({Fault::Kind::kStall});
  source_->start();
  until([this] { return server_.stats().requests == 1; });
  bool stopped = false;
  source_->stop([&] { stopped = true; });
  until([&] { return stopped; });
  EXPECT_THAT(looks_, IsEmpty());
}

TEST_F(WazuhDbSourceTest, StartedAgainItLooksAgain) {
  serve();
  enrol(1, 1);
  observe();
  until_looks(1);
  source_->stop();
  source_->start();
  until_looks(2);
  EXPECT_GT(looks_.back().connection, looks_.front().connection);
}

TEST_F(WazuhDbSourceTest, DestroyedAtAnyMomentItLeavesNoHandleBehind) {
  serve();
  enrol(1, 3'000);
  for (std::uint64_t requests = 0; requests < 8; ++requests) {
    const auto before = server_.stats().requests;
    observe();
    until([&] { return server_.stats().requests >= before + requests; });
    source_.reset();
  }
}

}  // namespace
}  // namespace rollcall::sidecar
