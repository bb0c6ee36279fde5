#include "cli/log_json.h"

#include <algorithm>
#include <variant>

#include "inspect/master_json.h"

namespace rollcall::cli {
namespace {

using inspect::id_of;
using inspect::id_or_null;
using inspect::or_null;
using inspect::reason_json;
using inspect::version_json;

template <typename Id>
Json hex(Id id) {
  return id_or_null(static_cast<std::uint64_t>(id));
}

Json event_json(const Event& e, Rule rule, const NodeName& node) {
  Json j{{"agent", id_of(e.agent)},         {"event", to_string(e.kind)},
         {"reason", reason_json(e.reason)}, {"version", version_json({e.epoch, node, e.change})},
         {"evidence_lo", e.evidence.lo.us}, {"evidence_hi", e.evidence.hi.us},
         {"accepted", accepted(rule)},      {"rule", to_string(rule)}};
  j["info"] = nullptr;
  if (e.info) {
    j["info"] = Json::object();
    for (const auto& [name, value] : *e.info) j["info"][std::string(name)] = std::string(value);
  }
  return j;
}

// The fields of each kind of record; null if it has nothing about the agent.
struct Fields {
  std::optional<AgentId> agent;

  Json operator()(const master::Genesis& r) const {
    return whole({{"record", "genesis"}, {"master", hex(r.master)}});
  }
  Json operator()(const master::TermBegun& r) const {
    return whole({{"record", "term_begun"}, {"term", hex(r.term)}, {"cause", r.cause}});
  }
  Json operator()(const master::TimeReserved& r) const {
    return whole({{"record", "time_reserved"}, {"until", r.until.us}, {"began", r.began.us}});
  }
  Json operator()(const master::NodeWelcomed& r) const {
    return whole({{"record", "node_welcomed"},
                  {"at", r.at.us},
                  {"node", r.node},
                  {"machine", r.machine},
                  {"store", hex(r.store)},
                  {"stream", hex(r.stream)},
                  {"first_seq", r.first_seq},
                  {"position", r.position}});
  }
  Json operator()(const master::Decided& r) const {
    Json events = Json::array();
    const bool told = r.cause == master::Cause::told;
    for (std::size_t i = 0; i < r.events.size(); ++i) {
      if (agent && r.events[i].agent != *agent) continue;
      Json event = event_json(r.events[i], r.rules[i], r.node);
      event["seq"] = told ? Json(r.first_seq + i) : Json(nullptr);
      events.push_back(std::move(event));
    }
    if (agent && events.empty()) return nullptr;
    return {{"record", "decided"},
            {"at", r.at.us},
            {"node", r.node},
            {"cause", to_string(r.cause)},
            {"events", std::move(events)}};
  }
  Json operator()(const master::LeaseChanged& r) const {
    return whole({{"record", "lease_changed"},
                  {"at", r.at.us},
                  {"node", r.node},
                  {"status", to_string(r.status)},
                  {"cause", to_string(r.cause)}});
  }
  Json operator()(const master::ExpiryFrozen& r) const {
    return whole({{"record", "expiry_frozen"},
                  {"at", r.at.us},
                  {"node", or_null(r.node)},
                  {"until", r.until.us}});
  }
  Json operator()(const master::NodeForgotten& r) const {
    return whole({{"record", "node_forgotten"}, {"at", r.at.us}, {"node", r.node}});
  }
  Json operator()(const master::OffersExpired& r) const {
    return whole(
        {{"record", "offers_expired"}, {"at", r.at.us}, {"node", r.node}, {"upto", r.upto.us}});
  }
  Json operator()(const master::MigrationsKept& r) const {
    return whole({{"record", "migrations_kept"}, {"most", r.most}});
  }
  Json operator()(const master::NodeLeft& r) const {
    return whole({{"record", "node_left"},
                  {"at", r.at.us},
                  {"node", r.node},
                  {"reason", to_string(r.reason)},
                  {"until", r.until.us}});
  }
  Json operator()(const master::AgentsForgotten& r) const {
    if (agent && std::ranges::find(r.agents, *agent) == r.agents.end()) return nullptr;
    Json agents = Json::array();
    for (const AgentId id : r.agents) {
      if (!agent || id == *agent) agents.push_back(id_of(id));
    }
    return {{"record", "agents_forgotten"}, {"at", r.at.us}, {"agents", std::move(agents)}};
  }

 private:
  // What is about no agent in particular.
  Json whole(Json fields) const { return agent ? Json(nullptr) : std::move(fields); }
};

}  // namespace

Json record_json(std::uint64_t index, const master::LogRecord& record,
                 std::optional<AgentId> agent) {
  Json fields = std::visit(Fields{agent}, record);
  if (fields.is_null()) return nullptr;
  Json j{{"index", index}};
  j.update(fields);
  return j;
}

}  // namespace rollcall::cli
