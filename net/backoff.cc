#include "net/backoff.h"

#include <algorithm>

namespace rollcall::net {
namespace {

// SplitMix64: small, and equal on every platform, so that a seed replays anywhere.
std::uint64_t next_random(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  std::uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Backoff::Backoff(std::uint64_t seed, Limits limits) : limits_(limits), random_state_(seed) {
  limits_.base = std::max(limits_.base, std::chrono::milliseconds(1));
  limits_.cap = std::max(limits_.cap, limits_.base);
  reset();
}

std::chrono::milliseconds Backoff::next() {
  const auto choices = static_cast<std::uint64_t>(ceiling_ms_) + 1;
  const auto wait_ms = static_cast<std::int64_t>(next_random(random_state_) % choices);
  const std::int64_t cap_ms = limits_.cap.count();
  // Compared before doubling, so that no cap can overflow.
  ceiling_ms_ = ceiling_ms_ > cap_ms / 2 ? cap_ms : ceiling_ms_ * 2;
  return std::chrono::milliseconds(wait_ms);
}

void Backoff::reset() {
  ceiling_ms_ = limits_.base.count();
}

}  // namespace rollcall::net
