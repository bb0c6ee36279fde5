// Visits that whole seconds hide, told by the marks that Wazuh leaves for its own sync
// (since 4.13). Pure.
//
// An agent that goes and comes back within one second leaves its row as it was, but for the mark:
// that only rises until the cluster's daemon takes it. So a mark that rose on a row that is
// otherwise the same, while its second may still have been running at the look before, is a visit.
// It is a hint only: a mark that was high already, or taken in between, tells nothing.
#pragma once
#include <cstdint>
#include <span>
#include <unordered_map>
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

 private:
  struct Seen {
    Row row;
    SyncMark mark = SyncMark::synced;
  };
  std::vector<Seen> seen_;  // at the look before, of its own second and the one before; by id
  std::int64_t before_ms_ = 0;
  std::unordered_map<AgentId, std::uint32_t> visits_;
  std::uint64_t found_ = 0;
};

}  // namespace rollcall::sidecar
