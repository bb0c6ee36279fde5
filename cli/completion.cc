// rollcall completion bash: a script for the shell, made of what the commands say of themselves.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "cli/command.h"

namespace rollcall::cli {
namespace {

// "status nodes --help ": what may follow the command.
std::string words_of(const CLI::App& command) {
  std::string words;
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; }))
    words += sub->get_name() + " ";
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
  }
  return words;
}

// A case for each command, named by the words that lead there.
void add_cases(const CLI::App& command, const std::string& path, std::string& out) {
  out += "    \"" + path + "\") words=\"" + words_of(command) + "\" ;;\n";
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; }))
    add_cases(*sub, path + " " + sub->get_name(), out);
}

constexpr const char* kBegin = R"(# bash completion of rollcall: source this, or keep it as
# /usr/share/bash-completion/completions/rollcall
_rollcall() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" path=rollcall words i
  COMPREPLY=()
  case "$before" in
    --config|--token) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --status) [[ ${COMP_WORDS[1]} == agents ]] &&
      COMPREPLY=($(compgen -W "active migrating unreachable disconnected unknown" -- "$word")) &&
      return ;;
  esac
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$path ${COMP_WORDS[i]}" in
)";
constexpr const char* kMiddle = R"() path="$path ${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path" in
)";
constexpr const char* kEnd = R"(  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ $path == "rollcall log "* ]] && COMPREPLY+=($(compgen -d -- "$word"))
}
complete -F _rollcall rollcall
)";

void add_paths(const CLI::App& command, const std::string& path, std::string& out) {
  for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string deeper = path + " " + sub->get_name();
    out += (out.empty() ? "      \"" : "|\"") + deeper + "\"";
    add_paths(*sub, deeper, out);
  }
}

}  // namespace

void add_completion(CLI::App& app, Run& run) {
  CLI::App* completion = app.add_subcommand("completion", "Print a script for the shell");
  completion->require_subcommand(1);
  CLI::App* bash = completion->add_subcommand("bash", "source <(rollcall completion bash)");
  bash->callback([&run, &app] {
    run = [&app] {
      std::string paths, cases;
      add_paths(app, "rollcall", paths);
      add_cases(app, "rollcall", cases);
      std::printf("%s%s%s%s%s", kBegin, paths.c_str(), kMiddle, cases.c_str(), kEnd);
      return Exit::kDone;
    };
  });
}

}  // namespace rollcall::cli
