#include "sidecar/source/wazuh_db_scan.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "wazuh/wdb_reply.h"

namespace rollcall::sidecar {
namespace {

namespace dom = simdjson::dom;

constexpr std::int64_t kMaxSeconds = 100'000'000'000;  // beyond any clock; in microseconds it fits

constexpr std::array<std::string_view, 18> kColumns = {
    "name",       "ip",          "version",  "os_name",
    "os_version", "os_major",    "os_minor", "os_codename",
    "os_build",   "os_platform", "os_uname", "os_arch",
    "config_sum", "merged_sum",  "`group`",  "group_config_status",
    "date_add",   "manager_host"};

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<RowStatus> status_of(std::string_view letter) {
  if (letter == "n") return RowStatus::never_connected;
  if (letter == "p") return RowStatus::pending;
  if (letter == "a") return RowStatus::active;
  if (letter == "d") return RowStatus::disconnected;
  return std::nullopt;
}

// By the length of the word in column sync_status.
std::optional<SyncMark> mark_of(std::string_view length) {
  if (length == "6") return SyncMark::synced;      // synced
  if (length == "17") return SyncMark::keepalive;  // syncreq_keepalive
  if (length == "14") return SyncMark::status;     // syncreq_status
  if (length == "7") return SyncMark::fields;      // syncreq
  return std::nullopt;
}

// FNV-1a
std::uint32_t print_of(std::string_view text) {
  std::uint32_t hash = 2'166'136'261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619u;
  return hash;
}

struct RowText {
  Row row;
  std::optional<SyncMark> mark;
  std::uint32_t print = 0;
  bool elsewhere = false;
};

// "7:d:1795373636:1795373637:3:14", and with a print ":ab73a4a87244.14.7f1de2s" behind it. "!d" is
// a row under another node's name.
std::optional<RowText> parse_row(std::string_view text, bool with_print) {
  std::array<std::string_view, 6> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto colon = text.find(':');
    if ((colon == text.npos) != (i + 1 == parts.size() && !with_print)) return std::nullopt;
    parts[i] = text.substr(0, colon);
    text.remove_prefix(colon == text.npos ? text.size() : colon + 1);
  }
  if (text.find(':') != text.npos) return std::nullopt;
  const auto id = number_in<std::uint32_t>(parts[0]);
  const bool elsewhere = parts[1].starts_with('!');
  const auto status = status_of(parts[1].substr(elsewhere ? 1 : 0));
  const auto keepalive = number_in<std::int64_t>(parts[2]);
  const auto disconnection = number_in<std::int64_t>(parts[3]);
  const auto code = number_in<std::int64_t>(parts[4]);
  if (!id || *id == 0 || !status || !keepalive || !disconnection || !code) return std::nullopt;
  return RowText{
      .row = {.agent = AgentId{*id},
              .status = *status,
              .keepalive_s = std::clamp<std::int64_t>(*keepalive, 0, kMaxSeconds),
              .code = static_cast<std::uint8_t>(std::clamp<std::int64_t>(*code, 0, 255))},
      .mark = mark_of(parts[5]),
      .print = print_of(text),
      .elsewhere = elsewhere};
}

}  // namespace

// ---- the table

TableScan::TableScan(Options options)
    : options_(std::move(options)),
      window_page_(options_.page_rows),
      whole_page_(options_.whole_rows) {
  if (options_.only_node_name)
    node_condition_ = "node_name=" + sql_quoted(*options_.only_node_name);
  begin();
}

void TableScan::begin(std::optional<LookPlan::Window> window, std::span<const AgentId> watched) {
  window_ = window;
  watched_.clear();
  for (const AgentId agent : watched)
    watched_ += (watched_.empty() ? "" : ",") + std::to_string(static_cast<std::uint32_t>(agent));
  last_ = 0;
  asked_ = page().get();
  head_.reset();
  done_ = {};
}

std::string TableScan::request() const {
  std::string text = "global sql SELECT group_concat(x,';') r,max(id) m,count(*) c";
  // Counted with the manager's own row: without a condition an index is enough.
  if (!head_) {
    text +=
        ",(SELECT count(*) FROM agent) n,"
        "CAST(round((julianday('now')-2440587.5)*86400000) AS INTEGER) t";
    // A worker's table has its own agents only.
    if (!window_ && node_condition_.empty()) {
      text +=
          ",(SELECT CASE WHEN min(node_name)<max(node_name) THEN min(node_name)||' and '||"
          "max(node_name) END FROM agent WHERE id>0 AND connection_status IN('active','pending') "
          "AND node_name NOT IN('','unknown')) w";
    }
  }
  // A column that is NULL would make the whole text NULL, and group_concat passes over it.
  text += " FROM (SELECT id,id||':'||";
  if (!watched_.empty()) text += "CASE WHEN " + node_condition_ + " THEN '' ELSE '!' END||";
  text +=
      "substr(connection_status,1,1)||':'||ifnull(last_keepalive,0)||':'"
      "||ifnull(disconnection_time,0)||':'||ifnull(status_code,0)||':'||";
  text += has_marks_ ? "length(sync_status)" : "0";
  // Agents choose some of these texts, so what parts rows and columns is taken out.
  if (wants_prints()) {
    text +=
        "||':'||replace(replace(ifnull(substr(config_sum,1,5),'')||"
        "ifnull(substr(merged_sum,1,5),'')||ifnull(substr(version,-6),'')||"
        "ifnull(substr(group_hash,1,6),'')||ifnull(length(`group`),'')||"
        "ifnull(substr(group_config_status,1,1),''),':','.'),';','.')";
  }
  text += " AS x FROM agent WHERE id>" + std::to_string(last_);
  if (!watched_.empty()) {
    text += " AND (" + node_condition_ + " OR id IN (" + watched_ + "))";
  } else if (!node_condition_.empty()) {
    text += " AND " + node_condition_;
  }
  if (window_) {
    const std::string between =
        " BETWEEN " + std::to_string(window_->from_s) + " AND " + std::to_string(window_->to_s);
    text += " AND (last_keepalive" + between + " OR disconnection_time" + between + ")";
  }
  return text + " ORDER BY id LIMIT " + std::to_string(asked_) + ")";
}

