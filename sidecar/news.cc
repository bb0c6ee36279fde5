#include "sidecar/news.h"

#include <utility>

#include "app/ports.h"
#include "app/random.h"
#include "app/stored_infos.h"
#include "sidecar/event_port.h"
#include "sidecar/source/event_socket.h"
#include "sidecar/source/wazuh_db_source.h"

namespace rollcall::sidecar {
namespace {

WazuhDbSource::Options options_of(const app::SidecarConfig::Source& source) {
  WazuhDbSource::Options options;
  options.socket_path = source.wazuh_db;
  options.client_keys_path = source.wazuh_home + "/etc/client.keys";
  options.config_path = source.wazuh_home + "/etc/ossec.conf";
  options.remoted_path = source.wazuh_home + "/queue/sockets/remote";
  options.poll = source.poll;
  options.scan = source.scan;
  options.keepalive = source.keepalive;
  options.seed = app::random_seed();
  if (source.only_node_name) options.only_node_name = source.node_name;
  return options;
}

WazuhDbSource::Events events_to(app::SidecarDriver& driver, const WazuhDbSource& source) {
  WazuhDbSource::Events events;
  events.on_look = [&](const Look& look) { driver.look(look); };
  events.on_look_failed = [&](const std::string&) {
    driver.look_failed(source.gone() ? SidecarCore::Manager::gone
                                     : SidecarCore::Manager::maybe_there);
  };
  events.on_info = [&](AgentId agent, const AgentInfo& info) { driver.info_read(agent, info); };
  events.on_note = app::log_note;
  return events;
}

EventSocket::Options options_of(const app::SidecarConfig::Source& source,
                                const app::SidecarConfig::Limits& limits) {
  EventSocket::Options options;
  options.path = source.events_socket;
  options.connections = limits.event_connections;
  options.line_bytes = limits.event_line;
  options.waiting = limits.event_waiting;
  return options;
}

class Tables final : public News, public app::SidecarDriver::Source {
 public:
  Tables(const app::SidecarConfig& config, net::Loop& loop, app::Clock& clock,
         app::SidecarDriver& driver)
      : driver_(driver),
        source_(loop, clock, options_of(config.source), events_to(driver, source_)) {}
  app::SidecarDriver::Source& infos() override { return *this; }
  void read_info(const std::vector<AgentId>& agents) override { source_.read_info(agents); }
  void given_up(AgentId agent) override { source_.given_up(agent); }
  std::expected<void, Error> start() override {
    const auto& agents = driver_.core().tracker().agents();
    std::vector<Row> rows;
    for (const auto& [id, state] : agents) {
      if (state.row) rows.push_back(*state.row);
    }
    source_.remember(rows);
    for (const auto& [id, state] : agents) {
      if (state.session && state.session->phase == Phase::released) source_.given_up(id);
    }
    source_.start();
    return {};
  }
  void stop() override { source_.stop(); }
  void set_intervals(const app::SidecarConfig::Source& source) override {
    source_.set_intervals(source.poll, source.scan);
  }

  inspect::SourceStatus status() const override {
    const auto s = source_.status();
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
    if (s.own_rows) out.own_rows = {s.own_rows->refused, s.own_rows->held, s.own_rows->hidden};
    out.failures = s.failures;
    out.last_error = s.failing ? s.last_error : "";
    return out;
  }

 private:
  app::SidecarDriver& driver_;
  WazuhDbSource source_;
};

class Socket final : public News {
 public:
  Socket(const app::SidecarConfig& config, net::Loop& loop, app::Clock& clock,
         app::DiskThread& disk, persist::SessionStore& store, app::SidecarDriver& driver)
      : infos_(loop, disk, store),
        port_(driver),
        socket_(loop, clock, options_of(config.source, config.limits), port_, app::log_note) {
    infos_.attach(driver);
    driver.on_stored([this](std::uint64_t ticket) { socket_.stored(ticket); });
  }
  app::SidecarDriver::Source& infos() override { return infos_; }
  std::expected<void, Error> start() override { return socket_.start(); }
  void stop() override { socket_.stop(); }

  inspect::SourceStatus status() const override {
    const auto s = socket_.status();
    inspect::SourceStatus out;
    out.by_looks = false;
    out.connected = s.connections > 0;
    out.last_rows = s.lines;
    out.failures = s.refused;
    out.last_error = s.last_refusal;
    return out;
  }

 private:
  app::StoredInfos infos_;
  EventPort port_;
  EventSocket socket_;
};

}  // namespace

std::unique_ptr<News> make_news(const app::SidecarConfig& config, net::Loop& loop,
                                app::Clock& clock, app::DiskThread& disk,
                                persist::SessionStore& store, app::SidecarDriver& driver) {
  if (config.source.type == app::SidecarConfig::SourceType::Events)
    return std::make_unique<Socket>(config, loop, clock, disk, store, driver);
  return std::make_unique<Tables>(config, loop, clock, driver);
}

}  // namespace rollcall::sidecar
