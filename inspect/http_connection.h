#pragma once
// What the front thread keeps about one connection.
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "inspect/http_head.h"
#include "inspect/http_stream.h"

namespace rollcall::inspect {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() { Fd().swap(*this); }

 private:
  void swap(Fd& other) { std::swap(fd_, other.fd_); }
  int fd_ = -1;
};

enum class ConnectionState {
  Receiving,  // a request arrives, or none has begun
  Working,    // a worker has it
  Waiting,    // for news
  Sending,    // the answer goes out
  Draining,   // refused: what the peer still sends is thrown away, so that it can read why
};

struct Connection {
  Fd fd;
  using State = ConnectionState;
  State state = State::Receiving;
  std::string in;
  std::size_t searched = 0;  // bytes of `in` known not to hold the end of the head
  std::optional<Head> head;
  std::size_t head_bytes = 0;
  std::string out;
  std::size_t sent = 0;
  bool close = false;
  bool refused = false;  // its request was not read to the end
  std::size_t served = 0;
  std::shared_ptr<Stream> stream;                                  // the answer that is under way
  std::uint64_t seen = 0;                                          // it waits for news beyond
  std::chrono::milliseconds pause{0}, idle{0};                     // as the stream's last part had
  std::optional<std::chrono::steady_clock::time_point> answer_by;  // a request that waits
  std::chrono::steady_clock::time_point since;                     // in this state
  std::chrono::steady_clock::time_point deadline;
};

}  // namespace rollcall::inspect
