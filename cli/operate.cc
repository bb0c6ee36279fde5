// rollcall confirm, freeze, unfreeze, forget, inventory: what an operator changes.

#include <CLI/CLI.hpp>
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
  std::string node;
  std::string length;
};

Exit operate(const Options& options, const std::string& path,
             const std::function<std::string(const Json&)>& sentence) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const auto answer = daemon->post(path);
  if (!answer) return answer.error();
  if (options.json) {
    std::fputs(answer->c_str(), stdout);
  } else {
    std::fputs(wrapped(harmless(sentence(parsed(*answer)))).c_str(), stdout);
  }
  return Exit::kDone;
}

std::string query(const Options& options) {
  std::string text;
  if (!options.length.empty()) text += "?for=" + escaped(options.length);
  if (!options.node.empty()) text += (text.empty() ? "?node=" : "&node=") + escaped(options.node);
  return text;
}

std::string of_whom(const Options& options) {
  return options.node.empty() ? "every worker" : options.node;
}

Exit confirm(const Options& options) {
  return operate(options, "/confirm", [](const Json& answer) {
    std::string names;
    for (const Json& name : field(answer, "confirmed"))
      names += (names.empty() ? "" : ", ") + shown(name);
    if (names.empty()) return std::string("No lease waits for a word: nothing was changed.");
    return "The leases of " + names + " expired: what was unreachable there is disconnected now.";
  });
}

Exit freeze(const Options& options) {
  return operate(options, "/freeze" + query(options), [&](const Json& answer) {
    return "No lease of " + of_whom(options) + " expires for " +
           shown_length(field(answer, "for_us")) +
           ". It ends by itself, or with \"rollcall unfreeze" +
           (options.node.empty() ? "" : " --node " + options.node) + "\".";
  });
}

Exit unfreeze(const Options& options) {
  return operate(options, "/unfreeze" + query(options),
                 [&](const Json&) { return "Leases of " + of_whom(options) + " expire again."; });
}

Exit forget(const Options& options) {
  return operate(options, "/nodes/" + escaped(options.node) + "/forget", [&](const Json&) {
    return options.node + " is forgotten: its agents that nobody else has are disconnected " +
           "(node_forgotten). If it connects again, it is a new worker.";
  });
}

Exit inventory(const Options& options) {
  return operate(options, "/inventory", [](const Json&) {
    return "A full inventory is sent as soon as the master lets it in.";
  });
}

}  // namespace

void add_operate(CLI::App& app, Run& run) {
  struct Added {
    CLI::App* command;
    std::shared_ptr<Options> options;
  };
  const auto add = [&run](CLI::App& to, const char* name, const char* about, Asks asks,
                          Exit (*what)(const Options&)) {
    const auto options = std::make_shared<Options>();
    CLI::App* command = to.add_subcommand(name, about);
    add_target(*command, options->target, asks);
    command->add_flag("--json", options->json, "Print the daemon's answer as it is");
    command->callback([&run, options, what] { run = [options, what] { return what(*options); }; });
    return Added{command, options};
  };
  const auto of_node = [](const Added& added) {
    added.command->add_option("--node", added.options->node, "Of this worker only");
  };
  add(app, "confirm", "Let the leases expire that are held because too many would at once",
      Asks::kMaster, confirm);
  const Added frozen = add(app, "freeze", "Let no lease expire for a time", Asks::kMaster, freeze);
  of_node(frozen);
  frozen.command->add_option("--for", frozen.options->length, "How long: 90s, 30m, 2h; at most 24h")
      ->required();
  of_node(add(app, "unfreeze", "Let leases expire again", Asks::kMaster, unfreeze));
  CLI::App* forget_command = app.add_subcommand("forget", "Forget what is gone for good");
  forget_command->require_subcommand(1);
  const Added node =
      add(*forget_command, "node", "A worker: what it left open is closed", Asks::kMaster, forget);
  node.command->add_option("NAME", node.options->node, "Its name")->required();
  add(app, "inventory", "Have a sidecar send a full inventory now", Asks::kSidecar, inventory);
}

}  // namespace rollcall::cli
