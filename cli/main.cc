// The `rollcall` tool: reads the command line and runs the command that was chosen.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/command.h"

int main(int argc, char** argv) {
  using rollcall::cli::Exit;
  try {
    CLI::App app("Shows and manages a rollcall cluster.", "rollcall");
    app.set_version_flag("--version", "rollcall " ROLLCALL_VERSION);
    app.require_subcommand(1);

    rollcall::cli::Run run;
    rollcall::cli::add_show(app, run);
    rollcall::cli::add_operate(app, run);
    rollcall::cli::add_log(app, run);
    rollcall::cli::add_pki(app, run);

    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& end) {
      // --help and --version end here too, with 0.
      return static_cast<int>(app.exit(end) == 0 ? Exit::kDone : Exit::kUsage);
    }
    return static_cast<int>(run ? run() : Exit::kUsage);
  } catch (const std::exception& unexpected) {
    std::fprintf(stderr, "rollcall: %s\n", unexpected.what());
    return static_cast<int>(Exit::kFailed);
  }
}
