#include "persist/memory_session_store.h"

#include <utility>

namespace rollcall::persist {

std::expected<StoreContents, Error> MemorySessionStore::load() {
  StoreContents contents = present();
  contents.infos.clear();
  return contents;
}

std::expected<StoredInfos, Error> MemorySessionStore::read_infos(
    const std::vector<std::uint32_t>& agents) {
  const StoreContents contents = present();
  StoredInfos found;
  for (auto agent : agents) {
    if (const auto it = contents.infos.find(agent); it != contents.infos.end()) found.insert(*it);
  }
  return found;
}

StoreContents MemorySessionStore::present() const {
  StoreContents contents = synced_;
  for (const auto& batch : unsynced_) apply(*batch, contents);
  return contents;
}

std::expected<void, Error> MemorySessionStore::commit(const StoreBatch& batch) {
  if (auto done = commit_unsynced(batch); !done) return done;
  sync();
  return {};
}

std::expected<void, Error> MemorySessionStore::commit_unsynced(
    std::shared_ptr<const StoreBatch> batch) {
  if (auto fits = check(*batch); !fits) return fits;
  if (failures_ > 0) {
    --failures_;
    return std::unexpected(Error{failure_});
  }
  if (full_) return std::unexpected(Error{"the disk is full (simulated)"});
  unsynced_.push_back(std::move(batch));
  return {};
}

void MemorySessionStore::sync() {
  for (const auto& batch : unsynced_) apply(*batch, synced_);
  unsynced_.clear();
}

void MemorySessionStore::crash() {
  unsynced_.clear();
  failures_ = 0;
}

void MemorySessionStore::fail_next(int count, std::string message) {
  failures_ = count;
  failure_ = std::move(message);
}

void MemorySessionStore::restore(StoreContents older) {
  synced_ = std::move(older);
  unsynced_.clear();
}

}  // namespace rollcall::persist
