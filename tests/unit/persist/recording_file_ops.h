// FileOps that remember every operation on one directory, so that a test can rebuild it as a
// power cut after any of them would have left it.
//
// What a cut does is harsher than most file systems: without sync_data() a write may be lost,
// kept, cut short, replaced by zeros or kept in some of its sectors; without sync_directory() a
// created, renamed or removed name may be as before or not, each on its own, also after the
// file's own sync_data(). A sync_data() that fails may drop what it should have written for
// good: a later one does not bring it back.
//
// The journal is shared: a test that also records what goes to a socket (record_marker) has both
// in one sequence, and can ask of any cut what had been said before it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/persist/faulty_file_ops.h"
#include "tests/unit/persist/temporary_directory.h"

namespace rollcall::persist {

// All functions may be called from several threads.
class Journal {
 public:
  struct Entry {
    enum class Kind {
      kExisted,  // a file that was there when recording began
      kCreate,
      kWrite,
      kTruncate,
      kSync,
      kSyncFailed,
      kSyncDirectory,
      kRename,
      kUnlink,
      kMarker
    };
    Kind kind = Kind::kMarker;
    int file = 0;           // contents, whatever their name is
    std::string name = {};  // or the text of a marker
    std::string to = {};    // of a rename
    std::uint64_t at = 0;   // offset of a write, size of a truncation
    std::string bytes = {};
  };

  void record(Entry entry) {
    const std::scoped_lock lock(mutex_);
    entries_.push_back(std::move(entry));
  }
  void record_marker(std::string text) { record({Entry::Kind::kMarker, 0, std::move(text)}); }

  std::size_t size() const {
    const std::scoped_lock lock(mutex_);
    return entries_.size();
  }
  std::vector<Entry> entries() const {
    const std::scoped_lock lock(mutex_);
    return entries_;
  }
  // The texts recorded before entry `cut`.
  std::vector<std::string> markers_before(std::size_t cut) const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < std::min(cut, entries_.size()); ++i) {
      if (entries_[i].kind == Entry::Kind::kMarker) texts.push_back(entries_[i].name);
    }
    return texts;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

class RecordingFileOps final : public ForwardingFileOps {
 public:
  using Kind = Journal::Entry::Kind;

  // Files that `directory` holds already count as durable. `below` need not sync anything.
  RecordingFileOps(const std::filesystem::path& directory, FileOps& below, Journal& journal)
      : ForwardingFileOps(below), journal_(journal) {
    if (!std::filesystem::exists(directory)) return;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      const auto name = entry.path().filename().string();
      files_[name] = ++last_file_;
      journal_.record({Kind::kExisted, last_file_, name, {}, 0, read_file(entry.path())});
    }
  }

  std::expected<int, SystemError> open(const std::filesystem::path& path, Open how) override {
    const std::scoped_lock lock(mutex_);
    auto fd = below_.open(path, how);
    if (!fd) return fd;
    const auto name = path.filename().string();
    if (auto known = files_.find(name); known != files_.end()) {
      open_[*fd] = known->second;
      if (how == Open::kEmpty) journal_.record({Kind::kTruncate, known->second});
    } else {
      files_[name] = open_[*fd] = ++last_file_;
      journal_.record({Kind::kCreate, last_file_, name});
    }
    return fd;
  }
  void close(int fd) override {
    const std::scoped_lock lock(mutex_);
    open_.erase(fd);
    below_.close(fd);
  }
  std::expected<std::size_t, SystemError> write_at(int fd, std::string_view bytes,
                                                   std::uint64_t offset) override {
    auto count = below_.write_at(fd, bytes, offset);
    // A failed write may have left something; the whole of it is pending then, and a cut may
    // keep any part.
    const auto some = bytes.substr(0, count ? *count : bytes.size());
    journal_.record({Kind::kWrite, file(fd), {}, {}, offset, std::string(some)});
    return count;
  }
  std::expected<void, SystemError> truncate(int fd, std::uint64_t size) override {
    auto done = below_.truncate(fd, size);
    if (done) journal_.record({Kind::kTruncate, file(fd), {}, {}, size});
    return done;
  }
  std::expected<void, SystemError> sync_data(int fd) override {
    auto done = below_.sync_data(fd);
    journal_.record({done ? Kind::kSync : Kind::kSyncFailed, file(fd)});
    return done;
  }
  std::expected<void, SystemError> sync_directory(const std::filesystem::path& path) override {
    auto done = below_.sync_directory(path);
    if (done) journal_.record({Kind::kSyncDirectory});
    return done;
  }
  std::expected<void, SystemError> rename(const std::filesystem::path& from,
                                          const std::filesystem::path& to) override {
    const std::scoped_lock lock(mutex_);
    auto done = below_.rename(from, to);
    if (!done) return done;
    const auto from_name = from.filename().string();
    const auto to_name = to.filename().string();
    files_[to_name] = files_[from_name];
    files_.erase(from_name);
    journal_.record({Kind::kRename, 0, from_name, to_name});
    return done;
  }
  std::expected<void, SystemError> unlink(const std::filesystem::path& path) override {
    const std::scoped_lock lock(mutex_);
    auto done = below_.unlink(path);
    if (!done) return done;
    files_.erase(path.filename().string());
    journal_.record({Kind::kUnlink, 0, path.filename().string()});
    return done;
  }

 private:
  int file(int fd) {
    const std::scoped_lock lock(mutex_);
    return open_.at(fd);
  }

  Journal& journal_;
  std::mutex mutex_;
  int last_file_ = 0;
  std::map<std::string, int> files_;
  std::map<int, int> open_;
};

