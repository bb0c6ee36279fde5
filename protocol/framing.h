#pragma once
// Cuts a byte stream into frames. Pure; the length is checked before anything is kept.
#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rollcall {

class FrameReader {
 public:
  explicit FrameReader(std::size_t max_frame) : max_frame_(max_frame) {}

  // Adds what the peer sent. Holds at most one frame's bytes plus what was fed at once.
  void feed(std::string_view bytes);

  // The next whole payload (valid until the next call of feed or next), nothing if more bytes are
  // needed, or an error (length over the limit, or zero) after which the connection must be closed:
  // every later call gives the same error.
  std::expected<std::optional<std::string_view>, Error> next();

  std::size_t buffered() const { return buffer_.size() - taken_; }

 private:
  std::size_t max_frame_;
  std::string buffer_;
  std::size_t taken_ = 0;
  std::optional<Error> broken_;
};

}  // namespace rollcall
