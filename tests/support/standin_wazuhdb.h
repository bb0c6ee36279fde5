// A stand-in for wazuh-db: the same requests on a real SQLite table, the same replies.
//
// Every reply is computed from the table `agent`, which lives in memory; nothing is canned. What it
// promises to reproduce is in tests/data (recorded from real daemons): the commands that remoted
// and the cluster daemon send, `global sql`, and the HTTP requests of 4.13 and later. Known
// differences: requests to the actors `agent`, `mitre`, `task` and `wazuhdb`, JSON requests
// (`getstats`) and the group commands are answered with an error text.
//
// No I/O and no clock: `now_seconds` is always passed in, also to SQL's strftime('%s','now').
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace rollcall::testing {

// What differs: 4.13 brought `syncreq_status` and `syncreq_keepalive`, the rule that a weaker mark
// never replaces a stronger one, and the HTTP socket.
enum class WazuhFlavour { k4_11, k4_14 };

// The longest reply, `ok ` included; a longer one is cut here without a sign.
inline constexpr std::size_t kWazuhReplyLimitBytes = 65536;
// A longer request costs the real daemon a worker thread.
inline constexpr std::size_t kWazuhRequestLimitBytes = 65536;

struct HttpReply {
  int status = 200;
  std::string body;
};

// What the last request was, so that a test can catch an observer that does what it must not.
struct SeenRequest {
  std::string command;        // "sql", "update-keepalive", …; "GET /v1/agents/ids" for HTTP
  bool sql_changes = false;   // `global sql` with a statement that is not a SELECT
  bool reads_secret = false;  // the reply was computed from agent.internal_key
  // Rows that `global sql` found: what a column `c` counts, for those that pack many into one.
  std::uint64_t rows = 0;
};

class StandinWazuhDb {
 public:
  // The table starts with the manager's own row (id 0), as the real one does.
  explicit StandinWazuhDb(WazuhFlavour flavour, std::int64_t now_seconds = 0);
  ~StandinWazuhDb();
  StandinWazuhDb(const StandinWazuhDb&) = delete;
  StandinWazuhDb& operator=(const StandinWazuhDb&) = delete;

  // One request of the stream socket, without its frame. A request that is longer than
  // kWazuhRequestLimitBytes never reaches this function in the real daemon.
  std::string handle(std::string_view request, std::int64_t now_seconds);

  // One request of the HTTP socket (4.13 and later; k4_11 has none and answers 404).
  HttpReply handle_http(std::string_view method, std::string_view path, std::string_view body,
                        std::int64_t now_seconds);

  // Back to the table of a new installation.
  void reset(std::int64_t now_seconds);

  // What is behind the whole seconds of `now_seconds` from now on; 0 unless said.
  void set_milliseconds(int ms);

  // Agents `first` and up, `count` of them, active on `node` with all fields, each with sums of its
  // own. In one statement: for benchmarks.
  void fill(std::int64_t first, std::int64_t count, const std::string& node,
            std::int64_t now_seconds);
  // A keepalive of each agent from `first` to `last`, in one statement.
  void keepalives(std::int64_t first, std::int64_t last, std::int64_t now_seconds);

  // Cuts replies earlier than the real daemon does, so that truncation needs few agents.
  void set_reply_limit(std::size_t bytes);

  // From now on whatever would change the table fails, as on a full or broken disk.
  void set_read_only(bool read_only);

  std::size_t agents() const;  // rows with id > 0
  const SeenRequest& seen() const;
  WazuhFlavour flavour() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rollcall::testing
