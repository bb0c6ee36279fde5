// The master's /metrics. The loop is asked for a copy of its numbers, and the text is made of it
// here.
#include <array>
#include <map>
#include <utility>

#include "inspect/daemon_metrics.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

using master::LeaseStatus;
using master::MasterCore;
using master::Migrations;
using master::SinkCore;
using master::SinkMode;

struct WorkerFigures {
  NodeName name;
  master::State::Counts agents;
  MasterCore::NodeStatus status;
  std::size_t open_sessions = 0;
  MasterCore::Counters::OfNode counters;
  app::MasterDriver::Measured::OfNode measured;
};

// What the loop says at one moment.
struct MasterFigures {
  bool ready = false;
  std::size_t agents = 0, in_doubt = 0, connections = 0, frozen = 0;
  master::State::Counts counts;
  MasterCore::Counters counters;
  std::vector<WorkerFigures> workers;
  Migrations::Tally migrations;
  std::size_t migrations_under_way = 0;
  std::uint64_t feed_last = 0;
  master::Commands::Status commands;
  net::TlsListener::Counters listener;
  std::optional<SinkCore::Status> sink;
  DurationCounts ack_times;
  // A copy costs little; which of them are contested is found out by whoever makes the text.
  master::Moves moves;
  MasterTime now;
  DaemonMetrics daemon;
};

std::vector<WorkerFigures> worker_figures_of(const MasterView& view, const Now& now) {
  const MasterCore& core = view.driver.core();
  const auto& counters = core.counters().nodes;
  const auto& measured = view.driver.measured().nodes;
  std::vector<WorkerFigures> all;
  for (const auto& [name, log] : core.state().nodes()) {
    const auto counted = counters.find(name);
    const auto its = measured.find(name);
    all.push_back({name, master::State::counts_of(log), core.node_status(name, now),
                   log.open.size(),
                   counted == counters.end() ? MasterCore::Counters::OfNode{} : counted->second,
                   its == measured.end() ? app::MasterDriver::Measured::OfNode{} : its->second});
  }
  return all;
}

MasterFigures figures_of(const MasterView& view) {
  auto& core = view.driver.core();
  const Now now = view.clock.now();
  MasterFigures m;
  m.ready = core.ready();
  m.agents = core.state().agents().size();
  m.in_doubt = core.in_doubt();
  m.connections = core.connections();
  m.frozen = core.state().frozen().size();
  m.counts = core.state().counts();
  m.counters = core.counters();
  m.workers = worker_figures_of(view, now);
  m.migrations = core.state().migrations().tally();
  m.migrations_under_way = core.state().migrations().under_way();
  m.feed_last = core.feed().last();
  m.commands = core.commands();
  m.listener = view.listener();
  if (view.sink) m.sink = view.sink().status();
  m.ack_times = view.driver.measured().ack_times;
  m.moves = core.state().feed().moves();
  if (m.ready) m.now = core.time(now);
  m.daemon = {view.version, view.log_directory, !view.driver.log_error().empty(),
              view.commits ? view.commits() : DurationCounts{},
              view.upkeep ? view.upkeep() : Upkeep{}};
  return m;
}

void add_agents(MetricsText& text, const MasterFigures& m) {
  const std::string name = "rollcall_master_agents", help = "Agents known, by status";
  const auto add = [&](const char* status, std::size_t n) {
    text.gauge(name, help, number(n), {{"status", status}});
  };
  add("active", m.counts.active);
  add("migrating", m.counts.migrating);
  add("unreachable", m.counts.unreachable);
  add("disconnected", m.counts.disconnected);
  text.gauge("rollcall_master_agents_in_doubt", "Agents whose worker was asked to confirm them",
             number(m.in_doubt));
  std::size_t contested = 0;
  for (auto it = m.moves.agents().begin(); it != m.moves.agents().end(); ++it) {
    contested += m.moves.contested((*it).first, m.now) ? 1u : 0u;
  }
  text.gauge("rollcall_master_agents_contested",
             "Agents that change their worker so often that perhaps two share a key",
             number(contested));
}

