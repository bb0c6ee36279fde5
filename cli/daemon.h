#pragma once
// Where a daemon is asked, and how: HTTP on loopback, with the token for what changes something.
#include <chrono>
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
  // As get(), for who asks again and again: what is wrong is not said yet.
  struct Failure {
    std::string message;
    Exit how = Exit::kFailed;
  };
  std::expected<std::string, Failure> try_get(const std::string& path) const;
  // How long it may take to answer, from now on; without it as long as a daemon may need.
  void hurry(std::chrono::seconds patience) { patience_ = patience; }
  // With the token, and waiting for as long as agents may be waited for. What it says of each agent
  // comes with any status that has a list of them.
  struct Answer {
    int status = 0;
    std::string body;
  };
  std::expected<Answer, Exit> put(const std::string& path, const std::string& body) const;
  std::expected<std::string, Exit> put(const std::string& path) const;  // as post()
  bool is_sidecar() const { return sidecar_; }
  std::string address() const;

 private:
  enum class Method { kGet, kPost, kPut };
  enum class Shows { kNothing, kToken };
  using Asked = std::expected<Answer, Failure>;
  Asked ask(Method method, const std::string& path, Shows shows,
            const std::string& body = "") const;
  std::expected<std::string, Failure> body_of(const Asked& answer) const;
  std::string why_not(int error) const;

  std::string host_;
  int port_ = 0;
  bool sidecar_ = false;
  std::string token_file_;
  std::chrono::seconds patience_{0};
};

// `text` with what is not a letter, a digit or one of ".-_" as %XX.
std::string escaped(std::string_view text);

// The answer as JSON; a daemon never sends anything else.
Json parsed(const std::string& body);

}  // namespace rollcall::cli
