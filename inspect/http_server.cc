#include "inspect/http_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>

#include "inspect/http_connection.h"
#include "inspect/http_engine.h"
#include "inspect/http_listener.h"
#include "inspect/http_workers.h"

namespace rollcall::inspect {
namespace {

using SteadyClock = std::chrono::steady_clock;
using TimePoint = SteadyClock::time_point;
using State = ConnectionState;

constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::chrono::milliseconds kDrainTime{1'000};
constexpr std::chrono::milliseconds kStopTime{2'000};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::milliseconds kPatience{250};        // before make_room() may close it
constexpr std::chrono::milliseconds kLongestSend{60'000};  // however often the client takes a byte
constexpr std::size_t kWaitingWorkers = 2;                 // at most, for those who waited

using ConnectionId = std::uint64_t;
constexpr ConnectionId kWake = 0, kListener = 1, kFirstConnection = 2;

// What poll() waits for, and whose it is.
struct Polled {
  std::vector<pollfd> fds;
  std::vector<ConnectionId> who;
  void add(const Fd& fd, short events, ConnectionId whose) {
    fds.push_back({.fd = fd.get(), .events = events, .revents = 0});
    who.push_back(whose);
  }
};

// What a worker made: of a request, or the next part of a stream.
struct Answer {
  ConnectionId connection;
  bool waited;  // it is one of those that may have kWaitingWorkers
  std::variant<HttpEngine::Answer, Stream::Part> what;
};

// What is shown without the token although reading asks for it: whether the daemon is well, and the
// web page's own files, in which nothing is of this daemon.
bool is_for_all(std::string_view pattern) {
  return pattern == "/healthz" || pattern == "/readyz" || pattern == "/" ||
         pattern.starts_with("/page/");
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(HttpOptions options)
      : options_(std::move(options)),
        limits_{.target = options_.target_bytes,
                .body = options_.body_bytes,
                .hosts = options_.allowed_hosts} {}

  ~Impl() { stop(); }

  void route(std::string method, std::string pattern, Handler handler) {
    if (wake_) {
      std::fputs("HttpServer::route() was called after start()\n", stderr);
      std::abort();
    }
    if (options_.guard_reads && method == "GET" && !is_for_all(pattern))
      handler = options_.guard_reads(std::move(handler));
    routes_.push_back(Route{std::move(method), std::move(pattern), std::move(handler)});
  }

  std::expected<void, Error> start();

  void stop() {
    if (!front_.joinable()) return;
    stopping_ = true;
    wake();
    front_.join();
    workers_.reset();
    connections_.clear();
  }

  std::uint16_t port() const { return port_; }
  std::size_t streams_seen() const { return streams_seen_; }

  void news(std::uint64_t upto) {
    if (news_.exchange(upto) != upto && wake_) wake();
  }

 private:
  void run();
  TimePoint prepare(Polled& polled, TimePoint now, TimePoint next) const;
  void handle(ConnectionId who, bool ready, TimePoint now);
  void accept_all(TimePoint now);
  bool make_room(TimePoint now);
  // Nothing of ours is lost with it.
  static bool may_make_room(const Connection& c) {
    return c.state == State::Receiving || c.state == State::Draining;
  }
  static void enter(Connection& c, State state, TimePoint now, std::chrono::milliseconds timeout) {
    c.state = state;
    c.since = now;
    c.deadline = now + timeout;
  }
  void receive(ConnectionId id, Connection& c, TimePoint now);
  void advance(ConnectionId id, Connection& c, TimePoint now);
  void dispatch(ConnectionId id, Connection& c, TimePoint now);
  void refuse(Connection& c, const Refusal& refusal, TimePoint now);
  void send(ConnectionId id, Connection& c, TimePoint now);
  void drain(Connection& c);
  Stream::Part next_part(Stream& stream) const;
  bool submit(ConnectionId id, Connection& c, std::string body, bool waited);
  void ask_those_who_wait(TimePoint now);
  void take(ConnectionId id, Connection& c, HttpEngine::Answer answer, TimePoint now);
  void take(ConnectionId id, Connection& c, Stream::Part part, TimePoint now);
  bool is_due(const Connection& c, TimePoint now) const {
    return c.state == State::Waiting &&
           ((news_ > c.seen && now >= c.since + c.pause) || now >= c.deadline);
  }
  std::size_t streams() const;
  void wait_for_news(Connection& c, std::uint64_t seen, TimePoint now);
  void end_stream(ConnectionId id, Connection& c, std::string_view why, TimePoint now);
  void end_those_who_wait(TimePoint now);
  void expire(ConnectionId id, Connection& c, TimePoint now);
  void take_answers(TimePoint now);
  void wake() {
    const std::uint64_t one = 1;
    // It fails only when the counter is full, and then the front thread is awake anyway.
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  }

  const HttpOptions options_;
  const HeadLimits limits_;
  std::vector<Route> routes_;
  HttpEngine engine_{routes_, options_};
  Fd listener_;
  Fd wake_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> news_ = 0;
  std::atomic<std::size_t> streams_seen_ = 0;  // streams(), for other threads

  std::mutex answers_mutex_;
  std::vector<Answer> answers_;  // guarded by answers_mutex_

  // The front thread's own.
  std::map<ConnectionId, Connection> connections_;
  ConnectionId next_id_ = kFirstConnection;
  TimePoint accept_again_;
  std::size_t waited_at_work_ = 0;

  std::optional<HttpWorkers> workers_;
  std::jthread front_;
};

std::expected<void, Error> HttpServer::Impl::start() {
  if (wake_) {
    std::fputs("HttpServer::start() was called twice\n", stderr);
    std::abort();
  }
  auto listener = listen_on(options_);
  if (!listener) return std::unexpected(listener.error());
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return cannot("wake its thread for", options_, std::strerror(errno));
  listener_ = std::move(listener->fd);
  port_ = listener->port;
  wake_ = std::move(wake);
  workers_.emplace(std::max<std::size_t>(options_.threads, 1), options_.queued);
  front_ = std::jthread([this] { run(); });
  return {};
}

void HttpServer::Impl::run() {
  std::optional<TimePoint> stop_at;
  Polled polled;
  for (;;) {
    TimePoint now = SteadyClock::now();
    if (stopping_ && !stop_at) {
      stop_at = now + kStopTime;
      listener_.reset();
    }
    if (stop_at) {
      end_those_who_wait(now);
      std::erase_if(connections_, [](const auto& entry) { return may_make_room(entry.second); });
      if (connections_.empty() || now >= *stop_at) return;
    }
    ask_those_who_wait(now);
    streams_seen_ = streams();
    const TimePoint next = prepare(polled, now, stop_at.value_or(now + std::chrono::hours(1)));
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - now);
    ::poll(polled.fds.data(), polled.fds.size(),
           static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));

    now = SteadyClock::now();
    for (std::size_t i = 0; i < polled.fds.size(); ++i) {
      handle(polled.who[i], polled.fds[i].revents != 0, now);
    }
    // Only here are connections taken out, so that no function above loses the one it works on.
    std::erase_if(connections_, [](const auto& entry) { return !entry.second.fd; });
  }
}

// What to wait for, and until when at the latest.
TimePoint HttpServer::Impl::prepare(Polled& polled, TimePoint now, TimePoint next) const {
  polled.fds.clear();
  polled.who.clear();
  polled.add(wake_, POLLIN, kWake);
  for (const auto& [id, c] : connections_) {
    if (c.state == State::Working) continue;  // a worker holds no socket; nobody waits here
    if (c.state == State::Waiting) {
      polled.add(c.fd, POLLRDHUP, id);
      // If it is due already, a worker's answer wakes this thread.
      if (now < c.deadline) next = std::min(next, c.deadline);
      if (news_ > c.seen && now < c.since + c.pause) next = std::min(next, c.since + c.pause);
      continue;
    }
    polled.add(c.fd, c.state == State::Sending ? POLLOUT : POLLIN, id);
    next = std::min(next, c.deadline);
  }
  bool room = connections_.size() < options_.connections;
  for (const auto& [id, c] : connections_) {
    if (room) break;
    if (!may_make_room(c)) continue;
    room = now >= c.since + kPatience;
    if (!room) next = std::min(next, c.since + kPatience);
  }
  if (!listener_ || !room) return next;
  if (now < accept_again_) return std::min(next, accept_again_);
  polled.add(listener_, POLLIN, kListener);
  return next;
}

void HttpServer::Impl::handle(ConnectionId who, bool ready, TimePoint now) {
  if (who == kWake) {
    if (ready) take_answers(now);
    return;
  }
  if (who == kListener) {
    if (ready) accept_all(now);
    return;
  }
  const auto found = connections_.find(who);
  if (found == connections_.end()) return;
  Connection& c = found->second;
  if (ready) {
    switch (c.state) {
      case State::Receiving:
        receive(who, c, now);
        break;
      case State::Sending:
        send(who, c, now);
        break;
      case State::Draining:
        drain(c);
        break;
      case State::Waiting:
        c.fd.reset();  // the client is gone
        break;
      case State::Working:
        break;
    }
  }
  const bool is_timed = c.state != State::Working && c.state != State::Waiting;
  if (c.fd && is_timed && now >= c.deadline) expire(who, c, now);
}

void HttpServer::Impl::accept_all(TimePoint now) {
  for (;;) {
    if (connections_.size() >= options_.connections && !make_room(now)) return;
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      const bool scarce = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (scarce) {
        // The connection stays in the backlog and would wake us at once.
        accept_again_ = now + kAcceptPause;
        if (options_.report) {
          options_.report("HTTP takes no connections: " + std::string(std::strerror(errno)));
        }
      }
      if (scarce || errno == EAGAIN || errno == EWOULDBLOCK) return;
      continue;  // this one connection failed before it was taken
    }
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection& c = connections_[next_id_++];
    c.fd = std::move(fd);
    enter(c, State::Receiving, now, options_.idle_timeout);
  }
}

// Closes the connection that has waited longest for its client. Those that have just come are
// spared, since their request may lie in the socket already.
bool HttpServer::Impl::make_room(TimePoint now) {
  auto oldest = connections_.end();
  for (auto at = connections_.begin(); at != connections_.end(); ++at) {
    if (!may_make_room(at->second)) continue;
    if (oldest == connections_.end() || at->second.since < oldest->second.since) oldest = at;
  }
  if (oldest == connections_.end() || now < oldest->second.since + kPatience) return false;
  connections_.erase(oldest);
  return true;
}

void HttpServer::Impl::receive(ConnectionId id, Connection& c, TimePoint now) {
  char buffer[kReadBytes];
  const ssize_t got = ::recv(c.fd.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    c.fd.reset();
    return;
  }
  if (c.in.empty()) c.deadline = now + options_.receive_timeout;
  c.in.append(buffer, static_cast<std::size_t>(got));
  advance(id, c, now);
}

// Looks whether the bytes at hand make a whole request.
void HttpServer::Impl::advance(ConnectionId id, Connection& c, TimePoint now) {
  if (!c.head) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t end = c.in.find(kEnd, c.searched);
    const std::size_t head_bytes = end == std::string::npos ? c.in.size() : end + kEnd.size();
    if (head_bytes > options_.head_bytes) {
      const bool in_first_line = c.in.find('\n') >= options_.head_bytes;
      return refuse(c,
                    in_first_line
                        ? Refusal{414, "the request line is too long"}
                        : Refusal{431, "the head of the request is longer than " +
                                           std::to_string(options_.head_bytes) + " bytes"},
                    now);
    }
    if (end == std::string::npos) {
      c.searched = c.in.size() < kEnd.size() ? 0 : c.in.size() - kEnd.size() + 1;
      return;
    }
    auto head = parse_head(std::string_view(c.in).substr(0, head_bytes), limits_);
    if (!head) return refuse(c, head.error(), now);
    std::size_t promised = head->body_bytes;
    for (const auto& [other_id, other] : connections_) {
      if (other.head) promised += other.head->body_bytes;
    }
    if (promised > options_.buffered_in && head->body_bytes > 0) {
      return refuse(c, Refusal{503, "too many requests with a body at once; try again"}, now);
    }
    c.head = *std::move(head);
    c.head_bytes = head_bytes;
  }
  if (c.in.size() >= c.head_bytes + c.head->body_bytes) dispatch(id, c, now);
}

void HttpServer::Impl::dispatch(ConnectionId id, Connection& c, TimePoint now) {
  std::size_t waiting = 0;
  for (const auto& [other_id, other] : connections_) waiting += other.out.size();
  if (waiting > options_.buffered_out) {
    return refuse(c, Refusal{503, "too many answers are not taken by their clients; try again"},
                  now);
  }
  if (++c.served >= options_.requests_per_connection || stopping_) c.head->close = true;
  c.close = c.head->close;
  std::string body = c.in.substr(c.head_bytes, c.head->body_bytes);
  const bool taken = submit(id, c, std::move(body), false);
  if (!taken) return refuse(c, Refusal{503, "too many requests wait; try again"}, now);
  c.in.erase(0, c.head_bytes + c.head->body_bytes);
  c.searched = 0;
  enter(c, State::Working, now, {});
}

Stream::Part HttpServer::Impl::next_part(Stream& stream) const {
  try {
    return stream.next();
  } catch (const std::exception& e) {
    if (options_.report) options_.report("a stream failed and ends: " + std::string(e.what()));
    return {.text = {}, .last = true};
  }
}

// What the connection waits for, on a worker: the answer to its request, or its stream's next part.
bool HttpServer::Impl::submit(ConnectionId id, Connection& c, std::string body, bool waited) {
  const bool last = c.answer_by && SteadyClock::now() >= *c.answer_by;
  return workers_->submit(
      [this, id, waited, last, stream = c.stream, head = c.head, body = std::move(body)]() mutable {
        Answer answer{id, waited, {}};
        if (stream) {
          answer.what = next_part(*stream);
        } else {
          answer.what = engine_.answer(*head, std::move(body), last);
        }
        {
          const std::lock_guard lock(answers_mutex_);
          answers_.push_back(std::move(answer));
        }
        wake();
      });
}

void HttpServer::Impl::take_answers(TimePoint now) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(answers_mutex_);
    answers.swap(answers_);
  }
  for (Answer& answer : answers) {
    if (answer.waited) --waited_at_work_;
    const auto found = connections_.find(answer.connection);
    if (found == connections_.end()) continue;
    std::visit([&](auto& what) { take(found->first, found->second, std::move(what), now); },
               answer.what);
  }
  std::erase_if(connections_, [](const auto& entry) { return !entry.second.fd; });
}

