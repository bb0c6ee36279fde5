#include "protocol/digest.h"

#include <array>
#include <cstddef>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rollcall {

Digest digest_of(AgentId agent, Epoch epoch, std::uint32_t change) {
  // Little-endian, whatever the machine.
  std::array<unsigned char, 16> bytes;
  const auto put = [&bytes](std::size_t at, std::size_t size, std::uint64_t value) {
    for (std::size_t i = 0; i < size; ++i)
      bytes[at + i] = static_cast<unsigned char>(value >> 8 * i & 0xff);
  };
  put(0, 4, std::to_underlying(agent));
  put(4, 8, std::to_underlying(epoch));
  put(12, 4, change);
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {h.high64, h.low64};
}

}  // namespace rollcall
