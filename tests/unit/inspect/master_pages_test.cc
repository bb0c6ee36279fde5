#include <gmock/gmock.h>

#include "inspect/readiness.h"
#include "tests/unit/inspect/master_pages_fixture.h"

namespace rollcall::inspect {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(MasterPages, IsReadyOnceItCanTellTheTime) {
  {
    const std::lock_guard loop(loop_);
    hold_disk_ = true;
    driver_.start();
  }
  const auto answer = ask("/readyz");
  EXPECT_EQ(answer.status, 503);
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["status"], "not ready");
  EXPECT_THAT(body["why"].get<std::string>(), HasSubstr("time"));
  EXPECT_EQ(get("/healthz"), json::parse(R"({"status": "ok"})"));
  EXPECT_EQ(get("/status")["master_time"], nullptr);
}

TEST_F(MasterPages, IsReadyUntilTheLogCannotBeWritten) {
  begin();
  EXPECT_EQ(get("/readyz"), json::parse(R"({"status": "ready"})"));
  connect(1, "w1");
  {
    const std::lock_guard loop(loop_);
    disk_.set_full(true);
  }
  say(1, 20, {opened(1, 10)});
  for (const char* page : {"/readyz", "/healthz"}) {
    const auto answer = ask(page);
    EXPECT_EQ(answer.status, 503) << page;
    EXPECT_THAT(json::parse(answer.body)["why"].get<std::string>(),
                HasSubstr("the log cannot be written: "));
  }
}

TEST_F(MasterPages, TheStatusLineSaysWhatThereIsAndWhyItIsNotReady) {
  const std::lock_guard loop(loop_);
  EXPECT_EQ(describe(driver_),
            "0 connections, 0 agents; not ready: the time cannot be told yet: the log holds no "
            "reservation for it");
}

TEST_F(MasterPages, AnAgentIsShownWithAllItsFieldsKnownOrNull) {
  tell();
  const json web = get("/agents/1");
  EXPECT_EQ(web["status"], "active");
  EXPECT_EQ(web["node"], "w1");
  EXPECT_EQ(web["node_connected"], true);
  EXPECT_EQ(web["reason"], nullptr);
  EXPECT_EQ(web["version"]["node"], "w1");
  EXPECT_EQ(web["evidence_lo"], at(10));
  EXPECT_EQ(web["info_complete"], true);
  EXPECT_EQ(web["info"]["name"], "web-1");
  EXPECT_EQ(web["info"]["os_name"], "Ubuntu");
  EXPECT_EQ(web["info"]["version"], nullptr);
  EXPECT_EQ(web["info"]["labels"], json::parse(R"({"room": "12"})"));

  const json stopped = get("/agents/3");
  EXPECT_EQ(stopped["status"], "disconnected");
  EXPECT_EQ(stopped["reason"], "shutdown");
  EXPECT_EQ(get("/agents/4")["node_connected"], false);

  // Nothing but a contact: no half of a session, no half of an info.
  const json contact = get("/agents/6");
  EXPECT_EQ(contact["status"], "unknown");
  for (const char* field :
       {"node", "node_connected", "lease", "reason", "version", "evidence_lo", "evidence_hi"}) {
    EXPECT_EQ(contact.at(field), nullptr) << field;
  }
  EXPECT_EQ(contact["contacts"][0]["node"], "w2");
  EXPECT_EQ(contact["info_complete"], false);
  for (const auto& [name, value] : contact["info"].items()) EXPECT_EQ(value, nullptr) << name;

  std::vector<std::string> names, info_names;
  for (const auto& [name, value] : contact.items()) names.push_back(name);
  for (const auto& [name, value] : web.items()) info_names.push_back(name);
  EXPECT_EQ(names, info_names);
  EXPECT_EQ(web["info"].size(), contact["info"].size());
}

TEST_F(MasterPages, WhatAWorkerCouldNotTellWholeIsNamedAsUnknown) {
  begin();
  connect(1, "w1");
  say(1, 20,
      {opened(1, 10, {{"name", "web-1"}, {"unknown_fields", "labels"}}),
       opened(2, 10,
              {{"os_uname", "cut"},
               {"label.room", "12"},
               {"unknown_fields", "ip\nlabel.site\nos_uname\nothers"}})});
  const auto unknown = [this](const char* page) {
    const json agent = get(page);
    EXPECT_FALSE(agent["info"].contains("unknown_fields"));
    std::vector<std::string> names = agent["unknown"];
    return names;
  };
  EXPECT_THAT(unknown("/agents/1"), ::testing::Contains("labels").Times(1));
  const auto names = unknown("/agents/2");
  for (const char* once : {"ip", "labels.site", "os_uname", "others", "name"})
    EXPECT_THAT(names, ::testing::Contains(once).Times(1)) << once;
  EXPECT_THAT(names, ::testing::Not(::testing::Contains("labels.room")));
  EXPECT_EQ(get("/agents/2")["info"]["os_uname"], "cut");
}