void HttpServer::Impl::refuse(Connection& c, const Refusal& refusal, TimePoint now) {
  c.out = refusal_text(refusal, !c.in.starts_with("HEAD "));
  c.sent = 0;
  c.in.clear();
  c.head.reset();
  c.close = true;
  c.refused = true;
  enter(c, State::Sending, now, options_.send_timeout);
}

void HttpServer::Impl::send(ConnectionId id, Connection& c, TimePoint now) {
  while (c.sent < c.out.size()) {
    const ssize_t sent =
        ::send(c.fd.get(), c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent <= 0) {
      c.fd.reset();
      return;
    }
    c.sent += static_cast<std::size_t>(sent);
    c.deadline = std::min(now + options_.send_timeout, c.since + kLongestSend);
  }
  std::string().swap(c.out);
  c.sent = 0;
  if (c.stream && !c.close) return wait_for_news(c, c.seen, now);
  if (c.close) {
    // Closing with unread bytes would reset the connection, and the peer might lose the answer.
    char byte = 0;
    const bool unread = ::recv(c.fd.get(), &byte, 1, MSG_PEEK) > 0;
    if (!c.refused && !unread) {
      c.fd.reset();
      return;
    }
    ::shutdown(c.fd.get(), SHUT_WR);
    c.in.clear();
    enter(c, State::Draining, now, kDrainTime);
    return;
  }
  enter(c, State::Receiving, now, c.in.empty() ? options_.idle_timeout : options_.receive_timeout);
  if (!c.in.empty()) advance(id, c, now);
}

