#pragma once
// What the targets of both cores share: a machine's clocks, and small worlds of ids, so that inputs
// meet each other.
#include <cstdint>
#include <string>

#include "protocol/codec.h"
#include "protocol/messages.h"
#include "protocol/now.h"
#include "tests/fuzz/input.h"

namespace rollcall::fuzz {

inline constexpr std::int64_t kSecond = 1'000'000;
inline constexpr std::int64_t kStart = 1'700'000'000 * kSecond;  // wall clock at boot

// Time goes on by steps of all sizes; the wall clock may be set, and the machine may sleep.
inline void let_time_pass(Input& in, Now& now) {
  static constexpr std::int64_t kSteps[] = {1'000,        100'000,      kSecond,
                                            10 * kSecond, 60 * kSecond, 3'600 * kSecond};
  const std::uint8_t how = in.byte();
  const std::int64_t step = kSteps[how % 6] * (1 + (how >> 3 & 3));
  now.wall_us += step;
  now.boot_us += step;
  if ((how & 0x20) == 0) now.mono_us += step;
  if ((how & 0x40) != 0) now.wall_us += static_cast<std::int8_t>(in.byte()) * 30 * kSecond;
}

inline AgentId agent(Input& in) {
  return AgentId{static_cast<std::uint32_t>(1 + in.below(4))};
}
inline NodeName node(Input& in) {
  static const NodeName kNodes[] = {"w1", "w2", "w3"};
  return kNodes[in.below(3)];
}
// Near `base`; now and then anything that the protocol lets through.
inline std::int64_t moment(Input& in, std::int64_t base) {
  const std::uint8_t how = in.byte();
  if (how == 0xff) return in.number<std::int64_t>() & ((std::int64_t{1} << 60) - 1);
  return std::max<std::int64_t>(0, base + (static_cast<std::int8_t>(how) * kSecond) / 4);
}
inline AgentInfo info(Input& in) {
  AgentInfo fields;
  for (std::size_t n = in.below(4); n > 0; --n)
    fields.insert_or_assign(std::string(in.text()), std::string(in.text()));
  return fields;
}

// A message on its way: as bytes, and read again at the other side.
inline void check_frame(const Message& message) {
  if (std::holds_alternative<UnknownMessage>(message)) return;
  std::string frame;
  encode_frame(message, frame);
  const auto read = decode(std::string_view(frame).substr(kFrameHeader));
  must(read.has_value(), "what is sent can be read");
  // The text of an ERROR is cut to size on its way.
  if (!std::holds_alternative<ErrorMessage>(message))
    must(*read == message, "and means the same there");
}

}  // namespace rollcall::fuzz
