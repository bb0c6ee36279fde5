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

bool has_value(const dom::object& object, std::string_view name) {
  dom::element value;
  return object.at_key(name).get(value) == simdjson::SUCCESS && !value.is_null();
}

}  // namespace

void FieldsRead::begin(std::vector<AgentId> agents) {
  agents_ = std::move(agents);
  next_ = 0;
  asked_ = std::min(page_.get(), agents_.size());
  without_labels_ = false;
  done_ = {};
}

std::span<const AgentId> FieldsRead::page() const {
  return std::span(agents_).subspan(next_, asked_);
}

std::string FieldsRead::request() const {
  const std::string ids = " WHERE id IN (" + id_list(page()) + ")";
  std::string text = "global sql SELECT id";
  for (const std::string_view column : columns_) text += "," + std::string(column);
  if (!asks_labels()) return text + " FROM agent" + ids;
  text += ",NULL AS key,NULL AS value FROM agent" + ids + " UNION ALL SELECT id";
  for (std::size_t i = 0; i < columns_.size(); ++i) text += ",NULL";
  return text + ",key,value FROM labels" + ids;
}

FieldsRead::Result FieldsRead::take(std::string_view reply) {
  dom::parser parser;
  auto parsed = array_of(reply, parser);
  if (const auto* error = std::get_if<Error>(&parsed)) return refused(reply, *error);
  if (const auto* cut = std::get_if<Cut>(&parsed)) return ask_less(cut->why);

  std::vector<AgentInfo> found(asked_);
  std::vector<std::pair<std::size_t, dom::object>> labels;  // of which agent
  for (const dom::element element : std::get<dom::array>(parsed)) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS)
      return fail("wazuh-db answered a row without columns");
    const auto id = whole(object.at_key("id"));
    const auto agents = page();
    const auto at = std::ranges::find_if(
        agents, [&](AgentId a) { return id && static_cast<std::uint32_t>(a) == *id; });
    const auto index = static_cast<std::size_t>(at - agents.begin());
    const bool is_label = asks_labels() && has_value(object, "key");
    if (at == agents.end() || (!is_label && !found[index].empty())) {
      return fail("wazuh-db answered a row of an agent that was not asked for, or twice");
    }
    if (is_label) {
      labels.emplace_back(index, object);
      continue;
    }
    for (const auto [name, value] : object) {
      if (name == "id" || name == "key" || name == "value") continue;
      if (auto text = field_text(value))
        found[index].insert_or_assign(std::string(name), std::move(*text));
    }
  }
  for (const auto& [index, object] : labels) {
    if (found[index].empty()) continue;  // left behind by an agent that was deleted
    dom::element key;
    dom::element value;
    if (object.at_key("key").get(key) != simdjson::SUCCESS ||
        object.at_key("value").get(value) != simdjson::SUCCESS)
      continue;
    const auto name = field_text(key);
    auto text = field_text(value);
    if (name && text) found[index].insert_or_assign("label." + *name, std::move(*text));
  }
  return deliver(std::move(found));
}

FieldsRead::Result FieldsRead::refused(std::string_view reply, const Error& error) {
  if (!reply.starts_with("err ")) return std::unexpected(error);
  if (reply.find("no such table: labels") != reply.npos && std::exchange(has_labels_, false))
    return More{};
  if (forget_column(reply)) return More{};
  return std::unexpected(error);
}

// Of one agent the labels are left out first.
FieldsRead::Result FieldsRead::ask_less(std::string_view why) {
  if (page_.halve(asked_)) {
    asked_ = page_.get();
    return More{};
  }
  const std::string agent = id_text(page()[0]);
  if (asks_labels()) {
    without_labels_ = true;
    done_.without_labels.push_back(page()[0]);
    done_.problems.emplace_back(page()[0], "the labels of agent " + agent +
                                               " cannot be read and are left out: asked for "
                                               "alone, " +
                                               std::string(why));
    return More{};
  }
  if (without_labels_) {
    done_.problems.pop_back();
    done_.without_labels.pop_back();
  }
  done_.problems.emplace_back(page()[0], "what Wazuh knows of agent " + agent +
                                             " cannot be read: asked for alone, " +
                                             std::string(why));
  return deliver({AgentInfo()});
}

FieldsRead::Result FieldsRead::deliver(std::vector<AgentInfo> found) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    done_.agents.emplace_back(agents_[next_ + i], std::move(found[i]));
  }
  page_.fitted();
  next_ += found.size();
  asked_ = std::min(page_.get(), agents_.size() - next_);
  without_labels_ = false;
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
