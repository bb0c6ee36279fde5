#pragma once
// The secret that calls which change something must show. It is in a file that only the daemon's
// user can read, so whoever can read it may act for the operator; it is never logged.
#include <sys/types.h>

#include <expected>
#include <string>
#include <string_view>

#include "inspect/http_server.h"
#include "protocol/error.h"

namespace rollcall::inspect {

class Token {
 public:
  // For a daemon that runs as `user`: reads `file`, or makes it (mode 0600, durable) if there is
  // none. Refused is one that other users can read or write, or that holds no token.
  static std::expected<Token, Error> load_or_make(const std::string& file, uid_t user);
  // Reads it only, whoever owns it.
  static std::expected<Token, Error> load(const std::string& file);

  const std::string& file() const { return file_; }
  // What to send: "Bearer ...".
  std::string authorization() const { return "Bearer " + secret_; }
  // Whether the header says this token; takes as long whatever is wrong with it.
  bool is_in(std::string_view authorization) const;

 private:
  Token(std::string file, std::string secret)
      : file_(std::move(file)), secret_(std::move(secret)) {}
  std::string file_;
  std::string secret_;
};

// `handler` for those who show the token; 401 or 403 for others.
Handler guarded(Token token, Handler handler);

}  // namespace rollcall::inspect
