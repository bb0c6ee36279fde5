#include "protocol/unknown_fields.h"

#include <algorithm>

namespace rollcall {

std::vector<std::string_view> unknown_fields(const AgentInfo& info) {
  std::vector<std::string_view> names;
  const auto found = info.find(kUnknownFields);
  if (found == info.end()) return names;
  for (std::string_view text = found->second; !text.empty();) {
    const auto name = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(name.size() + 1, text.size()));
    if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

void add_unknown_fields(AgentInfo& info, std::span<const std::string> names) {
  if (names.empty()) return;
  constexpr std::size_t kForTheRest = kAllLabels.size() + kOtherFields.size() + 2;
  std::string list;
  bool labels = false, others = false;  // whose names do not fit
  const auto append = [&list](std::string_view name) {
    if (!list.empty()) list += '\n';
    list += name;
  };
  const auto add = [&](std::string_view name) {
    const bool fits = !name.empty() && list.size() + name.size() + kForTheRest < kMaxUnknownFields;
    if (fits && name != kAllLabels && name != kOtherFields) return append(name);
    (name.starts_with(kLabelPrefix) || name == kAllLabels ? labels : others) = true;
  };
  for (const std::string_view name : unknown_fields(info)) add(name);
  for (const std::string& name : names) add(name);
  if (labels) append(kAllLabels);
  if (others) append(kOtherFields);
  info.insert_or_assign(kUnknownFields, list);
}

bool is_unknown(const AgentInfo& info, std::string_view name) {
  if (!info.contains(kUnknownFields)) return false;
  const bool label = name.starts_with(kLabelPrefix) || name == kAllLabels;
  return std::ranges::any_of(unknown_fields(info), [&](std::string_view unknown) {
    return unknown == name || (label && unknown == kAllLabels) ||
           (name == kAllLabels && unknown.starts_with(kLabelPrefix));
  });
}

}  // namespace rollcall
