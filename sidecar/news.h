#pragma once
// Where a sidecar hears of its agents: Wazuh's tables, or an events socket. Loop thread only.
#include <expected>
#include <memory>

#include "app/config.h"
#include "app/disk_thread.h"
#include "app/sidecar_driver.h"
#include "inspect/pages.h"
#include "net/loop.h"
#include "persist/session_store.h"

namespace rollcall::sidecar {

class News {
 public:
  virtual ~News() = default;
  virtual app::SidecarDriver::Source& infos() = 0;  // whom the driver asks for them
  virtual std::expected<void, Error> start() = 0;
  virtual void stop() = 0;
  virtual void set_intervals(const app::SidecarConfig::Source&) {}
  virtual inspect::SourceStatus status() const = 0;
};

// As configured. Tells `driver`, which is to be there as long as this is.
std::unique_ptr<News> make_news(const app::SidecarConfig& config, net::Loop& loop,
                                app::Clock& clock, app::DiskThread& disk,
                                persist::SessionStore& store, app::SidecarDriver& driver);

}  // namespace rollcall::sidecar
