// rollcall log-level: from which level on a daemon logs, until it is started again or reads its
// file anew.
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
  std::string level;
};

Exit log_level(const Options& options) {
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const auto answer = options.level.empty() ? daemon->get("/log")
                                            : daemon->put("/log?level=" + escaped(options.level));
  if (!answer) return answer.error();
  if (options.json) {
    std::fputs(answer->c_str(), stdout);
    return Exit::kDone;
  }
  const Json said = parsed(*answer);
  std::printf("%s\n", harmless(shown(field(said, "level"))).c_str());
  return Exit::kDone;
}

}  // namespace

void add_log_level(CLI::App& app, Run& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("log-level", "Show or change from which level on a daemon logs");
  add_target(*command, options->target, Asks::kEither);
  command
      ->add_option("LEVEL", options->level, "debug, info, warn or error; shown if it is not given")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  command->add_flag("--json", options->json, "Print the daemon's answer as it is");
  command->callback([&run, options] { run = [options] { return log_level(*options); }; });
}

}  // namespace rollcall::cli