TEST_F(MasterPages, AgentsOfWorkersWhoseLeaseLapsedAreUnreachable) {
  tell();
  {
    const std::lock_guard loop(loop_);
    for (int i = 0; i < 40; ++i) {
      ++clock_.s;
      driver_.tick();
      disk_turn();
    }
  }
  EXPECT_THAT(ids("/agents?status=unreachable"), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(ids("/agents?status=active"), ElementsAre());
  EXPECT_EQ(get("/agents/1")["lease"], "lapsed");
  const json status = get("/status");
  EXPECT_EQ(status["active"], 0);
  EXPECT_EQ(status["unreachable"], 4);
  EXPECT_EQ(status["leases"]["lapsed"], 2);
  EXPECT_EQ(get("/nodes")["nodes"][0]["lease"]["status"], "lapsed");
  EXPECT_THAT(get("/agents/1/why")["text"].get<std::string>(), HasSubstr("w1's lease lapsed at"));
}

TEST_F(MasterPages, WhyHasTheDecisionThatCounts) {
  tell();
  const json why = get("/agents/3/why");
  EXPECT_EQ(why["status"], "disconnected");
  EXPECT_EQ(why["decision"]["event"], "closed");
  EXPECT_EQ(why["decision"]["version"], why["version"]);
  EXPECT_THAT(why["text"].get<std::string>(), HasSubstr("(shutdown)"));
  EXPECT_EQ(get("/agents/6/why")["decision"], nullptr);
  EXPECT_THAT(refused("/agents/x/why"), HasSubstr("whole number"));
}

TEST_F(MasterPages, AgentsAreFilteredByStatusNodeAndName) {
  tell();
  EXPECT_THAT(ids("/agents"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(ids("/agents?status=active"), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(ids("/agents?status=disconnected"), ElementsAre(3));
  EXPECT_THAT(ids("/agents?status=unknown"), ElementsAre(6));
  EXPECT_THAT(ids("/agents?node=w2"), ElementsAre(4, 5));
  EXPECT_THAT(ids("/agents?name=web-1"), ElementsAre(1));
  EXPECT_THAT(ids("/agents?name=web-1*"), ElementsAre(1, 4));
  EXPECT_THAT(ids("/agents?name=*"), ElementsAre(1, 2, 3, 4)) << "5 has no name";
  EXPECT_THAT(ids("/agents?name=web*&node=w1&status=active"), ElementsAre(1, 2));
  EXPECT_THAT(ids("/agents?node=w3"), ElementsAre());
  EXPECT_EQ(get("/agents?node=w2")["total"], 6);
}

TEST_F(MasterPages, AgentsComeInPagesAlsoThroughAFilter) {
  tell();
  json page = get("/agents?limit=2&status=active");
  EXPECT_EQ(page["next_after"], 2);
  page = get("/agents?limit=2&status=active&after=2");
  EXPECT_EQ(page["agents"].size(), 2u);
  EXPECT_EQ(page["agents"][0]["id"], 4);
  EXPECT_EQ(page["next_after"], nullptr);
  EXPECT_THAT(ids("/agents?after=4294967295"), ElementsAre());
  EXPECT_THAT(ids("/agents?after=18446744073709551615"), ElementsAre());
  // From page to page every agent comes once.
  std::vector<int> all;
  json after = 0;
  while (!after.is_null()) {
    page = get("/agents?limit=1&after=" + after.dump());
    all.push_back(page["agents"][0]["id"]);
    after = page["next_after"];
  }
  EXPECT_THAT(all, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(MasterPages, ParametersThatAreNotKnownAreRefusedWithThoseThatAre) {
  tell();
  EXPECT_EQ(refused("/agents?stauts=active"),
            "unknown parameter 'stauts'; allowed: after, limit, status, node, name, q");
  EXPECT_EQ(refused("/agents?status=Active"),
            "status takes one of active, migrating, unreachable, disconnected, unknown");
  EXPECT_EQ(refused("/agents?limit=1001"), "limit takes a whole number, 1 to 1000");
  EXPECT_EQ(refused("/agents?limit=0"), "limit takes a whole number, 1 to 1000");
  EXPECT_EQ(refused("/agents?after=-1"), "after takes a whole number");
  EXPECT_EQ(refused("/agents?node=a%20b"), "node takes the name of a node");
  EXPECT_THAT(refused("/agents?name="), HasSubstr("name takes an agent's name"));
  for (const char* page : {"/healthz", "/readyz", "/status", "/nodes", "/agents/1"}) {
    EXPECT_EQ(refused(std::string(page) + "?x=1"), "unknown parameter 'x'; allowed: none") << page;
  }
  EXPECT_EQ(refused("/agents/1/history?after=1"),
            "unknown parameter 'after'; allowed: before, limit");
  EXPECT_EQ(refused("/decisions?status=active"),
            "unknown parameter 'status'; allowed: after, limit");
  for (const char* id : {"0", "x", "-1", "4294967296", "1.5"}) {
    EXPECT_THAT(refused(std::string("/agents/") + id), HasSubstr("whole number")) << id;
  }
  EXPECT_EQ(refused("/agents/99", 404), "no worker has told of an agent of this id");
  EXPECT_EQ(refused("/agents/99/history", 404), "no worker has told of an agent of this id");
}

TEST_F(MasterPages, AHistoryTellsEachDecisionWithWhatItMetAndHowLateItCame) {
  begin();
  connect(1, "w1");
  connect(2, "w2");
  say(2, 20, {opened(7, 10)});
  say(1, 25, {opened(7, 21)});
  say(2, 40, {closed(7, 10, 13)});
  const json history = get("/agents/7/history");
  EXPECT_EQ(history["agent"], 7);
  EXPECT_EQ(history["complete"], true);
  EXPECT_EQ(history["since"], nullptr);
  EXPECT_EQ(history["next_before"], nullptr);
  ASSERT_EQ(history["decisions"].size(), 3u);
  const json& late = history["decisions"][0];
  EXPECT_EQ(late["node"], "w2");
  EXPECT_EQ(late["event"], "closed");
  EXPECT_EQ(late["reason"], "shutdown");
  EXPECT_EQ(late["rule"], "older");
  EXPECT_EQ(late["accepted"], false);
  EXPECT_EQ(late["at"], at(40));
  EXPECT_EQ(late["late_us"], 26 * kSecond) << "it was heard of until 14, and came at 40";
  EXPECT_EQ(late["version"]["node"], "w2");
  EXPECT_EQ(late["met"]["node"], "w1");
  EXPECT_EQ(late["met_phase"], "open");
  EXPECT_EQ(late["text"],
            "w2 said \"closed\" (shutdown), 26 s after what it speaks of. Refused: its stay began "
            "11 s before w1's, which was open, so it changes nothing.");
  const json& first = history["decisions"][2];
  EXPECT_EQ(first["rule"], "first");
  EXPECT_EQ(first["reason"], nullptr);
  EXPECT_EQ(first["met"], nullptr);
  EXPECT_EQ(first["met_phase"], nullptr);

  const json part = get("/agents/7/history?limit=2");
  EXPECT_EQ(part["decisions"].size(), 2u);
  const json rest = get("/agents/7/history?before=" + part["next_before"].dump());
  ASSERT_EQ(rest["decisions"].size(), 1u);
  EXPECT_EQ(rest["decisions"][0], first);
}

TEST_F(MasterPages, NodesThatAreNotConnectedShowNothingOfAConnection) {
  tell();
  const json nodes = get("/nodes")["nodes"];
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0]["node"], "w1");
  EXPECT_EQ(nodes[0]["connected"], true);
  EXPECT_EQ(nodes[0]["address"], "10.0.0.1:5");
  EXPECT_EQ(nodes[0]["open_sessions"], 2);
  EXPECT_EQ(nodes[1]["connected"], false);
  for (const char* field :
       {"address", "software", "connected_for_us", "silent_for_us", "open_sessions_reported"}) {
    EXPECT_EQ(nodes[1].at(field), nullptr) << field;
  }
  EXPECT_EQ(nodes[1]["open_sessions"], 2);
}

TEST_F(MasterPages, StatusCountsAgents) {
  tell();
  const json status = get("/status");
  EXPECT_EQ(status["version"], "1.2.3");
  EXPECT_EQ(status["agents"], 6);
  EXPECT_EQ(status["active"], 4);
  EXPECT_EQ(status["connections"], 1);
  EXPECT_EQ(status["decisions"],
            json::parse(R"({"first": 5, "newer": 1, "contact": 1, "older": 0, "duplicate": 0,
                                      "conflict": 0, "future_epoch": 0})"));
  EXPECT_EQ(status["log_error"], nullptr);
}

TEST_F(MasterPages, DecisionsAreListedInTheOrderOfTheirArrival) {
  tell();
  const json all = get("/decisions");
  EXPECT_EQ(all["newest"], 7);
  EXPECT_EQ(all["decisions"][3]["event"], "closed");
  EXPECT_EQ(all["decisions"][6]["record"], nullptr) << "a contact makes no session";
  EXPECT_EQ(get("/decisions?after=6")["decisions"].size(), 1u);
}

TEST_F(MasterPages, AnOfferedAgentIsMigratingUntilWhen) {
  tell();
  Event offer = event(1, EventKind::offered, 10, 1, 10);
  offer.grace_us = 60 * kSecond;
  say(1, 30, {offer});
  const json agent = get("/agents/1");
  EXPECT_EQ(agent["status"], "migrating");
  EXPECT_EQ(agent["reason"], nullptr);
  EXPECT_GT(agent["offered_until"], at(85));
  EXPECT_EQ(get("/status")["migrating"], 1);
  EXPECT_EQ(get("/status")["active"], 3);
  EXPECT_THAT(ids("/agents?status=migrating"), ElementsAre(1));
  EXPECT_EQ(get("/nodes")["nodes"][0]["offered"], 1);
  EXPECT_THAT(get("/agents/1/why")["text"].get<std::string>(),
              HasSubstr("Agent 1 is migrating from w1. "));
}

TEST_F(MasterPages, MovesAreListedTheNewestFirst) {
  tell();
  connect(3, "w3");
  Event offer = event(1, EventKind::offered, 10, 1, 10);
  offer.grace_us = 60 * kSecond;
  say(1, 30, {offer});
  say(3, 40, {opened(1, 35), opened(2, 36)});
  Event released = event(1, EventKind::released, 10, 2, 12);
  say(1, 41, {released});
  const json page = get("/migrations");
  EXPECT_EQ(page["kept"], 10'000);
  EXPECT_EQ(page["total"], 2);
  EXPECT_EQ(page["under_way"], 1);
  EXPECT_EQ(page["taken_last_minute"], 2);
  ASSERT_EQ(page["migrations"].size(), 2u);
  const json& second = page["migrations"][0];
  EXPECT_EQ(second["agent"], 2);
  EXPECT_EQ(second["offered"], nullptr);
  EXPECT_EQ(second["released"], nullptr);
  EXPECT_EQ(second["end"], nullptr);
  const json& first = page["migrations"][1];
  EXPECT_EQ(first["from"], json({{"epoch", at(10)}, {"node", "w1"}}));
  EXPECT_EQ(first["to"], json({{"epoch", at(35)}, {"node", "w3"}}));
  EXPECT_EQ(first["gap_us"], 22 * kSecond);
  EXPECT_EQ(first["end"], "released");
  EXPECT_EQ(get("/migrations?limit=1")["next_before"], second["number"]);
  EXPECT_EQ(get("/migrations?before=" + second["number"].dump())["migrations"][0], first);
  EXPECT_EQ(get("/agents/1/migrations")["migrations"], json::array({first}));
  EXPECT_EQ(get("/migrations?node=w2")["migrations"], json::array());
  EXPECT_EQ(get("/migrations?node=w3")["migrations"].size(), 2u);
  refused("/migrations?node=a/b");
  refused("/agents/x/migrations");
}

TEST_F(MasterPages, TheBalanceSaysWhatADrainOfEachWorkerWouldDo) {
  tell();
  connect(3, "w3");
  say(3, 40, {opened(1, 35), opened(2, 36)});
  const json page = get("/balance?move=2");
  EXPECT_EQ(page["workers"], 2) << "w2 is not connected";
  std::map<std::string, json> nodes;
  for (const json& n : page["nodes"]) nodes[n["node"]] = n;
  const json& third = nodes.at("w3");
  EXPECT_EQ(third["agents"], 2);
  EXPECT_EQ(third["came_last_minute"], 2);
  EXPECT_EQ(third["left_last_minute"], 0);
  EXPECT_EQ(
      nodes.at("w1")["left_last_minute"].get<int>() + nodes.at("w2")["left_last_minute"].get<int>(),
      2);
  EXPECT_EQ(third["drain"], json({{"agents", 2},
                                  {"others", 1},
                                  {"each_gets", 2},
                                  {"most_loaded", 2 + nodes.at("w1")["agents"].get<int>()},
                                  {"takes_s", 1}}));
  int agents = 0;
  for (const auto& [name, node] : nodes) agents += node["agents"].get<int>();
  EXPECT_EQ(page["agents"], agents);
  EXPECT_EQ(page["even"], (agents + 1) / 2);
  refused("/balance?move=0");
}

TEST_F(MasterPages, ALoopThatDoesNotAnswerIsAnswered503) {
  HttpServer server{{}};
  add_master_pages(server, [](const auto&) { return false; },
                   {driver_, clock_, "1", [] { return net::TlsListener::Counters{}; }});
  ASSERT_TRUE(server.start());
  for (const char* page : {"/healthz", "/readyz", "/agents", "/agents/1/history", "/nodes"}) {
    EXPECT_EQ(Client(server.port()).send(request(std::string("GET ") + page)).read_answer().status,
              503)
        << page;
  }
}

}  // namespace
}  // namespace rollcall::inspect
