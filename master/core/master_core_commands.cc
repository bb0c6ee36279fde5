// Commands to agents: where agents are, and what an operator asks for.
#include <algorithm>
#include <map>
#include <utility>

#include "master/core/master_core.h"

namespace rollcall::master {
namespace {

// How many of them a line of the log names.
constexpr std::size_t kNamed = 20;

std::string version_of(const AgentRecord& record) {
  if (!record.info) return {};
  const auto found = record.info->find("version");
  return found == record.info->end() ? std::string() : std::string(found->second);
}

std::string failures_of(const CommandReport& report) {
  std::string out;
  for (std::size_t i = 0; i < std::min(report.failed.size(), kNamed); ++i) {
    const auto& f = report.failed[i];
    out += (out.empty() ? "" : ", ") + std::to_string(static_cast<std::uint32_t>(f.agent)) + " " +
           std::string(to_string(f.end));
  }
  if (report.failed.size() > kNamed)
    out += " and " + std::to_string(report.failed.size() - kNamed) + " more";
  return out;
}

}  // namespace

// The one place that says whether an agent can be told something now, and by whom.
Place MasterCore::where(AgentId agent, const Now& now) const {
  Place place;
  const AgentRecord* r = state_.find(agent);
  if (!r || !r->has_session()) return place;
  place.end = CommandEnd::disconnected;
  place.node = r->top.node;
  place.epoch = r->top.epoch;
  place.version = version_of(*r);
  place.version_comes = place.version.empty() && r->info_missing();
  if (contested(agent, now)) {
    place.end = CommandEnd::contested;
  } else if (r->phase == Phase::released || state_.status_of(*r) == AgentStatus::migrating) {
    place.kind = Place::Kind::later;
    place.end = CommandEnd::migrating;
  } else if (state_.status_of(*r) != AgentStatus::disconnected) {
    const ConnId conn = conn_of(r->top.node);
    if (conn == ConnId{}) {
      place.kind = Place::Kind::later;
      place.end = CommandEnd::unreachable;
    } else if (conns_.at(conn).takes_commands) {
      place.kind = Place::Kind::here;
    } else {
      place.end = CommandEnd::no_commands;
    }
  }
  return place;
}

std::expected<Output, CommandRefused> MasterCore::command(CommandRequest request, const Now& now) {
  if (request.all) {
    request.agents.clear();
    for (const auto& [agent, record] : state_.agents()) {
      if (record.phase == Phase::released || state_.status_of(record) != AgentStatus::disconnected)
        request.agents.push_back(agent);
    }
  }
  Output out;
  const CommandId id = request.id;
  const std::size_t agents = request.agents.size();
  const std::string kind(to_string(request.kind));
  switch (commands_.begin(std::move(request), now)) {
    case Commands::Begun::conflict:
      return std::unexpected(CommandRefused{
          CommandRefused::Why::conflict,
          "the id '" + id + "' was given to another command: the same id asks for the same thing"});
    case Commands::Begun::busy:
      return std::unexpected(
          CommandRefused{CommandRefused::Why::busy,
                         "as many commands run as may at a time; ask again with the same id"});
    case Commands::Begun::joined:
      break;
    case Commands::Begun::started:
      note(out, NoteLevel::info, "a command to agents is asked for",
           {{"command", id}, {"kind", kind}, {"agents", std::to_string(agents)}});
      break;
  }
  return finish(now, std::move(out));
}

void MasterCore::on(ConnId, Conn& conn, const Result& m, const Now&, Output&) {
  commands_.result(conn.node, m);
}

// What rests on a decision waits until that is durable, as all that is said.
void MasterCore::tell_commands(const Now& now, Output& out) {
  auto orders = commands_.advance([&](AgentId agent) { return where(agent, now); }, now);
  for (auto& [node, command] : orders.send) say(conn_of(node), std::move(command));
  for (CommandReportPtr& report : orders.ended) {
    note(out, report->failed.empty() ? NoteLevel::info : NoteLevel::warning,
         "a command to agents has ended",
         {{"command", report->id},
          {"kind", std::string(to_string(report->kind))},
          {"affected", std::to_string(report->affected.size())},
          {"failed", std::to_string(report->failed.size())},
          {"why", failures_of(*report)}});
    out.reports.push_back(std::move(report));
  }
}

}  // namespace rollcall::master
