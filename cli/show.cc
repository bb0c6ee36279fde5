// rollcall status, nodes, agents, agent, why: what a daemon says of itself and of its agents.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/daemon.h"

namespace rollcall::cli {
namespace {

struct Options {
  Target target;
  bool json = false;
  std::uint64_t agent = 0;
  std::string status, node, name, session;  // filters
  std::uint64_t limit = 0;                  // 0: all
};

using Show = void (*)(const Json& answer, bool sidecar);

// Asks for one page and prints it.
Exit page(const Options& options, const std::string& path, Show show) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const auto body = daemon->get(path);
  if (!body) return body.error();
  if (options.json) {
    std::fputs(body->c_str(), stdout);
  } else {
    show(parsed(*body), daemon->is_sidecar());
  }
  return Exit::kDone;
}

std::string number(const Json& value) {
  return shown(value);
}

std::string list_of(const Json& values) {
  std::string text;
  for (const Json& value : values) text += (text.empty() ? "" : ", ") + shown(value);
  return text;
}

// "older 3, newer 6": what is not 0.
std::string counts(const Json& by_name) {
  std::string text;
  for (const auto& [name, count] : by_name.items()) {
    if (count != 0) text += (text.empty() ? "" : ", ") + name + " " + number(count);
  }
  return text.empty() ? "none" : text;
}

void show_master(const Json& s) {
  print_field("master",
              "rollcall-master " + shown(field(s, "version")) +
                  (field(s, "ready") == true ? ", ready" : ", not ready: it cannot tell the time"));
  print_field("id, term", shown(field(s, "master")) + ", " + shown(field(s, "term")));
  print_field("time", shown_time(field(s, "master_time")));
  print_field("agents", number(field(s, "agents")) + " known: " + number(field(s, "active")) +
                            " active, " + number(field(s, "migrating")) + " migrating, " +
                            number(field(s, "unreachable")) + " unreachable, " +
                            number(field(s, "disconnected")) + " disconnected; " +
                            number(field(s, "in_doubt")) + " in doubt");
  const Json& leases = field(s, "leases");
  print_field("workers", number(field(s, "connections")) +
                             " connected; leases: " + number(field(leases, "valid")) + " valid, " +
                             number(field(leases, "lapsed")) + " lapsed, " +
                             std::to_string(field(leases, "held").size()) + " held, " +
                             number(field(leases, "expired")) + " expired");
  if (!field(leases, "held").empty()) {
    print_field("", list_of(field(leases, "held")) +
                        ": too many would expire at once; \"rollcall confirm\" "
                        "lets them, if they are really gone");
  }
  for (const Json& f : field(s, "frozen")) {
    print_field("frozen", (field(f, "node").is_null() ? "every worker" : shown(field(f, "node"))) +
                              " until " + shown_time(field(f, "until")));
  }
  print_field("decisions", counts(field(s, "decisions")));
  print_field("repairs", counts(field(s, "repairs")));
  print_field("log", field(s, "log_error").is_null()
                         ? "ok"
                         : "cannot be written: " + shown(field(s, "log_error")));
}

void show_sidecar(const Json& s) {
  print_field("sidecar",
              "rollcalld " + shown(field(s, "version")) + " of " + shown(field(s, "node")));
  print_field("agents", number(field(s, "agents")) + " known, " +
                            number(field(s, "open_sessions")) + " here");
  const Json& link = field(s, "link");
  std::string state = shown(field(link, "state"));
  if (!field(link, "error").is_null()) state += ": " + shown(field(link, "error"));
  if (!field(link, "master_says").is_null())
    state += "; the master says: " + shown(field(link, "master_says"));
  print_field("link", state);
  const Json& backlog = field(s, "backlog");
  std::string waiting = number(field(backlog, "events")) + " events";
  if (!field(backlog, "oldest_us").is_null()) {
    waiting += ", the oldest for " + shown_length(field(backlog, "oldest_us"));
  }
  print_field("backlog", waiting);
  const Json& agreement = field(s, "agreement");
  std::string agreed = shown(field(agreement, "state"));
  if (!field(agreement, "equal_ago_us").is_null()) {
    agreed += ", last equal " + shown_length(field(agreement, "equal_ago_us")) + " ago";
  }
  print_field("agreement", agreed);
  const Json& clock = field(s, "clock");
  print_field("clock", field(clock, "known") == true
                           ? "the master's is " + shown_length(field(clock, "offset_us")) +
                                 " ahead, give or take " + shown_length(field(clock, "error_us"))
                           : "the master's is not known yet");
  const Json& source = field(s, "source");
  print_field("source", field(source, "error").is_null()
                            ? (field(source, "connected") == true ? "connected" : "not connected")
                            : shown(field(source, "error")));
  const Json& store = field(s, "store");
  print_field("store", field(store, "error").is_null()
                           ? "ok"
                           : "cannot be written: " + shown(field(store, "error")));
}

Exit status(const Options& options) {
  return page(options, "/status", [](const Json& answer, bool sidecar) {
    sidecar ? show_sidecar(answer) : show_master(answer);
  });
}

Exit nodes(const Options& options) {
  return page(options, "/nodes", [](const Json& answer, bool) {
    Table table({"NODE", "LINK", "LEASE", "ENDS IN", "SESSIONS", "DIGEST", "ADDRESS"});
    for (const Json& n : field(answer, "nodes")) {
      const bool frozen = !field(n, "frozen_until").is_null();
      table.add({shown(field(n, "node")), field(n, "connected") == true ? "up" : "down",
                 shown(field(field(n, "lease"), "status")),
                 frozen ? "frozen" : shown_length(field(field(n, "lease"), "left_us")),
                 number(field(n, "open_sessions")), shown(field(n, "agreement")),
                 shown(field(n, "address"))});
    }
    table.print();
  });
}

Table sidecar_agents_table() {
  return Table({"ID", "ROW", "SESSION", "LAST HEARD", "REASON"});
}

void add_sidecar_agents(Table& table, const Json& agents) {
  for (const Json& a : agents) {
    const Json& row = field(a, "row");
    const Json& session = field(a, "session");
    table.add({shown(field(a, "id")), shown(field(row, "status")), shown(field(session, "phase")),
               shown_time(field(session, "evidence_hi")).substr(0, 19),
               shown(field(session, "reason"))});
  }
}

std::string filters(const Options& options) {
  std::string text;
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string&>{"status", options.status},
        {"node", options.node},
        {"name", options.name},
        {"session", options.session}}) {
    if (!value.empty()) text += std::string("&") + name + "=" + escaped(value);
  }
  return text;
}

