#include "net/tls_stream.h"

#include <netinet/in.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "net/loop.h"
#include "net/socket.h"

namespace rollcall::net {
namespace {

constexpr std::size_t kCoalesceBytes = std::size_t{64} * 1024;
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
// TLS's own answers (to key updates) in the life of a connection: some two thousand. An honest peer
// asks once in many gigabytes.
constexpr std::size_t kMaxAnswers = std::size_t{64} * 1024;
constexpr int kBacklog = 4'096;  // the kernel has a limit of its own

std::string end_text(int status, const std::string& during) {
  if (status == UV_EOF) return "the peer closed the connection" + during;
  return std::string("the connection broke") + during + " (" + uv_strerror(status) + ")";
}

// A listener's connections; outlives it while they do.
struct Census {
  std::size_t max_goodbyes = 0;
  std::size_t streams = 0, handshakes = 0, goodbyes = 0;
  std::map<std::string, std::size_t, std::less<>> by_host;
};

// A connection's place in it, for as long as it has a file descriptor.
class Slot {
 public:
  Slot(std::shared_ptr<Census> census, std::string host)
      : census_(std::move(census)), host_(census_->by_host.try_emplace(std::move(host)).first) {
    ++host_->second;
    ++count();
  }
  ~Slot() {
    --count();
    if (--host_->second == 0) census_->by_host.erase(host_);
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  void is_now(std::size_t Census::* kind) {
    --count();
    kind_ = kind;
    ++count();
  }
  bool may_say_goodbye() const { return census_->goodbyes < census_->max_goodbyes; }

 private:
  std::size_t& count() { return (*census_).*kind_; }

  std::shared_ptr<Census> census_;
  std::map<std::string, std::size_t, std::less<>>::iterator host_;
  std::size_t Census::* kind_ = &Census::handshakes;
};

}  // namespace

struct TlsStream::Impl : std::enable_shared_from_this<TlsStream::Impl> {
  using Handshake = std::function<void(std::expected<void, Error>)>;

  Impl(Loop& owner, const TlsContext& context, std::string expected_name)
      : loop(owner), socket(owner, Socket::Kind::kTcp), engine(context, std::move(expected_name)) {}

  enum class Phase { kHandshake, kOpen, kClosing, kClosed };

  Loop& loop;
  Socket socket;
  TlsEngine engine;
  Phase phase = Phase::kHandshake;
  std::optional<Timer> deadline;  // of the handshake
  Handshake on_handshake;
  Peer peer;
  StreamEvents events;
  bool attached = false;  // to a TlsStream that was started
  bool paused = true;
  bool pump_is_due = false;
  bool flush_is_due = false;
  std::string plain;        // written, not yet encrypted
  std::size_t answers = 0;  // TLS's own bytes
  std::string reason;
  std::shared_ptr<Slot> slot;  // our place among the listener's connections, if it has any
  bool too_slow = false;       // why the handshake was ended, if it was not its own fault
  bool gave_way = false;

  // The socket is connected. Calls `done` once, unless this object is dropped before; the caller
  // keeps it until then.
  void handshake(std::chrono::milliseconds limit, Handshake done) {
    on_handshake = std::move(done);
    peer.address = socket.peer_address();
    const auto weak = weak_from_this();
    socket.set_events({
        .on_read =
            [weak](std::span<const std::byte> bytes) {
              if (const auto self = weak.lock()) self->cipher_arrived(bytes);
            },
        .on_end =
            [weak](int status) {
              if (const auto self = weak.lock()) self->socket_ended(status);
            },
        .on_written =
            [weak] {
              if (const auto self = weak.lock()) self->written();
            },
        .on_closed =
            [weak] {
              if (const auto self = weak.lock()) self->socket_closed();
            },
    });
    deadline.emplace(loop);
    deadline->start(limit, [this, weak, limit] {
      const auto self = weak.lock();
      too_slow = true;
      handshake_over(fail("no TLS handshake within " + std::to_string(limit.count()) +
                          " ms: is the other side speaking TLS?"));
    });
    send_output();
    socket.start_reading();
  }

  void handshake_over(std::expected<void, Error> result) {
    deadline.reset();
    socket.stop_reading();
    if (result) {
      phase = Phase::kOpen;
      peer.names = engine.peer_names();
      peer.serial = engine.peer_serial();
      if (slot) slot->is_now(&Census::streams);
    } else {
      phase = Phase::kClosing;
      if (slot && !slot->may_say_goodbye()) {
        socket.abort();
      } else {
        if (slot) slot->is_now(&Census::goodbyes);
        socket.finish();  // the alert that tells the peer why is on its way
      }
    }
    const auto done = std::exchange(on_handshake, nullptr);
    if (done) done(std::move(result));
  }

