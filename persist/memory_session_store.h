// A SessionStore in memory, whose disk obeys the test: it can lose what was not synced, fail,
// fill up, and be set back to an older copy. The object is the disk, so it outlives the simulated
// process; a restarted process calls load() on the same object.
//
// One thread at a time. No encoding and no copies beyond the batch itself: simulators create and
// drive thousands of these each second.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "persist/session_store.h"

namespace rollcall::persist {

class MemorySessionStore final : public SessionStore {
 public:
  std::expected<StoreContents, Error> load() override;
  std::expected<StoredInfos, Error> read_infos(const std::vector<std::uint32_t>& agents) override;
  std::expected<void, Error> commit(const StoreBatch& batch) override;

  // commit() in two steps, so that a simulator can crash in between. What is committed but not
  // synced is what load() shows and what crash() takes away.
  std::expected<void, Error> commit_unsynced(std::shared_ptr<const StoreBatch> batch);
  std::expected<void, Error> commit_unsynced(const StoreBatch& batch) {
    return commit_unsynced(std::make_shared<const StoreBatch>(batch));
  }
  void sync();

  // The process and the machine die: back to what was synced. Failures that were asked for with
  // fail_next are forgotten too; a full disk stays full.
  void crash();

  // The next `count` commits change nothing and return `message`.
  void fail_next(int count, std::string message);
  // A full disk refuses every commit until it is set back.
  void set_full(bool full) { full_ = full; }

  // The disk as it was synced, to be put back later: a machine restored from an older backup.
  StoreContents copy() const { return synced_; }
  void restore(StoreContents older);

 private:
  StoreContents present() const;

  StoreContents synced_;
  std::vector<std::shared_ptr<const StoreBatch>> unsynced_;
  int failures_ = 0;
  std::string failure_;
  bool full_ = false;
};

}  // namespace rollcall::persist