void HttpServer::Impl::drain(Connection& c) {
  char buffer[kReadBytes];
  const ssize_t got = ::recv(c.fd.get(), buffer, sizeof buffer, 0);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) c.fd.reset();
}

void HttpServer::Impl::expire(ConnectionId id, Connection& c, TimePoint now) {
  if (c.state == State::Sending && c.stream && !c.close) {
    constexpr std::string_view kWhy = "it did not take what there was to read in time";
    if (options_.report)
      options_.report("the reader of a stream is sent away: " + std::string(kWhy));
    return end_stream(id, c, kWhy, now);
  }
  if (c.state != State::Receiving || c.in.empty()) {
    c.fd.reset();
    return;
  }
  refuse(c, Refusal{408, "the request did not arrive in time"}, now);
  send(id, c, now);
}

// ---- those who wait for news -------------------------------------------------------------------

std::size_t HttpServer::Impl::streams() const {
  return static_cast<std::size_t>(std::ranges::count_if(connections_, [](const auto& entry) {
    return entry.second.stream || entry.second.answer_by;
  }));
}

void HttpServer::Impl::wait_for_news(Connection& c, std::uint64_t seen, TimePoint now) {
  c.seen = seen;
  enter(c, State::Waiting, now, c.idle.count() > 0 ? c.idle : options_.stream_idle);
  if (c.answer_by) c.deadline = *c.answer_by;
}

