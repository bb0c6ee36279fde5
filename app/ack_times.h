#pragma once
// How long events wait for their ACK: when they went, until the ACK that covers them.
#include <cstdint>
#include <deque>

#include "protocol/duration_counts.h"

namespace rollcall::app {

// Of one connection. The protocol's window bounds what waits.
class AckTimes {
 public:
  void sent(std::uint64_t last_seq, std::int64_t mono_us) {
    waiting_.push_back({last_seq, mono_us});
  }
  void acked(std::uint64_t through, std::int64_t mono_us, DurationCounts& into) {
    while (!waiting_.empty() && waiting_.front().last_seq <= through) {
      into.add(mono_us - waiting_.front().mono_us);
      waiting_.pop_front();
    }
  }

 private:
  struct Sent {
    std::uint64_t last_seq = 0;
    std::int64_t mono_us = 0;
  };
  std::deque<Sent> waiting_;
};

inline std::uint64_t last_seq_of(const auto& delta) {
  return delta.first_seq + delta.events.size() - 1;
}

// Bytes of messages, before TLS.
struct Traffic {
  std::uint64_t received = 0, sent = 0;
};

}  // namespace rollcall::app
