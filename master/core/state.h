#pragma once
// The fold of the event log: everything that the master knows and must not forget. The only way to
// change it is apply(); the running master and a replay call the same. Pure; loop thread, but a
// copy costs little and may go to another thread, see AgentTable.
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "master/core/feed.h"
#include "master/core/log_record.h"
#include "master/core/migrations.h"
#include "protocol/agent_record.h"
#include "protocol/agent_table.h"
#include "protocol/messages.h"
#include "protocol/msgpack_bytes.h"
#include "protocol/open_sessions.h"

namespace rollcall::wire {
class Packer;
}

namespace rollcall::master {

struct Lease {
  LeaseStatus status = LeaseStatus::valid;
  LeaseCause cause = LeaseCause::none;
  MasterTime since;
  bool operator==(const Lease&) const = default;
};

// Sessions of one node that are on top and offered, by when their grace ends.
struct Offers {
  std::map<MasterTime, std::size_t> until;
  std::size_t all = 0;
  MasterTime over;  // the master gave those up that ended by then; 0: none

  void add(MasterTime at);
  void take_away(MasterTime at);
  std::size_t given_up() const;  // takes as long as there are such ends
  bool operator==(const Offers&) const = default;
};

// A worker that stopped on purpose.
struct Away {
  ByeReason reason = ByeReason::shutdown;
  MasterTime until;
  bool operator==(const Away&) const = default;
};

// What one worker's own events say, apart from who wins: other workers' claims do not touch it.
struct NodeLog {
  std::string machine;
  StoreId store{};
  StreamId stream{};
  std::uint64_t last_seq = 0;  // of the stream
  std::uint64_t position = 0;  // of the store's outbox, the furthest heard of
  MasterTime welcomed_at;
  OpenSessions open;  // what its own events left open
  Lease lease;
  std::size_t on_top = 0;  // agents whose newest session is an open one of this node
  Offers offers;           // of these
  std::optional<Away> away;
  bool operator==(const NodeLog&) const = default;
};

// A worker that an operator had forgotten: if it comes back, nothing was lost.
struct ForgottenNode {
  StoreId store{};
  StreamId stream{};
  std::uint64_t position = 0;
  MasterTime at;
  bool operator==(const ForgottenNode&) const = default;
};

// What people are shown of an agent (docs/protocol.md, section 5).
enum class AgentStatus : std::uint8_t { active, unreachable, disconnected, migrating };
std::string_view to_string(AgentStatus status);
// What of its node decides that.
struct NodeStanding {
  NodeStanding() = default;
  NodeStanding(LeaseStatus of_its_node, MasterTime over = {}) : lease(of_its_node), offers_over(over) {}
  LeaseStatus lease = LeaseStatus::lapsed;
  MasterTime offers_over;
};
AgentStatus status_of(const AgentRecord& record, const NodeStanding& of_its_node);
// Why it is disconnected; `none` if it is not.
Reason reason_of(const AgentRecord& record, const NodeStanding& of_its_node);

bool is_removed(const AgentRecord& record);

// What an event met: the agent's newest session before it was decided.
struct Met {
  Version top;
  Phase phase = Phase::closed;
  bool operator==(const Met&) const = default;
};

// What became of one event, besides its rule.
struct Outcome {
  Met met;
  const AgentRecord* record = nullptr;  // after the frame; null: still nothing is known of it
  NodeName other_owner;  // before the event; empty if it was nobody's, or this worker's own
};

class State {
 public:
  // Carries out one record. A Decided record without rules is decided and given them; one with
  // rules (from the log) is decided again, and another outcome is an error: the log and this
  // program disagree. `outcomes`, if asked for, are one for each event, its record valid until the
  // next call; `told`, if asked for, gets what became of agents by it.
  std::expected<void, Error> apply(LogRecord& record, std::vector<Outcome>* outcomes = nullptr,
                                   Feed* told = nullptr);

