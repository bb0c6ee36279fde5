#pragma once
// The fold of the event log: everything that the master knows and must not forget. The only way to
// change it is apply(); the running master and a replay call the same. Pure; loop thread, but a
// copy costs little and may go to another thread, see AgentTable.
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "master/core/log_record.h"
#include "protocol/agent_record.h"
#include "protocol/agent_table.h"
#include "protocol/open_sessions.h"

namespace rollcall::master {

// What one worker's own events say, apart from who wins: other workers' claims do not touch it.
struct NodeLog {
  std::string machine;
  StoreId store{};
  StreamId stream{};
  std::uint64_t last_seq = 0;  // of the stream
  std::uint64_t position = 0;  // of the store's outbox, the furthest heard of
  MasterTime welcomed_at;
  OpenSessions open;  // what its own events left open
  bool operator==(const NodeLog&) const = default;
};

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
  // next call.
  std::expected<void, Error> apply(LogRecord& record, std::vector<Outcome>* outcomes = nullptr);

  MasterId master() const { return master_; }
  Term term() const { return term_; }
  const TimeReserved& time() const { return time_; }
  const AgentTable<AgentRecord>& agents() const { return agents_; }
  std::size_t active() const { return active_; }  // agents whose newest session is open
  const std::map<NodeName, NodeLog>& nodes() const { return nodes_; }
  const AgentRecord* find(AgentId agent) const;

  // Canonical: equal states give equal bytes.
  std::string encode() const;
  static std::expected<State, Error> decode(std::string_view bytes);

 private:
  std::expected<void, Error> decide(Decided& record, std::vector<Outcome>* outcomes);
  void forget_unknown(const Decided& record, std::vector<Outcome>* outcomes);

  MasterId master_{};
  Term term_{};
  TimeReserved time_;
  AgentTable<AgentRecord> agents_;
  std::size_t active_ = 0;
  std::map<NodeName, NodeLog> nodes_;
};

}  // namespace rollcall::master