  // Ends a handshake at once, without a word to the peer.
  void give_way(std::string why) {
    deadline.reset();
    gave_way = true;
    phase = Phase::kClosing;
    socket.abort();
    const auto done = std::exchange(on_handshake, nullptr);
    if (done) done(fail(std::move(why)));
  }

  void cipher_arrived(std::span<const std::byte> bytes) {
    const auto fed = engine.feed(bytes);
    if (phase == Phase::kHandshake) {
      send_output();
      if (!fed) {
        handshake_over(fed);
      } else if (engine.handshake_done()) {
        handshake_over({});
      }
      return;
    }
    if (!fed) return peer_ended(fed.error().message);
    pump();
  }

  // Hands over what can be decrypted, until it is used up or somebody pauses or closes.
  void pump() {
    // Shared by all streams of the thread: on_data is never called from inside on_data.
    thread_local std::array<std::byte, kReadBytes> buffer;
    while (phase == Phase::kOpen && attached && !paused) {
      const auto count = engine.read(buffer);
      if (!count) return peer_ended(count.error().message);
      if (*count == 0) {
        send_answers();
        if (engine.peer_closed()) peer_ended("the peer closed the connection");
        return;
      }
      if (events.on_data) events.on_data(std::span(buffer).first(*count));
    }
  }

  void pump_later() {
    if (std::exchange(pump_is_due, true)) return;
    loop.post([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->pump_is_due = false;
      self->pump();
    });
  }

  void write(std::string bytes) {
    if (phase != Phase::kOpen || bytes.empty()) return;
    if (plain.empty()) {
      plain = std::move(bytes);
    } else {
      plain += bytes;
    }
    if (plain.size() >= kCoalesceBytes) return flush();
    if (std::exchange(flush_is_due, true)) return;
    loop.at_turn_end([weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->flush_is_due = false;
      self->flush();
    });
  }

  void flush() {
    if (phase != Phase::kOpen || plain.empty()) return;
    const std::string bytes = std::exchange(plain, {});
    // By pieces: what TLS once needed for its output it keeps for as long as the connection lives.
    for (std::string_view left = bytes; !left.empty();) {
      const auto sent = engine.write(left.substr(0, kCoalesceBytes));
      send_output();
      if (!sent) return peer_ended(sent.error().message);
      left.remove_prefix(std::min(left.size(), kCoalesceBytes));
    }
  }

  void send_output() { socket.write(engine.take_output()); }

  // A key update may want an answer; whoever writes does not see it in what is pending.
  void send_answers() {
    std::string bytes = engine.take_output();
    answers += bytes.size();
    socket.write(std::move(bytes));
    if (answers > kMaxAnswers) peer_ended("the peer asks TLS for new keys without end");
  }

  void written() {
    if (phase == Phase::kOpen && attached && plain.empty() && events.on_drained) {
      events.on_drained();
    }
  }

  void close(std::string why) {
    if (phase != Phase::kOpen) return;
    flush();
    if (phase != Phase::kOpen) return;
    engine.close();
    send_output();
    phase = Phase::kClosing;
    reason = std::move(why);
    socket.finish();
  }

  void peer_ended(std::string why) {
    if (phase != Phase::kOpen) return;
    engine.close();
    send_output();  // our close_notify, or an alert that says what we did not like
    phase = Phase::kClosing;
    reason = std::move(why);
    socket.finish();
  }

  void socket_ended(int status) {
    if (phase == Phase::kHandshake) {
      handshake_over(fail(end_text(status, " during the TLS handshake")));
    } else {
      // A proper end starts with a close_notify, which pump() would have seen.
      peer_ended(end_text(status, " without a TLS goodbye"));
    }
  }

  void socket_closed() {
    phase = Phase::kClosed;
    tell_closed();
  }

