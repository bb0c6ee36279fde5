#pragma once
// What this process tells systemd as a service of Type=notify (sd_notify(3)), by datagrams to the
// socket that the environment names: that it is ready, what it is about, and, from the loop, that
// the loop still turns. Where nobody asked for it nothing is sent.
//
// Loop thread only. A message that systemd does not take within a second is given up.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace rollcall::app {

class Service {
 public:
  struct Options {
    std::string socket;                     // a path, or "@name"; empty: nobody listens
    std::chrono::microseconds watchdog{0};  // after a silence of so long we are killed; 0: never
  };
  // Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that no child
  // speaks for this process.
  static Service from_environment();

  explicit Service(Options options) : options_(std::move(options)) {}

  void ready();  // at the end of a start, and of a reload
  void reloading();
  void stopping();
  // For a person, on one line; sent if it is another than the last one.
  void status(std::string_view text);

  // How often alive() has to be called, if at all.
  std::optional<std::chrono::milliseconds> alive_every() const;
  void alive();

 private:
  void send(const std::string& message);

  Options options_;
  std::string status_;
  bool complained_ = false;
};

}  // namespace rollcall::app
