#include "sidecar/core/reconciler.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace rollcall::sidecar {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
// About 64 KiB; a few at a time, so that events do not wait long behind them.
constexpr std::size_t kChunkEntries = 4096;
static_assert(kChunkEntries <= kMaxChunk);
constexpr std::size_t kChunksAtOnce = 4;
// An inventory that the master does not acknowledge for so long is dropped.
constexpr std::int64_t kPatienceUs = 60 * kSecondUs;
// One that was cut off begins again within this time.
constexpr std::int64_t kSoonUs = 10 * kSecondUs;
// Whatever the master says.
constexpr std::int64_t kShortestUs = 10 * kSecondUs;
constexpr std::int64_t kLongestUs = 86'400 * kSecondUs;
constexpr std::int64_t kLongestRetryUs = 3'600 * kSecondUs;

std::vector<AgentRange> ranges_of(const std::vector<TreeNode>& leaves) {
  if (leaves.empty()) return {{0, std::numeric_limits<std::uint32_t>::max()}};
  std::vector<AgentRange> ranges;
  ranges.reserve(leaves.size());
  for (const TreeNode leaf : leaves) ranges.push_back(range_of(leaf));
  return ranges;
}

}  // namespace

// ---- the set -----------------------------------------------------------------------------------

void Reconciler::rebuild(Untaken untaken) {
  open_ = {};
  suspect_ = false;
  for (const auto& [agent, state] : tracker_.agents()) {
    if (!state.session || state.session->phase != Phase::open) continue;
    const ::rollcall::sidecar::Session& s = *state.session;
    if (s.epoch == kUnstamped) continue;
    if (untaken == Untaken::leave_out && state.accepted < s.epoch) continue;
    open_.set(agent, {s.epoch, s.change});
  }
}

Reconciler::Session Reconciler::take(const LocalEvent& event) {
  const Session* own = open_.find(event.agent);
  const Session before = own ? *own : Session{};
  open_.take(event.agent, event.kind, event.epoch, event.change);
  return before;
}

void Reconciler::put_back(AgentId agent, Session before) {
  if (before.epoch == kUnstamped) {
    open_.erase(agent);
  } else {
    open_.set(agent, before);
  }
}

// ---- when --------------------------------------------------------------------------------------

double Reconciler::share() {
  return std::uniform_real_distribution<double>(0, 1)(random_);
}

std::int64_t Reconciler::interval_us() const {
  return counters_.agreement == Agreement::differs ? inventory_differs_us_ : inventory_us_;
}

bool Reconciler::full_due(const Now& now) const {
  if (now.mono_us < not_before_us_) return false;
  if (full_wanted_) return true;
  const auto wait = static_cast<std::int64_t>(static_cast<double>(interval_us()) * interval_share_);
  return interval_began_us_ && now.mono_us - *interval_began_us_ >= wait;
}

void Reconciler::welcomed(const Welcome& m, const Now& now) {
  inventory_us_ = std::clamp(m.inventory_us, kShortestUs, kLongestUs);
  inventory_differs_us_ = std::clamp(m.inventory_differs_us, kShortestUs, kLongestUs);
  ttl_us_ = m.ttl_us;
  if (!interval_began_us_) {
    // Staggered: workers that come back together do not tell everything together.
    interval_began_us_ = now.mono_us;
    interval_share_ = share();
  }
  agreed(m.agreement, now);
}

void Reconciler::agreed(Agreement agreement, const Now& now) {
  if (agreement == Agreement::unknown) return;
  counters_.agreement = agreement;
  if (agreement == Agreement::equal) equal_mono_us_ = now.mono_us;
}

void Reconciler::give_up(std::int64_t again_us) {
  if (inventory_ && inventory_->full()) {
    full_wanted_ = true;
    not_before_us_ = std::max(not_before_us_, again_us);
  }
  inventory_.reset();
}

void Reconciler::lost(const Now& now) {
  digests_wanted_.clear();
  leaves_wanted_.clear();
  give_up(now.mono_us + static_cast<std::int64_t>(static_cast<double>(kSoonUs) * share()));
}

void Reconciler::want(const Want& m, const Now& now) {
  if (!m.digests_of.empty()) digests_wanted_ = m.digests_of;
  if (!m.leaves.empty()) leaves_wanted_ = m.leaves;
  if (m.inventory) {
    full_wanted_ = true;
    not_before_us_ = now.mono_us;
  }
  const bool alone = m.digests_of.empty() && m.leaves.empty() && m.infos.empty() && !m.inventory;
  if (!alone || m.retry_after_us <= 0) return;
  not_before_us_ = now.mono_us + std::clamp(m.retry_after_us, kSecondUs / 10, kLongestRetryUs);
  if (inventory_ && inventory_->full()) give_up(not_before_us_);
}

std::optional<std::string> Reconciler::acked(const InventoryAck& m, const Now& now) {
  if (!inventory_ || m.id != inventory_->id) return std::nullopt;  // of one that is over
  if (m.entries > inventory_->sent)
    return "INVENTORY_ACK of " + std::to_string(m.entries) + " entries, of which only " +
           std::to_string(inventory_->sent) + " were sent";
  inventory_->admitted = true;
  inventory_->acked = std::max(inventory_->acked, m.entries);
  inventory_->heard_mono_us = now.mono_us;
  return std::nullopt;
}

