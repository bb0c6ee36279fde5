#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace rollcall::wazuh {

inline std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace rollcall::wazuh
