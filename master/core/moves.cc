#include "master/core/moves.h"

#include <algorithm>

namespace rollcall::master {
namespace {

std::size_t count_since(const Moves::Times& times, std::int64_t from_us) {
  return static_cast<std::size_t>(
      std::ranges::count_if(times, [&](std::int64_t at) { return at > from_us; }));
}

}  // namespace

bool Moves::add(AgentId agent, MasterTime at) {
  const bool was = contested(agent, at);
  Times& times = agents_.edit(agent);
  times.push_back(at.us);
  if (times.size() > kKept) times.erase(times.begin());
  return !was && contested(agent, at);
}

bool Moves::contested(AgentId agent, MasterTime at) const {
  return within(agent, kContestedWindowUs, at) >= kContestedMoves;
}

std::size_t Moves::within(AgentId agent, std::int64_t window_us, MasterTime at) const {
  const Times* times = agents_.find(agent);
  return times == nullptr ? 0 : count_since(*times, at.us - window_us);
}

void Moves::tidy(MasterTime at, std::size_t agents) {
  std::vector<AgentId> old;
  auto it = agents_.after(tidied_);
  for (std::size_t i = 0; i < agents && it != agents_.end(); ++i, ++it) {
    const auto [agent, times] = *it;
    tidied_ = agent;
    if (times.back() <= at.us - kKeptUs) old.push_back(agent);
  }
  if (it == agents_.end()) tidied_ = AgentId{};
  for (const AgentId agent : old) agents_.erase(agent);
}

}  // namespace rollcall::master
