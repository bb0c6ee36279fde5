#include "inspect/master_json.h"

#include <algorithm>
#include <string>

#include "protocol/unknown_fields.h"

namespace rollcall::inspect {
namespace {

using master::AgentStatus;
using master::Decision;
using master::History;

// The fields that an agent of Wazuh has; one that is not known is shown as null, never left out.
constexpr const char* kInfoFields[] = {
    "name",       "ip",          "version",  "os_name",
    "os_version", "os_major",    "os_minor", "os_codename",
    "os_build",   "os_platform", "os_uname", "os_arch",
    "config_sum", "merged_sum",  "group",    "group_config_status",
    "date_add",   "manager_host"};

Json info_json(const AgentRecord& a) {
  Json fields;
  for (const char* name : kInfoFields) fields[name] = nullptr;
  fields["labels"] = nullptr;
  if (!a.info) return fields;
  Json labels = Json::object();
  for (const auto& [name, value] : *a.info) {
    if (name.starts_with(kLabelPrefix)) {
      labels[std::string(name.substr(kLabelPrefix.size()))] = std::string(value);
    } else if (const std::string field(name); fields.contains(field)) {
      fields[field] = std::string(value);
    }
  }
  fields["labels"] = std::move(labels);
  return fields;
}

// Under the names that the page has for them. What is not there at all was named before.
void add_unknown(const AgentInfo& info, Json& unknown) {
  for (const std::string_view name : unknown_fields(info)) {
    const std::string shown = name.starts_with(kLabelPrefix)
                                  ? "labels." + std::string(name.substr(kLabelPrefix.size()))
                                  : std::string(name);
    if (std::ranges::find(unknown, Json(shown)) == unknown.end()) unknown.push_back(shown);
  }
}

// What the master found out itself has none.
Json seq_json(master::Cause cause, std::uint64_t seq) {
  return cause == master::Cause::told ? Json(seq) : Json(nullptr);
}

}  // namespace

Json version_json(const Version& v) {
  if (v.epoch == kUnstamped) return nullptr;
  return {{"epoch", static_cast<std::uint64_t>(v.epoch)}, {"node", v.node}, {"change", v.change}};
}

Json reason_json(Reason reason) {
  return reason == Reason::none ? Json(nullptr) : Json(to_string(reason));
}

Json time_json(const std::optional<MasterTime>& at) {
  return at ? Json(at->us) : Json(nullptr);
}

std::string_view status_text(const AgentRecord& a, const master::NodeStanding& node) {
  return a.has_session() ? to_string(master::status_of(a, node)) : "unknown";
}

Json unknown_json(const AgentRecord& a) {
  Json unknown = Json::array();
  if (!a.has_session()) unknown.push_back("node");
  for (const char* name : kInfoFields) {
    if (!a.info || !a.info->contains(name)) unknown.push_back(name);
  }
  if (!a.info) unknown.push_back("labels");
  if (a.info) add_unknown(*a.info, unknown);
  return unknown;
}

Json agent_json(AgentId id, const AgentRecord& a, const AgentBeside& beside) {
  const bool known = a.has_session();
  Json j;
  j["id"] = id_of(id);
  j["status"] = status_text(a, beside.standing);
  j["node"] = known ? Json(a.top.node) : Json(nullptr);
  j["node_connected"] = known ? or_null(beside.node_connected) : Json(nullptr);
  j["lease"] = known ? Json(to_string(beside.standing.lease)) : Json(nullptr);
  j["reason"] = reason_json(master::reason_of(a, beside.standing));
  j["offered_until"] = a.is_offered() ? Json(a.offered_until.us) : Json(nullptr);
  j["version"] = version_json(a.top);
  j["evidence_lo"] = known ? Json(a.lo.us) : Json(nullptr);
  j["evidence_hi"] = known ? Json(a.hi.us) : Json(nullptr);
  j["in_doubt"] = a.doubt().has_value();
  j["contested"] = or_null(beside.contested);
  Json contacts = Json::array();
  for (const auto& c : a.contacts) {
    if (!c.node.empty()) contacts.push_back({{"node", c.node}, {"hi", c.hi.us}});
  }
  j["contacts"] = std::move(contacts);
  j["info_complete"] = a.info != nullptr && !a.info_missing();
  j["unknown"] = unknown_json(a);
  j["info"] = info_json(a);
  return j;
}

namespace {

Json standing_json(const master::Standing& s) {
  if (s.node.empty()) return nullptr;
  return {{"node", s.node},
          {"epoch", static_cast<std::uint64_t>(s.epoch)},
          {"status", to_string(s.status)}};
}

Json claim_json(const master::MasterCore::Claim& c) {
  return {{"node", c.node},
          {"address", or_null(c.address)},
          {"on_top", c.on_top},
          {"open_epoch", c.open ? Json(static_cast<std::uint64_t>(*c.open)) : Json(nullptr)},
          {"contact", time_json(c.contact)},
          {"agent_ip", or_null(c.agent_ip)}};
}

}  // namespace

Json feed_json(const master::FeedEntry& e) {
  const bool by_lease = e.cause != master::LeaseCause::none;
  return {{"seq", e.seq},
          {"agent", id_of(e.agent)},
          {"agent_seq", e.agent_seq},
          {"event", to_string(e.kind)},
          {"at", e.at.us},
          {"from", standing_json(e.from)},
          {"to", standing_json(e.to)},
          {"reason", reason_json(e.reason)},
          {"lease_cause", by_lease ? Json(to_string(e.cause)) : Json(nullptr)}};
}

Json contest_json(const master::MasterCore::Contest& c, std::size_t flapping) {
  Json moves = Json::array(), claims = Json::array();
  for (const MasterTime at : c.moves) moves.push_back(at.us);
  for (const auto& claim : c.claims) claims.push_back(claim_json(claim));
  return {{"agent", id_of(c.agent)},
          {"contested", c.contested},
          {"flapping", c.moves.size() >= flapping},
          {"moves", std::move(moves)},
          {"workers", std::move(claims)}};
}

Json lease_json(const master::MasterCore::NodeStatus& status) {
  const auto& lease = status.lease;
  return {{"status", to_string(lease.status)},
          {"cause",
           lease.cause == master::LeaseCause::none ? Json(nullptr) : Json(to_string(lease.cause))},
          {"since", lease.since.us},
          {"left_us", or_null(status.lease_left_us)}};
}

namespace {

Json away_json(const std::optional<master::Away>& away) {
  if (!away) return nullptr;
  return {{"reason", to_string(away->reason)}, {"until", away->until.us}};
}

}  // namespace

Json node_json(const NodeView& n) {
  const auto now = [&n](const auto& value) {
    return n.status.connected ? Json(value) : Json(nullptr);
  };
  return {
      {"node", n.name},
      {"connected", n.status.connected},
      {"address", now(n.status.address)},
      {"software", now(n.status.software)},
      {"connected_for_us", now(n.status.connected_for_us)},
      {"silent_for_us", now(n.status.silent_for_us)},
      {"lease", lease_json(n.status)},
      {"frozen_until", time_json(n.status.frozen_until)},
      {"away", away_json(n.status.away)},
      {"offered", n.status.offered},
      {"agreement", n.status.agreement == Agreement::unknown ? Json(nullptr)
                                                             : Json(to_string(n.status.agreement))},
      {"blind", now(n.status.blind)},
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
      {"seq", seq_json(d.cause, d.seq)},
      {"cause", to_string(d.cause)},
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
          {"seq", seq_json(e.cause, e.seq)},
          {"cause", to_string(e.cause)},
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

}  // namespace rollcall::inspect
