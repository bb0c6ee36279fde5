// What a power cut after any write or sync of LMDB's leaves of a store can be opened, and holds all
// that commit() had returned for, whole batches only.
//
// LMDB has no layer of its own to put a double under; its system calls are taken here instead, by
// functions of the same names in this program, and passed on.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "persist/lmdb_session_store.h"
#include "tests/unit/persist/temporary_directory.h"

namespace rollcall::persist {
namespace {

struct Operation {
  enum class Kind { kWrite, kWriteAndSync, kTruncate, kSync, kCommitted };
  Kind kind = Kind::kWrite;
  std::uint64_t at = 0;  // of a write; the size of a truncation; how many commits there were
  std::string bytes = {};
};

// What is done to data.mdb, while there is one of these.
class Recorder {
 public:
  Recorder() { current_ = this; }
  ~Recorder() { current_ = nullptr; }

  static Recorder* of(int fd) {
    if (current_ == nullptr) return nullptr;
    std::array<char, 4096> path{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(link.c_str(), path.data(), path.size() - 1) < 0) return nullptr;
    return std::string_view(path.data()).ends_with("/data.mdb") ? current_ : nullptr;
  }
  void wrote(int fd, const void* bytes, ssize_t count, off_t at) {
    if (count <= 0) return;
    const bool synced = (::fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    operations.push_back(
        {synced ? Operation::Kind::kWriteAndSync : Operation::Kind::kWrite,
         static_cast<std::uint64_t>(at),
         std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(count))});
  }

  std::vector<Operation> operations;

 private:
  static Recorder* current_;
};
Recorder* Recorder::current_ = nullptr;

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// The file as the cut leaves it: each write that was not synced is on disk, or not, or in some of
// its sectors, whatever became of the others.
std::string after_cut(std::string disk, const std::vector<Operation>& operations, std::size_t cut,
                      std::uint64_t seed) {
  constexpr std::size_t kSector = 512;
  std::mt19937_64 random(seed);
  const auto apply = [&disk](const Operation& o, std::size_t from, std::size_t to) {
    if (disk.size() < o.at + to) disk.resize(o.at + to, '\0');
    disk.replace(o.at + from, to - from, o.bytes, from, to - from);
  };
  std::vector<const Operation*> pending;
  for (std::size_t i = 0; i < cut; ++i) {
    const Operation& o = operations[i];
    switch (o.kind) {
      case Operation::Kind::kWrite:
      case Operation::Kind::kTruncate:
        pending.push_back(&o);
        break;
      case Operation::Kind::kWriteAndSync:  // of itself only
        apply(o, 0, o.bytes.size());
        break;
      case Operation::Kind::kSync:
        for (const auto* one : pending) {
          if (one->kind == Operation::Kind::kTruncate) disk.resize(one->at, '\0');
          if (one->kind == Operation::Kind::kWrite) apply(*one, 0, one->bytes.size());
        }
        pending.clear();
        break;
      case Operation::Kind::kCommitted:
        break;
    }
  }
  for (const auto* one : pending) {
    if (one->kind == Operation::Kind::kTruncate) continue;
    const auto fate = random() % 3;
    for (std::size_t from = 0; fate != 0 && from < one->bytes.size(); from += kSector) {
      if (fate == 1 || random() % 2 == 0)
        apply(*one, from, std::min(from + kSector, one->bytes.size()));
    }
  }
  return disk;
}

StoreBatch some_batch(std::mt19937_64& random, std::uint64_t& position) {
  StoreBatch batch;
  for (auto n = random() % 6; n > 0; --n)
    batch.agents.emplace_back(1 + random() % 40, std::string(20 + random() % 80, 'a'));
  for (auto n = random() % 4; n > 0; --n)
    batch.outbox.emplace_back(++position, std::string(random() % 5 == 0 ? 9'000 : 60, 'o'));
  if (random() % 3 == 0)
    batch.drop_outbox_through = position - std::min<std::uint64_t>(position, 3);
  if (random() % 4 == 0) batch.removed_agents.push_back(1 + random() % 40);
  batch.meta.emplace_back("position", std::to_string(random()));
  return batch;
}

#ifdef ROLLCALL_SANITIZED
constexpr std::size_t kStride = 7;
#else
constexpr std::size_t kStride = 1;
#endif

const LmdbOptions kSmall{.map_limit_bytes = std::size_t{8} << 20,
                         .first_map_bytes = std::size_t{1} << 20};

class LmdbPowerCut : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = LmdbSessionStore::open(directory_.path(), kSmall);
    ASSERT_TRUE(opened) << opened.error().message;
    before_ = read_file(directory_ / "data.mdb");
    recorder_.emplace();
    std::mt19937_64 random(7);
    std::uint64_t position = 0;
    contents_.emplace_back();
    for (int i = 0; i < 30; ++i) {
      const StoreBatch batch = some_batch(random, position);
      const auto done = (*opened)->commit(batch);
      ASSERT_TRUE(done) << done.error().message;
      apply(batch, contents_.emplace_back(contents_.back()));
      recorder_->operations.push_back({Operation::Kind::kCommitted, contents_.size() - 1});
    }
    opened->reset();
    operations_ = std::move(recorder_->operations);
    recorder_.reset();
  }

  std::expected<StoreContents, Error> open(const std::string& data) {
    const TemporaryDirectory after;
    write_file(after / "data.mdb", data);
    write_file(after / "created", "");
    auto store = LmdbSessionStore::open(after.path(), kSmall);
    if (!store) return std::unexpected(store.error());
    return (*store)->load();
  }
  // How many commits had returned before entry `cut`.
  std::size_t committed(std::size_t cut) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < cut; ++i) {
      if (operations_[i].kind == Operation::Kind::kCommitted) count = operations_[i].at;
    }
    return count;
  }

