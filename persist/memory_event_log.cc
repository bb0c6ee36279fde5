#include "persist/memory_event_log.h"

#include <algorithm>
#include <utility>

#include "persist/log_rules.h"

namespace rollcall::persist {

LogRecovery MemoryEventLog::recover() const {
  LogRecovery recovery;
  recovery.created = next_index() == 1;
  recovery.torn_tail_dropped = disk_.torn;
  if (disk_.torn) recovery.message = "the torn end of the log was dropped (simulated)";
  if (!disk_.snapshots.empty()) {
    const auto& [upto, bytes] = *disk_.snapshots.rbegin();
    recovery.snapshot = Snapshot{upto, bytes};
  }
  recovery.first_index = first_index();
  recovery.next_index = next_index();
  return recovery;
}

std::expected<void, Error> MemoryEventLog::append(std::span<const std::string> records) {
  if (auto done = append_unsynced(records); !done) return done;
  sync();
  return {};
}

std::expected<void, Error> MemoryEventLog::append_unsynced(std::span<const std::string> records) {
  if (records.empty()) return {};
  if (auto fits = check_group(records); !fits) return fits;
  if (auto ready = writable(); !ready) return ready;
  disk_.records.insert(disk_.records.end(), records.begin(), records.end());
  return {};
}

void MemoryEventLog::sync() {
  if (synced_ == disk_.records.size()) return;
  synced_ = disk_.records.size();
  disk_.torn = false;
}

std::expected<void, Error> MemoryEventLog::for_each(std::uint64_t from_index,
                                                    const RecordReader& reader) const {
  if (from_index < first_index()) return std::unexpected(too_old(from_index, first_index()));
  for (auto index = from_index; index < next_index(); ++index) {
    if (reader(index, disk_.records[index - disk_.first_index]) == Reading::kStop) break;
  }
  return {};
}

std::expected<void, Error> MemoryEventLog::write_snapshot(std::uint64_t upto_index,
                                                          std::string_view bytes) {
  const auto durable_end = disk_.first_index + synced_;
  if (upto_index >= durable_end) return std::unexpected(not_yet_durable(upto_index, durable_end));
  if (auto ready = writable(); !ready) return ready;
  disk_.snapshots.insert_or_assign(upto_index, std::string(bytes));
  while (disk_.snapshots.size() > kSnapshotsKept) disk_.snapshots.erase(disk_.snapshots.begin());
  return {};
}

LogFiles MemoryEventLog::files() const {
  LogFiles out;
  for (std::size_t i = 0; i < synced_; ++i) {
    out.segments.push_back(
        {.first_index = disk_.first_index + i, .bytes = disk_.records[i].size()});
  }
  out.segments.push_back({.first_index = disk_.first_index + synced_});
  for (const auto& [upto, bytes] : disk_.snapshots) out.snapshots.push_back({upto, bytes.size()});
  return out;
}

std::expected<std::string, Error> MemoryEventLog::snapshot(std::uint64_t upto_index) const {
  const auto found = disk_.snapshots.find(upto_index);
  if (found == disk_.snapshots.end()) {
    return std::unexpected(Error{"there is no snapshot up to " + std::to_string(upto_index)});
  }
  return found->second;
}

std::expected<void, Error> MemoryEventLog::remove_segments_before(std::uint64_t index) {
  const auto covered = disk_.snapshots.empty() ? 0 : disk_.snapshots.rbegin()->first;
  if (auto allowed = check_removal(index, covered); !allowed) return allowed;
  const auto end = std::min(index, disk_.first_index + synced_);
  while (disk_.first_index < end) {
    disk_.records.pop_front();
    ++disk_.first_index;
    --synced_;
  }
  return {};
}

void MemoryEventLog::crash(Tail tail) {
  disk_.records.resize(synced_);
  if (tail == Tail::kTorn) disk_.torn = true;
  failures_ = 0;
}

void MemoryEventLog::fail_next(int count, std::string message) {
  failures_ = count;
  failure_ = std::move(message);
}

MemoryEventLog::Disk MemoryEventLog::copy() const {
  Disk synced = disk_;
  synced.records.resize(synced_);
  return synced;
}

void MemoryEventLog::restore(Disk older) {
  disk_ = std::move(older);
  synced_ = disk_.records.size();
}

void MemoryEventLog::truncate_tail(std::uint64_t next_index) {
  const auto kept = std::max(next_index, disk_.first_index) - disk_.first_index;
  if (kept < disk_.records.size()) disk_.records.resize(kept);
  synced_ = std::min(synced_, disk_.records.size());
  disk_.snapshots.erase(disk_.snapshots.lower_bound(this->next_index()), disk_.snapshots.end());
}

std::expected<void, Error> MemoryEventLog::writable() {
  if (failures_ > 0) {
    --failures_;
    return std::unexpected(Error{failure_});
  }
  if (full_) return std::unexpected(Error{"the disk is full (simulated)"});
  return {};
}

}  // namespace rollcall::persist
