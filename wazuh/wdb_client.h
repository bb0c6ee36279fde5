// One connection to wazuh-db's stream socket, made again whenever it is lost, with one request in
// flight. Loop thread only.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "net/backoff.h"
#include "net/loop.h"
#include "net/unix_stream.h"
#include "wazuh/wdb_frame.h"

namespace rollcall::wazuh {

// Milliseconds only if they are not whole seconds.
std::string seconds_text(std::chrono::milliseconds time);

struct NoConnection {
  std::string text;       // why, and what to do
  bool unserved = false;  // nobody is behind this socket
};
// Looked up after the failure `reason`, so it may be about a state that has just changed.
NoConnection why_no_connection(const std::string& path, const std::string& reason);

class WdbClient {
 public:
  struct Options {
    std::string socket_path;
    std::chrono::milliseconds request_timeout{10'000};
    net::Backoff::Limits backoff{.base = std::chrono::milliseconds(250),
                                 .cap = std::chrono::milliseconds(5'000)};
    std::uint64_t seed = 0;  // of the backoff's jitter
  };

  // None is called from inside start() or stop(). The client may be stopped in any of them, but not
  // destroyed.
  struct Events {
    std::function<void()> on_connected;
    std::function<void(const std::string& reply)> on_reply;
    // It was not to be had, or was given up; the next attempt comes by itself.
    std::function<void(const std::string& reason)> on_lost;
  };

  WdbClient(net::Loop& loop, Options options, Events events);
  WdbClient(const WdbClient&) = delete;
  WdbClient& operator=(const WdbClient&) = delete;

  void start();
  void stop();  // calls nothing more

  // While connected and nothing is in flight.
  void ask(const std::string& text);
  // The connection is of no more use.
  void give_up(const std::string& reason);
  // What was asked for came: the next attempt to connect need not wait. A daemon that accepts and
  // closes is not there.
  void works() { backoff_.reset(); }

  // When it was last tried to connect nobody served the socket: the manager does not run.
  bool unserved() const { return unserved_; }

  std::string about_socket(const std::string& what) const;

 private:
  void connect();
  void on_bytes(std::span<const std::byte> bytes);
  void closed(const std::string& reason);

  net::Loop& loop_;
  const Options options_;
  const Events events_;
  std::unique_ptr<net::UnixStream> stream_;
  ReplyReader reader_;
  bool connected_ = false;
  bool awaiting_reply_ = false;
  bool unserved_ = false;
  net::Timer request_timer_;
  net::Timer reconnect_timer_;
  net::Backoff backoff_;
};

}  // namespace rollcall::wazuh