  MasterId master() const { return master_; }
  Term term() const { return term_; }
  const TimeReserved& time() const { return time_; }
  const AgentTable<AgentRecord>& agents() const { return agents_; }
  std::size_t active() const { return active_; }  // agents whose newest session is open
  const std::map<NodeName, NodeLog>& nodes() const { return nodes_; }
  const AgentRecord* find(AgentId agent) const;
  // Of a node that is not known: lapsed.
  LeaseStatus lease_of(const NodeName& node) const;
  NodeStanding standing_of(const NodeName& node) const;
  AgentStatus status_of(const AgentRecord& record) const;
  // Why it is not active; lease_expired although the record is open.
  Reason reason_of(const AgentRecord& record) const;
  struct Counts {
    std::size_t active = 0, unreachable = 0, disconnected = 0, migrating = 0;
  };
  Counts counts() const;  // takes as long as there are nodes and ends of offers
  // Of the agents whose newest session is an open one of this node; none is counted as disconnected
  // but those whose lease expired.
  static Counts counts_of(const NodeLog& node);
  // Until when expiry is frozen: by node, with no name of all.
  const std::map<NodeName, MasterTime>& frozen() const { return frozen_; }
  std::optional<MasterTime> frozen_until(const NodeName& node) const;  // as all or by name
  const std::map<NodeName, ForgottenNode>& forgotten() const { return forgotten_; }
  const Migrations& migrations() const { return migrations_; }
  void count_migrations_anew() { migrations_.count_anew(); }
  // Agents whose record says that they were removed, and since when.
  const std::map<AgentId, MasterTime>& removed() const { return removed_; }
  const FeedNumbers& feed() const { return feed_; }

  // Canonical: equal states give equal bytes.
  std::string encode() const;
  static std::expected<State, Error> decode(std::string_view bytes);
  // This fold with what older snapshots did not hold, as `read` has it: since when a lease that
  // never lapsed runs and agents are removed (format 1), and the feed's numbers (formats 1 and 2).
  // A state that began with such a snapshot is then equal to the fold of all records.
  State with_times_of(const State& read) const;

 private:
  bool read_nodes(msgpack_bytes::Reader& in);
  bool read_agents(msgpack_bytes::Reader& in);
  bool read_beside(msgpack_bytes::Reader& in);
  bool read_feed(msgpack_bytes::Reader& in);
  void write_feed(wire::Packer& out) const;
  std::expected<void, Error> decide(Decided& record, std::vector<Outcome>* outcomes, Feed* told);
  static std::expected<void, Error> disagree(const Event& e, const NodeName& node, Rule logged,
                                             Rule decided);
  NodeLog* node_of(const AgentRecord& record, const NodeName& usual, NodeLog& its);
  static NodeStanding standing_of(const NodeLog& node);
  void tell_feed(AgentId agent, const Standing& stood, AgentRecord& record,
                 const NodeStanding& node, MasterTime at, Feed* told);
  void note_removed(AgentId agent, const AgentRecord& record, MasterTime at);
  // Feeds what became of the agents on top of a node by its standing, which was another before.
  void standing_became(const NodeName& node, const NodeStanding& before, LeaseCause cause,
                       MasterTime at, Feed* told);
  std::vector<AgentId> agents_on(const NodeName& node) const;
  // Of these, only what changes agents tells the feed.
  void fold(const NodeWelcomed& r, Feed* told);
  void fold(const LeaseChanged& r, Feed* told);
  void fold(const ExpiryFrozen& r, Feed* told);
  void fold(const NodeForgotten& r, Feed* told);
  void fold(const AgentsForgotten& r, Feed* told);
  void fold(const OffersExpired& r, Feed* told);
  void fold(const NodeLeft& r, Feed* told);
  void fold(const MigrationsKept& r, Feed* told);
  void forget_unknown(const Decided& record, std::vector<Outcome>* outcomes);

  MasterId master_{};
  Term term_{};
  TimeReserved time_;
  AgentTable<AgentRecord> agents_;
  std::size_t active_ = 0;
  std::map<NodeName, NodeLog> nodes_;
  std::map<NodeName, MasterTime> frozen_;
  std::map<NodeName, ForgottenNode> forgotten_;
  std::map<AgentId, MasterTime> removed_;
  Migrations migrations_;
  FeedNumbers feed_;
};

}  // namespace rollcall::master
