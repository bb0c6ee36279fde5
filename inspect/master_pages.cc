// The master's pages.
#include <algorithm>
#include <map>
#include <memory>

#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

using master::Decision;
using master::History;
using master::MasterCore;
using Agents = AgentTable<AgentRecord>;

// The fields that an agent of Wazuh has; one that is not known is shown as null, never left out.
constexpr const char* kInfoFields[] = {
    "name",       "ip",          "version",  "os_name",
    "os_version", "os_major",    "os_minor", "os_codename",
    "os_build",   "os_platform", "os_uname", "os_arch",
    "config_sum", "merged_sum",  "group",    "group_config_status",
    "date_add"};

enum class AgentStatus { active, disconnected, unknown };

AgentStatus status_of(const AgentRecord& a) {
  if (a.is_open()) return AgentStatus::active;
  return a.has_session() ? AgentStatus::disconnected : AgentStatus::unknown;
}

std::string_view to_string(AgentStatus status) {
  switch (status) {
    case AgentStatus::active:
      return "active";
    case AgentStatus::disconnected:
      return "disconnected";
    case AgentStatus::unknown:
      return "unknown";
  }
  return "?";
}

Json version_json(const Version& v) {
  if (v.epoch == kUnstamped) return nullptr;
  return {{"epoch", static_cast<std::uint64_t>(v.epoch)}, {"node", v.node}, {"change", v.change}};
}

Json reason_json(Reason reason) {
  return reason == Reason::none ? Json(nullptr) : Json(to_string(reason));
}

Json info_json(const AgentRecord& a) {
  Json fields;
  for (const char* name : kInfoFields) fields[name] = nullptr;
  fields["labels"] = nullptr;
  if (!a.info) return fields;
  Json labels = Json::object();
  for (const auto& [name, value] : *a.info) {
    if (name.starts_with("label.")) {
      labels[std::string(name.substr(6))] = std::string(value);
    } else if (const std::string field(name); fields.contains(field)) {
      fields[field] = std::string(value);
    }
  }
  fields["labels"] = std::move(labels);
  return fields;
}

// What stands beside an agent's record and is not part of it.
struct Beside {
  bool node_connected = false;
  bool contested = false;
};

Json agent_json(AgentId id, const AgentRecord& a, const Beside& beside) {
  const bool known = a.has_session();
  Json j;
  j["id"] = id_of(id);
  j["status"] = to_string(status_of(a));
  j["node"] = known ? Json(a.top.node) : Json(nullptr);
  // Until leases exist, "active" says nothing about the worker's link: it stands beside it.
  j["node_connected"] = known ? Json(beside.node_connected) : Json(nullptr);
  j["reason"] = known && !a.is_open() ? reason_json(a.reason) : Json(nullptr);
  j["version"] = version_json(a.top);
  j["evidence_lo"] = known ? Json(a.lo.us) : Json(nullptr);
  j["evidence_hi"] = known ? Json(a.hi.us) : Json(nullptr);
  j["in_doubt"] = a.doubt().has_value();
  j["contested"] = beside.contested;
  Json contacts = Json::array();
  for (const auto& c : a.contacts) {
    if (!c.node.empty()) contacts.push_back({{"node", c.node}, {"hi", c.hi.us}});
  }
  j["contacts"] = std::move(contacts);
  j["info_complete"] = a.info != nullptr && !a.info_missing();
  j["info"] = info_json(a);
  return j;
}

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

struct AgentFilter {
  std::optional<AgentStatus> status;
  std::optional<NodeName> node;
  std::optional<NameFilter> name;

  bool takes(const AgentRecord& a) const {
    return (!status || status_of(a) == *status) &&
           (!node || (a.has_session() && a.top.node == *node)) && (!name || name->takes(a));
  }
};

std::vector<Parameter> parameters_of(AgentFilter& filter, Paging& page) {
  auto all = paging(page);
  all.push_back(one_of<AgentStatus>("status", filter.status,
                                    {{"active", AgentStatus::active},
                                     {"disconnected", AgentStatus::disconnected},
                                     {"unknown", AgentStatus::unknown}}));
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
  return all;
}

struct Node {
  NodeName name;
  MasterCore::NodeStatus status;
  StreamId stream{};
  StoreId store{};
  std::uint64_t last_seq = 0;
  std::size_t open_sessions = 0;
};

