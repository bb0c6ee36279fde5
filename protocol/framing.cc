#include "protocol/framing.h"

#include "protocol/codec.h"

namespace rollcall {

namespace {

// An idle connection does not keep the room of the largest frame it ever saw.
constexpr std::size_t kKeptCapacity = 256u << 10;

std::size_t frame_length(const char* p) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < kFrameHeader; ++i) n = n << 8 | static_cast<unsigned char>(p[i]);
  return n;
}

}  // namespace

void FrameReader::feed(std::string_view bytes) {
  if (broken_) return;
  if (taken_ == buffer_.size() && buffer_.capacity() > kKeptCapacity) {
    buffer_ = std::string();
  } else {
    buffer_.erase(0, taken_);
  }
  taken_ = 0;
  buffer_.append(bytes);
}

std::expected<std::optional<std::string_view>, Error> FrameReader::next() {
  if (broken_) return std::unexpected(*broken_);
  if (buffered() < kFrameHeader) return std::nullopt;
  const std::size_t length = frame_length(buffer_.data() + taken_);
  if (length == 0 || length > max_frame_) {
    broken_ = Error{length == 0 ? std::string("frame: its length is 0")
                                : "frame: its length " + std::to_string(length) +
                                      " is over the limit " + std::to_string(max_frame_)};
    return std::unexpected(*broken_);
  }
  if (buffered() - kFrameHeader < length) return std::nullopt;
  const std::string_view payload(buffer_.data() + taken_ + kFrameHeader, length);
  taken_ += kFrameHeader + length;
  return payload;
}

}  // namespace rollcall
