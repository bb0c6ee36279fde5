#pragma once
// What a fuzz target makes of its bytes: small numbers, choices and texts, taken from the front.
// When the bytes are used up, all that is taken is 0 or empty, so that short inputs are whole ones.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace rollcall::fuzz {

// A claim of a target. Where it does not hold, the fuzzer keeps the input.
inline void must(bool holds, std::string_view claim) {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(claim.size()), claim.data());
  std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto b = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return b;
  }
  bool flag() { return (byte() & 1) != 0; }
  std::size_t below(std::size_t n) { return byte() % n; }
  template <typename T>
  T number() {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) n = n << 8 | byte();
    return static_cast<T>(n);
  }
  // Its length is the first one or two bytes.
  std::string_view text() { return take(byte()); }
  std::string_view long_text() { return take(number<std::uint16_t>()); }
  std::string_view take(std::size_t count) {
    const auto t = left_.substr(0, std::min(count, left_.size()));
    left_.remove_prefix(t.size());
    return t;
  }
  std::string_view rest() { return take(left_.size()); }

 private:
  std::string_view left_;
};

}  // namespace rollcall::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
