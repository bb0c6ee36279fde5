#pragma once
// Carries out what a SidecarCore orders, against a store, a link, a source and a clock. The daemon
// and the simulator use this same driver and exchange those four.
//
// Loop thread only. The ports answer later, never from inside a call of the driver.
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/ack_times.h"
#include "app/clock.h"
#include "net/backoff.h"
#include "persist/session_store.h"
#include "protocol/framing.h"
#include "protocol/note.h"
#include "sidecar/core/sidecar_core.h"

namespace rollcall::app {

class SidecarDriver {
 public:
  // Where commits go: durable, then `done`, on the loop thread.
  class Store {
   public:
    virtual ~Store() = default;
    using Done = std::function<void(std::expected<void, Error>)>;
    virtual void commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) = 0;
  };
  // The connection to the master, one at a time; the shell calls link_*() below.
  class Link {
   public:
    virtual ~Link() = default;
    virtual void connect() = 0;  // then link_connected() or link_closed()
    virtual void send(std::string bytes) = 0;
    virtual void close(const std::string& reason) = 0;  // then link_closed()
  };
  class Source {
   public:
    virtual ~Source() = default;
    virtual void read_info(const std::vector<AgentId>& agents) = 0;  // then info_read() for each
    virtual void given_up(AgentId) {}                                // another worker has it
  };
  // Where datagrams to agents go.
  class Agents {
   public:
    virtual ~Agents() = default;
    // Tried for so long at most, then datagram_sent() with this number.
    virtual void send(std::uint64_t number, std::string datagram,
                      std::chrono::microseconds patience) = 0;
  };
  // What is said to agents through Wazuh.
  class AgentMessages {
   public:
    virtual ~AgentMessages() = default;
    virtual void force_reconnect(AgentId agent) = 0;  // then asked_to_move()
  };
  using Notes = std::function<void(const Note&)>;

  SidecarDriver(sidecar::SidecarCore::Config config, std::uint64_t seed, Clock& clock, Store& store,
                Link& link, Source& source, Notes notes);

  // Before start(). Without it agents are asked nothing.
  void attach(AgentMessages& messages) { messages_ = &messages; }
  // Before start(). As long as `wanted`, each event that is sent is told in a note of its own.
  void tell_each(std::function<bool()> wanted) { each_wanted_ = std::move(wanted); }
  // First call, with what the store holds.
  std::expected<void, Error> start(const persist::StoreContents& contents);
  void stop() { stopped_ = true; }  // no further order is carried out

  void look(const sidecar::Look& look);
  void look_failed(
      sidecar::SidecarCore::Manager manager = sidecar::SidecarCore::Manager::maybe_there);
  void info_read(AgentId agent, const AgentInfo& info);
  // For an events source; as in SidecarCore. Returns the ticket with which all of it is stored.
  std::uint64_t observe(const std::vector<sidecar::Observation>& batch);
  void store_now();
  void watch(bool there);
  // Called after each commit, with the ticket up to which all is durable.
  void on_stored(std::function<void(std::uint64_t)> tell) { on_stored_ = std::move(tell); }

  void set_manager_grace(std::int64_t us) { core_.set_manager_grace(us); }

  // Without it no agent can be told anything.
  void reach_agents(Agents& agents) { agents_ = &agents; }
  void datagram_sent(std::uint64_t number, const std::optional<std::string>& why_not);
  void asked_to_move(const std::optional<std::string>& why_not);

  void link_connected();
  void link_received(std::string_view bytes);
  void link_closed(const std::string& reason);

  // What kept the connection from being made may be mended: tried again at once.
  void connect_soon();

  // An operator empties this worker, or takes it back.
  std::expected<void, Error> drain(const sidecar::Drain& drain);
  std::expected<void, Error> undrain();
  // Calls `then` once the last of these is durable; now, if it is.
  void when_drain_is_stored(std::function<void()> then);
  // A planned stop: the master is told, and the connection ends. Before stop().
  void bye(ByeReason reason, std::int64_t back_within_us);

  // An operator asks what the master could ask: a full inventory, as soon as it may be sent.
  std::expected<void, Error> send_inventory();

  // A few times a second.
  void tick();

  const sidecar::SidecarCore& core() const { return core_; }
  // For people, since the start.
  struct Measured {
    Traffic traffic;
    std::uint64_t acks = 0;
    DurationCounts ack_times;  // from sending to the ACK
    DurationCounts looks;      // at the source
  };
  const Measured& measured() const { return measured_; }
  // Why nothing can be stored at present; empty if it can.
  const std::string& store_error() const { return store_error_; }
  const std::string& link_error() const { return link_error_; }

 private:
  enum class State { idle, connecting, connected };
  static constexpr std::int64_t kStoreRetryUs = 1'000'000;

  void carry_out(sidecar::Output out);
  void commit(std::uint64_t ticket, std::shared_ptr<const persist::StoreBatch> batch);
  void committed(std::uint64_t ticket, std::expected<void, Error> result);
  void close_link(const std::string& reason);
  void send(const std::vector<Message>& messages);
  void tell_each_of(const Delta& delta);

  Clock& clock_;
  Store& store_;
  Link& link_;
  Source& source_;
  Agents* agents_ = nullptr;
  AgentMessages* messages_ = nullptr;
  Notes notes_;
  std::function<bool()> each_wanted_;
  sidecar::SidecarCore core_;
  net::Backoff backoff_;
  FrameReader reader_;
  State state_ = State::idle;
  bool closing_ = false;
  bool stopped_ = false;
  std::int64_t connect_at_mono_us_ = 0;
  std::int64_t not_before_us_ = 0;

  // The batch that is being committed, kept until it is durable.
  std::shared_ptr<const persist::StoreBatch> committing_;
  std::uint64_t committing_ticket_ = 0;
  std::optional<std::int64_t> retry_at_mono_us_;
  std::function<void(std::uint64_t)> on_stored_;
  std::vector<std::function<void()>> drain_asked_;
  std::string store_error_;
  std::string link_error_;
  AckTimes ack_times_;
  Measured measured_;
};

}  // namespace rollcall::app
