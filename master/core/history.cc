#include "master/core/history.h"

#include <algorithm>

namespace rollcall::master {

void History::add(const Decided& record, const std::vector<Outcome>& outcomes) {
  const std::uint32_t node = number_of(record.node);
  for (std::size_t i = 0; i < record.events.size(); ++i) {
    const Event& e = record.events[i];
    Kept kept{};
    kept.at_us = record.at.us;
    kept.cause = record.cause;
    kept.seq = record.cause == Cause::told ? record.first_seq + i : 0;
    kept.epoch = e.epoch;
    kept.change = e.change;
    kept.lo_us = e.evidence.lo.us;
    kept.hi_us = e.evidence.hi.us;
    kept.agent = e.agent;
    kept.node = node;
    kept.kind = e.kind;
    kept.reason = e.reason;
    kept.rule = record.rules[i];
    kept.met_epoch = outcomes[i].met.top.epoch;
    kept.met_change = outcomes[i].met.top.change;
    kept.met_node = number_of(outcomes[i].met.top.node);
    kept.met_phase = outcomes[i].met.phase;
    std::uint64_t& newest = newest_[e.agent];
    kept.previous = newest;
    newest = first_ + kept_.size();
    kept_.push_back(kept);
    if (kept_.size() > capacity_) forget_oldest();
  }
}

void History::forget_oldest() {
  const Kept& oldest = kept_.front();
  const auto newest = newest_.find(oldest.agent);
  if (newest->second == first_) newest_.erase(newest);
  // Others of the same frame may follow: complete is what comes after it.
  missing_before_ = std::max(missing_before_.value_or(MasterTime{}), {oldest.at_us + 1});
  kept_.pop_front();
  ++first_;
}

std::vector<History::Entry> History::of(AgentId agent, std::uint64_t before,
                                        std::size_t limit) const {
  std::vector<Entry> out;
  const auto newest = newest_.find(agent);
  if (newest == newest_.end()) return out;
  for (std::uint64_t number = newest->second; number >= first_ && out.size() < limit;) {
    const Kept& kept = kept_[number - first_];
    if (number < before) out.push_back(entry_of(kept, number));
    number = kept.previous;
  }
  return out;
}

History::Entry History::entry_of(const Kept& kept, std::uint64_t number) const {
  Entry e;
  e.number = number;
  e.at = {kept.at_us};
  e.node = names_[kept.node];
  e.seq = kept.seq;
  e.cause = kept.cause;
  e.kind = kept.kind;
  e.reason = kept.reason;
  e.version = {kept.epoch, names_[kept.node], kept.change};
  e.evidence = {{kept.lo_us}, {kept.hi_us}};
  e.rule = kept.rule;
  e.met = {{kept.met_epoch, names_[kept.met_node], kept.met_change}, kept.met_phase};
  return e;
}

std::uint32_t History::number_of(const NodeName& node) {
  const auto [it, is_new] = numbers_.try_emplace(node, static_cast<std::uint32_t>(names_.size()));
  if (is_new) names_.push_back(node);
  return it->second;
}

}  // namespace rollcall::master
