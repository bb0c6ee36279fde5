// The master's pages.
#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <map>
#include <memory>

#include "inspect/master_json.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"
#include "inspect/readiness.h"
#include "inspect/web_page.h"
#include "inspect/why.h"

namespace rollcall::inspect {
namespace {

using master::Decision;
using master::History;
using master::LeaseStatus;
using master::MasterCore;
using master::NodeStanding;

// A copy of the table, and what says how it is shown.
struct Table {
  AgentTable<AgentRecord> agents;
  std::map<NodeName, NodeStanding> standings;

  NodeStanding standing_of(const AgentRecord& a) const {
    const auto standing = standings.find(a.top.node);
    return standing == standings.end() ? NodeStanding{} : standing->second;
  }
};

// "web-*" takes the names that begin so, "web-1" that one only.
struct NameFilter {
  std::string text;
  bool prefix = false;
  bool takes(const AgentRecord& a) const {
    if (!a.info) return false;
    const auto name = a.info->find("name");
    if (name == a.info->end()) return false;
    const std::string_view value = name->second;
    return prefix ? value.starts_with(text) : value == text;
  }
};

// What people type: how an id begins, or a part of a name or of an address, in any case.
struct WordFilter {
  std::string text;  // in lower case
  bool takes(AgentId id, const AgentRecord& a) const {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), id_of(id)).ptr;
    if (std::string_view(digits.data(), end).starts_with(text)) return true;
    if (!a.info) return false;
    return std::ranges::any_of(std::array{"name", "ip"}, [&](const char* field) {
      const auto found = a.info->find(field);
      return found != a.info->end() &&
             !std::ranges::search(found->second, text, {}, lower_case).empty();
    });
  }
  static char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
};

struct AgentFilter {
  std::optional<std::string_view> status;
  std::optional<NodeName> node;
  std::optional<NameFilter> name;
  std::optional<WordFilter> word;

  bool takes(AgentId id, const AgentRecord& a, const NodeStanding& standing) const {
    return (!status || status_text(a, standing) == *status) &&
           (!node || (a.has_session() && a.top.node == *node)) && (!name || name->takes(a)) &&
           (!word || word->takes(id, a));
  }
};

std::vector<Parameter> parameters_of(AgentFilter& filter, Paging& page) {
  auto all = paging(page);
  std::vector<std::pair<std::string_view, std::string_view>> statuses;
  for (const std::string_view one :
       {"active", "migrating", "unreachable", "disconnected", "unknown"}) {
    statuses.emplace_back(one, one);
  }
  all.push_back(one_of<std::string_view>("status", filter.status, std::move(statuses)));
  all.push_back({"node", "the name of a node", [&filter](const std::string& text) {
                   filter.node = text;
                   return is_valid_node_name(text);
                 }});
  all.push_back({"name", "an agent's name, or how it begins with a * behind it",
                 [&filter](const std::string& text) {
                   NameFilter name{text, text.ends_with('*')};
                   if (name.prefix) name.text.pop_back();
                   filter.name = std::move(name);
                   return !text.empty();
                 }});
  all.push_back({"q", "how an agent's id begins, or a part of its name or address",
                 [&filter](const std::string& text) {
                   filter.word.emplace();
                   std::ranges::transform(text, std::back_inserter(filter.word->text),
                                          WordFilter::lower_case);
                   return !text.empty();
                 }});
  return all;
}

// The workers by their leases; those that wait for an operator's word by name.
Json leases_json(const master::State& state) {
  std::map<LeaseStatus, std::size_t> count;
  Json held = Json::array();
  for (const auto& [name, node] : state.nodes()) {
    ++count[node.lease.status];
    if (node.lease.status == LeaseStatus::held) held.push_back(name);
  }
  return {{"valid", count[LeaseStatus::valid]},
          {"lapsed", count[LeaseStatus::lapsed]},
          {"held", std::move(held)},
          {"expired", count[LeaseStatus::expired]}};
}

Json frozen_json(const master::State& state) {
  Json list = Json::array();
  for (const auto& [node, until] : state.frozen()) {
    list.push_back({{"node", or_null(node)}, {"until", until.us}});
  }
  return list;
}

Json commands_json(const master::Commands::Status& status) {
  Json ends = Json::object();
  for (const auto& [end, count] : status.ends) ends[to_string(end)] = count;
  return {{"begun", status.commands},
          {"running", status.running},
          {"waiting_agents", status.waiting},
          {"agents", std::move(ends)}};
}

Json repairs_json(const MasterCore::Counters& counters) {
  Json j = Json::object();
  for (auto cause = master::Cause::missed_open; cause <= master::kLastCause;
       cause = master::Cause{static_cast<std::uint8_t>(static_cast<std::uint8_t>(cause) + 1)}) {
    const auto n = counters.repairs.find(cause);
    j[to_string(cause)] = n == counters.repairs.end() ? 0 : n->second;
  }
  return j;
}

