#include "net/socket.h"

#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <chrono>
#include <utility>

#include "net/loop.h"

namespace rollcall::net {
namespace {

// After a write that failed, for what the peer said before it went.
constexpr std::chrono::milliseconds kLinger(1'000);
// A goodbye is looked at in steps. Two without a byte taken end it, not one: when the process was
// starved, the loop runs its timers before it looks at its sockets.
constexpr std::chrono::milliseconds kGoodbyeStep(500);
constexpr int kIdleSteps = 2;
constexpr int kGoodbyeSteps = 10;
// What one socket may say in one turn.
constexpr std::size_t kTurnBytes = std::size_t{256} * 1024;
constexpr std::size_t kReadBufferBytes = std::size_t{64} * 1024;
constexpr unsigned kKeepaliveSeconds = 30;

struct WriteRequest {
  uv_write_t request;
  std::string bytes;
};

}  // namespace

struct Socket::State : std::enable_shared_from_this<Socket::State> {
  explicit State(Loop& owner) : loop(owner) {}

  Loop& loop;
  uv_any_handle any;
  uv_connect_t connect_request;
  uv_shutdown_t shutdown_request;
  std::shared_ptr<State> self;  // until the handle is closed
  std::unique_ptr<Timer> timer;
  Events events;
  std::function<void(int)> on_connect;
  std::size_t writes = 0;
  int write_error = 0;
  bool connected = false;
  bool reading = false;
  bool attached = true;
  bool ended = false;      // the peer's end, or an error, was seen
  bool finishing = false;  // the goodbye is under way; what arrives is dropped
  bool shut_down = false;
  bool closing = false;
  bool resting = false;  // had its share of this turn
  std::uint64_t turn = 0;
  std::size_t read_in_turn = 0;
  std::size_t goodbye_queue = 0;
  int goodbye_steps = 0;
  int idle_steps = 0;
  std::shared_ptr<void> held;

  uv_stream_t* stream() { return &any.stream; }

  static State& of(uv_handle_t* handle) { return *static_cast<State*>(handle->data); }
  static State& of(uv_stream_t* handle) { return *static_cast<State*>(handle->data); }

  void connect_done(int status) {
    if (closing || !attached || !on_connect) return;
    connected = status == 0;
    const auto done = std::exchange(on_connect, nullptr);
    done(status);
  }

  void start_reading() {
    if (reading || ended || closing || !connected) return;
    reading = true;
    if (!resting) read();
  }

  void read() {
    const int status = uv_read_start(
        stream(),
        [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
          // Shared by all sockets of the thread: a read is handed over before the next begins.
          thread_local std::array<char, kReadBufferBytes> bytes;
          *buffer = uv_buf_init(bytes.data(), bytes.size());
        },
        [](uv_stream_t* handle, ssize_t count, const uv_buf_t* buffer) {
          of(handle).read_done(count, buffer->base);
        });
    if (status == 0) return;
    reading = false;
    end_later(status);
  }

  void stop_reading() {
    if (!reading || finishing) return;
    reading = false;
    uv_read_stop(stream());
  }

  void read_done(ssize_t count, const char* bytes) {
    if (count == 0 || closing) return;
    if (count > 0) {
      rest_if_due(static_cast<std::size_t>(count));
      if (finishing || !attached || !events.on_read) return;
      events.on_read(std::as_bytes(std::span(bytes, static_cast<std::size_t>(count))));
      return;
    }
    reading = false;
    uv_read_stop(stream());
    if (finishing) {
      ended = true;
      if (shut_down || count != UV_EOF) close_now();
      return;
    }
    end(write_error != 0 ? write_error : static_cast<int>(count));
  }

  void rest_if_due(std::size_t count) {
    if (std::exchange(turn, loop.turn()) != loop.turn()) read_in_turn = 0;
    read_in_turn += count;
    if (read_in_turn < kTurnBytes || resting) return;
    resting = true;
    uv_read_stop(stream());
    loop.at_turn_end([weak = weak_from_this()] {
      const auto state = weak.lock();
      if (!state) return;
      state->resting = false;
      if (state->reading && !state->closing) state->read();
    });
  }

  void write_done(int status) {
    --writes;
    if (closing) return;
    if (status < 0) return write_failed(status);
    if (writes == 0 && attached && !finishing && events.on_written) events.on_written();
  }

  void write_failed(int status) {
    if (finishing) return close_now();
    if (ended || write_error != 0) return;
    if (!reading) return end(status);
    // What the peer said before it went (often why: a TLS alert) is still to be read, and the
    // read side ends by itself now. The timer is for the case that it does not.
    write_error = status;
    set_timer([this] { end(write_error); });
  }

  void end(int status) {
    if (ended || finishing || closing) return;
    if (reading) {
      reading = false;
      uv_read_stop(stream());
    }
    ended = true;
    timer.reset();
    if (attached && events.on_end) events.on_end(status);
  }

  void end_later(int status) {
    loop.post([weak = weak_from_this(), status] {
      if (const auto state = weak.lock()) state->end(status);
    });
  }

