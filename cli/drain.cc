// rollcall drain, undrain, migrations: a worker is emptied, and where its agents went.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/drain_text.h"

namespace rollcall::cli {
namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(500);

struct Options {
  Target target;
  bool json = false;
  std::string grace;
  std::string move;  // "" without --move
  bool no_wait = false;
  bool status = false;
  std::string agent, node;
  std::uint64_t limit = 0;
};

// Written over on a terminal; elsewhere a line whenever it changes.
Exit follow(const Daemon& daemon) {
  const bool terminal = screen().terminal;
  std::string before;
  std::size_t lines = 0;  // that it takes on the terminal
  for (;; std::this_thread::sleep_for(kLookAgain)) {
    const auto answer = daemon.get("/handoffs?limit=1");
    if (!answer) return answer.error();
    const Json page = parsed(*answer);
    const Json& drain = field(page, "drain");
    if (drain.is_null()) {
      std::puts(before.empty() ? "This worker is not drained." : "\nThe drain was taken back.");
      return Exit::kFailed;
    }
    const std::string line = drain_line(drain);
    if (terminal) {
      const auto over = rewritten(line, lines, screen().columns);
      std::fputs(over.bytes.c_str(), stdout);
      lines = over.lines;
    } else if (line != before) {
      std::puts(line.c_str());
    }
    std::fflush(stdout);
    before = line;
    if (drain_left(drain) == 0) {
      std::puts(terminal ? "\nThis worker has no agents any more."
                         : "This worker has no agents any more.");
      return Exit::kDone;
    }
  }
}

Exit as_json(const Daemon& daemon) {
  const auto answer = daemon.get("/handoffs?limit=1");
  if (!answer) return answer.error();
  std::puts(field(parsed(*answer), "drain").dump().c_str());
  return Exit::kDone;
}

Exit drain(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  if (options.status) return options.json ? as_json(*daemon) : follow(*daemon);
  std::string path = "/drain";
  if (!options.grace.empty()) path += "?grace=" + escaped(options.grace);
  if (!options.move.empty())
    path += (options.grace.empty() ? "?move=" : "&move=") + escaped(options.move);
  const auto answer = daemon->post(path);
  if (!answer) return answer.error();
  if (options.json) {
    std::fputs(answer->c_str(), stdout);
    return Exit::kDone;
  }
  std::fputs(wrapped("This worker is drained until \"rollcall undrain\": its agents are offered to "
                     "the others.")
                 .c_str(),
             stdout);
  return options.no_wait ? Exit::kDone : follow(*daemon);
}

Exit undrain(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const auto answer = daemon->post("/undrain");
  if (!answer) return answer.error();
  std::fputs(options.json ? answer->c_str() : "This worker takes agents again.\n", stdout);
  return Exit::kDone;
}

// "?node=w1&limit=5"
std::string query(const Options& options) {
  std::string text;
  const auto add = [&text](const char* name, const std::string& value) {
    text += (text.empty() ? "?" : "&") + std::string(name) + escaped(value);
  };
  if (!options.node.empty()) add("node=", options.node);
  if (options.limit != 0) add("limit=", std::to_string(options.limit));
  return text;
}

Exit migrations(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const std::string of =
      options.agent.empty() ? "/migrations" : "/agents/" + escaped(options.agent) + "/migrations";
  const auto answer = daemon->get(of + query(options));
  if (!answer) return answer.error();
  if (options.json) {
    std::fputs(answer->c_str(), stdout);
    return Exit::kDone;
  }
  const Json page = parsed(*answer);
  const auto node = [](const Json& session) { return shown(field(session, "node")); };
  Table table({number_column("AGENT"), cut_column("FROM"), cut_column("TO"), "OFFERED", "TAKEN",
               number_column("GAP"), "END"});
  for (const Json& m : field(page, "migrations")) {
    const bool under_way = field(m, "end").is_null();
    table.add({shown(field(m, "agent")), node(field(m, "from")), node(field(m, "to")),
               clock_of(shown_time(field(m, "offered"))),
               shown_time(field(m, "taken")).substr(0, 19), shown_length(field(m, "gap_us")),
               under_way ? Cell("under way", Tone::notice) : Cell(shown(field(m, "end")))});
  }
  table.print();
  return Exit::kDone;
}

Exit balance(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const auto answer =
      daemon->get(options.move.empty() ? "/balance" : "/balance?move=" + escaped(options.move));
  if (!answer) return answer.error();
  if (options.json) {
    std::fputs(answer->c_str(), stdout);
    return Exit::kDone;
  }
  const Json page = parsed(*answer);
  Table table({cut_column("NODE"), "LEASE", number_column("AGENTS"), number_column("IN/MIN"),
               number_column("OUT/MIN"), "A DRAIN WOULD"});
  for (const Json& n : field(page, "nodes")) {
    const Json& drain = field(n, "drain");
    const std::string does = field(drain, "each_gets").is_null()
                                 ? "leave them nowhere to go"
                                 : "give " + shown(field(drain, "each_gets")) + " to each of " +
                                       shown(field(drain, "others")) + ", in " +
                                       shown(field(drain, "takes_s")) + " s";
    table.add({shown(field(n, "node")), toned_cell(shown(field(n, "lease"))),
               shown(field(n, "agents")), shown(field(n, "came_last_minute")),
               shown(field(n, "left_last_minute")), does});
  }
  table.print();
  return Exit::kDone;
}

}  // namespace

void add_drain(CLI::App& app, Run& run) {
  const auto add = [&](const char* name, const char* about, Asks asks,
                       Exit (*what)(const Options&)) {
    const auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(name, about);
    add_target(*command, options->target, asks);
    command->add_flag("--json", options->json, "Print the daemon's answer as it is");
    command->callback([&run, options, what] { run = [options, what] { return what(*options); }; });
    return std::pair(command, options);
  };
  const auto [drained, how] =
      add("drain", "Offer this worker's agents to the others", Asks::kSidecar, drain);
  drained->add_option("--grace", how->grace,
                      "How long an agent may be nowhere: 90s, 5m; as configured without it");
  drained
      ->add_option("--move", how->move,
                   "Ask the agents to connect anew, so many a second (10 without a number)")
      ->expected(0, 1)
      ->default_str("10");
  drained->add_flag("--no-wait", how->no_wait, "Do not follow how far it has come");
  drained
      ->add_flag("--status", how->status, "Show how far the present drain is, and change nothing")
      ->excludes("--grace")
      ->excludes("--move")
      ->excludes("--no-wait");
  add("undrain", "Take this worker's drain back", Asks::kSidecar, undrain);
  const auto [moves, which] =
      add("migrations", "Agents that went from one worker to another", Asks::kMaster, migrations);
  moves->add_option("ID", which->agent, "Of this agent only");
  moves->add_option("--node", which->node, "Only those from or to this worker");
  moves->add_option("--limit", which->limit, "At most so many (100)");
  const auto [balanced, rate] =
      add("balance", "How agents are spread over the workers, and what a drain of each would do",
          Asks::kMaster, balance);
  balanced->add_option("--move", rate->move, "At so many agents a second (10)");
}

}  // namespace rollcall::cli
