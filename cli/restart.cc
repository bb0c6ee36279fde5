// rollcall restart: has agents restarted by the workers that they are connected to.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/progress.h"

namespace rollcall::cli {
namespace {

struct Options {
  Target target;
  bool json = false;
  std::vector<std::string> agents;
  bool all = false;
  std::string assume, timeout, id;
};

std::string query(const Options& options) {
  std::string text;
  const auto add = [&text](const char* name, const std::string& value) {
    if (!value.empty()) text += (text.empty() ? "?" : "&") + std::string(name) + escaped(value);
  };
  add("assume=", options.assume);
  add("timeout=", options.timeout);
  add("id=", options.id);
  return text;
}

std::string listed(const Options& options) {
  if (options.all) return "all";
  std::string text;
  for (const std::string& agent : options.agents) text += (text.empty() ? "" : ",") + agent;
  return text;
}

// So many failures are told one by one.
constexpr std::size_t kMaxTold = 100;

void print(const Json& answer) {
  std::size_t told = 0;
  for (const Json& one : field(answer, "failed")) {
    if (told++ == kMaxTold) break;
    const std::string line = shown(field(one, "id")) + " " + shown(field(one, "reason")) + ": " +
                             shown(field(one, "text"));
    std::fputs(wrapped(harmless(line)).c_str(), stdout);
  }
  if (told > kMaxTold) std::puts("... and others; --json has all of them");
  std::printf("%s told to restart, %s not (%s).\nCommand %s\n",
              shown(field(answer, "total_affected")).c_str(),
              shown(field(answer, "total_failed")).c_str(),
              shown_length(field(answer, "took_us")).c_str(), shown(field(answer, "id")).c_str());
}

// Shows meanwhile how many agents have their end: those that move are waited for.
std::expected<Daemon::Answer, Exit> told(const Daemon& daemon, const std::string& path,
                                         const std::string& body) {
  auto answer = std::async(std::launch::async, [&] { return daemon.put(path, body); });
  Progress progress("Waiting for agents that have no answer yet");
  Remaining waited_for;
  while (answer.wait_for(std::chrono::milliseconds(300)) != std::future_status::ready) {
    const auto status = daemon.try_get("/status");
    if (!status) continue;  // what is wrong is the answer's to say
    const Json waiting = field(field(parsed(*status), "commands"), "waiting_agents");
    waited_for.see(static_cast<std::uint64_t>(number_of(waiting)));
    if (waited_for.total() > 0) progress.show(waited_for.done(), waited_for.total());
  }
  return answer.get();
}

Exit restart(const Options& options) {
  if (options.all == !options.agents.empty())
    return fail("name the agents to restart, or --all", Exit::kUsage);
  const auto daemon = Daemon::of(options.target);
  if (!daemon) return daemon.error();
  const auto answer = told(*daemon, "/agents/restart" + query(options), listed(options));
  if (!answer) return answer.error();
  if (options.json) {
    std::fputs(answer->body.c_str(), stdout);
  } else {
    print(parsed(answer->body));
  }
  if (answer->status == 200) return Exit::kDone;
  if (answer->status == 207) return Exit::kPartly;
  return fail("no agent was told to restart");
}

}  // namespace

void add_restart(CLI::App& app, Run& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("restart", "Restart agents, wherever they are connected");
  add_target(*command, options->target, Asks::kMaster);
  command->add_flag("--json", options->json, "Print the daemon's answer as it is");
  command->add_option("ID", options->agents, "The agents, such as 7 or 007");
  command->add_flag("--all", options->all, "All agents that are connected");
  command->add_option("--assume", options->assume,
                      "The version of agents of which none is known, such as v4.14.0");
  command->add_option("--timeout", options->timeout,
                      "How long to wait for agents that move: 100ms to 60s (default 10s)");
  command->add_option("--id", options->id,
                      "A name for this command: asked again with it, no agent is told twice");
  command->callback([&run, options] { run = [options] { return restart(*options); }; });
}

}  // namespace rollcall::cli
