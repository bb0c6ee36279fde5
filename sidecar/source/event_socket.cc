#include "sidecar/source/event_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>

namespace rollcall::sidecar {
namespace {

constexpr std::chrono::milliseconds kTick(200);

// True if a program listens there. The path was checked to fit.
bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  const bool refused =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno == ECONNREFUSED;
  ::close(fd);
  return !refused;
}

// A sidecar that was killed leaves its socket behind. Nothing else is removed.
std::expected<void, Error> remove_stale_socket(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode)) {
    return fail(path + " is no socket: remove it, or choose another events_socket");
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) return {};  // the listener says so
  if (somebody_listens(path)) {
    return fail("another program listens on " + path +
                ": stop it, or choose another events_socket");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail("cannot remove the old socket " + path + " (" + std::strerror(errno) + ")");
  }
  return {};
}

}  // namespace

EventSocket::EventSocket(net::Loop& loop, app::Clock& clock, Options options, Sink& sink,
                         Notes notes)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      sink_(sink),
      notes_(std::move(notes)),
      timer_(loop) {}

EventSocket::~EventSocket() = default;

std::expected<void, Error> EventSocket::start() {
  if (auto free = remove_stale_socket(options_.path); !free) return free;
  auto listener = net::UnixListener::listen(
      loop_, options_.path, options_.mode,
      [this](std::unique_ptr<net::UnixStream> stream) { accepted(std::move(stream)); });
  if (!listener) return std::unexpected(listener.error());
  listener_ = std::move(*listener);
  timer_.repeat(kTick, [this] { tick(); });
  return {};
}

void EventSocket::stop() {
  timer_.stop();
  listener_.reset();
  clients_.clear();
  waiting_ = 0;
}

void EventSocket::note(NoteLevel level, std::string text, std::string why) {
  Note n{level, std::move(text), {}};
  if (!why.empty()) n.fields.emplace_back("why", std::move(why));
  notes_(n);
}

void EventSocket::accepted(std::unique_ptr<net::UnixStream> stream) {
  if (clients_.size() >= options_.connections) {
    if (++turned_away_ > kToldWhy) return;  // each that is told lingers for a moment
    const std::string why =
        "too many connections; allowed are " + std::to_string(options_.connections);
    stream->start({});
    stream->write("{\"refused\":\"" + why + "\"}\n");
    stream->close(why);
    return note(NoteLevel::warning, "an events source was turned away", why);
  }
  auto client = std::make_unique<Client>(parser_, options_.line_bytes);
  Client& c = *client;
  c.number = ++last_client_;
  c.stream = std::move(stream);
  clients_.push_back(std::move(client));
  c.stream->start({
      .on_data = [this, &c](std::span<const std::byte> bytes) { received(c, bytes); },
      .on_closed = [this, &c](const std::string& reason) { closed(c, reason); },
      .on_drained = [this] { regulate(); },
      .on_end = [this, &c] { ended(c); },
  });
  if (paused_) c.stream->pause_reading();
  note(NoteLevel::debug, "an events source connected");
}

void EventSocket::received(Client& client, std::span<const std::byte> bytes) {
  const std::uint64_t before = client.lines.batch().lines();
  client.lines.read(bytes, now());
  waiting_ += client.lines.batch().lines() - before;
  hand_over_later();
  if (congested()) regulate();
}

void EventSocket::ended(Client& client) {
  const std::uint64_t before = client.lines.batch().lines();
  client.lines.end(now());
  waiting_ += client.lines.batch().lines() - before;
  client.ended = true;
  hand_over_later();
}

void EventSocket::closed(Client& client, const std::string& reason) {
  // What it told is as true as before; only nobody waits for the answers.
  hand_over(client);
  for (const Waiting& w : client.waiting) waiting_ -= w.batch.lines();
  note(NoteLevel::debug, "an events source left", reason);
  std::erase_if(clients_, [&](const auto& c) { return c.get() == &client; });
}

// At the end of the loop's turn, so that all that one turn reads is one batch.
void EventSocket::hand_over_later() {
  if (std::exchange(hand_over_planned_, true)) return;
  loop_.at_turn_end([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    hand_over_planned_ = false;
    hand_over();
  });
}

void EventSocket::hand_over() {
  bool last = false;
  for (const auto& client : clients_) {
    hand_over(*client);
    last = last || (client->ended && !client->waiting.empty());
  }
  // Nobody waits longer than a commit for the answers to its last lines, or to read on.
  if (last || congested()) sink_.store_now();
  for (const auto& client : clients_) answer(*client);
  regulate();
}

void EventSocket::hand_over(Client& client) {
  if (client.lines.batch().lines() == 0) return;
  Waiting w;
  w.batch = client.lines.take();
  const std::vector<Observation> observations = std::exchange(w.batch.observations, {});
  if (!observations.empty()) w.ticket = sink_.observe(observations);
  counters_.lines += w.batch.lines();
  counters_.refused += w.batch.refused.size();
  if (!w.batch.refused.empty()) counters_.last_refusal = w.batch.refused.back().why;
  client.waiting.push_back(std::move(w));
}

void EventSocket::answer(Client& client) {
  const std::uint64_t stored = sink_.stored_through();
  EventBatch all;  // so that ranges span batches
  while (!client.waiting.empty() && client.waiting.front().ticket <= stored) {
    EventBatch& next = client.waiting.front().batch;
    waiting_ -= next.lines();
    if (all.lines() == 0) all.first = next.first;
    all.last = next.last;
    std::ranges::move(next.refused, std::back_inserter(all.refused));
    client.waiting.pop_front();
  }
  if (all.lines() > 0) client.stream->write(answers_to(all));
  if (client.ended && client.waiting.empty() && client.lines.batch().lines() == 0)
    client.stream->close("it ended, and all is answered");
}

void EventSocket::stored(std::uint64_t) {
  for (const auto& client : clients_) answer(*client);
  regulate();
}

void EventSocket::tick() {
  turned_away_ = 0;
  regulate();
  // While this side does not read, nobody's silence says anything.
  const bool reading = !paused_ && std::ranges::none_of(clients_, [](const auto& c) {
    return c->stream->pending_bytes() > kMaxUnread;
  });
  sink_.watch(!clients_.empty() && reading);
}

// With one difference between its clocks for as long as the wall clock is not set: the same at_us
// is the same moment each time.
Now EventSocket::now() {
  Now now = clock_.now();
  const std::int64_t ahead = now.wall_us - now.boot_us;
  if (!wall_ahead_us_ || std::abs(ahead - *wall_ahead_us_) > kClockSetUs) wall_ahead_us_ = ahead;
  now.wall_us = now.boot_us + *wall_ahead_us_;
  return now;
}

bool EventSocket::congested() const {
  return waiting_ >= (paused_ ? (options_.waiting + 1) / 2 : options_.waiting) || sink_.full();
}

void EventSocket::regulate() {
  paused_ = congested();
  for (const auto& client : clients_) {
    if (paused_ || client->stream->pending_bytes() > kMaxUnread) {
      client->stream->pause_reading();
    } else {
      client->stream->resume_reading();
    }
  }
}

EventSocket::Status EventSocket::status() const {
  Status s = counters_;
  s.connections = clients_.size();
  s.waiting = waiting_;
  s.paused = paused_;
  return s;
}

}  // namespace rollcall::sidecar
