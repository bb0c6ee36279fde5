#pragma once
// Which agents were told what, by command id, so that none is told twice for one id. It is stored
// before anything is sent: after a restart what it holds may have been sent or not. Bounded: the
// oldest ids are forgotten first. Pure.
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/messages.h"

namespace rollcall::sidecar {

class CommandMemory {
 public:
  static constexpr std::size_t kMaxIds = 64;
  static constexpr std::size_t kMaxAgents = 100'000;  // of all ids, except that the newest is whole

  enum class State { begun, sent, uncertain };

  std::optional<State> find(const CommandId& id, AgentId agent) const;
  void set(const CommandId& id, AgentId agent, State state);
  // It was not sent after all.
  void forget(const CommandId& id, AgentId agent);
  std::size_t agents() const { return agents_; }

  // A line for each id: the id, then the agents as differences to the one before.
  std::string encode() const;
  // Everything of a text that is not of encode() is left out. What was begun or sent is uncertain.
  static CommandMemory decode(std::string_view text);

 private:
  struct Told {
    CommandId id;
    std::unordered_map<AgentId, State> agents;
  };
  const Told* find(const CommandId& id) const;
  Told& place(const CommandId& id);

  std::deque<Told> told_;  // the newest last
  std::size_t agents_ = 0;
};

}  // namespace rollcall::sidecar
