// Visits that whole seconds hide, told by the marks that Wazuh leaves for its own sync
// (since 4.13). Pure.
//
// An agent that goes and comes back within one second leaves its row as it was, but for the mark:
// that only rises until the cluster's daemon takes it. So a mark that rose on a row that is
// otherwise the same, while its second may still have been running at the look before, is a visit.
// It is a hint only: a mark that was high already, or taken in between, tells nothing. Counters of
// starts can tell it too, for those who ask for them at the right moments.
#pragma once
#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sidecar/core/observation.h"
#include "sidecar/source/wazuh_db_scan.h"

namespace rollcall::sidecar {

class VisitHints {
 public:
  // Sets the visits of rows that were read at a look, by id, with their marks. `table_ms` is
  // wazuh-db's clock when the look began.
  void apply(std::vector<Row>& rows, std::span<const SyncMark> marks, std::int64_t table_ms);
  std::uint64_t found() const { return found_; }

  // Agents that were gone at the last look, in a second that was still running: what they do in the
  // rest of it leaves no trace. (Of an agent that is here, another start is no news.)
  std::vector<AgentId> may_hide() const;
  // They started after the last look ended and before the next begins.
  void started(std::span<const AgentId> agents);

 private:
  struct Seen {
    Row row;
    SyncMark mark = SyncMark::synced;
  };
  // Whether a row's second was not over when the look before began.
  bool runs_on(const Row& row) const;

  std::vector<Seen> seen_;  // at the look before, of its own second and the one before; by id
  std::int64_t before_ms_ = 0;
  std::unordered_map<AgentId, std::uint32_t> visits_;
  std::unordered_set<AgentId> started_;
  std::uint64_t found_ = 0;
};

}  // namespace rollcall::sidecar
