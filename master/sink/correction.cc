#include "master/sink/correction.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "protocol/unknown_fields.h"

namespace rollcall::master {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kUnknownNode = "unknown";
constexpr std::int64_t kSecondUs = 1'000'000;
// With an older keepalive Wazuh's own reaper might take an agent that is active for a silent one.
constexpr std::int64_t kStaleKeepaliveS = 300;

constexpr std::array<std::string_view, 21> kRow = {"name",
                                                   "ip",
                                                   "version",
                                                   "os_name",
                                                   "os_version",
                                                   "os_major",
                                                   "os_minor",
                                                   "os_codename",
                                                   "os_build",
                                                   "os_platform",
                                                   "os_uname",
                                                   "os_arch",
                                                   "config_sum",
                                                   "merged_sum",
                                                   "manager_host",
                                                   "node_name",
                                                   "last_keepalive",
                                                   "connection_status",
                                                   "disconnection_time",
                                                   "group_config_status",
                                                   "status_code"};
constexpr std::array<std::string_view, 3> kNumbers = {"last_keepalive", "disconnection_time",
                                                      "status_code"};
// What the agent's worker knows best. Its name is the master's own.
constexpr std::array<std::string_view, 15> kOfWorker = {
    "ip",       "version",     "os_name",    "os_version",   "os_major",
    "os_minor", "os_codename", "os_build",   "os_platform",  "os_uname",
    "os_arch",  "config_sum",  "merged_sum", "manager_host", "group_config_status"};

std::string_view field(const AgentInfo& row, std::string_view name) {
  const auto found = row.find(name);
  return found == row.end() ? std::string_view() : found->second;
}

std::int64_t number(const AgentInfo& row, std::string_view name) {
  const std::string_view text = field(row, name);
  std::int64_t value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  return wrong == std::errc() && end == text.data() + text.size() ? value : 0;
}

void set(AgentInfo& row, std::string_view name, std::int64_t value) {
  row.insert_or_assign(name, std::to_string(value));
}

bool same_status(RowStatus shown, bool active) {
  if (!active) return shown == RowStatus::disconnected;
  return shown == RowStatus::active || shown == RowStatus::pending;
}

bool is_no_node(std::string_view node) {
  return node.empty() || node == kUnknownNode;
}

// As Wazuh writes it.
std::int64_t code_of(Reason reason) {
  switch (reason) {
    case Reason::invalid_version:
      return 1;
    case Reason::version_error:
      return 2;
    case Reason::shutdown:
      return 3;
    case Reason::worker_restart:
      return 5;
    default:
      return 4;
  }
}

// Only fields of the very stay that was decided on, never a blank one, and none of which its worker
// knows a part only: some of the labels would take the place of all.
void take_fields(AgentInfo& row, const AgentRecord& record) {
  if (!record.info || record.info_missing() || record.known->stamp.node != record.top.node) return;
  const AgentInfo& info = *record.info;
  for (const std::string_view name : kOfWorker) {
    const auto text = field(info, name);
    // Wazuh's table takes no other word there.
    if (name == "group_config_status" && text != "synced" && text != "not synced") continue;
    if (!text.empty() && !is_unknown(info, name)) row.insert_or_assign(name, text);
  }
  const auto is_label = [](const auto& f) { return f.first.starts_with(kLabelPrefix); };
  if (std::ranges::none_of(info, is_label) || is_unknown(info, kAllLabels)) return;
  AgentInfo with;
  for (const auto& f : row) {
    if (!is_label(f)) with.insert_or_assign(f.first, f.second);
  }
  for (const auto& f : info) {
    if (is_label(f)) with.insert_or_assign(f.first, f.second);
  }
  row = std::move(with);
}

void set_active(AgentInfo& row, const AgentRecord& record, bool moved, std::int64_t table_s) {
  std::int64_t heard = number(row, "last_keepalive");
  if (moved) heard = std::max(heard, std::min(record.lo.us / kSecondUs, table_s));
  if (table_s - heard > kStaleKeepaliveS) heard = table_s;
  row.insert_or_assign("connection_status", to_string(RowStatus::active));
  set(row, "last_keepalive", heard);
  set(row, "disconnection_time", 0);
  set(row, "status_code", 0);
}

void set_disconnected(AgentInfo& row, const AgentRecord& record, std::int64_t table_s) {
  const std::int64_t left = std::clamp<std::int64_t>(record.hi.us / kSecondUs, 1, table_s);
  row.insert_or_assign("connection_status", to_string(RowStatus::disconnected));
  set(row, "disconnection_time", left);
  set(row, "status_code", code_of(record.reason));
}

// What was read and was no UTF-8 came as U+FFFD, and would be written so; what a worker tells may
// be anything.
bool is_text(const AgentInfo& row) {
  return std::ranges::all_of(row, [](const auto& f) {
    return f.second.find("\xEF\xBF\xBD") == std::string_view::npos &&
           simdjson::validate_utf8(f.first.data(), f.first.size()) &&
           simdjson::validate_utf8(f.second.data(), f.second.size());
  });
}

std::vector<Correction::Change> changes(const AgentInfo& before, const AgentInfo& after) {
  std::vector<Correction::Change> out;
  for (const auto& [name, text] : after) {
    if (field(before, name) != text || !before.contains(name))
      out.push_back({std::string(name), std::string(field(before, name)), std::string(text)});
  }
  for (const auto& [name, text] : before) {
    if (!after.contains(name)) out.push_back({std::string(name), std::string(text), ""});
  }
  return out;
}

Json id_json(AgentId agent) {
  return static_cast<std::uint32_t>(agent);
}

Json row_json(const Correction& c) {
  Json j;
  j["id"] = id_json(c.agent);
  Json labels = Json::array();
  for (const auto& [name, text] : c.after) {
    if (name.starts_with(kLabelPrefix)) {
      labels.push_back({{"id", id_json(c.agent)},
                        {"key", std::string(name.substr(kLabelPrefix.size()))},
                        {"value", std::string(text)}});
    } else if (std::ranges::find(kNumbers, name) != kNumbers.end()) {
      j[std::string(name)] = number(c.after, name);
    } else {
      j[std::string(name)] = std::string(text);
    }
  }
  j["labels"] = std::move(labels);
  return j;
}

Json status_json(const Correction& c) {
  return {{"id", id_json(c.agent)},
          {"version", std::string(field(c.after, "version"))},
          {"connection_status", std::string(field(c.after, "connection_status"))},
          {"disconnection_time", number(c.after, "disconnection_time")},
          {"status_code", number(c.after, "status_code")}};
}

Json keepalive_json(const Correction& c) {
  return {{"id", id_json(c.agent)}, {"version", std::string(field(c.after, "version"))}};
}

}  // namespace