Json node_json(const Node& n) {
  const auto now = [&n](const auto& value) {
    return n.status.connected ? Json(value) : Json(nullptr);
  };
  return {{"node", n.name},
          {"connected", n.status.connected},
          {"address", now(n.status.address)},
          {"software", now(n.status.software)},
          {"connected_for_us", now(n.status.connected_for_us)},
          {"silent_for_us", now(n.status.silent_for_us)},
          {"open_sessions", n.open_sessions},
          {"open_sessions_reported", now(n.status.open_sessions_reported)},
          {"last_seq", n.last_seq},
          {"stream", id_or_null(static_cast<std::uint64_t>(n.stream))},
          {"store", id_or_null(static_cast<std::uint64_t>(n.store))}};
}

Json decision_json(const Decision& d) {
  return {
      {"number", d.number},
      {"at", d.at.us},
      {"node", d.node},
      {"seq", d.seq},
      {"agent", id_of(d.event.agent)},
      {"event", to_string(d.event.kind)},
      {"reason", reason_json(d.event.reason)},
      {"version", version_json({d.event.epoch, d.node, d.event.change})},
      {"evidence_lo", d.event.evidence.lo.us},
      {"evidence_hi", d.event.evidence.hi.us},
      {"accepted", accepted(d.rule)},
      {"rule", to_string(d.rule)},
      {"record", version_json(d.top)},
      {"record_phase", d.top.epoch == kUnstamped ? Json(nullptr) : Json(to_string(d.top_phase))}};
}

Json history_json(const History::Entry& e) {
  const bool met = e.met.top.epoch != kUnstamped;
  return {{"number", e.number},
          {"at", e.at.us},
          {"node", e.node},
          {"seq", e.seq},
          {"event", to_string(e.kind)},
          {"reason", reason_json(e.reason)},
          {"version", version_json(e.version)},
          {"evidence_lo", e.evidence.lo.us},
          {"evidence_hi", e.evidence.hi.us},
          {"late_us", std::max<std::int64_t>(0, e.at.us - e.evidence.hi.us)},
          {"accepted", accepted(e.rule)},
          {"rule", to_string(e.rule)},
          {"met", version_json(e.met.top)},
          {"met_phase", met ? Json(to_string(e.met.phase)) : Json(nullptr)}};
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
  Response nodes() const;
  Response decisions(const Request& request) const;

 private:
  struct Answer {
    Json next;
    std::size_t total = 0;
    std::vector<std::pair<AgentId, const AgentRecord*>> rows;
  };
  Response page_of(const Agents& agents, const AgentFilter& filter, const Paging& page) const;
  Beside beside(AgentId id, const AgentRecord& record, const Now& now) const;  // loop thread

  Post post_;
  MasterView view_;
};

Response MasterPages::healthz() const {
  return answered(
      post_, [this] { return view_.driver.log_error(); },
      [](const std::string& error) {
        if (error.empty()) return json({{"status", "ok"}});
        return json({{"status", "failing"}, {"why", "the log cannot be written: " + error}}, 503);
      });
}

Response MasterPages::readyz() const {
  struct Ready {
    bool time = false;
    std::string log_error;
  };
  return answered(
      post_,
      [this] {
        return Ready{view_.driver.ready(), view_.driver.log_error()};
      },
      [](const Ready& ready) {
        std::vector<std::string> why;
        if (!ready.time) {
          why.push_back("the time cannot be told yet: the log holds no reservation for it");
        }
        if (!ready.log_error.empty()) {
          why.push_back("the log cannot be written: " + ready.log_error);
        }
        return readiness(why);
      });
}

Response MasterPages::status() const {
  return answered(
      post_,
      [this] {
        auto& core = view_.driver.core();
        const auto& c = core.counters();
        Json rules = Json::object();
        for (auto rule = Rule::first; rule <= Rule::contact;
             rule = Rule{static_cast<std::uint8_t>(static_cast<std::uint8_t>(rule) + 1)}) {
          const auto n = c.by_rule.find(to_string(rule));
          rules[to_string(rule)] = n == c.by_rule.end() ? 0 : n->second;
        }
        Json j;
        j["version"] = view_.version;
        j["master"] = id_or_null(static_cast<std::uint64_t>(core.state().master()));
        j["term"] = id_or_null(static_cast<std::uint64_t>(core.state().term()));
        j["ready"] = core.ready();
        j["master_time"] = core.ready() ? Json(core.time(view_.clock.now()).us) : Json(nullptr);
        j["agents"] = core.state().agents().size();
        j["active"] = core.state().active();
        j["in_doubt"] = core.in_doubt();
        j["connections"] = core.connections();
        j["decisions"] = std::move(rules);
        j["frames"] = c.frames;
        j["events"] = c.events;
        j["duplicates"] = c.duplicates;
        j["superseded_sent"] = c.superseded_sent;
        j["challenges_sent"] = c.challenges_sent;
        j["refused_connections"] = c.refused_connections;
        const auto l = view_.listener();
        j["listener"] = {{"accepted", l.accepted},         {"over_limit", l.over_limit},
                         {"over_address", l.over_address}, {"gave_way", l.gave_way},
                         {"too_slow", l.too_slow},         {"failed", l.failed}};
        j["log_error"] = or_null(view_.driver.log_error());
        return j;
      },
      [](const Json& j) { return json(j); });
}

