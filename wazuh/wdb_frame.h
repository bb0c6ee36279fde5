// How wazuh-db is asked on its stream socket, and how much at once. No socket; any thread, one at a
// time for each object.
#pragma once
#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rollcall::wazuh {

// wazuh-db itself loses a thread for good above 65536 bytes.
inline constexpr std::size_t kMaxRequestBytes = 16384;
inline constexpr std::size_t kHeaderBytes = 4;  // before a request and a reply
inline constexpr std::size_t kReplyLimitBytes = 65536;
// More than wazuh-db ever sends: longer is not its reply.
inline constexpr std::size_t kMaxReplyBytes = kReplyLimitBytes + 4096;

// Length (uint32, little endian) and text in one piece, since a client that stops inside a frame
// holds up one of wazuh-db's threads. An error if the text is empty or too long.
std::expected<std::string, Error> frame_request(std::string_view text);

// Puts the bytes of one reply together.
class ReplyReader {
 public:
  explicit ReplyReader(std::size_t most = kMaxReplyBytes) : most_(most) {}
  // The reply's text, once it is whole. An error if it would be too long, or if bytes follow it:
  // one request is asked at a time. After an error the connection is of no more use.
  std::expected<std::optional<std::string>, Error> feed(std::span<const std::byte> bytes);
  // For a new connection.
  void reset() { buffer_.clear(); }

 private:
  std::size_t most_;
  std::string buffer_;
};

// Whether this is wazuh-db speaking: `ok` or `err`, alone or with more behind it. If not, the other
// end is something else or out of step.
bool is_reply(std::string_view reply);

// 'it''s'
std::string sql_quoted(std::string_view text);

// How many rows to ask for at once: halved when a reply was cut, grown slowly when they fit.
class PageSize {
 public:
  explicit PageSize(std::size_t max) : max_(max), size_(max) {}
  std::size_t get() const { return size_; }
  // False if there is nothing left to halve.
  bool halve(std::size_t asked);
  void fitted();

 private:
  std::size_t max_;
  std::size_t size_;
  std::size_t fitted_ = 0;  // pages since the size changed
};

}  // namespace rollcall::wazuh
