#include "protocol/ids.h"

#include <algorithm>
#include <array>

namespace rollcall {

bool is_valid_node_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxNodeName) return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

std::string to_hex(std::uint64_t id) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(16, '0');
  for (int i = 15; i >= 0; --i, id >>= 4) out[static_cast<std::size_t>(i)] = kDigits[id & 15];
  return out;
}

std::string id_text(AgentId id) {
  return std::to_string(static_cast<std::uint32_t>(id));
}

}  // namespace rollcall