Beside MasterPages::beside(AgentId id, const AgentRecord& record, const Now& now) const {
  auto& core = view_.driver.core();
  return {record.has_session() && core.node_status(record.top.node, now).connected,
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
      post_, [this] { return view_.driver.core().state().agents(); },
      [&](const Agents& agents) { return page_of(agents, filter, page); });
}

Response MasterPages::page_of(const Agents& agents, const AgentFilter& filter,
                              const Paging& page) const {
  constexpr std::uint64_t kLastId = 0xffff'ffffu;
  const AgentId after{static_cast<std::uint32_t>(std::min(page.after, kLastId))};
  Answer answer;
  answer.total = agents.size();
  for (auto it = agents.after(after); it != agents.end(); ++it) {
    const auto [id, record] = *it;
    if (!filter.takes(record)) continue;
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
        std::vector<Beside> out;
        for (const auto& [id, node] : asked) {
          const auto [at, is_new] = connected.try_emplace(node, false);
          if (is_new) at->second = core.node_status(node, now).connected;
          out.push_back({at->second, core.contested(id, now)});
        }
        return out;
      },
      [&answer](const std::vector<Beside>& besides) {
        Json list = Json::array();
        for (std::size_t i = 0; i < answer.rows.size(); ++i) {
          list.push_back(agent_json(answer.rows[i].first, *answer.rows[i].second, besides[i]));
        }
        return json(
            {{"total", answer.total}, {"next_after", answer.next}, {"agents", std::move(list)}});
      });
}

Response MasterPages::agent(const Request& request) const {
  if (auto refused = read_parameters(request, {})) return *std::move(refused);
  const auto id = agent_of(request.matches[0]);
  if (!id) return not_an_agent();
  return answered(
      post_,
      [this, id = *id]() -> std::optional<std::pair<AgentRecord, Beside>> {
        const AgentRecord* record = view_.driver.core().state().find(id);
        if (!record) return std::nullopt;
        return std::pair(*record, beside(id, *record, view_.clock.now()));
      },
      [id = *id](const auto& found) {
        return found ? json(agent_json(id, found->first, found->second))
                     : error_response(404, "no worker has told of an agent of this id");
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
        for (std::size_t i = 0; i < shown; ++i) list.push_back(history_json(found.entries[i]));
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

Response MasterPages::nodes() const {
  return answered(
      post_,
      [this] {
        const auto& core = view_.driver.core();
        const Now now = view_.clock.now();
        std::vector<Node> nodes;
        for (const auto& [name, n] : core.state().nodes()) {
          nodes.push_back(
              {name, core.node_status(name, now), n.stream, n.store, n.last_seq, n.open.size()});
        }
        return nodes;
      },
      [](const std::vector<Node>& nodes) {
        Json list = Json::array();
        for (const Node& node : nodes) list.push_back(node_json(node));
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

void add_master_pages(HttpServer& server, Post post, MasterView view) {
  const auto pages = std::make_shared<const MasterPages>(std::move(post), std::move(view));
  add_page(server, "/healthz", [pages] { return pages->healthz(); });
  add_page(server, "/readyz", [pages] { return pages->readyz(); });
  add_page(server, "/status", [pages] { return pages->status(); });
  add_page(server, "/nodes", [pages] { return pages->nodes(); });
  server.route("GET", "/agents", [pages](const Request& r) { return pages->agents(r); });
  server.route("GET", "/agents/{}", [pages](const Request& r) { return pages->agent(r); });
  server.route("GET", "/agents/{}/history",
               [pages](const Request& r) { return pages->history(r); });
  server.route("GET", "/decisions", [pages](const Request& r) { return pages->decisions(r); });
}

}  // namespace rollcall::inspect
