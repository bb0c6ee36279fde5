// The HTTP side of a daemon, meant for loopback: health, metrics, JSON, the web page.
//
// Threads. One front thread owns every socket: it gathers a whole request (head and body) before a
// worker sees it, and sends the answer out afterwards. So a client that is slow to send or to read
// costs memory, within bounds, but never a worker, and /healthz answers beside any number of them.
// Handlers run on `threads` workers at once, never on the loop thread; a handler that needs the
// loop posts to it or reads an immutable snapshot. What remains is that as many *handlers* as there
// are workers, all slow at once, keep the others waiting: a handler must be quick. Streams and
// those who wait for news (http_stream.h) have two workers between them at most.
//
// cpp-httplib parses the request and writes the response from and to memory. Its own sockets are
// not used, because in 0.11.4 as packaged they hold a worker for every open connection, answer 500
// to any descriptor above 1023 (a master with thousands of workers has those), wait for at most 5
// connections, and stop for good when accept() fails once.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inspect/http_stream.h"
#include "protocol/error.h"

namespace rollcall::inspect {

struct Request {
  std::string method;                        // GET also for HEAD
  std::string path;                          // decoded, without the query
  std::map<std::string, std::string> query;  // decoded; the first of equal names
  std::vector<std::string> matches;          // what stood at each {} of the pattern, in order
  std::string body;
  std::string authorization = {};  // the header of this name
  std::string last_event_id = {};  // and of this
  std::string if_none_match = {};  // and of this
  bool event_stream = false;       // it accepts text/event-stream
  bool waited = false;             // as long as it may: an answer is due
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::optional<Wait> wait = {};             // instead of all this
  std::shared_ptr<Stream> stream = nullptr;  // what follows the body
};

// {"error": "..."} with this status.
Response error_response(int status, std::string_view message);

// Runs on several threads at once. One that throws is answered with 500.
using Handler = std::function<Response(const Request&)>;

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  // Names besides 127.0.0.1, localhost and ::1 that a Host or Origin header may have (lower case).
  std::vector<std::string> allowed_hosts;

  // Put around the handler of each GET but /healthz, /readyz and the web page's own files, if it is
  // there.
  std::function<Handler(Handler)> guard_reads = {};

  std::size_t threads = 8;
  std::size_t queued = 256;       // requests that wait for a worker; above it 503
  std::size_t connections = 256;  // above it the one that has waited longest is closed
  std::size_t head_bytes = 8'192;
  std::size_t target_bytes = 2'048;
  std::size_t body_bytes = std::size_t{1} << 20;
  std::size_t requests_per_connection = 1'000;
  std::size_t streams =
      32;  // with requests that wait, and at most half of the connections; then 503
  // Of all connections together; above it 503.
  std::size_t buffered_in = std::size_t{16} << 20;
  std::size_t buffered_out = std::size_t{256} << 20;

  std::chrono::milliseconds receive_timeout{5'000};  // for a whole request, from its first byte
  std::chrono::milliseconds idle_timeout{10'000};    // before the first byte of a request
  std::chrono::milliseconds send_timeout{5'000};     // without the client taking a byte
  std::chrono::milliseconds stream_idle{15'000};     // without news, until a stream is asked

  // Gets what an operator should know, on any of the server's threads. May be empty.
  std::function<void(std::string_view)> report;
};

class HttpServer {
 public:
  explicit HttpServer(HttpOptions options);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Before start() only. In `pattern` a segment "{}" takes any one segment: "/agents/{}/history".
  // The first pattern that fits wins. A route for GET answers HEAD too. A path that only other
  // methods have gets 405, any other 404.
  void route(std::string method, std::string pattern, Handler handler);

  // Binds, listens and returns; connections are taken from here on. Once only.
  std::expected<void, Error> start();

  // There are news up to this number, for those who wait. Any thread.
  void news(std::uint64_t upto);

  // Finishes the requests that are at work, within two seconds, and closes everything. Waits for
  // handlers that run, so the caller must not be a thread that a handler waits for.
  void stop();

  std::uint16_t port() const;  // after start()
  // Those that read a stream or wait for news. Any thread.
  std::size_t streams() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rollcall::inspect