Exit agents(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  constexpr std::uint64_t kPage = 1'000;
  Table table = daemon->is_sidecar() ? sidecar_agents_table() : agents_table();
  std::uint64_t left = options.limit == 0 ? ~std::uint64_t{0} : options.limit;
  for (std::uint64_t after = 0; left > 0;) {
    const auto asked = std::min(left, kPage);
    const auto body = daemon->get("/agents?limit=" + std::to_string(asked) +
                                  "&after=" + std::to_string(after) + filters(options));
    if (!body) return body.error();
    const Json answer = parsed(*body);
    if (options.json) {
      std::fputs(body->c_str(), stdout);
    } else if (daemon->is_sidecar()) {
      add_sidecar_agents(table, field(answer, "agents"));
    } else {
      add_agents(table, field(answer, "agents"));
    }
    left -= std::min<std::uint64_t>(left, field(answer, "agents").size());
    if (field(answer, "next_after").is_null()) break;
    after = field(answer, "next_after").get<std::uint64_t>();
  }
  if (!options.json) table.print();
  return Exit::kDone;
}

void show_masters_agent(const Json& a) {
  std::string where = shown(field(a, "status"));
  if (!field(a, "node").is_null())
    where += (field(a, "status") == "active"      ? " on "
              : field(a, "status") == "migrating" ? " from "
                                                  : ", last on ") +
             shown(field(a, "node"));
  if (!field(a, "reason").is_null()) where += " (" + shown(field(a, "reason")) + ")";
  print_field("agent", shown(field(a, "id")) + ": " + where);
  print_field("name", shown(field(field(a, "info"), "name")));
  print_field("address", shown(field(field(a, "info"), "ip")));
  print_field("system", shown(field(field(a, "info"), "os_name")) + " " +
                            shown(field(field(a, "info"), "os_version")));
  print_field("software", shown(field(field(a, "info"), "version")));
  print_field("reported",
              shown_time(field(a, "evidence_lo")) + " to " + shown_time(field(a, "evidence_hi")));
  print_field("lease",
              shown(field(a, "lease")) +
                  (field(a, "node_connected") == true ? ", connected" : ", not connected"));
  if (field(a, "in_doubt") == true)
    print_field("in doubt", "another worker may have heard it later");
  if (field(a, "contested") == true) print_field("contested", "perhaps two agents share one key");
}

