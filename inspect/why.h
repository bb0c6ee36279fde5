#pragma once
// Why an agent is shown as it is: what decided it, put together from the record, the newest
// decisions and its worker's lease. Pure.
#include <optional>
#include <string>
#include <vector>

#include "inspect/page_tools.h"
#include "master/core/history.h"
#include "master/core/master_core.h"

namespace rollcall::inspect {

inline constexpr std::size_t kWhyDecisions = 1'000;  // that are looked through

struct WhyFacts {
  AgentId agent{};
  AgentRecord record;
  master::MasterCore::NodeStatus node;  // of the worker of its newest session
  bool contested = false;
  bool challenged = false;                        // its worker was asked to confirm it
  std::optional<MasterTime> history_begins;       // decisions before may be missing
  std::vector<master::History::Entry> decisions;  // about this agent, the newest first
  std::string log_directory;
};

// One decision in a sentence: who said what, how late, and why it counts or does not.
std::string decision_text(const master::History::Entry& e);

// `text` says in a few sentences what the other fields say.
Json why_json(const WhyFacts& facts);

}  // namespace rollcall::inspect
