// Rules of wazuh-db that the transcripts do not show, or show only once.
#include "tests/support/standin_wazuhdb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/support/transcript.h"

namespace rollcall::testing {
namespace {

using ::testing::StartsWith;

constexpr std::int64_t kNow = 1800000000;

class Standin : public ::testing::Test {
 protected:
  std::string ask(const std::string& request) { return db_.handle(request, now_); }
  std::string sql(const std::string& text) { return ask("global sql " + text); }
  void enroll(int id) {
    const std::string number = std::to_string(id);
    EXPECT_EQ(ask("global insert-agent {\"id\":" + number + ",\"name\":\"a" + number +
                  "\",\"date_add\":1}"),
              "ok");
  }
  std::string keepalive(int id, const std::string& status, const std::string& sync) {
    return ask("global update-keepalive {\"id\":" + std::to_string(id) +
               ",\"connection_status\":\"" + status + "\",\"sync_status\":\"" + sync + "\"}");
  }
  std::string sync_of(int id) {
    return sql("SELECT sync_status s FROM agent WHERE id=" + std::to_string(id));
  }

  StandinWazuhDb db_{WazuhFlavour::k4_14, kNow};
  std::int64_t now_ = kNow;
};

TEST_F(Standin, TheManagersOwnRowIsThereFromTheStart) {
  EXPECT_EQ(sql("SELECT id,name,last_keepalive,connection_status c,date_add d FROM agent"),
            "ok [{\"id\":0,\"name\":\"localhost\",\"last_keepalive\":253402300799,\"c\":\"active\","
            "\"d\":1800000000}]");
}

TEST_F(Standin, AWeakerSyncMarkNeverReplacesAStrongerOneSince413) {
  enroll(1);
  keepalive(1, "active", "syncreq_keepalive");
  EXPECT_EQ(sync_of(1), "ok [{\"s\":\"syncreq_keepalive\"}]");
  keepalive(1, "pending", "syncreq_status");
  keepalive(1, "active", "syncreq_keepalive");
  EXPECT_EQ(sync_of(1), "ok [{\"s\":\"syncreq_status\"}]");
  keepalive(1, "active", "syncreq");
  keepalive(1, "pending", "syncreq_status");
  EXPECT_EQ(sync_of(1), "ok [{\"s\":\"syncreq\"}]");
  keepalive(1, "active", "synced");
  EXPECT_EQ(sync_of(1), "ok [{\"s\":\"synced\"}]");
}

TEST_F(Standin, AMarkThat411DoesNotKnowIsRefused) {
  StandinWazuhDb old(WazuhFlavour::k4_11, kNow);
  old.handle("global insert-agent {\"id\":1,\"name\":\"a\",\"date_add\":1}", kNow);
  EXPECT_EQ(old.handle("global update-keepalive {\"id\":1,\"connection_status\":\"active\","
                       "\"sync_status\":\"syncreq_keepalive\"}",
                       kNow),
            "err Cannot execute Global database query; CHECK constraint failed: sync_status IN "
            "('synced', 'syncreq')");
}

TEST_F(Standin, TheClusterDaemonTakesEachPendingRowOnce) {
  enroll(1);
  enroll(2);
  keepalive(1, "active", "syncreq_keepalive");
  keepalive(2, "pending", "syncreq_status");
  EXPECT_EQ(
      ask("global sync-agent-info-get"),
      "ok [{\"id\":2,\"last_keepalive\":1800000000,\"connection_status\":\"pending\","
      "\"disconnection_time\":0,\"status_code\":0},{\"id\":1,\"last_keepalive\":1800000000}]");
  EXPECT_EQ(db_.seen().command, "sync-agent-info-get");
  EXPECT_EQ(ask("global sync-agent-info-get last_id 0"), "ok []");
}

TEST_F(Standin, ManyPendingRowsComeAsDueUntilTheyAreAllTaken) {
  connect_800_agents(db_, 1, now_);
  int pages = 1;
  std::string page = ask("global sync-agent-info-get last_id 0");
  while (page.starts_with("due [{")) {
    EXPECT_LT(page.size(), kWazuhReplyLimitBytes - 500);
    page = ask("global sync-agent-info-get");
    ++pages;
  }
  EXPECT_THAT(page, StartsWith("ok [{"));
  EXPECT_GT(pages, 3);
  EXPECT_EQ(sql("SELECT count(*) n FROM agent WHERE sync_status<>'synced'"), "ok [{\"n\":0}]");
}

TEST_F(Standin, TheReaperAnswersInPagesToo) {
  for (int id = 10000; id < 16500; ++id) {
    enroll(id);
  }
  sql("UPDATE agent SET connection_status='active', last_keepalive=5 WHERE id>0");
  const std::string first = ask("global disconnect-agents 0 1800000000 synced");
  EXPECT_THAT(first, StartsWith("due [{\"id\":10000},"));
  const std::string last = first.substr(first.rfind(':') + 1, 5);
  EXPECT_THAT(ask("global disconnect-agents " + last + " 1800000000 synced"), StartsWith("ok [{"));
  EXPECT_EQ(sql("SELECT count(*) n,sum(status_code) c FROM agent WHERE "
                "connection_status='disconnected'"),
            "ok [{\"n\":6500,\"c\":26000}]");
}

TEST_F(Standin, AnAgentInAnInvalidVersionGetsACodeAndKeepsItsStatus) {
  enroll(1);
  EXPECT_EQ(ask("global update-status-code {\"id\":1,\"status_code\":1,\"version\":\"Wazuh v9\","
                "\"sync_status\":\"syncreq_status\"}"),
            "ok");
  EXPECT_EQ(sql("SELECT connection_status c,status_code s,version v FROM agent WHERE id=1"),
            "ok [{\"c\":\"never_connected\",\"s\":1,\"v\":\"Wazuh v9\"}]");
}

TEST_F(Standin, AReplyIsCutWithoutASign) {
  EXPECT_EQ(sql("SELECT replace(hex(zeroblob(40000)),'0','x') t").size(), kWazuhReplyLimitBytes);
  db_.set_reply_limit(20);
  EXPECT_EQ(sql("SELECT 'a long text that does not fit' t"), "ok [{\"t\":\"a long tex");
}

TEST_F(Standin, NumbersAndTextsLookAsTheRealOnesDo) {
  EXPECT_EQ(sql("SELECT 1.5 a, 1e300 b, 0.1 c, -7 d, 2147483648 e, 9007199254740993 f, 3.0 g"),
            "ok [{\"a\":1.5,\"b\":1e+300,\"c\":0.1,\"d\":-7,\"e\":2147483648,"
            "\"f\":9007199254740992,\"g\":3}]");
  EXPECT_EQ(sql("SELECT 'q\"b\\n'||char(10)||char(9)||char(1)||'é/' t, NULL n"),
            "ok [{\"t\":\"q\\\"b\\\\n\\n\\t\\u0001é/\"}]");
  EXPECT_EQ(sql("SELECT NULL"), "ok [{}]");
}

TEST_F(Standin, SqlsOwnClockIsTheOneThatIsPassedIn) {
  EXPECT_EQ(sql("SELECT strftime('%s','now') t"), "ok [{\"t\":\"1800000000\"}]");
  now_ += 5;
  EXPECT_EQ(sql("SELECT strftime('%s','now') t"), "ok [{\"t\":\"1800000005\"}]");
}

TEST_F(Standin, OnlyTheFirstStatementRunsAndAnEmptyOneIsNotAnError) {
  EXPECT_EQ(sql("SELECT 1 a; SELECT 2 b"), "ok [{\"a\":1}]");
  EXPECT_EQ(sql(";"), "err Cannot execute Global database query; not an error");
}

TEST_F(Standin, ItNoticesSqlThatChangesTheTableAndReadsOfTheSecret) {
  sql("SELECT id FROM agent");
  EXPECT_FALSE(db_.seen().sql_changes);
  EXPECT_FALSE(db_.seen().reads_secret);
  sql("SELECT * FROM agent");
  EXPECT_TRUE(db_.seen().reads_secret);
  ask("global get-agent-info 1");
  EXPECT_TRUE(db_.seen().reads_secret);
  EXPECT_EQ(sql("UPDATE agent SET name='x' WHERE id=99"), "ok []");
  EXPECT_TRUE(db_.seen().sql_changes);
}

TEST_F(Standin, BadRequestsGetTheErrorTextsOfTheRealOne) {
  EXPECT_EQ(ask("global"), "err Invalid DB query syntax, near 'global'");
  EXPECT_EQ(ask("global sql"), "err Invalid DB query syntax, near 'sql'");
  EXPECT_EQ(ask("global " + std::string(50, 'x')),
            "err Invalid DB query syntax, near '" + std::string(32, 'x') + "'");
  EXPECT_EQ(ask("nobody is here"), "err Invalid DB query actor: 'nobody'");
  EXPECT_EQ(ask("global update-keepalive {"), "err Invalid JSON syntax, near '{'");
  EXPECT_EQ(ask("global update-keepalive {\"id\":1}"), "err Invalid JSON data, near '{\"id\":1}'");
  EXPECT_EQ(ask("global insert-agent {\"id\":0,\"name\":\"a\",\"date_add\":1}"),
            "err Cannot execute Global database query; UNIQUE constraint failed: agent.id");
}

TEST_F(Standin, LabelsGoWithTheirAgent) {
  enroll(3);
  const std::string data =
      "global update-agent-data {\"id\":3,\"connection_status\":\"active\","
      "\"group_config_status\":\"synced\"";
  EXPECT_EQ(ask(data + ",\"labels\":\"b:1:2\\n\\nno colon\\na:\"}"), "ok");
  EXPECT_EQ(
      ask("global get-labels 3"),
      "ok [{\"id\":3,\"key\":\"a\",\"value\":\"\"},{\"id\":3,\"key\":\"b\",\"value\":\"1:2\"}]");
  EXPECT_EQ(ask(data + "}"), "ok");
  EXPECT_EQ(ask("global get-labels 3"), "ok []");
  EXPECT_EQ(ask(data + ",\"labels\":\"a:1\"}"), "ok");
  EXPECT_EQ(ask("global delete-agent 3"), "ok");
  EXPECT_EQ(ask("global get-labels 3"), "ok []");
}

TEST_F(Standin, HttpTakesAllPendingRowsAtOnce) {
  enroll(1);
  enroll(2);
  enroll(3);
  keepalive(1, "active", "syncreq");
  keepalive(2, "active", "syncreq_keepalive");
  keepalive(3, "pending", "syncreq_status");
  EXPECT_EQ(db_.handle_http("GET", "/v1/agents/sync", "", now_).body,
            "{\"syncreq\":[{\"id\":1,\"name\":\"a1\",\"node_name\":\"unknown\",\"last_keepalive\":"
            "1800000000,\"connection_status\":\"active\",\"disconnection_time\":0,"
            "\"group_config_status\":\"not synced\",\"status_code\":0}],\"syncreq_keepalive\":[{"
            "\"id\":2}],\"syncreq_status\":[{\"id\":3,\"connection_status\":\"pending\","
            "\"disconnection_time\":0,\"status_code\":0}]}");
  EXPECT_EQ(db_.handle_http("GET", "/v1/agents/sync", "", now_).body, "{}");
}

TEST_F(Standin, HttpSyncWritesAFieldThatIsLeftOutAsEmptyAndNeverInserts) {
  enroll(1);
  EXPECT_EQ(
      db_.handle_http("POST", "/v1/agents/sync",
                      "{\"syncreq\":[{\"id\":1,\"name\":\"n\",\"connection_status\":"
                      "\"active\",\"group_config_status\":\"synced\"},{\"id\":2,"
                      "\"connection_status\":\"active\",\"group_config_status\":\"synced\"}]}",
                      now_)
          .status,
      200);
  EXPECT_EQ(sql("SELECT id,name,version,node_name,last_keepalive k FROM agent WHERE id>0"),
            "ok [{\"id\":1,\"name\":\"n\",\"version\":\"\",\"node_name\":\"\",\"k\":0}]");
}

TEST_F(Standin, HttpErrorsAreAStatusWithoutAText) {
  enroll(1);
  const auto status = [this](const char* method, const char* path, const char* body) {
    const HttpReply reply = db_.handle_http(method, path, body, now_);
    EXPECT_EQ(reply.body, "");
    return reply.status;
  };
  EXPECT_EQ(status("POST", "/v1/agents/sync", "{"), 500);
  EXPECT_EQ(status("POST", "/v1/agents/sync", "{\"syncreq_status\":[{}]}"), 500);
  EXPECT_EQ(status("POST", "/v1/agents/sync",
                   "{\"syncreq_status\":[{\"id\":1,\"connection_status\":\"asleep\"}]}"),
            500);
  EXPECT_EQ(status("GET", "/v1/agents", ""), 404);
  EXPECT_EQ(status("DELETE", "/v1/agents/ids", ""), 404);
}

TEST_F(Standin, HttpAnswersRestartInfoSummaryAndGroups) {
  enroll(1);
  enroll(2);
  keepalive(2, "active", "synced");
  sql("UPDATE agent SET version='Wazuh v4.14.7', os_platform='ubuntu' WHERE id=2");
  sql("INSERT INTO `group` (id,name) VALUES (5,'web')");
  sql("INSERT INTO belongs (id_agent,id_group) VALUES (2,5)");
  const auto get = [this](const char* path) { return db_.handle_http("GET", path, "", now_).body; };
  const auto post = [this](const char* path, const char* body) {
    return db_.handle_http("POST", path, body, now_).body;
  };
  EXPECT_EQ(post("/v1/agents/restartinfo", "{\"ids\":[1,2]}"),
            "{\"items\":[{\"id\":2,\"version\":\"Wazuh v4.14.7\"}]}");
  EXPECT_EQ(post("/v1/agents/summary", ""),
            "{\"agents_by_status\":{\"active\":1,\"never_connected\":1},\"agents_by_groups\":{"
            "\"web\":1},\"agents_by_os\":{\"ubuntu\":1}}");
  EXPECT_EQ(post("/v1/agents/summary", "[1]"), "{\"agents_by_status\":{\"never_connected\":1}}");
  EXPECT_EQ(get("/v1/agents/ids/groups"), "{\"data\":{\"2\":[\"web\"]}}");
  EXPECT_EQ(get("/v1/agents/ids/groups/web"), "[2]");
  EXPECT_EQ(get("/v1/agents/2/groups"), "[\"web\"]");
}

TEST_F(Standin, ResetLeavesANewInstallation) {
  enroll(1);
  EXPECT_EQ(db_.agents(), 1U);
  db_.reset(kNow);
  EXPECT_EQ(db_.agents(), 0U);
  EXPECT_EQ(sql("SELECT count(*) n FROM agent"), "ok [{\"n\":1}]");
}

}  // namespace
}  // namespace rollcall::testing
