#pragma once
// zstd for payloads (docs/protocol.md, section 6, COMPRESSED). Any thread.
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace rollcall {

// docs/benchmarks.md, storm_bytes, compares the levels.
inline constexpr int kCompressionLevel = 1;

// Empty if it would not be smaller.
std::string compress(std::string_view plain, int level = kCompressionLevel);

// `size` is what the sender says that it unpacks to; the caller has bounded it. Neither more room
// than that is taken, nor fewer bytes accepted.
std::expected<std::string, Error> decompress(std::string_view packed, std::size_t size);

}  // namespace rollcall
