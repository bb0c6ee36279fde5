// rollcall-master: reads the configuration, builds everything, wires it. No logic.
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/config.h"
#include "app/daemon.h"
#include "app/file_limit.h"
#include "app/huge_pages.h"
#include "app/logging.h"
#include "app/master_driver.h"
#include "app/ports.h"
#include "app/random.h"
#include "app/reload.h"
#include "inspect/http_server.h"
#include "inspect/pages.h"
#include "inspect/readiness.h"
#include "inspect/token.h"
#include "inspect/upkeep.h"
#include "master/sink/sink.h"
#include "net/loop.h"
#include "net/tls_stream.h"
#include "persist/file_event_log.h"

namespace {

using namespace rollcall;

const app::Program kProgram{
    "rollcall-master", "rollcall-master: what the workers say, decided, remembered and answered",
    ROLLCALL_VERSION, "/etc/rollcall/rollcall-master.ini"};

master::MasterCore::Config core_of(const app::MasterConfig& config, app::Clock& clock) {
  master::MasterCore::Config core;
  core.cluster = config.node.cluster;
  core.allow = config.allow;
  core.boot = app::boot_number(clock);
  core.heartbeat_us = config.timing.heartbeat.count();
  core.ttl_us = config.timing.ttl.count();
  core.grace_us = config.timing.grace.count();
  core.inventory_us = config.timing.inventory.count();
  core.inventory_differs_us = config.timing.inventory_differs.count();
  core.removed_retention_us = config.timing.keep_removed.count();
  core.keep_migrations = config.limits.migrations;
  core.max_inventories = config.limits.inventories;
  core.max_inventory_entries = config.limits.inventory_entries;
  return core;
}

app::MasterDriver::Options options_of(const app::MasterConfig& config,
                                      const persist::LogRecovery& recovery) {
  app::MasterDriver::Options options;
  options.snapshot_every = config.store.snapshot_every;
  options.since_snapshot = recovery.behind_snapshot();
  options.snapshot_every_bytes = config.store.max_size / 4;  // two, and what is between, must fit
  return options;
}

master::SinkCore::Config sink_of(const app::MasterConfig::Sink& config) {
  using Mode = app::MasterConfig::SinkMode;
  using Write = app::MasterConfig::SinkWrite;
  master::SinkCore::Config sink;
  sink.mode = config.mode == Mode::Off       ? master::SinkMode::off
              : config.mode == Mode::Observe ? master::SinkMode::observe
                                             : master::SinkMode::correct;
  sink.write = config.write == Write::Auto   ? master::SinkWrite::by_version
               : config.write == Write::Http ? master::SinkWrite::http
                                             : master::SinkWrite::stream;
  sink.every_us = config.every.count();
  sink.settle_us = config.settle.count();
  sink.node_names = config.node_names;
  sink.own_node = config.own_node;
  return sink;
}

net::TlsListener::Options listener_of(const app::MasterConfig& config) {
  net::TlsListener::Options options;
  options.address = config.listen.address.host;
  options.port = config.listen.address.port;
  options.max_connections = config.limits.max_connections;
  options.max_handshakes = config.limits.handshakes;
  options.max_per_address = config.limits.connections_per_address;
  return options;
}

inspect::HttpOptions http_of(const app::MasterConfig& config, const inspect::Token& token) {
  auto options = inspect::http_options(config.inspect, config.limits.http_connections, token);
  options.streams = config.limits.streams;
  return options;
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

class Master {
 public:
  Master(const app::MasterConfig& config, net::TlsContext context, persist::EventLog& log,
         const persist::LogRecovery& recovery, master::State state, const inspect::Token& token)
      : config_(config),
        context_(context),
        reloader_(config, std::move(context), app::TlsRole::master),
        log_(loop_, disk_, log, {config.store.retention, config.store.max_size}),
        driver_(core_of(config, clock_), options_of(config, recovery), std::move(state),
                recovery.torn_tail_dropped ? "the end of the log was torn" : "", app::random_seed(),
                clock_, log_, links_, app::log_note),
        sink_(loop_, sink_of(config.sink),
              {.socket_path = config.sink.wazuh_db,
               .http_socket_path = config.sink.wazuh_http,
               .seed = app::random_seed()},
              {[this] { return decided(); }, [this] { return clock_.now(); }, app::log_note}),
        http_(http_of(config, token)) {
    links_.attach(driver_);
    const auto post = [this](auto task) { return loop_.post(std::move(task)); };
    const inspect::MasterView view{
        driver_,
        clock_,
        ROLLCALL_VERSION,
        [this] { return listener_ ? listener_->counters() : net::TlsListener::Counters{}; },
        config.store.path,
        [this]() -> const master::SinkCore& { return sink_.core(); },
        config.limits.flapping,
        inspect::upkeep_of(reloader_),
        [this] { return log_.times(); },
        config.store.max_size};
    inspect::add_master_pages(http_, post, view);
    inspect::add_feed_pages(http_, post, view);
    inspect::add_log_page(http_, token);
    driver_.tell_each([] { return app::log_level() == app::Level::Debug; });
    inspect::add_master_actions(http_, post, driver_, token);
    inspect::add_master_commands(http_, post, driver_, token);
  }

  std::expected<void, Error> start(master::History history, master::Feed feed) {
    app::stop_on_signals(loop_);
    reloader_.start(loop_, [this](const auto& config, const auto& context, auto tls) {
      changed(config, context, tls);
    });
    driver_.remember(std::move(history));
    driver_.remember(std::move(feed));
    if (auto started = http_.start(); !started) return started;
    driver_.start();
    sink_.start();
    return {};
  }

  // The error is why nobody can connect.
  std::expected<void, Error> run() {
    app::run(
        loop_, service_,
        {.tick = [this] { tick(); }, .describe = [this] { return inspect::describe(driver_); }});
    reloader_.stop();
    driver_.stop();  // before those who wait for it
    http_.stop();
    sink_.stop();
    listener_.reset();
    links_.stop();
    disk_.stop();
    log_.stop();
    return std::move(listening_);
  }

 private:
  using Reloader = app::Reloader<app::MasterConfig>;

  void tick() {
    driver_.tick();
    if (driver_.ready()) sink_.tick();
    http_.news(driver_.core().feed().last());
    // Workers are let in once the time can be told: after the first commit.
    if (listener_ || !listening_ || !driver_.ready()) return;
    listening_ = listen();
    if (!listening_) loop_.stop();
  }

  void changed(const app::MasterConfig& config, const net::TlsContext& context, Reloader::Tls tls) {
    sink_.set_times(config.sink.every.count(), config.sink.settle.count());
    if (config.timing != timing_ || config.allow != allow_) {
      timing_ = config.timing;
      allow_ = config.allow;
      driver_.core().take_times(core_of(config, clock_));
      links_.close_all("the master's [timing] or [tls] allow was changed");  // told by WELCOME
    }
    if (tls == Reloader::Tls::kSame) return;
    context_ = context;
    if (listener_) listener_->set_context(context);
    links_.use(context);
  }

  // For the sink. A worker counts once both sides agreed on its sessions, as long as it sees them.
  master::DecidedView decided() {
    auto& core = driver_.core();
    const Now now = clock_.now();
    return {core.state(), core.time(now), core.counters().events,
            [&core, now](const NodeName& node) {
              const auto status = core.node_status(node, now);
              return status.connected && !status.blind &&
                     status.lease.status == master::LeaseStatus::valid &&
                     status.agreement == Agreement::equal;
            },
            [&core, now](AgentId agent) {
              const AgentRecord* record = core.state().find(agent);
              return core.in_doubt(agent) || core.contested(agent, now) ||
                     (record && core.state().status_of(*record) == master::AgentStatus::migrating);
            }};
  }

  std::expected<void, Error> listen() {
    auto made = net::TlsListener::listen(
        loop_, context_, listener_of(config_),
        {[this](std::unique_ptr<net::TlsStream> stream) { links_.accepted(std::move(stream)); },
         [](const std::string& address, const std::string& reason) {
           app::log(app::Level::Warn, "connection refused before it said who it is",
                    {{"peer", address}, {"why", reason}});
         }});
    if (!made) return std::unexpected(std::move(made).error());
    listener_ = std::move(*made);
    app::log(app::Level::Info, "ready",
             {{"version", ROLLCALL_VERSION},
              {"listen", app::to_text({config_.listen.address.host, listener_->port()})},
              {"inspect", app::to_text({config_.inspect.address.host, http_.port()})},
              {"agents", std::to_string(driver_.core().state().agents().size())}});
    service_.ready();
    reloader_.tell(service_);
    return {};
  }

  const app::MasterConfig& config_;
  app::Service service_ = app::Service::from_environment();
  net::TlsContext context_;
  app::SystemClock clock_;
  net::Loop loop_;
  Reloader reloader_;
  app::MasterConfig::Timing timing_ = config_.timing;  // that workers were told
  std::vector<std::string> allow_ = config_.allow;
  app::DiskThread disk_;
  app::DiskLog log_;
  app::TlsLinks links_;
  app::MasterDriver driver_;
  master::Sink sink_;
  std::unique_ptr<net::TlsListener> listener_;
  std::expected<void, Error> listening_;
  inspect::HttpServer http_;
};

int fail(const Error& error) {
  return app::fail(kProgram, 1, error.message);
}

int run(const app::MasterConfig& config) {
  auto context = app::set_up(config);
  if (!context) return app::fail(kProgram, app::kExitConfig, context.error().message);
  make_room_for_connections(config.limits);

  persist::LogRecovery recovery;
  auto log = persist::FileEventLog::open(config.store.path, {config.store.segment}, recovery);
  if (!log) return fail(log.error());
  if (!recovery.message.empty())
    app::log(app::Level::Warn, "the log was repaired", {{"what", recovery.message}});
  master::History history(config.limits.history);
  master::Feed feed(config.limits.feed);
  auto state = app::fold_log(**log, recovery, &history, &feed);
  if (!state) {
    return fail({"the log in " + config.store.path + ": " + state.error().message +
                 "; \"rollcall log verify " + config.store.path + "\" says more"});
  }
  const auto token = inspect::Token::load_or_make(config.inspect.token, ::geteuid());
  if (!token) return app::fail(kProgram, app::kExitConfig, token.error().message);

  Master master(config, *std::move(context), **log, recovery, *std::move(state), *token);
  if (auto started = master.start(std::move(history), std::move(feed)); !started)
    return fail(started.error());
  const auto ended = master.run();
  app::flush_log();
  return ended ? 0 : fail(ended.error());
}

}  // namespace

int main(int argc, char** argv) {
  rollcall::app::use_huge_pages(argv);
  const auto config = rollcall::app::master_config(argc, argv, kProgram);
  return config ? run(*config) : config.error();
}
