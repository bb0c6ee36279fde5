#pragma once
// Carries out what a MasterCore orders, against a log, the workers' links and a clock. The daemon
// and the simulator use this same driver and exchange those.
//
// Loop thread only. The ports answer later, never from inside a call of the driver.
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/ack_times.h"
#include "app/clock.h"
#include "master/core/master_core.h"
#include "persist/event_log.h"
#include "protocol/framing.h"
#include "protocol/note.h"

namespace rollcall::app {

// Reads a log into the state that it is the fold of: from its snapshot if it has one. `history` and
// `feed`, if given, get the decisions that are read on the way, and what became of agents by them.
std::expected<master::State, Error> fold_log(const persist::EventLog& log,
                                             const persist::LogRecovery& recovery,
                                             master::History* history = nullptr,
                                             master::Feed* feed = nullptr);

// Whether a snapshot is there, whole, and one that a master can begin with.
std::expected<void, Error> check_snapshot(const persist::EventLog& log, std::uint64_t upto_index);

class MasterDriver {
 public:
  class Log {
   public:
    virtual ~Log() = default;
    using Done = std::function<void(std::expected<void, Error>)>;
    // Durable, then `done`, on the loop thread. `snapshot`, if there is one, gives the bytes of the
    // state after the last of these records, on any thread, and takes its time; they are to be
    // written after the records. `done` need not wait for it, and failing to is only reported.
    using Snapshot = std::function<std::string()>;
    virtual void append(std::vector<std::string> records, Snapshot snapshot, Done done) = 0;
  };
  class Links {
   public:
    virtual ~Links() = default;
    virtual void send(master::ConnId conn, std::string bytes) = 0;
    virtual void close(master::ConnId conn, const std::string& reason) = 0;  // then link_closed()
    virtual void pause_reading(bool paused) = 0;                             // of all
  };
  using Notes = std::function<void(const Note&)>;
  struct Options {
    std::uint64_t snapshot_every = 100'000;  // records
    std::uint64_t since_snapshot = 0;        // records that the log holds behind its newest one
    std::uint64_t snapshot_every_bytes = std::uint64_t{1} << 40;
  };

  MasterDriver(master::MasterCore::Config config, Options options, master::State state,
               std::string may_have_lost, std::uint64_t seed, Clock& clock, Log& log, Links& links,
               Notes notes);

  // Before start(). As long as `wanted`, each decision is told in a note of its own.
  void tell_each(std::function<bool()> wanted) { each_wanted_ = std::move(wanted); }
  void remember(master::History history) { core_.remember(std::move(history)); }
  void remember(master::Feed feed) { core_.remember(std::move(feed)); }
  void start();
  void stop();
  bool ready() const { return core_.ready(); }

  void link_accepted(master::ConnId conn, std::vector<std::string> peer_names, std::string address);
  void link_received(master::ConnId conn, std::string_view bytes);
  void link_closed(master::ConnId conn);
  void tick();  // a few times a second

  // Carries out what an operator's `change` orders, and calls `done` once everything that it put
  // into the log is on the disk (as long as the disk refuses, not at all), or with its error.
  using Change =
      std::function<std::expected<master::Output, Error>(master::MasterCore&, const Now&)>;
  void change(const Change& change, std::function<void(std::expected<void, Error>)> done);

  // Tells agents something; `done` gets the report, within the command's timeout, or why it was not
  // begun. Not called once this has stopped.
  using CommandEnded = std::expected<master::CommandReportPtr, master::CommandRefused>;
  void command(master::CommandRequest request, std::function<void(CommandEnded)> done);

  master::MasterCore& core() { return core_; }
  const master::MasterCore& core() const { return core_; }
  const std::string& log_error() const { return log_error_; }
  // For people, since the start.
  struct Measured {
    struct OfNode {
      Traffic traffic;
      std::uint64_t acks = 0;
    };
    std::map<NodeName, OfNode> nodes;  // of those that said who they are
    DurationCounts ack_times;          // from receipt to the ACK, the disk's time included
  };
  const Measured& measured() const { return measured_; }

 private:
  struct Peer {
    FrameReader reader{kMaxFrame};
    AckTimes ack_times;
  };
  static constexpr std::int64_t kLogRetryUs = 1'000'000;

  void carry_out(master::Output out);
  void send(const master::Output::Send& one);
  void append(std::uint64_t ticket);
  void tell_decisions();
  void tell_durable();
  void tell(const master::CommandReportPtr& report);

  Clock& clock_;
  Log& log_;
  Links& links_;
  Notes notes_;
  std::function<bool()> each_wanted_;
  std::uint64_t told_ = 0;  // the number of the last decision that was looked at
  Options options_;
  master::MasterCore core_;
  std::map<master::ConnId, Peer> peers_;
  Measured measured_;
  bool stopped_ = false;
  bool paused_ = false;

  std::vector<std::string> appending_;  // kept until it is durable
  Log::Snapshot snapshot_;
  std::uint64_t appending_ticket_ = 0;
  std::uint64_t since_snapshot_;
  std::uint64_t bytes_since_snapshot_ = 0;
  // What a change put into the log is in the group under way or in the next one.
  struct WaitsForDisk {
    int groups = 2;
    std::function<void(std::expected<void, Error>)> done;
  };
  std::vector<WaitsForDisk> wait_for_disk_;
  std::multimap<CommandId, std::function<void(CommandEnded)>> wait_for_command_;
  std::optional<std::int64_t> retry_at_mono_us_;
  std::string log_error_;
};

}  // namespace rollcall::app
