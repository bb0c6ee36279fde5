#include "inspect/pages.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/logging.h"

namespace rollcall::inspect {
namespace {

using Json = nlohmann::ordered_json;
using master::MasterCore;

constexpr std::size_t kDefaultLimit = 500, kMaxLimit = 1000;
// The fields that an agent of Wazuh has; one that is not known is shown as null, never left out.
constexpr const char* kInfoFields[] = {
    "name",       "ip",          "version",  "os_name",
    "os_version", "os_major",    "os_minor", "os_codename",
    "os_build",   "os_platform", "os_uname", "os_arch",
    "config_sum", "merged_sum",  "group",    "group_config_status",
    "date_add"};

Response json(const Json& body, int status = 200) {
  // What an agent says of itself need not be UTF-8.
  return {status, "application/json",
          body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

template <typename F>
Response on_loop(const Post& post, F question) {
  auto answer = ask(post, std::move(question));
  if (!answer) return error_response(503, "the daemon is busy or stopping; try again");
  return *answer;
}

std::optional<std::uint64_t> number(const std::string& text) {
  std::uint64_t v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return v;
}

struct Paging {
  std::uint64_t after = 0;
  std::size_t limit = kDefaultLimit;
};
std::expected<Paging, Response> paging(const Request& r) {
  Paging p;
  for (const auto& [key, value] : r.query) {
    const auto n = number(value);
    if (key != "after" && key != "limit")
      return std::unexpected(
          error_response(400, "unknown parameter '" + key + "'; allowed: after, limit"));
    if (!n || (key == "limit" && (*n == 0 || *n > kMaxLimit)))
      return std::unexpected(error_response(
          400, key + " takes a whole number" + (key == "limit" ? ", 1 to 1000" : "")));
    (key == "after" ? p.after : p.limit) = *n;
  }
  return p;
}

// The ids after `p.after`, in order, at most one more than the limit.
template <typename Map>
std::vector<AgentId> page_of(const Map& agents, const Paging& p) {
  std::vector<AgentId> ids;
  for (const auto& [id, value] : agents) {
    if (static_cast<std::uint64_t>(id) > p.after) ids.push_back(id);
  }
  const std::size_t n = std::min(ids.size(), p.limit + 1);
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n), ids.end());
  ids.resize(n);
  return ids;
}

std::optional<AgentId> agent_of(const std::string& text) {
  const auto n = number(text);
  if (!n || *n == 0 || *n > 0xFFFF'FFFFu) return std::nullopt;
  return AgentId{static_cast<std::uint32_t>(*n)};
}

std::uint64_t id_of(AgentId a) {
  return static_cast<std::uint64_t>(a);
}

}  // namespace

HttpOptions http_options(const app::InspectConfig& config, std::size_t connections) {
  HttpOptions options;
  options.host = config.address.host;
  options.port = config.address.port;
  options.allowed_hosts = config.hosts;
  options.connections = connections;
  options.report = [](std::string_view text) { app::log(app::Level::Warn, text); };
  if (!app::is_loopback(config.address)) {
    app::log(
        app::Level::Warn,
        "the inspect address can be reached from other machines, and asks nobody for a password",
        {{"address", app::to_text(config.address)}});
  }
  return options;
}

namespace {

// ---- the sidecar's ---------------------------------------------------------------------------

std::string_view name_of(sidecar::RowStatus s) {
  switch (s) {
    case sidecar::RowStatus::never_connected:
      return "never_connected";
    case sidecar::RowStatus::pending:
      return "pending";
    case sidecar::RowStatus::active:
      return "active";
    case sidecar::RowStatus::disconnected:
      return "disconnected";
  }
  return "?";
}

Json agent_json(AgentId id, const sidecar::AgentState& a, const SidecarView& view, const Now& now) {
  Json j;
  j["id"] = id_of(id);
  j["row"] = nullptr;
  if (a.row) {
    j["row"] = {{"status", name_of(a.row->status)},
                {"last_keepalive", a.row->keepalive_s},
                {"status_code", a.row->code}};
  }
  j["session"] = nullptr;
  if (a.session) {
    const auto& s = *a.session;
    const auto& t = view.driver.core().timeline();
    j["session"] = {{"phase", to_string(s.phase)},
                    {"epoch", static_cast<std::uint64_t>(s.epoch)},
                    {"change", s.change},
                    {"reason", to_string(s.reason)},
                    {"evidence_lo", t.at(s.evidence.lo, now).us},
                    {"evidence_hi", t.at(s.evidence.hi, now).us},
                    {"fence", static_cast<std::uint64_t>(s.fence)},
                    {"challenged", a.due.has_value()}};
  }
  return j;
}

}  // namespace

void add_sidecar_pages(HttpServer& server, Post post, SidecarView view) {
  server.route("GET", "/healthz", [=](const Request&) {
    return on_loop(post, [=] {
      const auto& d = view.driver;
      if (!d.store_error().empty())
        return json(
            {{"status", "failing"}, {"why", "the store cannot be written: " + d.store_error()}},
            503);
      const auto& tracker = d.core().tracker();
      if (tracker.missing() > sidecar::Tracker::many_missing(tracker.agents().size()))
        return json({{"status", "degraded"},
                     {"why", std::to_string(tracker.missing()) +
                                 " agents are missing from the source at once"}});
      return json({{"status", "ok"}});
    });
  });
  server.route("GET", "/status", [=](const Request&) {
    return on_loop(post, [=] {
      const Now now = view.clock.now();
      const auto s = view.driver.core().status(now);
      const SourceStatus source = view.source();
      Json j;
      j["version"] = view.version;
      j["node"] = view.driver.core().node();
      j["agents"] = view.driver.core().tracker().agents().size();
      j["open_sessions"] = view.driver.core().tracker().open_sessions();
      using Link = sidecar::SidecarCore::Link;
      j["link"] = {{"state", s.link == Link::streaming  ? "streaming"
                             : s.link == Link::greeting ? "greeting"
                                                        : "down"},
                   {"error", view.driver.link_error().empty() ? Json(nullptr)
                                                              : Json(view.driver.link_error())},
                   {"master", to_hex(static_cast<std::uint64_t>(s.master))},
                   {"term", to_hex(static_cast<std::uint64_t>(s.term))},
                   {"stream", to_hex(static_cast<std::uint64_t>(s.stream))},
                   {"last_seq", s.last_seq},
                   {"acked_seq", s.acked_seq},
                   {"in_flight_bytes", s.in_flight_bytes},
                   {"master_says", s.last_error.empty() ? Json(nullptr) : Json(s.last_error)}};
      j["backlog"] = {{"events", s.unacked},
                      {"unsent", s.unsent},
                      {"bytes", s.backlog_bytes},
                      {"oldest_us", s.oldest_unacked_us},
                      {"folded", s.folded}};
      j["clock"] = {{"known", s.clock_known},
                    {"offset_us", s.clock_offset_us},
                    {"error_us", s.clock_error_us}};
      j["source"] = {
          {"connected", source.connected},
          {"looks", source.looks},
          {"failures", source.failures},
          {"last_look_us", source.last_look_us},
          {"last_rows", source.last_rows},
          {"last_bytes", source.last_bytes},
          {"last_requests", source.last_requests},
          {"error", source.last_error.empty() ? Json(nullptr) : Json(source.last_error)}};
      j["store"] = {{"id", to_hex(static_cast<std::uint64_t>(s.store))},
                    {"error", view.driver.store_error().empty() ? Json(nullptr)
                                                                : Json(view.driver.store_error())}};
      j["answers"] = {{"superseded", s.superseded},
                      {"challenged", s.challenged},
                      {"future_epoch", s.future_epoch},
                      {"need_info", s.need_info}};
      return json(j);
    });
  });
  server.route("GET", "/agents", [=](const Request& r) {
    const auto p = paging(r);
    if (!p) return p.error();
    return on_loop(post, [=, p = *p] {
      const Now now = view.clock.now();
      const auto& agents = view.driver.core().tracker().agents();
      auto ids = page_of(agents, p);
      Json next = nullptr;
      if (ids.size() > p.limit) {
        ids.pop_back();
        next = id_of(ids.back());
      }
      Json list = Json::array();
      for (AgentId id : ids) list.push_back(agent_json(id, agents.at(id), view, now));
      return json({{"total", agents.size()}, {"next_after", next}, {"agents", std::move(list)}});
    });
  });
  server.route("GET", "/agents/{}", [=](const Request& r) {
    const auto id = agent_of(r.matches[0]);
    if (!id) return error_response(400, "an agent's id is a whole number from 1");
    return on_loop(post, [=] {
      const auto& agents = view.driver.core().tracker().agents();
      const auto it = agents.find(*id);
      if (it == agents.end()) return error_response(404, "no agent of this id was ever seen here");
      return json(agent_json(*id, it->second, view, view.clock.now()));
    });
  });
}

// ---- the master's ------------------------------------------------------------------------------

namespace {

Json version_json(const Version& v) {
  return {{"epoch", static_cast<std::uint64_t>(v.epoch)}, {"node", v.node}, {"change", v.change}};
}

Json info_json(const AgentRecord& a) {
  Json fields;
  for (const char* name : kInfoFields) {
    fields[name] = nullptr;
    if (!a.info) continue;
    if (const auto it = a.info->find(name); it != a.info->end()) fields[name] = it->second;
  }
  Json labels = Json::object();
  if (a.info) {
    for (const auto& [name, value] : *a.info) {
      if (name.starts_with("label.")) labels[name.substr(6)] = value;
    }
  }
  fields["labels"] = a.info ? labels : Json(nullptr);
  return fields;
}

Json agent_json(AgentId id, const AgentRecord& a, MasterCore& core, const Now& now) {
  Json j;
  j["id"] = id_of(id);
  j["status"] = a.is_open() ? "active" : a.has_session() ? "disconnected" : "unknown";
  j["node"] = a.has_session() ? Json(a.top.node) : Json(nullptr);
  // Until leases exist, "active" says nothing about the worker's link: it stands beside it.
  j["node_connected"] = a.has_session() && core.node_status(a.top.node, now).connected;
  j["reason"] = a.has_session() && !a.is_open() ? Json(to_string(a.reason)) : Json(nullptr);
  j["version"] = a.has_session() ? version_json(a.top) : Json(nullptr);
  j["evidence_lo"] = a.lo.us;
  j["evidence_hi"] = a.hi.us;
  j["in_doubt"] = core.in_doubt(id);
  j["contested"] = core.contested(id, now);
  Json contacts = Json::array();
  for (const auto& c : a.contacts) {
    if (!c.node.empty()) contacts.push_back({{"node", c.node}, {"hi", c.hi.us}});
  }
  j["contacts"] = std::move(contacts);
  j["info_complete"] = a.info != nullptr && !a.info_missing();
  j["info"] = info_json(a);
  return j;
}

Json node_json(const NodeName& name, const master::NodeLog& n, const MasterCore& core,
               const Now& now) {
  const auto s = core.node_status(name, now);
  return {{"node", name},
          {"connected", s.connected},
          {"address", s.connected ? Json(s.address) : Json(nullptr)},
          {"software", s.connected ? Json(s.software) : Json(nullptr)},
          {"connected_for_us", s.connected_for_us},
          {"silent_for_us", s.silent_for_us},
          {"open_sessions", n.open.size()},
          {"open_sessions_reported", s.open_sessions_reported},
          {"last_seq", n.last_seq},
          {"stream", to_hex(static_cast<std::uint64_t>(n.stream))},
          {"store", to_hex(static_cast<std::uint64_t>(n.store))}};
}

Json decision_json(const master::Decision& d) {
  return {{"number", d.number},
          {"at", d.at.us},
          {"node", d.node},
          {"seq", d.seq},
          {"agent", id_of(d.event.agent)},
          {"event", to_string(d.event.kind)},
          {"reason", to_string(d.event.reason)},
          {"version", version_json({d.event.epoch, d.node, d.event.change})},
          {"evidence_lo", d.event.evidence.lo.us},
          {"evidence_hi", d.event.evidence.hi.us},
          {"accepted", accepted(d.rule)},
          {"rule", to_string(d.rule)},
          {"record", version_json(d.top)},
          {"record_phase", to_string(d.top_phase)}};
}

}  // namespace

void add_master_pages(HttpServer& server, Post post, MasterView view) {
  server.route("GET", "/healthz", [=](const Request&) {
    return on_loop(post, [=] {
      const auto& d = view.driver;
      if (!d.log_error().empty())
        return json({{"status", "failing"}, {"why", "the log cannot be written: " + d.log_error()}},
                    503);
      return json({{"status", "ok"}});
    });
  });
  server.route("GET", "/status", [=](const Request&) {
    return on_loop(post, [=] {
      auto& core = view.driver.core();
      const Now now = view.clock.now();
      std::size_t active = 0;
      for (const auto& [id, a] : core.state().agents()) active += a.is_open() ? 1u : 0u;
      const auto& c = core.counters();
      Json rules = Json::object();
      for (const auto& [rule, n] : c.by_rule) rules[rule] = n;
      Json j;
      j["version"] = view.version;
      j["master"] = to_hex(static_cast<std::uint64_t>(core.state().master()));
      j["term"] = to_hex(static_cast<std::uint64_t>(core.state().term()));
      j["ready"] = core.ready();
      j["master_time"] = core.time(now).us;
      j["agents"] = core.state().agents().size();
      j["active"] = active;
      j["in_doubt"] = core.in_doubt();
      j["connections"] = core.connections();
      j["decisions"] = std::move(rules);
      j["frames"] = c.frames;
      j["events"] = c.events;
      j["duplicates"] = c.duplicates;
      j["superseded_sent"] = c.superseded_sent;
      j["challenges_sent"] = c.challenges_sent;
      j["refused_connections"] = c.refused_connections;
      const auto l = view.listener();
      j["listener"] = {{"accepted", l.accepted},         {"over_limit", l.over_limit},
                       {"over_address", l.over_address}, {"gave_way", l.gave_way},
                       {"too_slow", l.too_slow},         {"failed", l.failed}};
      j["log_error"] =
          view.driver.log_error().empty() ? Json(nullptr) : Json(view.driver.log_error());
      return json(j);
    });
  });
  server.route("GET", "/agents", [=](const Request& r) {
    const auto p = paging(r);
    if (!p) return p.error();
    return on_loop(post, [=, p = *p] {
      auto& core = view.driver.core();
      const Now now = view.clock.now();
      auto ids = page_of(core.state().agents(), p);
      Json next = nullptr;
      if (ids.size() > p.limit) {
        ids.pop_back();
        next = id_of(ids.back());
      }
      Json list = Json::array();
      for (AgentId id : ids) list.push_back(agent_json(id, *core.state().find(id), core, now));
      return json({{"total", core.state().agents().size()},
                   {"next_after", next},
                   {"agents", std::move(list)}});
    });
  });
  server.route("GET", "/agents/{}", [=](const Request& r) {
    const auto id = agent_of(r.matches[0]);
    if (!id) return error_response(400, "an agent's id is a whole number from 1");
    return on_loop(post, [=] {
      auto& core = view.driver.core();
      const AgentRecord* a = core.state().find(*id);
      if (!a) return error_response(404, "no worker has told of an agent of this id");
      return json(agent_json(*id, *a, core, view.clock.now()));
    });
  });
  server.route("GET", "/nodes", [=](const Request&) {
    return on_loop(post, [=] {
      const auto& core = view.driver.core();
      const Now now = view.clock.now();
      Json list = Json::array();
      for (const auto& [name, n] : core.state().nodes())
        list.push_back(node_json(name, n, core, now));
      return json({{"nodes", std::move(list)}});
    });
  });
  // The newest decisions, accepted and refused, with the rule of each.
  server.route("GET", "/decisions", [=](const Request& r) {
    const auto p = paging(r);
    if (!p) return p.error();
    return on_loop(post, [=, p = *p] {
      const auto& all = view.driver.core().decisions();
      auto it = std::ranges::upper_bound(all, p.after, {}, [](const auto& d) { return d.number; });
      Json list = Json::array();
      for (; it != all.end() && list.size() < p.limit; ++it) list.push_back(decision_json(*it));
      return json({{"oldest", all.empty() ? Json(nullptr) : Json(all.front().number)},
                   {"newest", all.empty() ? Json(nullptr) : Json(all.back().number)},
                   {"decisions", std::move(list)}});
    });
  });
}

}  // namespace rollcall::inspect
