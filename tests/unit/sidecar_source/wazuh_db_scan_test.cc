#include "sidecar/source/wazuh_db_scan.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "tests/support/standin_wazuhdb.h"

namespace rollcall::sidecar {
namespace {

using rollcall::testing::StandinWazuhDb;
using rollcall::testing::WazuhFlavour;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kNow = 1'795'373'635;

// A table of agents, and every question that was asked of it.
class Table {
 public:
  explicit Table(WazuhFlavour flavour = WazuhFlavour::k4_14) : db_(flavour, kNow) {}

  void sql(const std::string& statement) {
    const std::string reply = db_.handle("global sql " + statement, kNow);
    ASSERT_THAT(reply, ::testing::StartsWith("ok")) << statement;
  }
  // Agents first .. last, active, with `keepalive`.
  void enrol(int first, int last, std::int64_t keepalive = kNow) {
    sql("WITH RECURSIVE n(i) AS (SELECT " + std::to_string(first) +
        " UNION ALL SELECT i+1 FROM n WHERE i<" + std::to_string(last) +
        ") INSERT INTO agent (id,name,date_add,last_keepalive,connection_status,node_name)"
        " SELECT i,'agent-'||i,1," +
        std::to_string(keepalive) + ",'active','worker-1' FROM n");
  }
  void cut_replies_at(std::size_t bytes) { db_.set_reply_limit(bytes); }

  std::string ask(const std::string& request) {
    EXPECT_TRUE(frame_request(request)) << request;
    requests.push_back(request);
    const std::string reply = db_.handle(request, kNow);
    EXPECT_FALSE(db_.seen().sql_changes) << request;
    EXPECT_FALSE(db_.seen().reads_secret) << request;
    EXPECT_EQ(db_.seen().command, "sql");
    return reply;
  }

  std::vector<std::string> requests;

