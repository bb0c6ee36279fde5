#pragma once

#include <chrono>
#include <cstdint>

namespace rollcall::net {

// How long to wait before the next attempt to connect: full jitter, so that the workers of a
// master that comes back do not arrive together. Pure: chance comes from the seed alone.
class Backoff {
 public:
  struct Limits {
    std::chrono::milliseconds base{250};
    std::chrono::milliseconds cap{30'000};
  };

  explicit Backoff(std::uint64_t seed) : Backoff(seed, Limits()) {}
  Backoff(std::uint64_t seed, Limits limits);

  // Anything from 0 to base * 2^(calls since reset), never above the cap.
  std::chrono::milliseconds next();
  void reset();

 private:
  Limits limits_;
  std::uint64_t random_state_;
  std::int64_t ceiling_ms_;
};

}  // namespace rollcall::net
