#include "sidecar/core/command_memory.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <sstream>
#include <vector>

namespace rollcall::sidecar {

const CommandMemory::Told* CommandMemory::find(const CommandId& id) const {
  const auto found = std::ranges::find(told_, id, &Told::id);
  return found == told_.end() ? nullptr : &*found;
}

std::optional<CommandMemory::State> CommandMemory::find(const CommandId& id, AgentId agent) const {
  const Told* told = find(id);
  if (!told) return std::nullopt;
  const auto found = told->agents.find(agent);
  return found == told->agents.end() ? std::nullopt : std::optional(found->second);
}

// Of an id that is used again and again nothing may be forgotten meanwhile: it becomes the newest.
CommandMemory::Told& CommandMemory::place(const CommandId& id) {
  const auto found = std::ranges::find(told_, id, &Told::id);
  if (found == told_.end()) {
    told_.push_back({id, {}});
  } else if (std::next(found) != told_.end()) {
    Told moved = std::move(*found);
    told_.erase(found);
    told_.push_back(std::move(moved));
  }
  return told_.back();
}

void CommandMemory::set(const CommandId& id, AgentId agent, State state) {
  Told& told = place(id);
  agents_ += told.agents.insert_or_assign(agent, state).second;
  while (told_.size() > 1 && (told_.size() > kMaxIds || agents_ > kMaxAgents)) {
    agents_ -= told_.front().agents.size();
    told_.pop_front();
  }
}

void CommandMemory::forget(const CommandId& id, AgentId agent) {
  const auto found = std::ranges::find(told_, id, &Told::id);
  if (found == told_.end()) return;
  agents_ -= found->agents.erase(agent);
  if (found->agents.empty()) told_.erase(found);
}

std::string CommandMemory::encode() const {
  std::string out;
  for (const Told& told : told_) {
    std::vector<std::uint32_t> ids;
    for (const auto& [agent, state] : told.agents) ids.push_back(static_cast<std::uint32_t>(agent));
    std::ranges::sort(ids);
    out += told.id;
    std::uint32_t before = 0;
    for (const std::uint32_t id : ids) {
      out += ' ';
      out += std::to_string(id - before);
      before = id;
    }
    out += '\n';
  }
  return out;
}

CommandMemory CommandMemory::decode(std::string_view text) {
  CommandMemory memory;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    CommandId id;
    if (!(words >> id) || !is_valid_command_id(id)) continue;
    std::uint64_t agent = 0;
    for (std::uint64_t more = 0; words >> more;) {
      agent += more;
      if (more == 0 || agent > std::numeric_limits<std::uint32_t>::max()) break;
      memory.set(id, AgentId{static_cast<std::uint32_t>(agent)}, State::uncertain);
    }
  }
  return memory;
}

}  // namespace rollcall::sidecar