 private:
  StandinWazuhDb db_;
};

std::expected<TableScan::Done, Error> whole(TableScan& scan, Table& table,
                                            std::optional<LookPlan::Window> window = {},
                                            std::span<const AgentId> watched = {}) {
  scan.begin(window, watched);
  for (int i = 0; i < 20'000; ++i) {
    auto step = scan.take(table.ask(scan.request()));
    if (!step) return std::unexpected(step.error());
    if (auto* done = std::get_if<TableScan::Done>(&*step)) return std::move(*done);
  }
  ADD_FAILURE() << "the scan does not end";
  return {};
}
std::expected<std::vector<Row>, Error> scan(TableScan& scan, Table& table) {
  auto done = whole(scan, table);
  if (!done) return std::unexpected(done.error());
  return std::move(done->rows);
}
std::expected<std::vector<Row>, Error> scan(Table& table, TableScan::Options options = {}) {
  TableScan once(std::move(options));
  return scan(once, table);
}

std::expected<InfoRead::Done, Error> read(InfoRead& info, Table& table,
                                          std::vector<AgentId> agents) {
  info.begin(std::move(agents));
  for (int i = 0; i < 1'000; ++i) {
    auto step = info.take(table.ask(info.request()));
    if (!step) return std::unexpected(step.error());
    if (auto* done = std::get_if<InfoRead::Done>(&*step)) return std::move(*done);
  }
  ADD_FAILURE() << "the reading does not end";
  return {};
}

std::vector<AgentId> ids(std::uint32_t first, std::uint32_t last) {
  std::vector<AgentId> out;
  for (std::uint32_t id = first; id <= last; ++id) out.push_back(AgentId{id});
  return out;
}

std::string page(std::string_view rows, int max, int count) {
  return "ok [{\"r\":\"" + std::string(rows) + "\",\"m\":" + std::to_string(max) +
         ",\"c\":" + std::to_string(count) + "}]";
}

// What take() makes of one reply to a first page of 1000.
std::string outcome(const std::string& reply) {
  TableScan scan({});
  auto step = scan.take(reply);
  if (!step) return "error: " + step.error().message;
  if (auto* done = std::get_if<TableScan::Done>(&*step)) {
    return std::to_string(done->rows.size()) + " rows";
  }
  return "more, " + std::to_string(scan.page_size());
}

// ---- the whole table

TEST(TableScan, AsksExactlyThis) {
  TableScan scan({});
  EXPECT_EQ(
      scan.request(),
      "global sql SELECT group_concat(x,';') r,max(id) m,count(*) c,(SELECT count(*) FROM"
      " agent) n,CAST(round((julianday('now')-2440587.5)*86400000) AS INTEGER) t,(SELECT CASE WHEN"
      " min(node_name)<max(node_name) THEN min(node_name)||' and '||max(node_name) END FROM agent"
      " WHERE id>0 AND connection_status IN('active','pending') AND node_name NOT"
      " IN('','unknown')) w FROM (SELECT id,"
      "id||':'||substr(connection_status,1,1)||':'||ifnull(last_keepalive,0)||':'||"
      "ifnull(disconnection_time,0)||':'||ifnull(status_code,0)||':'||length(sync_status)"
      "||':'||replace(replace(ifnull(substr(config_sum,1,5),'')||"
      "ifnull(substr(merged_sum,1,5),'')||ifnull(substr(version,-6),'')||"
      "ifnull(substr(group_hash,1,6),'')||ifnull(length(`group`),'')||"
      "ifnull(substr(group_config_status,1,1),''),':','.'),';','.') AS x"
      " FROM agent WHERE id>0 ORDER BY id LIMIT 1000)");
  scan.begin(LookPlan::Window{.from_s = 10, .to_s = 80});
  ASSERT_TRUE(scan.take("ok [{\"c\":0,\"n\":3,\"t\":12345}]"));
  EXPECT_EQ(scan.request(),
            "global sql SELECT group_concat(x,';') r,max(id) m,count(*) c FROM (SELECT id,"
            "id||':'||substr(connection_status,1,1)||':'||ifnull(last_keepalive,0)||':'||"
            "ifnull(disconnection_time,0)||':'||ifnull(status_code,0)||':'||length(sync_status)"
            " AS x FROM agent WHERE id>0 AND (last_keepalive BETWEEN 10 AND 80 OR"
            " disconnection_time BETWEEN 10 AND 80) ORDER BY id LIMIT 1500)");
}

class EachFlavour : public ::testing::TestWithParam<WazuhFlavour> {};
INSTANTIATE_TEST_SUITE_P(TableScan, EachFlavour,
                         ::testing::Values(WazuhFlavour::k4_11, WazuhFlavour::k4_14),
                         [](const auto& param) {
                           return param.param == WazuhFlavour::k4_11 ? "v4_11" : "v4_14";
                         });

TEST_P(EachFlavour, FiveThousandAgentsComeInSixPagesEachOnce) {
  Table table(GetParam());
  table.enrol(1, 5'000);
  const auto rows = scan(table);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_THAT(*rows, SizeIs(5'000));
  for (std::uint32_t i = 0; i < 5'000; ++i) {
    ASSERT_EQ((*rows)[i],
              (Row{.agent = AgentId{i + 1}, .status = RowStatus::active, .keepalive_s = kNow}));
  }
  EXPECT_THAT(table.requests, SizeIs(6));
}

TEST_P(EachFlavour, EveryStatusIsRead) {
  Table table(GetParam());
  table.enrol(1, 4);
  table.sql("UPDATE agent SET connection_status='never_connected',last_keepalive=NULL WHERE id=1");
  table.sql("UPDATE agent SET connection_status='pending' WHERE id=2");
  table.sql(
      "UPDATE agent SET connection_status='disconnected',disconnection_time=1795373637,"
      "status_code=3 WHERE id=4");
  EXPECT_THAT(
      scan(table).value(),
      ElementsAre(Row{.agent = AgentId{1}, .status = RowStatus::never_connected},
                  Row{.agent = AgentId{2}, .status = RowStatus::pending, .keepalive_s = kNow},
                  Row{.agent = AgentId{3}, .status = RowStatus::active, .keepalive_s = kNow},
                  Row{.agent = AgentId{4},
                      .status = RowStatus::disconnected,
                      .keepalive_s = kNow,
                      .code = 3}));
}

TEST(TableScan, NullColumnsDoNotHideARow) {
  Table table;
  table.enrol(1, 3);
  table.sql(
      "UPDATE agent SET last_keepalive=NULL,disconnection_time=NULL,status_code=NULL"
      " WHERE id=2");
  EXPECT_THAT(
      scan(table).value(),
      ElementsAre(Row{.agent = AgentId{1}, .status = RowStatus::active, .keepalive_s = kNow},
                  Row{.agent = AgentId{2}, .status = RowStatus::active},
                  Row{.agent = AgentId{3}, .status = RowStatus::active, .keepalive_s = kNow}));
}

TEST(TableScan, AnEmptyTableHasNoRowsAndTheManagerIsNone) {
  Table table;
  EXPECT_THAT(scan(table).value(), IsEmpty());
  EXPECT_THAT(table.requests, SizeIs(1));
}

TEST(TableScan, ATableOfExactlyOnePageIsAskedOnceMore) {
  Table table;
  table.enrol(1, 10);
  EXPECT_THAT(scan(table, {.whole_rows = 10}).value(), SizeIs(10));
  EXPECT_THAT(table.requests, SizeIs(2));
}

TEST(TableScan, GapsBetweenIdsAndTheHighestIdAreNoObstacle) {
  Table table;
  for (const int id : {3, 70, 100'000, 2'147'483'647}) table.enrol(id, id);
  const auto rows = scan(table, {.whole_rows = 2}).value();
  ASSERT_THAT(rows, SizeIs(4));
  EXPECT_EQ(rows.back().agent, AgentId{2'147'483'647});
}

TEST(TableScan, ACutReplyIsAskedAgainWithHalfTheRowsAndNothingIsLost) {
  Table table;
  table.enrol(1, 500);
  table.cut_replies_at(1'000);
  TableScan reused({});
  const auto rows = scan(reused, table);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_THAT(*rows, SizeIs(500));
  EXPECT_TRUE(std::ranges::is_sorted(*rows, {}, &Row::agent));
  EXPECT_LT(reused.page_size(), 50);
  EXPECT_GT(reused.page_size(), 15);
}

TEST(TableScan, ThePageGrowsBackWhenRepliesAreWholeAgain) {
  Table table;
  table.enrol(1, 500);
  table.cut_replies_at(1'000);
  TableScan reused({});
  ASSERT_TRUE(scan(reused, table));
  const auto small = reused.page_size();
  table.cut_replies_at(kReplyLimitBytes);
  ASSERT_TRUE(scan(reused, table));
  EXPECT_GT(reused.page_size(), small);
  EXPECT_LT(reused.page_size(), 2 * small) << "slowly";
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(scan(reused, table));
  EXPECT_GT(reused.page_size(), 500) << "one page is enough again";
}

TEST(TableScan, AReplyOfExactlyTheLimitIsTakenAsCutEvenIfItParses) {
  std::string reply = page("1:a:1:0:0:17:print", 1, 1);
  reply.insert(reply.size() - 1, kReplyLimitBytes - reply.size(), ' ');
  ASSERT_EQ(reply.size(), kReplyLimitBytes);
  EXPECT_EQ(outcome(reply), "more, 500");
  reply.erase(reply.size() - 2, 1);
  EXPECT_EQ(outcome(reply), "1 rows");
}

TEST(TableScan, ARowThatIsCutEvenAloneIsAnErrorThatNamesTheAgent) {
  Table table;
  table.enrol(41, 43);
  TableScan small({.whole_rows = 1});
  small.begin();
  ASSERT_TRUE(small.take(table.ask(small.request())));
  table.cut_replies_at(25);
  const auto step = small.take(table.ask(small.request()));
  ASSERT_FALSE(step);
  EXPECT_THAT(step.error().message,
              AllOf(HasSubstr("id above 41"), HasSubstr("look at this agent in Wazuh")));
}

TEST(TableScan, HalvingEndsInAnErrorAfterTenQuestions) {
  TableScan scan({});
  int questions = 0;
  while (scan.take("ok [{\"id\":1,\"connection_status\":\"acti")) ++questions;
  EXPECT_EQ(questions, 9);
  EXPECT_EQ(scan.page_size(), 1);
}

TEST(TableScan, FewerRowsThanCountedIsTakenAsCut) {
  EXPECT_EQ(outcome(page("1:a:1:0:0:17:print;2:a:1:0:0:17:print", 3, 3)), "more, 500");
  EXPECT_EQ(outcome("ok [{\"c\":3}]"), "more, 500");
}

TEST(TableScan, AnErrorReplyFailsWithItsText) {
  EXPECT_THAT(outcome("err Cannot execute Global database query; database is locked"),
              AllOf(HasSubstr("refused"), HasSubstr("database is locked")));
}

TEST(TableScan, RowsTwiceOrOutOfOrderAreAnError) {
  EXPECT_THAT(outcome(page("1:a:1:0:0:17:print;1:a:1:0:0:17:print", 1, 2)),
              HasSubstr("twice or out of order"));
  EXPECT_THAT(outcome(page("2:a:1:0:0:17:print;1:a:1:0:0:17:print", 2, 2)),
              HasSubstr("twice or out of order"));
  EXPECT_THAT(outcome(page("1:a:1:0:0:17:print;2:a:1:0:0:17:print", 7, 2)),
              HasSubstr("contradicts itself"));
  TableScan paged({.whole_rows = 1});
  ASSERT_TRUE(paged.take(page("7:a:1:0:0:17:print", 7, 1)));
  EXPECT_FALSE(paged.take(page("7:a:1:0:0:17:print", 7, 1))) << "the same page again";
}

struct BadReply {
  const char* name;
  std::string reply;
};
class BadReplies : public ::testing::TestWithParam<BadReply> {};
INSTANTIATE_TEST_SUITE_P(
    TableScan, BadReplies,
    ::testing::Values(BadReply{"Nothing", ""}, BadReply{"OkAlone", "ok"}, BadReply{"Due", "due []"},
                      BadReply{"NoRow", "ok []"}, BadReply{"TwoRows", "ok [{\"c\":0},{\"c\":0}]"},
                      BadReply{"NoList", "ok {\"c\":0}"}, BadReply{"ARowThatIsNone", "ok [7]"},
                      BadReply{"NoCount", "ok [{\"r\":\"1:a:1:0:0\",\"m\":1}]"},
                      BadReply{"NegativeCount", "ok [{\"c\":-1}]"},
                      BadReply{"HugeCount", "ok [{\"c\":1e300}]"},
                      BadReply{"MoreThanAsked", "ok [{\"c\":1001}]"},
                      BadReply{"TheManager", page("0:a:1:0:0:17:print", 0, 1)},
                      BadReply{"IdTooLarge", page("4294967296:a:1:0:0:17:print", 1, 1)},
                      BadReply{"NegativeId", page("-1:a:1:0:0:17:print", 1, 1)},
                      BadReply{"UnknownStatus", page("1:x:1:0:0:17:print", 1, 1)},
                      BadReply{"NoStatus", page("1::1:0:0:17:print", 1, 1)},
                      BadReply{"TooFewParts", page("1:a:1:0", 1, 1)},
                      BadReply{"NoPrint", page("1:a:1:0:0:17", 1, 1)},
                      BadReply{"TooManyParts", page("1:a:1:0:0:17:print:more", 1, 1)},
                      BadReply{"NumberAndMore", page("1:a:1x:0:0:17:print", 1, 1)},
                      BadReply{"KeepaliveBeyond64Bits",
                               page("1:a:99999999999999999999:0:0:17:print", 1, 1)},
                      BadReply{"TextIsANumber", "ok [{\"r\":7,\"m\":1,\"c\":0},[]]"}),
    [](const auto& param) { return param.param.name; });

TEST_P(BadReplies, AreAnErrorInWords) {
  EXPECT_THAT(outcome(GetParam().reply), ::testing::StartsWith("error: "));
}

TEST(TableScan, WhatAReplySaysIsQuotedShortAndPrintable) {
  const std::string text = outcome("err \x1b[31m\n" + std::string(50'000, 'x'));
  EXPECT_LT(text.size(), 300);
  EXPECT_EQ(text.find('\x1b'), text.npos);
  EXPECT_EQ(text.find('\n'), text.npos);
}

TEST(TableScan, ANegativeKeepaliveIsNoneAndACodeBeyondAByteIsTheLargest) {
  TableScan scan({});
  auto step = scan.take(page("1:a:-5:0:999:17:print", 1, 1));
  EXPECT_THAT(std::get<TableScan::Done>(step.value()).rows,
              ElementsAre(Row{.agent = AgentId{1}, .status = RowStatus::active, .code = 255}));
}

TEST(TableScan, MoreRowsThanTheBoundAreAnError) {
  Table table;
  table.enrol(1, 30);
  EXPECT_FALSE(scan(table, {.whole_rows = 10, .max_rows = 29}));
  EXPECT_TRUE(scan(table, {.whole_rows = 10, .max_rows = 30}));
}

TEST(TableScan, TheNodeFilterTakesOnlyRowsOfThatNode) {
  Table table;
  table.enrol(1, 20);
  table.sql("UPDATE agent SET node_name='master' WHERE id IN (4,17)");
  const auto rows = scan(table, {.only_node_name = "master", .whole_rows = 1}).value();
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].agent, AgentId{4});
  EXPECT_EQ(rows[1].agent, AgentId{17});
}

TEST(TableScan, AMastersTableIsNotTakenForAWorkers) {
  Table table;
  table.enrol(1, 20);
  table.sql("UPDATE agent SET node_name='unknown',connection_status='pending' WHERE id=3");
  table.sql("UPDATE agent SET node_name='old',connection_status='disconnected' WHERE id=4");
  EXPECT_TRUE(scan(table)) << "nobody is connected to another node";
  table.sql("UPDATE agent SET node_name='master' WHERE id=17");
  const auto refused = scan(table);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, ::testing::AllOf(HasSubstr("master and worker-1"),
                                                        HasSubstr("only_node_name = true")));
  EXPECT_TRUE(scan(table, {.only_node_name = "master"}));
}

TEST(TableScan, TheWatchedAreFoundUnderAnyName) {
  Table table;
  table.enrol(1, 20);
  table.sql("UPDATE agent SET node_name='master' WHERE id IN (4,17)");
  TableScan mine({.only_node_name = "master", .whole_rows = 2});
  const std::vector<AgentId> watched = {AgentId{3}, AgentId{17}, AgentId{99}};
  const auto done = whole(mine, table, {}, watched);
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_THAT(done->rows, SizeIs(2));
  EXPECT_EQ(done->rows[1].agent, AgentId{17});
  EXPECT_THAT(done->prints, SizeIs(2)) << "one for each row";
  EXPECT_THAT(done->elsewhere, ElementsAre(AgentId{3}));
  EXPECT_THAT(whole(mine, table).value().elsewhere, IsEmpty()) << "at that look only";
}

TEST(TableScan, AQuoteInTheNodeFilterStaysInsideItsText) {
  Table table;
  table.enrol(1, 3);
  const std::string name = "it's' OR '1'='1";
  EXPECT_THAT(scan(table, {.only_node_name = name}).value(), IsEmpty());
  table.sql("UPDATE agent SET node_name=" + sql_quoted(name) + " WHERE id=2");
  EXPECT_THAT(scan(table, {.only_node_name = name}).value(), SizeIs(1));
}

TEST(TableScan, ARequestThatANameMakesTooLongIsNeverFramed) {
  const TableScan scan({.only_node_name = std::string(20'000, 'x')});
  EXPECT_FALSE(frame_request(scan.request()));
}

// ---- what may have changed

struct Shape {
  const char* what;
  const char* set;
  bool shown;
};

TEST_P(EachFlavour, AWindowShowsRowsWithEitherTimeInIt) {
  Table table(GetParam());
  const std::vector<Shape> shapes = {
      {"a keepalive before it", "last_keepalive=99", false},
      {"a keepalive in its first second", "last_keepalive=100", true},
      {"a keepalive in its last second", "last_keepalive=160", true},
      {"a keepalive after it", "last_keepalive=161", false},
      {"gone in it", "last_keepalive=5,disconnection_time=120", true},
      {"gone before it", "last_keepalive=5,disconnection_time=99", false},
      {"no time at all", "last_keepalive=NULL,disconnection_time=NULL", false},
      {"a keepalive, and no other time", "last_keepalive=100,disconnection_time=NULL", true},
  };
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const int id = static_cast<int>(i) + 1;
    table.enrol(id, id);
    table.sql("UPDATE agent SET " + std::string(shapes[i].set) + " WHERE id=" + std::to_string(id));
  }
  TableScan reused({});
  const auto done = whole(reused, table, LookPlan::Window{.from_s = 100, .to_s = 160});
  ASSERT_TRUE(done) << done.error().message;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const bool shown = std::ranges::any_of(done->rows, [&](const Row& row) {
      return row.agent == AgentId{static_cast<std::uint32_t>(i + 1)};
    });
    EXPECT_EQ(shown, shapes[i].shown) << shapes[i].what;
  }
  EXPECT_THAT(done->prints, IsEmpty()) << "of the whole table only";
}

TEST_P(EachFlavour, AQuietWindowIsOneRequestThatTellsTheTableAndItsClock) {
  Table table(GetParam());
  table.enrol(1, 700);
  TableScan reused({});
  const auto done = whole(reused, table, LookPlan::Window{.from_s = kNow + 1, .to_s = kNow + 60});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(done->rows, IsEmpty());
  EXPECT_THAT(table.requests, SizeIs(1));
  ASSERT_TRUE(reused.head());
  EXPECT_EQ(reused.head()->table_rows, 700u) << "without the manager's own";
  EXPECT_EQ(reused.head()->table_ms, kNow * 1000);
}

TEST(TableScan, TheTableIsCountedForAllNodes) {
  Table table;
  table.enrol(1, 20);
  TableScan mine({.only_node_name = "master"});
  EXPECT_THAT(whole(mine, table).value().rows, IsEmpty());
  EXPECT_EQ(mine.head()->table_rows, 20u);
}

TEST(TableScan, AWindowOfManyRowsComesInPages) {
  Table table;
  table.enrol(1, 4'000);
  TableScan reused({});
  const auto done = whole(reused, table, LookPlan::Window{.from_s = kNow, .to_s = kNow}).value();
  EXPECT_THAT(done.rows, SizeIs(4'000));
  EXPECT_THAT(table.requests, SizeIs(3));
}

TEST(TableScan, MarksAreReadInTheOrderInWhichTheyReplaceEachOther) {
  Table table;
  table.enrol(1, 4);
  table.sql("UPDATE agent SET sync_status='syncreq_keepalive' WHERE id=2");
  table.sql("UPDATE agent SET sync_status='syncreq_status' WHERE id=3");
  table.sql("UPDATE agent SET sync_status='syncreq' WHERE id=4");
  TableScan reused({});
  EXPECT_THAT(whole(reused, table).value().marks, ElementsAre(SyncMark::synced, SyncMark::keepalive,
                                                              SyncMark::status, SyncMark::fields));
}

class EachPrinted : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(TableScan, EachPrinted,
                         ::testing::Values("config_sum='bb'", "merged_sum='bb'",
                                           "version='Wazuh v4.14.8'", "group_hash='bb'",
                                           "`group`='default,web'",
                                           "group_config_status='synced'"));

TEST_P(EachPrinted, ChangesThePrintOfItsAgentAlone) {
  Table table;
  table.enrol(1, 3);
  table.sql("UPDATE agent SET config_sum='aa',merged_sum='aa',version='Wazuh v4.14.7'");
  TableScan reused({});
  const auto before = whole(reused, table).value().prints;
  EXPECT_EQ(whole(reused, table).value().prints, before);
  table.sql("UPDATE agent SET " + std::string(GetParam()) + " WHERE id=2");
  const auto after = whole(reused, table).value().prints;
  ASSERT_THAT(after, SizeIs(3));
  EXPECT_EQ(after[0], before[0]);
  EXPECT_NE(after[1], before[1]);
  EXPECT_EQ(after[2], before[2]);
}

TEST(TableScan, WhatAnAgentSaysOfItselfCannotForgeOrHideARow) {
  Table table;
  table.enrol(1, 3);
  table.sql("UPDATE agent SET version='a;9:a:1',config_sum=';;::',merged_sum='\"}\\' WHERE id=2");
  const auto rows = scan(table);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_THAT(*rows, SizeIs(3));
}

TEST(TableScan, AVersionWithoutMarksOrPrintsIsReadWithoutThem) {
  Table table;
  table.enrol(1, 3);
  table.sql("ALTER TABLE agent DROP COLUMN sync_status");
  table.sql("ALTER TABLE agent DROP COLUMN group_hash");
  TableScan reused({});
  const auto done = whole(reused, table);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(done->rows, SizeIs(3));
  EXPECT_THAT(done->marks, IsEmpty());
  EXPECT_THAT(done->prints, IsEmpty());
  const auto asked = table.requests.size();
  ASSERT_TRUE(whole(reused, table));
  EXPECT_EQ(table.requests.size(), asked + 1) << "and from then on asked without them";
}

TEST(TableScan, AColumnThatEveryRowNeedsIsMissedInWords) {
  Table table;
  table.sql("ALTER TABLE agent DROP COLUMN last_keepalive");
  const auto rows = scan(table);
  ASSERT_FALSE(rows);
  EXPECT_THAT(rows.error().message, HasSubstr("no such column: last_keepalive"));
}

TEST(TableScan, MutatedRepliesNeverCrashAndNeverYieldRowsThatBreakTheRules) {
  Table table;
  table.enrol(1, 60);
  TableScan first({.whole_rows = 40});
  const std::string good = table.ask(first.request());
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return random() % n; };
  for (int round = 0; round < 20'000; ++round) {
    std::string reply = good;
    for (auto changes = 1 + below(4); changes-- > 0 && !reply.empty();) {
      const auto at = below(reply.size());
      switch (below(5)) {
        case 0:
          reply[at] = static_cast<char>(below(256));
          break;
        case 1:
          reply.erase(at, 1 + below(20));
          break;
        case 2:
          reply.insert(at, reply.substr(below(reply.size()), below(20)));
          break;
        case 3:
          reply.resize(at);
          break;
        default:
          reply[at] = "0123456789:;\"[]{},\\apdn"[below(23)];
      }
    }
    TableScan scan({.whole_rows = 40});
    const auto step = scan.take(reply);
    EXPECT_LE(scan.page_size(), 40);
    if (!step) {
      EXPECT_THAT(step.error().message, Not(IsEmpty()));
    } else if (const auto* done = std::get_if<TableScan::Done>(&*step)) {
      EXPECT_LT(done->rows.size(), 40);
      EXPECT_TRUE(std::ranges::is_sorted(done->rows, {}, &Row::agent));
      if (!done->rows.empty()) {
        EXPECT_GT(static_cast<std::uint32_t>(done->rows[0].agent), 0u);
      }
    }
  }
}

// ---- single agents

void describe(Table& table, int id) {
  table.sql(
      "UPDATE agent SET ip='10.0.0.7',version='Wazuh v4.14.7',os_name='Ubuntu',os_build='',"
      "os_uname='Linux |host |5.15',internal_key='secret' WHERE id=" +
      std::to_string(id));
}

TEST(InfoRead, FieldsAreTheColumnsThatAreNotNull) {
  Table table;
  table.enrol(7, 7);
  describe(table, 7);
  InfoRead info;
  const auto done = read(info, table, {AgentId{7}});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_THAT(
      done->agents,
      ElementsAre(Pair(
          AgentId{7},
          UnorderedElementsAre(Pair("name", "agent-7"), Pair("ip", "10.0.0.7"),
                               Pair("version", "Wazuh v4.14.7"), Pair("os_name", "Ubuntu"),
                               Pair("os_build", ""), Pair("os_uname", "Linux |host |5.15"),
                               Pair("group", "default"), Pair("group_config_status", "not synced"),
                               Pair("date_add", "1")))));
  EXPECT_THAT(done->problems, IsEmpty());
}

TEST(InfoRead, LabelsAreFieldsOfTheirOwn) {
  Table table;
  table.enrol(1, 2);
  table.sql("INSERT INTO labels VALUES (1,'site','lab'),(1,'#\"_node_name\"','w1'),(2,'site','')");
  InfoRead info;
  const auto done = read(info, table, ids(1, 2)).value();
  EXPECT_EQ(done.agents[0].second.at("label.site"), "lab");
  EXPECT_EQ(done.agents[0].second.at("label.#\"_node_name\""), "w1");
  EXPECT_EQ(done.agents[1].second.at("label.site"), "");
}

TEST(InfoRead, ADescriptionThatComesMeanwhileIsReadWholeOrNotAtAll) {
  Table table;
  table.enrol(1, 1);
  table.sql("INSERT INTO labels VALUES (1,'site','old')");
  InfoRead info;
  info.begin(ids(1, 1));
  const auto before = info.take(table.ask(info.request()));
  table.sql("UPDATE agent SET os_name='new' WHERE id=1");
  table.sql("UPDATE labels SET value='new' WHERE id=1");
  ASSERT_TRUE(before);
  const auto* done = std::get_if<InfoRead::Done>(&*before);
  ASSERT_TRUE(done) << "there was no moment in between";
  EXPECT_EQ(done->agents[0].second.at("label.site"), "old");
}

TEST(InfoRead, ALabelOfAnAgentThatIsGoneIsPassedOver) {
  InfoRead info;
  info.begin(ids(1, 2));
  const auto step = info.take(
      R"(ok [{"id":2,"key":"site","value":"lab"},{"id":1,"key":"site"},{"id":1,"name":"x"}])");
  ASSERT_TRUE(step) << step.error().message;
  const auto& agents = std::get<InfoRead::Done>(*step).agents;
  EXPECT_THAT(agents[0].second, ElementsAre(Pair("name", "x")));
  EXPECT_THAT(agents[1].second, IsEmpty());
}

TEST(InfoRead, AnAgentWithoutARowHasNoFields) {
  Table table;
  table.enrol(2, 2);
  InfoRead info;
  const auto done = read(info, table, ids(1, 3)).value();
  ASSERT_THAT(done.agents, SizeIs(3));
  EXPECT_THAT(done.agents[0], Pair(AgentId{1}, IsEmpty()));
  EXPECT_THAT(done.agents[1].second, Not(IsEmpty()));
  EXPECT_THAT(done.agents[2], Pair(AgentId{3}, IsEmpty()));
}

TEST(InfoRead, TheManagersSecretIsNeverAskedFor) {
  InfoRead info;
  info.begin(ids(1, 50));
  EXPECT_THAT(info.request(), Not(HasSubstr("internal_key")));
  EXPECT_THAT(info.request(), Not(HasSubstr("*")));
}

TEST(InfoRead, TheLongestRequestIsFarBelowTheLimit) {
  InfoRead info;
  info.begin(ids(4'294'967'246u, 4'294'967'294u));
  EXPECT_LT(info.request().size(), 2'048);
}

TEST(InfoRead, CutRepliesAreAskedAgainForFewerAgentsAndNobodyIsLost) {
  Table table;
  table.enrol(1, 50);
  table.sql("INSERT INTO labels SELECT id,'site','a label of some length' FROM agent WHERE id>0");
  table.cut_replies_at(700);
  InfoRead info;
  const auto done = read(info, table, ids(1, 50));
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_THAT(done->agents, SizeIs(50));
  for (const auto& [agent, fields] : done->agents) {
    EXPECT_EQ(fields.at("label.site"), "a label of some length");
  }
  EXPECT_THAT(done->problems, IsEmpty());
}

TEST(InfoRead, AnAgentThatCannotBeReadIsNamedAndTheOthersAreRead) {
  Table table;
  table.enrol(1, 3);
  table.sql("UPDATE agent SET os_uname='" + std::string(2'000, 'x') + "' WHERE id=2");
  table.cut_replies_at(1'000);
  InfoRead info;
  const auto done = read(info, table, ids(1, 3)).value();
  ASSERT_THAT(done.agents, SizeIs(3));
  EXPECT_THAT(done.agents[0].second, Not(IsEmpty()));
  EXPECT_THAT(done.agents[1].second, IsEmpty());
  EXPECT_THAT(done.agents[2].second, Not(IsEmpty()));
  EXPECT_THAT(done.problems, ElementsAre(Pair(AgentId{2}, HasSubstr("agent 2"))));
}

TEST(InfoRead, LabelsThatCannotBeReadAreLeftOutAndSaid) {
  Table table;
  table.enrol(1, 1);
  table.sql("INSERT INTO labels VALUES (1,'long','" + std::string(2'000, 'x') + "')");
  table.cut_replies_at(1'000);
  InfoRead info;
  const auto done = read(info, table, ids(1, 1)).value();
  EXPECT_EQ(done.agents[0].second.at("name"), "agent-1");
  EXPECT_FALSE(done.agents[0].second.contains("label.long"));
  EXPECT_THAT(done.problems, ElementsAre(Pair(AgentId{1}, HasSubstr("labels of agent 1"))));
  EXPECT_THAT(done.without_labels, ElementsAre(AgentId{1}));
}

TEST(InfoRead, BytesThatAreNoUtf8AreReplacedAndHideNothing) {
  Table table;
  table.enrol(1, 2);
  table.sql("UPDATE agent SET os_name='caf\xe9 \xc3\xa9 \xf0\x9f' WHERE id=1");
  InfoRead info;
  const auto done = read(info, table, ids(1, 2)).value();
  EXPECT_EQ(done.agents[0].second.at("os_name"), "caf\uFFFD \u00e9 \uFFFD\uFFFD");
  EXPECT_EQ(done.agents[1].second.at("name"), "agent-2");
  EXPECT_THAT(done.problems, IsEmpty());
}

TEST(InfoRead, AColumnThatThisVersionDoesNotHaveIsLeftOutFromThenOn) {
  Table table;
  table.enrol(1, 1);
  table.sql("ALTER TABLE agent DROP COLUMN os_build");
  table.sql("ALTER TABLE agent DROP COLUMN `group`");
  InfoRead info;
  const auto done = read(info, table, ids(1, 1));
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->agents[0].second.at("name"), "agent-1");
  EXPECT_FALSE(done->agents[0].second.contains("group"));
  const auto asked = table.requests.size();
  ASSERT_TRUE(read(info, table, ids(1, 1)));
  EXPECT_EQ(table.requests.size(), asked + 1) << "fields and labels at once, nothing twice";
}

TEST(InfoRead, AVersionWithoutLabelsIsReadWithoutThem) {
  Table table;
  table.enrol(1, 1);
  table.sql("DROP TABLE labels");
  InfoRead info;
  EXPECT_EQ(read(info, table, ids(1, 1)).value().agents[0].second.at("name"), "agent-1");
}

TEST(InfoRead, AnErrorReplyFailsWithItsText) {
  InfoRead info;
  info.begin(ids(1, 2));
  const auto step = info.take("err Cannot execute Global database query; database is locked");
  ASSERT_FALSE(step);
  EXPECT_THAT(step.error().message, HasSubstr("database is locked"));
}

TEST(InfoRead, RowsOfOthersOrTwiceAreAnError) {
  for (const char* reply : {"ok [{\"id\":9,\"name\":\"x\"}]", "ok [{\"name\":\"x\"}]", "ok [7]",
                            "ok [{\"id\":1,\"name\":\"x\"},{\"id\":1,\"name\":\"x\"}]"}) {
    InfoRead info;
    info.begin(ids(1, 2));
    EXPECT_FALSE(info.take(reply)) << reply;
  }
}

TEST(InfoRead, MutatedRepliesNeverCrashAndAnswerOnlyForThoseAsked) {
  Table table;
  table.enrol(1, 5);
  describe(table, 3);
  table.sql("INSERT INTO labels SELECT id,'site','lab' FROM agent WHERE id>0");
  std::mt19937 random(11);
  const auto below = [&](std::size_t n) { return random() % n; };
  for (int round = 0; round < 5'000; ++round) {
    InfoRead info;
    info.begin(ids(1, 5));
    for (int questions = 0; questions < 30; ++questions) {
      std::string reply = table.ask(info.request());
      if (below(2) == 0) {
        const auto at = below(reply.size());
        switch (below(4)) {
          case 0:
            reply[at] = static_cast<char>(below(256));
            break;
          case 1:
            reply.erase(at, 1 + below(20));
            break;
          case 2:
            reply.resize(at);
            break;
          default:
            reply[at] = "0123456789:,\"[]{}\\"[below(18)];
        }
      }
      const auto step = info.take(reply);
      if (!step) break;
      if (const auto* done = std::get_if<InfoRead::Done>(&*step)) {
        ASSERT_THAT(done->agents, SizeIs(5));
        break;
      }
    }
  }
  table.requests.clear();
}

}  // namespace
}  // namespace rollcall::sidecar
