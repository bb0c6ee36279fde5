#pragma once
// The driver's way to the agents. Loop thread only.
#include <chrono>
#include <cstdint>
#include <optional>
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
                   driver_.datagram_sent(number, why(failure));
                 });
  }
  void force_reconnect(AgentId agent) override {
    socket_.send(
        force_reconnect_message(agent), kReconnectPatience,
        [this](const std::optional<Error>& failure) { driver_.asked_to_move(why(failure)); });
  }
  void stop() { socket_.stop(); }

 private:
  static constexpr std::chrono::milliseconds kReconnectPatience{5'000};

  static std::optional<std::string> why(const std::optional<Error>& failure) {
    return failure ? std::optional(failure->message) : std::nullopt;
  }

  app::SidecarDriver& driver_;
  AgentSocket socket_;
};

}  // namespace rollcall::sidecar
