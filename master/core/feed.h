#pragma once
// The feed: what became of each agent, as numbered entries that other programs follow
// (docs/decisions/0018). Entries follow from the log's records alone, so a replay gives the same
// ones under the same numbers. FeedNumbers is the part that must survive, in the state; Feed keeps
// the newest entries in memory. Pure; loop thread only.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "master/core/log_record.h"
#include "master/core/moves.h"
#include "protocol/agent_record.h"

namespace rollcall::master {

enum class AgentStatus : std::uint8_t;  // state.h

enum class FeedKind : std::uint8_t {
  connect = 1,      // it was nowhere, and is on a worker
  disconnect = 2,   // it is nowhere any more
  migrate = 3,      // it was on one worker, and is on another
  unreachable = 4,  // its worker's lease lapsed: nobody knows
  reachable = 5,    // and runs again
  contested = 6,    // it changes its worker too often: perhaps two agents share one key
};
std::string_view to_string(FeedKind kind);

// Where an agent is, for people: its newest session, and what is shown of it.
struct Standing {
  NodeName node;  // empty: nothing was known of it
  Epoch epoch = kUnstamped;
  AgentStatus status{};
  bool operator==(const Standing&) const = default;
};

struct FeedEntry {
  std::uint64_t seq = 0;        // over all agents, without a gap
  std::uint64_t agent_seq = 0;  // of this agent, without a gap
  AgentId agent{};
  FeedKind kind = FeedKind::connect;
  MasterTime at;
  Standing from, to;
  Reason reason = Reason::none;         // of a disconnect
  LeaseCause cause = LeaseCause::none;  // of what a lease brought about
  bool operator==(const FeedEntry&) const = default;
};

// A Standing for the time of a call.
struct StandingRef {
  std::string_view node;
  Epoch epoch = kUnstamped;
  AgentStatus status{};
  StandingRef(std::string_view n, Epoch e, AgentStatus s) : node(n), epoch(e), status(s) {}
  StandingRef(const Standing& s) : StandingRef(s.node, s.epoch, s.status) {}
};

// What people are told when an agent that stood so stands otherwise; nothing: not worth telling.
std::optional<FeedKind> kind_of(const StandingRef& from, const StandingRef& to);

// What became of an agent, as an entry without its numbers.
struct FeedChange {
  AgentId agent{};
  MasterTime at;
  StandingRef from, to;
  Reason reason = Reason::none;
  LeaseCause cause = LeaseCause::none;
};

class Feed;

class FeedNumbers {
 public:
  // Numbers what became of an agent, of which `of_agent` counts the entries, and adds it to `told`
  // if that is asked for.
  void changed(const FeedChange& change, std::uint64_t& of_agent, Feed* told);
  // Another worker has it than before: perhaps it is contested now.
  void moved(const FeedChange& change, std::uint64_t& of_agent, Feed* told);
  void forget(AgentId agent) { moves_.forget(agent); }
  void tidy(MasterTime at, std::size_t agents) { moves_.tidy(at, agents); }

  std::uint64_t last() const { return last_; }
  const Moves& moves() const { return moves_; }

 private:
  friend class State;  // which writes and reads its snapshot
  void number(const FeedChange& change, FeedKind kind, std::uint64_t& of_agent, Feed* told);

  std::uint64_t last_ = 0;
  Moves moves_;
  // Numbering began behind a snapshot that had no numbers yet; 0: with the log.
  MasterTime began_;
};

// The newest entries, for those who read them. What is not yet durable is not shown: after a crash
// its numbers may get another meaning.
class Feed {
 public:
  explicit Feed(std::size_t capacity = 250'000) : capacity_(capacity) {}

  // Entries up to here are not kept.
  void begins_after(std::uint64_t seq);
  // The next entry.
  void add(const FeedChange& change, FeedKind kind, std::uint64_t agent_seq);
  void show_upto(std::uint64_t seq) { shown_ = seq; }

  std::uint64_t first() const { return first_; }  // the oldest kept; if none is, the next to come
  std::uint64_t last() const { return shown_; }   // the newest shown
  std::uint64_t added() const { return first_ + kept_.size() - 1; }
  // Whether nothing behind this number is lost, nor the number from another feed.
  bool can_resume(std::uint64_t after) const { return after + 1 >= first_ && after <= shown_; }
  // Entries behind this number, the oldest first, at most `limit`.
  std::vector<FeedEntry> after(std::uint64_t seq, std::size_t limit) const;

 private:
  // Small, since there are many: nodes by number.
  struct Kept {
    std::uint64_t agent_seq;
    std::int64_t at_us;
    Epoch from_epoch, to_epoch;
    AgentId agent;
    std::uint32_t from_node, to_node;
    FeedKind kind;
    AgentStatus from_status, to_status;
    Reason reason;
    LeaseCause cause;
  };

  std::uint32_t number_of(std::string_view node);
  FeedEntry entry_of(const Kept& kept, std::uint64_t seq) const;

  std::size_t capacity_;
  std::deque<Kept> kept_;
  std::uint64_t first_ = 1;
  std::uint64_t shown_ = 0;
  std::vector<NodeName> names_;
  std::map<NodeName, std::uint32_t, std::less<>> numbers_;
  std::array<std::uint32_t, 2> recent_{};  // most entries are about the workers of the one before
};

}  // namespace rollcall::master