void show_sidecars_agent(const Json& a) {
  print_field("agent", shown(field(a, "id")));
  if (const Json& row = field(a, "row"); !row.is_null())
    print_field("row", shown(field(row, "status")));
  const Json& session = field(a, "session");
  if (session.is_null()) return print_field("session", "was never here");
  std::string text = shown(field(session, "phase"));
  if (!field(session, "reason").is_null()) text += " (" + shown(field(session, "reason")) + ")";
  print_field("session", text);
  print_field("heard", shown_time(field(session, "evidence_lo")) + " to " +
                           shown_time(field(session, "evidence_hi")));
}

Exit agent(const Options& options) {
  return page(options, "/agents/" + std::to_string(options.agent),
              [](const Json& answer, bool sidecar) {
                sidecar ? show_sidecars_agent(answer) : show_masters_agent(answer);
              });
}

Exit why(const Options& options) {
  return page(options, "/agents/" + std::to_string(options.agent) + "/why",
              [](const Json& answer, bool) {
                std::fputs(wrapped(harmless(shown(field(answer, "text")))).c_str(), stdout);
              });
}

}  // namespace

void add_show(CLI::App& app, Run& run) {
  const auto add = [&](const char* name, const char* about, Asks asks,
                       Exit (*what)(const Options&)) {
    // Lives as long as the callbacks that use it.
    const auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(name, about);
    add_target(*command, options->target, asks);
    command->add_flag("--json", options->json, "Print the daemon's answer as it is");
    command->callback([&run, options, what] { run = [options, what] { return what(*options); }; });
    return std::pair(command, options);
  };
  add("status", "Show how a daemon is", Asks::kEither, status);
  add("nodes", "Show the workers as the master knows them", Asks::kMaster, nodes);
  auto [list, filter] = add("agents", "List agents", Asks::kEither, agents);
  list->add_option("--status", filter->status, "Only those of this status");
  list->add_option("--node", filter->node, "Only those of this worker");
  list->add_option("--name", filter->name, "Only those of this name; web-* takes what begins so");
  list->add_option("--session", filter->session,
                   "Of a sidecar: only open, released or closed ones");
  list->add_option("--limit", filter->limit, "At most so many");
  const auto add_of_agent = [&](const char* name, const char* about, Exit (*what)(const Options&)) {
    auto [command, options] = add(name, about, Asks::kEither, what);
    command->add_option("ID", options->agent, "The agent's number")
        ->required()
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{0xffff'ffff}));
  };
  add_of_agent("agent", "Show one agent", agent);
  add_of_agent("why", "Say why an agent is shown as it is", why);
}

}  // namespace rollcall::cli
