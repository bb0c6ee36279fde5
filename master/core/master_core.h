#pragma once
// The master's half of the protocol (docs/protocol.md, sections 2, 4, 6, 9, 11): workers' events
// are decided, logged, and only then answered. Loop thread only. No I/O; the time comes with each
// input, and what is to be done comes back as an Output.
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "master/core/commands.h"
#include "master/core/feed.h"
#include "master/core/history.h"
#include "master/core/leases.h"
#include "master/core/log_record.h"
#include "master/core/master_time.h"
#include "master/core/move_rates.h"
#include "master/core/reconciliation.h"
#include "master/core/state.h"
#include "protocol/messages.h"
#include "protocol/note.h"
#include "protocol/now.h"

namespace rollcall::master {

enum class ConnId : std::uint64_t {};

// The master's own close of a session.
Event master_close(AgentId agent, Epoch epoch, Reason reason);

struct Output {
  struct Append {
    std::uint64_t ticket = 0;
    std::vector<std::string> records;  // one group, in this order
  };
  struct Send {
    ConnId conn{};
    Message message;
  };
  struct Close {
    ConnId conn{};
    std::string reason;
  };
  std::optional<Append> append;  // to be made durable, then told by stored(ticket)
  std::vector<Send> send;
  std::vector<Close> close;  // after what is sent to it before
  std::vector<CommandReportPtr> reports;
  std::vector<Note> notes;
};

// Why a command was not even begun.
struct CommandRefused {
  enum class Why { conflict, busy };
  Why why = Why::busy;
  std::string text;
};

// A decision as people look at it: the newest are kept in memory, all of them are in the log.
struct Decision {
  std::uint64_t number = 0;  // counts from 1 since this process started
  MasterTime at;
  NodeName node;
  std::uint64_t seq = 0;  // 0 unless the worker told it
  Cause cause = Cause::told;
  Event event;  // without the info's fields
  Rule rule = Rule::first;
  Version top;  // the record's version after the decision
  Phase top_phase = Phase::closed;
};

class MasterCore {
 public:
  struct Config {
    std::string cluster = "wazuh";
    std::uint64_t boot = 0;       // hash of the boot id of this machine
    std::vector<NodeName> allow;  // empty: every node with a certificate of the cluster
    std::uint32_t protocol_min = kProtocolMin;
    std::uint32_t protocol_max = kProtocolMax;
    // The least; from 100 workers on 100 ms for each of them, the TTL in proportion.
    std::int64_t heartbeat_us = 10'000'000;
    std::int64_t ttl_us = 30'000'000;
    std::uint32_t window = 1u << 20;
    std::int64_t inventory_us = 3'600'000'000;
    std::int64_t inventory_differs_us = 600'000'000;
    std::size_t max_inventories = 4;                   // full ones under way
    std::uint64_t max_inventory_entries = 16'000'000;  // of one
    std::int64_t grace_us = 600'000'000;               // from lapsed to expired
    std::int64_t removed_retention_us = 7 * 86'400'000'000;
    std::size_t keep_decisions = 10'000;
    std::size_t keep_migrations = 10'000;
    std::int64_t contested_tell_us = 10'000'000;  // the shortest keepalive interval
  };

  // `state`: the fold of the log as it was found. `may_have_lost`: why the log may be missing
  // something that was acked (empty: it is whole); a new term begins then, as in an empty log.
  MasterCore(Config config, State state, std::string may_have_lost, std::uint64_t seed,
             const Now& now);

  // The decisions that the log told, before start().
  void remember(History history) { history_ = std::move(history); }
  void remember(Feed feed) { feed_ = std::move(feed); }
  // First call: what the log needs before anybody can be welcomed.
  Output start(const Now& now);
  // From now on these times and nodes of `config`; workers are told the times by WELCOME.
  void take_times(const Config& config);
  // Whether the time can be told, so that workers can be let in.
  bool ready() const { return time_.ready(); }

  // A connection whose peer proved a certificate with these names.
  Output connected(ConnId conn, std::vector<std::string> peer_names, std::string address,
                   const Now& now);
  Output message(ConnId conn, Message message, const Now& now);
  Output malformed(ConnId conn, const Error& error, const Now& now);
  Output disconnected(ConnId conn, const Now& now);
  Output stored(std::uint64_t ticket, const Now& now);
  Output tick(const Now& now);  // about once a second

