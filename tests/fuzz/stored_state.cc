// What the sidecar's store holds of an agent and of an event: damage is an error, the rest is read
// as it was written. With it what may become of an agent's fields on their way there (clip_info).
#include "protocol/codec.h"
#include "sidecar/core/agent_state.h"
#include "tests/fuzz/input.h"

using namespace rollcall;
using fuzz::must;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto state = sidecar::decode_agent_state(bytes)) {
    const std::string canonical = encode(*state);
    const auto again = sidecar::decode_agent_state(canonical);
    must(again.has_value(), "an agent that was read can be stored and read again");
    must(encode(*again) == canonical, "and it is the same");
  }
  if (const auto event = sidecar::decode_local_event(bytes)) {
    const std::string canonical = encode(*event);
    const auto again = sidecar::decode_local_event(canonical);
    must(again.has_value(), "an event that was read can be stored and read again");
    must(encode(*again) == canonical, "and it is the same");
  }

  fuzz::Input in(data, size);
  AgentInfo info;
  while (!in.empty()) {
    const std::string_view name = in.text();
    const std::size_t times = 1 + in.below(64);
    std::string value;
    for (const std::string_view piece = in.text(); value.size() < piece.size() * times;)
      value += piece;
    info.insert_or_assign(std::string(name), std::move(value));
  }
  clip_info(info);
  Delta delta;
  Event& e = delta.events.emplace_back();
  e.agent = AgentId{7};
  e.epoch = Epoch{1'700'000'000'000'000};
  e.evidence = {time_of(e.epoch), time_of(e.epoch)};
  e.info_hash = hash_of(info);
  e.info = std::make_shared<const AgentInfo>(std::move(info));
  std::string frame;
  encode_frame(delta, frame);
  must(frame.size() - kFrameHeader <= packed_size_bound(e) + kDeltaOverhead,
       "the bound of an event's size holds");
  const auto read = decode(std::string_view(frame).substr(kFrameHeader));
  must(read && *read == Message(delta), "a clipped info is never refused");
  return 0;
}
