#pragma once
// What the master believes about one agent, and the one rule by which it changes its mind.
//
// The record is a join-semilattice: each register below is a maximum, so delivery order, duplicates
// and retries cannot change the result (docs/protocol.md, section 2). Everything that decides is in
// AgentRecord::apply; the master, the log's replay, the simulator and the tests all call it.
#include <array>
#include <optional>

#include "protocol/event.h"

namespace rollcall {

// How an event was decided, written by the branch that decided it. Numbers go into the log.
enum class Rule : std::uint8_t {
  first = 1,         // accepted: the agent was unknown
  newer = 2,         // accepted: greater than the record's version
  older = 3,         // refused: not greater; the agent has a newer session or change
  duplicate = 4,     // refused: this very version with this very meaning is the record
  conflict = 5,      // refused: this version is the record, with another meaning
  future_epoch = 6,  // refused: an epoch more than kFutureTolerance ahead of the master's time
  contact = 7,       // nothing to compare; the contact register was raised if it was greater
};
std::string_view to_string(Rule rule);
inline bool accepted(Rule rule) {
  return rule == Rule::first || rule == Rule::newer;
}

inline constexpr std::int64_t kFutureToleranceUs = 2'000'000;

enum class Phase : std::uint8_t { open = 1, released = 2, closed = 3 };
std::string_view to_string(Phase phase);
Phase phase_after(EventKind kind);

struct AgentRecord {
  // The greatest version seen, and what it said.
  Version top;  // top.epoch == kUnstamped: only contacts are known
  Phase phase = Phase::closed;
  Reason reason = Reason::none;
  MasterTime lo;  // the latest `lo` of the top session
  MasterTime hi;  // the latest `hi` of the top session
  // What `top` says of a handoff: it is offered until then; 0: it is not. Any newer event ends it.
  MasterTime offered_until;

  // The latest moment at which each worker can have spoken to the agent: the two greatest, from
  // different workers. Refused and duplicate events raise them too.
  struct Contact {
    NodeName node;
    MasterTime hi;
    auto operator<=>(const Contact&) const = default;
  };
  std::array<Contact, 2> contacts;

  // Info has a stamp of its own: the version of the event that carried it. `claimed` is the
  // greatest stamp; `known` the greatest whose fields have arrived. They differ while the master
  // waits for fields that it asked for, and then the older, complete info stands.
  struct Info {
    Version stamp;
    InfoHash hash{};
    auto operator<=>(const Info&) const = default;
  };
  std::optional<Info> claimed;
  std::optional<Info> known;
  InfoPtr info;

  // How often the master's feed told of it: beside the record, and no part of what is decided.
  std::uint64_t told = 0;

  bool has_session() const { return top.epoch != kUnstamped; }
  bool is_open() const { return has_session() && phase == Phase::open; }
  bool is_offered() const { return is_open() && offered_until.us != 0; }
  bool info_missing() const { return claimed && (!known || known->hash != claimed->hash); }

  // Decides on one event of `node` that the master received at `now` (the master's time, logged
  // with the event so that replay decides the same). Evidence beyond `now` is taken as `now`.
  Rule apply(const NodeName& node, const Event& event, MasterTime now);

  // Another worker can have spoken to the agent when, or after, the open top session last surely
  // did: the latest such moment. The winner is then asked to confirm evidence after it.
  std::optional<MasterTime> doubt() const;

  bool operator==(const AgentRecord& other) const;

 private:
  void take_offer(const Event& event, MasterTime now);
  void raise_contact(const NodeName& node, MasterTime hi);
  void take_info(const Version& stamp, const Event& event);
};

}  // namespace rollcall
