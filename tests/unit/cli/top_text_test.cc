#include "cli/top_text.h"

#include <gmock/gmock.h>

namespace rollcall::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Json node(const std::string& name, bool connected, int agents) {
  return {{"node", name},
          {"connected", connected},
          {"away", nullptr},
          {"blind", connected ? Json(false) : Json(nullptr)},
          {"lease", {{"status", connected ? "valid" : "lapsed"}}},
          {"frozen_until", nullptr},
          {"agreement", connected ? Json("equal") : Json(nullptr)},
          {"open_sessions", agents},
          {"open_sessions_reported", connected ? Json(agents) : Json(nullptr)},
          {"silent_for_us", connected ? Json(300'000) : Json(nullptr)},
          {"address", "10.0.0.1:5"}};
}

// A master with so many workers, w1 to wN, of which `down` is not connected.
TopView master(int workers, int down = 0) {
  TopView v;
  v.address = "127.0.0.1:9472";
  v.status = Json::parse(R"({"version": "1.2.3", "master_time": 1767261600000000, "agents": 12000,
      "active": 11000, "migrating": 600, "unreachable": 300, "disconnected": 100, "in_doubt": 2,
      "repairs": {"absent": 0}, "leases": {"held": []}, "log_error": null})");
  v.nodes = {{"nodes", Json::array()}};
  v.balance = {{"nodes", Json::array()}};
  for (int i = 1; i <= workers; ++i) {
    const std::string name = "w" + std::to_string(i);
    v.nodes["nodes"].push_back(node(name, i != down, 100 * i));
    v.balance["nodes"].push_back({{"node", name},
                                  {"agents", 100 * i},
                                  {"offered", i},
                                  {"came_last_minute", 7},
                                  {"left_last_minute", 3}});
  }
  v.events = Json::array();
  return v;
}

Screen terminal(std::size_t columns, std::size_t lines) {
  return {.terminal = true, .colours = false, .columns = columns, .lines = lines};
}

TEST(Top, ShowsAgentsMovesAndEachWorker) {
  Scroll scroll;
  TopView v = master(2);
  v.events_a_second = 12.4;
  const auto lines = top_lines(v, terminal(80, 24), scroll);
  EXPECT_THAT(lines[0],
              StartsWith("rollcall-master 1.2.3 at 127.0.0.1:9472  2026-01-01T10:00:00Z"));
  EXPECT_THAT(lines[0], HasSubstr("q: quit"));
  EXPECT_EQ(lines[1],
            "agents   12,000: 11,000 active, 600 migrating, 300 unreachable, 100 "
            "disconnected");
  EXPECT_EQ(lines[3], "workers  2: 2 connected; digests: 2 equal, 0 differ; 2 in doubt");
  EXPECT_EQ(lines[4], "moves    14 in the last minute; 12 events/s; repairs: none");
  EXPECT_THAT(lines, Contains("NODE  LINK  LEASE  AGENTS  OFFERED  IN/MIN  OUT/MIN  DIGEST  BEHIND"
                              "   HEARD"));
  EXPECT_THAT(lines, Contains("w2    up    valid     200        2       7        3  equal        0"
                              "  300 ms"));
}

TEST(Top, WorkersInTroubleComeFirst) {
  Scroll scroll;
  const auto lines = top_lines(master(3, 3), terminal(80, 24), scroll);
  EXPECT_THAT(lines[7], StartsWith("w3    down  lapsed"));
  EXPECT_THAT(lines[8], StartsWith("w1    up    valid"));
}

TEST(Top, SaysHowFarAWorkerIsBehind) {
  Scroll scroll;
  TopView v = master(1);
  v.nodes["nodes"][0]["open_sessions_reported"] = 1400;
  EXPECT_THAT(top_lines(v, terminal(80, 24), scroll)[7], HasSubstr("equal    1,300"));
}

TEST(Top, FitsEveryScreenAndScrollsWhatDoesNot) {
  TopView v = master(40);
  for (int i = 1; i <= 8; ++i) {
    v.events.push_back(
        {{"at", 1767261600000000}, {"agent", i}, {"event", "connect"}, {"to", {{"node", "w1"}}}});
  }
  for (std::size_t columns : {20, 40, 80, 120, 160}) {
    for (std::size_t rows = 8; rows < 70; ++rows) {
      Scroll scroll;
      const Screen screen = terminal(columns, rows);
      const auto lines = top_lines(v, screen, scroll);
      EXPECT_LE(lines.size(), rows) << columns;
      for (const std::string& line : lines) EXPECT_LE(width_of(line), columns) << line;
    }
  }
  const Screen screen = terminal(80, 24);
  Scroll scroll;
  EXPECT_THAT(top_lines(v, screen, scroll), Contains(StartsWith("w1 ")));
  const TopRoom room = top_room(v, screen);
  EXPECT_EQ(room.all, 40u);
  scroll.take(Key::last, room.rows, room.all);
  const auto end = top_lines(v, screen, scroll);
  EXPECT_THAT(end, Contains(StartsWith("w40 ")));
  EXPECT_THAT(end, Not(Contains(StartsWith("w1 "))));
  EXPECT_THAT(end, Contains(HasSubstr("to 40 of 40")));
}

TEST(Top, SaysWhyThereIsNothingNewAndGoesOnShowingTheOld) {
  Scroll scroll;
  TopView v = master(1);
  v.error = "cannot reach the master";
  const auto lines = top_lines(v, terminal(80, 24), scroll);
  EXPECT_EQ(lines[1], "error    cannot reach the master");
  EXPECT_THAT(lines, Contains(StartsWith("w1 ")));
  v.status = nullptr;
  EXPECT_EQ(top_lines(v, terminal(80, 24), scroll).size(), 2u);
}

TEST(Top, OfASidecarShowsItsBacklog) {
  Scroll scroll;
  TopView v;
  v.sidecar = true;
  v.address = "127.0.0.1:9470";
  v.status = Json::parse(R"({"version": "1.2.3", "node": "w1", "agents": 9, "open_sessions": 5,
      "link": {"state": "down", "error": "refused", "master_says": null},
      "backlog": {"events": 1200, "unsent": 1100, "bytes": 64000, "oldest_us": 9000000, "folded": 3},
      "agreement": {"state": "unknown", "equal_ago_us": null},
      "clock": {"known": true, "offset_us": -2000, "error_us": 1000},
      "source": {"error": null, "connected": true}, "store": {"error": null}})");
  const auto lines = top_lines(v, terminal(80, 24), scroll);
  EXPECT_THAT(lines, Contains("backlog    1,200 events, the oldest for 9 s"));
  EXPECT_THAT(lines, Contains("unsent     1,100 events, 64,000 bytes in all; 3 were folded"));
  EXPECT_THAT(lines, Contains("link       down: refused"));
  EXPECT_THAT(lines, Contains("clock      the master's is 2 ms behind, give or take 1 ms"));
}

TEST(Bars, GiveEachPartItsShareAndWhoeverIsThereAMark) {
  EXPECT_EQ(bar({{50, '#'}, {25, '>'}, {25, '-'}}, 22, false), "[##########>>>>>-----]");
  EXPECT_EQ(bar({{100'000, '#'}, {1, '?'}}, 12, false), "[#########?]");
  EXPECT_EQ(bar({{0, '#'}, {0, '?'}}, 8, false), "[      ]");
  for (std::size_t columns = 5; columns < 30; ++columns)
    EXPECT_EQ(bar({{1, '#'}, {7, '>'}, {3, '?'}}, columns, false).size(), columns);
}

}  // namespace
}  // namespace rollcall::cli
