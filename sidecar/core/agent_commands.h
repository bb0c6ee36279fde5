#pragma once
// What becomes of a COMMAND at the worker (docs/protocol.md, section 6): it is remembered on disk,
// then sent to those of its agents that have an open session here, at most once for each id, and
// answered by RESULTs. Loop thread only. No I/O; the caller carries out what is taken from it.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/messages.h"
#include "protocol/now.h"
#include "sidecar/core/agent_message.h"
#include "sidecar/core/command_memory.h"
#include "sidecar/core/tracker.h"

namespace rollcall::sidecar {

class AgentCommands {
 public:
  // So many agents may be on their way; more are refused.
  static constexpr std::size_t kMaxWaiting = 20'000;
  // How long a datagram is tried. Short: an agent whose worker cannot tell it may be elsewhere by
  // then, and the master looks again.
  static constexpr std::int64_t kPatienceUs = 2'000'000;

  explicit AgentCommands(const Tracker& tracker) : tracker_(tracker) {}
  void restore(const std::string& memory) { memory_ = CommandMemory::decode(memory); }

  // True if it has to be remembered: then nothing of it is sent before the commit with `ticket`.
  bool take(const Command& command, std::uint64_t ticket, const Now& now);
  // What is stored is sent; what has waited for too long is answered.
  void advance(std::uint64_t stored_ticket, const Now& now);
  // How a datagram went; `why_not` if it was not sent.
  void sent(std::uint64_t number, const std::optional<std::string>& why_not);

  // To be stored, if it changed.
  std::optional<std::string> take_memory();
  bool memory_changed() const { return memory_changed_; }
  // Nothing to advance or to take.
  bool idle() const { return parts_.empty() && datagrams_.empty() && results_.empty(); }
  std::vector<AgentDatagram> take_datagrams() { return std::exchange(datagrams_, {}); }
  std::vector<Result> take_results() { return std::exchange(results_, {}); }

  struct Status {
    std::uint64_t commands = 0;  // that came
    std::map<CommandOutcome, std::uint64_t> outcomes;
    std::size_t waiting = 0;  // agents that are not answered yet
  };
  Status status() const;

 private:
  // A part of a command that is under way.
  struct Part {
    CommandId id;
    std::uint64_t ticket = 0;
    std::int64_t until_mono_us = 0;
    std::vector<std::pair<AgentId, std::string>> texts;  // not sent yet
    std::size_t on_the_way = 0;
    Result result;
  };
  struct Sending {
    std::uint64_t part = 0;
    AgentId agent{};
  };

  bool is_open(AgentId agent) const;
  std::optional<CommandOutcome> known(const Command& command, const Command::Entry& entry) const;
  void send(std::uint64_t number, Part& part, const Now& now);
  void answer(Part& part, AgentId agent, CommandOutcome outcome);
  void not_sent(Part& part, AgentId agent, CommandOutcome outcome);
  void tell(Result result);

  const Tracker& tracker_;
  CommandMemory memory_;
  bool memory_changed_ = false;
  std::map<std::uint64_t, Part> parts_;
  std::uint64_t last_part_ = 0;
  std::unordered_map<std::uint64_t, Sending> sending_;
  std::uint64_t last_datagram_ = 0;
  std::size_t waiting_ = 0;
  std::vector<AgentDatagram> datagrams_;
  std::vector<Result> results_;
  Status counters_;
};

}  // namespace rollcall::sidecar
