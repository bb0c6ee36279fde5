#pragma once
// The socket of an events source (docs/events.md): agent servers connect, write lines, and get each
// answered when it is durable. Loop thread only.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/clock.h"
#include "net/loop.h"
#include "net/unix_stream.h"
#include "protocol/note.h"
#include "sidecar/source/event_lines.h"

namespace rollcall::sidecar {

class EventSocket {
 public:
  struct Options {
    std::string path;
    unsigned mode = 0660;
    std::size_t connections = 16;
    std::size_t line_bytes = kDefaultEventLine;
    std::size_t waiting = 5'000;  // lines that are not durable yet; above it nothing is read
  };
  // Who takes the observations: the sidecar's driver.
  class Sink {
   public:
    virtual ~Sink() = default;
    // The ticket with which all of them are stored; then stored() is called, never from in here.
    virtual std::uint64_t observe(const std::vector<Observation>& batch) = 0;
    virtual std::uint64_t stored_through() const = 0;
    virtual void store_now() = 0;
    virtual bool full() const = 0;  // it cannot take more for now
    virtual void watch(bool there) = 0;
  };
  struct Status {
    std::size_t connections = 0;
    std::size_t waiting = 0;  // lines
    bool paused = false;
    std::uint64_t lines = 0, refused = 0;
    std::string last_refusal;
  };
  using Notes = std::function<void(const Note&)>;

  EventSocket(net::Loop& loop, app::Clock& clock, Options options, Sink& sink, Notes notes);
  ~EventSocket();
  EventSocket(const EventSocket&) = delete;
  EventSocket& operator=(const EventSocket&) = delete;

  // Replaces a socket that nobody listens on any more. The error says what is in the way.
  std::expected<void, Error> start();
  // Cuts all connections and removes the socket.
  void stop();

  void stored(std::uint64_t ticket);
  Status status() const;

 private:
  struct Waiting {
    std::uint64_t ticket = 0;
    EventBatch batch;  // without its observations
  };
  struct Client {
    Client(EventParser& parser, std::size_t longest) : lines(parser, longest) {}
    std::uint64_t number = 0;
    std::unique_ptr<net::UnixStream> stream;
    EventLines lines;
    std::deque<Waiting> waiting;
    bool ended = false;  // the other side has said all
  };
  static constexpr std::size_t kMaxUnread = 1u << 20;  // bytes of answers
  static constexpr int kToldWhy = 4;                   // of those turned away between two ticks
  static constexpr std::int64_t kClockSetUs = 50'000;

  void accepted(std::unique_ptr<net::UnixStream> stream);
  void received(Client& client, std::span<const std::byte> bytes);
  void ended(Client& client);
  void closed(Client& client, const std::string& reason);
  void hand_over_later();
  void hand_over();
  void hand_over(Client& client);
  void answer(Client& client);
  void tick();
  Now now();
  bool congested() const;
  void regulate();
  void note(NoteLevel level, std::string text, std::string why = {});

  net::Loop& loop_;
  app::Clock& clock_;
  Options options_;
  Sink& sink_;
  Notes notes_;
  EventParser parser_;
  std::unique_ptr<net::UnixListener> listener_;
  std::vector<std::unique_ptr<Client>> clients_;
  net::Timer timer_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  bool hand_over_planned_ = false;
  bool paused_ = false;
  std::size_t waiting_ = 0;                    // lines of all clients, read and not answered
  int turned_away_ = 0;                        // since the last tick
  std::optional<std::int64_t> wall_ahead_us_;  // of the boot clock
  std::uint64_t last_client_ = 0;
  Status counters_;
};

}  // namespace rollcall::sidecar
