#include "master/sink/table_read.h"

#include <gmock/gmock.h>

#include "tests/support/standin_wazuhdb.h"

namespace rollcall::master {
namespace {

using ::rollcall::testing::StandinWazuhDb;
using ::rollcall::testing::WazuhFlavour;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kNow = 1'795'373'635;

class TableReadTest : public ::testing::Test {
 protected:
  void sql(const std::string& statement) {
    ASSERT_THAT(db.handle("global sql " + statement, kNow), ::testing::StartsWith("ok"));
  }
  void enrol(int id, const std::string& status, const std::string& node) {
    sql("INSERT INTO agent (id,name,date_add,connection_status,node_name) VALUES (" +
        std::to_string(id) + ",'a',1,'" + status + "'," + node + ")");
  }
  // "7 active w1"
  std::vector<std::string> all(TableRead& read) {
    std::vector<std::string> out;
    read.begin();
    for (int i = 0; i < 1000; ++i) {
      auto page = read.take(db.handle(read.request(), kNow));
      if (!page) return {"error: " + page.error().message};
      for (const ShownRow& row : page->rows) {
        out.push_back(std::to_string(static_cast<std::uint32_t>(row.agent)) + " " +
                      std::string(to_string(row.status)) + " " + row.node);
      }
      if (page->last) return out;
    }
    return {"no end"};
  }
  static std::string error(const std::string& reply) {
    TableRead read;
    read.begin();
    const auto page = read.take(reply);
    return page ? "(taken)" : page.error().message;
  }
  StandinWazuhDb db{WazuhFlavour::k4_14, kNow};
};

TEST_F(TableReadTest, HasStatusAndNodeOfEachAgentAndNeverTheManagers) {
  enrol(7, "active", "'w1'");
  enrol(8, "never_connected", "NULL");
  enrol(9, "disconnected", "'a:b;c'");
  enrol(10, "pending", "''");
  sql("UPDATE agent SET node_name='m' WHERE id=0");
  TableRead read;
  EXPECT_THAT(all(read), ElementsAre("7 active w1", "8 never_connected ", "9 disconnected a:b.c",
                                     "10 pending "));
  EXPECT_EQ(read.own_node(), "m");
  EXPECT_EQ(read.table_s(), kNow);
  EXPECT_FALSE(db.seen().sql_changes);
  EXPECT_FALSE(db.seen().reads_secret);
}

TEST_F(TableReadTest, OfAnEmptyTableIsOnePageWithoutRows) {
  TableRead read;
  EXPECT_THAT(all(read), ElementsAre());
}

TEST_F(TableReadTest, FullPagesAreFollowedByMore) {
  for (int id = 1; id <= 10; ++id) enrol(id, "active", "'w1'");
  TableRead read(5);
  EXPECT_EQ(all(read).size(), 10u);
}

TEST_F(TableReadTest, AReplyThatWasCutIsAskedForAgainWithFewerRows) {
  for (int id = 1; id <= 40; ++id) enrol(id, "active", "'a-worker-with-a-long-name'");
  db.set_reply_limit(400);
  TableRead read;
  EXPECT_EQ(all(read).size(), 40u);
}

TEST_F(TableReadTest, ARowThatFitsNoReplyIsAnError) {
  enrol(7, "active", "'" + std::string(500, 'x') + "'");
  db.set_reply_limit(400);
  TableRead read;
  EXPECT_THAT(all(read), ElementsAre(HasSubstr("id above 0 cannot be read")));
}

TEST_F(TableReadTest, WhatCannotBeARowIsAnError) {
  const auto page = [](const std::string& row) {
    return "ok [{\"r\":\"" + row + "\",\"m\":7,\"c\":1,\"t\":1}]";
  };
  EXPECT_EQ(error(page("7:active:w1")), "(taken)");
  for (const char* row : {"7:active", "7", ":active:w1", "0:active:w1", "x:active:w1", "7:gone:w1",
                          "99999999999:active:w1", "-7:active:w1"}) {
    EXPECT_THAT(error(page(row)), HasSubstr("cannot be read")) << row;
  }
  EXPECT_THAT(error("ok [{\"r\":\"8:active:w;7:active:w\",\"m\":8,\"c\":2,\"t\":1}]"),
              HasSubstr("out of order"));
  EXPECT_THAT(error("ok [{\"r\":\"7:active:w\",\"m\":7,\"c\":1}]"),
              HasSubstr("does not tell the time"));
  EXPECT_THAT(error("err no such table"), HasSubstr("no such table"));
}

}  // namespace
}  // namespace rollcall::master
