// rollcall status, nodes, agent, why: what a daemon says of itself and of its agents.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/status_text.h"

namespace rollcall::cli {
namespace {

struct Options {
  Target target;
  bool json = false;
  std::uint64_t agent = 0;
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

Exit status(const Options& options) {
  return page(options, "/status", [](const Json& answer, bool sidecar) {
    for (const NamedText& f : sidecar ? sidecar_status(answer) : master_status(answer))
      print_field(f.name, f.text, f.tone);
  });
}

Exit nodes(const Options& options) {
  return page(options, "/nodes", [](const Json& answer, bool) {
    Table table({cut_column("NODE"), "LINK", "LEASE", number_column("ENDS IN"),
                 number_column("SESSIONS"), "DIGEST", cut_column("ADDRESS")});
    for (const Json& n : field(answer, "nodes")) {
      const bool frozen = !field(n, "frozen_until").is_null();
      const Json& lease = field(n, "lease");
      table.add({shown(field(n, "node")), toned_cell(link_of(n)),
                 toned_cell(shown(field(lease, "status"))),
                 frozen ? toned_cell("frozen") : Cell(shown_length(field(lease, "left_us"))),
                 shown(field(n, "open_sessions")), toned_cell(shown(field(n, "agreement"))),
                 shown(field(n, "address"))});
    }
    table.print();
  });
}

// "active on w1", "disconnected, last on w1 (shutdown)"
std::string where_is(const Json& a) {
  const std::string status = shown(field(a, "status"));
  std::string text = status;
  if (!field(a, "node").is_null()) {
    text += status == "active" ? " on " : status == "migrating" ? " from " : ", last on ";
    text += shown(field(a, "node"));
  }
  if (!field(a, "reason").is_null()) text += " (" + shown(field(a, "reason")) + ")";
  return text;
}

// "site lab, room 12"
std::string labels_of(const Json& info) {
  std::string text;
  for (const auto& [name, value] : field(info, "labels").items())
    text += (text.empty() ? "" : ", ") + name + " " + shown(value);
  return text;
}

void show_masters_agent(const Json& a) {
  const Json& info = field(a, "info");
  print_field("agent", shown(field(a, "id")) + ": " + where_is(a),
              tone_of(shown(field(a, "status"))));
  print_field("name", shown(field(info, "name")));
  print_field("address", shown(field(info, "ip")));
  print_field("system", shown(field(info, "os_name")) + " " + shown(field(info, "os_version")));
  print_field("software", shown(field(info, "version")));
  print_field("group", shown(field(info, "group")));
  if (const std::string labels = labels_of(info); !labels.empty()) print_field("labels", labels);
  if (!field(a, "unknown").empty()) print_field("unknown", list_of(field(a, "unknown")));
  print_field("reported",
              shown_time(field(a, "evidence_lo")) + " to " + shown_time(field(a, "evidence_hi")));
  print_field("lease",
              shown(field(a, "lease")) +
                  (field(a, "node_connected") == true ? ", connected" : ", not connected"));
  if (!field(a, "offered_until").is_null())
    print_field("offered", "until " + shown_time(field(a, "offered_until")), Tone::notice);
  if (field(a, "in_doubt") == true)
    print_field("in doubt", "another worker may have heard it later", Tone::warning);
  if (field(a, "contested") == true) {
    print_field("contested", "perhaps two agents share one key: see \"rollcall contested\"",
                Tone::warning);
  }
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