  void tell_closed() {
    if (!attached) return;
    const auto last = std::exchange(events, {});
    if (last.on_closed) last.on_closed(reason);
  }
};

TlsStream::TlsStream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

TlsStream::~TlsStream() {
  impl_->attached = false;
  // A running callback may keep the rest alive until it returns; the connection ends now.
  if (impl_->phase == Impl::Phase::kOpen) {
    impl_->phase = Impl::Phase::kClosing;
    impl_->socket.abort();
  }
}

void TlsStream::start(StreamEvents events) {
  impl_->events = std::move(events);
  impl_->attached = true;
  if (impl_->phase == Impl::Phase::kClosed) {
    impl_->loop.post([weak = std::weak_ptr(impl_)] {
      if (const auto stream = weak.lock()) stream->tell_closed();
    });
  }
  resume_reading();
}

void TlsStream::write(std::string bytes) {
  impl_->write(std::move(bytes));
}

std::size_t TlsStream::pending_bytes() const {
  return impl_->plain.size() + impl_->socket.queued_bytes();
}

void TlsStream::pause_reading() {
  impl_->paused = true;
  impl_->socket.stop_reading();
}

void TlsStream::resume_reading() {
  if (impl_->phase != Impl::Phase::kOpen) return;
  impl_->paused = false;
  impl_->pump_later();  // for what is decrypted by now but was not wanted
  impl_->socket.start_reading();
}

void TlsStream::close(std::string reason) {
  impl_->close(std::move(reason));
}

const Peer& TlsStream::peer() const {
  return impl_->peer;
}

std::expected<void, Error> TlsStream::check_peer(const TlsContext& context) const {
  return impl_->engine.check_peer(context);
}

// ---- listener

struct TlsListener::Impl {
  Impl(Loop& owner, TlsContext tls, Options chosen, Events wanted)
      : loop(owner),
        context(std::move(tls)),
        options(std::move(chosen)),
        events(std::move(wanted)),
        census(std::make_shared<Census>()) {
    census->max_goodbyes = options.max_handshakes;
  }

  Loop& loop;
  TlsContext context;
  Options options;
  Events events;
  uv_tcp_t handle;
  std::shared_ptr<Impl> self;  // until the handle is closed
  bool attached = true;
  std::map<std::uint64_t, std::shared_ptr<TlsStream::Impl>> handshakes;  // oldest first
  std::uint64_t last_handshake = 0;
  std::shared_ptr<Census> census;
  Counters counters;

  void close() {
    attached = false;
    handshakes.clear();
    uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* closed) {
      const auto last = std::exchange(static_cast<Impl*>(closed->data)->self, nullptr);
    });
  }

  void refuse(const std::string& address, const std::string& reason) {
    if (attached && events.on_refused) events.on_refused(address, reason);
  }

  void connection_waits(int status) {
    if (!attached) return;
    if (status < 0) {
      return refuse(
          "", std::string("a connection could not be accepted (") + uv_strerror(status) + ")");
    }
    auto stream = std::make_shared<TlsStream::Impl>(loop, context, "");
    const int accepted = stream->socket.accept_from(reinterpret_cast<uv_stream_t*>(&handle));
    if (accepted != 0) {
      return refuse(
          "", std::string("a connection could not be accepted (") + uv_strerror(accepted) + ")");
    }
    const std::string address = stream->socket.peer_address();
    const std::string host = address.substr(0, address.rfind(':'));
    if (census->streams >= options.max_connections) {
      ++counters.over_limit;
      return refuse(address, "there are " + std::to_string(census->streams) +
                                 " connections, which is the limit");
    }
    const auto of_host = census->by_host.find(host);
    if (options.max_per_address > 0 && of_host != census->by_host.end() &&
        of_host->second >= options.max_per_address) {
      ++counters.over_address;
      return refuse(address, "there are " + std::to_string(of_host->second) +
                                 " connections from this address, which is the limit");
    }
    if (handshakes.size() >= options.max_handshakes) {
      const auto keep = self;
      handshakes.begin()->second->give_way(
          "its TLS handshake gave way to a newer one: " + std::to_string(handshakes.size()) +
          " are under way, which is the limit");
      if (!attached) return;
    }
    stream->slot = std::make_shared<Slot>(census, host);
    stream->socket.hold(stream->slot);
    const std::uint64_t number = ++last_handshake;
    handshakes.emplace(number, stream);
    stream->handshake(options.handshake_deadline,
                      [this, number](std::expected<void, Error> result) {
                        handshake_over(number, std::move(result));
                      });
  }

