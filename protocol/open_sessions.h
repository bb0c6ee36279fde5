#pragma once
// The sessions that one worker's own stream left open, with their digest. Both sides keep it, each
// from the same events in the same order, so that equal digests at one seq mean equal sets. Other
// workers' claims do not touch it (docs/protocol.md, section 14). A copy costs next to nothing and
// stays as it is, see AgentTable.
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "protocol/agent_table.h"
#include "protocol/digest.h"
#include "protocol/digest_tree.h"
#include "protocol/event.h"

namespace rollcall {

class OpenSessions {
 public:
  struct Session {
    Epoch epoch = kUnstamped;
    std::uint32_t change = 0;
    auto operator<=>(const Session&) const = default;
  };

  // One event of this worker, by its own order: what is older than what is there changes nothing.
  void take(AgentId agent, EventKind kind, Epoch epoch, std::uint32_t change);
  // Sets or takes away without asking what was there.
  void set(AgentId agent, Session session);
  void erase(AgentId agent);

  const Session* find(AgentId agent) const { return table_.find(agent); }
  std::size_t size() const { return table_.size(); }
  const AgentTable<Session>& table() const { return table_; }
  const Digest& digest() const { return digest_; }
  // Of the 16 children of a node that is no leaf. Costs nothing above 65,536 agents in a child, and
  // below that as much as there are sessions in the node.
  std::array<Digest, kTreeFanout> children(TreeNode node) const;
  // Calls `f(agent, session)` for those in the range, in the order of their ids.
  template <typename F>
  void for_each(AgentRange range, F&& f) const {
    auto it = range.first == 0 ? table_.begin() : table_.after(AgentId{range.first - 1});
    for (; it != table_.end(); ++it) {
      const auto [agent, session] = *it;
      if (static_cast<std::uint32_t>(agent) > range.last) return;
      f(agent, session);
    }
  }

  bool operator==(const OpenSessions& other) const { return table_ == other.table_; }

 private:
  // A walk through a large set would sum up all of it at each of the first depths.
  struct Part {
    Digest digest;
    std::size_t sessions = 0;
  };
  static constexpr unsigned kPartBits = 16;
  static std::uint32_t part_of(AgentId agent) {
    return static_cast<std::uint32_t>(agent) >> kPartBits;
  }
  void add(AgentId agent, const Session& session);
  void take_away(AgentId agent, const Session& session);

  AgentTable<Session> table_;
  Digest digest_;
  std::map<std::uint32_t, Part> parts_;  // those that have sessions
};

}  // namespace rollcall
