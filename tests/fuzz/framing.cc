// A byte stream cut into frames: however it arrives, the same payloads and the same end.
#include <vector>

#include "protocol/framing.h"
#include "tests/fuzz/input.h"

using namespace rollcall;
using fuzz::must;

namespace {

constexpr std::size_t kMax = 64;

struct Seen {
  std::vector<std::string> payloads;
  bool broken = false;
  bool operator==(const Seen&) const = default;
};

void read_all(FrameReader& reader, Seen& seen) {
  for (;;) {
    const auto payload = reader.next();
    if (!payload) {
      seen.broken = true;
      return;
    }
    if (!*payload) return;
    must(!(*payload)->empty() && (*payload)->size() <= kMax, "a payload is within the limit");
    seen.payloads.emplace_back(**payload);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::size_t step = 1 + in.below(70);
  const std::string_view bytes = in.rest();

  Seen whole, parts;
  FrameReader at_once(kMax);
  at_once.feed(bytes);
  read_all(at_once, whole);

  FrameReader reader(kMax);
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    reader.feed(bytes.substr(i, step));
    read_all(reader, parts);
    must(parts.broken || reader.buffered() < 4 + kMax, "what is kept is less than one frame");
  }
  must(whole == parts, "where the stream is cut does not matter");
  return 0;
}
