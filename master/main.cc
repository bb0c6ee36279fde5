// rollcall-master: reads the configuration, builds everything, wires it. No logic.
#include <csignal>
#include <memory>

#include "app/config.h"
#include "app/daemon.h"
#include "app/file_limit.h"
#include "app/logging.h"
#include "app/master_driver.h"
#include "app/ports.h"
#include "inspect/http_server.h"
#include "inspect/pages.h"
#include "inspect/token.h"
#include "net/loop.h"
#include "net/tls_stream.h"
#include "persist/file_event_log.h"

namespace {

using namespace rollcall;

const app::Program kProgram{
    "rollcall-master", "rollcall-master: what the workers say, decided, remembered and answered",
    ROLLCALL_VERSION, "/etc/rollcall/rollcall-master.ini"};

int fail(int status, const std::string& message) {
  return app::fail(kProgram, status, message);
}

// Every connection takes a file descriptor; a listener that has none left serves nobody.
void make_room_for_connections(const app::MasterConfig::Limits& limits) {
  const std::uint64_t wanted =
      std::uint64_t{limits.max_connections} + 2 * limits.handshakes + limits.http_connections + 64;
  const std::uint64_t allowed = app::raise_file_limit(wanted);
  if (allowed >= wanted) return;
  app::log(app::Level::Warn,
           "[limits] allows more connections than this process may have open; raise its limit of "
           "open files (ulimit -n, LimitNOFILE) or lower these",
           {{"open_files", std::to_string(allowed)}, {"wanted", std::to_string(wanted)}});
}

int run(const app::MasterConfig& config) {
  app::set_log_level(config.log.level);
  app::set_log_format(config.log.format);
  app::SystemClock clock;
  make_room_for_connections(config.limits);

  auto tls =
      app::load_credentials(config.tls, config.origin, config.node.name, app::TlsRole::master);
  if (!tls) return fail(app::kExitConfig, tls.error().message);
  app::warn_of_validity(*tls, config.tls);

  persist::LogRecovery recovery;
  auto event_log = persist::FileEventLog::open(config.store.path, {config.store.segment}, recovery);
  if (!event_log) return fail(1, event_log.error().message);
  if (!recovery.message.empty())
    app::log(app::Level::Warn, "the log was repaired", {{"what", recovery.message}});
  master::History history(config.limits.history);
  auto state = app::fold_log(**event_log, recovery, &history);
  if (!state) {
    return fail(1, "the log in " + config.store.path + ": " + state.error().message +
                       "; \"rollcall log verify " + config.store.path + "\" says more");
  }
  auto token = inspect::Token::load_or_make(config.inspect.token);
  if (!token) return fail(app::kExitConfig, token.error().message);

  net::Loop loop;
  app::DiskThread disk;
  app::DiskLog log(loop, disk, **event_log, {config.store.retention, config.store.max_size});
  app::TlsLinks links(tls->revoked);

  master::MasterCore::Config core;
  core.cluster = config.node.cluster;
  core.allow = config.allow;
  core.boot = std::hash<std::string>{}(clock.boot_id());
  core.heartbeat_us = config.timing.heartbeat.count();
  core.ttl_us = config.timing.ttl.count();
  core.grace_us = config.timing.grace.count();
  core.inventory_us = config.timing.inventory.count();
  core.inventory_differs_us = config.timing.inventory_differs.count();
  core.removed_retention_us = config.timing.keep_removed.count();
  core.max_inventories = config.limits.inventories;
  core.max_inventory_entries = config.limits.inventory_entries;
  app::MasterDriver driver(core,
                           {.snapshot_every = config.store.snapshot_every,
                            .since_snapshot = recovery.behind_snapshot(),
                            // Two snapshots and what is between them must fit.
                            .snapshot_every_bytes = config.store.max_size / 4},
                           std::move(*state),
                           recovery.torn_tail_dropped ? "the end of the log was torn" : "",
                           app::random_seed(), clock, log, links, app::log_note);
  driver.remember(std::move(history));
  links.attach(driver);

  // Workers are let in once the time can be told: after the first commit.
  std::unique_ptr<net::TlsListener> listener;
  inspect::HttpServer http(inspect::http_options(config.inspect, config.limits.http_connections));
  inspect::add_master_pages(
      http, [&loop](auto task) { return loop.post(std::move(task)); },
      {driver, clock, ROLLCALL_VERSION,
       [&listener] { return listener ? listener->counters() : net::TlsListener::Counters{}; },
       config.store.path});
  inspect::add_master_actions(
      http, [&loop](auto task) { return loop.post(std::move(task)); }, driver, *token);
  if (auto started = http.start(); !started) return fail(1, started.error().message);

  int status = 0;
  auto listen = [&] {
    net::TlsListener::Options options;
    options.address = config.listen.address.host;
    options.port = config.listen.address.port;
    options.max_connections = config.limits.max_connections;
    options.max_handshakes = config.limits.handshakes;
    options.max_per_address = config.limits.connections_per_address;
    auto made = net::TlsListener::listen(
        loop, tls->context, options,
        {[&](std::unique_ptr<net::TlsStream> s) { links.accepted(std::move(s)); },
         [](const std::string& address, const std::string& reason) {
           app::log(app::Level::Warn, "connection refused before it said who it is",
                    {{"peer", address}, {"why", reason}});
         }});
    if (!made) {
      status = fail(1, made.error().message);
      loop.stop();
      return;
    }
    listener = std::move(*made);
    app::log(app::Level::Info, "ready",
             {{"version", ROLLCALL_VERSION},
              {"listen", app::to_text({config.listen.address.host, listener->port()})},
              {"inspect", app::to_text({config.inspect.address.host, http.port()})},
              {"agents", std::to_string(driver.core().state().agents().size())}});
  };

  net::Timer tick(loop), flush(loop);
  tick.repeat(std::chrono::milliseconds(100), [&] {
    driver.tick();
    if (!listener && status == 0 && driver.ready()) listen();
  });
  flush.repeat(std::chrono::seconds(10), [] { app::flush_log(); });
  for (int signal : {SIGTERM, SIGINT}) loop.on_signal(signal, [&] { loop.stop(); });
  driver.start();
  loop.run();

  app::log(app::Level::Info, "stopping");
  http.stop();
  driver.stop();
  listener.reset();
  links.stop();
  tick.stop();
  flush.stop();
  disk.stop();
  log.stop();
  app::flush_log();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const auto config = rollcall::app::master_config(argc, argv, kProgram);
  return config ? run(*config) : config.error();
}
