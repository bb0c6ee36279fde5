// Commands to agents, over HTTP.
#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <ranges>
#include <string>

#include "app/durations.h"
#include "app/random.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"
#include "protocol/agent_version.h"

namespace rollcall::inspect {
namespace {

using master::CommandEnd;
using master::CommandRefused;
using master::CommandReport;
using master::CommandRequest;
using CommandEnded = app::MasterDriver::CommandEnded;

constexpr std::int64_t kUsualTimeoutUs = 10'000'000;
constexpr std::int64_t kLongestTimeoutUs = 60'000'000;
// Each waits on a thread of the HTTP side, and others are to find one.
constexpr int kMaxWaiting = 2;
constexpr std::chrono::seconds kBeyondTimeout(5);

std::string text_of(const CommandReport::Failure& f) {
  const std::string node = f.node.empty() ? "its worker" : f.node;
  switch (f.end) {
    case CommandEnd::sent:
      return "";
    case CommandEnd::unknown:
      return "no agent of this id is known here";
    case CommandEnd::disconnected:
      return "no worker with a sidecar has this agent now";
    case CommandEnd::contested:
      return "two workers claim this agent, perhaps two agents with one key: see /agents/" +
             std::to_string(id_of(f.agent));
    case CommandEnd::no_commands:
      return "the sidecar of its worker takes no commands: it is too old, has no Wazuh beside it, "
             "or "
             "[source] agent_socket is none";
    case CommandEnd::unknown_version:
      return "which version this agent has is not known, and the wrong words would be ignored: say "
             "one with assume, such as assume=v4.14.0";
    case CommandEnd::migrating:
      return "it was between two workers until the time was over; ask again";
    case CommandEnd::unreachable:
      return "its worker was not connected, or too busy, until the time was over; ask again";
    case CommandEnd::not_here:
      return node + " does not have it any more, and no other worker claimed it in time; ask again";
    case CommandEnd::socket:
      return node + " could not tell it: " + f.why;
    case CommandEnd::late:
      return node + " could not store the command in time; see its /readyz";
    case CommandEnd::uncertain:
      return node + " was about to tell it when its sidecar ended: it may have been told";
    case CommandEnd::no_answer:
      return node + " was asked and did not answer in time: it may have been told";
  }
  return "?";
}

Json report_json(const CommandReport& report) {
  Json affected = Json::array();
  for (const AgentId agent : report.affected) affected.push_back(id_of(agent));
  Json failed = Json::array();
  for (const CommandReport::Failure& f : report.failed) {
    failed.push_back({{"id", id_of(f.agent)},
                      {"reason", to_string(f.end)},
                      {"node", or_null(f.node)},
                      {"text", text_of(f)}});
  }
  return {{"id", report.id},
          {"command", to_string(report.kind)},
          {"total_affected", report.affected.size()},
          {"total_failed", report.failed.size()},
          {"took_us", report.took_us},
          {"affected", std::move(affected)},
          {"failed", std::move(failed)}};
}

Response answer(const CommandReport& report) {
  Json body = report_json(report);
  if (report.failed.empty() && !report.affected.empty()) return json(body);
  if (!report.affected.empty()) return json(body, 207);
  const bool nobody = std::ranges::all_of(
      report.failed, [](const auto& f) { return f.end == CommandEnd::unknown; });
  body["error"] = report.failed.empty() ? "no agent is connected: there is nobody to tell"
                                        : "no agent was told; failed says why, one by one";
  return json(body, nobody ? 404 : 409);
}

Response answer(const CommandRefused& refused) {
  if (refused.why == CommandRefused::Why::conflict) return error_response(409, refused.text);
  Response response = error_response(429, refused.text);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

// "all", or ids with commas between them.
bool read_agents(const std::string& text, CommandRequest& request) {
  request.all = text == "all";
  if (request.all) return true;
  for (const auto part : std::views::split(text, ',')) {
    const auto agent = agent_of(std::string(part.begin(), part.end()));
    if (!agent) return false;
    request.agents.push_back(*agent);
  }
  std::ranges::sort(request.agents);
  const auto twice = std::ranges::unique(request.agents);
  request.agents.erase(twice.begin(), twice.end());
  return !request.agents.empty();
}

std::string random_id() {
  return to_hex(app::random_seed());
}

std::expected<CommandRequest, Response> read_request(const Request& request) {
  CommandRequest out;
  out.timeout_us = kUsualTimeoutUs;
  bool listed = false;
  const Parameter agents{"agents_list", "all, or the ids of agents with commas between them",
                         [&](const std::string& text) {
                           listed = true;
                           return read_agents(text, out);
                         }};
  const Parameter assume{"assume", "a version, such as v4.14.0", [&](const std::string& text) {
                           out.assume = text;
                           return agent_version(text).has_value();
                         }};
  const Parameter id{"id", "1 to 64 letters, digits, '.', '_' and '-'",
                     [&](const std::string& text) {
                       out.id = text;
                       return is_valid_command_id(text);
                     }};
  const Parameter timeout{
      "timeout", "a length, 100ms to 60s, such as 10s", [&](const std::string& text) {
        const auto parsed = app::parse_duration(text);
        if (parsed) out.timeout_us = parsed->count();
        return parsed && out.timeout_us >= 100'000 && out.timeout_us <= kLongestTimeoutUs;
      }};
  if (auto refused = read_parameters(request, {agents, assume, id, timeout}))
    return std::unexpected(*std::move(refused));
  if (listed == !request.body.empty()) {
    return std::unexpected(error_response(
        400,
        std::string(listed ? "agents_list is there and a body, too" : "agents_list is missing") +
            ": give " + agents.form + ", as this parameter or (if they are many) as the body"));
  }
  if (!listed && !read_agents(request.body, out))
    return std::unexpected(error_response(400, "the body takes " + agents.form));
  if (out.id.empty()) out.id = random_id();
  return out;
}

class CommandCalls {
 public:
  CommandCalls(Post post, app::MasterDriver& driver) : post_(std::move(post)), driver_(driver) {}

  Response restart(const Request& request) {
    auto command = read_request(request);
    if (!command) return std::move(command.error());
    const Waiting place(waiting_);
    if (!place.taken) {
      return answer(CommandRefused{CommandRefused::Why::busy,
                                   "as many calls wait for agents as may; ask again in a second"});
    }
    return wait_for(*std::move(command));
  }

 private:
  struct Waiting {
    explicit Waiting(std::atomic<int>& of) : count(of), taken(++count <= kMaxWaiting) {}
    ~Waiting() { --count; }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    std::atomic<int>& count;
    const bool taken;
  };

  Response wait_for(CommandRequest command) {
    const std::string id = command.id;
    const auto timeout = std::chrono::microseconds(command.timeout_us) + kBeyondTimeout;
    auto promise = std::make_shared<std::promise<CommandEnded>>();
    auto ended = promise->get_future();
    // The driver alone keeps the promise: if it stops, nobody waits on.
    const auto begun =
        ask(post_, [this, command = std::move(command), promise = std::move(promise)] {
          if (!driver_.core().ready()) return false;
          driver_.command(
              command, [promise](CommandEnded report) { promise->set_value(std::move(report)); });
          return true;
        });
    if (!begun) return not_known(id);
    if (!*begun) return error_response(503, "the master cannot tell the time yet");
    if (ended.wait_for(timeout) != std::future_status::ready) return not_known(id);
    try {
      const CommandEnded report = ended.get();
      return report ? answer(**report) : answer(report.error());
    } catch (const std::future_error&) {
      return not_known(id);
    }
  }

  static Response not_known(const std::string& id) {
    return error_response(503,
                          "it is not known which agents were told: the daemon is busy or stopping; "
                          "ask again with id=" +
                              id);
  }

  Post post_;
  app::MasterDriver& driver_;
  std::atomic<int> waiting_ = 0;
};

}  // namespace

void add_master_commands(HttpServer& server, Post post, app::MasterDriver& driver,
                         const Token& token) {
  const auto calls = std::make_shared<CommandCalls>(std::move(post), driver);
  server.route("PUT", "/agents/restart",
               guarded(token, [calls](const Request& request) { return calls->restart(request); }));
}

}  // namespace rollcall::inspect
