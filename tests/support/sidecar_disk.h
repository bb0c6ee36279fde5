#pragma once
// A sidecar's disk as the core sees it: what a change leaves behind, as a SessionStore would.
#include "sidecar/core/sidecar_core.h"

namespace rollcall::sidecar {

inline void apply(const StoreChange& change, StoreImage& disk) {
  if (change.clear_outbox) disk.outbox.clear();
  disk.outbox.erase(disk.outbox.begin(), disk.outbox.upper_bound(change.drop_outbox_through));
  for (const auto position : change.removed_outbox) disk.outbox.erase(position);
  for (const auto agent : change.removed_agents) {
    disk.agents.erase(agent);
    disk.infos.erase(agent);
  }
  for (const auto& [agent, bytes] : change.agents) disk.agents[agent] = bytes;
  for (const auto& [agent, bytes] : change.infos) disk.infos[agent] = bytes;
  for (const auto& [position, bytes] : change.outbox) disk.outbox[position] = bytes;
  for (const auto& [key, value] : change.meta) disk.meta[key] = value;
}

}  // namespace rollcall::sidecar
