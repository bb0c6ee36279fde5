#pragma once
// What a sidecar keeps about one agent, and the events it still has to tell. Both survive a restart
// in the store; docs/store-format.md has their bytes.
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/agent_record.h"
#include "protocol/error.h"
#include "protocol/event.h"
#include "sidecar/core/handoff.h"
#include "sidecar/core/observation.h"
#include "sidecar/core/timeline.h"

namespace rollcall::sidecar {

// clear() of a hash table takes as long as the table ever was large; after a storm that shows.
template <typename Table>
void drop_all(Table& table) {
  Table().swap(table);
}

// Evidence in local terms.
struct LocalEvidence {
  LocalMoment lo;
  LocalMoment hi;
  bool operator==(const LocalEvidence&) const = default;
};

// As it is told: in the master's time, and widened by what the translation can be off.
Evidence sent_evidence(const LocalEvidence& evidence, const Timeline& timeline, const Now& now);

// The newest stay of an agent on this worker.
struct Session {
  Epoch epoch = kUnstamped;  // unstamped until the master's time is known
  std::uint32_t change = 0;
  Phase phase = Phase::open;
  Reason reason = Reason::none;
  LocalMoment start;         // the `lo` of its first evidence: what the epoch is made of
  LocalEvidence evidence;    // its newest
  Epoch fence = kUnstamped;  // released: the epoch of the winner that released it
  NodeName fence_node = {};  // and its node, which has the agent since; empty: not known
  bool operator==(const Session&) const = default;
};

// A CHALLENGE that waits for evidence after `upto`.
struct Due {
  MasterTime upto;
  std::int64_t covered_us = 0;  // of the wait, time covered by successful looks
};

// A row that was not there at a complete look.
struct Missing {
  std::int64_t since_mono_us = 0;
  std::uint64_t connection = 0;
};

struct AgentState {
  // Stored.
  std::optional<Row> row;  // as last seen: after a restart an unchanged row is no new evidence
  std::optional<Session> session;
  Epoch accepted = kUnstamped;  // the greatest epoch that this master took as final
  InfoHash info_hash{};         // of the info as last read; 0: not known
  InfoHash told_hash{};         // of the info told to this master; 0: none, or it wants the fields
  bool info_told_here = false;  // its hash was told since the session opened
  std::optional<Handoff> handoff;
  std::vector<Move> moves;  // the newest kMovesKept, the oldest of them first

  // Not stored: the master repeats a CHALLENGE, and the others are learnt again.
  std::optional<Due> due;
  std::optional<Missing> missing;
  std::uint64_t seen_at_look = 0;     // the number of the look that last had its row
  std::int64_t largest_gap_us = 0;    // between two pieces of evidence of one session
  std::int64_t restamp_after = -1;    // clock samples to exceed before stamping anew; -1: no need
  std::int64_t info_asked_us = 0;     // monotonic; a read is under way since then; 0: none is
  std::int64_t heard_covered_us = 0;  // when it last spoke, by the time that looks covered
  std::uint32_t info_print = 0;       // of its fields, as the source last showed it

  // Its session is open, and an offer of it stands.
  bool offered() const {
    return session && session->phase == Phase::open && handoff &&
           handoff->end == Handoff::End::none;
  }
};
// An events source tells of the agent: its info is kept in the store, for that cannot be asked
// again.
inline bool is_kept(const AgentState& s) {
  return !s.row;
}
inline bool is_open(const AgentState& s) {
  return s.session && s.session->phase == Phase::open;
}

std::string encode(const AgentState& state);
std::expected<AgentState, Error> decode_agent_state(std::string_view bytes);

// One event in the outbox. Its epoch is final once it has been sent; its evidence is translated
// into the master's time when it is sent.
struct LocalEvent {
  AgentId agent{};
  EventKind kind = EventKind::opened;
  Epoch epoch = kUnstamped;
  std::uint32_t change = 0;
  bool starts_session = false;  // the first event of its session: takes an epoch of its own
  LocalMoment start;
  LocalEvidence evidence;
  Reason reason = Reason::none;
  InfoHash info_hash{};
  InfoPtr info;
  bool info_kept = false;  // the store has the fields beside the agent, not in the event
  std::uint32_t folded = 0;
  std::optional<SessionName> from = {};
  // Of an offer: when it was made, and for how long.
  LocalMoment offered = {};
  std::int64_t grace_us = 0;
};

// How much of an offer's grace is left.
std::int64_t grace_left_us(const LocalMoment& offered, std::int64_t grace_us,
                           const Timeline& timeline, const Now& now);

// Of an event with `info_kept` the fields are not in the bytes, and not in what is decoded.
std::string encode(const LocalEvent& event);
std::expected<LocalEvent, Error> decode_local_event(std::string_view bytes);

// An agent's info as it is kept in the store.
std::string encode(const AgentInfo& info);
std::expected<AgentInfo, Error> decode_info(std::string_view bytes);

}  // namespace rollcall::sidecar