// Why corrections that were asked for are not made.
std::string sink_trouble(const MasterView& view) {
  if (!view.sink) return "";
  const auto status = view.sink().status();
  return status.mode == master::SinkMode::correct ? status.error : "";
}

class MasterPages {
 public:
  MasterPages(Post post, MasterView view) : post_(std::move(post)), view_(std::move(view)) {}

  Response healthz() const;
  Response readyz() const;
  Response status() const;
  Response agents(const Request& request) const;
  Response agent(const Request& request) const;
  Response history(const Request& request) const;
  Response why(const Request& request) const;
  Response nodes() const;
  Response decisions(const Request& request) const;

 private:
  struct Answer {
    Json next;
    std::size_t total = 0;
    std::vector<std::pair<AgentId, const AgentRecord*>> rows;
  };
  Response page_of(const Table& table, const AgentFilter& filter, const Paging& page) const;
  AgentBeside beside(AgentId id, const AgentRecord& record, const Now& now) const;  // loop thread

  Post post_;
  MasterView view_;
};

Response MasterPages::healthz() const {
  struct Health {
    std::string log_error, sink_error;
  };
  return answered(
      post_, [this] { return Health{view_.driver.log_error(), sink_trouble(view_)}; },
      [](const Health& health) {
        if (!health.log_error.empty()) {
          return json(
              {{"status", "failing"}, {"why", "the log cannot be written: " + health.log_error}},
              503);
        }
        if (health.sink_error.empty()) return json({{"status", "ok"}});
        return json({{"status", "degraded"},
                     {"why", "Wazuh's table cannot be corrected: " + health.sink_error}});
      });
}

Response MasterPages::readyz() const {
  return answered(
      post_, [this] { return why_not_ready(view_.driver); },
      [](const std::vector<std::string>& why) { return readiness(why); });
}

Response MasterPages::status() const {
  return answered(
      post_, [this] { return status_json(view_); }, [](const Json& j) { return json(j); });
}

AgentBeside MasterPages::beside(AgentId id, const AgentRecord& record, const Now& now) const {
  auto& core = view_.driver.core();
  return {core.state().standing_of(record.top.node),
          record.has_session() && core.node_status(record.top.node, now).connected,
          core.contested(id, now)};
}

// The loop gives a copy of the table, which costs it next to nothing, and in the end what stands
// beside the records of the page; the search, however long, is here.
Response MasterPages::agents(const Request& request) const {
  Paging page;
  AgentFilter filter;
  if (auto refused = read_parameters(request, parameters_of(filter, page))) {
    return *std::move(refused);
  }
  return answered(
      post_,
      [this] {
        const auto& state = view_.driver.core().state();
        Table table{state.agents(), {}};
        for (const auto& [name, node] : state.nodes()) {
          table.standings[name] = state.standing_of(name);
        }
        return table;
      },
      [&](const Table& table) { return page_of(table, filter, page); });
}

Response MasterPages::page_of(const Table& table, const AgentFilter& filter,
                              const Paging& page) const {
  constexpr std::uint64_t kLastId = 0xffff'ffffu;
  const AgentId after{static_cast<std::uint32_t>(std::min(page.after, kLastId))};
  Answer answer;
  answer.total = table.agents.size();
  for (auto it = table.agents.after(after); it != table.agents.end(); ++it) {
    const auto [id, record] = *it;
    if (!filter.takes(id, record, table.standing_of(record))) continue;
    if (answer.rows.size() == page.limit) {
      answer.next = id_of(answer.rows.back().first);
      break;
    }
    answer.rows.emplace_back(id, &record);
  }
  // By value: the loop may answer after this page has given up.
  std::vector<std::pair<AgentId, NodeName>> asked;
  for (const auto& [id, record] : answer.rows) asked.emplace_back(id, record->top.node);
  return answered(
      post_,
      [this, asked = std::move(asked)] {
        auto& core = view_.driver.core();
        const Now now = view_.clock.now();
        std::map<NodeName, bool> connected;
        std::vector<AgentBeside> out;
        for (const auto& [id, node] : asked) {
          const auto [at, is_new] = connected.try_emplace(node, false);
          if (is_new) at->second = core.node_status(node, now).connected;
          out.push_back({{}, at->second, core.contested(id, now)});
        }
        return out;
      },
      [&answer, &table](std::vector<AgentBeside> besides) {
        Json list = Json::array();
        for (std::size_t i = 0; i < answer.rows.size(); ++i) {
          const auto& [id, record] = answer.rows[i];
          besides[i].standing = table.standing_of(*record);
          list.push_back(agent_json(id, *record, besides[i]));
        }
        return json(
            {{"total", answer.total}, {"next_after", answer.next}, {"agents", std::move(list)}});
      });
}

