#include "master/core/reconciliation.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace rollcall::master {
namespace {

constexpr std::uint64_t kBehindLastAgent = std::uint64_t{1} << 32;

template <typename T, typename AgentOf>
void leave_out(std::vector<T>& from, const std::unordered_set<AgentId>& agents, AgentOf agent_of) {
  std::erase_if(from, [&](const T& t) { return agents.contains(agent_of(t)); });
}

}  // namespace

// ---- the walk --------------------------------------------------------------------------------

Want Walk::begin() {
  waiting_ = {kTreeRoot};
  return next_question();
}

Want Walk::next_question() {
  Want want;
  if (waiting_.size() > kMaxWaiting || leaves_.size() > kMaxLeaves) {
    want.inventory = true;
  } else if (!waiting_.empty()) {
    const std::size_t n = std::min(waiting_.size(), kMaxTreeNodes);
    asked_.assign(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(n));
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(n));
    std::ranges::sort(asked_);
    want.digests_of = asked_;
  } else {
    std::ranges::sort(leaves_);
    want.leaves = leaves_;
  }
  return want;
}

std::optional<Want> Walk::answered(const Digests& m, const OpenSessions& own,
                                   std::int64_t mono_us) {
  if (asked_.empty()) return std::nullopt;  // to nothing that was asked
  for (const Digests::Entry& theirs : m.entries) {
    const auto asked = std::ranges::lower_bound(asked_, theirs.node);
    if (asked == asked_.end() || *asked != theirs.node) continue;  // of a walk that was given up
    asked_.erase(asked);
    const std::array<Digest, kTreeFanout> ours = own.children(theirs.node);
    for (unsigned i = 0; i < kTreeFanout; ++i) {
      if (ours[i] == theirs.children[i]) continue;
      const TreeNode child = child_of(theirs.node, i);
      (is_leaf(child) ? leaves_ : waiting_).push_back(child);
    }
  }
  if (!asked_.empty()) return std::nullopt;
  asked_at_mono_us_ = mono_us;
  return next_question();
}

// ---- the inventory ---------------------------------------------------------------------------

bool Differences::room() {
  const std::size_t repairs =
      missed_open.size() + missed_change.size() + absent.size() + went_back.size();
  more |= repairs >= kMaxRepairs;
  return repairs < kMaxRepairs;
}

IncomingInventory::IncomingInventory(const InventoryBegin& m, NodeName node,
                                     std::uint64_t max_entries, std::int64_t mono_us)
    : node_(std::move(node)),
      full_(m.leaves.empty()),
      max_entries_(max_entries),
      began_mono_us_(mono_us),
      progress_mono_us_(mono_us) {
  if (full_) scope_.push_back(range_of(kTreeRoot));
  for (const TreeNode leaf : m.leaves) scope_.push_back(range_of(leaf));
}

std::expected<void, Error> IncomingInventory::check(const InventoryChunk& m) const {
  if (count_ + m.entries.size() > max_entries_)
    return std::unexpected(
        Error{"more than " + std::to_string(max_entries_) +
              " entries; raise [limits] inventory_entries if there are so many agents"});
  std::uint64_t least = next_;
  for (const InventoryEntry& e : m.entries) {
    if (std::to_underlying(e.agent) < least)
      return std::unexpected(
          Error{"agent " + id_text(e.agent) + " is out of order, or comes twice"});
    if (e.change >= kFirstMasterChange)
      return std::unexpected(Error{"agent " + id_text(e.agent) + ": change " +
                                   std::to_string(e.change) + " is reserved for the master"});
    least = std::uint64_t{std::to_underlying(e.agent)} + 1;
  }
  return {};
}

std::expected<void, Error> IncomingInventory::take(const InventoryChunk& m, const State& state,
                                                   MasterTime now, std::int64_t mono_us) {
  if (auto ok = check(m); !ok) return ok;
  if (m.entries.empty()) return {};
  progress_mono_us_ = mono_us;
  count_ += m.entries.size();
  for (const InventoryEntry& e : m.entries) sum_ += digest_of(e.agent, e.epoch, e.change);
  return compare(m.entries, std::uint64_t{std::to_underlying(m.entries.back().agent)} + 1, state,
                 now);
}

