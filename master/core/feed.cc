#include "master/core/feed.h"

#include <algorithm>
#include <utility>

#include "master/core/state.h"

namespace rollcall::master {

std::string_view to_string(FeedKind kind) {
  switch (kind) {
    case FeedKind::connect:
      return "connect";
    case FeedKind::disconnect:
      return "disconnect";
    case FeedKind::migrate:
      return "migrate";
    case FeedKind::unreachable:
      return "unreachable";
    case FeedKind::reachable:
      return "reachable";
    case FeedKind::contested:
      return "contested";
  }
  return "?";
}

std::optional<FeedKind> kind_of(const Standing& from, const Standing& to) {
  const bool was = from.status != AgentStatus::disconnected;
  const bool is = to.status != AgentStatus::disconnected;
  if (!is) return was ? std::optional(FeedKind::disconnect) : std::nullopt;
  if (!was) return FeedKind::connect;
  if (from.node != to.node) return FeedKind::migrate;
  const bool was_lost = from.status == AgentStatus::unreachable;
  const bool is_lost = to.status == AgentStatus::unreachable;
  if (was_lost == is_lost) return std::nullopt;
  return is_lost ? FeedKind::unreachable : FeedKind::reachable;
}

void FeedNumbers::changed(FeedEntry entry, std::vector<FeedEntry>* told) {
  if (const auto kind = kind_of(entry.from, entry.to)) number(std::move(entry), *kind, told);
}

void FeedNumbers::moved(FeedEntry entry, std::vector<FeedEntry>* told) {
  if (moves_.add(entry.agent, entry.at)) number(std::move(entry), FeedKind::contested, told);
}

void FeedNumbers::number(FeedEntry entry, FeedKind kind, std::vector<FeedEntry>* told) {
  entry.seq = ++last_;
  entry.agent_seq = ++of_agent_.edit(entry.agent);
  entry.kind = kind;
  if (kind != FeedKind::disconnect) entry.reason = Reason::none;
  if (told != nullptr) told->push_back(std::move(entry));
}

void FeedNumbers::forget(AgentId agent) {
  of_agent_.erase(agent);
  moves_.forget(agent);
}

std::uint64_t FeedNumbers::last_of(AgentId agent) const {
  const std::uint64_t* last = of_agent_.find(agent);
  return last == nullptr ? 0 : *last;
}

void Feed::begins_after(std::uint64_t seq) {
  kept_.clear();
  first_ = seq + 1;
  shown_ = seq;
}

void Feed::add(const std::vector<FeedEntry>& entries) {
  for (const FeedEntry& e : entries) {
    kept_.push_back({e.agent_seq, e.at.us, e.from.epoch, e.to.epoch, e.agent,
                     number_of(e.from.node), number_of(e.to.node), e.kind, e.from.status,
                     e.to.status, e.reason, e.cause});
    if (kept_.size() <= capacity_) continue;
    kept_.pop_front();
    ++first_;
  }
}

std::vector<FeedEntry> Feed::after(std::uint64_t seq, std::size_t limit) const {
  std::vector<FeedEntry> out;
  for (std::uint64_t next = std::max(seq + 1, first_); next <= shown_ && out.size() < limit; ++next)
    out.push_back(entry_of(kept_[next - first_], next));
  return out;
}

std::uint32_t Feed::number_of(const NodeName& node) {
  const auto [it, is_new] = numbers_.try_emplace(node, static_cast<std::uint32_t>(names_.size()));
  if (is_new) names_.push_back(node);
  return it->second;
}

FeedEntry Feed::entry_of(const Kept& k, std::uint64_t seq) const {
  return {seq,
          k.agent_seq,
          k.agent,
          k.kind,
          {k.at_us},
          {names_[k.from_node], k.from_epoch, k.from_status},
          {names_[k.to_node], k.to_epoch, k.to_status},
          k.reason,
          k.cause};
}

}  // namespace rollcall::master
