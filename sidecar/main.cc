// rollcalld: reads the configuration, builds everything, wires it. No logic.
#include <malloc.h>

#include <csignal>
#include <memory>

#include "app/config.h"
#include "app/daemon.h"
#include "app/logging.h"
#include "app/ports.h"
#include "app/sidecar_driver.h"
#include "app/stored_infos.h"
#include "inspect/http_server.h"
#include "inspect/pages.h"
#include "inspect/token.h"
#include "net/loop.h"
#include "net/tls_stream.h"
#include "persist/lmdb_session_store.h"
#include "sidecar/event_port.h"
#include "sidecar/source/event_socket.h"
#include "sidecar/source/wazuh_db_source.h"

namespace {

using namespace rollcall;

const app::Program kProgram{"rollcalld",
                            "rollcalld: watches this worker's agents and tells the master",
                            ROLLCALL_VERSION, "/etc/rollcall/rollcall-sidecar.ini"};

int fail(int status, const std::string& message) {
  return app::fail(kProgram, status, message);
}

// What the driver asks of the source, passed on.
class SourcePort final : public app::SidecarDriver::Source {
 public:
  void attach(sidecar::WazuhDbSource& source) { source_ = &source; }
  void read_info(const std::vector<AgentId>& agents) override { source_->read_info(agents); }

 private:
  sidecar::WazuhDbSource* source_ = nullptr;
};

int run(const app::SidecarConfig& config) {
  app::set_log_level(config.log.level);
  app::set_log_format(config.log.format);
  app::SystemClock clock;

  auto tls =
      app::load_credentials(config.tls, config.origin, config.node.name, app::TlsRole::sidecar);
  if (!tls) return fail(app::kExitConfig, tls.error().message);
  app::warn_of_validity(*tls, config.tls);

  auto store = persist::LmdbSessionStore::open(config.store.path);
  if (!store) return fail(1, store.error().message);
  auto contents = app::load_with_infos(**store);
  if (!contents) return fail(1, contents.error().message);
  auto token = inspect::Token::load_or_make(config.inspect.token);
  if (!token) return fail(app::kExitConfig, token.error().message);

  net::Loop loop;
  app::DiskThread disk;
  app::DiskStore disk_store(loop, disk, **store);
  app::TlsLink link(loop, tls->context, config.master.addresses, config.master.name, tls->revoked);
  const bool from_events = config.source.type == app::SidecarConfig::SourceType::Events;
  SourcePort source_port;
  app::StoredInfos stored_infos(loop, disk, **store);

  sidecar::SidecarCore::Config core;
  core.cluster = config.node.cluster;
  core.node = config.node.name;
  core.machine = app::machine_id();
  core.software = ROLLCALL_VERSION;
  core.boot = std::hash<std::string>{}(clock.boot_id());
  core.max_events = config.store.max_events;
  core.max_bytes = config.store.max_bytes;
  core.tracker.keepalive_us = config.source.keepalive.count();
  core.tracker.agent_timeout_us = config.source.agent_timeout.count();
  app::SidecarDriver::Source* infos = &source_port;
  if (from_events) infos = &stored_infos;
  app::SidecarDriver driver(core, app::random_seed(), clock, disk_store, link, *infos,
                            app::log_note);
  link.attach(driver);
  stored_infos.attach(driver);

  sidecar::WazuhDbSource::Options source_options;
  source_options.socket_path = config.source.wazuh_db;
  source_options.client_keys_path = config.source.wazuh_home + "/etc/client.keys";
  source_options.config_path = config.source.wazuh_home + "/etc/ossec.conf";
  source_options.remoted_path = config.source.wazuh_home + "/queue/sockets/remote";
  source_options.poll = config.source.poll;
  source_options.scan = config.source.scan;
  source_options.seed = app::random_seed();
  if (config.source.only_node_name) source_options.only_node_name = config.source.node_name;
  sidecar::WazuhDbSource::Events events;
  events.on_look = [&](const sidecar::Look& look) { driver.look(look); };
  events.on_look_failed = [&](const std::string&) { driver.look_failed(); };
  events.on_info = [&](AgentId agent, const AgentInfo& info) { driver.info_read(agent, info); };
  events.on_note = app::log_note;
  sidecar::WazuhDbSource source(loop, clock, source_options, std::move(events));
  source_port.attach(source);

  sidecar::EventSocket::Options socket_options;
  socket_options.path = config.source.events_socket;
  socket_options.connections = config.limits.event_connections;
  socket_options.line_bytes = config.limits.event_line;
  socket_options.waiting = config.limits.event_waiting;
  sidecar::EventPort event_port(driver);
  sidecar::EventSocket event_socket(loop, clock, socket_options, event_port, app::log_note);
  driver.on_stored([&](std::uint64_t ticket) { event_socket.stored(ticket); });

  inspect::HttpServer http(inspect::http_options(config.inspect, config.limits.http_connections));
  auto source_status = [&source, &event_socket, from_events] {
    if (from_events) {
      const auto s = event_socket.status();
      inspect::SourceStatus out;
      out.by_looks = false;
      out.connected = s.connections > 0;
      out.last_rows = s.lines;
      out.failures = s.refused;
      out.last_error = s.last_refusal;
      return out;
    }
    const auto s = source.status();
    inspect::SourceStatus out;
    out.connected = s.connected;
    out.last_look_us = s.last_look_us;
    out.last_rows = s.last_rows;
    out.last_bytes = s.last_bytes;
    out.last_requests = s.last_requests;
    out.looks = s.looks;
    out.scans = s.scans;
    out.wazuh = s.wazuh;
    out.table_rows = s.table_rows;
    out.unreadable = s.unreadable;
    out.hints = s.hints;
    out.remoted = s.remoted;
    out.failures = s.failures;
    out.last_error = s.failing ? s.last_error : "";
    return out;
  };
  const auto post = [&loop](auto task) { return loop.post(std::move(task)); };
  inspect::add_sidecar_pages(http, post, {driver, clock, source_status, ROLLCALL_VERSION});
  inspect::add_sidecar_actions(http, post, [&driver] { return driver.send_inventory(); }, *token);
  if (auto started = http.start(); !started) return fail(1, started.error().message);

  net::Timer tick(loop), flush(loop);
  tick.repeat(std::chrono::milliseconds(100), [&] { driver.tick(); });
  flush.repeat(std::chrono::seconds(10), [] {
    app::flush_log();
    malloc_trim(0);  // what a storm of events took is not needed again soon
  });
  for (int signal : {SIGTERM, SIGINT}) loop.on_signal(signal, [&] { loop.stop(); });
  if (auto started = driver.start(*contents); !started) {
    http.stop();
    return fail(1, config.store.path + ": " + started.error().message);
  }
  contents->agents.clear();
  contents->infos.clear();
  contents->outbox.clear();
  if (!from_events) {
    source.start();
  } else if (auto listening = event_socket.start(); !listening) {
    http.stop();
    return fail(1, listening.error().message);
  }
  app::log(app::Level::Info, "started",
           {{"version", ROLLCALL_VERSION},
            {"node", config.node.name},
            {"inspect", app::to_text({config.inspect.address.host, http.port()})},
            {"agents", std::to_string(driver.core().tracker().agents().size())}});
  driver.tick();  // connects; the timer comes 100 ms later
  loop.run();

  app::log(app::Level::Info, "stopping");
  http.stop();
  driver.stop();
  source.stop();
  event_socket.stop();
  link.stop();
  tick.stop();
  flush.stop();
  disk.stop();
  app::flush_log();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto config = rollcall::app::sidecar_config(argc, argv, kProgram);
  return config ? run(*config) : config.error();
}
