#pragma once
// Messages to bytes and back (docs/protocol.md, section 4). Pure; any thread.
#include <expected>
#include <string>
#include <string_view>

#include "protocol/error.h"
#include "protocol/messages.h"
#include "protocol/wire.h"

namespace rollcall {

// A frame: uint32 big-endian length of what follows, then one msgpack array [type, body map].
inline constexpr std::size_t kFrameHeader = 4;
inline constexpr std::size_t kMaxFrame = 1u << 20;  // header not counted
inline constexpr std::size_t kFrameTarget = 64u << 10;
inline constexpr std::size_t kMaxEventsPerDelta = 16384;
inline constexpr std::size_t kMaxInfoFields = 256;
inline constexpr std::size_t kMaxInfoField = 8192;  // bytes of one value
inline constexpr std::size_t kMaxText = 1024;       // ERROR texts, software, machine, cluster

// Appends one whole frame. The message must be one that a correct program makes (sizes within the
// limits above): a frame over kMaxFrame is a broken invariant and aborts.
void encode_frame(const Message& message, std::string& out);

// The payload of one frame, header taken off. The error names the message and the field.
std::expected<Message, Error> decode(std::string_view payload);

// One event as DELTA carries it and as stores and logs keep it:
// [agent, epoch, change, kind, lo, hi, {optional fields}], lo and hi relative to the epoch.
void pack_event(wire::Packer& packer, const Event& event);
std::expected<Event, Error> unpack_event(const wire::Value& value);
// An upper bound of what pack_event adds for this event, cheap to compute.
std::size_t packed_size_bound(const Event& event);

void pack_version(wire::Packer& packer, const Version& version);  // [epoch, node, change]
std::expected<Version, Error> unpack_version(const wire::Value& value);
void pack_info(wire::Packer& packer, const AgentInfo& info);  // map of strings
std::expected<AgentInfo, Error> unpack_info(const wire::Value& value);

}  // namespace rollcall