Response MasterPages::agent(const Request& request) const {
  if (auto refused = read_parameters(request, {})) return *std::move(refused);
  const auto id = agent_of(request.matches[0]);
  if (!id) return not_an_agent();
  struct Found {
    AgentRecord record;
    AgentBeside beside;
    MasterCore::Contest contest;
  };
  return answered(
      post_,
      [this, id = *id]() -> std::optional<Found> {
        const AgentRecord* record = view_.driver.core().state().find(id);
        if (!record) return std::nullopt;
        const Now now = view_.clock.now();
        return Found{*record, beside(id, *record, now), view_.driver.core().contest_of(id, now)};
      },
      [this, id = *id](const auto& found) {
        if (!found) return error_response(404, "no worker has told of an agent of this id");
        Json j = agent_json(id, found->record, found->beside);
        const bool moves = !found->contest.moves.empty();
        j["contest"] = moves ? contest_json(found->contest, view_.flapping) : Json(nullptr);
        return json(j);
      });
}

Response MasterPages::history(const Request& request) const {
  std::uint64_t before = ~std::uint64_t{0}, limit = 100;
  if (auto refused = read_parameters(request, {whole_number("before", before, 0, ~std::uint64_t{0}),
                                               whole_number("limit", limit, 1, 1'000)})) {
    return *std::move(refused);
  }
  const auto id = agent_of(request.matches[0]);
  if (!id) return not_an_agent();
  struct Found {
    bool known = false;
    std::optional<MasterTime> missing_before;
    std::vector<History::Entry> entries;  // one more than asked for, if there is one
  };
  return answered(
      post_,
      [this, id = *id, before, limit] {
        const auto& core = view_.driver.core();
        return Found{core.state().find(id) != nullptr, core.history().missing_before(),
                     core.history().of(id, before, limit + 1)};
      },
      [id = *id, limit](const Found& found) {
        if (!found.known && found.entries.empty()) {
          return error_response(404, "no worker has told of an agent of this id");
        }
        const std::size_t shown = std::min<std::size_t>(found.entries.size(), limit);
        Json list = Json::array();
        for (std::size_t i = 0; i < shown; ++i) {
          list.push_back(history_json(found.entries[i]));
          list.back()["text"] = decision_text(found.entries[i]);
        }
        const bool more = found.entries.size() > limit;
        Json j;
        j["agent"] = id_of(id);
        j["complete"] = !found.missing_before.has_value();
        j["since"] = found.missing_before ? Json(found.missing_before->us) : Json(nullptr);
        j["next_before"] = more ? Json(found.entries[shown - 1].number) : Json(nullptr);
        j["decisions"] = std::move(list);
        return json(j);
      });
}

Response MasterPages::why(const Request& request) const {
  if (auto refused = read_parameters(request, {})) return *std::move(refused);
  const auto id = agent_of(request.matches[0]);
  if (!id) return not_an_agent();
  return answered(
      post_,
      [this, id = *id]() -> std::optional<WhyFacts> {
        const auto& core = view_.driver.core();
        const AgentRecord* record = core.state().find(id);
        if (!record) return std::nullopt;
        const Now now = view_.clock.now();
        WhyFacts facts;
        facts.agent = id;
        facts.record = *record;
        facts.node = core.node_status(record->top.node, now);
        facts.contested = core.contested(id, now);
        facts.challenged = core.in_doubt(id);
        facts.history_begins = core.history().missing_before();
        facts.decisions = core.history().of(id, ~std::uint64_t{0}, kWhyDecisions);
        facts.log_directory = view_.log_directory;
        return facts;
      },
      [](const std::optional<WhyFacts>& facts) {
        return facts ? json(why_json(*facts))
                     : error_response(404, "no worker has told of an agent of this id");
      });
}

Response MasterPages::nodes() const {
  return answered(
      post_,
      [this] {
        const auto& core = view_.driver.core();
        const Now now = view_.clock.now();
        std::vector<NodeView> nodes;
        for (const auto& [name, n] : core.state().nodes()) {
          nodes.push_back(
              {name, core.node_status(name, now), n.stream, n.store, n.last_seq, n.open.size()});
        }
        return nodes;
      },
      [](const std::vector<NodeView>& nodes) {
        Json list = Json::array();
        for (const NodeView& node : nodes) list.push_back(node_json(node));
        return json({{"nodes", std::move(list)}});
      });
}

// The newest decisions, accepted and refused, with the rule of each.
Response MasterPages::decisions(const Request& request) const {
  Paging page;
  if (auto refused = read_parameters(request, paging(page))) return *std::move(refused);
  struct Found {
    std::optional<std::uint64_t> oldest, newest;
    std::vector<Decision> decisions;
  };
  return answered(
      post_,
      [this, page] {
        const auto& all = view_.driver.core().decisions();
        Found found;
        if (all.empty()) return found;
        found.oldest = all.front().number;
        found.newest = all.back().number;
        auto it = std::ranges::upper_bound(all, page.after, {}, &Decision::number);
        for (; it != all.end() && found.decisions.size() < page.limit; ++it) {
          found.decisions.push_back(*it);
        }
        return found;
      },
      [](const Found& found) {
        Json list = Json::array();
        for (const Decision& decision : found.decisions) list.push_back(decision_json(decision));
        return json({{"oldest", or_null(found.oldest)},
                     {"newest", or_null(found.newest)},
                     {"decisions", std::move(list)}});
      });
}

}  // namespace

Json status_json(const MasterView& view) {
  auto& core = view.driver.core();
  const auto& c = core.counters();
  Json rules = Json::object();
  for (auto rule = Rule::first; rule <= Rule::contact;
       rule = Rule{static_cast<std::uint8_t>(static_cast<std::uint8_t>(rule) + 1)}) {
    const auto n = c.by_rule.find(to_string(rule));
    rules[to_string(rule)] = n == c.by_rule.end() ? 0 : n->second;
  }
  Json j;
  j["version"] = view.version;
  j["master"] = id_or_null(static_cast<std::uint64_t>(core.state().master()));
  j["term"] = id_or_null(static_cast<std::uint64_t>(core.state().term()));
  j["ready"] = core.ready();
  j["master_time"] = core.ready() ? Json(core.time(view.clock.now()).us) : Json(nullptr);
  const auto counts = core.state().counts();
  j["agents"] = core.state().agents().size();
  j["active"] = counts.active;
  j["migrating"] = counts.migrating;
  j["unreachable"] = counts.unreachable;
  j["disconnected"] = counts.disconnected;
  j["in_doubt"] = core.in_doubt();
  j["leases"] = leases_json(core.state());
  j["frozen"] = frozen_json(core.state());
  j["connections"] = core.connections();
  j["decisions"] = std::move(rules);
  j["frames"] = c.frames;
  j["events"] = c.events;
  j["duplicates"] = c.duplicates;
  j["superseded_sent"] = c.superseded_sent;
  j["challenges_sent"] = c.challenges_sent;
  j["refused_connections"] = c.refused_connections;
  j["repairs"] = repairs_json(c);
  j["digests"] = {{"equal", c.digests_equal}, {"differ", c.digest_mismatches}};
  j["inventories"] = {{"full", c.inventories_full},
                      {"partial", c.inventories_partial},
                      {"refused", c.inventories_refused}};
  j["commands"] = commands_json(core.commands());
  const auto l = view.listener();
  j["listener"] = {{"accepted", l.accepted},         {"over_limit", l.over_limit},
                   {"over_address", l.over_address}, {"gave_way", l.gave_way},
                   {"too_slow", l.too_slow},         {"failed", l.failed}};
  j["sink"] = view.sink ? sink_json(view.sink()) : Json(nullptr);
  const Upkeep upkeep = view.upkeep ? view.upkeep() : Upkeep{};
  j["certificates"] = certificates_json(upkeep, std::chrono::system_clock::now());
  j["reload"] = reload_json(upkeep);
  j["log_error"] = or_null(view.driver.log_error());
  return j;
}

void add_master_pages(HttpServer& server, Post post, MasterView view) {
  add_migration_pages(server, post, view);
  add_balance_page(server, post, view);
  add_master_live(server, post, view);
  add_web_page(server, "master.html");
  add_master_metrics(server, post, view);
  if (view.sink) add_sink_page(server, post, view.sink);
  const auto pages = std::make_shared<const MasterPages>(std::move(post), std::move(view));
  add_page(server, "/healthz", [pages] { return pages->healthz(); });
  add_page(server, "/readyz", [pages] { return pages->readyz(); });
  add_page(server, "/status", [pages] { return pages->status(); });
  add_page(server, "/nodes", [pages] { return pages->nodes(); });
  server.route("GET", "/agents", [pages](const Request& r) { return pages->agents(r); });
  server.route("GET", "/agents/{}", [pages](const Request& r) { return pages->agent(r); });
  server.route("GET", "/agents/{}/history",
               [pages](const Request& r) { return pages->history(r); });
  server.route("GET", "/agents/{}/why", [pages](const Request& r) { return pages->why(r); });
  server.route("GET", "/decisions", [pages](const Request& r) { return pages->decisions(r); });
}

}  // namespace rollcall::inspect