  void handshake_over(std::uint64_t number, std::expected<void, Error> result) {
    const auto keep = self;
    const auto node = handshakes.extract(number);
    const auto& stream = node.mapped();
    if (!result) {
      ++(stream->too_slow   ? counters.too_slow
         : stream->gave_way ? counters.gave_way
                            : counters.failed);
      return refuse(stream->peer.address, result.error().message);
    }
    // It began with the certificates of then; whoever was revoked since is not let in.
    if (const auto good = stream->engine.check_peer(context); !good) {
      ++counters.failed;
      stream->close(good.error().message);
      return refuse(stream->peer.address, good.error().message);
    }
    if (census->streams > options.max_connections) {  // since it was let in
      ++counters.over_limit;
      return refuse(stream->peer.address, "there are " + std::to_string(census->streams - 1) +
                                              " connections, which is the limit");
    }
    ++counters.accepted;
    auto ready = std::make_unique<TlsStream>(stream);
    if (attached && events.on_accepted) events.on_accepted(std::move(ready));
  }
};

TlsListener::TlsListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

TlsListener::~TlsListener() {
  impl_->close();
}

std::expected<std::unique_ptr<TlsListener>, Error> TlsListener::listen(Loop& loop,
                                                                       TlsContext context,
                                                                       const Options& options,
                                                                       Events events) {
  sockaddr_storage storage{};
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (uv_ip4_addr(options.address.c_str(), options.port,
                  reinterpret_cast<sockaddr_in*>(&storage)) != 0 &&
      uv_ip6_addr(options.address.c_str(), options.port,
                  reinterpret_cast<sockaddr_in6*>(&storage)) != 0) {
    return fail("cannot listen on \"" + options.address +
                "\": an IPv4 or IPv6 address is needed, such as 0.0.0.0 or ::");
  }
  auto impl = std::make_shared<Impl>(loop, std::move(context), options, std::move(events));
  uv_tcp_init(loop.uv(), &impl->handle);
  impl->handle.data = impl.get();
  impl->self = impl;
  // Owns the handle from here on, also when something fails below.
  std::unique_ptr<TlsListener> listener(new TlsListener(impl));

  int status = uv_tcp_bind(&impl->handle, address, 0);
  if (status == 0) {
    status = uv_listen(reinterpret_cast<uv_stream_t*>(&impl->handle), kBacklog,
                       [](uv_stream_t* handle, int result) {
                         static_cast<Impl*>(handle->data)->connection_waits(result);
                       });
  }
  if (status != 0) {
    std::string advice;
    if (status == UV_EADDRINUSE) advice = ": another program has this port";
    if (status == UV_EADDRNOTAVAIL) advice = ": this machine does not have this address";
    if (status == UV_EACCES) advice = ": ports below 1024 need a privilege";
    return fail("cannot listen on " + address_text(address) + " (" + uv_strerror(status) + ")" +
                advice);
  }
  return listener;
}

