#pragma once
// What the master writes into its event log: the log is the truth, the table in memory is its fold
// (docs/protocol.md, section 9). docs/store-format.md has the bytes.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/agent_record.h"
#include "protocol/error.h"
#include "protocol/event.h"

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

// A frame of events and how each was decided, accepted or refused.
struct Decided {
  NodeName node;
  std::uint64_t first_seq = 1;
  std::uint64_t position = 0;
  MasterTime at;  // the master's time at receipt: replay decides with it
  std::vector<Event> events;
  std::vector<Rule> rules;
  bool operator==(const Decided&) const = default;
};

using LogRecord = std::variant<Genesis, TermBegun, TimeReserved, NodeWelcomed, Decided>;

std::string encode(const LogRecord& record);
std::expected<LogRecord, Error> decode_log_record(std::string_view bytes);

}  // namespace rollcall::master
