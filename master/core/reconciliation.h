#pragma once
// Finds out where the master and one worker differ, and what follows from it (docs/protocol.md,
// section 14): the walk down the tree of digests, and the inventory that is compared while it comes
// in. Pure; loop thread only. The repairs themselves are decided and logged by MasterCore.
#include <cstdint>
#include <expected>
#include <optional>
#include <unordered_set>
#include <vector>

#include "master/core/state.h"
#include "protocol/codec.h"
#include "protocol/digest.h"
#include "protocol/digest_tree.h"
#include "protocol/error.h"
#include "protocol/messages.h"

namespace rollcall::master {

// One walk down the tree. Each step compares at its own moment.
class Walk {
 public:
  // Nodes that may wait to be asked about; with more of them an inventory costs less.
  static constexpr std::size_t kMaxWaiting = 16 * kMaxTreeNodes;

  explicit Walk(std::int64_t mono_us) : asked_at_mono_us_(mono_us) {}

  Want begin();
  // What to ask next; nothing while answers are missing. An empty WANT: no difference is left.
  std::optional<Want> answered(const Digests& m, const OpenSessions& own, std::int64_t mono_us);
  // When the last question was asked.
  std::int64_t asked_at_mono_us() const { return asked_at_mono_us_; }

 private:
  Want next_question();

  std::vector<TreeNode> asked_;    // ascending
  std::vector<TreeNode> waiting_;  // that differ, to be asked about
  std::vector<TreeNode> leaves_;   // that differ
  std::int64_t asked_at_mono_us_;
};

// Where an inventory and the master's set differ, and what else it shows. In the order of agents.
struct Differences {
  // So much is repaired after one inventory, in one turn of the loop. The rest differs still.
  static constexpr std::size_t kMaxRepairs = 65'536;

  struct Own {
    AgentId agent{};
    OpenSessions::Session session;  // in the master's set
  };
  std::vector<InventoryEntry> missed_open;
  std::vector<InventoryEntry> missed_change;
  std::vector<Own> absent;
  std::vector<Own> went_back;
  // Equal, and: another session stands, it is in doubt, fields of its info are missing.
  std::vector<AgentId> not_standing;
  std::vector<InventoryEntry> in_doubt;
  std::vector<AgentId> info_missing;
  bool more = false;  // to be repaired than this

  // Whether there is room for another repair.
  bool room();
};

// An inventory that is coming in. Of an agent that no event came of since BEGIN both sides have
// what they had at the cut, so each chunk is compared when it comes: only differences are kept.
class IncomingInventory {
 public:
  IncomingInventory(const InventoryBegin& m, NodeName node, std::uint64_t max_entries,
                    std::int64_t mono_us);
  // It may hold very many differences.
  IncomingInventory(IncomingInventory&&) = default;
  IncomingInventory& operator=(IncomingInventory&&) = default;

  bool full() const { return full_; }
  std::uint64_t entries() const { return count_; }
  std::int64_t began_mono_us() const { return began_mono_us_; }
  std::int64_t progress_mono_us() const { return progress_mono_us_; }
  void made_progress(std::int64_t mono_us) { progress_mono_us_ = mono_us; }

  // The error says how it contradicts itself.
  std::expected<void, Error> take(const InventoryChunk& m, const State& state, MasterTime now,
                                  std::int64_t mono_us);
  // An event of this agent came, or a repair was made.
  void touch(AgentId agent) { touched_.insert(agent); }
  std::expected<Differences, Error> end(const InventoryEnd& m, const State& state, MasterTime now);

 private:
  std::expected<void, Error> check(const InventoryChunk& m) const;
  std::expected<void, Error> compare(const std::vector<InventoryEntry>& entries, std::uint64_t upto,
                                     const State& state, MasterTime now);
  void compare(const InventoryEntry& entry, const OpenSessions::Session* own, const State& state,
               MasterTime now);
  void equal(const InventoryEntry& entry, const State& state);

  NodeName node_;
  bool full_;
  std::vector<AgentRange> scope_;  // ascending
  std::size_t range_ = 0;          // of the scope, that is being compared
  std::uint64_t next_ = 1;         // the first agent that was not compared
  std::uint64_t max_entries_;
  std::uint64_t count_ = 0;
  Digest sum_;
  std::int64_t began_mono_us_;
  std::int64_t progress_mono_us_;
  Differences found_;
  std::unordered_set<AgentId> touched_;
};

}  // namespace rollcall::master
