#pragma once
// Commands to agents, each told by the worker that has it (docs/decisions/0016-commands.md). Where
// an agent is, is asked when it is about to be told; one that is between two workers is held, and
// one that its worker does not have any more is told by the next, until the command's time is over.
// Each agent ends with an answer of its own. Pure; loop thread only; the caller says where agents
// are and carries out what advance() orders.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/messages.h"
#include "protocol/now.h"

namespace rollcall::master {

// How it ended for one agent. The words are stable: clients read them.
enum class CommandEnd : std::uint8_t {
  sent,             // its worker's Wazuh has it for the agent
  unknown,          // no such agent
  disconnected,     // no worker has it
  contested,        // two workers claim it
  no_commands,      // its worker's sidecar takes none
  unknown_version,  // its version is not known, and none was to be assumed
  migrating,        // it was between two workers until the time was over
  unreachable,      // its worker could not be asked
  not_here,         // its worker does not have it, and no other claimed it
  socket,           // its worker's Wazuh did not take it
  late,             // its worker could not do it in time
  uncertain,        // its worker's sidecar ended when it was about to tell it
  no_answer,        // its worker was asked and did not answer
};
std::string_view to_string(CommandEnd end);

struct CommandRequest {
  CommandId id;
  CommandKind kind = CommandKind::restart;
  bool all = false;             // `agents` are all that there were then
  std::vector<AgentId> agents;  // ascending, none twice
  std::string assume;           // the version of those of whom none is known
  std::int64_t timeout_us = 0;
};

struct CommandReport {
  struct Failure {
    AgentId agent{};
    CommandEnd end = CommandEnd::no_answer;
    NodeName node;    // whom it was last about; may be empty
    std::string why;  // what the worker said
  };
  CommandId id;
  CommandKind kind = CommandKind::restart;
  std::vector<AgentId> affected;
  std::vector<Failure> failed;
  std::int64_t took_us = 0;
};
using CommandReportPtr = std::shared_ptr<const CommandReport>;

// Where an agent can be told something at this moment.
struct Place {
  enum class Kind {
    here,     // by `node`, which is connected and takes commands
    later,    // perhaps; if not, it ends with `end`
    nowhere,  // it ends with `end`
  };
  Kind kind = Kind::nowhere;
  CommandEnd end = CommandEnd::unknown;
  NodeName node = {};
  Epoch epoch = kUnstamped;    // of its session there
  std::string version = {};    // of the agent's software, if it is known
  bool version_comes = false;  // it is not, but was asked for
};

class Commands {
 public:
  static constexpr std::size_t kMaxRunning = 16;        // commands at a time
  static constexpr std::size_t kMaxAgents = 2'000'000;  // of all that run or are remembered
  static constexpr std::size_t kMaxRemembered = 64;     // that have ended
  static constexpr std::int64_t kRememberedUs = 3'600'000'000;
  static constexpr std::size_t kBatch = 1'000;   // agents of one COMMAND
  static constexpr std::size_t kWindow = 4'000;  // agents that one worker was asked about
  // After so long without an answer an agent that has another owner by now is told by that one.
  static constexpr std::int64_t kAnswerUs = 3'000'000;

  using Where = std::function<Place(AgentId)>;
  struct Orders {
    std::vector<std::pair<NodeName, Command>> send;
    std::vector<CommandReportPtr> ended;
  };

  // `joined`: the same command runs or has ended; its report comes, or comes again, from advance().
  enum class Begun { started, joined, conflict, busy };
  Begun begin(CommandRequest request, const Now& now);

  // Something was decided about the agent.
  void heard(AgentId agent);
  void connected(const NodeName& node);
  void disconnected(const NodeName& node);
  void result(const NodeName& node, const Result& result);
  // What is to be done now. Costs next to nothing while no command runs.
  Orders advance(const Where& where, const Now& now);

  struct Status {
    std::size_t running = 0, waiting = 0;  // commands, and their agents without an end
    std::uint64_t commands = 0;            // so far
    std::map<CommandEnd, std::uint64_t> ends;
  };
  Status status() const;

 private:
  enum class Stage : std::uint8_t {
    look,    // where it is has to be looked up
    held,    // it cannot be told now
    queued,  // for a worker that was asked about many already
    asked,
    ended,
  };
  using NodeIndex = std::uint32_t;
  struct Task {
    AgentId agent{};
    Stage stage = Stage::look;
    CommandEnd end = CommandEnd::no_answer;  // if the time is over now
    bool listed = false;                     // in to_look_
    bool refused = false;                    // by the worker below, for this session
    bool unanswered = false;                 // the worker below was asked, and its connection lost
    std::uint8_t asks = 0;
    NodeIndex node = 0;
    Epoch epoch = kUnstamped;
    std::int64_t asked_mono_us = 0;
  };
  struct Running {
    CommandRequest request;
    std::int64_t began_mono_us = 0, until_mono_us = 0;
    std::vector<Task> tasks;  // in the order of the agents
    std::size_t open = 0;
    std::size_t rescan = 0;  // from here on
    std::map<std::size_t, std::string> why;
  };
  struct Remembered {
    CommandRequest request;
    std::int64_t at_mono_us = 0;
    CommandReportPtr report;
  };
  struct Ref {
    std::uint64_t running = 0;
    std::size_t task = 0;
  };
  struct Worker {
    NodeName name;
    std::deque<Ref> queue;
    std::size_t asked = 0;
  };
  static constexpr std::uint8_t kMaxAsks = 8;
  static constexpr std::size_t kLooksAtOnce = 50'000;
  static constexpr std::int64_t kRescanUs = 500'000;

  static bool same(const CommandRequest& a, const CommandRequest& b);
  static std::size_t place_of(const Running& r, AgentId agent);
  Running* find(const CommandId& id);
  NodeIndex index_of(const NodeName& node);
  void list(std::uint64_t number, Running& r, std::size_t task);
  void look_at_listed(const Where& where, const Now& now);
  void rescan(const Where& where, const Now& now);
  void look(std::uint64_t number, Running& r, std::size_t task, const Where& where, const Now& now);
  void go(std::uint64_t number, Running& r, std::size_t task, const Place& place);
  void hold(Running& r, std::size_t task, CommandEnd end);
  bool has_version(Running& r, std::size_t task, const Place& place);
  void pump(Worker& worker, const Where& where, const Now& now, Orders& orders);
  void leave(Task& task);
  void end(Running& r, std::size_t task, CommandEnd end);
  void expire(Running& r);
  void finish(Orders& orders, const Now& now);
  void remember(Running& r, CommandReportPtr report, const Now& now);

  std::map<std::uint64_t, Running> running_;
  std::uint64_t last_ = 0;
  std::deque<Ref> to_look_;
  std::vector<Worker> workers_;
  std::int64_t rescanned_mono_us_ = 0;
  std::deque<Remembered> remembered_;  // the oldest first
  std::vector<CommandReportPtr> again_;
  std::size_t agents_ = 0;  // of running_ and remembered_
  std::uint64_t commands_ = 0;
  std::map<CommandEnd, std::uint64_t> ends_;
};

}  // namespace rollcall::master
