#pragma once
// The newest decisions of all agents, kept in memory so that one agent's can be told at once: the
// log has all of them, but reading it takes as long as it is (docs/decisions/0012). Loop thread.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "master/core/state.h"
#include "protocol/event.h"

namespace rollcall::master {

class History {
 public:
  // Keeps at most `capacity` decisions.
  explicit History(std::size_t capacity = 250'000) : capacity_(capacity) {}

  struct Entry {
    std::uint64_t number = 0;  // counts up, over all agents, from the first that was ever kept
    MasterTime at;             // when it was decided
    NodeName node;             // who said it, under which number of its stream
    std::uint64_t seq = 0;
    Cause cause = Cause::told;  // with another one the master found it out: no seq
    EventKind kind = EventKind::opened;
    Reason reason = Reason::none;
    Version version;  // what the event is about
    Evidence evidence;
    Rule rule = Rule::first;
    Met met;  // the agent's newest session until then
  };

  // What `record` decided; `outcomes` is what State::apply() gave for it. Records come in the order
  // of the log.
  void add(const Decided& record, const std::vector<Outcome>& outcomes);

  // Decisions before this moment may be missing, those from it on are all there. Nothing: none is
  // missing, and none ever was.
  void begins_at(MasterTime at) { missing_before_ = at; }
  std::optional<MasterTime> missing_before() const { return missing_before_; }

  // An agent's decisions with a number below `before`, the newest first, at most `limit`.
  std::vector<Entry> of(AgentId agent, std::uint64_t before, std::size_t limit) const;

  std::size_t size() const { return kept_.size(); }

 private:
  // Small, since there are many: nodes by number, and the version's node is the one that said it.
  struct Kept {
    std::int64_t at_us;
    std::uint64_t seq;
    std::uint64_t previous;  // number of the agent's decision before this one; 0: none
    Epoch epoch;
    Epoch met_epoch;
    std::int64_t lo_us, hi_us;
    AgentId agent;
    std::uint32_t change, met_change;
    std::uint32_t node, met_node;
    EventKind kind;
    Reason reason;
    Rule rule;
    Phase met_phase;
    Cause cause;
  };

  std::uint32_t number_of(const NodeName& node);
  void forget_oldest();
  Entry entry_of(const Kept& kept, std::uint64_t number) const;

  std::size_t capacity_;
  std::deque<Kept> kept_;
  std::uint64_t first_ = 1;  // number of kept_.front()
  std::unordered_map<AgentId, std::uint64_t> newest_;
  std::vector<NodeName> names_;
  std::map<NodeName, std::uint32_t> numbers_;
  std::optional<MasterTime> missing_before_;
};

}  // namespace rollcall::master
