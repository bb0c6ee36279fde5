#pragma once
// The command line of a daemon. In a file of its own, since the header of its library is slow.
#include <expected>
#include <string>

#include "app/daemon.h"

namespace rollcall::app {

struct CommandLine {
  std::string config;
  bool check = false;  // --check-config
};

// Or, after --help, --version or a wrong call (all of which have been printed), the status to exit
// with.
std::expected<CommandLine, int> read_command_line(int argc, char** argv, const Program& program);

}  // namespace rollcall::app
