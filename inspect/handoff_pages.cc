// The sidecar's page about handoff: how far a drain has come, what became of each offer, and which
// agents came from other workers or went to them without one.
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
using sidecar::Move;
using End = sidecar::Handoff::End;

enum class Kind { offered, took, released };

// An offer, or a move without one.
struct Row {
  AgentId agent{};
  MasterTime at;
  std::optional<Handoff> handoff;
  std::optional<Move> move;
  MasterTime ended;
  std::int64_t grace_left_us = 0;
};

struct Filter {
  std::optional<Kind> kind;
  std::optional<End> end;  // of offers

  bool wants(const Handoff& h) const {
    return kind.value_or(Kind::offered) == Kind::offered && (!end || h.end == *end);
  }
  bool wants(const Move& m) const {
    const Kind is = m.kind == Move::Kind::took ? Kind::took : Kind::released;
    return !end && (!kind || is == *kind);
  }
  bool wants(const AgentState& state) const {
    return (state.handoff && wants(*state.handoff)) ||
           std::ranges::any_of(state.moves, [this](const Move& m) { return wants(m); });
  }
};

struct Handoffs {
  std::optional<Drain> drain;
  std::int64_t drained_for_us = 0;
  DrainProgress progress;
  sidecar::MovesAsked asked, asked_in_drain;
  bool manager_gone = false;
  std::vector<Row> rows;
  bool more = false;
};

Json drain_json(const Handoffs& f) {
  if (!f.drain) return nullptr;
  Json taken = Json::object();
  for (const auto& [node, agents] : f.progress.taken) taken[node] = agents;
  return {{"for_us", f.drained_for_us},
          {"grace_us", f.drain->grace_us},
          {"move_per_s", f.drain->move_per_s},
          {"left", f.progress.left()},
          {"waiting", f.progress.waiting},
          {"offered", f.progress.offered},
          {"stayed", f.progress.stayed},
          {"taken", std::move(taken)},
          {"expired", f.progress.expired},
          {"asked", f.asked_in_drain.taken},
          {"asked_failed", f.asked_in_drain.failed},
          {"asked_error", or_null(f.asked_in_drain.why)}};
}

Json row_json(const Row& row) {
  Json j{{"agent", id_of(row.agent)},
         {"kind", row.handoff ? "offered" : to_string(row.move->kind)},
         {"at", row.at.us}};
  const auto put = [&j](const char* name, Json value) { j[name] = std::move(value); };
  for (const char* name :
       {"cause", "offered", "grace_us", "left_us", "left_because", "end", "ended", "from", "to"})
    put(name, nullptr);
  if (!row.handoff) {
    put(row.move->kind == Move::Kind::took ? "from" : "to", row.move->node);
    return j;
  }
  const Handoff& h = *row.handoff;
  put("cause", to_string(h.cause));
  put("offered", row.at.us);
  put("grace_us", h.grace_us);
  if (h.end == End::none) put("left_us", row.grace_left_us);
  if (h.left != Reason::none) put("left_because", to_string(h.left));
  if (h.end != End::none) put("end", to_string(h.end));
  if (h.end != End::none && h.end != End::over) put("ended", row.ended.us);
  put("to", or_null(h.to));
  return j;
}

// In the order in which they were.
void add_rows(AgentId agent, const AgentState& state, const Filter& filter,
              const sidecar::Timeline& timeline, const Now& now, std::vector<Row>& out) {
  const auto first = static_cast<std::ptrdiff_t>(out.size());
  for (const Move& m : state.moves) {
    if (filter.wants(m)) out.push_back({agent, timeline.at(m.at, now), std::nullopt, m, {}, 0});
  }
  if (!state.handoff || !filter.wants(*state.handoff)) return;
  const Handoff& h = *state.handoff;
  Row row{agent,
          timeline.at(h.made, now),
          h,
          std::nullopt,
          timeline.at(h.ended, now),
          sidecar::grace_left_us(h.made, h.grace_us, timeline, now)};
  const auto later = std::ranges::lower_bound(out.begin() + first, out.end(), row.at, {}, &Row::at);
  out.insert(later, std::move(row));
}

// Loop thread. Of the agents behind `after`, in their order; `limit` counts agents.
Handoffs find(const SidecarView& view, const Filter& filter, const Paging& page) {
  const auto& core = view.driver.core();
  const auto& tracker = core.tracker();
  const auto& timeline = core.timeline();
  const Now now = view.clock.now();
  Handoffs f;
  f.drain = tracker.drain();
  if (f.drain) f.drained_for_us = std::max<std::int64_t>(0, timeline.since_us(f.drain->since, now));
  f.progress = tracker.drain_progress();
  const auto status = core.status(now);
  f.asked = status.moves;
  f.asked_in_drain = status.drain_moves;
  f.manager_gone = tracker.manager_gone();
  std::vector<AgentId> ids;
  for (const auto& [agent, state] : tracker.agents()) {
    if (id_of(agent) > page.after && filter.wants(state)) ids.push_back(agent);
  }
  f.more = ids.size() > page.limit;
  const auto taken = static_cast<std::ptrdiff_t>(std::min<std::size_t>(ids.size(), page.limit));
  std::ranges::partial_sort(ids, ids.begin() + taken);
  ids.resize(static_cast<std::size_t>(taken));
  for (const AgentId agent : ids)
    add_rows(agent, tracker.agents().at(agent), filter, timeline, now, f.rows);
  return f;
}

Response shown(const Handoffs& f) {
  Json list = Json::array();
  for (const Row& row : f.rows) list.push_back(row_json(row));
  return json({{"drain", drain_json(f)},
               {"asked_to_move", f.asked.taken},
               {"asked_failed", f.asked.failed},
               {"manager_gone", f.manager_gone},
               {"next_after", f.more ? Json(id_of(f.rows.back().agent)) : Json(nullptr)},
               {"handoffs", std::move(list)}});
}

}  // namespace

void add_handoff_page(HttpServer& server, Post post, SidecarView view) {
  server.route("GET", "/handoffs", [post, view](const Request& request) {
    Paging page;
    Filter filter;
    auto parameters = paging(page);
    parameters.push_back(one_of<Kind>(
        "kind", filter.kind,
        {{"offered", Kind::offered}, {"took", Kind::took}, {"released", Kind::released}}));
    parameters.push_back(one_of<End>("end", filter.end,
                                     {{"none", End::none},
                                      {"stayed", End::stayed},
                                      {"withdrawn", End::withdrawn},
                                      {"taken", End::taken},
                                      {"expired", End::expired},
                                      {"over", End::over}}));
    if (auto refused = read_parameters(request, parameters)) return *std::move(refused);
    return answered(
        post, [&view, filter, page] { return find(view, filter, page); }, shown);
  });
}

}  // namespace rollcall::inspect
