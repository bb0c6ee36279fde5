// Looks at the table of agents in Wazuh's own database daemon, over its stream socket.
//
// One connection, one request in flight; a look never spans two connections. Looks start `poll`
// after the one before started, and never overlap. Most read only what may have changed; one each
// `scan`, and the first on a connection, read the whole table (docs/wazuh.md). Loop thread only.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "app/clock.h"
#include "net/backoff.h"
#include "net/loop.h"
#include "protocol/event.h"
#include "protocol/note.h"
#include "sidecar/core/observation.h"
#include "sidecar/source/look_plan.h"
#include "sidecar/source/own_rows.h"
#include "sidecar/source/remoted_counters.h"
#include "sidecar/source/source_defaults.h"
#include "sidecar/source/visit_hints.h"
#include "sidecar/source/wazuh_db_scan.h"
#include "wazuh/wdb_client.h"

namespace rollcall::sidecar {

class WazuhDbSource {
 public:
  struct Options {
    std::string socket_path = "/var/ossec/queue/db/wdb";
    std::string client_keys_path = "/var/ossec/etc/client.keys";
    std::string config_path = "/var/ossec/etc/ossec.conf";
    std::string remoted_path = "/var/ossec/queue/sockets/remote";
    std::chrono::microseconds poll{1'000'000};
    std::chrono::microseconds scan{60'000'000};
    std::chrono::milliseconds request_timeout{10'000};
    std::optional<NodeName> only_node_name = {};  // for the master's own agents, see OwnRows
    std::chrono::microseconds keepalive{0};       // of the agents; 0: as this Wazuh has it
    std::size_t max_waiting = 1'000'000;          // agents that read_info() may keep waiting
    net::Backoff::Limits backoff{.base = std::chrono::milliseconds(250),
                                 .cap = std::chrono::milliseconds(5'000)};
    std::uint64_t seed = 0;  // of the backoff's jitter
  };

  // All optional. None is called from inside a function of the source. The source may be stopped in
  // any of them, but not destroyed.
  struct Events {
    std::function<void(Look)> on_look;
    // A look was due and could not be finished; at most once each `poll`. Says what to do about it.
    std::function<void(const std::string& reason)> on_look_failed;
    // Once for every read_info(), as long as the source is not stopped. Without fields if the table
    // has no such row, or (then a note says so) if it could not be read.
    std::function<void(AgentId, AgentInfo)> on_info;
    // One when looks begin to fail and one when they work again, not one for each attempt.
    std::function<void(const Note&)> on_note;
  };

  struct Status {
    bool connected = false;
    std::uint64_t connection = 0;  // counts connections
    std::uint64_t looks = 0;       // that succeeded
    std::uint64_t scans = 0;       // of these, looks at the whole table
    std::uint64_t failures = 0;    // looks that failed
    std::string last_error;        // stays after it was mended; empty if there was none
    bool gone = false;             // as gone()
    bool failing = false;          // from the first failure until the next look that succeeds
    std::string wazuh;             // "4.14.7", "4.13 or later"; empty: not known
    SourceDefaults defaults;
    std::uint64_t hints = 0;                         // visits that only marks or counters showed
    std::optional<OwnRows::Counters> own_rows = {};  // with only_node_name
    std::optional<bool> remoted;  // whether its counters were there when last asked for
    // Of the last look that succeeded.
    std::int64_t last_look_us = 0;  // from its first request to its last reply
    std::size_t last_rows = 0;
    std::size_t last_requests = 0;
    std::size_t last_bytes = 0;    // of the replies
    std::size_t page_size = 0;     // rows asked for at once
    std::size_t table_rows = 0;    // agents in the table, of all nodes
    std::size_t waiting_info = 0;  // agents whose fields are still to be read
    std::size_t unreadable = 0;    // agents whose fields, or some, could not be read last time
    std::uint64_t infos = 0;       // agents whose fields were read
  };

  WazuhDbSource(net::Loop& loop, app::Clock& clock, Options options, Events events);
  ~WazuhDbSource();
  WazuhDbSource(const WazuhDbSource&) = delete;
  WazuhDbSource& operator=(const WazuhDbSource&) = delete;

  // With only_node_name, before start(): what was believed of the table when the process ended.
  void remember(std::span<const Row> rows);
  // Another worker has it by now.
  void given_up(AgentId agent);
  void start();
  // From the next look on.
  void set_intervals(std::chrono::microseconds poll, std::chrono::microseconds scan);
  // Calls nothing more but `done`, at the end of this turn. A look under way is dropped, and what
  // read_info() asked for is forgotten.
  void stop(std::function<void()> done = {});

  // After the next complete look, or between two, each agent that is not waiting already.
  void read_info(const std::vector<AgentId>& agents);

  Status status() const;
  // Nobody serves the socket: wazuh-manager does not run.
  bool gone() const { return client_.unserved(); }

 private:
  enum class Phase {
    stopped,
    connecting,  // again and again
    idle,
    asking_version,
    counting_starts,  // then looking
    looking,
    asking_counts,  // whether remoted vouches for what was found
    reading_info,
  };

  void connected();
  void lost(const std::string& reason);
  void proceed();  // when idle: decides what comes next
  void next_look_in_poll();
  void ask_version();
  void begin_look();
  void count_starts();
  void begin_rows(std::optional<LookPlan::Window> window);
  void begin_info();
  void on_reply(const std::string& reply);
  void on_version_reply(const std::string& reply);
  void on_look_reply(const std::string& reply);
  void on_info_reply(const std::string& reply);
  void finish_rows(TableScan::Done done);
  void ask_own(TableScan::Done done);
  void ask_counts();
  void judge_own();
  std::int64_t keepalive_us() const;
  void finish_look();
  void fail_look(const std::string& reason);
  void note_unreadable(const InfoRead::Done& done);
  void fail_info(const std::string& reason);
  void answer(AgentId agent, AgentInfo info);
  void report_trouble(const std::string& reason);
  void note(NoteLevel level, std::string text,
            std::vector<std::pair<std::string, std::string>> fields = {});

  net::Loop& loop_;
  app::Clock& clock_;
  Options options_;
  const Events events_;

  Phase phase_ = Phase::stopped;
  wazuh::WdbClient client_;

  net::Timer look_timer_;
  bool look_due_ = true;
  LookPlan plan_;
  TableScan scan_;
  VisitHints hints_;
  RemotedCounters remoted_;
  std::optional<CountsOf> starts_;  // since the last look ended, of agents that may hide a visit
  std::optional<OwnRows> own_;
  std::vector<AgentId> watched_;  // at this look
  struct Doubts {
    OwnRows::Found found;
    std::vector<AgentId> asked;
    std::size_t answered = 0;  // the first so many of them
    CountsOf counts;
  };
  Doubts doubts_;  // of this look
  WazuhVersion version_;
  bool version_due_ = false;
  Look look_;
  LookPlan::Head head_;
  std::size_t look_requests_ = 0;
  std::size_t look_bytes_ = 0;

  std::unordered_set<AgentId> unreadable_;
  std::deque<AgentId> waiting_;
  std::unordered_set<AgentId> wanted_;  // waiting_ and info_page_
  std::vector<AgentId> info_page_;
  InfoRead info_;
  bool info_allowed_ = false;  // a look was completed since the last trouble
  int info_pages_ = 0;         // since the last look
  int info_failures_ = 0;      // of the agents at the head of waiting_, in a row
  bool info_failing_ = false;  // fields were given up, and none were read since

  std::int64_t failing_since_us_ = 0;
  Status status_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is left for later turns
};

}  // namespace rollcall::sidecar