  // What an operator says. The Output is as that of any input; the error is for the operator.
  // The leases that are held expire.
  Output confirm_expiry(const Now& now);
  // No lease of this node, or of any, expires for so long.
  std::expected<Output, Error> freeze(std::optional<NodeName> node, std::int64_t duration_us,
                                      const Now& now);
  std::expected<Output, Error> unfreeze(std::optional<NodeName> node, const Now& now);
  // The worker is gone for good: what it left open is closed. Refused while its lease runs.
  std::expected<Output, Error> forget_node(const NodeName& node, const Now& now);

  // Begins a command, or joins the one that has this id already. Its report comes with an Output,
  // this one or a later one, within its timeout.
  std::expected<Output, CommandRefused> command(CommandRequest request, const Now& now);

  // Too much waits for the disk: the shell should stop reading until this is false.
  bool congested() const {
    return pending_bytes_ > kMaxPendingBytes || waiting_bytes_ > kMaxPendingBytes;
  }

  // For people and tests.
  const State& state() const { return state_; }
  MasterTime time(const Now& now) { return time_.tell(now); }
  struct NodeStatus {
    bool connected = false;
    std::string address;
    std::string software;
    std::int64_t connected_for_us = 0;
    std::int64_t silent_for_us = 0;
    std::uint64_t open_sessions_reported = 0;
    bool blind = false;                        // it cannot look at its agents
    Agreement agreement = Agreement::unknown;  // as the connection last compared it
    // Since its digest was last equal, over any connection; nothing: never since the start.
    std::optional<std::int64_t> agreed_ago_us;
    Lease lease;
    // Until it lapses, or until it expires. Nothing: held, frozen or expired.
    std::optional<std::int64_t> lease_left_us;
    std::optional<MasterTime> frozen_until;
    std::optional<Away> away;
    MasterTime offers_over;
    std::size_t offered = 0;  // agents whose newest session is its own, and offered
    NodeStanding standing() const { return {lease.status, offers_over}; }
  };
  NodeStatus node_status(const NodeName& node, const Now& now) const;
  const std::deque<Decision>& decisions() const { return decisions_; }
  const History& history() const { return history_; }
  // What is durable of it.
  const Feed& feed() const { return feed_; }
  // master_core_contests.cc
  bool contested(AgentId agent, const Now& now) const {
    return state_.feed().moves().contested(agent, time_.clock(now));
  }
  // One worker's part in an agent's moves.
  struct Claim {
    NodeName node;
    std::string address;                // the worker's; empty: not connected
    bool on_top = false;                // the agent's newest session is this worker's
    std::optional<Epoch> open;          // its own session, if it left one open
    std::optional<MasterTime> contact;  // the latest moment at which it can have heard the agent
    std::string agent_ip;               // the agent's, as this worker told it of late
  };
  struct Contest {
    AgentId agent{};
    bool contested = false;
    std::vector<MasterTime> moves;  // of the last hour, the newest 16
    std::vector<Claim> claims;      // of those between which it moved
  };
  // Agents that are contested, or moved at least `moves` times within an hour, behind `after`.
  std::vector<Contest> contests(std::size_t moves, AgentId after, std::size_t limit,
                                const Now& now) const;
  Contest contest_of(AgentId agent, const Now& now) const;
  const MoveRates& move_rates() const { return move_rates_; }
  std::size_t in_doubt() const { return doubts_.size(); }
  bool in_doubt(AgentId agent) const { return doubts_.contains(agent); }
  struct Counters {
    std::uint64_t frames = 0, events = 0, duplicates = 0;
    std::map<std::string, std::uint64_t, std::less<>> by_rule;
    std::uint64_t superseded_sent = 0, challenges_sent = 0, refused_connections = 0;
    std::uint64_t protocol_errors = 0;
    std::map<Cause, std::uint64_t> repairs;
    std::uint64_t digests_equal = 0, digest_mismatches = 0;
    std::uint64_t inventories_full = 0, inventories_partial = 0;  // that were finished
    std::uint64_t inventories_refused = 0;        // begin again later, dropped, or in contradiction
    std::map<LeaseStatus, std::uint64_t> leases;  // changes to it
    // Of one worker; kept when it is forgotten, so that none ever goes back.
    struct OfNode {
      std::uint64_t events = 0;
      std::uint64_t digests_equal = 0, digests_differ = 0;
      std::map<Rule, std::uint64_t> rules;
      std::map<Cause, std::uint64_t> repairs;
    };
    std::map<NodeName, OfNode> nodes;
  };
  const Counters& counters() const { return counters_; }
  // Whose connection it is; empty before its HELLO was accepted.
  NodeName node_of(ConnId conn) const;
  std::size_t connections() const { return conns_.size(); }
  Commands::Status commands() const { return commands_.status(); }