void add_decisions(MetricsText& text, const MasterFigures& m) {
  const auto& c = m.counters;
  text.counter("rollcall_master_deltas_total", "Messages with events", number(c.frames));
  text.counter("rollcall_master_events_total", "Events that workers told", number(c.events));
  text.counter("rollcall_master_events_duplicate_total",
               "Events that came again and were dropped by their number", number(c.duplicates));
  for_all(Rule::first, Rule::contact, [&](Rule rule) {
    const auto n = c.by_rule.find(to_string(rule));
    text.counter("rollcall_master_decisions_total", "Events decided, by rule",
                 n == c.by_rule.end() ? 0 : number(n->second),
                 {{"rule", std::string(to_string(rule))}});
  });
  text.counter("rollcall_master_superseded_sent_total",
               "Agents of which workers were told that they lost them", number(c.superseded_sent));
  text.counter("rollcall_master_challenges_sent_total",
               "Agents of which workers were asked for newer evidence", number(c.challenges_sent));
  const auto inventories = [&](const char* result, std::uint64_t n) {
    text.counter("rollcall_master_inventories_total", "Inventories, by what became of them",
                 number(n), {{"result", result}});
  };
  inventories("full", c.inventories_full);
  inventories("partial", c.inventories_partial);
  inventories("refused", c.inventories_refused);
  text.histogram("rollcall_master_ack_duration_seconds",
                 "From the receipt of events to their ACK, the disk's time included", m.ack_times);
}

void add_connections(MetricsText& text, const MasterFigures& m) {
  text.gauge("rollcall_master_ready", "1 if workers are let in", m.ready ? 1 : 0);
  text.gauge("rollcall_master_connections", "Connections of workers", number(m.connections));
  text.counter("rollcall_master_connections_refused_total",
               "Connections refused for what they said behind a valid certificate",
               number(m.counters.refused_connections));
  text.counter("rollcall_master_protocol_errors_total", "Messages that broke the protocol",
               number(m.counters.protocol_errors));
  const auto handshakes = [&](const char* result, std::uint64_t n) {
    text.counter("rollcall_master_handshakes_total", "Handshakes, by what became of them",
                 number(n), {{"result", result}});
  };
  handshakes("accepted", m.listener.accepted);
  handshakes("over_limit", m.listener.over_limit);
  handshakes("over_address", m.listener.over_address);
  handshakes("gave_way", m.listener.gave_way);
  handshakes("too_slow", m.listener.too_slow);
  handshakes("failed", m.listener.failed);
  text.gauge("rollcall_master_expiry_freezes", "Orders that no lease expires for a while",
             number(m.frozen));
}

void add_migrations(MetricsText& text, const MasterFigures& m) {
  for_all(Migrations::End::released, Migrations::End::overtaken, [&](Migrations::End end) {
    text.counter("rollcall_master_migrations_total",
                 "Moves of agents between workers that are over, by how they ended",
                 number(m.migrations.ends[std::to_underlying(end)]),
                 {{"end", std::string(to_string(end))}});
  });
  text.gauge("rollcall_master_migrations_under_way", "Moves that are not over",
             number(m.migrations_under_way));
  text.histogram("rollcall_master_migration_gap_seconds",
                 "How long agents that moved were nowhere, as far as is known", m.migrations.gaps);
}

void add_commands(MetricsText& text, const MasterFigures& m) {
  text.counter("rollcall_master_commands_total", "Commands to agents that were begun",
               number(m.commands.commands));
  text.gauge("rollcall_master_commands_running", "Commands under way", number(m.commands.running));
  text.gauge("rollcall_master_command_agents_waiting", "Agents of these without an end",
             number(m.commands.waiting));
  for_all(master::CommandEnd::sent, master::CommandEnd::no_answer, [&](master::CommandEnd end) {
    text.counter("rollcall_master_command_agents_total",
                 "Agents that were to be told something, by how it ended",
                 count_of(m.commands.ends, end), {{"end", std::string(to_string(end))}});
  });
}

void add_sink(MetricsText& text, const SinkCore::Status& s) {
  text.state(
      "rollcall_sink_mode", "1 for what the sink does with Wazuh's own table", "mode",
      to_string(s.mode),
      {to_string(SinkMode::off), to_string(SinkMode::observe), to_string(SinkMode::correct)});
  text.gauge("rollcall_sink_stopped", "1 while it cannot do so", s.error.empty() ? 0 : 1);
  text.counter("rollcall_sink_rounds_total", "Readings of the table", number(s.rounds));
  text.counter("rollcall_sink_failures_total", "Readings that failed", number(s.failures));
  const auto corrections = [&](const char* result, std::uint64_t n) {
    text.counter("rollcall_sink_corrections_total", "Corrections, by what became of them",
                 number(n), {{"result", result}});
  };
  corrections("written", s.written);
  corrections("observed", s.observed);
  corrections("refused", s.refused);
  text.gauge("rollcall_sink_rows", "Rows of the last reading", number(s.rows));
  text.gauge("rollcall_sink_rows_differing", "Those of them that differ from what was decided",
             number(s.differing));
  for_all(master::Withheld{0}, master::kLastWithheld, [&](master::Withheld why) {
    text.gauge("rollcall_sink_rows_withheld", "Those that are left as they are, by why",
               count_of(s.withheld, why), {{"reason", std::string(to_string(why))}});
  });
  text.gauge("rollcall_sink_round_seconds", "How long the last reading took",
             seconds_of(s.round_us));
}

