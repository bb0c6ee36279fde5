#pragma once
// The daemons' side of the drivers' ports: the disk thread and TLS. Loop thread only; commits run
// on the disk thread.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/disk_thread.h"
#include "app/master_driver.h"
#include "app/sidecar_driver.h"
#include "net/loop.h"
#include "net/tls_stream.h"
#include "persist/event_log.h"
#include "persist/log_retention.h"
#include "persist/session_store.h"

namespace rollcall::app {

void log_note(const Note& note);

// What tells this machine from a clone of it: /etc/machine-id, else the host name.
std::string machine_id();

class DiskStore final : public SidecarDriver::Store {
 public:
  DiskStore(net::Loop& loop, DiskThread& disk, persist::SessionStore& store)
      : loop_(loop), disk_(disk), store_(store) {}
  void commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) override;
  // How long commits took on the disk thread, those that failed too.
  const DurationCounts& times() const { return times_; }

 private:
  net::Loop& loop_;
  DiskThread& disk_;
  persist::SessionStore& store_;
  DurationCounts times_;
};

// Snapshots are made on a thread of their own, so that nothing that is to be acked waits for one.
// After each, what `retention` does not keep is removed.
class DiskLog final : public MasterDriver::Log {
 public:
  DiskLog(net::Loop& loop, DiskThread& disk, persist::EventLog& log,
          const persist::Retention& retention)
      : loop_(loop), disk_(disk), log_(log), retention_(retention) {}
  void append(std::vector<std::string> records, Snapshot snapshot, Done done) override;
  // How long it took on the disk thread until they were durable, or could not be.
  const DurationCounts& times() const { return times_; }
  void stop() { snapshots_.stop(); }  // after the disk thread: waits for the snapshot under way

 private:
  void write_snapshot(std::uint64_t upto_index, Snapshot snapshot);
  void retain();  // snapshots' thread

  net::Loop& loop_;
  DiskThread& disk_;
  persist::EventLog& log_;
  const persist::Retention retention_;
  bool over_budget_ = false;  // snapshots' thread
  DurationCounts times_;
  DiskThread snapshots_{1};
};

// The connection to the master; its addresses are tried in turn.
class TlsLink final : public SidecarDriver::Link {
 public:
  TlsLink(net::Loop& loop, const net::TlsContext& context, std::vector<Address> masters,
          std::string expected_name);
  void attach(SidecarDriver& driver) { driver_ = &driver; }
  void connect() override;
  void send(std::string bytes) override;
  void close(const std::string& reason) override;
  // From now on these certificates; the connection is made anew if it hangs on others.
  void use(net::TlsContext context);
  void stop();  // drops the connection; no callback comes any more

 private:
  net::TlsConnector connector_;
  std::string own_serial_;
  std::vector<Address> masters_;
  std::size_t next_ = 0;
  std::string expected_name_;
  SidecarDriver* driver_ = nullptr;
  std::unique_ptr<net::TlsStream> stream_;
};

// The workers' connections.
class TlsLinks final : public MasterDriver::Links {
 public:
  // Above this many bytes that a worker does not take, it is cut off: it will connect again.
  static constexpr std::size_t kMaxUnsent = 8u << 20;

  void attach(MasterDriver& driver) { driver_ = &driver; }
  void accepted(std::unique_ptr<net::TlsStream> stream);
  void send(master::ConnId conn, std::string bytes) override;
  void close(master::ConnId conn, const std::string& reason) override;
  void pause_reading(bool paused) override;
  // Ends the connections of those whom `context` would not let in.
  void use(const net::TlsContext& context);
  void close_all(const std::string& reason);
  void stop();

 private:
  MasterDriver* driver_ = nullptr;
  std::map<master::ConnId, std::unique_ptr<net::TlsStream>> streams_;
  std::set<master::ConnId> cut_;  // of these, closed for what they did not take
  std::uint64_t last_ = 0;
  bool paused_ = false;
};

}  // namespace rollcall::app
