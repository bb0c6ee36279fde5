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
    rollcall::cli::add_events(app, run);
    rollcall::cli::add_operate(app, run);
    rollcall::cli::add_drain(app, run);
    rollcall::cli::add_restart(app, run);
    rollcall::cli::add_log(app, run);
    rollcall::cli::add_pki(app, run);

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
