#pragma once
// Every message between a sidecar and the master (docs/protocol.md, section 4: the table there has
// each field's number on the wire). Values only; how they look as bytes is codec.h's business.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/digest.h"
#include "protocol/digest_tree.h"
#include "protocol/event.h"

namespace rollcall {

inline constexpr std::uint32_t kProtocolMin = 1;
inline constexpr std::uint32_t kProtocolMax = 1;

// What a side can do beyond its protocol version: HELLO names what the worker can, WELCOME what of
// that the master can too. Only what both named is used.
inline constexpr std::string_view kFeatureZstd = "zstd";          // COMPRESSED
inline constexpr std::string_view kFeatureCommands = "commands";  // COMMAND

// Worker -> master, the first frame on every connection.
struct Hello {
  std::uint32_t protocol_min = kProtocolMin;
  std::uint32_t protocol_max = kProtocolMax;
  std::string cluster;
  NodeName node;
  std::string machine;  // the machine's id, to tell a cloned machine from a reconnect
  StoreId store{};
  StreamId stream{};
  std::uint64_t first_seq = 1;  // the first event of this stream that can still be sent
  Epoch highest_epoch = kUnstamped;
  // Places in the store's outbox, which only grow: at the start of this process, and the last one
  // that the master acked. With them each side notices that the other is an older copy.
  std::uint64_t start_position = 0;
  std::uint64_t acked_position = 0;
  MasterId last_master{};  // last spoken to; 0: none
  Term last_term{};
  std::uint64_t open_sessions = 0;
  std::string software;
  std::int64_t t0 = 0;  // the sidecar's boot clock, microseconds
  std::vector<std::string> features;
  // Of the sessions that the stream left open at its last event, if all of its events were acked:
  // a worker that comes back and agrees has all its agents back at once.
  std::optional<Digest> digest = {};
  bool operator==(const Hello&) const = default;
};

// Whether both sides hold the same sessions of this worker open.
enum class Agreement : std::uint8_t {
  unknown = 0,  // not compared
  equal = 1,
  differs = 2,
};
std::string_view to_string(Agreement agreement);

// Master -> worker: answers HELLO.
struct Welcome {
  std::uint32_t protocol = kProtocolMax;
  MasterId master{};
  Term term{};
  std::uint64_t last_seq = 0;   // of this stream; 0: nothing yet
  bool store_is_older = false;  // this store has said more before: it is an older copy
  MasterTime time_began;  // where the master's time began anew (0: never): earlier moments stay as
                          // translated
  std::int64_t heartbeat_us = 10'000'000;
  std::int64_t ttl_us = 30'000'000;
  std::uint32_t max_frame = 1u << 20;
  std::uint64_t window = 1u << 20;      // bytes sent and not acked
  std::int64_t t0 = 0, t1 = 0, t2 = 0;  // t1, t2: the master's time at receipt and at sending
  std::vector<std::string> features;
  Agreement agreement = Agreement::unknown;         // with HELLO's digest
  std::int64_t inventory_us = 3'600'000'000;        // between full inventories
  std::int64_t inventory_differs_us = 600'000'000;  // the same, while the digests differ
  bool operator==(const Welcome&) const = default;
};

// Worker -> master: consecutive events of the stream.
struct Delta {
  std::uint64_t first_seq = 1;
  std::uint64_t position = 0;  // of the last event, in the store's outbox
  std::vector<Event> events;
  bool operator==(const Delta&) const = default;
};

// The session that stands instead, and whether it is open.
struct Winner {
  Version version;
  bool open = false;
  bool operator==(const Winner&) const = default;
};

enum class ExceptionKind : std::uint8_t { superseded = 1, need_info = 2, future_epoch = 3 };
std::string_view to_string(ExceptionKind kind);

struct AckException {
  std::uint64_t seq = 0;
  AgentId agent{};
  ExceptionKind kind = ExceptionKind::superseded;
  Winner winner;  // with `superseded` only
  bool operator==(const AckException&) const = default;
};

// Master -> worker: every event up to `through` is durable; those with an exception were decided
// as it says.
struct Ack {
  std::uint64_t through = 0;
  std::vector<AckException> exceptions;
  bool operator==(const Ack&) const = default;
};

// Master -> worker: sessions of this worker that are not, or no longer, the ones that stand.
struct Superseded {
  struct Entry {
    AgentId agent{};
    Winner winner;
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> entries;
  bool operator==(const Superseded&) const = default;
};

// Master -> worker: another worker may have spoken to the agent as late as `upto`. Confirm this
// session with evidence after it, or close it.
struct Challenge {
  struct Entry {
    AgentId agent{};
    Epoch epoch = kUnstamped;
    MasterTime upto;
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> entries;
  bool operator==(const Challenge&) const = default;
};

// Worker -> master, also when idle.
struct Heartbeat {
  std::uint64_t seq = 0;  // the last one sent
  std::uint64_t open_sessions = 0;
  std::int64_t t0 = 0;
  // Of the sessions that the stream left open at `seq`. Absent while events that were sent before
  // are being sent again.
  std::optional<Digest> digest = {};
  bool blind = false;  // the source cannot be looked at: what is open here may be old
  bool operator==(const Heartbeat&) const = default;
};

struct HeartbeatAck {
  std::int64_t t0 = 0, t1 = 0, t2 = 0;
  Agreement agreement = Agreement::unknown;  // with the HEARTBEAT's digest
  std::int64_t lease_us = 0;                 // how long the worker's lease runs from now
  std::int64_t heartbeat_us = 0;             // from now on; 0: as before
  bool operator==(const HeartbeatAck&) const = default;
};

// Master -> worker: what it needs to know to agree again. Any of them may be empty.
struct Want {
  std::vector<TreeNode> digests_of;  // of their children; none is a leaf
  bool inventory = false;            // a full one
  std::vector<TreeNode> leaves;      // an inventory of these
  std::vector<AgentId> infos;        // the fields of these agents
  // With none of the above: no full inventory before that, and the one that was begun is dropped.
  std::int64_t retry_after_us = 0;
  bool operator==(const Want&) const = default;
};

// Worker -> master: answers WANT. Valid at `seq`, which is the last one sent.
struct Digests {
  struct Entry {
    TreeNode node{};
    std::array<Digest, kTreeFanout> children;
    bool operator==(const Entry&) const = default;
  };
  std::uint64_t seq = 0;
  std::vector<Entry> entries;
  bool operator==(const Digests&) const = default;
};

// Worker -> master: the sessions that its stream left open at `seq`, the last one sent. Entries
// follow in INVENTORY_CHUNKs, in the order of the agents, between other messages.
struct InventoryBegin {
  std::uint64_t id = 0;  // random
  std::uint64_t seq = 0;
  std::int64_t ttl_us = 0;       // how long it holds without being confirmed
  std::vector<TreeNode> leaves;  // ascending; empty: all agents
  bool operator==(const InventoryBegin&) const = default;
};

struct InventoryEntry {
  AgentId agent{};
  Epoch epoch = kUnstamped;
  std::uint32_t change = 0;
  Evidence evidence;
  bool operator==(const InventoryEntry&) const = default;
};

struct InventoryChunk {
  std::uint64_t id = 0;
  std::vector<InventoryEntry> entries;  // ascending by agent
  bool operator==(const InventoryChunk&) const = default;
};

// All entries, counted and summed.
struct InventoryEnd {
  std::uint64_t id = 0;
  std::uint64_t count = 0;
  Digest digest;
  bool operator==(const InventoryEnd&) const = default;
};

// Master -> worker: so many entries have come; 0 answers BEGIN. A worker has at most
// kInventoryWindow entries on the way.
struct InventoryAck {
  std::uint64_t id = 0;
  std::uint64_t entries = 0;
  bool operator==(const InventoryAck&) const = default;
};

// Why a sidecar stops. Wire numbers; never reused.
enum class ByeReason : std::uint8_t { shutdown = 1, drain = 2, restart = 3 };
inline constexpr ByeReason kLastByeReason = ByeReason::restart;
std::string_view to_string(ByeReason reason);

// Worker -> master, the last message of a connection: a planned stop of the sidecar. Its agents
// stay as they are for so long.
struct Bye {
  ByeReason reason = ByeReason::shutdown;
  std::int64_t back_within_us = 0;
  bool operator==(const Bye&) const = default;
};

// Wire numbers; never reused.
enum class CommandKind : std::uint8_t { restart = 1 };
std::string_view to_string(CommandKind kind);

// A command's name, as a client gave it or the master chose it: 1 to 64 of letters, digits, '.',
// '_' and '-'.
using CommandId = std::string;
bool is_valid_command_id(std::string_view id);

// Master -> worker, with the feature `commands`: what these agents, which are on this worker, are
// to be told. One id may come in several parts, and again; an agent is told at most once for an id.
struct Command {
  struct Entry {
    AgentId agent{};
    std::string version;  // of its software: it says in which words the agent is told
    bool operator==(const Entry&) const = default;
  };
  CommandId id;
  CommandKind kind = CommandKind::restart;
  std::vector<Entry> entries;
  std::int64_t left_us = 0;  // after that it is not to be carried out any more
  bool operator==(const Command&) const = default;
};

// Wire numbers; never reused.
enum class CommandOutcome : std::uint8_t {
  sent = 1,             // the worker's Wazuh has it for the agent
  not_here = 2,         // the worker has no open session of the agent
  unknown_version = 3,  // the version is none
  socket = 4,           // the worker's Wazuh did not take it; the agent was not told
  late = 5,             // the time was over before it could be carried out; it was not told
  uncertain = 6,        // it may have been told before the sidecar was started anew
};
std::string_view to_string(CommandOutcome outcome);

// Worker -> master: answers COMMAND, in as many parts as it likes.
struct Result {
  struct Entry {
    AgentId agent{};
    CommandOutcome outcome = CommandOutcome::sent;
    bool operator==(const Entry&) const = default;
  };
  CommandId id;
  std::vector<Entry> entries;
  std::string why;  // of those with `socket`
  bool operator==(const Result&) const = default;
};

// Wire numbers; never reused.
enum class ErrorCode : std::uint16_t {
  malformed = 1,     // bytes that are not a message, or a limit was passed
  protocol = 2,      // a message that this state does not allow
  version = 3,       // no protocol version in common
  cluster = 4,       // another cluster
  name = 5,          // the node name is not in the certificate, or not allowed
  node_in_use = 6,   // another machine is connected under this name
  sequence = 7,      // a gap inside a connection
  unknown_type = 8,  // not fatal
  busy = 9,          // come again later
  new_term = 10,     // the master began a new term: connect again
  shutting_down = 11,
  reserved_change = 12,  // a change that only the master may use
  inventory = 13,        // an inventory that contradicts itself
};
std::string_view to_string(ErrorCode code);

// Either direction; says why before closing.
struct ErrorMessage {
  ErrorCode code = ErrorCode::malformed;
  std::string text;
  bool fatal = true;
  std::int64_t retry_after_us = 0;
  bool operator==(const ErrorMessage&) const = default;
};

// A message of a type that this version does not know: answered, not obeyed.
struct UnknownMessage {
  std::uint32_t type = 0;
  bool operator==(const UnknownMessage&) const = default;
};

using Message =
    std::variant<Hello, Welcome, Delta, Ack, Superseded, Challenge, Heartbeat, HeartbeatAck,
                 ErrorMessage, UnknownMessage, Want, Digests, InventoryBegin, InventoryChunk,
                 InventoryEnd, InventoryAck, Command, Result, Bye>;
std::string_view name_of(const Message& message);  // "DELTA"

// Costs an answer or a line in the log, and does nothing else.
inline bool is_useless(const Message& message) {
  const auto* error = std::get_if<ErrorMessage>(&message);
  return std::holds_alternative<UnknownMessage>(message) || (error && !error->fatal);
}

}  // namespace rollcall