std::uint16_t TlsListener::port() const {
  sockaddr_storage storage{};
  int size = sizeof storage;
  if (uv_tcp_getsockname(&impl_->handle, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return 0;
  }
  // Both families keep the port in the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

const TlsListener::Counters& TlsListener::counters() const {
  return impl_->counters;
}

void TlsListener::set_context(TlsContext context) {
  impl_->context = std::move(context);
}

// ---- connector

struct TlsConnector::Attempt : std::enable_shared_from_this<TlsConnector::Attempt> {
  struct Lookup {
    uv_getaddrinfo_t request;
    std::weak_ptr<Attempt> attempt;
  };

  Attempt(Loop& owner, TlsContext tls, Target wanted, Done callback)
      : loop(owner),
        context(std::move(tls)),
        target(std::move(wanted)),
        done(std::move(callback)),
        deadline(owner) {}

  ~Attempt() {
    // May be too late, or running already; its callback comes in any case and frees it.
    if (lookup != nullptr) uv_cancel(reinterpret_cast<uv_req_t*>(&lookup->request));
  }

  Loop& loop;
  TlsContext context;
  Target target;
  Done done;
  Timer deadline;  // for the whole attempt, then for each address
  Lookup* lookup = nullptr;
  std::vector<sockaddr_storage> addresses;
  std::size_t next = 0;
  std::uint64_t ends_at_ms = 0;
  std::string failures;
  std::shared_ptr<TlsStream::Impl> stream;

  std::string where() const { return target.host + ":" + std::to_string(target.port); }

  std::chrono::milliseconds time_left() const {
    const std::uint64_t now_ms = uv_now(loop.uv());
    return std::chrono::milliseconds(ends_at_ms > now_ms ? ends_at_ms - now_ms : 0);
  }

  void begin() {
    target.deadline = std::max(target.deadline, std::chrono::milliseconds(1));
    uv_update_time(loop.uv());
    ends_at_ms = uv_now(loop.uv()) + static_cast<std::uint64_t>(target.deadline.count());
    deadline.start(target.deadline, [this] {
      finish(fail("cannot reach " + where() + ": its name was not looked up within " +
                  std::to_string(target.deadline.count()) + " ms: check the name servers"));
    });
    lookup = new Lookup{{}, weak_from_this()};
    lookup->request.data = lookup;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const int status = uv_getaddrinfo(
        loop.uv(), &lookup->request,
        [](uv_getaddrinfo_t* request, int result, addrinfo* found) {
          const std::unique_ptr<Lookup> owned(static_cast<Lookup*>(request->data));
          if (const auto attempt = owned->attempt.lock()) {
            attempt->lookup = nullptr;
            attempt->looked_up(result, found);
          }
          uv_freeaddrinfo(found);
        },
        target.host.c_str(), std::to_string(target.port).c_str(), &hints);
    if (status != 0) {
      delete std::exchange(lookup, nullptr);
      loop.post([weak = weak_from_this(), status] {
        if (const auto attempt = weak.lock()) attempt->looked_up(status, nullptr);
      });
    }
  }

  void looked_up(int status, const addrinfo* found) {
    if (!done) return;  // too late
    if (status != 0) {
      return finish(fail("cannot look up " + target.host + " (" + uv_strerror(status) +
                         "): check the name in the configuration, and DNS"));
    }
    for (; found != nullptr; found = found->ai_next) {
      if (found->ai_family != AF_INET && found->ai_family != AF_INET6) continue;
      sockaddr_storage& address = addresses.emplace_back();
      const auto* bytes = reinterpret_cast<const std::byte*>(found->ai_addr);
      std::copy_n(bytes, std::min<std::size_t>(found->ai_addrlen, sizeof address),
                  reinterpret_cast<std::byte*>(&address));
    }
    try_next();
  }

  void try_next() {
    stream.reset();
    const auto left = time_left();
    if (next == addresses.size() || left.count() == 0) {
      if (failures.empty())
        failures = addresses.empty() ? "it has no usable address"
                                     : "the lookup of its name left no time within " +
                                           std::to_string(target.deadline.count()) + " ms";
      return finish(fail("cannot reach " + where() + ": " + failures));
    }
    const auto* address = reinterpret_cast<const sockaddr*>(&addresses[next]);
    const auto share =
        std::max(left / static_cast<int>(addresses.size() - next), std::chrono::milliseconds(1));
    const std::string text = address_text(address);
    ++next;
    stream = std::make_shared<TlsStream::Impl>(loop, context, target.expected_name);
    deadline.start(share, [this, text, share] {
      failed(text, "no connection within " + std::to_string(share.count()) + " ms");
    });
    stream->socket.connect(address, [this, text](int status) {
      const auto keep = shared_from_this();
      if (status != 0) return failed(text, uv_strerror(status));
      stream->handshake(std::max(time_left(), std::chrono::milliseconds(1)),
                        [this, text](std::expected<void, Error> result) {
                          handshake_over(text, std::move(result));
                        });
    });
  }

  void handshake_over(const std::string& address, std::expected<void, Error> result) {
    const auto keep = shared_from_this();
    if (!result) return failed(address, result.error().message);
    finish(std::make_unique<TlsStream>(stream));
  }

  void failed(const std::string& address, const std::string& why) {
    const auto keep = shared_from_this();
    if (!failures.empty()) failures += "; ";
    failures += address + " " + why;
    try_next();
  }

  void finish(std::expected<std::unique_ptr<TlsStream>, Error> result) {
    const auto keep = shared_from_this();
    deadline.stop();
    stream.reset();
    const auto callback = std::exchange(done, nullptr);
    if (callback) callback(std::move(result));
  }
};

TlsConnector::TlsConnector(Loop& loop, TlsContext context)
    : loop_(loop), context_(std::move(context)) {}

TlsConnector::~TlsConnector() {
  cancel();
}

void TlsConnector::connect(const Target& target, Done done) {
  cancel();
  attempt_ = std::make_shared<Attempt>(loop_, context_, target, std::move(done));
  attempt_->begin();
}

void TlsConnector::cancel() {
  if (!attempt_) return;
  attempt_->done = nullptr;
  attempt_.reset();
}

void TlsConnector::set_context(TlsContext context) {
  context_ = std::move(context);
  if (!attempt_ || !attempt_->done) return;
  const Target target = attempt_->target;
  connect(target, std::exchange(attempt_->done, nullptr));
}

}  // namespace rollcall::net