TableScan::Result TableScan::take(std::string_view reply) {
  dom::parser parser;
  auto parsed = wazuh::packed_page(reply, asked_, parser);
  if (const auto* error = std::get_if<Error>(&parsed)) {
    if (reply.starts_with("err ") && forget_column(reply)) return More{};
    return std::unexpected(*error);
  }
  if (const auto* cut = std::get_if<wazuh::Cut>(&parsed)) return ask_less(cut->why);
  const auto& found = std::get<wazuh::PackedPage>(parsed);
  const std::uint64_t count = found.count;

  std::string_view text = found.rows;
  while (!text.empty()) {
    const std::string_view row_text = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(row_text.size() + 1, text.size()));
    if (auto error = add(row_text)) return std::unexpected(std::move(*error));
  }
  if (count > 0 && found.highest != last_) {
    return fail("wazuh-db's answer contradicts itself: its last agent is " + std::to_string(last_) +
                ", which is not the highest it names");
  }
  if (!head_) {
    head_ = Head{};
    if (const auto ms = wazuh::whole(found.all.at_key("t")))
      head_->table_ms = static_cast<std::int64_t>(*ms);
    head_->table_rows =
        std::max<std::size_t>(wazuh::whole(found.all.at_key("n")).value_or(0), 1) - 1;
    if (std::string_view nodes; found.all.at_key("w").get(nodes) == simdjson::SUCCESS) {
      return fail("this table has agents that are connected to other nodes (" +
                  wazuh::quoted(nodes) +
                  "): it is the Wazuh master's; set [source] only_node_name = true");
    }
  }

  const bool last_page = count < asked_;
  if (!last_page) page().fitted();  // a page that was not full says nothing about a full one
  asked_ = page().get();
  if (!last_page) return More{};
  return std::exchange(done_, {});
}

std::optional<Error> TableScan::add(std::string_view row_text) {
  const auto parsed = parse_row(row_text, wants_prints());
  if (!parsed) {
    return Error{"a row of table agent cannot be read: " + wazuh::quoted(row_text) +
                 " (wanted id:status:keepalive:disconnection:code:mark); look at the agent with "
                 "this id in Wazuh"};
  }
  const auto id = static_cast<std::uint32_t>(parsed->row.agent);
  if (id <= last_) {
    return Error{"wazuh-db answered agent " + std::to_string(id) + " after " +
                 std::to_string(last_) + ": rows come twice or out of order"};
  }
  if (done_.rows.size() == options_.max_rows) {
    return Error{"table agent has more than " + std::to_string(options_.max_rows) + " rows"};
  }
  last_ = id;
  if (parsed->elsewhere) {
    done_.elsewhere.push_back(parsed->row.agent);
    return std::nullopt;
  }
  done_.rows.push_back(parsed->row);
  if (has_marks_) done_.marks.push_back(parsed->mark.value_or(SyncMark::synced));
  if (wants_prints()) done_.prints.push_back(parsed->print);
  return std::nullopt;
}

TableScan::Result TableScan::ask_less(std::string_view why) {
  if (!page().halve(asked_)) {
    return fail("the row of the first agent with an id above " + std::to_string(last_) +
                " cannot be read: asked for alone, " + std::string(why) +
                "; look at this agent in Wazuh");
  }
  asked_ = page().get();
  return More{};
}

// A version without one of these columns is looked at without what it tells. False if it is
// another column that is missing.
bool TableScan::forget_column(std::string_view complaint) {
  constexpr std::string_view kComplaint = "no such column: ";
  const auto at = complaint.find(kComplaint);
  if (at == complaint.npos || !done_.rows.empty()) return false;
  const std::string_view name = complaint.substr(at + kComplaint.size());
  if (name == "sync_status") return std::exchange(has_marks_, false);
  constexpr std::array<std::string_view, 6> kPrinted = {
      "config_sum", "merged_sum", "version", "group_hash", "group", "group_config_status"};
  return std::ranges::find(kPrinted, name) != kPrinted.end() && std::exchange(has_prints_, false);
}

// ---- single agents

InfoRead::InfoRead() : FieldsRead({kColumns.begin(), kColumns.end()}) {}

bool is_description(const AgentInfo& fields) {
  return fields.contains("version") &&
         std::ranges::any_of(fields, [](const auto& f) { return f.first.starts_with("os_"); });
}

}  // namespace rollcall::sidecar
