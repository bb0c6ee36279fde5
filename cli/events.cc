// rollcall events, contested: what becomes of agents, as the master's feed tells it.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/top_text.h"

namespace rollcall::cli {
namespace {

constexpr std::uint64_t kShown = 100;  // of the newest, unless it is said where to begin

struct Options {
  Target target;
  bool json = false;
  bool follow = false;
  std::optional<std::uint64_t> after;
};

// "2026-01-01T10:00:00Z      12  agent     7  migrate      w1 -> w2"
std::string line_of(const Json& e, const Screen& where) {
  char begin[128];
  std::snprintf(begin, sizeof begin, "%.19sZ  %6s  agent %5s  ", shown_time(field(e, "at")).c_str(),
                shown(field(e, "seq")).c_str(), shown(field(e, "agent")).c_str());
  return begin + toned(harmless(event_text(e)), tone_of(shown(field(e, "event"))), where.colours);
}

// Where the newest ones begin.
std::expected<std::uint64_t, Exit> newest(const Daemon& daemon) {
  const auto body = daemon.get("/events?after=newest");
  if (!body) return std::unexpected(body.error());
  const Json place = parsed(*body);
  if (field(place, "first").is_null()) return field(place, "last").get<std::uint64_t>();
  const auto first = field(place, "first").get<std::uint64_t>();
  const auto last = field(place, "last").get<std::uint64_t>();
  return std::max(first - 1, last - std::min(last, kShown));
}

Exit events(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const auto begin =
      options.after ? std::expected<std::uint64_t, Exit>(*options.after) : newest(*daemon);
  if (!begin) return begin.error();
  const std::string wait = options.follow ? "10s" : "0s";
  const Screen where = screen();
  for (std::uint64_t after = *begin;;) {
    const auto body =
        daemon->get("/events?limit=1000&wait=" + wait + "&after=" + std::to_string(after));
    if (!body) return body.error();
    const Json page = parsed(*body);
    for (const Json& e : field(page, "events")) {
      std::printf("%s\n", (options.json ? e.dump() : line_of(e, where)).c_str());
    }
    after = field(page, "after").get<std::uint64_t>();
    if (!options.follow && field(page, "events").empty()) return Exit::kDone;
    // What reads this gets it now; if nobody does any more, that is the end.
    if (options.follow && std::fflush(stdout) != 0) return Exit::kFailed;
  }
}

Exit contested(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  Table table = contested_table();
  std::string legend;
  for (std::uint64_t after = 0;;) {
    const auto body = daemon->get("/contested?limit=1000&after=" + std::to_string(after));
    if (!body) return body.error();
    const Json page = parsed(*body);
    if (options.json) std::fputs(body->c_str(), stdout);
    add_contested(table, field(page, "agents"));
    if (!field(page, "agents").empty())
      legend = "* the agent's newest session is there; FLAPPING is from " +
               shown(field(page, "flapping_from")) + " moves within the last hour\n";
    if (field(page, "next_after").is_null()) break;
    after = field(page, "next_after").get<std::uint64_t>();
  }
  if (options.json) return Exit::kDone;
  table.print();
  std::fputs(legend.c_str(), stdout);
  return Exit::kDone;
}

}  // namespace

void add_events(CLI::App& app, Run& run) {
  const auto add = [&](const char* name, const char* about, Exit (*what)(const Options&)) {
    // Lives as long as the callbacks that use it.
    const auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(name, about);
    add_target(*command, options->target, Asks::kMaster);
    command->callback([&run, options, what] { run = [options, what] { return what(*options); }; });
    return std::pair(command, options);
  };
  auto [list, of_list] = add("events", "Show what becomes of agents, the newest 100", events);
  list->add_flag("--follow", of_list->follow, "Go on with what comes, until interrupted");
  list->add_option("--after", of_list->after, "Begin behind this number of the feed");
  list->add_flag("--json", of_list->json, "One object of JSON a line");
  auto [clones, of_clones] =
      add("contested", "List agents that change their worker too often", contested);
  clones->add_flag("--json", of_clones->json, "Print the master's answer as it is");
}

}  // namespace rollcall::cli