// ---- what ---------------------------------------------------------------------------------------

void Reconciler::pump(const Stream& stream, const Now& now, std::vector<Message>& send) {
  if (inventory_ && now.mono_us - inventory_->heard_mono_us > kPatienceUs)
    give_up(now.mono_us + inventory_differs_us_);
  if (inventory_ && inventory_->admitted) send_chunks(now, send);
  if (!stream.settled) return;
  if (!digests_wanted_.empty()) answer_digests(stream, send);
  if (inventory_) return;
  if (!leaves_wanted_.empty()) {
    begin(std::exchange(leaves_wanted_, {}), stream, now, send);
  } else if (full_due(now)) {
    full_wanted_ = false;
    begin({}, stream, now, send);
  }
}

// Each node once: together they cost no more than the whole set at each depth of the tree.
void Reconciler::answer_digests(const Stream& stream, std::vector<Message>& send) {
  std::vector<TreeNode> nodes = std::exchange(digests_wanted_, {});
  std::ranges::sort(nodes);
  const auto doubled = std::ranges::unique(nodes);
  nodes.erase(doubled.begin(), doubled.end());
  Digests answer;
  answer.seq = stream.last_seq;
  for (const TreeNode node : nodes) answer.entries.push_back({node, open_.children(node)});
  ++counters_.digests_sent;
  send.emplace_back(std::move(answer));
}

void Reconciler::begin(std::vector<TreeNode> leaves, const Stream& stream, const Now& now,
                       std::vector<Message>& send) {
  Inventory i;
  i.id = std::max<std::uint64_t>(1, random_());
  i.cut = open_;
  i.ranges = ranges_of(leaves);
  i.leaves = std::move(leaves);
  i.heard_mono_us = now.mono_us;
  told_through_ = stream.last_seq;
  send.emplace_back(InventoryBegin{i.id, stream.last_seq, ttl_us_, i.leaves});
  inventory_ = std::move(i);
}

void Reconciler::send_chunks(const Now& now, std::vector<Message>& send) {
  for (std::size_t n = 0; n < kChunksAtOnce; ++n) {
    if (inventory_->sent - inventory_->acked + kChunkEntries > kInventoryWindow) return;
    InventoryChunk chunk = next_chunk(now);
    if (!chunk.entries.empty()) send.emplace_back(std::move(chunk));
    if (inventory_->range == inventory_->ranges.size()) return send_end(now, send);
  }
}

InventoryChunk Reconciler::next_chunk(const Now& now) {
  Inventory& i = *inventory_;
  const auto& table = i.cut.table();
  InventoryChunk chunk;
  chunk.id = i.id;
  for (; i.range < i.ranges.size(); ++i.range) {
    AgentRange& range = i.ranges[i.range];
    auto it = range.first == 0 ? table.begin() : table.after(AgentId{range.first - 1});
    for (; it != table.end(); ++it) {
      const auto [agent, session] = *it;
      if (static_cast<std::uint32_t>(agent) > range.last) break;
      if (chunk.entries.size() == kChunkEntries) {
        range.first = static_cast<std::uint32_t>(agent);
        return chunk;
      }
      chunk.entries.push_back(
          {agent, session.epoch, session.change, evidence_of(agent, session, now)});
      i.sum += digest_of(agent, session.epoch, session.change);
      ++i.sent;
    }
  }
  return chunk;
}

Evidence Reconciler::evidence_of(AgentId agent, const Session& session, const Now& now) {
  const auto it = tracker_.agents().find(agent);
  const bool known = it != tracker_.agents().end() && it->second.session;
  if (!known || it->second.session->epoch != session.epoch ||
      it->second.session->phase != Phase::open) {
    // It ended since the cut; or else the set is wrong, which shows when all is told.
    suspect_ = true;
    return {time_of(session.epoch), time_of(session.epoch)};
  }
  return sent_evidence(it->second.session->evidence, timeline_, now);
}

void Reconciler::send_end(const Now& now, std::vector<Message>& send) {
  const Inventory& i = *inventory_;
  send.emplace_back(InventoryEnd{i.id, i.sent, i.sum});
  if (i.full()) {
    ++counters_.full_inventories;
    counters_.inventory_entries = i.sent;
    full_mono_us_ = now.mono_us;
    interval_began_us_ = now.mono_us;
    interval_share_ = 1 - share() / 10;
  } else {
    ++counters_.partial_inventories;
  }
  inventory_.reset();
}

Reconciler::Status Reconciler::status(const Now& now) const {
  Status s = counters_;
  if (equal_mono_us_) s.equal_ago_us = now.mono_us - *equal_mono_us_;
  if (full_mono_us_) s.inventory_ago_us = now.mono_us - *full_mono_us_;
  s.inventory_under_way = inventory_.has_value();
  return s;
}

}  // namespace rollcall::sidecar
