#pragma once
// An info may say which fields the agent has and it does not hold, or not whole: they did not fit a
// reply of wazuh-db, or a DELTA. It says so in a field of its own, so that it is stored, hashed and
// passed on like all others, and readers that do not know it show the rest (docs/protocol.md,
// section 4). No I/O; any thread.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/agent_info.h"

namespace rollcall {

inline constexpr std::string_view kLabelPrefix = "label.";
// The field: names, each on a line of its own.
inline constexpr std::string_view kUnknownFields = "unknown_fields";
// Names in it that stand for many: of labels, and of other fields that no page shows.
inline constexpr std::string_view kAllLabels = "labels";
inline constexpr std::string_view kOtherFields = "others";
// So long its value can be; names that do not fit become kAllLabels or kOtherFields.
inline constexpr std::size_t kMaxUnknownFields = 4 * 1024;

// The names, each once. The views are into the info.
std::vector<std::string_view> unknown_fields(const AgentInfo& info);
// Adds to them.
void add_unknown_fields(AgentInfo& info, std::span<const std::string> names);
// Whether the info says so of the field of this name, alone or with all labels.
bool is_unknown(const AgentInfo& info, std::string_view name);

}  // namespace rollcall