NodeNames::NodeNames(const std::map<NodeName, std::string>& in_wazuh) : in_wazuh_(in_wazuh) {
  for (const auto& [node, name] : in_wazuh_) of_[name] = node;
}

const std::string& NodeNames::in_wazuh(const NodeName& node) const {
  const auto found = in_wazuh_.find(node);
  return found == in_wazuh_.end() ? node : found->second;
}

NodeName NodeNames::of(const std::string& in_wazuh) const {
  const auto found = of_.find(in_wazuh);
  if (found != of_.end()) return found->second;
  return in_wazuh_.contains(in_wazuh) ? NodeName() : in_wazuh;  // that worker has another name
}

std::string_view to_string(Withheld why) {
  switch (why) {
    case Withheld::removed:
      return "removed";
    case Withheld::moving:
      return "moving";
    case Withheld::unreachable:
      return "unreachable";
    case Withheld::unsettled:
      return "unsettled";
    case Withheld::no_sidecar:
      return "no_sidecar";
    case Withheld::own_node:
      return "own_node";
    case Withheld::incomplete:
      return "incomplete";
    case Withheld::unreadable:
      return "unreadable";
    case Withheld::refused:
      return "refused";
  }
  return "?";
}

std::string_view to_string(Correction::Kind kind) {
  switch (kind) {
    case Correction::Kind::fields:
      return "fields";
    case Correction::Kind::status:
      return "status";
    case Correction::Kind::keepalive:
      return "keepalive";
  }
  return "?";
}

Verdict judge(const ShownRow& row, const DecidedView& view, const NodeNames& names,
              std::string_view own_node) {
  const AgentRecord* record = view.state.find(row.agent);
  if (!record || !record->has_session()) return Agrees{};
  const std::string& node = names.in_wazuh(record->top.node);
  if (same_status(row.status, record->is_open()) && row.node == node) return Agrees{};
  if (is_removed(*record)) return Withheld::removed;
  if (record->phase == Phase::released) return Withheld::moving;
  if (!view.proven(record->top.node)) return Withheld::unreachable;
  if (view.unsettled(row.agent)) return Withheld::unsettled;
  if (!is_no_node(row.node) && !view.proven(names.of(row.node))) return Withheld::no_sidecar;
  if (node == own_node) return Withheld::own_node;
  return Differs{{record->top.epoch, record->top.node}, record->is_open()};
}

std::span<const std::string_view> row_columns() {
  return kRow;
}

std::optional<ShownRow> shown(AgentId agent, const AgentInfo& row) {
  const auto status = row_status(field(row, "connection_status"));
  if (!status) return std::nullopt;
  return ShownRow{agent, *status, std::string(field(row, "node_name"))};
}

std::variant<Correction, Withheld> correct(AgentId agent, const AgentInfo& row,
                                           const AgentRecord& record, const NodeNames& names,
                                           std::int64_t table_s) {
  Correction c;
  c.agent = agent;
  c.before = row;
  c.after = row;
  const std::string& node = names.in_wazuh(record.top.node);
  const bool moved = field(row, "node_name") != node;
  if (moved) take_fields(c.after, record);
  c.after.insert_or_assign("node_name", node);
  if (record.is_open()) {
    set_active(c.after, record, moved, table_s);
  } else if (moved || field(row, "connection_status") != to_string(RowStatus::disconnected)) {
    set_disconnected(c.after, record, table_s);
  }
  if (field(c.after, "version").empty()) return Withheld::incomplete;
  if (!is_text(c.after)) return Withheld::unreadable;
  const bool heard_now = number(c.after, "last_keepalive") != number(row, "last_keepalive");
  c.kind = moved       ? Correction::Kind::fields
           : heard_now ? Correction::Kind::keepalive
                       : Correction::Kind::status;
  c.changes = changes(c.before, c.after);
  return c;
}

std::string http_body(std::span<const Correction> corrections) {
  Json body = Json::object();
  for (const Correction& c : corrections) {
    switch (c.kind) {
      case Correction::Kind::fields:
        body["syncreq"].push_back(row_json(c));
        break;
      case Correction::Kind::status:
        body["syncreq_status"].push_back(status_json(c));
        break;
      case Correction::Kind::keepalive:
        body["syncreq_keepalive"].push_back(keepalive_json(c));
        break;
    }
  }
  return body.dump();
}

std::string full_row(const Correction& correction) {
  return row_json(correction).dump();
}

}  // namespace rollcall::master
