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
    if (before != seen_.end() && same(before->row, row) && mark > before->mark &&
        mark >= SyncMark::status && before_ms_ < (row.keepalive_s + 1) * 1000) {
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
}

}  // namespace rollcall::sidecar