  TemporaryDirectory directory_;
  std::string before_;
  std::optional<Recorder> recorder_;
  std::vector<StoreContents> contents_;  // after so many commits
  std::vector<Operation> operations_;
};

TEST_F(LmdbPowerCut, NothingThatWasCommittedIsMissingAndNoBatchIsThereInPart) {
  ASSERT_GT(operations_.size(), 3 * contents_.size()) << "LMDB's system calls are seen";
  for (std::size_t cut = 0; cut <= operations_.size(); cut += kStride) {
    const std::size_t sure = committed(cut);
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      SCOPED_TRACE("cut after operation " + std::to_string(cut) + ", seed " + std::to_string(seed));
      const auto found = open(after_cut(before_, operations_, cut, seed));
      ASSERT_TRUE(found) << found.error().message;
      const bool as_committed = *found == contents_[sure];
      const bool one_more = sure + 1 < contents_.size() && *found == contents_[sure + 1];
      ASSERT_TRUE(as_committed || one_more) << "after " << sure << " commits";
    }
  }
}

TEST_F(LmdbPowerCut, AStoreWithoutItsSyncsIsCaught) {
  std::erase_if(operations_, [](const auto& o) { return o.kind == Operation::Kind::kSync; });
  int caught = 0;
  for (std::size_t cut = 0; cut <= operations_.size(); cut += 7) {
    const auto found = open(after_cut(before_, operations_, cut, cut));
    caught += !found || *found != contents_[committed(cut)];
  }
  EXPECT_GT(caught, 0);
}

}  // namespace
}  // namespace rollcall::persist

using rollcall::persist::real;
using rollcall::persist::Recorder;

extern "C" {

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  static const auto next = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  const ssize_t done = next(fd, bytes, count, at);
  if (auto* recorder = Recorder::of(fd)) recorder->wrote(fd, bytes, done, at);
  return done;
}

ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto next = real<ssize_t(int, const iovec*, int)>("writev");
  auto* recorder = Recorder::of(fd);
  off_t at = recorder != nullptr ? ::lseek(fd, 0, SEEK_CUR) : 0;
  const ssize_t done = next(fd, parts, count);
  ssize_t left = done;
  for (int i = 0; recorder != nullptr && i < count && left > 0; ++i) {
    const auto size = std::min<ssize_t>(left, static_cast<ssize_t>(parts[i].iov_len));
    recorder->wrote(fd, parts[i].iov_base, size, at);
    at += size;
    left -= size;
  }
  return done;
}

int ftruncate(int fd, off_t size) noexcept {
  static const auto next = real<int(int, off_t)>("ftruncate");
  const int done = next(fd, size);
  if (auto* recorder = Recorder::of(fd); recorder != nullptr && done == 0)
    recorder->operations.push_back(
        {rollcall::persist::Operation::Kind::kTruncate, static_cast<std::uint64_t>(size)});
  return done;
}

int fdatasync(int fd) {
  static const auto next = real<int(int)>("fdatasync");
  const int done = next(fd);
  if (auto* recorder = Recorder::of(fd); recorder != nullptr && done == 0)
    recorder->operations.push_back({rollcall::persist::Operation::Kind::kSync});
  return done;
}

int fsync(int fd) {
  static const auto next = real<int(int)>("fsync");
  const int done = next(fd);
  if (auto* recorder = Recorder::of(fd); recorder != nullptr && done == 0)
    recorder->operations.push_back({rollcall::persist::Operation::Kind::kSync});
  return done;
}

}  // extern "C"
