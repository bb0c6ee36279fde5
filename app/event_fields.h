#pragma once
// An event as fields of a line in the log.
#include <string>
#include <utility>
#include <vector>

#include "protocol/event.h"

namespace rollcall::app {

inline std::vector<std::pair<std::string, std::string>> fields_of(const Event& e,
                                                                  const NodeName& node) {
  std::vector<std::pair<std::string, std::string>> fields{
      {"agent", std::to_string(std::to_underlying(e.agent))},
      {"node", node},
      {"session", std::to_string(std::to_underlying(e.epoch))},
      {"change", std::to_string(e.change)},
      {"event", std::string(to_string(e.kind))}};
  if (e.reason != Reason::none) fields.emplace_back("reason", to_string(e.reason));
  return fields;
}

}  // namespace rollcall::app
