// One POST at a time to a program that speaks HTTP on a Unix socket, each on a connection of its
// own. Loop thread only, but for HttpReplyReader, which has no I/O.
#pragma once
#include <chrono>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/loop.h"
#include "net/unix_stream.h"
#include "protocol/error.h"

namespace rollcall::wazuh {

struct HttpReply {
  int status = 0;
  std::string body;
  bool operator==(const HttpReply&) const = default;
};

// Puts one reply together: with a Content-Length, or up to the end of the connection.
class HttpReplyReader {
 public:
  static constexpr std::size_t kMostBytes = 65536;
  // The reply, once it is whole. An error if it is none, or too long.
  std::expected<std::optional<HttpReply>, Error> feed(std::span<const std::byte> bytes);
  // The peer ended.
  std::expected<HttpReply, Error> end();

 private:
  std::expected<std::optional<HttpReply>, Error> read(bool ended) const;
  std::string buffer_;
};

class HttpPost {
 public:
  struct Options {
    std::string socket_path;
    std::chrono::milliseconds timeout{10'000};
  };
  // The error says what to do.
  using Done = std::function<void(std::expected<void, Error>)>;

  HttpPost(net::Loop& loop, Options options);
  HttpPost(const HttpPost&) = delete;
  HttpPost& operator=(const HttpPost&) = delete;

  // `done` is called once, not from inside post(), with an error unless the answer is 200.
  void post(std::string_view path, std::string_view json, Done done);
  void stop();  // calls nothing more

 private:
  void take(std::expected<std::optional<HttpReply>, Error> reply);
  void finish(std::expected<void, Error> outcome);
  std::unexpected<Error> about_socket(const std::string& what) const;

  net::Loop& loop_;
  const Options options_;
  std::unique_ptr<net::UnixStream> stream_;
  HttpReplyReader reader_;
  net::Timer timeout_;
  bool connected_ = false;
  Done done_;
};

}  // namespace rollcall::wazuh