// Whoever has waited longest comes first, so that all get their turn.
void HttpServer::Impl::ask_those_who_wait(TimePoint now) {
  while (waited_at_work_ < kWaitingWorkers && !stopping_) {
    auto first = connections_.end();
    for (auto at = connections_.begin(); at != connections_.end(); ++at) {
      if (!is_due(at->second, now)) continue;
      if (first == connections_.end() || at->second.since < first->second.since) first = at;
    }
    if (first == connections_.end() || !submit(first->first, first->second, "", true)) return;
    enter(first->second, State::Working, now, {});
    ++waited_at_work_;
  }
}

void HttpServer::Impl::take(ConnectionId id, Connection& c, HttpEngine::Answer answer,
                            TimePoint now) {
  const bool counts = c.answer_by || (!answer.wait && !answer.stream);
  if (!counts && streams() >= std::min(options_.streams, options_.connections / 2)) {
    refuse(c, Refusal{503, "too many wait for news or read a stream; try again later"}, now);
    return send(id, c, now);
  }
  if (answer.wait) {
    if (!c.answer_by) c.answer_by = now + answer.wait->at_most;
    return wait_for_news(c, answer.wait->seen, now);
  }
  c.answer_by.reset();
  c.head.reset();
  c.stream = std::move(answer.stream);
  c.pause = {};
  c.idle = std::chrono::milliseconds(c.stream && c.stream->starts_at_once() ? 1 : 0);
  c.close = answer.close || (c.close && !c.stream);
  c.out = std::move(answer.text);
  c.sent = 0;
  enter(c, State::Sending, now, options_.send_timeout);
  if (c.out.empty()) {  // httplib could not even refuse it
    c.fd.reset();
  } else {
    send(id, c, now);
  }
}

