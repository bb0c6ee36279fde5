#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rollcall::net {

class Loop;

// Datagrams to the unix socket of another program: one call, one datagram, never waiting. Connects
// when it must, and anew after the other program has gone. Loop thread only.
class UnixDatagram {
 public:
  enum class Outcome {
    kSent,
    kFull,     // the other side takes no more for now: see when_room()
    kAway,     // nobody is there
    kRefused,  // this datagram, whenever it is sent
  };
  struct Result {
    Outcome outcome = Outcome::kSent;
    std::string why;  // unless sent: what is wrong, where, and what to do
  };

  UnixDatagram(Loop& loop, std::string path);
  ~UnixDatagram();  // nothing is called any more
  UnixDatagram(const UnixDatagram&) = delete;
  UnixDatagram& operator=(const UnixDatagram&) = delete;

  Result send(std::string_view datagram);
  // Calls `task` once, in a later turn, when a datagram that was not taken may be. Only after
  // kFull.
  void when_room(std::function<void()> task);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rollcall::net
