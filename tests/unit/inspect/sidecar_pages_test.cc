// The sidecar's pages over the real core and driver; only store, link and source are exchanged.
#include <gmock/gmock.h>

#include <atomic>

#include "inspect/pages.h"
#include "inspect/readiness.h"
#include "tests/unit/app/fixture.h"
#include "tests/unit/inspect/pages_fixture.h"

namespace rollcall::inspect {
namespace {

using app::frame;
using app::kSecond;
using app::kWall;
using nlohmann::json;
using sidecar::Row;
using sidecar::RowStatus;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class SidecarPages : public PagesTest,
                     public app::SidecarDriver::Link,
                     public app::SidecarDriver::Source {
 protected:
  void SetUp() override {
    add_sidecar_pages(server_, on_loop(), {driver_, clock_, [this] { return source_; }, "1.2.3"});
    ASSERT_TRUE(server_.start());
    const std::lock_guard loop(loop_);
    ASSERT_TRUE(driver_.start({}));
    store_.turn();
    driver_.tick();
  }

  void connect() override {}
  void send(std::string bytes) override { sent_ += bytes; }
  void close(const std::string&) override {}
  void read_info(const std::vector<AgentId>&) override {}

  void stream() {
    const std::lock_guard loop(loop_);
    driver_.link_connected();
    store_.turn();
    driver_.link_received(app::welcome(sent_, clock_.now().wall_us));
    store_.turn();
  }
  void ack(std::uint64_t through) {
    const std::lock_guard loop(loop_);
    Ack a;
    a.through = through;
    driver_.link_received(frame(a));
    store_.turn();
  }
  // w2 has the agent since this second.
  void supersede(std::uint32_t agent, std::int64_t s) {
    const std::lock_guard loop(loop_);
    Superseded m;
    const Version winner{epoch_at({app::at(s)}), "w2", 0};
    m.entries.push_back({AgentId{agent}, Winner{winner, true}});
    driver_.link_received(frame(m));
    store_.turn();
  }
  void look(std::int64_t s, std::vector<Row> rows, bool complete = true) {
    const std::lock_guard loop(loop_);
    clock_.s = s;
    sidecar::Look l;
    l.started = l.finished = clock_.now();
    l.complete = complete;
    l.rows = std::move(rows);
    ++source_.looks;
    driver_.look(l);
    store_.turn();
  }
  static Row row(std::uint32_t agent, RowStatus status, std::int64_t s) {
    return {AgentId{agent}, status, s == 0 ? 0 : kWall + s, 0, 0};
  }

  std::string why_not_ready() {
    const auto answer = ask("/readyz");
    EXPECT_EQ(answer.status, 503) << answer.body;
    return json::parse(answer.body).at("why");
  }
  app::HandClock clock_;
  SourceStatus source_;
  app::HeldStore store_;
  std::string sent_;
  app::SidecarDriver driver_{app::first_worker(), 1, clock_, store_, *this, *this,
                             [](const Note&) {}};
};

TEST_F(SidecarPages, IsReadyAfterACompleteLookWhileItStreams) {
  EXPECT_THAT(why_not_ready(), HasSubstr("not looked at"));
  EXPECT_THAT(why_not_ready(), HasSubstr("nothing is streamed to the master"));
  stream();
  look(10, {row(7, RowStatus::active, 9)}, false);
  EXPECT_THAT(why_not_ready(), HasSubstr("not looked at as a whole"));
  look(11, {row(7, RowStatus::active, 9)});
  EXPECT_EQ(get("/readyz"), json::parse(R"({"status": "ready"})"));
  {
    const std::lock_guard loop(loop_);
    driver_.link_closed("the cable is out");
  }
  EXPECT_EQ(why_not_ready(), "nothing is streamed to the master: the cable is out");
}

TEST_F(SidecarPages, TheStatusLineSaysWhatThereIsAndWhyItIsNotReady) {
  const SidecarView view{driver_, clock_, [this] { return source_; }, "1"};
  stream();
  look(11, {row(7, RowStatus::active, 9)});
  const std::lock_guard loop(loop_);
  EXPECT_THAT(describe(view), MatchesRegex("1 agent, [0-9]+ events? to be acked"));
  driver_.link_closed("the cable is out");
  EXPECT_THAT(describe(view),
              EndsWith("; not ready: nothing is streamed to the master: the cable is out"));
}

TEST_F(SidecarPages, ASourceThatTellsByItselfNeedNotBeLookedAt) {
  source_.by_looks = false;
  stream();
  EXPECT_EQ(get("/readyz"), json::parse(R"({"status": "ready"})"));
}

TEST_F(SidecarPages, IsNotReadyWhileTheStoreCannotBeWritten) {
  stream();
  store_.disk.set_full(true);
  look(10, {row(7, RowStatus::active, 9)});
  EXPECT_THAT(why_not_ready(), HasSubstr("the store cannot be written: "));
  EXPECT_EQ(ask("/healthz").status, 503);
}

TEST_F(SidecarPages, SyncTellsWhatWaitsAndWhatWasNeverIsNull) {
  json sync = get("/sync");
  EXPECT_EQ(sync["unacked_events"], 0);
  EXPECT_EQ(sync["oldest_us"], nullptr);
  EXPECT_EQ(sync["last_ack"], nullptr);
  EXPECT_EQ(sync["link"]["state"], "down");
  EXPECT_EQ(sync["link"]["master"], nullptr);
  EXPECT_EQ(sync["agreement"], json::parse(R"({
      "state": "unknown", "compared": false, "equal_ago_us": null, "lease_us": null,
      "inventories": 0, "partial_inventories": 0, "digests_asked": 0,
      "inventory_under_way": false, "last_inventory": null})"));
  EXPECT_EQ(sync["clock"], json::parse(R"({"known": false, "offset_us": null, "error_us": null})"));
  EXPECT_EQ(sync["source"]["looked_at_all"], false);
  EXPECT_EQ(sync["source"]["last_look"], nullptr);

  stream();
  source_.last_look_us = 1'500;
  source_.last_rows = 2;
  look(10, {row(7, RowStatus::active, 9), row(8, RowStatus::active, 9)});
  {
    const std::lock_guard loop(loop_);
    clock_.s = 13;
  }
  sync = get("/sync");
  EXPECT_EQ(sync["unacked_events"], 2);
  EXPECT_EQ(sync["unsent_events"], 0);
  EXPECT_EQ(sync["oldest_us"], 3 * kSecond);
  EXPECT_EQ(sync["last_ack"], nullptr);
  EXPECT_EQ(sync["link"]["state"], "streaming");
  EXPECT_EQ(sync["link"]["master"], "000000000000000b");
  EXPECT_EQ(sync["clock"]["known"], true);
  EXPECT_EQ(sync["clock"]["offset_us"], 0);
  EXPECT_GT(sync["clock"]["error_us"], 0);
  EXPECT_EQ(sync["source"]["looked_at_all"], true);
  EXPECT_EQ(sync["source"]["last_look"]["ago_us"], 3 * kSecond);
  EXPECT_EQ(sync["source"]["last_look"]["took_us"], 1'500);
  EXPECT_EQ(sync["source"]["last_look"]["rows"], 2);

  ack(1);
  {
    const std::lock_guard loop(loop_);
    clock_.s = 15;
  }
  sync = get("/sync");
  EXPECT_EQ(sync["unacked_events"], 1);
  EXPECT_EQ(sync["last_ack"]["ago_us"], 2 * kSecond);
  EXPECT_EQ(sync["last_ack"]["seq"], 1);
}

TEST_F(SidecarPages, AgentsAreFilteredByRowAndSessionAndPaged) {
  stream();
  look(10, {row(1, RowStatus::active, 9), row(2, RowStatus::disconnected, 8),
            row(3, RowStatus::never_connected, 0), row(4, RowStatus::active, 9)});
  look(11, {row(1, RowStatus::active, 10), row(2, RowStatus::disconnected, 8),
            row(3, RowStatus::never_connected, 0), row(4, RowStatus::disconnected, 9)});
  EXPECT_THAT(ids("/agents"), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ids("/agents?status=disconnected"), ElementsAre(2, 4));
  EXPECT_THAT(ids("/agents?status=never_connected"), ElementsAre(3));
  EXPECT_THAT(ids("/agents?session=open"), ElementsAre(1));
  EXPECT_THAT(ids("/agents?status=disconnected&after=2"), ElementsAre(4));
  const json page = get("/agents?limit=3");
  EXPECT_EQ(page["total"], 4);
  EXPECT_EQ(page["next_after"], 3);
  EXPECT_EQ(get("/agents?limit=3&after=3")["next_after"], nullptr);
  EXPECT_EQ(get("/agents?after=18446744073709551615")["agents"], json::array());
}

TEST_F(SidecarPages, ManyAgentsAreReadInPartsAndInOrder) {
  stream();
  std::vector<Row> rows;
  for (std::uint32_t id = 30'000; id >= 1; --id) rows.push_back(row(id, RowStatus::active, 9));
  look(10, std::move(rows));
  const auto all = ids("/agents?limit=1000&after=15000");
  ASSERT_EQ(all.size(), 1'000u);
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], 15'001 + static_cast<int>(i));
}

TEST_F(SidecarPages, AnAgentIsShownWithNullForWhatIsNotKnown) {
  look(10, {row(1, RowStatus::active, 9), row(3, RowStatus::never_connected, 0)});
  const json here = get("/agents/1");
  EXPECT_EQ(here["row"]["last_keepalive"], kWall + 9);
  EXPECT_EQ(here["session"]["phase"], "open");
  EXPECT_EQ(here["session"]["epoch"], nullptr) << "no master has told the time";
  EXPECT_EQ(here["session"]["fence"], nullptr);
  EXPECT_EQ(here["session"]["reason"], nullptr);
  const json never = get("/agents/3");
  EXPECT_EQ(never["row"]["last_keepalive"], nullptr);
  EXPECT_EQ(never["session"], nullptr);
  EXPECT_EQ(ask("/agents/99").status, 404);
}

TEST_F(SidecarPages, ParametersThatAreNotKnownAreRefusedWithThoseThatAre) {
  EXPECT_EQ(refused("/agents?name=x"),
            "unknown parameter 'name'; allowed: after, limit, status, session");
  EXPECT_EQ(refused("/agents?status=gone"),
            "status takes one of never_connected, pending, active, disconnected");
  for (const char* page : {"/healthz", "/readyz", "/status", "/sync", "/agents/1"}) {
    EXPECT_EQ(refused(std::string(page) + "?x"), "unknown parameter 'x'; allowed: none") << page;
  }
}

TEST_F(SidecarPages, HandoffsShowHowFarADrainHasComeAndWhatBecameOfEachOffer) {
  stream();
  look(10, {row(7, RowStatus::active, 9), row(8, RowStatus::active, 9)});
  EXPECT_EQ(get("/handoffs")["drain"], nullptr);
  {
    const std::lock_guard loop(loop_);
    sidecar::Drain drain;
    drain.grace_us = 100 * kSecond;
    clock_.s = 11;
    ASSERT_TRUE(driver_.drain(drain));
    driver_.tick();
    store_.turn();
  }
  look(30, {row(7, RowStatus::active, 29), row(8, RowStatus::active, 9)});
  const json page = get("/handoffs");
  EXPECT_EQ(page["drain"], json::parse(R"({
    "for_us": 19000000, "grace_us": 100000000, "move_per_s": 0, "left": 2, "waiting": 0,
    "offered": 1, "stayed": 1, "taken": {}, "expired": 0, "asked": 0, "asked_failed": 0,
    "asked_error": null})"));
  {
    const std::lock_guard loop(loop_);
    driver_.asked_to_move(std::nullopt);
    for (int i = 0; i < 2; ++i) driver_.asked_to_move("nobody listens");
  }
  const json asked = get("/handoffs");
  EXPECT_EQ(asked["asked_to_move"], 1);
  EXPECT_EQ(asked["asked_failed"], 2);
  EXPECT_EQ(asked["drain"]["asked"], 1);
  EXPECT_EQ(asked["drain"]["asked_failed"], 2);
  EXPECT_EQ(asked["drain"]["asked_error"], "nobody listens");
  ASSERT_EQ(page["handoffs"].size(), 2u);
  EXPECT_EQ(page["handoffs"][0]["end"], "stayed");
  EXPECT_EQ(page["handoffs"][1]["end"], nullptr);
  EXPECT_EQ(page["handoffs"][1]["left_us"], 81 * kSecond);
  EXPECT_EQ(get("/handoffs?end=none")["handoffs"].size(), 1u);
  const json first = get("/handoffs?limit=1");
  EXPECT_EQ(first["next_after"], 7);
  EXPECT_EQ(get("/handoffs?after=7")["handoffs"][0]["agent"], 8);
  EXPECT_EQ(refused("/handoffs?end=never"),
            "end takes one of none, stayed, withdrawn, taken, expired, over");
}

TEST_F(SidecarPages, HandoffsShowWhatWasTakenFromOthersAndWhatWentToThemWithoutAnOffer) {
  stream();
  look(10, {row(7, RowStatus::active, 9), row(8, RowStatus::active, 9)});
  supersede(7, 12);
  look(30, {row(7, RowStatus::active, 29), row(8, RowStatus::active, 29)});
  supersede(8, 32);
  const json page = get("/handoffs");
  ASSERT_EQ(page["handoffs"].size(), 3u);
  const json& took = page["handoffs"][1];
  EXPECT_EQ(took["at"], page["handoffs"][2]["at"]);
  const auto at = took["at"].get<std::int64_t>();
  const json expected = json::parse(R"({"agent": 7, "kind": "took", "cause": null, "offered": null,
      "grace_us": null, "left_us": null, "left_because": null, "end": null, "ended": null,
      "from": "w2", "to": null})");
  json without = took;
  without.erase("at");
  EXPECT_EQ(without, expected);
  EXPECT_EQ(page["handoffs"][0]["kind"], "released");
  EXPECT_EQ(page["handoffs"][0]["to"], "w2");
  EXPECT_EQ(page["handoffs"][0]["from"], nullptr);
  EXPECT_EQ(page["handoffs"][0]["at"], at - 20 * kSecond);
  EXPECT_EQ(page["handoffs"][2]["agent"], 8);
  EXPECT_EQ(page["handoffs"][2]["kind"], "released");

  const auto agents = [this](const std::string& query) {
    std::vector<int> out;
    const json found = get("/handoffs?" + query);
    for (const json& h : found["handoffs"]) out.push_back(h["agent"]);
    return out;
  };
  EXPECT_THAT(agents("kind=took"), ElementsAre(7));
  EXPECT_THAT(agents("kind=released"), ElementsAre(7, 8));
  EXPECT_THAT(agents("kind=offered"), ElementsAre());
  EXPECT_THAT(agents("end=taken"), ElementsAre()) << "no offer";
  EXPECT_THAT(agents("limit=1"), ElementsAre(7, 7)) << "agents are counted";
  EXPECT_EQ(get("/handoffs?limit=1")["next_after"], 7);
  EXPECT_EQ(get("/handoffs?kind=took&limit=1")["next_after"], nullptr);
  EXPECT_EQ(refused("/handoffs?kind=x"), "kind takes one of offered, took, released");
}

TEST_F(SidecarPages, TheStreamSaysThatTheDaemonIsBusyAndGoesOnWhenItIsNot) {
  std::atomic<bool> stuck = false;
  HttpServer server({});
  add_sidecar_pages(
      server,
      [&, loop = on_loop()](std::function<void()> task) { return !stuck && loop(std::move(task)); },
      {driver_, clock_, [this] { return source_; }, "1.2.3"});
  ASSERT_TRUE(server.start());
  Client client(server.port());
  client.send(request("GET /live"));
  client.read_until("event: now\ndata: ");
  EXPECT_EQ(json::parse(client.read_until("\n\n"))["daemon"], "sidecar");
  stuck = true;
  EXPECT_THAT(client.read_until("event: busy\n"), Not(HasSubstr("(closed)")));
  EXPECT_THAT(client.read_until("\n\n"), HasSubstr("the daemon is busy"));
  stuck = false;
  EXPECT_THAT(client.read_until("event: now\n"), Not(HasSubstr("(closed)")));
  server.stop();
}

}  // namespace
}  // namespace rollcall::inspect
