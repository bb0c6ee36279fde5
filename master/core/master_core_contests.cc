// Agents whose workers keep changing: how often the losers are told, and what people are shown.
#include <algorithm>
#include <utility>

#include "master/core/master_core.h"

namespace rollcall::master {
void MasterCore::owner_changed(AgentId agent, const NodeName& from, const Now& now, Output& out) {
  const AgentRecord& r = *state_.find(agent);
  move_rates_.moved(from, r.top.node, now.mono_us);
  const auto moves = state_.feed().moves().within(agent, kContestedWindowUs, time_.clock(now));
  if (moves < 2) return;  // most move once
  auto& claimants = claimants_[agent];
  claimants[from].claimed_mono_us = claimants[r.top.node].claimed_mono_us = now.mono_us;
  remember_ip(agent, r);
  if (moves != kContestedMoves) return;
  note(out, NoteLevel::warning,
       "contested: two workers keep claiming this agent with fresh evidence; a cloned agent key?",
       {{"agent", id_text(agent)}, {"node", r.top.node}, {"other", from}});
}

// Two agents that share a key differ at least in their addresses.
void MasterCore::remember_ip(AgentId agent, const AgentRecord& r) {
  const auto claimants = claimants_.find(agent);
  if (claimants == claimants_.end() || !r.known || !r.info) return;
  const auto it = claimants->second.find(r.known->stamp.node);
  const auto ip = r.info->find("ip");
  if (it != claimants->second.end() && ip != r.info->end()) it->second.agent_ip = ip->second;
}

// A contested agent's losers are told at most once a keepalive, or two clones would chase each
// other as fast as messages travel. More seldom would leave an agent that really moves that often
// on the wrong node (docs/decisions/0010-contested-agents.md).
bool MasterCore::may_tell(const NodeName& node, AgentId agent, const Now& now) {
  if (!contested(agent, now)) return true;
  auto& told = claimants_[agent][node].told_mono_us;
  if (!told || now.mono_us - *told >= config_.contested_tell_us) {
    told = now.mono_us;
    return true;
  }
  later_[{node, agent}] = *told + config_.contested_tell_us;
  return false;
}

void MasterCore::tell_later(const Now& now) {
  std::vector<std::pair<NodeName, AgentId>> due;
  for (const auto& [key, at] : later_) {
    if (at <= now.mono_us) due.push_back(key);
  }
  for (const auto& key : due) {
    later_.erase(key);
    tell_superseded(key.first, key.second, now);
  }
  if (now.mono_us - claimants_pruned_mono_us_ < config_.contested_tell_us) return;
  claimants_pruned_mono_us_ = now.mono_us;
  for (auto& [agent, claimants] : claimants_) {
    std::erase_if(claimants, [&](const auto& entry) {
      const Claimant& c = entry.second;
      return now.mono_us - std::max(c.claimed_mono_us, c.told_mono_us.value_or(0)) >
             kContestedWindowUs;
    });
  }
  std::erase_if(claimants_, [](const auto& entry) { return entry.second.empty(); });
}

std::vector<MasterCore::Contest> MasterCore::contests(std::size_t moves, AgentId after,
                                                      std::size_t limit, const Now& now) const {
  std::vector<Contest> found;
  const Moves& all = state_.feed().moves();
  const MasterTime at = time_.clock(now);
  for (auto it = all.agents().after(after); it != all.agents().end(); ++it) {
    const AgentId agent = (*it).first;
    if (!all.contested(agent, at) && all.within(agent, Moves::kKeptUs, at) < moves) continue;
    found.push_back(contest_of(agent, now));
    if (found.size() == limit) break;
  }
  return found;
}

MasterCore::Contest MasterCore::contest_of(AgentId agent, const Now& now) const {
  Contest c;
  c.agent = agent;
  c.contested = contested(agent, now);
  const AgentRecord* record = state_.find(agent);
  const Moves::Times* times = state_.feed().moves().agents().find(agent);
  if (record == nullptr || times == nullptr) return c;
  for (const std::int64_t at : *times) {
    if (at > time_.clock(now).us - Moves::kKeptUs) c.moves.push_back({at});
  }
  std::map<NodeName, Claim> claims;
  if (const auto it = claimants_.find(agent); it != claimants_.end()) {
    for (const auto& [node, claimant] : it->second) claims[node].agent_ip = claimant.agent_ip;
  }
  claims.try_emplace(record->top.node);
  for (const auto& contact : record->contacts) {
    if (!contact.node.empty()) claims[contact.node].contact = contact.hi;
  }
  for (auto& [node, claim] : claims) {
    claim.node = node;
    claim.on_top = record->has_session() && record->top.node == node;
    if (const ConnId conn = conn_of(node); conn != ConnId{})
      claim.address = conns_.at(conn).address;
    const auto log = state_.nodes().find(node);
    const auto* own = log == state_.nodes().end() ? nullptr : log->second.open.find(agent);
    if (own != nullptr) claim.open = own->epoch;
    c.claims.push_back(std::move(claim));
  }
  return c;
}

}  // namespace rollcall::master