// Everything below `upto` that was not compared: `entries` are all that the worker has there.
std::expected<void, Error> IncomingInventory::compare(const std::vector<InventoryEntry>& entries,
                                                      std::uint64_t upto, const State& state,
                                                      MasterTime now) {
  const OpenSessions& own = state.nodes().at(node_).open;
  auto entry = entries.begin();
  for (; range_ < scope_.size() && next_ < upto; ++range_) {
    const AgentRange range = scope_[range_];
    if (entry != entries.end() && std::to_underlying(entry->agent) < range.first) break;
    const auto first = static_cast<std::uint32_t>(std::max<std::uint64_t>(next_, range.first));
    const auto last = static_cast<std::uint32_t>(std::min<std::uint64_t>(upto - 1, range.last));
    if (first <= last) {
      own.for_each({first, last}, [&](AgentId agent, const OpenSessions::Session& session) {
        for (; entry != entries.end() && entry->agent < agent; ++entry)
          compare(*entry, nullptr, state, now);
        if (entry != entries.end() && entry->agent == agent) {
          compare(*entry++, &session, state, now);
        } else if (found_.room()) {
          found_.absent.push_back({agent, session});
        }
      });
      for (; entry != entries.end() && std::to_underlying(entry->agent) <= last; ++entry)
        compare(*entry, nullptr, state, now);
    }
    if (range.last >= upto) break;  // goes on with the next chunk
  }
  next_ = upto;
  if (entry == entries.end()) return {};
  return std::unexpected(Error{"agent " + id_text(entry->agent) + " is in none of its leaves"});
}

void IncomingInventory::compare(const InventoryEntry& entry, const OpenSessions::Session* own,
                                const State& state, MasterTime now) {
  // As an event with it: nothing of it counts, and its worker hears of that by the event's ACK.
  if (entry.epoch > epoch_at({now.us + kFutureToleranceUs})) return;
  const OpenSessions::Session theirs{entry.epoch, entry.change};
  if (own && *own == theirs) return equal(entry, state);
  if (!found_.room()) return;
  if (!own) {
    found_.missed_open.push_back(entry);
  } else if (*own < theirs) {
    found_.missed_change.push_back(entry);
  } else {
    found_.went_back.push_back({entry.agent, *own});
  }
}

void IncomingInventory::equal(const InventoryEntry& entry, const State& state) {
  const AgentRecord* r = state.find(entry.agent);
  if (!r) return;
  if (!r->is_open() || r->top.epoch != entry.epoch || r->top.node != node_) {
    found_.not_standing.push_back(entry.agent);
  } else {
    if (r->doubt()) found_.in_doubt.push_back(entry);
    if (r->info_missing()) found_.info_missing.push_back(entry.agent);
  }
}

std::expected<Differences, Error> IncomingInventory::end(const InventoryEnd& m, const State& state,
                                                         MasterTime now) {
  if (m.count != count_)
    return std::unexpected(Error{"it ends with a count of " + std::to_string(m.count) + ", but " +
                                 std::to_string(count_) + " entries came"});
  if (m.digest != sum_)
    return std::unexpected(Error{"its digest is not that of the entries that came"});
  if (auto ok = compare({}, kBehindLastAgent, state, now); !ok) return std::unexpected(ok.error());
  const auto agent_of = [](const auto& x) { return x.agent; };
  const auto itself = [](AgentId agent) { return agent; };
  leave_out(found_.missed_open, touched_, agent_of);
  leave_out(found_.missed_change, touched_, agent_of);
  leave_out(found_.absent, touched_, agent_of);
  leave_out(found_.went_back, touched_, agent_of);
  leave_out(found_.not_standing, touched_, itself);
  leave_out(found_.in_doubt, touched_, agent_of);
  leave_out(found_.info_missing, touched_, itself);
  return std::move(found_);
}

}  // namespace rollcall::master
