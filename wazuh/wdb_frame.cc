#include "wazuh/wdb_frame.h"

#include <algorithm>
#include <cstdint>

namespace rollcall::wazuh {
namespace {

constexpr std::size_t kGrowAfterPages = 8;  // pages that fitted, before more is asked

}  // namespace

std::expected<std::string, Error> frame_request(std::string_view text) {
  if (text.empty() || text.size() > kMaxRequestBytes) {
    return fail("a question of " + std::to_string(text.size()) +
                " bytes is not sent to wazuh-db, which takes 1 to " +
                std::to_string(kMaxRequestBytes) + " from us; this is a fault of rollcall");
  }
  std::string out;
  out.reserve(kHeaderBytes + text.size());
  for (int shift = 0; shift < 32; shift += 8) {
    out += static_cast<char>(static_cast<std::uint32_t>(text.size()) >> shift & 0xff);
  }
  return out += text;
}

std::expected<std::optional<std::string>, Error> ReplyReader::feed(
    std::span<const std::byte> bytes) {
  std::string_view input(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto take = [&](std::size_t wanted) {
    const std::size_t count = std::min(wanted - buffer_.size(), input.size());
    buffer_ += input.substr(0, count);
    input.remove_prefix(count);
    return buffer_.size() == wanted;
  };
  if (buffer_.size() < kHeaderBytes && !take(kHeaderBytes)) return std::nullopt;
  std::uint32_t length = 0;
  for (std::size_t i = kHeaderBytes; i-- > 0;) {
    length = length << 8 | static_cast<unsigned char>(buffer_[i]);
  }
  if (length > most_) {
    return fail("an answer of " + std::to_string(length) + " bytes was announced, more than the " +
                std::to_string(kReplyLimitBytes) +
                " that wazuh-db sends; is another program behind this socket?");
  }
  if (!take(kHeaderBytes + length)) return std::nullopt;
  if (!input.empty()) return fail("more came than was asked for");
  std::string reply = buffer_.substr(kHeaderBytes);
  buffer_.clear();
  return reply;
}

bool is_reply(std::string_view reply) {
  return reply == "ok" || reply.starts_with("ok ") || reply == "err" || reply.starts_with("err ");
}

std::string sql_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += c;
    out += c;
  }
  return out + "'";
}

// ---- pages

bool PageSize::halve(std::size_t asked) {
  fitted_ = 0;
  if (asked <= 1) return false;
  size_ = asked / 2;
  return true;
}

void PageSize::fitted() {
  if (size_ == max_ || ++fitted_ < kGrowAfterPages) return;
  fitted_ = 0;
  size_ = std::min(max_, size_ + size_ / 8 + 1);
}

}  // namespace rollcall::wazuh
