#include "protocol/inventory.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "protocol/codec.h"

namespace rollcall {
namespace {

// LEB128: seven bits a byte, the lowest first.
void put(std::string& out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}

std::uint64_t zigzag(std::int64_t v) {
  return static_cast<std::uint64_t>(v) << 1 ^ static_cast<std::uint64_t>(v >> 63);
}

std::int64_t unzigzag(std::uint64_t v) {
  return static_cast<std::int64_t>(v >> 1 ^ (~(v & 1) + 1));
}

class EntryReader {
 public:
  explicit EntryReader(std::string_view bytes) : left_(bytes) {}
  bool at_end() const { return left_.empty(); }

  std::optional<std::uint64_t> number() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      if (shift == 63 && byte > 1) return std::nullopt;
      v |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return v;
    }
    return std::nullopt;
  }
  // As a difference to `base`, within what a moment may be.
  std::optional<std::int64_t> moment_from(std::int64_t base) {
    const auto v = number();
    std::int64_t sum = 0;
    if (!v || __builtin_add_overflow(base, unzigzag(*v), &sum)) return std::nullopt;
    if (sum < -kMaxTimeUs || sum > kMaxTimeUs) return std::nullopt;
    return sum;
  }

 private:
  std::string_view left_;
};

}  // namespace

// Each as differences: agent to the one before, epoch and `hi` to the entry before, `lo` to `hi`.
std::string pack_entries(std::span<const InventoryEntry> entries) {
  std::string out;
  out.reserve(entries.size() * 17);
  std::uint64_t agent = 0;
  std::int64_t epoch = 0, hi = 0;
  for (const InventoryEntry& e : entries) {
    put(out, std::to_underlying(e.agent) - std::exchange(agent, std::to_underlying(e.agent)));
    put(out, zigzag(time_of(e.epoch).us - std::exchange(epoch, time_of(e.epoch).us)));
    put(out, e.change);
    put(out, zigzag(e.evidence.hi.us - std::exchange(hi, e.evidence.hi.us)));
    put(out, static_cast<std::uint64_t>(e.evidence.hi.us - e.evidence.lo.us));
  }
  return out;
}

std::expected<std::vector<InventoryEntry>, Error> unpack_entries(std::string_view bytes,
                                                                 std::size_t count) {
  std::vector<InventoryEntry> entries;
  entries.reserve(std::min(count, bytes.size() / 5));
  EntryReader in(bytes);
  const auto wrong = [&entries](std::string_view what) {
    return std::unexpected(
        Error{"entry " + std::to_string(entries.size()) + ": " + std::string(what)});
  };
  std::uint64_t agent = 0;
  std::int64_t epoch = 0, hi = 0;
  while (entries.size() < count) {
    const auto step = in.number();
    if (!step || *step == 0 || *step > UINT32_MAX - agent)
      return wrong("agent is not one after the entry before");
    agent += *step;
    const auto at = in.moment_from(epoch);
    if (!at || *at <= 0) return wrong("epoch is not a number from 1 to 2^60");
    epoch = *at;
    const auto change = in.number();
    if (!change || *change > UINT32_MAX) return wrong("change is not a 32-bit number");
    const auto latest = in.moment_from(hi);
    if (!latest) return wrong("hi is not a time, or out of range");
    hi = *latest;
    const auto width = in.number();
    if (!width || *width > static_cast<std::uint64_t>(hi + kMaxTimeUs))
      return wrong("lo is not a time, or out of range");
    entries.push_back({AgentId{static_cast<std::uint32_t>(agent)},
                       Epoch{static_cast<std::uint64_t>(epoch)},
                       static_cast<std::uint32_t>(*change),
                       {{hi - static_cast<std::int64_t>(*width)}, {hi}}});
  }
  if (!in.at_end()) return wrong("there are more bytes than entries");
  return entries;
}

}  // namespace rollcall
