// The master's pages about moves of agents between workers.
#include <memory>

#include "inspect/master_json.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"
#include "master/core/migrations.h"

namespace rollcall::inspect {
namespace {

using master::Migrations;

constexpr std::int64_t kMinuteUs = 60'000'000;

Json moment_json(MasterTime at) {
  return at.us == 0 ? Json(nullptr) : Json(at.us);
}

Json session_json(const SessionName& session) {
  if (session.epoch == kUnstamped) return nullptr;
  return {{"epoch", static_cast<std::uint64_t>(session.epoch)}, {"node", session.node}};
}

Json migration_json(std::uint64_t number, const Migrations::Migration& m) {
  return {{"number", number},
          {"agent", id_of(m.agent)},
          {"from", session_json(m.from)},
          {"to", session_json(m.to)},
          {"offered", moment_json(m.offered)},
          {"taken", moment_json(m.taken)},
          {"released", moment_json(m.released)},
          {"gap_us", or_null(m.gap_us())},
          {"end", m.end == Migrations::End::none ? Json(nullptr) : Json(to_string(m.end))},
          {"ended", moment_json(m.ended)}};
}

struct Asked {
  std::uint64_t before = ~std::uint64_t{0};
  std::uint64_t limit = 100;
  std::optional<AgentId> agent;
  std::optional<NodeName> node;

  bool takes(const Migrations::Migration& m) const {
    return (!agent || m.agent == *agent) && (!node || m.from.node == *node || m.to.node == *node);
  }
};

// At one moment.
struct Moves {
  std::size_t kept = 0, total = 0, under_way = 0;
  std::size_t last_minute = 0, last_ten_minutes = 0;                  // taken
  std::vector<std::pair<std::uint64_t, Migrations::Migration>> rows;  // the newest first
  bool more = false;
};

Moves find(const Migrations& all, const Asked& asked, MasterTime now) {
  Moves found{all.capacity(), all.all().size(), all.under_way(), 0, 0, {}, false};
  for (const auto& [number, m] : all.all()) {
    if (!m.is_taken()) continue;
    found.last_minute += now.us - m.taken.us < kMinuteUs ? 1u : 0u;
    found.last_ten_minutes += now.us - m.taken.us < 10 * kMinuteUs ? 1u : 0u;
  }
  auto it = std::make_reverse_iterator(all.all().lower_bound(asked.before));
  for (; it != all.all().rend(); ++it) {
    if (!asked.takes(it->second)) continue;
    if (found.rows.size() == asked.limit) {
      found.more = true;
      break;
    }
    found.rows.emplace_back(*it);
  }
  return found;
}

Response shown(const Post& post, const MasterView& view, const Asked& asked) {
  return answered(
      post,
      [&view, asked] {
        auto& core = view.driver.core();
        return find(core.state().migrations(), asked, core.time(view.clock.now()));
      },
      [](const Moves& found) {
        Json list = Json::array();
        for (const auto& [number, m] : found.rows) list.push_back(migration_json(number, m));
        return json({{"kept", found.kept},
                     {"total", found.total},
                     {"under_way", found.under_way},
                     {"taken_last_minute", found.last_minute},
                     {"taken_last_ten_minutes", found.last_ten_minutes},
                     {"next_before", found.more ? Json(found.rows.back().first) : Json(nullptr)},
                     {"migrations", std::move(list)}});
      });
}

std::vector<Parameter> parameters_of(Asked& asked) {
  return {whole_number("before", asked.before, 0, ~std::uint64_t{0}),
          whole_number("limit", asked.limit, 1, 1'000),
          {"node", "the name of a node", [&asked](const std::string& text) {
             asked.node = text;
             return is_valid_node_name(text);
           }}};
}

}  // namespace

void add_migration_pages(HttpServer& server, Post post, MasterView view) {
  server.route("GET", "/migrations", [post, view](const Request& request) {
    Asked asked;
    if (auto refused = read_parameters(request, parameters_of(asked))) return *std::move(refused);
    return shown(post, view, asked);
  });
  server.route("GET", "/agents/{}/migrations", [post, view](const Request& request) {
    Asked asked;
    if (auto refused = read_parameters(request, parameters_of(asked))) return *std::move(refused);
    asked.agent = agent_of(request.matches[0]);
    return asked.agent ? shown(post, view, asked) : not_an_agent();
  });
}

}  // namespace rollcall::inspect
