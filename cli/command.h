#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace rollcall::cli {

// How a command ends: 0 done, 1 it failed (the reason is on standard error), 2 it was called
// wrongly.
enum class Exit : int { kDone = 0, kFailed = 1, kUsage = 2 };

// Each group of subcommands lives in a file of its own and has one function here. It describes
// its commands to `app`; the callback of the command that the user chose puts into `run` what is
// to be done once the command line was understood.
using Run = std::function<Exit()>;

void add_pki(CLI::App& app, Run& run);

}  // namespace rollcall::cli
