// Leases, and what an operator may say of them.
#include <algorithm>

#include "master/core/master_core.h"

namespace rollcall::master {
namespace {

constexpr std::int64_t kHeartbeatForEachNodeUs = 100'000;
constexpr std::int64_t kLookForRemovedUs = 60'000'000;
constexpr std::size_t kForgottenAtOnce = 10'000;
constexpr std::int64_t kLongestFreezeUs = 30 * 86'400'000'000;
constexpr std::int64_t kLongestAwayUs = 86'400'000'000;

Error not_known(const NodeName& node) {
  return Error{"node '" + node + "' is not known here; the nodes that are stand under /nodes"};
}

NoteLevel level_of(LeaseStatus status) {
  return status == LeaseStatus::valid ? NoteLevel::info : NoteLevel::warning;
}

std::string text_of(const LeaseChanged& change) {
  switch (change.status) {
    case LeaseStatus::valid:
      return "a worker's lease runs again: its agents are as they were";
    case LeaseStatus::lapsed:
      return change.cause == LeaseCause::unconfirmed
                 ? "a worker's sessions were not confirmed for three TTLs: its agents are "
                   "unreachable"
                 : "nothing was heard of a worker for a TTL: its agents are unreachable";
    case LeaseStatus::held:
      return "too many workers would expire at once, so perhaps this master is cut off: their "
             "agents stay unreachable until they come back or an operator confirms";
    case LeaseStatus::expired:
      return "a worker's lease expired: its agents count as disconnected";
  }
  return "?";
}

}  // namespace

void MasterCore::take_times(const Config& config) {
  config_.allow = config.allow;
  config_.heartbeat_us = config.heartbeat_us;
  config_.ttl_us = config.ttl_us;
  config_.grace_us = config.grace_us;
  config_.inventory_us = config.inventory_us;
  config_.inventory_differs_us = config.inventory_differs_us;
  config_.removed_retention_us = config.removed_retention_us;
}

std::int64_t MasterCore::heartbeat_us() const {
  return std::max(config_.heartbeat_us,
                  kHeartbeatForEachNodeUs * static_cast<std::int64_t>(state_.nodes().size()));
}

// For heartbeats that far apart.
std::int64_t MasterCore::ttl_of(std::int64_t heartbeat_us) const {
  if (heartbeat_us == config_.heartbeat_us) return config_.ttl_us;
  const double scale =
      static_cast<double>(heartbeat_us) / static_cast<double>(config_.heartbeat_us);
  return static_cast<std::int64_t>(static_cast<double>(config_.ttl_us) * scale);
}

Leases::Times MasterCore::lease_times() const {
  return {ttl_of(heartbeat_us()), config_.grace_us};
}

void MasterCore::log_lease(std::optional<LeaseChanged> change, const Now& now, Output& out) {
  if (!change) return;
  change->at = time_.tell(now);
  ++counters_.leases[change->status];
  note(out, level_of(change->status), text_of(*change),
       {{"node", change->node},
        {"agents", std::to_string(state_.nodes().at(change->node).on_top)},
        {"cause", std::string(to_string(change->cause))}});
  log(*std::move(change));
}

void MasterCore::tick_leases(const Now& now, Output& out) {
  if (!ready()) return;
  end_freezes(now, out);
  for (LeaseChanged& change : leases_.tick(state_, lease_times(), time_.tell(now), now))
    log_lease(std::move(change), now, out);
  give_up_offers(now, out);
}

// A worker that can be heard says itself what became of its offers, and is waited for.
void MasterCore::give_up_offers(const Now& now, Output& out) {
  const MasterTime at = time_.tell(now);
  for (const auto& [name, node] : state_.nodes()) {
    if (node.lease.status == LeaseStatus::valid) continue;
    const auto first = node.offers.until.upper_bound(node.offers.over);
    if (first == node.offers.until.end() || first->first > at) continue;
    const std::size_t before = node.offers.given_up();
    log(OffersExpired{name, at, at});
    note(out, NoteLevel::warning,
         "offers of a worker that cannot be heard are over: these agents count as disconnected",
         {{"node", name}, {"agents", std::to_string(node.offers.given_up() - before)}});
  }
}

// It is closed here, so that the next connection need not wait for the end of this one.
void MasterCore::on(ConnId id, Conn& conn, const Bye& m, const Now& now, Output& out) {
  const std::int64_t back_within_us = std::min(m.back_within_us, kLongestAwayUs);
  const MasterTime at = time_.tell(now);
  log(NodeLeft{conn.node, m.reason, {at.us + back_within_us}, at});
  leases_.away(conn.node, back_within_us, now);
  note(out, NoteLevel::info, "a worker stops on purpose; its agents stay as they are meanwhile",
       {{"node", conn.node},
        {"reason", std::string(to_string(m.reason))},
        {"back_within_s", std::to_string(back_within_us / 1'000'000)}});
  close(id, "the worker stops", out);
}

void MasterCore::end_freezes(const Now& now, Output& out) {
  const MasterTime at = time_.tell(now);
  for (const auto& [node, until] : std::map(state_.frozen())) {
    if (until > at) continue;
    note(out, NoteLevel::info, "a freeze of expiry ended", {{"node", node.empty() ? "all" : node}});
    log(ExpiryFrozen{node, {}, at});
  }
}

Output MasterCore::confirm_expiry(const Now& now) {
  Output out;
  for (LeaseChanged& change : leases_.confirm_expiry(state_))
    log_lease(std::move(change), now, out);
  return finish(now, std::move(out));
}

std::expected<Output, Error> MasterCore::freeze(std::optional<NodeName> node,
                                                std::int64_t duration_us, const Now& now) {
  if (node && !state_.nodes().contains(*node)) return std::unexpected(not_known(*node));
  if (duration_us <= 0 || duration_us > kLongestFreezeUs)
    return std::unexpected(Error{"a freeze lasts longer than nothing and at most 30 days"});
  Output out;
  const MasterTime at = time_.tell(now);
  note(out, NoteLevel::warning, "expiry is frozen by an operator",
       {{"node", node.value_or("all")}, {"seconds", std::to_string(duration_us / 1'000'000)}});
  log(ExpiryFrozen{node.value_or(""), {at.us + duration_us}, at});
  return finish(now, std::move(out));
}

std::expected<Output, Error> MasterCore::unfreeze(std::optional<NodeName> node, const Now& now) {
  const NodeName name = node.value_or("");
  if (!state_.frozen().contains(name))
    return std::unexpected(Error{node ? "expiry of node '" + name + "' is not frozen"
                                      : std::string("expiry is not frozen for all nodes")});
  Output out;
  note(out, NoteLevel::info, "a freeze of expiry was ended by an operator",
       {{"node", node.value_or("all")}});
  log(ExpiryFrozen{name, {}, time_.tell(now)});
  return finish(now, std::move(out));
}

std::expected<Output, Error> MasterCore::forget_node(const NodeName& node, const Now& now) {
  const auto it = state_.nodes().find(node);
  if (it == state_.nodes().end()) return std::unexpected(not_known(node));
  if (it->second.lease.status == LeaseStatus::valid || conn_of(node) != ConnId{})
    return std::unexpected(Error{"the lease of node '" + node +
                                 "' runs, so it is alive; stop its sidecar and wait for a TTL"});
  Output out;
  std::vector<Event> closes;
  for (const auto& [agent, session] : it->second.open.table())
    closes.push_back(master_close(agent, session.epoch, Reason::node_forgotten));
  note(out, NoteLevel::warning, "a worker is forgotten by an operator",
       {{"node", node}, {"sessions", std::to_string(closes.size())}});
  int notes = 0;
  repair(node, Cause::forgotten, std::move(closes), notes, now, out);
  log(NodeForgotten{node, time_.tell(now)});
  move_rates_.forget(node);
  leases_.forget(node);
  std::erase_if(later_, [&](const auto& held) { return held.first.first == node; });
  return finish(now, std::move(out));
}

// Agents that were removed long ago leave the table, unless some worker still has them open.
void MasterCore::forget_removed(const Now& now, Output& out) {
  if (!ready() || now.mono_us - removed_looked_mono_us_ < kLookForRemovedUs) return;
  removed_looked_mono_us_ = now.mono_us;
  AgentsForgotten gone;
  gone.at = time_.tell(now);
  for (const auto& [agent, since] : state_.removed()) {
    if (gone.at.us - since.us < config_.removed_retention_us) continue;
    if (std::ranges::any_of(state_.nodes(),
                            [&](const auto& n) { return n.second.open.find(agent) != nullptr; }))
      continue;
    gone.agents.push_back(agent);
    if (gone.agents.size() == kForgottenAtOnce) break;
  }
  if (gone.agents.empty()) return;
  note(out, NoteLevel::info, "agents that were removed leave the table",
       {{"agents", std::to_string(gone.agents.size())}});
  log(std::move(gone));
}

}  // namespace rollcall::master
