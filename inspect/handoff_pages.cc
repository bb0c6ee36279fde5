// The sidecar's page about handoff: how far a drain has come, and what became of each offer.
#include <algorithm>
#include <memory>

#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

using sidecar::AgentState;
using sidecar::Drain;
using sidecar::DrainProgress;
using sidecar::Handoff;
using End = sidecar::Handoff::End;

struct Row {
  AgentId agent{};
  Handoff handoff;
  MasterTime made, ended;
  std::int64_t grace_left_us = 0;
};

struct Handoffs {
  std::optional<Drain> drain;
  std::int64_t drained_for_us = 0;
  DrainProgress progress;
  std::uint64_t asked = 0;
  bool manager_gone = false;
  std::vector<Row> rows;
  bool more = false;
};

Json drain_json(const Handoffs& f) {
  if (!f.drain) return nullptr;
  Json taken = Json::object();
  for (const auto& [node, agents] : f.progress.taken) taken[node] = agents;
  return {{"for_us", f.drained_for_us},        {"grace_us", f.drain->grace_us},
          {"move_per_s", f.drain->move_per_s}, {"left", f.progress.left()},
          {"waiting", f.progress.waiting},     {"offered", f.progress.offered},
          {"stayed", f.progress.stayed},       {"taken", std::move(taken)},
          {"expired", f.progress.expired}};
}

Json row_json(const Row& row) {
  const Handoff& h = row.handoff;
  const bool over = h.end == End::over || h.end == End::none;
  return {{"agent", id_of(row.agent)},
          {"cause", to_string(h.cause)},
          {"offered", row.made.us},
          {"grace_us", h.grace_us},
          {"left_us", h.end == End::none ? Json(row.grace_left_us) : Json(nullptr)},
          {"left_because", h.left == Reason::none ? Json(nullptr) : Json(to_string(h.left))},
          {"end", h.end == End::none ? Json(nullptr) : Json(to_string(h.end))},
          {"ended", over ? Json(nullptr) : Json(row.ended.us)},
          {"to", or_null(h.to)}};
}

// Loop thread. The newest offer of each agent, behind `after`, in the order of the agents.
Handoffs find(const SidecarView& view, std::optional<End> end, const Paging& page) {
  const auto& core = view.driver.core();
  const auto& tracker = core.tracker();
  const auto& timeline = core.timeline();
  const Now now = view.clock.now();
  Handoffs f;
  f.drain = tracker.drain();
  if (f.drain) f.drained_for_us = std::max<std::int64_t>(0, timeline.since_us(f.drain->since, now));
  f.progress = tracker.drain_progress();
  f.asked = core.status(now).moves_asked;
  f.manager_gone = tracker.manager_gone();
  std::vector<AgentId> ids;
  for (const auto& [agent, state] : tracker.agents()) {
    if (!state.handoff || id_of(agent) <= page.after) continue;
    if (!end || state.handoff->end == *end) ids.push_back(agent);
  }
  f.more = ids.size() > page.limit;
  const auto taken = static_cast<std::ptrdiff_t>(std::min<std::size_t>(ids.size(), page.limit));
  std::ranges::partial_sort(ids, ids.begin() + taken);
  ids.resize(static_cast<std::size_t>(taken));
  for (const AgentId agent : ids) {
    const Handoff& h = *tracker.agents().at(agent).handoff;
    f.rows.push_back({agent, h, timeline.at(h.made, now), timeline.at(h.ended, now),
                      sidecar::grace_left_us(h.made, h.grace_us, timeline, now)});
  }
  return f;
}

Response shown(const Handoffs& f) {
  Json list = Json::array();
  for (const Row& row : f.rows) list.push_back(row_json(row));
  return json({{"drain", drain_json(f)},
               {"asked_to_move", f.asked},
               {"manager_gone", f.manager_gone},
               {"next_after", f.more ? Json(id_of(f.rows.back().agent)) : Json(nullptr)},
               {"handoffs", std::move(list)}});
}

}  // namespace

void add_handoff_page(HttpServer& server, Post post, SidecarView view) {
  server.route("GET", "/handoffs", [post, view](const Request& request) {
    Paging page;
    std::optional<End> end;
    auto parameters = paging(page);
    parameters.push_back(one_of<End>("end", end,
                                     {{"none", End::none},
                                      {"stayed", End::stayed},
                                      {"withdrawn", End::withdrawn},
                                      {"taken", End::taken},
                                      {"expired", End::expired},
                                      {"over", End::over}}));
    if (auto refused = read_parameters(request, parameters)) return *std::move(refused);
    return answered(
        post, [&view, end, page] { return find(view, end, page); }, shown);
  });
}

}  // namespace rollcall::inspect
