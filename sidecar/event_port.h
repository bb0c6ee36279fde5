#pragma once
// The events socket's way to the driver. Loop thread only.
#include <cstdint>
#include <vector>

#include "app/sidecar_driver.h"
#include "sidecar/source/event_socket.h"

namespace rollcall::sidecar {

class EventPort final : public EventSocket::Sink {
 public:
  explicit EventPort(app::SidecarDriver& driver) : driver_(driver) {}
  std::uint64_t observe(const std::vector<Observation>& batch) override {
    return driver_.observe(batch);
  }
  std::uint64_t stored_through() const override { return driver_.core().stored_ticket(); }
  void store_now() override { driver_.store_now(); }
  bool full() const override { return driver_.core().backlog_full(); }
  void watch(bool there) override { driver_.watch(there); }

 private:
  app::SidecarDriver& driver_;
};

}  // namespace rollcall::sidecar
