#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

namespace rollcall::net {

// What the owner of a TlsStream or UnixStream wants to hear. Never called from inside a function
// of the stream itself, never after the stream object is gone; the stream may be closed or
// destroyed inside any of them.
struct StreamEvents {
  // The bytes live until the callback returns.
  std::function<void(std::span<const std::byte>)> on_data;
  // Exactly once, the last callback, whichever side closed. The reason is for the log.
  std::function<void(const std::string& reason)> on_closed;
  // Everything written has gone to the kernel: pending_bytes() is 0 again.
  std::function<void()> on_drained;
  // UnixStream only: the peer has said all, and may still listen; the stream is open for writing
  // until it is closed. Without this callback it closes by itself.
  std::function<void()> on_end = {};
};

}  // namespace rollcall::net
