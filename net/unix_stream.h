#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "net/stream.h"
#include "protocol/error.h"

namespace rollcall::net {

class Loop;

// Plain bytes over a unix socket. One connection per object: for the next one make a new stream.
// Loop thread only.
class UnixStream {
 public:
  explicit UnixStream(Loop& loop);
  struct Impl;
  explicit UnixStream(std::shared_ptr<Impl> impl);  // for UnixListener
  ~UnixStream();                                    // as TlsStream
  UnixStream(const UnixStream&) = delete;
  UnixStream& operator=(const UnixStream&) = delete;

  // Then either on_ready and later on_closed, or on_closed alone with what to do about it.
  void connect(const std::string& path, StreamEvents events, std::function<void()> on_ready = {});
  // For a stream from a UnixListener, instead of connect().
  void start(StreamEvents events);

  // Dropped before on_ready and after close() or the peer's end.
  void write(std::string bytes);
  std::size_t pending_bytes() const;
  void pause_reading();
  void resume_reading();
  void close(std::string reason);

 private:
  std::shared_ptr<Impl> impl_;
};

// Loop thread only. Removes the socket's file when destroyed.
class UnixListener {
 public:
  // `mode` of the socket's file says who may connect: 0600, 0660.
  static std::expected<std::unique_ptr<UnixListener>, Error> listen(
      Loop& loop, const std::string& path, unsigned mode,
      std::function<void(std::unique_ptr<UnixStream>)> on_accepted);
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

 private:
  struct Impl;
  explicit UnixListener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace rollcall::net
