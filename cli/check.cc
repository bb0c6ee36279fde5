// rollcall check: whether a daemon can work on this machine, and what mends what it cannot;
// rollcall support: what somebody who helps needs, without secrets.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/check_parts.h"
#include "cli/command.h"
#include "cli/support.h"

namespace rollcall::cli {
namespace {

struct Options {
  std::vector<std::string> configs;
  std::string user;
  std::string out;
  bool json = false;
};

Exit none_found() {
  return fail("there is no ini file in /etc/rollcall: name it with --config", Exit::kUsage);
}

Exit check(const Options& options) {
  const auto files = options.configs.empty() ? usual_configs() : options.configs;
  if (files.empty()) return none_found();
  bool wrong = false;
  for (const auto& file : files) {
    const Findings findings = shown_while("Checking", kCheckSteps, [&](Steps& steps) {
      return check_daemon(file, options.user, steps);
    });
    wrong = wrong || findings.any_wrong();
    if (options.json) {
      Json json = findings_json(findings);
      json["config"] = file;
      print_json(json);
    } else {
      std::printf("%s", findings_text(findings).c_str());
    }
  }
  return wrong ? Exit::kFailed : Exit::kDone;
}

Exit support(const Options& options) {
  const auto files = options.configs.empty() ? usual_configs() : options.configs;
  if (files.empty()) return none_found();
  const auto written = shown_while("Packing", support_steps(files.size()), [&](Steps& steps) {
    return write_support(files, options.user, options.out, ROLLCALL_VERSION, steps);
  });
  if (!written) return fail(written.error().message);
  if (options.json) {
    print_json({{"file", *written}});
    return Exit::kDone;
  }
  std::printf(
      "%s\nIt holds no keys and no tokens, but names and addresses of nodes and agents: look at "
      "it\n"
      "(tar tzf) before you give it away.\n",
      written->c_str());
  return Exit::kDone;
}

CLI::App* add(CLI::App& app, Run& run, const std::shared_ptr<Options>& options,
              const std::string& name, const std::string& about, Exit (*what)(const Options&)) {
  CLI::App* command = app.add_subcommand(name, about);
  command
      ->add_option("--config", options->configs,
                   "A daemon's ini file; unless given, those in /etc/rollcall")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  command->add_option("--user", options->user,
                      "Look with the rights of this user (rollcall); only root can");
  command->add_flag("--json", options->json, "As JSON");
  command->callback([&run, options, what] { run = [options, what] { return what(*options); }; });
  return command;
}

}  // namespace

void add_check(CLI::App& app, Run& run) {
  const auto options = std::make_shared<Options>();
  add(app, run, options, "check", "Whether a daemon can work here, and what mends what it cannot",
      check);
  CLI::App* command = add(app, run, options, "support",
                          "Pack what somebody who helps needs, without secrets", support);
  command->add_option("--out", options->out, "The file to write (rollcall-support-TIME.tar.gz)");
}

}  // namespace rollcall::cli
