#include "tests/support/standin_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace rollcall::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kReadBytes = 65536;
constexpr std::size_t kBufferedBytes = 4 * kWazuhRequestLimitBytes;  // above it, stop reading
constexpr std::size_t kHttpBufferedBytes = 256 << 20;
constexpr std::string_view kControlWord = "standin ";

std::string framed(std::string_view text) {
  const auto length = static_cast<std::uint32_t>(text.size());
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) {
    out += static_cast<char>(length >> shift & 0xff);
  }
  out += text;
  return out;
}

std::uint32_t frame_length(std::string_view header) {
  std::uint32_t length = 0;
  for (std::size_t i = kHeaderBytes; i-- > 0;) {
    length = length << 8 | static_cast<unsigned char>(header[i]);
  }
  return length;
}

std::pair<std::string_view, std::string_view> split(std::string_view text) {
  const auto space = text.find(' ');
  return {text.substr(0, space), space == text.npos ? std::string_view() : text.substr(space + 1)};
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

// "slow 50", "garbage json"
std::optional<Fault> parse_fault(std::string_view text) {
  using Kind = Fault::Kind;
  static const std::map<std::string_view, Kind> kPlain = {{"none", Kind::kNone},
                                                          {"stall", Kind::kStall},
                                                          {"close", Kind::kClose},
                                                          {"drop", Kind::kDrop},
                                                          {"partial", Kind::kPartial},
                                                          {"garbage", Kind::kGarbage},
                                                          {"garbage json", Kind::kGarbageJson},
                                                          {"garbage frame", Kind::kGarbageFrame},
                                                          {"readonly", Kind::kReadOnly}};
  if (const auto plain = kPlain.find(text); plain != kPlain.end()) {
    return Fault{plain->second};
  }
  const auto [name, argument] = split(text);
  const auto number = whole_number(argument);
  if (!number || *number < 0) {
    return std::nullopt;
  }
  if (name == "slow") {
    return Fault{Kind::kSlow, *number};
  }
  if (name == "truncate") {
    return Fault{Kind::kTruncate, *number};
  }
  return std::nullopt;
}

bool is_forbidden(std::string_view command) {
  return command == "sync-agent-info-get" || command == "GET /v1/agents/sync" ||
         command == "insert-agent" || command == "delete-agent" || command == "disconnect-agents" ||
         command == "reset-agents-connection" || command.starts_with("update-");
}

struct HttpRequest {
  std::string_view method;
  std::string_view path;
  std::string_view body;
  bool close = false;
  std::size_t bytes = 0;  // of the connection's input that it took
};

// The next whole request in `input`; `bytes` is 0 while it is not all there.
HttpRequest parse_http(std::string_view input) {
  HttpRequest request;
  const auto head_end = input.find("\r\n\r\n");
  if (head_end == input.npos) {
    return request;
  }
  std::string head(input.substr(0, head_end + 2));
  std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto header = [&head](std::string_view name) {
    const auto at = head.find("\r\n" + std::string(name) + ":");
    if (at == head.npos) {
      return std::string();
    }
    const auto begin = head.find_first_not_of(' ', at + 3 + name.size());
    return head.substr(begin, head.find("\r\n", begin) - begin);
  };
  const auto body_bytes =
      static_cast<std::size_t>(whole_number(header("content-length")).value_or(0));
  const std::size_t whole = head_end + 4 + body_bytes;
  if (input.size() < whole) {
    return request;
  }
  const std::string_view line = input.substr(0, input.find("\r\n"));
  const auto [method, rest] = split(line);
  request.method = method;
  request.path = split(rest).first;
  request.body = input.substr(head_end + 4, body_bytes);
  request.close = header("connection") == "close";
  request.bytes = whole;
  return request;
}

std::string http_text(const HttpReply& reply) {
  const char* reason = reply.status == 200 ? "OK" : reply.status == 404 ? "Not Found" : "Error";
  return "HTTP/1.1 " + std::to_string(reply.status) + " " + reason +
         "\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(reply.body.size()) + "\r\n\r\n" + reply.body;
}

// Of the calling thread.
std::uint64_t cpu_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec) / 1'000;
}

std::string system_error(const std::string& what) {
  return what + ": " + std::generic_category().message(errno);
}

}  // namespace

