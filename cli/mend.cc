#include "cli/mend.h"

#include <algorithm>
#include <filesystem>

namespace rollcall::cli {
namespace {

// Where the CA is, commands need no other machine.
bool has_ca(const CheckedDaemon& daemon) {
  std::error_code none;
  return std::filesystem::exists(daemon.pki + "/ca.key", none);
}

std::string pki(const CheckedDaemon& daemon, const std::string& arguments) {
  return (has_ca(daemon) ? "" : "ssh CA-HOST ") + std::string("rollcall pki ") + arguments;
}

std::string both(const std::string& first, const std::string& then) {
  return first.empty() ? then : then.empty() ? first : first + " && " + then;
}

// Empty if they are there where they are needed.
std::string copies(const CheckedDaemon& daemon, const std::vector<FromCa>& files) {
  const std::string group = shell_word(daemon.user.group);
  const bool here = has_ca(daemon);
  std::string command, targets;
  for (const auto& file : files) {
    const std::string from = daemon.pki + "/" + file.name;
    targets += " " + shell_word(file.to);
    if (!here) {
      command = both(command, "scp " + shell_word("CA-HOST:" + from) + " " + shell_word(file.to));
    } else if (from != file.to) {
      command = both(command, "install -g " + group + " -m 640 " + shell_word(from) + " " +
                                  shell_word(file.to));
    }
  }
  if (here) return command;
  return both(command, both("chgrp " + group + targets, "chmod 640" + targets));
}

std::vector<FromCa> pair_of(const CheckedDaemon& daemon) {
  return {{daemon.node + ".crt", daemon.tls.certificate}, {daemon.node + ".key", daemon.tls.key}};
}

}  // namespace

std::string shell_word(std::string_view text) {
  static constexpr std::string_view kPlain = "./_-:@%+=,";
  const bool plain = !text.empty() && std::ranges::all_of(text, [](const char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           kPlain.find(c) != std::string_view::npos;
  });
  if (plain) return std::string(text);
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string noted(const std::string& command, const std::string& note) {
  return note.empty() ? command : command + "  # " + note;
}

std::string edit(const std::string& file, const std::string& note, int line) {
  return noted(
      "${EDITOR:-vi} " + (line > 0 ? "+" + std::to_string(line) + " " : "") + shell_word(file),
      note);
}

std::string edit_and_restart(const CheckedDaemon& daemon, const std::string& note) {
  return noted(both(edit(daemon.file, ""), "systemctl restart " + daemon.unit), note);
}

std::string fetch(const CheckedDaemon& daemon, const std::vector<FromCa>& files,
                  const std::string& note) {
  const std::string command = copies(daemon, files);
  return noted(command.empty() ? "rollcall pki show --dir " + shell_word(daemon.pki) : command,
               note);
}

std::string fetch_authorities(const CheckedDaemon& daemon) {
  return fetch(daemon, {{"ca.crt", daemon.tls.ca}}, "on every node");
}

std::string fetch_pair(const CheckedDaemon& daemon, const std::string& note) {
  return fetch(daemon, pair_of(daemon), note);
}

std::string renew(const CheckedDaemon& daemon, const std::string& node) {
  const std::string command = pki(daemon, "renew " + shell_word(node));
  if (node == daemon.node) return both(command, copies(daemon, pair_of(daemon)));
  return noted(command, "then copy " + node + ".crt and " + node + ".key to that machine");
}

std::string issue(const CheckedDaemon& daemon, const std::string& note) {
  const std::string command = pki(daemon, "issue " + shell_word(daemon.node));
  return noted(both(command, copies(daemon, pair_of(daemon))), note);
}

std::string change_ca(const CheckedDaemon& daemon) {
  return noted(pki(daemon, "change-ca"), "it says what to do next");
}

}  // namespace rollcall::cli
