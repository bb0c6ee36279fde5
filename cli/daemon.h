#pragma once
// Where a daemon is asked, and how: HTTP on loopback, with the token for what changes something.
#include <expected>
#include <string>

#include "cli/command.h"
#include "cli/text.h"

namespace rollcall::cli {

enum class Asks { kMaster, kSidecar, kEither };

// The options that say which daemon is asked.
struct Target {
  std::string master, sidecar;  // HOST:PORT or http://HOST:PORT
  Asks asks = Asks::kEither;
  bool asks_sidecar = false;
  std::string config;  // the daemon's ini file
  std::string token;   // file
};
void add_target(CLI::App& command, Target& target, Asks asks);

// What was asked for, or how the command ends; then all is said.
class Daemon {
 public:
  static std::expected<Daemon, Exit> of(const Target& target);

  std::expected<std::string, Exit> get(const std::string& path) const;   // the body
  std::expected<std::string, Exit> post(const std::string& path) const;  // with the token
  // With the token, and waiting for as long as agents may be waited for. What it says of each agent
  // comes with any status that has a list of them.
  struct Answer {
    int status = 0;
    std::string body;
  };
  std::expected<Answer, Exit> put(const std::string& path, const std::string& body) const;
  bool is_sidecar() const { return sidecar_; }

 private:
  enum class Method { kGet, kPost, kPut };
  enum class Shows { kNothing, kToken };
  std::expected<Answer, Exit> ask(Method method, const std::string& path, Shows shows,
                                  const std::string& body = "") const;
  std::expected<std::string, Exit> done(const std::expected<Answer, Exit>& answer) const;
  std::string address() const;

  std::string host_;
  int port_ = 0;
  bool sidecar_ = false;
  std::string token_file_;
};

// `text` with what is not a letter, a digit or one of ".-_" as %XX.
std::string escaped(std::string_view text);

// The answer as JSON; a daemon never sends anything else.
Json parsed(const std::string& body);

}  // namespace rollcall::cli
