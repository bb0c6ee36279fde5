#pragma once
// The infos that an events source told, read back from the store: nobody else can be asked. Loop
// thread only; it reads on the disk thread, after the commits that were asked for before.
#include <expected>
#include <functional>
#include <vector>

#include "app/disk_thread.h"
#include "app/sidecar_driver.h"
#include "net/loop.h"
#include "persist/session_store.h"

namespace rollcall::app {

// What a driver starts with: load(), and the infos that the outbox refers to.
std::expected<persist::StoreContents, Error> load_with_infos(persist::SessionStore& store);

class StoredInfos final : public SidecarDriver::Source {
 public:
  StoredInfos(net::Loop& loop, DiskThread& disk, persist::SessionStore& store)
      : loop_(loop), disk_(disk), store_(store) {}
  void attach(SidecarDriver& driver) { driver_ = &driver; }
  // What cannot be read is asked for again by the core, or by the master.
  void read_info(const std::vector<AgentId>& agents) override;

 private:
  static constexpr std::size_t kAtOnce = 1'000;

  void read_next();
  void found(const std::vector<std::uint32_t>& agents,
             const std::expected<persist::StoredInfos, Error>& infos);

  net::Loop& loop_;
  DiskThread& disk_;
  persist::SessionStore& store_;
  SidecarDriver* driver_ = nullptr;
  std::vector<std::uint32_t> wanted_;
  bool reading_ = false;
};

}  // namespace rollcall::app
