#include "sidecar/core/agent_commands.h"

#include <algorithm>

namespace rollcall::sidecar {

using Told = CommandMemory::State;

bool AgentCommands::is_open(AgentId agent) const {
  const auto found = tracker_.agents().find(agent);
  return found != tracker_.agents().end() && found->second.session &&
         found->second.session->phase == Phase::open;
}

// What can be answered without doing anything.
std::optional<CommandOutcome> AgentCommands::known(const Command& command,
                                                   const Command::Entry& entry) const {
  const auto told = memory_.find(command.id, entry.agent);
  if (told == Told::sent) return CommandOutcome::sent;
  if (told == Told::uncertain) return CommandOutcome::uncertain;
  if (!is_open(entry.agent)) return CommandOutcome::not_here;
  return std::nullopt;
}

bool AgentCommands::take(const Command& command, std::uint64_t ticket, const Now& now) {
  ++counters_.commands;
  Part now_known;
  now_known.id = now_known.result.id = command.id;
  Part part = now_known;
  part.ticket = ticket;
  part.until_mono_us = now.mono_us + command.left_us;
  for (const Command::Entry& entry : command.entries) {
    if (memory_.find(command.id, entry.agent) == Told::begun) continue;  // it is under way
    auto outcome = known(command, entry);
    auto text = restart_message(entry.agent, entry.version);
    if (!outcome && !text) outcome = CommandOutcome::unknown_version;
    if (!outcome && waiting_ >= kMaxWaiting) {
      outcome = CommandOutcome::socket;
      now_known.result.why = std::to_string(waiting_) + " agents wait to be told something already";
    }
    if (outcome) {
      answer(now_known, entry.agent, *outcome);
      continue;
    }
    memory_.set(command.id, entry.agent, Told::begun);
    part.texts.emplace_back(entry.agent, std::move(*text));
    ++waiting_;
  }
  tell(std::move(now_known.result));
  if (part.texts.empty()) return false;
  memory_changed_ = true;
  parts_.emplace(++last_part_, std::move(part));
  return true;
}

void AgentCommands::advance(std::uint64_t stored_ticket, const Now& now) {
  for (auto at = parts_.begin(); at != parts_.end();) {
    auto& [number, part] = *at;
    if (part.ticket <= stored_ticket || now.mono_us >= part.until_mono_us) send(number, part, now);
    if (part.texts.empty() && part.on_the_way == 0) {
      tell(std::move(part.result));
      at = parts_.erase(at);
    } else {
      ++at;
    }
  }
}

// The disk may have taken its time: the agents are looked up again.
void AgentCommands::send(std::uint64_t number, Part& part, const Now& now) {
  const std::int64_t left_us = part.until_mono_us - now.mono_us;
  for (auto& [agent, text] : std::exchange(part.texts, {})) {
    if (left_us <= 0) {
      not_sent(part, agent, CommandOutcome::late);
    } else if (!is_open(agent)) {
      not_sent(part, agent, CommandOutcome::not_here);
    } else {
      datagrams_.push_back({++last_datagram_, std::move(text), std::min(left_us, kPatienceUs)});
      sending_.emplace(last_datagram_, Sending{number, agent});
      ++part.on_the_way;
    }
  }
}

void AgentCommands::sent(std::uint64_t number, const std::optional<std::string>& why_not) {
  const auto found = sending_.find(number);
  if (found == sending_.end()) return;
  const auto [part_number, agent] = found->second;
  sending_.erase(found);
  const auto at = parts_.find(part_number);
  Part& part = at->second;
  --part.on_the_way;
  if (why_not) {
    part.result.why = *why_not;
    not_sent(part, agent, CommandOutcome::socket);
  } else {
    memory_.set(part.id, agent, Told::sent);
    --waiting_;
    answer(part, agent, CommandOutcome::sent);
  }
  if (part.on_the_way > 0 || !part.texts.empty()) return;
  tell(std::move(part.result));
  parts_.erase(at);
}

void AgentCommands::answer(Part& part, AgentId agent, CommandOutcome outcome) {
  ++counters_.outcomes[outcome];
  part.result.entries.push_back({agent, outcome});
}

// It may be told later, under the same id.
void AgentCommands::not_sent(Part& part, AgentId agent, CommandOutcome outcome) {
  memory_.forget(part.id, agent);
  memory_changed_ = true;
  --waiting_;
  answer(part, agent, outcome);
}

void AgentCommands::tell(Result result) {
  if (!result.entries.empty()) results_.push_back(std::move(result));
}

std::optional<std::string> AgentCommands::take_memory() {
  if (!std::exchange(memory_changed_, false)) return std::nullopt;
  return memory_.encode();
}

AgentCommands::Status AgentCommands::status() const {
  Status s = counters_;
  s.waiting = waiting_;
  return s;
}

}  // namespace rollcall::sidecar
