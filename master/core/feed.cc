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

std::optional<FeedKind> kind_of(const StandingRef& from, const StandingRef& to) {
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

void FeedNumbers::changed(const FeedChange& change, std::uint64_t& of_agent, Feed* told) {
  if (const auto kind = kind_of(change.from, change.to)) number(change, *kind, of_agent, told);
}

void FeedNumbers::moved(const FeedChange& change, std::uint64_t& of_agent, Feed* told) {
  if (moves_.add(change.agent, change.at)) number(change, FeedKind::contested, of_agent, told);
}

void FeedNumbers::number(const FeedChange& change, FeedKind kind, std::uint64_t& of_agent,
                         Feed* told) {
  ++last_;
  ++of_agent;
  if (told != nullptr) told->add(change, kind, of_agent);
}

void Feed::begins_after(std::uint64_t seq) {
  kept_.clear();
  first_ = seq + 1;
  shown_ = seq;
}

void Feed::add(const FeedChange& c, FeedKind kind, std::uint64_t agent_seq) {
  Kept kept{};
  kept.agent_seq = agent_seq;
  kept.at_us = c.at.us;
  kept.agent = c.agent;
  kept.kind = kind;
  kept.from_epoch = c.from.epoch;
  kept.to_epoch = c.to.epoch;
  kept.from_status = c.from.status;
  kept.to_status = c.to.status;
  kept.from_node = number_of(c.from.node);
  kept.to_node = number_of(c.to.node);
  kept.reason = kind == FeedKind::disconnect ? c.reason : Reason::none;
  kept.cause = c.cause;
  kept_.push_back(kept);
  if (kept_.size() <= capacity_) return;
  kept_.pop_front();
  ++first_;
}

std::vector<FeedEntry> Feed::after(std::uint64_t seq, std::size_t limit) const {
  std::vector<FeedEntry> out;
  for (std::uint64_t next = std::max(seq + 1, first_); next <= shown_ && out.size() < limit; ++next)
    out.push_back(entry_of(kept_[next - first_], next));
  return out;
}

std::uint32_t Feed::number_of(std::string_view node) {
  for (const std::uint32_t number : recent_) {
    if (number < names_.size() && names_[number] == node) return number;
  }
  auto it = numbers_.find(node);
  if (it == numbers_.end()) {
    it = numbers_.emplace(node, static_cast<std::uint32_t>(names_.size())).first;
    names_.emplace_back(node);
  }
  recent_ = {it->second, recent_[0]};
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
