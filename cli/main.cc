// The `rollcall` tool: reads the command line and runs the command that was chosen.

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include "cli/command.h"

namespace {

using rollcall::cli::Exit;

// docs/cli.md has it too.
constexpr const char* kEnds =
    "It ends with\n"
    "  0: done\n"
    "  1: it failed, was refused, or its output could not be written; standard error says why\n"
    "  2: it was called wrongly\n"
    "  3: a log is not whole\n"
    "  4: no daemon answers\n"
    "  5: restart: some of the agents were told, and some were not\n"
    "\nEach command has its own --help, and --json for programs. Colours are for terminals only, "
    "and\n"
    "off if NO_COLOR is set.";

// What is not written is not done; a full disk shows at the latest when the rest is flushed.
Exit flushed(Exit how) {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!failed) return how;
  const std::string why = errno != 0 ? std::string(": ") + std::strerror(errno) : "";
  const Exit said = rollcall::cli::fail("not all of the output could be written" + why +
                                        "; make room where it goes to and run this again");
  return how == Exit::kDone ? said : how;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    CLI::App app("Shows and manages a rollcall cluster.", "rollcall");
    app.set_version_flag("--version", "rollcall " ROLLCALL_VERSION);
    app.require_subcommand(1);

    rollcall::cli::Run run;
    rollcall::cli::add_show(app, run);
    rollcall::cli::add_agents(app, run);
    rollcall::cli::add_top(app, run);
    rollcall::cli::add_events(app, run);
    rollcall::cli::add_operate(app, run);
    rollcall::cli::add_drain(app, run);
    rollcall::cli::add_restart(app, run);
    rollcall::cli::add_log_level(app, run);
    rollcall::cli::add_log(app, run);
    rollcall::cli::add_pki(app, run);
    rollcall::cli::add_check(app, run);
    rollcall::cli::add_completion(app, run);
    app.footer(kEnds);  // of this help only: whoever asks for a command's knows the rest

    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& end) {
      // --help and --version end here too, with 0.
      return static_cast<int>(app.exit(end) == 0 ? Exit::kDone : Exit::kUsage);
    }
    return static_cast<int>(run ? flushed(run()) : Exit::kUsage);
  } catch (const std::exception& unexpected) {
    std::fprintf(stderr, "rollcall: %s\n", unexpected.what());
    return static_cast<int>(Exit::kFailed);
  }
}
