#include "master/sink/table_read.h"

#include <algorithm>
#include <charconv>

#include "wazuh/wdb_reply.h"

namespace rollcall::master {
namespace {

namespace dom = simdjson::dom;

// "7:active:worker-1"; what parts rows is not in a node's name any more.
std::optional<ShownRow> parse_row(std::string_view text) {
  const auto first = text.find(':');
  const auto second = text.find(':', first + 1);
  if (first == text.npos || second == text.npos) return std::nullopt;
  std::uint32_t id = 0;
  const char* end = text.data() + first;
  const auto [rest, wrong] = std::from_chars(text.data(), end, id);
  const auto status = row_status(text.substr(first + 1, second - first - 1));
  if (wrong != std::errc() || rest != end || id == 0 || !status) return std::nullopt;
  return ShownRow{AgentId{id}, *status, std::string(text.substr(second + 1))};
}

}  // namespace

std::string_view to_string(RowStatus status) {
  switch (status) {
    case RowStatus::never_connected:
      return "never_connected";
    case RowStatus::pending:
      return "pending";
    case RowStatus::active:
      return "active";
    case RowStatus::disconnected:
      return "disconnected";
  }
  return "?";
}

std::optional<RowStatus> row_status(std::string_view text) {
  for (const auto status : {RowStatus::never_connected, RowStatus::pending, RowStatus::active,
                            RowStatus::disconnected}) {
    if (to_string(status) == text) return status;
  }
  return std::nullopt;
}

void TableRead::begin() {
  asked_ = page_.get();
  last_ = 0;
  first_ = true;
  table_s_ = 0;
  own_node_.clear();
}

std::string TableRead::request() const {
  std::string text = "global sql SELECT group_concat(x,';') r,max(id) m,count(*) c";
  if (first_) {
    text += ",(SELECT node_name FROM agent WHERE id=0) o,CAST(strftime('%s','now') AS INTEGER) t";
  }
  return text +
         " FROM (SELECT id,id||':'||connection_status||':'||replace(ifnull(node_name,''),';','.')"
         " AS x FROM agent WHERE id>" +
         std::to_string(last_) + " ORDER BY id LIMIT " + std::to_string(asked_) + ")";
}

std::expected<TableRead::Page, Error> TableRead::take(std::string_view reply) {
  dom::parser parser;
  auto parsed = wazuh::packed_page(reply, asked_, parser);
  if (auto* error = std::get_if<Error>(&parsed)) return std::unexpected(std::move(*error));
  if (const auto* cut = std::get_if<wazuh::Cut>(&parsed)) {
    if (!page_.halve(asked_)) {
      return fail("the row of the first agent with an id above " + std::to_string(last_) +
                  " cannot be read: asked for alone, " + cut->why +
                  "; look at this agent in Wazuh");
    }
    asked_ = page_.get();
    return Page{};
  }
  const auto& found = std::get<wazuh::PackedPage>(parsed);
  Page page;
  page.rows.reserve(found.count);
  std::string_view text = found.rows;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    auto row = parse_row(one);
    if (!row || static_cast<std::uint32_t>(row->agent) <= last_) {
      return fail("a row of table agent cannot be read, or is out of order: " + wazuh::quoted(one) +
                  " (wanted id:status:node); look at this agent in Wazuh");
    }
    last_ = static_cast<std::uint32_t>(row->agent);
    page.rows.push_back(std::move(*row));
  }
  if (std::exchange(first_, false)) {
    table_s_ = static_cast<std::int64_t>(wazuh::whole(found.all.at_key("t")).value_or(0));
    if (table_s_ == 0) return fail("wazuh-db's answer does not tell the time");
    std::string_view own;
    if (found.all.at_key("o").get(own) == simdjson::SUCCESS) own_node_ = own;
  }
  page.last = found.count < asked_;
  if (!page.last) page_.fitted();
  asked_ = page_.get();
  return page;
}

}  // namespace rollcall::master
