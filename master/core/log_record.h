#pragma once
// What the master writes into its event log: the log is the truth, the table in memory is its fold
// (docs/protocol.md, section 9). docs/store-format.md has the bytes.
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/agent_record.h"
#include "protocol/error.h"
#include "protocol/event.h"
#include "protocol/messages.h"

namespace rollcall::master {

// The first record of every log.
struct Genesis {
  MasterId master{};
  bool operator==(const Genesis&) const = default;
};

// A new term: from here on workers tell everything again.
struct TermBegun {
  Term term{};
  std::string cause;
  bool operator==(const TermBegun&) const = default;
};

// No time beyond `until` is told before the next one of these is durable. `began` and the rest say
// how time runs: within one boot of the master's machine a restarted master goes on with it.
struct TimeReserved {
  MasterTime until;
  MasterTime began;            // where this run of the time began
  std::uint64_t boot = 0;      // which boot: a hash of the boot id
  std::int64_t offset_us = 0;  // the master's time minus the boot clock
  bool operator==(const TimeReserved&) const = default;
};

// A worker was welcomed.
struct NodeWelcomed {
  NodeName node;
  std::string machine;
  StoreId store{};
  StreamId stream{};
  std::uint64_t first_seq = 1;
  std::uint64_t position = 0;  // what its store had reached, by its own account
  MasterTime at;
  bool operator==(const NodeWelcomed&) const = default;
};

// Where an event comes from: its worker, or what the master found out about it (docs/protocol.md,
// section 14). Numbers go into the log; never reused.
enum class Cause : std::uint8_t {
  told = 0,           // by the worker, under a seq of its stream
  missed_open = 1,    // the inventory had a session of which nothing was known
  missed_change = 2,  // and this a later one than was known
  absent = 3,         // the inventory did not have the session: the master closes it
  went_back = 4,      // the inventory had an older one: the master closes the newer
  evidence = 5,       // of an inventory, about an agent that was in doubt
  forgotten = 6,      // the worker is gone for good: the master closes what it left open
};
inline constexpr Cause kLastCause = Cause::forgotten;
std::string_view to_string(Cause cause);

// Events and how each was decided, accepted or refused.
struct Decided {
  NodeName node;
  std::uint64_t first_seq = 1;
  std::uint64_t position = 0;
  MasterTime at;  // the master's time at receipt: replay decides with it
  std::vector<Event> events;
  std::vector<Rule> rules;
  Cause cause = Cause::told;  // with another one seq and position mean nothing
  bool operator==(const Decided&) const = default;
};

// A worker's lease. The first NodeWelcomed of a node begins it.
enum class LeaseStatus : std::uint8_t {
  valid = 1,    // what the worker says counts
  lapsed = 2,   // nobody knows; the grace runs
  held = 3,     // as lapsed, the grace is over: too many at once, an operator is to confirm it
  expired = 4,  // its agents count as disconnected
};
inline constexpr LeaseStatus kLastLeaseStatus = LeaseStatus::expired;
std::string_view to_string(LeaseStatus status);
enum class LeaseCause : std::uint8_t {
  none = 0,
  silent = 1,       // nothing was heard for a TTL
  unconfirmed = 2,  // its sessions were not confirmed for three
  confirmed = 3,    // expired by an operator's word
};
inline constexpr LeaseCause kLastLeaseCause = LeaseCause::confirmed;
std::string_view to_string(LeaseCause cause);

struct LeaseChanged {
  NodeName node;
  LeaseStatus status = LeaseStatus::valid;
  LeaseCause cause = LeaseCause::none;
  MasterTime at;
  bool operator==(const LeaseChanged&) const = default;
};

// No lease expires until then, of this node or (no name) of any.
struct ExpiryFrozen {
  NodeName node;
  MasterTime until;  // not after `at`: it ends
  MasterTime at;
  bool operator==(const ExpiryFrozen&) const = default;
};

// An operator said that the worker is gone for good. What it left open was closed before.
struct NodeForgotten {
  NodeName node;
  MasterTime at;
  bool operator==(const NodeForgotten&) const = default;
};

// Agents that were removed long ago leave the table.
struct AgentsForgotten {
  std::vector<AgentId> agents;
  MasterTime at;
  bool operator==(const AgentsForgotten&) const = default;
};

// The worker cannot be heard, and the grace of offers that it made is over: those until then.
struct OffersExpired {
  NodeName node;
  MasterTime upto;
  MasterTime at;
  bool operator==(const OffersExpired&) const = default;
};

// A worker said that it stops, and until when it means to be back: its lease runs so long.
struct NodeLeft {
  NodeName node;
  ByeReason reason = ByeReason::shutdown;
  MasterTime until;
  MasterTime at;
  bool operator==(const NodeLeft&) const = default;
};

// From here on so many moves of agents are kept, the newest.
struct MigrationsKept {
  std::uint64_t most = 0;
  bool operator==(const MigrationsKept&) const = default;
};

using LogRecord = std::variant<Genesis, TermBegun, TimeReserved, NodeWelcomed, Decided,
                               LeaseChanged, ExpiryFrozen, NodeForgotten, AgentsForgotten,
                               OffersExpired, NodeLeft, MigrationsKept>;

std::string encode(const LogRecord& record);
std::expected<LogRecord, Error> decode_log_record(std::string_view bytes);

// Nearly all records are decisions in exactly the form that encode() gives them: these are read
// without building a tree first, as plain_delta.h does with DELTAs. Nothing of any other record.
std::optional<Decided> read_plain_decision(std::string_view bytes);
// decode_log_record() without that short cut, for tests that compare the two.
std::expected<LogRecord, Error> decode_log_record_by_values(std::string_view bytes);

}  // namespace rollcall::master
