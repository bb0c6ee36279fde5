#pragma once
// What the two daemons answer over HTTP. docs/http.md lists the paths and fields; names are stable.
// The handlers run on HTTP threads and ask the loop thread by `post`.
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>

#include "app/clock.h"
#include "app/config.h"
#include "app/master_driver.h"
#include "app/sidecar_driver.h"
#include "inspect/http_server.h"
#include "inspect/loop_call.h"
#include "inspect/token.h"
#include "inspect/upkeep.h"
#include "master/sink/sink_core.h"
#include "net/tls_stream.h"
#include "protocol/duration_counts.h"

namespace rollcall::inspect {

// As configured; warns if others than those with the token can read from other machines.
HttpOptions http_options(const app::InspectConfig& config, std::size_t connections,
                         const Token& token);

// What the source reports of itself, for /status.
struct SourceStatus {
  bool by_looks = true;  // false: events come by themselves, nothing has to be looked at first
  bool connected = false;
  std::int64_t last_look_us = 0;  // how long it took
  std::uint64_t last_rows = 0, last_bytes = 0, last_requests = 0;
  std::uint64_t looks = 0, failures = 0;
  std::uint64_t scans = 0;
  std::string wazuh;  // its version; empty: not known
  std::uint64_t table_rows = 0, unreadable = 0, hints = 0;
  std::optional<bool> remoted;  // whether its counters are there; nothing: not asked yet
  // On the master's node: what others wrote into rows of its agents, what nobody vouches for yet,
  // and rows under another node's name.
  struct OwnRows {
    std::uint64_t refused = 0, held = 0, hidden = 0;
  };
  std::optional<OwnRows> own_rows = {};
  std::string last_error;
};

struct SidecarView {
  app::SidecarDriver& driver;
  app::Clock& clock;
  std::function<SourceStatus()> source;  // loop thread
  std::string version;
  UpkeepOf upkeep = {};
  // For /metrics; loop thread.
  std::function<DurationCounts()> commits = {};
  std::string store_directory = {};
};
void add_sidecar_pages(HttpServer& server, Post post, SidecarView view);
void add_handoff_page(HttpServer& server, Post post, SidecarView view);     // of them
void add_sidecar_metrics(HttpServer& server, Post post, SidecarView view);  // and of them

// `send_inventory`, on the loop thread, has the sidecar begin a full inventory; why not, if it
// cannot.
using SendInventory = std::function<std::expected<void, Error>()>;
void add_sidecar_actions(HttpServer& server, Post post, SendInventory send_inventory, Token token);
// POST /drain and /undrain. `grace_us`, on any thread: of a drain that names none.
void add_drain_actions(HttpServer& server, Post post, app::SidecarDriver& driver,
                       std::function<std::int64_t()> grace_us, Token token);

// GET and PUT /log, of both daemons.
void add_log_page(HttpServer& server, const Token& token);

struct MasterView {
  app::MasterDriver& driver;
  app::Clock& clock;
  std::string version;
  std::function<net::TlsListener::Counters()> listener;  // loop thread
  std::string log_directory = {};                        // named in advice
  std::function<const master::SinkCore&()> sink = {};    // loop thread
  std::size_t flapping = 6;  // moves within an hour from which an agent is listed
  UpkeepOf upkeep = {};
  // For /metrics; loop thread.
  std::function<DurationCounts()> commits = {};
  std::uint64_t log_limit_bytes = 0;
};
void add_master_pages(HttpServer& server, Post post, MasterView view);
void add_migration_pages(HttpServer& server, Post post, MasterView view);  // of them
void add_balance_page(HttpServer& server, Post post, MasterView view);     // and of them
void add_master_live(HttpServer& server, Post post, MasterView view);      // and of them: /live
void add_master_metrics(HttpServer& server, Post post, MasterView view);   // and of them
// /events and /contested. The server is to be told of news: HttpServer::news() with what
// core().feed().last() has come to.
void add_feed_pages(HttpServer& server, Post post, MasterView view);

// The part of add_master_pages() that shows the sink.
void add_sink_page(HttpServer& server, Post post, std::function<const master::SinkCore&()> sink);

// What an operator may change, for those who show the token.
void add_master_actions(HttpServer& server, Post post, app::MasterDriver& driver, Token token);
// The same for what agents may be told. A call waits until all of them have an end.
void add_master_commands(HttpServer& server, Post post, app::MasterDriver& driver,
                         const Token& token);

}  // namespace rollcall::inspect
