#pragma once
// How often agents changed their worker of late (docs/protocol.md, section 5, "Contested agents").
// Part of the state: what follows from it is the same after a restart. Pure; loop thread, but a
// copy costs little and may go to another thread, see AgentTable.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/agent_table.h"
#include "protocol/ids.h"

namespace rollcall::master {

// An agent that changed its worker so often within this time is contested.
inline constexpr std::size_t kContestedMoves = 4;
inline constexpr std::int64_t kContestedWindowUs = 600'000'000;

class Moves {
 public:
  static constexpr std::size_t kKept = 16;                // of one agent, the newest
  static constexpr std::int64_t kKeptUs = 3'600'000'000;  // and only of the last hour
  using Times = std::vector<std::int64_t>;                // the oldest first

  // Whether that makes the agent contested, which it was not before.
  bool add(AgentId agent, MasterTime at);
  void forget(AgentId agent) { agents_.erase(agent); }
  // Looks at a few more agents, and forgets those that have not moved for long.
  void tidy(MasterTime at, std::size_t agents);

  bool contested(AgentId agent, MasterTime at) const;
  std::size_t within(AgentId agent, std::int64_t window_us, MasterTime at) const;
  const AgentTable<Times>& agents() const { return agents_; }
  // As it was read from a snapshot.
  void set(AgentId agent, Times times) { agents_.edit(agent) = std::move(times); }

 private:
  AgentTable<Times> agents_;
  AgentId tidied_{};  // the last that was looked at
};

}  // namespace rollcall::master
