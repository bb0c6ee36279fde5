#pragma once
// Datagrams to the socket by which remoted takes messages to agents. A queue stands before it: what
// remoted does not take at once is tried again until its patience is over. Loop thread only.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "net/unix_datagram.h"
#include "protocol/error.h"

namespace rollcall::sidecar {

class AgentSocket {
 public:
  struct Options {
    std::string path = "/var/ossec/queue/alerts/ar";
    std::size_t waiting = 20'000;          // datagrams in the queue; more are refused
    std::chrono::milliseconds retry{100};  // while nobody is there
  };
  // Nothing if remoted has it, else why not. That it has it says nothing about the agent.
  using Done = std::function<void(const std::optional<Error>& failure)>;
  struct Status {
    std::size_t waiting = 0;
    std::uint64_t sent = 0, failed = 0;
    std::optional<std::string> trouble;  // why the first in the queue is not sent
  };

  AgentSocket(net::Loop& loop, Options options);

  // In the order of the calls. `done` is called once, never from inside send(), unless stop()
  // comes first.
  void send(std::string datagram, std::chrono::milliseconds patience, Done done);
  // Drops what waits.
  void stop();

  Status status() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    std::string datagram;
    Clock::time_point until;
    Done done;
  };
  struct Ended {
    Done done;
    std::optional<Error> failure;
  };

  void flush_later(std::chrono::milliseconds delay);
  void flush();
  void send_some();
  void expire();
  void end(Waiting& waiting, std::optional<Error> failure);
  void tell();

  net::Loop& loop_;
  Options options_;
  std::unique_ptr<net::UnixDatagram> socket_;
  net::Timer timer_;
  std::deque<Waiting> queue_;
  std::vector<Ended> ended_;       // to be told in a later turn
  std::shared_ptr<char> running_;  // another one after each stop()
  std::uint64_t sent_ = 0, failed_ = 0;
  std::optional<std::string> trouble_;
};

}  // namespace rollcall::sidecar
