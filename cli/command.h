#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace rollcall::cli {

// How a command ends. docs/cli.md has the table.
enum class Exit : int {
  kDone = 0,
  kFailed = 1,    // the reason is on standard error
  kUsage = 2,     // it was called wrongly
  kDamaged = 3,   // a log is not whole
  kNoAnswer = 4,  // no daemon answers
  kPartly = 5,    // for some of what was named it is done
};

// Each group of subcommands lives in a file of its own and has one function here. It describes
// its commands to `app`; the callback of the command that the user chose puts into `run` what is
// to be done once the command line was understood.
using Run = std::function<Exit()>;

void add_pki(CLI::App& app, Run& run);
void add_check(CLI::App& app, Run& run);       // check, support
void add_show(CLI::App& app, Run& run);        // status, nodes, agent, why
void add_agents(CLI::App& app, Run& run);      // agents
void add_top(CLI::App& app, Run& run);         // top
void add_events(CLI::App& app, Run& run);      // events, contested
void add_operate(CLI::App& app, Run& run);     // confirm, freeze, unfreeze, forget, inventory
void add_drain(CLI::App& app, Run& run);       // drain, undrain, migrations
void add_restart(CLI::App& app, Run& run);     // restart
void add_log_level(CLI::App& app, Run& run);   // log-level
void add_log(CLI::App& app, Run& run);         // log verify, replay, export, repair
void add_completion(CLI::App& app, Run& run);  // completion bash, of all that was added before

// Says it on standard error.
Exit fail(const std::string& message, Exit how = Exit::kFailed);

}  // namespace rollcall::cli
