#include "sidecar/source/visit_hints.h"

namespace rollcall::sidecar {
namespace {

bool same(Row before, const Row& now) {
  before.visits = now.visits;
  return before == now;
}

}  // namespace

void VisitHints::apply(std::vector<Row>& rows, std::span<const SyncMark> marks,
                       std::int64_t table_ms) {
  std::vector<Seen> seen;
  auto before = seen_.begin();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Row& row = rows[i];
    const SyncMark mark = i < marks.size() ? marks[i] : SyncMark::synced;
    while (before != seen_.end() && before->row.agent < row.agent) ++before;
    // A keepalive's mark is no visit. And one that rose later than in the row's own second was set
    // for another reason, since whatever an agent says sets the second too.
    const bool rose = before != seen_.end() && mark > before->mark && mark >= SyncMark::status;
    if (before != seen_.end() && same(before->row, row) && runs_on(row) &&
        (rose || started_.contains(row.agent))) {
      ++visits_[row.agent];
      ++found_;
    }
    if (row.keepalive_s >= table_ms / 1000 - 1) seen.push_back({row, mark});
    if (visits_.empty()) continue;
    if (const auto known = visits_.find(row.agent); known != visits_.end())
      row.visits = known->second;
  }
  seen_ = std::move(seen);
  before_ms_ = table_ms;
  started_.clear();
}

bool VisitHints::runs_on(const Row& row) const {
  return before_ms_ < (row.keepalive_s + 1) * 1000;
}

std::vector<AgentId> VisitHints::may_hide() const {
  std::vector<AgentId> out;
  for (const Seen& seen : seen_) {
    if (!seen.row.present() && runs_on(seen.row)) out.push_back(seen.row.agent);
  }
  return out;
}

void VisitHints::started(std::span<const AgentId> agents) {
  started_.insert(agents.begin(), agents.end());
}

}  // namespace rollcall::sidecar
