#include "wazuh/fields_read.h"

#include <algorithm>
#include <cstdint>

#include "wazuh/wdb_reply.h"

namespace rollcall::wazuh {
namespace {

namespace dom = simdjson::dom;

std::string id_list(std::span<const AgentId> agents) {
  std::string out;
  for (const AgentId agent : agents) out += (out.empty() ? "" : ",") + id_text(agent);
  return out;
}

}  // namespace

void FieldsRead::begin(std::vector<AgentId> agents) {
  agents_ = std::move(agents);
  next_ = 0;
  asked_ = std::min(page_.get(), agents_.size());
  stage_ = Columns{};
  done_ = {};
}

std::span<const AgentId> FieldsRead::page() const {
  return std::span(agents_).subspan(next_, asked_);
}

std::string FieldsRead::request() const {
  const std::string ids = " WHERE id IN (" + id_list(page()) + ")";
  if (std::holds_alternative<Labels>(stage_)) {
    return "global sql SELECT id,key,value FROM labels" + ids;
  }
  std::string text = "global sql SELECT id";
  for (const std::string_view column : columns_) text += "," + std::string(column);
  return text + " FROM agent" + ids;
}

FieldsRead::Result FieldsRead::take(std::string_view reply) {
  if (auto* labels = std::get_if<Labels>(&stage_)) {
    return take_labels(reply, std::move(labels->found));
  }
  return take_columns(reply);
}

FieldsRead::Result FieldsRead::take_columns(std::string_view reply) {
  dom::parser parser;
  auto parsed = array_of(reply, parser);
  if (const auto* error = std::get_if<Error>(&parsed)) {
    if (reply.starts_with("err ") && forget_column(reply)) return More{};
    return std::unexpected(*error);
  }
  if (const auto* cut = std::get_if<Cut>(&parsed)) {
    if (page_.halve(asked_)) {
      asked_ = page_.get();
      return More{};
    }
    done_.problems.emplace_back(page()[0], "what Wazuh knows of agent " + id_text(page()[0]) +
                                               " cannot be read: asked for alone, " + cut->why);
    return deliver({AgentInfo()});
  }

  std::vector<AgentInfo> found(asked_);
  bool any = false;
  for (const dom::element element : std::get<dom::array>(parsed)) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS)
      return fail("wazuh-db answered a row without columns");
    const auto id = whole(object.at_key("id"));
    const auto agents = page();
    const auto at = std::ranges::find_if(
        agents, [&](AgentId a) { return id && static_cast<std::uint32_t>(a) == *id; });
    const auto index = static_cast<std::size_t>(at - agents.begin());
    if (at == agents.end() || !found[index].empty()) {
      return fail("wazuh-db answered a row of an agent that was not asked for, or twice");
    }
    any = true;
    for (const auto [name, value] : object) {
      if (name == "id") continue;
      if (auto text = field_text(value))
        found[index].insert_or_assign(std::string(name), std::move(*text));
    }
  }
  if (!any || !has_labels_) return deliver(std::move(found));
  stage_ = Labels{std::move(found)};
  return More{};
}

FieldsRead::Result FieldsRead::take_labels(std::string_view reply, std::vector<AgentInfo> found) {
  dom::parser parser;
  auto parsed = array_of(reply, parser);
  if (const auto* error = std::get_if<Error>(&parsed)) {
    if (!reply.starts_with("err ") || reply.find("no such table: labels") == reply.npos) {
      return std::unexpected(*error);
    }
    has_labels_ = false;
    return deliver(std::move(found));
  }
  if (const auto* cut = std::get_if<Cut>(&parsed)) {
    if (page_.halve(asked_)) {
      asked_ = page_.get();
      stage_ = Columns{};
      return More{};
    }
    done_.problems.emplace_back(
        page()[0], "the labels of agent " + id_text(page()[0]) +
                       " cannot be read and are left out: asked for alone, " + cut->why);
    return deliver(std::move(found));
  }
  for (const dom::element element : std::get<dom::array>(parsed)) {
    dom::object object;
    dom::element key_element;
    dom::element value_element;
    if (element.get(object) != simdjson::SUCCESS ||
        object.at_key("key").get(key_element) != simdjson::SUCCESS) {
      return fail("wazuh-db answered a label without a key");
    }
    const auto id = whole(object.at_key("id"));
    const auto agents = page();
    const auto at = std::ranges::find_if(
        agents, [&](AgentId a) { return id && static_cast<std::uint32_t>(a) == *id; });
    if (at == agents.end()) return fail("wazuh-db answered a label of an agent not asked for");
    AgentInfo& info = found[static_cast<std::size_t>(at - agents.begin())];
    // No row a moment ago: the agent was enrolled in between, and is read another time.
    if (info.empty() || object.at_key("value").get(value_element) != simdjson::SUCCESS) continue;
    const auto key = field_text(key_element);
    auto value = field_text(value_element);
    if (key && value) info.insert_or_assign("label." + *key, std::move(*value));
  }
  return deliver(std::move(found));
}

FieldsRead::Result FieldsRead::deliver(std::vector<AgentInfo> found) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    done_.agents.emplace_back(agents_[next_ + i], std::move(found[i]));
  }
  page_.fitted();
  next_ += found.size();
  asked_ = std::min(page_.get(), agents_.size() - next_);
  stage_ = Columns{};
  if (next_ < agents_.size()) return More{};
  return std::exchange(done_, {});
}

bool FieldsRead::forget_column(std::string_view complaint) {
  constexpr std::string_view kComplaint = "no such column: ";
  const auto at = complaint.find(kComplaint);
  if (at == complaint.npos) return false;
  const std::string_view name = complaint.substr(at + kComplaint.size());
  return std::erase_if(columns_, [name](std::string_view column) {
           if (column.starts_with('`')) column = column.substr(1, column.size() - 2);
           return column == name;
         }) > 0;
}

}  // namespace rollcall::wazuh
