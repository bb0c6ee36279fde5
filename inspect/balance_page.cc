// How agents are spread over the workers, how they move, and what a drain of each would do.
#include <algorithm>
#include <utility>
#include <vector>

#include "inspect/master_json.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

struct Worker {
  NodeName name;
  master::LeaseStatus lease{};
  bool connected = false;
  std::uint64_t agents = 0, offered = 0;
  master::MoveRates::Rates rates;
  // Agents can go to it.
  bool takes_agents() const { return connected && lease == master::LeaseStatus::valid; }
};

std::vector<Worker> workers_of(const master::MasterCore& core, const Now& now) {
  std::vector<Worker> all;
  for (const auto& [name, log] : core.state().nodes()) {
    const auto status = core.node_status(name, now);
    all.push_back({name, status.lease.status, status.connected, log.on_top, status.offered,
                   core.move_rates().of(name, now.mono_us)});
  }
  return all;
}

// If the others share its agents evenly, asked to go at so many a second.
Json drain_json(const Worker& drained, const std::vector<Worker>& all, std::uint64_t move_per_s) {
  std::uint64_t others = 0, most = 0;
  for (const Worker& w : all) {
    if (w.name == drained.name || !w.takes_agents()) continue;
    ++others;
    most = std::max(most, w.agents);
  }
  const std::uint64_t each = others == 0 ? 0 : (drained.agents + others - 1) / others;
  return {{"agents", drained.agents},
          {"others", others},
          {"each_gets", others == 0 ? Json(nullptr) : Json(each)},
          {"most_loaded", others == 0 ? Json(nullptr) : Json(most + each)},
          {"takes_s", (drained.agents + move_per_s - 1) / move_per_s}};
}

Json balance_json(const std::vector<Worker>& all, std::uint64_t move_per_s) {
  std::uint64_t agents = 0, taking = 0;
  for (const Worker& w : all) {
    agents += w.agents;
    taking += w.takes_agents() ? 1 : 0;
  }
  Json list = Json::array();
  for (const Worker& w : all) {
    list.push_back({{"node", w.name},
                    {"connected", w.connected},
                    {"lease", to_string(w.lease)},
                    {"agents", w.agents},
                    {"offered", w.offered},
                    {"came_last_minute", w.rates.came_last_minute},
                    {"left_last_minute", w.rates.left_last_minute},
                    {"came_last_ten_minutes", w.rates.came_last_ten_minutes},
                    {"left_last_ten_minutes", w.rates.left_last_ten_minutes},
                    {"drain", drain_json(w, all, move_per_s)}});
  }
  return {{"agents", agents},
          {"workers", taking},
          {"even", taking == 0 ? Json(nullptr) : Json((agents + taking - 1) / taking)},
          {"nodes", std::move(list)}};
}

}  // namespace

void add_balance_page(HttpServer& server, Post post, MasterView view) {
  server.route("GET", "/balance", [post, view](const Request& request) {
    std::uint64_t move_per_s = 10;
    if (auto refused = read_parameters(request, {whole_number("move", move_per_s, 1, 10'000)}))
      return *std::move(refused);
    return answered(
        post, [&view] { return workers_of(view.driver.core(), view.clock.now()); },
        [move_per_s](const std::vector<Worker>& all) {
          return json(balance_json(all, move_per_s));
        });
  });
}

}  // namespace rollcall::inspect
