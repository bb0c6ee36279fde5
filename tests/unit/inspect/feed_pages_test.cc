#include <gmock/gmock.h>

#include "tests/unit/inspect/master_pages_fixture.h"

namespace rollcall::inspect {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FeedPages : public MasterPages {
 protected:
  void SetUp() override {
    MasterPages::SetUp();
    begin();
    connect(1, "w1");
    connect(2, "w2");
  }
  // Agent 7 connects to w1, moves to w2 and stops there: entries 1 to 3.
  void move() {
    say(1, 20, {opened(7, 10)});
    say(2, 30, {opened(7, 25)});
    say(2, 40, {closed(7, 25, 35)});
  }
  static std::vector<std::string> kinds(const json& page) {
    std::vector<std::string> out;
    for (const json& e : page["events"]) out.push_back(e["event"]);
    return out;
  }
};

TEST_F(FeedPages, TellWhatBecameOfAgents) {
  move();
  const json page = get("/events");
  EXPECT_EQ(page["first"], 1);
  EXPECT_EQ(page["last"], 3);
  EXPECT_EQ(page["after"], 3);
  EXPECT_EQ(page["term"], get("/status")["term"]);
  EXPECT_THAT(kinds(page), ElementsAre("connect", "migrate", "disconnect"));
  const json migrate = page["events"][1];
  EXPECT_EQ(migrate["seq"], 2);
  EXPECT_EQ(migrate["agent"], 7);
  EXPECT_EQ(migrate["agent_seq"], 2);
  EXPECT_EQ(migrate["at"], at(30));
  EXPECT_EQ(migrate["from"], json({{"node", "w1"}, {"epoch", at(10)}, {"status", "active"}}));
  EXPECT_EQ(migrate["to"], json({{"node", "w2"}, {"epoch", at(25)}, {"status", "active"}}));
  EXPECT_EQ(migrate["reason"], nullptr);
  EXPECT_EQ(page["events"][0]["from"], nullptr);
  EXPECT_EQ(page["events"][2]["reason"], "shutdown");
}

TEST_F(FeedPages, AreReadInParts) {
  move();
  EXPECT_THAT(kinds(get("/events?limit=1")), ElementsAre("connect"));
  const json rest = get("/events?after=1");
  EXPECT_THAT(kinds(rest), ElementsAre("migrate", "disconnect"));
  EXPECT_EQ(rest["after"], 3);
}

TEST_F(FeedPages, NewestSaysWhereToBegin) {
  move();
  const json page = get("/events?after=newest");
  EXPECT_THAT(kinds(page), IsEmpty());
  EXPECT_EQ(page["after"], 3);
}

TEST_F(FeedPages, AnEmptyFeedIsAnsweredWithoutWaitingIfAskedSo) {
  const json page = get("/events?wait=0s");
  EXPECT_EQ(page["first"], nullptr);
  EXPECT_EQ(page["last"], 0);
  EXPECT_EQ(page["after"], 0);
}

TEST_F(FeedPages, WhoAsksForWhatIsNotThereYetGetsItWhenItComes) {
  Client reader(server_.port());
  reader.send(request("GET /events?after=0&wait=60s"));
  move();
  EXPECT_THAT(kinds(json::parse(reader.read_answer().body)), ::testing::Contains("connect"));
}

TEST_F(FeedPages, ANumberThatIsNotKeptIsGoneAndTheAnswerSaysWhatToDo) {
  {
    const std::lock_guard loop(loop_);
    driver_.remember(master::Feed(2));
  }
  move();
  const auto answer = ask("/events?after=0");
  EXPECT_EQ(answer.status, 410);
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["first"], 2);
  EXPECT_EQ(body["last"], 3);
  EXPECT_EQ(body["error"],
            "entries up to 1 are not kept any more; read /agents anew, and then go on with "
            "/events?after=3");
  EXPECT_THAT(kinds(get("/events?after=1")), ElementsAre("migrate", "disconnect"));
  EXPECT_THAT(kinds(get("/events")), ElementsAre("migrate", "disconnect"));
}

TEST_F(FeedPages, ANumberOfAnotherFeedIsGoneToo) {
  move();
  EXPECT_THAT(refused("/events?after=4", 410), HasSubstr("this feed ends with 3"));
}

TEST_F(FeedPages, WrongParametersAreRefused) {
  EXPECT_EQ(refused("/events?after=x"), "after takes a number of the feed, or newest");
  EXPECT_EQ(refused("/events?wait=61s"), "wait takes a length, 0s to 60s");
  EXPECT_EQ(refused("/events?after=18446744073709551615"),
            "after takes a number of the feed, or newest");
}

