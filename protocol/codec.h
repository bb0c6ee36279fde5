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
// Before compression: the larger, the more repeats itself.
inline constexpr std::size_t kCompressedTarget = 256u << 10;
inline constexpr std::size_t kMaxEventsPerDelta = 16384;
inline constexpr std::size_t kMaxInfoFields = 256;
inline constexpr std::size_t kMaxInfoField = 8192;   // bytes of one value
inline constexpr std::size_t kMaxInfoName = 128;     // bytes of one field's name
inline constexpr std::size_t kMaxInfo = 256u << 10;  // bytes of all names and values of one agent
inline constexpr std::size_t kMaxText = 1024;        // ERROR texts, software, machine, cluster
inline constexpr std::size_t kMaxFeatures = 32;
// Of an ACK, SUPERSEDED or CHALLENGE; so many fit into a frame whatever they say.
inline constexpr std::size_t kMaxEntries = 8192;
// Of a WANT's digests_of and a DIGESTS: 16 digests each.
inline constexpr std::size_t kMaxTreeNodes = 1024;
inline constexpr std::size_t kMaxLeaves = 4096;  // of a WANT and an INVENTORY_BEGIN
inline constexpr std::size_t kMaxChunk = 8192;   // entries
inline constexpr std::size_t kInventoryWindow = 8 * kMaxChunk;
inline constexpr std::size_t kMaxCommandAgents = 4096;  // of a COMMAND and a RESULT
inline constexpr std::size_t kMaxAgentVersion = 64;     // bytes of its text in a COMMAND
// No moment, epoch or duration is beyond this (the year 38500), so that sums of a few never wrap.
inline constexpr std::int64_t kMaxTimeUs = std::int64_t{1} << 60;

// What both sides agreed on (docs/protocol.md, section 6, COMPRESSED).
enum class Compression { none, zstd };
// What a COMPRESSED needs besides the compressed bytes.
inline constexpr std::size_t kCompressedOverhead = 16;

// Appends one whole frame. With zstd a DELTA that carries info is compressed, if that makes it
// smaller. The message must be one that a correct program makes (sizes within the
// limits above): a frame over kMaxFrame is a broken invariant and aborts. The text of an ERROR is
// cut to kMaxText, since it may quote anything.
void encode_frame(const Message& message, std::string& out,
                  Compression compression = Compression::none);

// The payload of one frame, header taken off; compressed ones are unpacked. The error names the
// message and the field.
std::expected<Message, Error> decode(std::string_view payload);
// The same without the short cut for plain DELTAs (plain_delta.h), for tests that compare the two.
std::expected<Message, Error> decode_by_values(std::string_view payload);

// One event as DELTA carries it and as stores and logs keep it:
// [agent, epoch, change, kind, lo, hi, {optional fields}], lo and hi relative to the epoch. An
// epoch of 0 passes here, since a store may keep an event that is not stamped yet; decode() refuses
// it in a DELTA, except for a contact.
void pack_event(wire::Packer& packer, const Event& event);
std::expected<Event, Error> unpack_event(const wire::Value& value);
// An upper bound of what pack_event adds for this event, cheap to compute.
std::size_t packed_size_bound(const Event& event);
// An upper bound of what a DELTA needs besides its events.
inline constexpr std::size_t kDeltaOverhead = 32;

// [epoch, node, change]. The default Version, "none", passes; no other with an epoch of 0 does.
void pack_version(wire::Packer& packer, const Version& version);
std::expected<Version, Error> unpack_version(const wire::Value& value);
void pack_info(wire::Packer& packer, const AgentInfo& info);  // map of strings
std::expected<AgentInfo, Error> unpack_info(const wire::Value& value);
// Cuts values and drops fields until the info is within the limits above; true if it had to. Info
// comes from agents and operators, and a DELTA that the master refuses would be sent for ever.
bool clip_info(AgentInfo& info);

}  // namespace rollcall