void HttpServer::Impl::take(ConnectionId id, Connection& c, Stream::Part part, TimePoint now) {
  c.seen = part.seen;
  c.pause = part.pause;
  c.idle = part.idle;
  c.close = part.last;
  c.out = std::move(part.text);
  c.sent = 0;
  enter(c, State::Sending, now, options_.send_timeout);
  send(id, c, now);
}

void HttpServer::Impl::end_stream(ConnectionId id, Connection& c, std::string_view why,
                                  TimePoint now) {
  c.out = c.stream->farewell(std::string_view(c.out).substr(c.sent), why);
  c.sent = 0;
  c.close = true;
  enter(c, State::Sending, now, options_.send_timeout);
  send(id, c, now);
}

void HttpServer::Impl::end_those_who_wait(TimePoint now) {
  for (auto& [id, c] : connections_) {
    if (c.state != State::Waiting) continue;
    if (c.stream) {
      end_stream(id, c, "the daemon is stopping", now);
    } else {
      refuse(c, Refusal{503, "the daemon is stopping; ask again when it is back"}, now);
      send(id, c, now);
    }
  }
  std::erase_if(connections_, [](const auto& entry) { return !entry.second.fd; });
}

HttpServer::HttpServer(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() = default;
void HttpServer::route(std::string method, std::string pattern, Handler handler) {
  impl_->route(std::move(method), std::move(pattern), std::move(handler));
}
std::expected<void, Error> HttpServer::start() {
  return impl_->start();
}
void HttpServer::news(std::uint64_t upto) {
  impl_->news(upto);
}
void HttpServer::stop() {
  impl_->stop();
}
std::uint16_t HttpServer::port() const {
  return impl_->port();
}
std::size_t HttpServer::streams() const {
  return impl_->streams_seen();
}

}  // namespace rollcall::inspect
