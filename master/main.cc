// rollcall-master: reads the configuration, builds everything, wires it. No logic.
#include <csignal>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "app/config.h"
#include "app/logging.h"
#include "app/master_driver.h"
#include "app/ports.h"
#include "inspect/http_server.h"
#include "inspect/pages.h"
#include "net/loop.h"
#include "net/tls_stream.h"
#include "persist/file_event_log.h"

namespace {

using namespace rollcall;

int fail(int status, const std::string& message) {
  std::fprintf(stderr, "rollcall-master: %s\n", message.c_str());
  return status;
}

int run(const app::MasterConfig& config) {
  app::set_log_level(config.log.level);
  app::set_log_format(config.log.format);
  app::SystemClock clock;

  persist::LogRecovery recovery;
  auto event_log = persist::FileEventLog::open(config.store.path, {config.store.segment}, recovery);
  if (!event_log) return fail(1, event_log.error().message);
  if (!recovery.message.empty())
    app::log(app::Level::Warn, "the log was repaired", {{"what", recovery.message}});
  auto state = app::fold_log(**event_log, recovery);
  if (!state) return fail(1, "log " + config.store.path + ": " + state.error().message);

  auto tls = net::TlsContext::server({config.tls.ca, config.tls.certificate, config.tls.key});
  if (!tls) return fail(1, tls.error().message);
  auto revoked = app::RevokedSerials::load(config.tls.revoked);
  if (!revoked) return fail(app::kExitConfig, revoked.error().message);

  net::Loop loop;
  app::DiskThread disk;
  app::DiskLog log(loop, disk, **event_log);
  app::TlsLinks links(*revoked);

  master::MasterCore::Config core;
  core.cluster = config.node.cluster;
  core.allow = config.allow;
  core.boot = std::hash<std::string>{}(clock.boot_id());
  core.heartbeat_us = config.timing.heartbeat.count();
  core.ttl_us = config.timing.ttl.count();
  app::MasterDriver driver(core, {config.store.snapshot_every, recovery.behind_snapshot()},
                           std::move(*state),
                           recovery.torn_tail_dropped ? "the end of the log was torn" : "",
                           app::random_seed(), clock, log, links, app::log_note);
  links.attach(driver);

  inspect::HttpOptions http_options;
  http_options.host = config.inspect.address.host;
  http_options.port = config.inspect.address.port;
  http_options.report = [](std::string_view text) { app::log(app::Level::Warn, text); };
  if (!app::is_loopback(config.inspect.address))
    app::log(
        app::Level::Warn,
        "the inspect address can be reached from other machines, and asks nobody for a password",
        {{"address", app::to_text(config.inspect.address)}});
  inspect::HttpServer http(http_options);
  inspect::add_master_pages(http, [&loop](auto task) { return loop.post(std::move(task)); },
                            {driver, clock, ROLLCALL_VERSION});
  if (auto started = http.start(); !started) return fail(1, started.error().message);

  // Workers are let in once the time can be told: after the first commit.
  std::unique_ptr<net::TlsListener> listener;
  int status = 0;
  auto listen = [&] {
    net::TlsListener::Options options;
    options.address = config.listen.address.host;
    options.port = config.listen.address.port;
    options.max_connections = config.listen.max_connections;
    auto made = net::TlsListener::listen(
        loop, *tls, options,
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
  app::flush_log();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli{"rollcall-master: what the workers say, decided, remembered and answered",
               "rollcall-master"};
  std::string path = "/etc/rollcall/rollcall-master.ini";
  bool check = false;
  cli.add_option("-c,--config", path, "the ini file")->capture_default_str();
  cli.add_flag("--check-config", check,
               "read the configuration, say whether it is right, and exit");
  cli.set_version_flag("--version", "rollcall-master " ROLLCALL_VERSION);
  CLI11_PARSE(cli, argc, argv);
  const auto config = rollcall::app::load_master_config(path);
  if (!config) return fail(rollcall::app::kExitConfig, config.error().message);
  if (check) {
    std::printf("%s: ok\n", path.c_str());
    return 0;
  }
  return run(*config);
}
