// An EventLog in memory, whose disk obeys the test: it can lose what was not synced, tear the
// last group, fail, fill up, and be set back to an older copy. The object is the disk, so it
// outlives the simulated process; a restarted process calls recover() on the same object.
//
// One thread at a time; appending to a log from inside its own for_each is not possible.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "persist/event_log.h"

namespace rollcall::persist {

class MemoryEventLog final : public EventLog {
 public:
  // What FileEventLog::open() reports.
  LogRecovery recover() const;

  std::expected<void, Error> append(std::span<const std::string> records) override;
  std::uint64_t next_index() const override { return disk_.first_index + disk_.records.size(); }
  std::uint64_t first_index() const override { return disk_.first_index; }
  std::expected<void, Error> for_each(std::uint64_t from_index,
                                      const RecordReader& reader) const override;
  std::expected<void, Error> write_snapshot(std::uint64_t upto_index,
                                            std::string_view bytes) override;
  // Each record is a segment, of no known age.
  LogFiles files() const override;
  std::expected<std::string, Error> snapshot(std::uint64_t upto_index) const override;
  std::expected<void, Error> remove_segments_before(std::uint64_t index) override;

  // append() in two steps, so that a simulator can crash in between. Unsynced groups count in
  // next_index() and are read by for_each(): the simulated process must not act on them.
  std::expected<void, Error> append_unsynced(std::span<const std::string> records);
  void sync();

  // The process and the machine die: back to what was synced. Failures that were asked for with
  // fail_next are forgotten too; a full disk stays full.
  enum class Tail { kClean, kTorn };  // kTorn: recover() reports torn_tail_dropped
  void crash(Tail tail = Tail::kClean);

  // The next `count` appends or snapshots change nothing and return `message`.
  void fail_next(int count, std::string message);
  // A full disk refuses every append and snapshot until it is set back.
  void set_full(bool full) { full_ = full; }

  // A disk as a backup holds it.
  struct Disk {
    bool torn = false;
    std::uint64_t first_index = 1;
    std::deque<std::string> records;
    std::map<std::uint64_t, std::string> snapshots;
    bool operator==(const Disk&) const = default;
  };
  Disk copy() const;  // what is synced
  void restore(Disk older);

  // Loses the newest records although they were durable, and every snapshot that covers them: an
  // older backup. next_index() falls back to `next_index`; recover() does not report it.
  void truncate_tail(std::uint64_t next_index);

 private:
  std::expected<void, Error> writable();

  Disk disk_;
  std::size_t synced_ = 0;  // how many of disk_.records a crash leaves
  int failures_ = 0;
  std::string failure_;
  bool full_ = false;
};

}  // namespace rollcall::persist
