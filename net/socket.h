#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

struct sockaddr;
struct uv_stream_s;

namespace rollcall::net {

class Loop;

// The dumb half of a stream, for use inside net/ only: a TCP or unix socket that reads, writes
// and ends. Statuses are libuv's (0 or a negative error). Loop thread only.
class Socket {
 public:
  struct Events {
    std::function<void(std::span<const std::byte>)> on_read;
    // The peer ended (UV_EOF) or the connection broke; at most once. The owner closes.
    std::function<void(int status)> on_end;
    // The last queued byte went to the kernel.
    std::function<void()> on_written;
    // After finish() or abort(), in a later turn.
    std::function<void()> on_closed;
  };

  enum class Kind { kTcp, kUnix };
  Socket(Loop& loop, Kind kind);
  // Nothing is called back any more. After finish() the goodbye goes on without us; else the
  // connection is cut.
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void set_events(Events events);
  // Kept for as long as the connection takes a file descriptor, also after this object is gone.
  void hold(std::shared_ptr<void> what);

  // Calls `done` once, never from inside connect().
  void connect(const sockaddr* address, std::function<void(int status)> done);
  void connect(const std::string& path, std::function<void(int status)> done);
  int accept_from(uv_stream_s* listener);

  // A socket that has much to say gets its share of each turn, so that the others get theirs.
  void start_reading();
  void stop_reading();
  void write(std::string bytes);
  std::size_t queued_bytes() const;

  // Sends what is queued, then our end, and waits for the peer's end, so that the last bytes are
  // not lost to a reset. A peer that takes nothing for a second is cut off, any after five.
  void finish();
  void abort();

  // "192.0.2.1:9471", "[2001:db8::1]:9471"; empty if unknown or not TCP.
  std::string peer_address() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // also held by its own handle until that is closed
};

std::string address_text(const sockaddr* address);

}  // namespace rollcall::net
