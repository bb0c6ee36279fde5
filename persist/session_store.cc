#include "persist/session_store.h"

namespace rollcall::persist {

void apply(const StoreBatch& batch, StoreContents& contents) {
  if (batch.clear_outbox) contents.outbox.clear();
  if (batch.drop_outbox_through > 0) {
    contents.outbox.erase(contents.outbox.begin(),
                          contents.outbox.upper_bound(batch.drop_outbox_through));
  }
  for (auto index : batch.removed_outbox) contents.outbox.erase(index);
  for (auto agent : batch.removed_agents) {
    contents.agents.erase(agent);
    contents.infos.erase(agent);
  }
  for (const auto& [agent, bytes] : batch.agents) contents.agents.insert_or_assign(agent, bytes);
  for (const auto& [agent, bytes] : batch.infos) contents.infos.insert_or_assign(agent, bytes);
  for (const auto& [index, bytes] : batch.outbox) {
    // New entries come at the end nearly always.
    contents.outbox.insert_or_assign(contents.outbox.end(), index, bytes);
  }
  for (const auto& [key, bytes] : batch.meta) contents.meta.insert_or_assign(key, bytes);
}

std::expected<void, Error> check(const StoreBatch& batch) {
  for (const auto& [key, bytes] : batch.meta) {
    if (key.empty() || key.size() > kMaxMetaKeyBytes) {
      return std::unexpected(Error{"a meta key of " + std::to_string(key.size()) +
                                   " bytes cannot be stored: 1 to " +
                                   std::to_string(kMaxMetaKeyBytes) + " are possible"});
    }
  }
  return {};
}

}  // namespace rollcall::persist