class StandinServer::Impl {
 public:
  explicit Impl(StandinOptions options)
      : options_(std::move(options)),
        offset_seconds_(options_.now_offset_seconds),
        db_(options_.flavour, 0),
        wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    db_.reset(now());
  }
  ~Impl() {
    stop();
    ::close(wake_fd_);
  }

  std::expected<void, std::string> start(const std::filesystem::path& path, bool http) {
    auto fd = listen_on(path);
    if (!fd) {
      return std::unexpected(fd.error());
    }
    const std::scoped_lock lock(mutex_);
    listeners_.push_back({*fd, path, http});
    if (!thread_.joinable()) {
      stopping_ = false;
      thread_ = std::thread([this] { run(); });
    } else {
      wake();
    }
    return {};
  }

  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake();
    if (thread_.joinable()) {
      thread_.join();
    }
    const std::scoped_lock lock(mutex_);
    for (const Listener& listener : listeners_) {
      ::close(listener.fd);
      std::error_code ignored;
      std::filesystem::remove(listener.path, ignored);
    }
    listeners_.clear();
  }

  std::string ask(std::string_view request) {
    const std::scoped_lock lock(mutex_);
    ++stats_.manager_requests;
    return compute(request, kWazuhReplyLimitBytes);
  }

  std::string control(std::string_view text) {
    const std::scoped_lock lock(mutex_);
    const auto [name, argument] = split(text);
    if (name == "fault") {
      const auto fault = parse_fault(argument);
      if (!fault) {
        return "err no such fault: '" + std::string(argument) + "'";
      }
      fault_ = *fault;
      return "ok";
    }
    if (name == "offset") {
      const auto seconds = whole_number(argument);
      if (!seconds) {
        return "err not a number of seconds: '" + std::string(argument) + "'";
      }
      offset_seconds_ = *seconds;
      return "ok";
    }
    if (text == "reset") {
      db_.reset(now());
      stats_ = {};
      dead_workers_ = 0;
      keepalives_ = {};
      return "ok";
    }
    if (name == "fill") {
      return fill(argument);
    }
    if (name == "keepalives") {
      return begin_keepalives(argument);
    }
    if (text == "stats") {
      return "ok " + stats_json();
    }
    return "err no such request to the stand-in: '" + std::string(text) + "'";
  }

  void set_fault(Fault fault) {
    const std::scoped_lock lock(mutex_);
    fault_ = fault;
  }
  void set_now_offset(std::int64_t seconds) {
    const std::scoped_lock lock(mutex_);
    offset_seconds_ = seconds;
  }
  StandinStats stats() {
    const std::scoped_lock lock(mutex_);
    return current_stats();
  }

 private:
  struct Listener {
    int fd;
    std::filesystem::path path;
    bool http;
  };

  struct Connection {
    int fd = -1;
    bool http = false;
    std::string in;
    std::string out;  // one reply; the next request waits until it is sent
    std::size_t out_sent = 0;
    Clock::time_point out_at{};
    bool close_after_out = false;
    bool manager = false;
    bool mute = false;  // it asked during a stall: never answered
    bool dead = false;  // it asked too much: never read again
    bool eof = false;
    bool closed = false;
  };

  struct Keepalives {
    std::int64_t agents = 0;
    std::int64_t period_ms = 0;
    Clock::time_point began{};
    std::int64_t sent = 0;
  };

  static std::expected<int, std::string> listen_on(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string text = path.string();
    if (text.size() >= sizeof address.sun_path) {
      return std::unexpected("the socket's path is longer than " +
                             std::to_string(sizeof address.sun_path - 1) + " bytes: " + text);
    }
    text.copy(address.sun_path, text.size());
    std::error_code error;
    if (path.has_parent_path()) {
      std::filesystem::create_directories(path.parent_path(), error);
      if (error) {
        return std::unexpected("cannot make " + path.parent_path().string() + ": " +
                               error.message());
      }
    }
    if (std::filesystem::is_socket(path, error)) {
      std::filesystem::remove(path, error);
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
      return std::unexpected(system_error("cannot make a socket"));
    }
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(fd, 128) != 0) {
      const std::string what = system_error("cannot listen on " + text);
      ::close(fd);
      return std::unexpected(what);
    }
    chmod(text.c_str(), 0660);
    return fd;
  }

  void wake() {
    const std::uint64_t one = 1;
    (void)!write(wake_fd_, &one, sizeof one);
  }

  std::int64_t now() const {
    return (options_.clock ? options_.clock() : static_cast<std::int64_t>(std::time(nullptr))) +
           offset_seconds_;
  }

  // Whole seconds, as Wazuh writes them; wazuh-db's own clock has their fraction too.
  std::int64_t set_now() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    db_.set_milliseconds(options_.clock ? 0 : static_cast<int>(time.tv_nsec / 1'000'000));
    return options_.clock ? now() : time.tv_sec + offset_seconds_;
  }

  // "N [FIRST] [NODE]"
  std::string fill(std::string_view argument) {
    const auto [count_text, rest] = split(argument);
    const auto [first_text, node] = split(rest);
    const auto count = whole_number(count_text);
    const auto first =
        first_text.empty() ? std::optional<std::int64_t>(1) : whole_number(first_text);
    if (!count || *count < 1 || !first || *first < 1) {
      return "err fill N [FIRST] [NODE], not '" + std::string(argument) + "'";
    }
    try {
      db_.fill(*first, *count, node.empty() ? "worker-1" : std::string(node), set_now());
    } catch (const std::exception& error) {
      return error.what();
    }
    return "ok";
  }

  // "N MS"
  std::string begin_keepalives(std::string_view argument) {
    const auto [count_text, period_text] = split(argument);
    const auto count = whole_number(count_text);
    const auto period_ms = whole_number(period_text);
    if (!count || *count < 0 || (*count > 0 && (!period_ms || *period_ms < 1))) {
      return "err keepalives N MS, not '" + std::string(argument) + "'";
    }
    keepalives_ = {*count, period_ms.value_or(0), Clock::now(), 0};
    wake();
    return "ok";
  }

  // Those that are due since the last call.
  void send_keepalives() {
    const std::scoped_lock lock(mutex_);
    Keepalives& k = keepalives_;
    if (k.agents == 0) {
      return;
    }
    const auto passed =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - k.began);
    const std::int64_t due = passed.count() * k.agents / k.period_ms;
    const std::uint64_t began = cpu_us();
    const std::int64_t now = set_now();
    k.sent = std::max(k.sent, due - k.agents);  // never more than one of each at a time
    while (k.sent < due) {
      const std::int64_t first = k.sent % k.agents;
      const std::int64_t count = std::min(due - k.sent, k.agents - first);
      db_.keepalives(first + 1, first + count, now);
      k.sent += count;
    }
    stats_.keepalive_cpu_us += cpu_us() - began;
  }

  // The loop: every connection advances by at most one request, then all wait together.
  void run() {
    std::vector<Connection> connections;
    while (true) {
      std::vector<Listener> listeners;
      {
        const std::scoped_lock lock(mutex_);
        if (stopping_) {
          break;
        }
        listeners = listeners_;
        stats_open_ = connections.size();
        cpu_us_ = cpu_us();
      }
      send_keepalives();
      bool more = false;
      for (Connection& connection : connections) {
        more |= advance(connection, connections);
      }
      std::erase_if(connections, [](const Connection& connection) {
        if (connection.closed) {
          ::close(connection.fd);
        }
        return connection.closed;
      });
      wait(connections, listeners, more);
    }
    for (const Connection& connection : connections) {
      ::close(connection.fd);
    }
    const std::scoped_lock lock(mutex_);
    stats_open_ = 0;
  }

  void wait(std::vector<Connection>& connections, const std::vector<Listener>& listeners,
            bool more) {
    const auto now = Clock::now();
    int timeout_ms = more ? 0 : keepalive_wait_ms();
    std::vector<pollfd> polled;
    polled.push_back({wake_fd_, POLLIN, 0});
    for (const Listener& listener : listeners) {
      polled.push_back({listener.fd, POLLIN, 0});
    }
    for (const Connection& connection : connections) {
      pollfd one{connection.fd, 0, 0};
      if (!connection.out.empty()) {
        if (connection.out_at > now) {
          const auto left = std::chrono::ceil<std::chrono::milliseconds>(connection.out_at - now);
          const int left_ms = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
          timeout_ms = timeout_ms < 0 ? left_ms : std::min(timeout_ms, left_ms);
        } else {
          one.events = POLLOUT;
        }
      } else if (connection.eof) {
        one.fd = -1;  // it would be ready for ever
      } else if (reads(connection)) {
        one.events = POLLIN;
      }
      polled.push_back(one);
    }
    poll(polled.data(), polled.size(), timeout_ms);
    if (polled[0].revents != 0) {
      std::uint64_t count = 0;
      (void)!read(wake_fd_, &count, sizeof count);
    }
    const std::size_t first = 1 + listeners.size();
    for (std::size_t i = 0; i < connections.size(); ++i) {
      const short events = polled[first + i].revents;
      Connection& connection = connections[i];
      if (events & POLLIN) {
        read_some(connection);
        if (!connection.manager && !connection.http && !ends_with_a_frame(connection.in)) {
          const std::scoped_lock lock(mutex_);
          ++stats_.partial_frames;
        }
      } else if (events & (POLLHUP | POLLERR)) {
        hang_up(connection);
      }
    }
    for (std::size_t i = 0; i < listeners.size(); ++i) {
      if (polled[1 + i].revents != 0) {
        accept_all(listeners[i], connections);
      }
    }
  }

  int keepalive_wait_ms() const {
    constexpr int kBetweenMs = 50;
    const std::scoped_lock lock(mutex_);
    return keepalives_.agents == 0 ? -1 : kBetweenMs;
  }

  static bool reads(const Connection& connection) {
    return !connection.eof && !connection.dead && connection.out.empty() &&
           connection.in.size() < (connection.http ? kHttpBufferedBytes : kBufferedBytes);
  }

  void accept_all(const Listener& listener, std::vector<Connection>& connections) {
    while (true) {
      const int fd = accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) {
        return;
      }
      Connection connection;
      connection.fd = fd;
      connection.http = listener.http;
      connections.push_back(std::move(connection));
      const std::scoped_lock lock(mutex_);
      ++stats_.connections;
    }
  }

  static void read_some(Connection& connection) {
    std::array<char, kReadBytes> buffer;
    const ssize_t got = read(connection.fd, buffer.data(), buffer.size());
    if (got > 0) {
      connection.in.append(buffer.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      connection.eof = true;
    }
  }

  static bool ends_with_a_frame(std::string_view in) {
    while (in.size() >= kHeaderBytes && in.size() - kHeaderBytes >= frame_length(in)) {
      in.remove_prefix(kHeaderBytes + frame_length(in));
    }
    return in.empty();
  }

  // The peer is gone in both directions: what it asked before is still carried out.
  static void hang_up(Connection& connection) {
    if (connection.dead || (!connection.out.empty() && connection.close_after_out)) {
      connection.closed = true;
    } else if (!connection.out.empty()) {
      connection.out.clear();
    } else {
      connection.eof = true;
    }
  }

  // Sends what is due and takes at most one request. True if that changed anything: then another
  // connection may have got a worker, so nobody may wait yet.
  bool advance(Connection& connection, const std::vector<Connection>& all) {
    const bool sent = send_due(connection);
    if (connection.closed || connection.dead || !connection.out.empty()) {
      return sent;
    }
    const bool took = connection.http ? take_http(connection) : take_frame(connection, all);
    if (took) {
      send_due(connection);
    } else if (connection.eof && !has_frame(connection)) {
      connection.closed = true;
    }
    return sent || took || connection.closed;
  }

  // True if a reply left as a whole.
  bool send_due(Connection& connection) {
    if (connection.closed || connection.out.empty() || Clock::now() < connection.out_at) {
      return false;
    }
    send_some(connection);
    return connection.out.empty();
  }

  void send_some(Connection& connection) {
    const ssize_t put =
        send(connection.fd, connection.out.data() + connection.out_sent,
             connection.out.size() - connection.out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0) {
      if (errno != EAGAIN && errno != EINTR) {
        connection.closed = connection.close_after_out;
        connection.out.clear();
        connection.out_sent = 0;
      }
      return;
    }
    {
      const std::scoped_lock lock(mutex_);
      stats_.bytes_out += connection.manager ? 0 : static_cast<std::uint64_t>(put);
    }
    connection.out_sent += static_cast<std::size_t>(put);
    if (connection.out_sent == connection.out.size()) {
      connection.out.clear();
      connection.out_sent = 0;
      connection.closed = connection.close_after_out;
    }
  }

  static bool has_frame(const Connection& connection) {
    return !connection.http && connection.in.size() >= kHeaderBytes &&
           connection.in.size() >= kHeaderBytes + frame_length(connection.in);
  }

  bool worker_free(const std::vector<Connection>& all) const {
    const auto busy = std::ranges::count_if(all, [](const Connection& other) {
      const bool inside_a_frame = !other.in.empty() && !has_frame(other);
      return !other.http && !other.closed && !other.dead && !other.mute &&
             (!other.out.empty() || inside_a_frame);
    });
    const std::scoped_lock lock(mutex_);
    return static_cast<int>(busy) + dead_workers_ < options_.workers;
  }

  bool take_frame(Connection& connection, const std::vector<Connection>& all) {
    if (connection.in.size() < kHeaderBytes) {
      return false;
    }
    const std::size_t length = frame_length(connection.in);
    if (length == 0) {
      connection.closed = true;
      return false;
    }
    if (length > kWazuhRequestLimitBytes) {
      connection.dead = true;
      const std::scoped_lock lock(mutex_);
      ++dead_workers_;
      ++stats_.oversize_requests;
      stats_.largest_request = std::max<std::uint64_t>(stats_.largest_request, length);
      return false;
    }
    if (!has_frame(connection)) {
      return false;
    }
    const std::string_view request = std::string_view(connection.in).substr(kHeaderBytes, length);
    if (request.starts_with(kControlWord)) {
      const std::string_view text = request.substr(kControlWord.size());
      if (text == "manager") {
        connection.manager = true;
        reply_with(connection, framed("ok"));
      } else {
        reply_with(connection, framed(control(text)));
      }
    } else if (connection.mute) {
      // Swallowed.
    } else if (worker_free(all)) {
      serve(connection, request);
    } else {
      return false;
    }
    connection.in.erase(0, kHeaderBytes + length);
    return true;
  }

  void serve(Connection& connection, std::string_view request) {
    const std::scoped_lock lock(mutex_);
    if (connection.manager) {
      ++stats_.manager_requests;
      reply_with(connection, framed(compute(request, kWazuhReplyLimitBytes)));
      return;
    }
    ++stats_.requests;
    stats_.bytes_in += kHeaderBytes + request.size();
    stats_.largest_request = std::max<std::uint64_t>(stats_.largest_request, request.size());
    if (fault_.kind == Fault::Kind::kStall) {
      connection.mute = true;
      return;
    }
    const bool truncates = fault_.kind == Fault::Kind::kTruncate;
    const std::size_t limit =
        truncates ? static_cast<std::size_t>(fault_.argument) : kWazuhReplyLimitBytes;
    const std::uint64_t began = cpu_us();
    db_.set_read_only(fault_.kind == Fault::Kind::kReadOnly);
    const std::string reply = compute(request, limit);
    db_.set_read_only(false);
    stats_.observer_cpu_us += cpu_us() - began;
    stats_.truncated_replies += reply.size() >= limit;
    count_for_observer();
    send_under_fault(connection, framed(reply));
  }

  bool take_http(Connection& connection) {
    const HttpRequest request = parse_http(connection.in);
    if (request.bytes == 0) {
      return false;
    }
    {
      const std::scoped_lock lock(mutex_);
      ++stats_.http_requests;
      if (fault_.kind == Fault::Kind::kStall || connection.mute) {
        connection.mute = true;
      } else {
        const auto begin = Clock::now();
        db_.set_read_only(fault_.kind == Fault::Kind::kReadOnly);
        const HttpReply reply = db_.handle_http(request.method, request.path, request.body, now());
        db_.set_read_only(false);
        count_busy(begin);
        count_for_observer();
        connection.close_after_out = request.close;
        send_under_fault(connection, http_text(reply));
      }
    }
    connection.in.erase(0, request.bytes);
    return true;
  }

  // With mutex_ held.
  void send_under_fault(Connection& connection, std::string reply) {
    using Kind = Fault::Kind;
    switch (fault_.kind) {
      case Kind::kNone:
      case Kind::kTruncate:
      case Kind::kStall:
      case Kind::kReadOnly:
        break;
      case Kind::kSlow:
        connection.out_at = Clock::now() + std::chrono::milliseconds(fault_.argument);
        break;
      case Kind::kClose:
        connection.close_after_out = true;
        break;
      case Kind::kDrop:
        connection.closed = true;
        return;
      case Kind::kPartial:
        reply.resize(reply.size() / 2);
        connection.close_after_out = true;
        break;
      case Kind::kGarbage:
        reply = connection.http ? reply : framed(std::string("\x01\xff\x7f?\n\0{[\"", 9));
        break;
      case Kind::kGarbageJson:
        reply = connection.http ? reply : framed("ok [{\"id\":1,\"connection_status\":\"acti");
        break;
      case Kind::kGarbageFrame:
        reply = connection.http ? reply : std::string("\xff\xff\xff\xffok []");
        break;
    }
    reply_with(connection, std::move(reply));
  }

  static void reply_with(Connection& connection, std::string reply) {
    connection.out = std::move(reply);
    connection.out_sent = 0;
  }

  // With mutex_ held.
  std::string compute(std::string_view request, std::size_t limit) {
    const auto begin = Clock::now();
    db_.set_reply_limit(limit);
    std::string reply = db_.handle(request, set_now());
    count_busy(begin);
    return reply;
  }

  void count_busy(Clock::time_point begin) {
    stats_.busy_us += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
  }

  void count_for_observer() {
    const SeenRequest& seen = db_.seen();
    ++stats_.commands[seen.command];
    stats_.rows_out += seen.rows;
    stats_.non_select_sql += seen.sql_changes;
    stats_.secret_reads += seen.reads_secret;
    if (is_forbidden(seen.command)) {
      ++stats_.forbidden;
      ++stats_.forbidden_commands[seen.command];
    }
  }

  StandinStats current_stats() {
    StandinStats stats = stats_;
    stats.open_connections = stats_open_;
    stats.cpu_us = cpu_us_;
    stats.rows = db_.agents();
    return stats;
  }

  std::string stats_json() {
    const StandinStats stats = current_stats();
    const nlohmann::ordered_json json = {{"requests", stats.requests},
                                         {"manager_requests", stats.manager_requests},
                                         {"http_requests", stats.http_requests},
                                         {"connections", stats.connections},
                                         {"open_connections", stats.open_connections},
                                         {"bytes_in", stats.bytes_in},
                                         {"bytes_out", stats.bytes_out},
                                         {"largest_request", stats.largest_request},
                                         {"rows_out", stats.rows_out},
                                         {"partial_frames", stats.partial_frames},
                                         {"truncated_replies", stats.truncated_replies},
                                         {"oversize_requests", stats.oversize_requests},
                                         {"non_select_sql", stats.non_select_sql},
                                         {"secret_reads", stats.secret_reads},
                                         {"forbidden", stats.forbidden},
                                         {"rows", stats.rows},
                                         {"busy_us", stats.busy_us},
                                         {"observer_cpu_us", stats.observer_cpu_us},
                                         {"keepalive_cpu_us", stats.keepalive_cpu_us},
                                         {"cpu_us", stats.cpu_us},
                                         {"commands", stats.commands},
                                         {"forbidden_commands", stats.forbidden_commands}};
    return json.dump();
  }

  const StandinOptions options_;
  mutable std::mutex mutex_;  // all that follows, but the thread's own connections
  std::int64_t offset_seconds_;
  StandinWazuhDb db_;
  Fault fault_;
  StandinStats stats_;
  std::uint64_t stats_open_ = 0;
  std::uint64_t cpu_us_ = 0;
  Keepalives keepalives_;
  int dead_workers_ = 0;
  std::vector<Listener> listeners_;
  bool stopping_ = false;
  const int wake_fd_;
  std::thread thread_;
};

StandinServer::StandinServer(StandinOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
StandinServer::~StandinServer() = default;

std::expected<void, std::string> StandinServer::start(const std::filesystem::path& socket) {
  return impl_->start(socket, /*http=*/false);
}
std::expected<void, std::string> StandinServer::start_http(const std::filesystem::path& socket) {
  return impl_->start(socket, /*http=*/true);
}
void StandinServer::stop() {
  impl_->stop();
}
std::string StandinServer::ask(std::string_view request) {
  return impl_->ask(request);
}
std::string StandinServer::control(std::string_view request) {
  return impl_->control(request);
}
void StandinServer::set_fault(Fault fault) {
  impl_->set_fault(fault);
}
void StandinServer::set_now_offset(std::int64_t seconds) {
  impl_->set_now_offset(seconds);
}
StandinStats StandinServer::stats() const {
  return impl_->stats();
}

}  // namespace rollcall::testing
