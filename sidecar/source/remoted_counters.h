// What agents said of themselves, as remoted counts it for its statistics: one request on a
// connection of its own. Nobody depends on it: whatever goes wrong is an answer that nothing is
// known, and the next requests are put off for a while. Loop thread only.
#pragma once
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/backoff.h"
#include "net/loop.h"
#include "net/unix_stream.h"
#include "protocol/error.h"
#include "protocol/ids.h"
#include "sidecar/source/wazuh_db_scan.h"

namespace rollcall::sidecar {

// Of one agent. remoted forgets those of an agent that is not active every few seconds, and counts
// anew when it speaks again: `since` is when it began to, in seconds.
struct Counts {
  std::uint64_t startup = 0, keepalive = 0, shutdown = 0;
  std::uint64_t since = 0;
  bool operator==(const Counts&) const = default;
};
using CountsOf = std::map<AgentId, Counts>;

// The question about these agents, and what its reply means. An agent that remoted does not count
// is left out.
std::string counts_request(std::span<const AgentId> agents);
std::expected<CountsOf, Error> take_counts(std::string_view reply);

class RemotedCounters {
 public:
  // remoted itself takes fewer than 150, and answers half a kilobyte for each.
  static constexpr std::size_t kMaxAgents = 100;
  static constexpr std::size_t kMaxReplyBytes = 1 << 20;

  struct Options {
    std::string socket_path = "/var/ossec/queue/sockets/remote";
    std::chrono::milliseconds timeout{200};
    net::Backoff::Limits put_off{.base = std::chrono::milliseconds(10'000),
                                 .cap = std::chrono::milliseconds(600'000)};
    std::uint64_t seed = 0;
  };
  using Done = std::function<void(std::optional<CountsOf>)>;

  RemotedCounters(net::Loop& loop, Options options);

  // Not while a question is under way, nor while questions are put off.
  bool may_ask() const { return !done_ && !put_off_.active(); }
  // At most kMaxAgents. `done` is called once, not from inside ask(), unless stop() comes first.
  void ask(std::span<const AgentId> agents, Done done);
  void stop();

  // Whether the last question was answered; nothing before the first.
  std::optional<bool> answers() const { return answers_; }

 private:
  void finish(std::optional<CountsOf> counts);

  Options options_;
  net::Loop& loop_;
  std::unique_ptr<net::UnixStream> stream_;
  ReplyReader reader_{kMaxReplyBytes};
  net::Timer timeout_;
  net::Timer put_off_;
  net::Backoff backoff_;
  Done done_;
  std::optional<bool> answers_;
};

}  // namespace rollcall::sidecar
