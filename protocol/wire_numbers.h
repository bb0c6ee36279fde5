#pragma once
// Numbers on the wire (docs/protocol.md, section 6). Never reused.
#include <cstdint>

namespace rollcall {

enum MessageType : std::uint32_t {
  kHello = 1,
  kWelcome = 2,
  kDelta = 3,
  kAck = 4,
  kSuperseded = 5,
  kChallenge = 6,
  kHeartbeat = 7,
  kHeartbeatAck = 8,
  kError = 9,
  kDigests = 10,
  kInventoryBegin = 11,
  kInventoryChunk = 12,
  kInventoryEnd = 13,
  kWant = 14,
  kCommand = 15,
  kResult = 16,
  kBye = 17,
  kCompressed = 18,
  kInventoryAck = 19,
};

enum EventField : std::uint64_t {
  kEventReason = 1,
  kEventInfoHash = 2,
  kEventInfo = 3,
  kEventFrom = 4,
  kEventFolded = 5,
  kEventGrace = 6,
};

}  // namespace rollcall
