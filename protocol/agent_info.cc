#include "protocol/agent_info.h"

#include <cstring>

namespace rollcall {

namespace {

constexpr std::size_t kLength = sizeof(std::uint32_t);

std::uint32_t length_at(const char* p) {
  const auto* b = reinterpret_cast<const unsigned char*>(p);
  return b[0] | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 | std::uint32_t{b[3]} << 24;
}

char* put(char* p, std::string_view text) {
  const auto n = static_cast<std::uint32_t>(text.size());
  for (int i = 0; i < 4; ++i) *p++ = static_cast<char>(n >> 8 * i & 0xff);
  if (!text.empty()) std::memcpy(p, text.data(), text.size());
  return p + text.size();
}

std::size_t bytes_of(std::string_view name, std::string_view value) {
  return 2 * kLength + name.size() + value.size();
}

}  // namespace

void AgentInfo::const_iterator::read() {
  if (at_ == end_) return;
  field_.first = {at_ + kLength, length_at(at_)};
  const char* value = field_.first.data() + field_.first.size();
  field_.second = {value + kLength, length_at(value)};
}

AgentInfo::AgentInfo(std::initializer_list<Field> fields) {
  for (const auto& [name, value] : fields) insert_or_assign(name, value);
}

AgentInfo::const_iterator AgentInfo::find(std::string_view name) const {
  auto it = begin();
  while (it != end() && it->first < name) ++it;
  return it != end() && it->first == name ? it : end();
}

bool AgentInfo::append(std::string_view name, std::string_view value) {
  if (empty()) {
    size_ = 0;
  } else if (name <= last_name()) {
    return false;
  }
  const std::size_t at = bytes_.size();
  bytes_.resize(at + bytes_of(name, value));
  put(put(bytes_.data() + at, name), value);
  last_ = static_cast<std::uint32_t>(at);
  last_size_ = static_cast<std::uint32_t>(name.size());
  ++size_;
  return true;
}

void AgentInfo::insert_or_assign(std::string_view name, std::string_view value) {
  if (append(name, value)) return;
  // Built anew: this is for the few fields that do not come in order.
  AgentInfo made;
  made.bytes_.reserve(bytes_.size() + bytes_of(name, value));
  auto it = begin();
  for (; it != end() && it->first < name; ++it) made.append(it->first, it->second);
  made.append(name, value);
  if (it != end() && it->first == name) ++it;
  for (; it != end(); ++it) made.append(it->first, it->second);
  *this = std::move(made);
}

}  // namespace rollcall