TEST_F(FeedPages, StreamThemAsServerSentEvents) {
  move();
  Client reader(server_.port());
  reader.send(request("GET /events?after=1", "Accept: text/event-stream\r\n"));
  EXPECT_THAT(reader.read_until("\r\n\r\n"), HasSubstr("Content-Type: text/event-stream\r\n"));
  const std::string begin = reader.read_until("\n\n");
  EXPECT_THAT(begin, HasSubstr("event: feed\ndata: {\"master\":"));
  EXPECT_THAT(begin, HasSubstr("\"last\":3,\"after\":1}"));
  EXPECT_THAT(reader.read_until("\n\n"), HasSubstr("id: 2\nevent: migrate\ndata: {\"seq\":2,"));
  EXPECT_THAT(reader.read_until("\n\n"), HasSubstr("id: 3\nevent: disconnect\n"));
  say(1, 50, {opened(7, 45)});
  EXPECT_THAT(reader.read_until("\n\n"), HasSubstr("id: 4\nevent: connect\n"));
}

TEST_F(FeedPages, AStreamGoesOnBehindTheLastEventThatTheReaderHad) {
  move();
  Client reader(server_.port());
  reader.send(request("GET /events?stream=1&after=0", "Last-Event-ID: 2\r\n"));
  reader.read_until("\n\n");
  EXPECT_THAT(reader.read_until("\n\n"), HasSubstr("id: 3\n"));
  Client wrong(server_.port());
  EXPECT_EQ(
      wrong.send(request("GET /events?stream=1", "Last-Event-ID: x\r\n")).read_answer().status,
      400);
}

TEST_F(FeedPages, AStreamThatFallsBehindWhatIsKeptEndsAndSaysSo) {
  Client reader(server_.port());
  reader.send(request("GET /events?stream=1"));
  reader.read_until("\"after\":0}\n\n");
  {
    const std::lock_guard loop(loop_);
    master::Feed feed(2);
    feed.begins_after(100);
    driver_.remember(std::move(feed));
    server_.news(100);
  }
  const std::string end = reader.read_all();
  EXPECT_THAT(end, HasSubstr("event: gone\ndata: {\"error\":\"entries up to 100 are not kept"));
  EXPECT_THAT(end, EndsWith("\n\n"));
}

TEST_F(FeedPages, AgentsThatMoveTooOftenAreListedWithWhatEachWorkerSays) {
  for (int i = 0; i < 6; ++i) {
    const bool first = i % 2 == 0;
    say(first ? 1 : 2, 20 + i * 10,
        {opened(7, 20 + i * 10, {{"ip", first ? "10.1.1.1" : "10.2.2.2"}})});
  }
  const json page = get("/contested");
  EXPECT_EQ(page["flapping_from"], 6);
  EXPECT_EQ(page["next_after"], nullptr);
  ASSERT_EQ(page["agents"].size(), 1u);
  const json one = page["agents"][0];
  EXPECT_EQ(one["agent"], 7);
  EXPECT_EQ(one["contested"], true);
  EXPECT_EQ(one["flapping"], false);
  EXPECT_EQ(one["moves"].size(), 5u);
  ASSERT_EQ(one["workers"].size(), 2u);
  EXPECT_EQ(one["workers"][0]["node"], "w1");
  EXPECT_EQ(one["workers"][0]["address"], "10.0.0.1:5");
  EXPECT_EQ(one["workers"][0]["on_top"], false);
  EXPECT_EQ(one["workers"][0]["agent_ip"], "10.1.1.1");
  EXPECT_EQ(one["workers"][1]["on_top"], true);
  EXPECT_EQ(one["workers"][1]["open_epoch"], at(70));
  EXPECT_EQ(one["workers"][1]["agent_ip"], "10.2.2.2");
  EXPECT_EQ(get("/agents/7")["contest"], one);
  EXPECT_THAT(kinds(get("/events")), ::testing::Contains("contested"));
  say(1, 80, {opened(7, 80)});
  const json more = get("/contested");
  EXPECT_EQ(more["agents"][0]["flapping"], true);
  EXPECT_EQ(more["agents"][0]["moves"].size(), 6u);
}

TEST_F(FeedPages, AnAgentThatNeverMovedHasNoContest) {
  say(1, 20, {opened(7, 10)});
  EXPECT_EQ(get("/agents/7")["contest"], nullptr);
  EXPECT_THAT(get("/contested")["agents"], IsEmpty());
}

}  // namespace
}  // namespace rollcall::inspect
