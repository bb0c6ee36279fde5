#include "app/ports.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <span>
#include <utility>

#include "app/logging.h"

namespace rollcall::app {

namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::int64_t mono_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Jobs that the disk thread does not take can only mean a broken invariant: each driver has at most
// one commit under way.
void submit(DiskThread& disk, std::function<void()> job) {
  if (disk.submit(std::move(job)) == DiskThread::Submitted::Full) std::abort();
}

}  // namespace

void log_note(const Note& note) {
  const Level level = note.level == NoteLevel::debug     ? Level::Debug
                      : note.level == NoteLevel::info    ? Level::Info
                      : note.level == NoteLevel::warning ? Level::Warn
                                                         : Level::Error;
  std::vector<Field> fields;
  for (const auto& [k, v] : note.fields) fields.push_back({k, v});
  log(level, note.text, std::span<const Field>(fields));
}

std::string machine_id() {
  std::ifstream file("/etc/machine-id");
  std::string id;
  if (file >> id && !id.empty()) return id.substr(0, 64);
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return host;
}

void DiskStore::commit(std::shared_ptr<const persist::StoreBatch> batch, Done done) {
  submit(disk_, [this, batch = std::move(batch), done = std::move(done)] {
    const std::int64_t began_us = mono_us();
    auto result = store_.commit(*batch);
    loop_.post([this, done, result = std::move(result), took_us = mono_us() - began_us] {
      times_.add(took_us);
      done(result);
    });
  });
}

void DiskLog::append(std::vector<std::string> records, Snapshot snapshot, Done done) {
  submit(disk_, [this, records = std::move(records), snapshot = std::move(snapshot),
                 done = std::move(done)]() mutable {
    const std::int64_t began_us = mono_us();
    auto result = log_.append(records);
    const std::int64_t took_us = mono_us() - began_us;
    if (result && snapshot) write_snapshot(log_.next_index() - 1, std::move(snapshot));
    loop_.post([this, done, result = std::move(result), took_us] {
      times_.add(took_us);
      done(result);
    });
  });
}

void DiskLog::write_snapshot(std::uint64_t upto_index, Snapshot snapshot) {
  const auto taken = snapshots_.submit([this, upto_index, snapshot = std::move(snapshot)] {
    // Only a shortcut: the log has everything.
    if (auto written = log_.write_snapshot(upto_index, snapshot()); !written) {
      log(Level::Warn, "no snapshot could be written", {{"why", written.error().message}});
      return;
    }
    retain();
  });
  if (taken == DiskThread::Submitted::Full) {
    log(Level::Warn, "a snapshot is left out, for the one before is not written yet");
  }
}

void DiskLog::retain() {
  const auto plan =
      persist::plan_retention(log_.files(), retention_, std::chrono::system_clock::now());
  const bool over_budget = plan.left_bytes > retention_.bytes;
  if (over_budget && !over_budget_) {
    log(Level::Warn,
        "the log is larger than [store] max_size allows, and the rest of it is needed: give it "
        "more, or make snapshots more often",
        {{"bytes", std::to_string(plan.left_bytes)},
         {"max_size", std::to_string(retention_.bytes)}});
  }
  over_budget_ = over_budget;
  if (plan.keep_from == 0) return;
  if (auto good = check_snapshot(log_, plan.head); !good) {
    log(Level::Error, "no old part of the log is removed: the snapshot that stands for it is bad",
        {{"why", good.error().message}});
    return;
  }
  // Removing is the writer's business. A master that stops meanwhile removes it another time.
  [[maybe_unused]] const auto submitted = disk_.submit([this, plan] {
    if (auto removed = log_.remove_segments_before(plan.keep_from); !removed) {
      log(Level::Warn, "an old part of the log could not be removed",
          {{"why", removed.error().message}});
      return;
    }
    log(Level::Info, "an old part of the log was removed",
        {{"records", std::to_string(plan.first_index) + "-" + std::to_string(plan.keep_from - 1)},
         {"segments", std::to_string(plan.segments)},
         {"bytes", std::to_string(plan.bytes)},
         {"snapshot", std::to_string(plan.head)},
         {"left_bytes", std::to_string(plan.left_bytes)}});
  });
}

