#pragma once
// The driver's way to the agents. Loop thread only.
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "app/sidecar_driver.h"
#include "sidecar/core/agent_message.h"
#include "sidecar/source/agent_socket.h"

namespace rollcall::sidecar {

class AgentPort final : public app::SidecarDriver::Agents,
                        public app::SidecarDriver::AgentMessages {
 public:
  AgentPort(net::Loop& loop, AgentSocket::Options options, app::SidecarDriver& driver)
      : driver_(driver), socket_(loop, std::move(options)) {}
  void send(std::uint64_t number, std::string datagram,
            std::chrono::microseconds patience) override {
    socket_.send(std::move(datagram), std::chrono::ceil<std::chrono::milliseconds>(patience),
                 [this, number](const std::optional<Error>& failure) {
                   driver_.datagram_sent(number,
                                         failure ? std::optional(failure->message) : std::nullopt);
                 });
  }
  void force_reconnect(AgentId agent) override {
    send(0, force_reconnect_message(agent), kReconnectPatience);
  }
  void stop() { socket_.stop(); }

 private:
  static constexpr std::chrono::microseconds kReconnectPatience{5'000'000};

  app::SidecarDriver& driver_;
  AgentSocket socket_;
};

}  // namespace rollcall::sidecar