// What becomes of the operations that were not synced.
enum class DataFate {
  kLost,
  kKept,
  kCutShort,
  kZeros,
  kSomeSectors,
  kAnyOrder  // each operation by itself is lost, kept, or kept in some sectors; truncations too
};
enum class NameFate { kLost, kKept, kSome };

class PowerCut {
 public:
  PowerCut(DataFate data, NameFate names, std::uint64_t seed)
      : data_(data), names_(names), random_(seed) {}

  // Writes the files into `directory`, which must be empty.
  void rebuild(const std::vector<Journal::Entry>& entries, std::size_t cut,
               const std::filesystem::path& directory) {
    using Kind = Journal::Entry::Kind;
    for (std::size_t i = 0; i < std::min(cut, entries.size()); ++i) {
      const auto& entry = entries[i];
      auto& file = files_[entry.file];
      switch (entry.kind) {
        case Kind::kExisted:
          names_on_disk_[entry.name] = entry.file;
          file.on_disk = entry.bytes;
          break;
        case Kind::kWrite:
        case Kind::kTruncate:
          file.pending.push_back(&entry);
          break;
        case Kind::kSync:
          for (const auto* pending : file.pending) apply(*pending, file.on_disk);
          file.pending.clear();
          break;
        case Kind::kSyncFailed:
          if (data_ == DataFate::kLost || chance()) {
            std::erase_if(file.pending, [](const auto* one) { return one->kind == Kind::kWrite; });
          }
          break;
        case Kind::kCreate:
        case Kind::kRename:
        case Kind::kUnlink:
          pending_names_.push_back(&entry);
          break;
        case Kind::kSyncDirectory:
          for (const auto* pending : pending_names_) apply_name(*pending);
          pending_names_.clear();
          break;
        case Kind::kMarker:
          break;
      }
    }
    for (const auto* pending : pending_names_) {
      if (names_ == NameFate::kKept || (names_ == NameFate::kSome && chance())) {
        apply_name(*pending);
      }
    }
    for (const auto& [name, number] : names_on_disk_) {
      auto& file = files_[number];
      spoil(file.pending, file.on_disk);
      write_file(directory / name, file.on_disk);
    }
  }

 private:
  struct File {
    std::string on_disk;
    std::vector<const Journal::Entry*> pending;
  };
  bool chance() { return (random_() & 1) != 0; }

  static void apply(const Journal::Entry& entry, std::string& bytes) {
    if (entry.kind == Journal::Entry::Kind::kTruncate) {
      bytes.resize(entry.at, '\0');
      return;
    }
    if (bytes.size() < entry.at + entry.bytes.size()) {
      bytes.resize(entry.at + entry.bytes.size(), '\0');
    }
    bytes.replace(entry.at, entry.bytes.size(), entry.bytes);
  }

  void apply_name(const Journal::Entry& entry) {
    using Kind = Journal::Entry::Kind;
    if (entry.kind == Kind::kCreate) names_on_disk_[entry.name] = entry.file;
    if (entry.kind == Kind::kUnlink) names_on_disk_.erase(entry.name);
    if (entry.kind == Kind::kRename) {
      // Its creation may have been lost.
      const auto from = names_on_disk_.find(entry.name);
      if (from == names_on_disk_.end()) return;
      names_on_disk_[entry.to] = from->second;
      names_on_disk_.erase(entry.name);
    }
  }

  void spoil(const std::vector<const Journal::Entry*>& pending, std::string& bytes) {
    if (data_ == DataFate::kLost) return;
    if (data_ == DataFate::kAnyOrder) {
      for (const auto* one : pending) {
        if (chance()) continue;
        auto kept = *one;
        if (kept.kind == Journal::Entry::Kind::kWrite && chance()) lose_some(kept, bytes);
        apply(kept, bytes);
      }
      return;
    }
    // How many of them are on disk whole; the next one is spoilt, later ones are lost.
    const auto whole = data_ == DataFate::kKept ? pending.size()
                       : pending.empty()        ? 0
                                                : random_() % pending.size();
    for (std::size_t i = 0; i < whole; ++i) apply(*pending[i], bytes);
    if (whole == pending.size()) return;
    auto next = *pending[whole];
    if (next.kind == Journal::Entry::Kind::kWrite && !next.bytes.empty()) {
      if (data_ == DataFate::kCutShort) next.bytes.resize(random_() % next.bytes.size());
      if (data_ == DataFate::kZeros) lose(next, 0, next.bytes.size(), bytes);
      if (data_ == DataFate::kSomeSectors) lose_some(next, bytes);
    }
    apply(next, bytes);
  }

  void lose_some(Journal::Entry& write, const std::string& before) {
    constexpr std::size_t kSector = 16;  // small, since the groups are
    for (std::size_t at = 0; at < write.bytes.size(); at += kSector) {
      if (chance()) lose(write, at, std::min(at + kSector, write.bytes.size()), before);
    }
  }

  // Bytes of a write that did not arrive: what was there before, zeros behind the old end.
  static void lose(Journal::Entry& write, std::size_t from, std::size_t to,
                   const std::string& before) {
    for (auto i = from; i < to; ++i) {
      write.bytes[i] = write.at + i < before.size() ? before[write.at + i] : '\0';
    }
  }

  DataFate data_;
  NameFate names_;
  std::mt19937_64 random_;
  std::map<int, File> files_;
  std::map<std::string, int> names_on_disk_;
  std::vector<const Journal::Entry*> pending_names_;
};

}  // namespace rollcall::persist