void add_state(MetricsText& text, const WorkerFigures& w) {
  const MetricsText::Labels node{{"node", w.name}};
  const auto agents = [&](const char* status, std::size_t n) {
    text.gauge("rollcall_worker_agents",
               "Agents whose newest session is an open one of this worker, by status", number(n),
               {{"node", w.name}, {"status", status}});
  };
  agents("active", w.agents.active);
  agents("migrating", w.agents.migrating);
  agents("unreachable", w.agents.unreachable);
  agents("disconnected", w.agents.disconnected);
  text.gauge("rollcall_worker_connected", "1 while it is connected", w.status.connected ? 1 : 0,
             node);
  text.state("rollcall_worker_lease", "1 for what its lease is", "status",
             to_string(w.status.lease.status),
             {to_string(LeaseStatus::valid), to_string(LeaseStatus::lapsed),
              to_string(LeaseStatus::held), to_string(LeaseStatus::expired)},
             node);
  text.state(
      "rollcall_worker_agreement", "1 for how its table compared with the master's last", "state",
      to_string(w.status.agreement),
      {to_string(Agreement::unknown), to_string(Agreement::equal), to_string(Agreement::differs)},
      node);
  text.gauge("rollcall_worker_blind", "1 while it cannot look at its agents",
             w.status.connected && w.status.blind ? 1 : 0, node);
  text.gauge("rollcall_worker_open_sessions", "Sessions that it left open", number(w.open_sessions),
             node);
  text.gauge("rollcall_worker_silent_seconds",
             "Since when nothing was heard on its connection; 0 without one",
             w.status.connected ? seconds_of(w.status.silent_for_us) : 0, node);
}

void add_counters(MetricsText& text, const WorkerFigures& w) {
  const MetricsText::Labels node{{"node", w.name}};
  const auto with = [&](const char* label, std::string_view value) {
    return MetricsText::Labels{{"node", w.name}, {label, std::string(value)}};
  };
  const auto& c = w.counters;
  text.counter("rollcall_worker_events_total", "Events that it told", number(c.events), node);
  text.counter("rollcall_worker_acks_total", "ACKs that it was sent", number(w.measured.acks),
               node);
  for (const Rule rule : {Rule::older, Rule::duplicate, Rule::conflict, Rule::future_epoch}) {
    text.counter("rollcall_worker_refused_total",
                 "Events of this worker that were refused, by rule", count_of(c.rules, rule),
                 with("rule", to_string(rule)));
  }
  for_all(master::Cause::missed_open, master::kLastCause, [&](master::Cause cause) {
    text.counter("rollcall_worker_repairs_total",
                 "What inventories and the master itself put right, by cause",
                 count_of(c.repairs, cause), with("cause", to_string(cause)));
  });
  const auto digests = [&](const char* result, std::uint64_t n) {
    text.counter("rollcall_worker_digests_total", "Digests compared, by result", number(n),
                 with("result", result));
  };
  digests("equal", c.digests_equal);
  digests("differ", c.digests_differ);
  text.counter("rollcall_worker_received_bytes_total", "Messages of this worker, before TLS",
               number(w.measured.traffic.received), node);
  text.counter("rollcall_worker_sent_bytes_total", "Messages to this worker, before TLS",
               number(w.measured.traffic.sent), node);
}

}  // namespace

void add_master_metrics(HttpServer& server, Post post, MasterView view) {
  add_page(server, "/metrics", [&server, post = std::move(post), view = std::move(view)] {
    return answered(
        post, [&view] { return figures_of(view); },
        [&](const MasterFigures& m) {
          MetricsText text;
          add_daemon_metrics(text, m.daemon);
          if (view.log_limit_bytes > 0) {
            text.gauge("rollcall_master_log_limit_bytes", "[store] max_size",
                       number(view.log_limit_bytes));
          }
          add_connections(text, m);
          add_agents(text, m);
          add_decisions(text, m);
          add_migrations(text, m);
          add_commands(text, m);
          text.counter("rollcall_master_feed_entries_total",
                       "The number of the newest entry of the feed", number(m.feed_last));
          text.gauge("rollcall_master_feed_streams",
                     "Streams that are read, and requests that wait for news",
                     number(server.streams()));
          if (m.sink) add_sink(text, *m.sink);
          for (const WorkerFigures& worker : m.workers) {
            add_state(text, worker);
            add_counters(text, worker);
          }
          return text.response();
        });
  });
}

}  // namespace rollcall::inspect