 private:
  static constexpr std::size_t kMaxPendingBytes = 16u << 20;
  // Messages of one connection that are of no use here, answered one by one; then it is closed.
  static constexpr int kMaxUseless = 100;

  // Finding out, over one connection, where both sides differ.
  struct Reconciling {
    Agreement agreement = Agreement::unknown;  // as it was last compared
    std::optional<Walk> walk;
    unsigned walks = 0;                                      // since the digests agreed
    bool leaves_asked = false;                               // and no inventory of them was begun
    std::map<std::uint64_t, IncomingInventory> inventories;  // a full one and one of leaves at most
    std::uint64_t dropped[2] = {};  // the last that were: what still comes of them is ignored
  };
  // What costs a look at all sessions of a node comes once a heartbeat, over any connection.
  struct Pace {
    std::int64_t next_walk_mono_us = 0, next_full_mono_us = 0;
  };
  struct Conn {
    std::vector<std::string> names;
    std::string address;
    NodeName node;  // empty until HELLO was accepted
    std::string machine;
    StreamId stream{};
    std::string software;
    std::uint64_t expected_seq = 1;
    std::uint64_t open_sessions = 0;
    bool blind = false;
    std::int64_t since_mono_us = 0;
    std::int64_t heard_mono_us = 0;
    int useless = 0;  // messages of unknown types, and complaints
    bool closing = false;
    bool takes_commands = false;
    bool complained = false;        // one complaint of each connection is logged
    std::int64_t heartbeat_us = 0;  // as it was told
    Reconciling reconciling;
  };
  // Said only after the group that it rests on is durable.
  struct Waiting {
    std::uint64_t ticket = 0;
    ConnId conn{};
    std::size_t bytes = 0;
    Message message;
  };
  // What is remembered of each worker between which an agent moves.
  struct Claimant {
    std::optional<std::int64_t> told_mono_us;  // that it lost the agent
    std::int64_t claimed_mono_us = 0;
    std::string agent_ip;
  };

