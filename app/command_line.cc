#include "app/command_line.h"

#include <CLI/CLI.hpp>

namespace rollcall::app {

std::expected<CommandLine, int> read_command_line(int argc, char** argv, const Program& program) {
  CLI::App cli{program.about, program.name};
  CommandLine line{program.config};
  cli.add_option("-c,--config", line.config, "the ini file")->capture_default_str();
  cli.add_flag("--check-config", line.check,
               "read the configuration and its certificates, say what is wrong, and exit");
  cli.set_version_flag("--version", program.name + " " + program.version);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    return std::unexpected(cli.exit(end) == 0 ? 0 : kExitUsage);  // --help and --version end here
  }
  return line;
}

}  // namespace rollcall::app
