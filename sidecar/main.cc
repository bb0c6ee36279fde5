// rollcalld: reads the configuration, builds everything, wires it. No logic.
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "app/config.h"
#include "app/daemon.h"
#include "app/logging.h"
#include "app/ports.h"
#include "app/random.h"
#include "app/reload.h"
#include "app/sidecar_driver.h"
#include "app/stored_infos.h"
#include "inspect/http_server.h"
#include "inspect/pages.h"
#include "inspect/readiness.h"
#include "inspect/token.h"
#include "inspect/upkeep.h"
#include "net/loop.h"
#include "persist/lmdb_session_store.h"
#include "sidecar/agent_port.h"
#include "sidecar/news.h"

namespace {

using namespace rollcall;

const app::Program kProgram{"rollcalld",
                            "rollcalld: watches this worker's agents and tells the master",
                            ROLLCALL_VERSION, "/etc/rollcall/rollcall-sidecar.ini"};

sidecar::SidecarCore::Config core_of(const app::SidecarConfig& config, app::Clock& clock) {
  sidecar::SidecarCore::Config core;
  core.cluster = config.node.cluster;
  core.node = config.node.name;
  core.machine = app::machine_id();
  core.software = ROLLCALL_VERSION;
  core.boot = app::boot_number(clock);
  core.max_events = config.store.max_events;
  core.max_bytes = config.store.max_bytes;
  core.commands = config.source.type == app::SidecarConfig::SourceType::Wazuh &&
                  !config.source.agent_socket.empty();
  core.tracker.keepalive_us = config.source.keepalive.count();
  core.tracker.agent_timeout_us = config.source.agent_timeout.count();
  core.tracker.manager_grace_us = config.handoff.manager_restart_grace.count();
  return core;
}

sidecar::AgentSocket::Options agents_of(const app::SidecarConfig& config) {
  sidecar::AgentSocket::Options options;
  options.path = config.source.agent_socket;
  return options;
}

// What the driver asks of the source, passed on: the source is made after the driver.
class InfoPort final : public app::SidecarDriver::Source {
 public:
  void attach(app::SidecarDriver::Source& infos) { infos_ = &infos; }
  void read_info(const std::vector<AgentId>& agents) override { infos_->read_info(agents); }
  void given_up(AgentId agent) override { infos_->given_up(agent); }

 private:
  app::SidecarDriver::Source* infos_ = nullptr;
};

class Sidecar {
 public:
  Sidecar(const app::SidecarConfig& config, net::TlsContext context, persist::SessionStore& store,
          const inspect::Token& token)
      : config_(config),
        reloader_(config, context, app::TlsRole::sidecar),
        drain_grace_us_(config.handoff.grace.count()),
        disk_store_(loop_, disk_, store),
        link_(loop_, std::move(context), config.master.addresses, config.master.name),
        driver_(core_of(config, clock_), app::random_seed(), clock_, disk_store_, link_, info_port_,
                app::log_note),
        news_(sidecar::make_news(config, loop_, clock_, disk_, store, driver_)),
        agents_(loop_, agents_of(config), driver_),
        http_(inspect::http_options(config.inspect, config.limits.http_connections, token)) {
    link_.attach(driver_);
    if (driver_.core().takes_commands()) {
      driver_.reach_agents(agents_);
      driver_.attach(agents_);
    }
    info_port_.attach(news_->infos());
    const auto post = [this](auto task) { return loop_.post(std::move(task)); };
    inspect::add_sidecar_pages(http_, post, view_);
    inspect::add_sidecar_actions(http_, post, [this] { return driver_.send_inventory(); }, token);
    inspect::add_drain_actions(
        http_, post, driver_, [this] { return drain_grace_us_.load(); }, token);
    inspect::add_log_page(http_, token);
    driver_.tell_each([] { return app::log_level() == app::Level::Debug; });
  }

  std::expected<void, Error> start(const persist::StoreContents& contents) {
    app::stop_on_signals(loop_);
    reloader_.start(loop_, [this](const auto& config, const auto& context, auto tls) {
      changed(config, context, tls);
    });
    if (auto started = http_.start(); !started) return started;
    if (auto started = driver_.start(contents); !started)
      return std::unexpected(Error{config_.store.path + ": " + started.error().message});
    if (auto started = news_->start(); !started) return started;
    app::log(app::Level::Info, "started",
             {{"version", ROLLCALL_VERSION},
              {"node", config_.node.name},
              {"inspect", app::to_text({config_.inspect.address.host, http_.port()})},
              {"agents", std::to_string(driver_.core().tracker().agents().size())}});
    // Not once the master or wazuh-db answers: what waits for this would wait for them.
    service_.ready();
    reloader_.tell(service_);
    return {};
  }

  void run() {
    app::run(loop_, service_,
             {.tick = [this] { driver_.tick(); },
              .describe = [this] { return inspect::describe(view_); },
              .tidy = [] { malloc_trim(0); }});  // a storm of events took what is not needed soon
    reloader_.stop();
    http_.stop();
    driver_.bye(ByeReason::shutdown, reloader_.config().handoff.back_within.count());
    driver_.stop();
    news_->stop();
    agents_.stop();
    link_.stop();
    disk_.stop();
  }

 private:
  using Reloader = app::Reloader<app::SidecarConfig>;

  void changed(const app::SidecarConfig& config, const net::TlsContext& context,
               Reloader::Tls tls) {
    news_->set_intervals(config.source);
    driver_.set_manager_grace(config.handoff.manager_restart_grace.count());
    drain_grace_us_ = config.handoff.grace.count();
    if (tls == Reloader::Tls::kSame) return;
    link_.use(context);
    driver_.connect_soon();
  }

  const app::SidecarConfig& config_;
  app::Service service_ = app::Service::from_environment();
  app::SystemClock clock_;
  net::Loop loop_;
  Reloader reloader_;
  std::atomic<std::int64_t> drain_grace_us_;  // read by HTTP threads
  app::DiskThread disk_;
  app::DiskStore disk_store_;
  app::TlsLink link_;
  InfoPort info_port_;
  app::SidecarDriver driver_;
  std::unique_ptr<sidecar::News> news_;
  sidecar::AgentPort agents_;
  const inspect::SidecarView view_{driver_,
                                   clock_,
                                   [this] { return news_->status(); },
                                   ROLLCALL_VERSION,
                                   inspect::upkeep_of(reloader_),
                                   [this] { return disk_store_.times(); },
                                   config_.store.path};
  inspect::HttpServer http_;
};

int run(const app::SidecarConfig& config) {
  auto context = app::set_up(config);
  if (!context) return app::fail(kProgram, app::kExitConfig, context.error().message);
  auto store = persist::LmdbSessionStore::open(config.store.path);
  if (!store) return app::fail(kProgram, 1, store.error().message);
  auto contents = app::load_with_infos(**store);
  if (!contents) return app::fail(kProgram, 1, contents.error().message);

  const auto token = inspect::Token::load_or_make(config.inspect.token, ::geteuid());
  if (!token) return app::fail(kProgram, app::kExitConfig, token.error().message);

  Sidecar sidecar(config, *std::move(context), **store, *token);
  if (auto started = sidecar.start(*contents); !started)
    return app::fail(kProgram, 1, started.error().message);
  *contents = {};
  sidecar.run();
  app::flush_log();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto config = rollcall::app::sidecar_config(argc, argv, kProgram);
  return config ? run(*config) : config.error();
}