  void on(ConnId id, Conn& conn, const Hello& m, const Now& now, Output& out);
  void on(ConnId id, Conn& conn, Delta m, const Now& now, Output& out);
  void on(ConnId id, Conn& conn, const Heartbeat& m, const Now& now, Output& out);
  void on(ConnId id, Conn& conn, const Digests& m, const Now& now, Output& out);
  void on(ConnId id, Conn& conn, const InventoryBegin& m, const Now& now, Output& out);
  void on(ConnId id, Conn& conn, const InventoryChunk& m, const Now& now, Output& out);
  void on(ConnId id, Conn& conn, const InventoryEnd& m, const Now& now, Output& out);
  void on(ConnId id, Conn& conn, const Bye& m, const Now& now, Output& out);
  std::optional<ErrorMessage> fault_of(const Conn& conn, const Hello& m) const;
  bool take_over(ConnId id, const Hello& m, const Now& now, Output& out);
  bool is_older_copy(const Hello& m, Output& out);
  void admit(ConnId id, Conn& conn, const Hello& m, Welcome w, const Now& now, Output& out);
  void tell_missed(const NodeName& node, const Now& now);
  // master_core_commands.cc
  void on(ConnId id, Conn& conn, const Result& m, const Now& now, Output& out);
  Place where(AgentId agent, const Now& now) const;
  void tell_commands(const Now& now, Output& out);
  // master_core_reconcile.cc
  Agreement compare(Conn& conn, const Digest& theirs, const Now& now, Output& out);
  void ask(ConnId id, Want want);
  void walk(ConnId id, Conn& conn, const Now& now);
  void finish_walk(Conn& conn, const Now& now, Output& out);
  std::size_t full_inventories() const;
  std::int64_t full_later_us(const NodeName& node, const Now& now) const;
  void drop(Conn& conn, std::uint64_t inventory);
  void drop_scope(Conn& conn, bool full);
  void refuse_inventory(ConnId id, std::string text, const Now& now, Output& out);
  void apply(ConnId id, Conn& conn, const Differences& found, const Now& now, Output& out);
  void keep_offers(const NodeName& node, std::vector<Event>& events) const;
  void repair(const NodeName& node, Cause cause, std::vector<Event> events, int& notes,
              const Now& now, Output& out);
  void after_repair(const Decided& d, const std::vector<Outcome>& outcomes, int& notes,
                    const Now& now, Output& out);
  void ask_for_infos(ConnId id, const NodeName& node, const Differences& found);
  void drop_stale_inventories(bool deaf, const Now& now, Output& out);
  // master_core_leases.cc
  std::int64_t heartbeat_us() const;
  std::int64_t ttl_of(std::int64_t heartbeat_us) const;
  Leases::Times lease_times() const;
  // What this connection keeps to: when nodes are forgotten it learns of it by its next heartbeat.
  std::int64_t heartbeat_us(const Conn& conn) const {
    return std::max(heartbeat_us(), conn.heartbeat_us);
  }
  void log_lease(std::optional<LeaseChanged> change, const Now& now, Output& out);
  void tick_leases(const Now& now, Output& out);
  void end_freezes(const Now& now, Output& out);
  void give_up_offers(const Now& now, Output& out);
  void forget_removed(const Now& now, Output& out);
  std::optional<ErrorMessage> fault_of(const Conn& conn, const Delta& m) const;
  std::vector<std::uint64_t> take_undecided(Delta& m, Decided& into, const Now& now, Ack& ack);
  void answer(const Decided& d, const std::vector<Outcome>& outcomes,
              const std::vector<std::uint64_t>& seqs, const Now& now, Ack& ack, Output& out);
  void remember(Decided& d, const std::vector<Outcome>& outcomes,
                const std::vector<std::uint64_t>& seqs);
  void add_exception(std::uint64_t seq, const NodeName& node, const Event& e, Rule rule,
                     const AgentRecord* record, const Now& now, Ack& ack);
  void acknowledge(ConnId id, Ack ack);
  void log(LogRecord& record, std::vector<Outcome>* outcomes = nullptr);
  void log(LogRecord&& record) { log(record); }
  void say(ConnId conn, Message message);  // after all that was logged so far is durable
  void refuse(ConnId id, ErrorCode code, std::string text, const Now& now, Output& out,
              std::int64_t retry_after_us = 0);
  void close(ConnId id, std::string reason, Output& out);
  void begin_term(std::string cause, Output& out);
  void check_doubt(AgentId agent) { check_doubt(agent, *state_.find(agent)); }
  void check_doubt(AgentId agent, const AgentRecord& record);
  void tell_superseded(const NodeName& node, AgentId agent, const Now& now);
  bool may_tell(const NodeName& node, AgentId agent, const Now& now);
  void owner_changed(AgentId agent, const NodeName& from, const Now& now, Output& out);
  void remember_ip(AgentId agent, const AgentRecord& record);
  void tell_later(const Now& now);
  ConnId conn_of(const NodeName& node) const;
  Output finish(const Now& now, Output&& out);
  void note(Output& out, NoteLevel level, std::string text,
            std::vector<std::pair<std::string, std::string>> fields = {});

  Config config_;
  State state_;
  std::string may_have_lost_;
  // Until a worker's HELLO made a new term: a log is restored from an older copy only while the
  // master is down, so once is enough, and a worker that claims more cannot begin term after term.
  bool may_be_older_copy_ = true;
  std::mt19937_64 random_;
  MasterTimeSource time_;

  std::map<ConnId, Conn> conns_;
  std::map<NodeName, ConnId> by_node_;
  std::map<NodeName, Pace> paces_;
  std::map<NodeName, std::int64_t> agreed_mono_us_;
  std::vector<Waiting> waiting_;

  std::vector<std::string> pending_;  // records that no group has taken yet
  std::size_t pending_bytes_ = 0, in_group_bytes_ = 0, waiting_bytes_ = 0;
  std::optional<MasterTime> pending_reservation_, reservation_in_group_;
  std::uint64_t ticket_ = 0, stored_ticket_ = 0;

  Leases leases_;
  Commands commands_;
  std::int64_t removed_looked_mono_us_ = 0;
  std::unordered_set<AgentId> doubts_;
  MoveRates move_rates_;
  std::map<AgentId, std::map<NodeName, Claimant>> claimants_;
  std::int64_t claimants_pruned_mono_us_ = 0;
  std::map<std::pair<NodeName, AgentId>, std::int64_t> later_;  // SUPERSEDED held back until then
  std::map<NodeName, std::vector<Superseded::Entry>> superseded_;
  std::map<NodeName, std::vector<Challenge::Entry>> challenges_;

  History history_;
  Feed feed_;
  std::uint64_t feed_in_group_ = 0;  // what is added up to here is durable with the group
  std::deque<Decision> decisions_;
  std::uint64_t decision_number_ = 0;
  Counters counters_;
};

}  // namespace rollcall::master
