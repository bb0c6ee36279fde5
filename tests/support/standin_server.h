// StandinWazuhDb behind a stream socket, in a thread of its own, with faults that a test switches.
//
// The framing and its consequences are the real daemon's: uint32 little-endian length and that many
// bytes, both ways; several frames in one write are answered in order; a frame of length 0 closes
// the connection; a request over 65536 bytes costs one of the workers for good, and its connection
// is never answered; a client that stops inside a frame, or whose reply is delayed, keeps a worker
// busy. With no worker left nobody is answered.
//
// Requests that begin with "standin " are for the stand-in itself and work under every fault:
//   standin fault NAME [ARG]   see Fault
//   standin offset SECONDS     added to the wall clock from now on
//   standin reset              an empty table, all workers alive, counters at zero
//   standin stats              ok {JSON}, see StandinServer::stats
//   standin fill N [FIRST] [NODE]  N agents with all fields, active; from id 1 on, of worker-1
//   standin keepalives N MS    from now on agents 1 to N each send a keepalive every MS
//                              milliseconds, evenly spread; N 0: no more
//   standin manager            this connection is Wazuh's own daemons: no fault applies to it, and
//                              what it does is not held against the observer in the counters
//
// All public functions may be called from any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/standin_wazuhdb.h"

namespace rollcall::testing {

// One fault is on at a time; each one applies to all connections but the manager's.
struct Fault {
  enum class Kind {
    kNone,
    kSlow,          // slow MS: the reply is computed at once and sent after the delay
    kTruncate,      // truncate BYTES: replies are cut there instead of at 65536 bytes
    kStall,         // stall: nothing is answered, and a connection that asked stays mute for ever
    kClose,         // close: each connection is closed after its next reply
    kDrop,          // drop: each connection is closed instead of its next reply
    kPartial,       // partial: half of the reply's frame, then the connection is closed
    kGarbage,       // garbage: a well-formed frame whose text is neither `ok` nor `err`
    kGarbageJson,   // garbage json: `ok ` and JSON that ends too early, far below the limit
    kGarbageFrame,  // garbage frame: a header that promises 4 GiB
    kReadOnly,      // readonly: nothing can be written
  };
  Kind kind = Kind::kNone;
  std::int64_t argument = 0;
};

// What observers did since the start or the last reset; the manager's connections count apart.
struct StandinStats {
  std::uint64_t requests = 0;
  std::uint64_t manager_requests = 0;
  std::uint64_t http_requests = 0;
  std::uint64_t connections = 0;       // accepted, the manager's too
  std::uint64_t open_connections = 0;  // now, the manager's too
  std::uint64_t bytes_in = 0;          // frames with their headers
  std::uint64_t bytes_out = 0;
  std::uint64_t largest_request = 0;  // without its header
  std::uint64_t rows_out = 0;         // found by `global sql`, see SeenRequest
  std::uint64_t partial_frames = 0;   // a frame that did not come in one piece
  std::uint64_t truncated_replies = 0;
  std::uint64_t oversize_requests = 0;  // each one cost a worker
  std::uint64_t non_select_sql = 0;
  std::uint64_t secret_reads = 0;  // requests that read internal_key, get-agent-info included
  // Writes and sync-agent-info-get: commands that no observer may send. sync-agent-info-set is not
  // one of them, for a master's sink must send it.
  std::uint64_t forbidden = 0;
  std::uint64_t rows = 0;     // agents in the table now
  std::uint64_t busy_us = 0;  // time spent in computing replies, the manager's too
  // CPU time: of observers' replies, of `standin keepalives`, and of the server's thread with both.
  std::uint64_t observer_cpu_us = 0;
  std::uint64_t keepalive_cpu_us = 0;
  std::uint64_t cpu_us = 0;
  std::map<std::string, std::uint64_t> commands;            // by name
  std::map<std::string, std::uint64_t> forbidden_commands;  // by name
};

struct StandinOptions {
  WazuhFlavour flavour = WazuhFlavour::k4_14;
  std::int64_t now_offset_seconds = 0;
  // Unix seconds; empty: the machine's wall clock.
  std::function<std::int64_t()> clock;
  int workers = 8;
};

class StandinServer {
 public:
  explicit StandinServer(StandinOptions options = {});
  ~StandinServer();
  StandinServer(const StandinServer&) = delete;
  StandinServer& operator=(const StandinServer&) = delete;

  // Listens on `socket`, making its folders and replacing a socket that was left there. The table
  // survives stop() and start(), as it does when the real daemon restarts.
  std::expected<void, std::string> start(const std::filesystem::path& socket);
  // Serves the HTTP requests of 4.13 and later on a second socket, until stop(). Workers play no
  // part there; of the faults `truncate` and `garbage` do not apply.
  std::expected<void, std::string> start_http(const std::filesystem::path& socket);
  // Closes every connection and removes the sockets.
  void stop();

  // One request of Wazuh's own daemons, without a socket: no fault, the server's clock.
  std::string ask(std::string_view request);
  // A "standin …" request, without that word: control("fault slow 50").
  std::string control(std::string_view request);

  void set_fault(Fault fault);
  void set_now_offset(std::int64_t seconds);
  StandinStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rollcall::testing
