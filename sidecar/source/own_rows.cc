#include "sidecar/source/own_rows.h"

#include <algorithm>
#include <utility>

namespace rollcall::sidecar {
namespace {

// Counted since then; what is counted anew was all counted since.
bool moved(const Counts& before, const Counts& now, std::uint64_t Counts::*what) {
  return now.since != before.since ? now.*what > 0 : now.*what > before.*what;
}

bool spoke(const Counts& before, const Counts& now) {
  return moved(before, now, &Counts::startup) || moved(before, now, &Counts::keepalive);
}

constexpr std::uint8_t kShutdown = 3;       // Wazuh's status_code
constexpr std::uint8_t kRemotedStarts = 5;  // written by remoted, and never synced

}  // namespace

void OwnRows::remember(std::span<const Row> rows) {
  for (Row row : rows) {
    row.visits = 0;  // counted since the start of a process
    known_.insert_or_assign(row.agent, Known(row));
    uncounted_.insert(row.agent);
  }
}

void OwnRows::given_up(AgentId agent) {
  const auto it = known_.find(agent);
  if (it == known_.end()) return;
  Known& k = it->second;
  k.settled.status = k.believed.status = RowStatus::disconnected;
  k.settled.code = k.believed.code = 0;
  count_anew(agent, k);
  if (!in_doubt(k)) return;
  doubted_.insert(agent);
  k.answered = false;
  k.first_s = k.raw.keepalive_s;
}

// A change that somebody else may have made.
bool OwnRows::in_doubt(const Known& k) {
  if (k.raw.present() != k.settled.present()) return true;
  return !k.raw.present() && k.raw.keepalive_s != k.settled.keepalive_s;  // came and went
}

// Whether the table says another thing than before.
bool OwnRows::see(Known& k, const Row& row) {
  if (k.raw == row) return false;
  const bool was_doubted = in_doubt(k);
  k.raw = row;
  k.answered = false;
  if (!in_doubt(k)) {
    if (was_doubted) ++refused_;
  } else if (!was_doubted) {
    k.silent_us = 0;
    k.first_s = row.keepalive_s;
  }
  k.changed_at_look = look_ + 1;
  return true;
}

std::vector<AgentId> OwnRows::question(const Found& found) {
  for (const Row& row : found.rows) {
    const auto [it, added] = known_.try_emplace(row.agent, row);
    if (added) uncounted_.insert(row.agent);
    hidden_.erase(row.agent);
    Known& k = it->second;
    if (!see(k, row)) continue;
    if (in_doubt(k)) {
      doubted_.insert(row.agent);
      continue;
    }
    const bool begins_anew = doubted_.contains(row.agent) || row.status == RowStatus::pending;
    believe(row.agent, k);
    if (begins_anew) count_anew(row.agent, k);
  }
  std::set<AgentId> asked;
  for (const AgentId agent : doubted_) {
    if (asked.size() == kMaxAsked) break;
    if (!known_.at(agent).answered) asked.insert(agent);
  }
  for (const AgentId agent : uncounted_) {
    if (asked.size() >= kMaxAsides) break;
    asked.insert(agent);
  }
  for (const AgentId agent : hidden_) {
    if (asked.size() >= kMaxAsides) break;
    if (look_ < known_.at(agent).hidden_until_look) asked.insert(agent);
  }
  return {asked.begin(), asked.end()};
}

void OwnRows::believe(AgentId agent, Known& k) {
  k.believed = k.settled = k.raw;
  doubted_.erase(agent);
}

// The row's status only: the keepalive that was written with it is no evidence.
void OwnRows::believe_without_word(AgentId agent, Known& k) {
  const std::int64_t spoke_s = k.believed.keepalive_s;
  believe(agent, k);
  k.believed.keepalive_s = spoke_s;
}

// What was counted before says nothing of what comes.
void OwnRows::count_anew(AgentId agent, Known& k) {
  k.counts.reset();
  uncounted_.insert(agent);
}

void OwnRows::decide(AgentId agent, Known& k, const std::optional<Counts>& counted, bool answers,
                     std::int64_t keepalive_us) {
  if (!k.raw.present() && k.raw.code == kRemotedStarts) {
    believe_without_word(agent, k);
    k.counts = Counts{};
    uncounted_.erase(agent);
    return;
  }
  const bool leaves = k.settled.present() && !k.raw.present();
  if (counted && k.counts &&
      (leaves ? moved(*k.counts, *counted, &Counts::shutdown) : spoke(*k.counts, *counted)))
    return believe(agent, k);
  if (leaves) {
    // One look proves no more than one interval's silence.
    if (k.changed_at_look != look_) k.silent_us += std::min(passed_us_, keepalive_us);
    if (k.silent_us < keepalive_us * 5 / 2) return;
    believe_without_word(agent, k);
    count_anew(agent, k);
  } else if (!answers && k.raw.present() && k.raw.keepalive_s > k.first_s) {
    believe(agent, k);
    count_anew(agent, k);
  }
}

std::vector<AgentId> OwnRows::to_watch() {
  std::vector<AgentId> out;
  auto it = hidden_.upper_bound(watched_through_);
  while (out.size() < std::min(hidden_.size(), kMaxWatched)) {
    if (it == hidden_.end()) it = hidden_.begin();
    out.push_back(*it++);
  }
  if (!out.empty()) watched_through_ = out.back();
  std::ranges::sort(out);
  return out;
}

// What it says is written into a row that is not looked at.
void OwnRows::follow_hidden(Known& k, const Counts& now, std::int64_t table_s) {
  if (!k.counts || k.counted_at_look + 1 != look_) return;  // when it spoke is not known
  if (moved(*k.counts, now, &Counts::shutdown)) {
    k.believed.status = RowStatus::disconnected;
    k.believed.code = kShutdown;
  } else if (spoke(*k.counts, now)) {
    k.believed.status = RowStatus::active;
    k.believed.code = 0;
    k.believed.keepalive_s = std::max(k.believed.keepalive_s, std::min(k.counted_s, table_s));
  }
  k.raw = k.settled = k.believed;
}

// After a look at the whole table.
void OwnRows::find_hidden(const Found& found, std::vector<Row>& rows) {
  std::set<AgentId> seen;
  for (const Row& row : rows) seen.insert(row.agent);
  for (auto it = known_.begin(); it != known_.end();) {
    const AgentId agent = it->first;
    const bool gone = std::ranges::binary_search(found.watched, agent) &&
                      !std::ranges::binary_search(found.elsewhere, agent);
    if (seen.contains(agent)) {
      ++it;
    } else if (gone) {
      hidden_.erase(agent);
      doubted_.erase(agent);
      uncounted_.erase(agent);
      it = known_.erase(it);
    } else {
      if (hidden_.insert(agent).second) it->second.hidden_until_look = look_ + kFollowedLooks;
      if (doubted_.erase(agent) > 0) it->second.raw = it->second.settled = it->second.believed;
      rows.push_back(it->second.believed);
      ++it;
    }
  }
}

std::vector<Row> OwnRows::judge(Found found, const std::vector<AgentId>& asked,
                                const Answer& answer, std::int64_t keepalive_us) {
  ++look_;
  passed_us_ = last_mono_us_ ? found.mono_us - *last_mono_us_ : 0;
  last_mono_us_ = found.mono_us;
  if (answer) answered_mono_us_ = found.mono_us;
  const bool answers =
      answered_mono_us_ && found.mono_us - *answered_mono_us_ < keepalive_us * 5 / 2;
  late_.clear();
  std::set<AgentId> others;  // that changed, and are not among the rows
  const auto counted = [&](AgentId agent) -> std::optional<Counts> {
    if (!answer || !std::ranges::binary_search(asked, agent)) return std::nullopt;
    const auto it = answer->find(agent);
    return it == answer->end() ? Counts{} : it->second;
  };
  for (const AgentId agent : std::vector(doubted_.begin(), doubted_.end())) {
    Known& k = known_.at(agent);
    const auto now = counted(agent);
    decide(agent, k, now, answers, keepalive_us);
    if (!doubted_.contains(agent)) {
      others.insert(agent);
      if (k.changed_at_look != look_) late_.push_back(agent);
    }
    k.answered |= now.has_value();
  }
  for (const AgentId agent : hidden_) {
    const auto now = counted(agent);
    Known& k = known_.at(agent);
    const Row before = k.believed;
    if (now) follow_hidden(k, *now, found.table_s);
    if (k.believed != before) others.insert(agent);
  }
  for (const AgentId agent : asked) {
    const auto now = counted(agent);
    const auto it = known_.find(agent);
    if (!now || it == known_.end()) continue;
    it->second.counts = now;
    it->second.counted_s = found.table_s;
    it->second.counted_at_look = look_;
    uncounted_.erase(agent);
  }
  for (Row& row : found.rows) {
    others.erase(row.agent);
    row = known_.at(row.agent).believed;
  }
  if (found.complete) {
    find_hidden(found, found.rows);
  } else {
    for (const AgentId agent : others) found.rows.push_back(known_.at(agent).believed);
  }
  return std::move(found.rows);
}

}  // namespace rollcall::sidecar