  void finish() {
    if (finishing || closing) return;
    if (!connected) return close_now();
    start_reading();
    finishing = true;
    shutdown_request.data = this;
    const int status =
        uv_shutdown(&shutdown_request, stream(), [](uv_shutdown_t* request, int result) {
          State& state = *static_cast<State*>(request->data);
          if (state.closing) return;
          state.shut_down = true;
          if (result < 0 || state.ended) state.close_now();
        });
    if (status < 0) return close_now();
    goodbye_queue = uv_stream_get_write_queue_size(stream());
    timer = std::make_unique<Timer>(loop);
    timer->repeat(kGoodbyeStep, [this] { look_at_goodbye(); });
  }

  void look_at_goodbye() {
    const std::size_t queue = uv_stream_get_write_queue_size(stream());
    idle_steps = queue < goodbye_queue ? 0 : idle_steps + 1;
    goodbye_queue = queue;
    if (++goodbye_steps == kGoodbyeSteps || idle_steps == kIdleSteps) close_now();
  }

  void close_now() {
    if (closing) return;
    closing = true;
    timer.reset();
    uv_close(&any.handle, [](uv_handle_t* handle) {
      // Last owner or not, the state lives to the end of this function.
      const auto state = std::exchange(of(handle).self, nullptr);
      const Events last = std::exchange(state->events, {});
      state->held.reset();
      if (state->attached && last.on_closed) last.on_closed();
    });
  }

  void set_timer(std::function<void()> task) {
    timer = std::make_unique<Timer>(loop);
    timer->start(kLinger, std::move(task));
  }

  void tune() {
    if (any.handle.type != UV_TCP) return;
    uv_tcp_nodelay(&any.tcp, 1);
    uv_tcp_keepalive(&any.tcp, 1, kKeepaliveSeconds);
  }
};

Socket::Socket(Loop& loop, Kind kind) : state_(std::make_shared<State>(loop)) {
  if (kind == Kind::kTcp) {
    uv_tcp_init(loop.uv(), &state_->any.tcp);
  } else {
    uv_pipe_init(loop.uv(), &state_->any.pipe, 0);
  }
  state_->any.handle.data = state_.get();
  state_->self = state_;
}

Socket::~Socket() {
  state_->attached = false;
  if (!state_->finishing) state_->close_now();
}

void Socket::set_events(Events events) {
  state_->events = std::move(events);
}

void Socket::hold(std::shared_ptr<void> what) {
  state_->held = std::move(what);
}

void Socket::connect(const sockaddr* address, std::function<void(int)> done) {
  state_->on_connect = std::move(done);
  state_->connect_request.data = state_.get();
  const int status = uv_tcp_connect(&state_->connect_request, &state_->any.tcp, address,
                                    [](uv_connect_t* request, int result) {
                                      State& state = *static_cast<State*>(request->data);
                                      if (result == 0) state.tune();
                                      state.connect_done(result);
                                    });
  if (status == 0) return;
  state_->loop.post([weak = std::weak_ptr(state_), status] {
    if (const auto state = weak.lock()) state->connect_done(status);
  });
}

void Socket::connect(const std::string& path, std::function<void(int)> done) {
  state_->on_connect = std::move(done);
  state_->connect_request.data = state_.get();
  uv_pipe_connect(&state_->connect_request, &state_->any.pipe, path.c_str(),
                  [](uv_connect_t* request, int result) {
                    static_cast<State*>(request->data)->connect_done(result);
                  });
}

int Socket::accept_from(uv_stream_s* listener) {
  const int status = uv_accept(listener, state_->stream());
  if (status == 0) {
    state_->connected = true;
    state_->tune();
  }
  return status;
}

void Socket::start_reading() {
  state_->start_reading();
}

void Socket::stop_reading() {
  state_->stop_reading();
}

void Socket::write(std::string bytes) {
  if (bytes.empty() || state_->finishing || state_->closing) return;
  auto request = std::make_unique<WriteRequest>();
  request->bytes = std::move(bytes);
  request->request.data = request.get();
  const uv_buf_t buffer =
      uv_buf_init(request->bytes.data(), static_cast<unsigned>(request->bytes.size()));
  const int status =
      uv_write(&request->request, state_->stream(), &buffer, 1, [](uv_write_t* done, int result) {
        const std::unique_ptr<WriteRequest> owned(static_cast<WriteRequest*>(done->data));
        State::of(done->handle).write_done(result);
      });
  if (status < 0) return state_->end_later(status);
  ++state_->writes;
  request.release();  // NOLINT(bugprone-unused-return-value): libuv owns it until the callback
}

std::size_t Socket::queued_bytes() const {
  return state_->closing ? 0 : uv_stream_get_write_queue_size(state_->stream());
}

void Socket::finish() {
  state_->finish();
}

void Socket::abort() {
  state_->close_now();
}

std::string Socket::peer_address() const {
  if (state_->closing || state_->any.handle.type != UV_TCP) return "";
  sockaddr_storage storage{};
  int size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (uv_tcp_getpeername(&state_->any.tcp, address, &size) != 0) return "";
  return address_text(address);
}

std::string address_text(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address->sa_family == AF_INET) {
    const auto* ip4 = reinterpret_cast<const sockaddr_in*>(address);
    uv_ip4_name(ip4, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(ip4->sin_port));
  }
  if (address->sa_family == AF_INET6) {
    const auto* ip6 = reinterpret_cast<const sockaddr_in6*>(address);
    uv_ip6_name(ip6, text.data(), text.size());
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(ip6->sin6_port));
  }
  return "";
}

}  // namespace rollcall::net