TlsLink::TlsLink(net::Loop& loop, const net::TlsContext& context, std::vector<Address> masters,
                 std::string expected_name)
    : connector_(loop, context),
      own_serial_(context.own_certificate().serial),
      masters_(std::move(masters)),
      expected_name_(std::move(expected_name)) {}

void TlsLink::connect() {
  const Address& to = masters_[next_++ % masters_.size()];
  connector_.connect({to.host, to.port, expected_name_}, [this, to](auto stream) {
    if (!stream) {
      log(Level::Warn, "the master cannot be reached; trying again",
          {{"why", stream.error().message}});
      driver_->link_closed(stream.error().message);
      return;
    }
    --next_;  // this one answers: it is tried first the next time
    stream_ = std::move(*stream);
    net::StreamEvents events;
    events.on_data = [this](std::span<const std::byte> bytes) {
      driver_->link_received(text_of(bytes));
    };
    events.on_closed = [this, to](const std::string& reason) {
      log(Level::Warn, "connection to the master closed; trying again",
          {{"peer", to_text(to)}, {"why", reason}});
      stream_.reset();
      ++next_;
      driver_->link_closed(to_text(to) + ": " + reason);
    };
    stream_->start(std::move(events));
    log(Level::Info, "connected to the master", {{"peer", to_text(to)}});
    driver_->link_connected();
  });
}

void TlsLink::send(std::string bytes) {
  if (stream_) stream_->write(std::move(bytes));
}

void TlsLink::close(const std::string& reason) {
  if (stream_) stream_->close(reason);
}

void TlsLink::use(net::TlsContext context) {
  const std::string serial = context.own_certificate().serial;
  const bool renewed = serial != std::exchange(own_serial_, serial);
  if (stream_) {
    if (const auto good = stream_->check_peer(context); !good) {
      stream_->close(good.error().message);
    } else if (renewed) {
      stream_->close("this node has a new certificate");
    }
  }
  connector_.set_context(std::move(context));
}

void TlsLink::stop() {
  connector_.cancel();
  if (stream_) stream_->close("stopping");
  stream_.reset();
}

void TlsLinks::accepted(std::unique_ptr<net::TlsStream> stream) {
  const master::ConnId conn{++last_};
  net::TlsStream& s = *stream;
  streams_.emplace(conn, std::move(stream));
  net::StreamEvents events;
  events.on_data = [this, conn](std::span<const std::byte> bytes) {
    driver_->link_received(conn, text_of(bytes));
  };
  events.on_closed = [this, conn](const std::string& reason) {
    const auto it = streams_.find(conn);
    log(Level::Debug, "connection closed",
        {{"peer", it == streams_.end() ? "?" : it->second->peer().address}, {"why", reason}});
    streams_.erase(conn);
    cut_.erase(conn);
    driver_->link_closed(conn);
  };
  s.start(std::move(events));
  if (paused_) s.pause_reading();
  driver_->link_accepted(conn, s.peer().names, s.peer().address);
}

void TlsLinks::send(master::ConnId conn, std::string bytes) {
  const auto it = streams_.find(conn);
  if (it == streams_.end()) return;
  it->second->write(std::move(bytes));
  if (it->second->pending_bytes() <= kMaxUnsent || !cut_.insert(conn).second) return;
  log(Level::Warn, "a worker does not take what is sent to it; its connection is closed",
      {{"peer", it->second->peer().address}});
  it->second->close("the worker does not take what is sent to it");
}

void TlsLinks::close(master::ConnId conn, const std::string& reason) {
  const auto it = streams_.find(conn);
  if (it != streams_.end()) it->second->close(reason);
}

void TlsLinks::pause_reading(bool paused) {
  paused_ = paused;
  for (auto& [conn, stream] : streams_) paused ? stream->pause_reading() : stream->resume_reading();
}

void TlsLinks::use(const net::TlsContext& context) {
  for (const auto& [conn, stream] : streams_) {
    const auto good = stream->check_peer(context);
    if (good) continue;
    log(Level::Warn, "a worker's connection is ended: its certificate counts no more",
        {{"peer", stream->peer().address}, {"why", good.error().message}});
    stream->close(good.error().message);
  }
}

void TlsLinks::close_all(const std::string& reason) {
  for (const auto& [conn, stream] : streams_) stream->close(reason);
}

void TlsLinks::stop() {
  for (auto& [conn, stream] : streams_) stream->close("the master stops");
  streams_.clear();
}

}  // namespace rollcall::app
