// The sidecar's /metrics. The loop is asked for a copy of its numbers, and the text is made of it
// here.
#include <utility>

#include "inspect/daemon_metrics.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

using sidecar::SidecarCore;

// What the loop says at one moment.
struct SidecarFigures {
  SidecarCore::Status core;
  SourceStatus source;
  app::SidecarDriver::Measured measured;
  sidecar::AgentCommands::Status commands;
  std::size_t agents = 0, open_sessions = 0, missing = 0;
  bool drained = false;
  DaemonMetrics daemon;
};

SidecarFigures figures_of(const SidecarView& view) {
  const auto& core = view.driver.core();
  const auto& tracker = core.tracker();
  return {
      core.status(view.clock.now()),
      view.source(),
      view.driver.measured(),
      core.commands(),
      tracker.agents().size(),
      tracker.open_sessions(),
      tracker.missing(),
      tracker.drain().has_value(),
      {view.version, view.store_directory, !view.driver.store_error().empty(),
       view.commits ? view.commits() : DurationCounts{}, view.upkeep ? view.upkeep() : Upkeep{}}};
}

void add_agents(MetricsText& text, const SidecarFigures& m) {
  text.gauge("rollcall_sidecar_agents", "Agents known here", number(m.agents));
  text.gauge("rollcall_sidecar_open_sessions", "Agents that are connected here",
             number(m.open_sessions));
  text.gauge("rollcall_sidecar_agents_missing", "Agents that the source does not show any more",
             number(m.missing));
  text.gauge("rollcall_sidecar_drained", "1 while this worker is emptied", m.drained ? 1 : 0);
}

void add_backlog(MetricsText& text, const SidecarFigures& m) {
  text.gauge("rollcall_sidecar_unacked_events", "Events that the master has not acked",
             number(m.core.unacked));
  text.gauge("rollcall_sidecar_unsent_events", "Those of them that were not sent yet",
             number(m.core.unsent));
  text.gauge("rollcall_sidecar_oldest_unacked_seconds", "The age of the oldest; 0 if there is none",
             seconds_of(m.core.oldest_unacked_us.value_or(0)));
  text.gauge("rollcall_sidecar_backlog_bytes", "What the unacked events take in the store",
             number(m.core.backlog_bytes));
  text.counter("rollcall_sidecar_folded_events_total",
               "Events that were left out since newer ones stand for them", number(m.core.folded));
}

void add_link(MetricsText& text, const SidecarFigures& m) {
  const auto state = [](SidecarCore::Link link) {
    return link == SidecarCore::Link::down       ? "down"
           : link == SidecarCore::Link::greeting ? "greeting"
                                                 : "streaming";
  };
  text.state("rollcall_sidecar_link", "1 for what the link to the master is", "state",
             state(m.core.link),
             {state(SidecarCore::Link::down), state(SidecarCore::Link::greeting),
              state(SidecarCore::Link::streaming)});
  text.counter("rollcall_sidecar_received_bytes_total", "Messages of the master, before TLS",
               number(m.measured.traffic.received));
  text.counter("rollcall_sidecar_sent_bytes_total", "Messages to the master, before TLS",
               number(m.measured.traffic.sent));
  text.counter("rollcall_sidecar_acks_total", "ACKs of the master", number(m.measured.acks));
  text.histogram("rollcall_sidecar_ack_duration_seconds", "From the sending of events to their ACK",
                 m.measured.ack_times);
  text.gauge("rollcall_sidecar_lease_left_seconds",
             "How long the lease runs without another word; 0 if that is not known",
             seconds_of(m.core.lease_us.value_or(0)));
  const auto answers = [&](const char* answer, std::uint64_t n) {
    text.counter("rollcall_sidecar_answers_total", "What the master answered about agents, by kind",
                 number(n), {{"answer", answer}});
  };
  answers("superseded", m.core.superseded);
  answers("challenged", m.core.challenged);
  answers("future_epoch", m.core.future_epoch);
  answers("need_info", m.core.need_info);
}

void add_agreement(MetricsText& text, const SidecarFigures& m) {
  const auto& r = m.core.reconciliation;
  text.state(
      "rollcall_sidecar_agreement", "1 for how this table compared with the master's last", "state",
      to_string(r.agreement),
      {to_string(Agreement::unknown), to_string(Agreement::equal), to_string(Agreement::differs)});
  const auto inventories = [&](const char* kind, std::uint64_t n) {
    text.counter("rollcall_sidecar_inventories_total", "Inventories that were sent, by kind",
                 number(n), {{"kind", kind}});
  };
  inventories("full", r.full_inventories);
  inventories("partial", r.partial_inventories);
  text.counter("rollcall_sidecar_digests_asked_total", "Digests of parts that the master asked for",
               number(r.digests_sent));
  text.gauge("rollcall_sidecar_clock_known", "1 if the master's time is known",
             m.core.clock_known ? 1 : 0);
  if (!m.core.clock_known) return;
  text.gauge("rollcall_sidecar_clock_offset_seconds", "The master's time less this machine's",
             seconds_of(m.core.clock_offset_us));
  text.gauge("rollcall_sidecar_clock_error_seconds", "By how much that may be wrong, either way",
             seconds_of(m.core.clock_error_us));
}

void add_source(MetricsText& text, const SidecarFigures& m) {
  text.gauge("rollcall_sidecar_source_connected", "1 while the source is connected",
             m.source.connected ? 1 : 0);
  text.counter("rollcall_sidecar_source_looks_total", "Looks at the source",
               number(m.source.looks));
  text.counter("rollcall_sidecar_source_failures_total",
               "Looks that failed; of an events source, lines that were refused",
               number(m.source.failures));
  text.histogram("rollcall_sidecar_source_look_seconds", "How long looks at the source took",
                 m.measured.looks);
  text.gauge("rollcall_sidecar_source_rows", "Rows of the last look", number(m.source.last_rows));
  text.gauge("rollcall_sidecar_source_unreadable_rows", "Rows that could not be understood",
             number(m.source.unreadable));
}

void add_commands(MetricsText& text, const SidecarFigures& m) {
  text.counter("rollcall_sidecar_commands_total", "Messages with commands to agents",
               number(m.commands.commands));
  text.gauge("rollcall_sidecar_command_agents_waiting", "Agents of these that have no answer yet",
             number(m.commands.waiting));
  for_all(CommandOutcome::sent, CommandOutcome::uncertain, [&](CommandOutcome outcome) {
    text.counter("rollcall_sidecar_command_agents_total",
                 "Agents that were to be told something, by outcome",
                 count_of(m.commands.outcomes, outcome),
                 {{"outcome", std::string(to_string(outcome))}});
  });
}

}  // namespace

void add_sidecar_metrics(HttpServer& server, Post post, SidecarView view) {
  add_page(server, "/metrics", [post = std::move(post), view = std::move(view)] {
    return answered(
        post, [&view] { return figures_of(view); },
        [](const SidecarFigures& m) {
          MetricsText text;
          add_daemon_metrics(text, m.daemon);
          add_agents(text, m);
          add_backlog(text, m);
          add_link(text, m);
          add_agreement(text, m);
          add_source(text, m);
          add_commands(text, m);
          return text.response();
        });
  });
}

}  // namespace rollcall::inspect
