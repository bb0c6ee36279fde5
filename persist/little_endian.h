// Integers as the files hold them: little-endian, whatever the machine is.
#pragma once
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace rollcall::persist {

template <std::unsigned_integral T>
void put(std::string& bytes, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes.push_back(static_cast<char>(static_cast<unsigned char>(value >> (8 * i))));
  }
}

// `bytes` must hold sizeof(T) bytes from `offset` on.
template <std::unsigned_integral T>
T get(std::string_view bytes, std::size_t offset) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |=
        static_cast<T>(static_cast<T>(static_cast<unsigned char>(bytes[offset + i])) << (8 * i));
  }
  return value;
}

}  // namespace rollcall::persist
