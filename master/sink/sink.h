// SinkCore on wazuh-db's sockets. Loop thread only. Whatever wazuh-db does, nothing waits for it
// but the sink itself.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "master/sink/sink_core.h"
#include "net/loop.h"
#include "protocol/note.h"
#include "protocol/now.h"
#include "wazuh/http_post.h"
#include "wazuh/wdb_client.h"

namespace rollcall::master {

class Sink {
 public:
  struct Options {
    std::string socket_path = "/var/ossec/queue/db/wdb";
    std::string http_socket_path = "/var/ossec/queue/sockets/wdb-http.sock";
    std::chrono::milliseconds request_timeout{10'000};
    std::uint64_t seed = 0;  // of the jitter between attempts to connect
  };
  // What it asks the master and tells it. All are called on the loop thread.
  struct Ports {
    std::function<DecidedView()> view;
    std::function<Now()> now;
    std::function<void(const Note&)> on_note;
  };

  Sink(net::Loop& loop, SinkCore::Config config, Options options, Ports ports);
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  void start();  // does nothing in mode off
  void stop();
  void tick();  // a few times a second

  void set_times(std::int64_t every_us, std::int64_t settle_us) {
    core_.set_times(every_us, settle_us);
  }

  const SinkCore& core() const { return core_; }

 private:
  void carry_out(SinkCore::Order order);
  void tell();

  const Ports ports_;
  const SinkMode mode_;
  bool running_ = false;
  SinkCore core_;
  wazuh::WdbClient client_;
  wazuh::HttpPost post_;
};

}  // namespace rollcall::master
