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

#include "app/clock.h"
#include "master/core/master_core.h"
#include "persist/event_log.h"
#include "protocol/framing.h"
#include "protocol/note.h"

namespace rollcall::app {

// Reads a log into the state that it is the fold of: from its snapshot if it has one.
std::expected<master::State, Error> fold_log(const persist::EventLog& log,
                                             const persist::LogRecovery& recovery);

class MasterDriver {
 public:
  class Log {
   public:
    virtual ~Log() = default;
    using Done = std::function<void(std::expected<void, Error>)>;
    // Durable, then `done`, on the loop thread. `snapshot`, if not empty, is the state after the
    // last of these records; it is written after them, and failing to is only reported.
    virtual void append(std::vector<std::string> records, std::string snapshot, Done done) = 0;
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
  };

  MasterDriver(master::MasterCore::Config config, Options options, master::State state,
               std::string may_have_lost, std::uint64_t seed, Clock& clock, Log& log, Links& links,
               Notes notes);

  void start();
  void stop() { stopped_ = true; }
  bool ready() const { return core_.ready(); }

  void link_accepted(master::ConnId conn, std::vector<std::string> peer_names, std::string address);
  void link_received(master::ConnId conn, std::string_view bytes);
  void link_closed(master::ConnId conn);
  void tick();  // a few times a second

  master::MasterCore& core() { return core_; }
  const master::MasterCore& core() const { return core_; }
  const std::string& log_error() const { return log_error_; }

 private:
  static constexpr std::int64_t kLogRetryUs = 1'000'000;

  void carry_out(master::Output out);
  void append(std::uint64_t ticket);

  Clock& clock_;
  Log& log_;
  Links& links_;
  Notes notes_;
  Options options_;
  master::MasterCore core_;
  std::map<master::ConnId, FrameReader> readers_;
  bool stopped_ = false;
  bool paused_ = false;

  std::vector<std::string> appending_;  // kept until it is durable
  std::string snapshot_;
  std::uint64_t appending_ticket_ = 0;
  std::uint64_t since_snapshot_;
  std::optional<std::int64_t> retry_at_mono_us_;
  std::string log_error_;
};

}  // namespace rollcall::app
