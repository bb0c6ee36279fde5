#include "persist/lmdb_session_store.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "persist/directory_lock.h"
#include "persist/little_endian.h"
#include "persist/lmdb_check.h"

namespace rollcall::persist {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kStoreFormat = 1;
// The oldest program that reads kStoreFormat; raise both together.
constexpr std::string_view kOldestStoreReader = "0.1.0";

constexpr const char* kDataName = "data.mdb";
constexpr const char* kReadersName = "lock.mdb";
// Stands for "this store was complete once": if the data file is gone or empty after that, it is
// no new store but a lost one.
constexpr const char* kCreatedName = "created";
// A data file of this size and less may be what a power cut left of a store being created.
constexpr std::uintmax_t kCreationBytes = std::uintmax_t{64} << 10;
// The readers' table that LMDB keeps for its default of 126 readers. It is mapped into memory, so
// its blocks must exist: a hole on a full disk would end the process with SIGBUS.
constexpr off_t kReadersBytes = 8192;
constexpr unsigned kTables = 5;
constexpr std::size_t kLeastReserveBytes = std::size_t{1} << 20;
constexpr std::size_t kSmallBytes = std::size_t{64} << 10;

Error store_error(const fs::path& directory, const std::string& what, int code) {
  const auto begin = "the store in " + directory.string() + ": " + what + ": ";
  switch (code) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
      return {begin + "the data file is damaged (" + mdb_strerror(code) +
              "); restore the directory from a backup, or move it away and start again: sessions "
              "are then taken up anew from what Wazuh knows"};
    case MDB_READERS_FULL:
      return {begin + "too many programs read it at once; end some of them"};
    case ENOSPC:
      return {begin + "the disk is full; free some space, it is tried again"};
    case EIO:
      return {begin +
              "the disk does not write (EIO; a full disk can look like this too); it is tried "
              "again"};
    default:
      return {begin + mdb_strerror(code)};
  }
}

Error damaged(const fs::path& directory, const std::string& reason) {
  return {"the store in " + directory.string() + " is damaged: " + kDataName + ": " + reason +
          ". Restore the directory from a backup, or move it away and start again: sessions are "
          "then taken up anew from what Wazuh knows"};
}

MDB_val to_val(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};  // LMDB does not write through it
}
std::string_view to_view(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

// Big-endian, so that LMDB's order of bytes is the order of numbers.
template <typename Number>
std::string number_key(Number number) {
  std::string key;
  for (auto shift = static_cast<int>(sizeof(Number)) * 8 - 8; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(static_cast<unsigned char>(number >> shift)));
  }
  return key;
}
template <typename Number>
std::optional<Number> key_number(std::string_view key) {
  if (key.size() != sizeof(Number)) return std::nullopt;
  Number number = 0;
  for (char byte : key) {
    number = static_cast<Number>(number << 8 | static_cast<unsigned char>(byte));
  }
  return number;
}

// LMDB 0.9 has no checksums of its own.
std::uint64_t value_checksum(std::string_view key, std::string_view bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), XXH3_64bits(key.data(), key.size()));
}

class Txn {
 public:
  Txn() = default;
  Txn(const Txn&) = delete;
  Txn& operator=(const Txn&) = delete;
  ~Txn() { abort(); }

  int begin(MDB_env* env, unsigned flags) { return mdb_txn_begin(env, nullptr, flags, &txn_); }
  int commit() { return mdb_txn_commit(std::exchange(txn_, nullptr)); }
  void abort() {
    if (txn_) mdb_txn_abort(std::exchange(txn_, nullptr));
  }
  MDB_txn* get() const { return txn_; }

 private:
  MDB_txn* txn_ = nullptr;
};

class Cursor {
 public:
  Cursor() = default;
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;
  ~Cursor() {
    if (cursor_) mdb_cursor_close(cursor_);
  }
  int open(const Txn& txn, MDB_dbi table) { return mdb_cursor_open(txn.get(), table, &cursor_); }
  MDB_cursor* get() const { return cursor_; }

 private:
  MDB_cursor* cursor_ = nullptr;
};

struct Tables {
  MDB_dbi format = 0;
  MDB_dbi agents = 0;
  MDB_dbi infos = 0;
  MDB_dbi outbox = 0;
  MDB_dbi meta = 0;
};

int open_tables(const Txn& txn, unsigned flags, Tables& tables) {
  for (const auto& [name, table] : {std::pair{"format", &tables.format},
                                    {"agents", &tables.agents},
                                    {"outbox", &tables.outbox},
                                    {"meta", &tables.meta}}) {
    if (const int code = mdb_dbi_open(txn.get(), name, flags, table)) return code;
  }
  return 0;
}

// The stores of before this table was added get it here.
int open_infos(MDB_env* env, Tables& tables) {
  for (const unsigned flags : {0u, unsigned{MDB_CREATE}}) {
    Txn txn;
    int code = txn.begin(env, flags == 0 ? MDB_RDONLY : 0);
    if (code == 0) code = mdb_dbi_open(txn.get(), "infos", flags, &tables.infos);
    if (code == MDB_NOTFOUND) continue;
    return code == 0 ? txn.commit() : code;
  }
  return MDB_NOTFOUND;
}

// MDB_NOTFOUND if the store is new. Looks at the format before any other table is opened.
std::expected<int, Error> check_format(const fs::path& directory, const Txn& txn) {
  MDB_dbi table = 0;
  if (const int code = mdb_dbi_open(txn.get(), "format", 0, &table)) {
    if (code == MDB_NOTFOUND) return code;
    return std::unexpected(store_error(directory, "cannot read its format", code));
  }
  const auto read = [&](std::string_view key) -> std::optional<std::string_view> {
    auto key_val = to_val(key);
    MDB_val value{};
    if (mdb_get(txn.get(), table, &key_val, &value) != 0) return std::nullopt;
    return to_view(value);
  };
  const auto text = read("number");
  std::uint32_t format = 0;
  if (!text ||
      std::from_chars(text->data(), text->data() + text->size(), format).ec != std::errc{}) {
    return std::unexpected(damaged(directory, "it does not say which format it has"));
  }
  if (format > kStoreFormat) {
    return std::unexpected(Error{
        "the store in " + directory.string() + " has format " + std::to_string(format) +
        ", this program knows formats up to " + std::to_string(kStoreFormat) + ": use rollcall " +
        std::string(read("oldest program").value_or("(unknown)")) + " or newer"});
  }
  return 0;
}

std::expected<void, Error> write_format(const fs::path& directory, const Txn& txn,
                                        const Tables& tables) {
  const auto number = std::to_string(kStoreFormat);
  for (const auto& [key, text] : {std::pair<std::string_view, std::string_view>{"number", number},
                                  {"oldest program", kOldestStoreReader}}) {
    auto key_val = to_val(key);
    auto value = to_val(text);
    if (const int code = mdb_put(txn.get(), tables.format, &key_val, &value, 0)) {
      return std::unexpected(store_error(directory, "cannot create it", code));
    }
  }
  return {};
}

std::string wrong_entry(const std::string& table) {
  return "an entry of its table \"" + table + "\" has a wrong checksum or key";
}

// An entry's bytes without their checksum; nothing if that is wrong.
std::optional<std::string_view> checked(std::string_view key, std::string_view stored) {
  constexpr std::size_t kSum = sizeof(std::uint64_t);
  if (stored.size() < kSum) return std::nullopt;
  if (get<std::uint64_t>(stored, 0) != value_checksum(key, stored.substr(kSum))) {
    return std::nullopt;
  }
  return stored.substr(kSum);
}

template <typename Each>
std::expected<void, Error> read_table(const fs::path& directory, const Txn& txn, MDB_dbi table,
                                      const std::string& name, Each each) {
  Cursor cursor;
  int code = cursor.open(txn, table);
  MDB_val key{};
  MDB_val value{};
  if (code == 0) code = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST);
  for (; code == 0; code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT)) {
    const auto bytes = checked(to_view(key), to_view(value));
    if (!bytes || !each(to_view(key), *bytes)) {
      return std::unexpected(damaged(directory, wrong_entry(name)));
    }
  }
  if (code == MDB_NOTFOUND) return {};
  return std::unexpected(store_error(directory, "cannot read", code));
}

std::expected<StoreContents, Error> read_contents(const fs::path& directory, const Txn& txn,
                                                  const Tables& tables) {
  StoreContents contents;
  const auto into = [](auto& map) {
    return [&map](std::string_view key, std::string_view bytes) {
      using Key = typename std::remove_reference_t<decltype(map)>::key_type;
      if constexpr (std::is_same_v<Key, std::string>) {
        map.emplace_hint(map.end(), key, bytes);
      } else {
        const auto number = key_number<Key>(key);
        if (!number) return false;
        map.emplace_hint(map.end(), *number, bytes);
      }
      return true;
    };
  };
  auto done = read_table(directory, txn, tables.agents, "agents", into(contents.agents));
  if (done) done = read_table(directory, txn, tables.outbox, "outbox", into(contents.outbox));
  if (done) done = read_table(directory, txn, tables.meta, "meta", into(contents.meta));
  if (!done) return std::unexpected(done.error());
  return contents;
}

class Writer {
 public:
  Writer(const Txn& txn, const Tables& tables) : txn_(txn), tables_(tables) {}

  int write(const StoreBatch& batch) {
    if (batch.clear_outbox) code_ = mdb_drop(txn_.get(), tables_.outbox, 0);
    if (batch.drop_outbox_through > 0) drop_outbox_through(batch.drop_outbox_through);
    for (auto index : batch.removed_outbox) remove(tables_.outbox, number_key(index));
    for (auto agent : batch.removed_agents) {
      remove(tables_.agents, number_key(agent));
      remove(tables_.infos, number_key(agent));
    }
    // What an agent's state becomes next is often longer, and then finds room in its page.
    put_all(tables_.agents, batch.agents, Fill::kHalf);
    put_all(tables_.infos, batch.infos, Fill::kWhole);
    put_all(tables_.outbox, batch.outbox, Fill::kWhole);
    if (batch.meta.empty() || code_ != 0) return code_;
    Cursor cursor;
    code_ = cursor.open(txn_, tables_.meta);
    for (const auto& [key, bytes] : batch.meta) put(cursor, key, bytes, 0);
    return code_;
  }

 private:
  // How LMDB leaves its pages when keys are added behind all others.
  enum class Fill { kHalf, kWhole };

  // In the order of the keys, whatever order they come in: neighbours are in one page then.
  template <typename Number>
  void put_all(MDB_dbi table, const std::vector<std::pair<Number, std::string>>& entries,
               Fill fill) {
    if (entries.empty() || code_ != 0) return;
    std::vector<const std::pair<Number, std::string>*> ordered;
    ordered.reserve(entries.size());
    for (const auto& entry : entries) ordered.push_back(&entry);
    const auto key_of = [](const auto* entry) { return entry->first; };
    if (!std::ranges::is_sorted(ordered, {}, key_of)) {
      // Of one key the last still wins: they are in one vector, in their order.
      std::ranges::sort(ordered, {}, [&](const auto* e) { return std::pair(key_of(e), e); });
    }

    Cursor cursor;
    code_ = cursor.open(txn_, table);
    if (code_ != 0) return;
    std::optional<Number> last;
    MDB_val key{};
    MDB_val value{};
    code_ = mdb_cursor_get(cursor.get(), &key, &value, MDB_LAST);
    if (code_ == 0) last = key_number<Number>(to_view(key));
    if (code_ == MDB_NOTFOUND) code_ = 0;
    for (const auto* entry : ordered) {
      const bool behind = !last || entry->first > *last;
      if (behind) last = entry->first;
      put(cursor, number_key(entry->first), entry->second,
          behind && fill == Fill::kWhole ? MDB_APPEND : 0);
    }
  }

  void put(const Cursor& cursor, const std::string& key, const std::string& bytes, unsigned flags) {
    if (code_ != 0) return;
    auto key_val = to_val(key);
    MDB_val value{sizeof(std::uint64_t) + bytes.size(), nullptr};
    code_ = mdb_cursor_put(cursor.get(), &key_val, &value, MDB_RESERVE | flags);
    if (code_ != 0) return;
    std::string sum;
    persist::put(sum, value_checksum(key, bytes));
    auto* into = static_cast<char*>(value.mv_data);
    std::memcpy(into, sum.data(), sum.size());
    if (!bytes.empty()) std::memcpy(into + sum.size(), bytes.data(), bytes.size());
  }

  void remove(MDB_dbi table, const std::string& key) {
    if (code_ != 0) return;
    auto key_val = to_val(key);
    code_ = mdb_del(txn_.get(), table, &key_val, nullptr);
    if (code_ == MDB_NOTFOUND) code_ = 0;
  }

  void drop_outbox_through(std::uint64_t last) {
    if (code_ != 0) return;
    Cursor cursor;
    code_ = cursor.open(txn_, tables_.outbox);
    MDB_val key{};
    MDB_val value{};
    while (code_ == 0) {
      code_ = mdb_cursor_get(cursor.get(), &key, &value, MDB_FIRST);
      if (code_ != 0) break;
      const auto index = key_number<std::uint64_t>(to_view(key));
      if (!index) code_ = MDB_CORRUPTED;
      if (!index || *index > last) break;
      code_ = mdb_cursor_del(cursor.get(), 0);
    }
    if (code_ == MDB_NOTFOUND) code_ = 0;
  }

  const Txn& txn_;
  const Tables& tables_;
  int code_ = 0;
};

struct CloseEnv {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using Env = std::unique_ptr<MDB_env, CloseEnv>;

// `map_bytes` 0: as large as the file says.
std::expected<Env, Error> open_env(const fs::path& directory, unsigned flags,
                                   std::size_t map_bytes) {
  MDB_env* raw = nullptr;
  if (const int code = mdb_env_create(&raw)) {
    return std::unexpected(store_error(directory, "cannot be opened", code));
  }
  Env env(raw);
  int code = mdb_env_set_maxdbs(raw, kTables);
  if (code == 0 && map_bytes > 0) code = mdb_env_set_mapsize(raw, map_bytes);
  // NOTLS: load() and commit() may be called by different threads, one after the other.
  if (code == 0) code = mdb_env_open(raw, directory.c_str(), flags | MDB_NOTLS, 0640);
  if (code == EACCES) {
    return std::unexpected(Error{"the store in " + directory.string() +
                                 " cannot be opened: permission denied; readers need write "
                                 "permission for " +
                                 kReadersName + ": run as the daemon's user or as root"});
  }
  if (code != 0) return std::unexpected(store_error(directory, "cannot be opened", code));
  return env;
}

class StoreInLmdb final : public LmdbSessionStore {
 public:
  StoreInLmdb(fs::path directory, const LmdbOptions& options, DirectoryLock lock)
      : directory_(std::move(directory)), options_(options), lock_(std::move(lock)) {}

  std::expected<void, Error> start() {
    if (auto ready = prepare_files(); !ready) return ready;
    if (auto opened = open_tables_of_store(); !opened) return opened;
    return mark_as_created();
  }

  std::expected<StoreContents, Error> load() override {
    if (auto opened = open_again_if_closed(); !opened) return std::unexpected(opened.error());
    Txn txn;
    if (const int code = txn.begin(env_.get(), MDB_RDONLY)) {
      return std::unexpected(store_error(directory_, "cannot read", code));
    }
    return read_contents(directory_, txn, tables_);
  }

  std::expected<StoredInfos, Error> read_infos(const std::vector<std::uint32_t>& agents) override {
    if (auto opened = open_again_if_closed(); !opened) return std::unexpected(opened.error());
    Txn txn;
    if (const int code = txn.begin(env_.get(), MDB_RDONLY)) {
      return std::unexpected(store_error(directory_, "cannot read", code));
    }
    StoredInfos found;
    for (const auto agent : agents) {
      const std::string key = number_key(agent);
      auto key_val = to_val(key);
      MDB_val value{};
      const int code = mdb_get(txn.get(), tables_.infos, &key_val, &value);
      if (code == MDB_NOTFOUND) continue;
      if (code != 0) return std::unexpected(store_error(directory_, "cannot read", code));
      const auto bytes = checked(key, to_view(value));
      if (!bytes) return std::unexpected(damaged(directory_, wrong_entry("infos")));
      found.emplace(agent, *bytes);
    }
    return found;
  }

  std::expected<void, Error> commit(const StoreBatch& batch) override {
    if (auto fits = check(batch); !fits) return fits;
    if (batch.empty()) return {};
    if (auto opened = open_again_if_closed(); !opened) return opened;
    bool settled = false;
    while (true) {
      const int code = try_commit(batch);
      if (code == 0) break;
      if (code == MDB_MAP_FULL && grow_to(options_.map_limit_bytes)) continue;
      if (code == MDB_MAP_FULL && makes_room(batch) && grow_to(limit_with_reserve())) continue;
      if ((code == MDB_MAP_FULL || code == ENOSPC) && !settled) {
        settled = true;
        if (settle()) continue;
      }
      // LMDB gives an environment up when it cannot tell whether its header was written; a fresh
      // one reads what is there. Any other error leaves the last commit as it was, but a fresh
      // start then costs little too, and trusts nothing that was in memory.
      env_.reset();
      if (code == MDB_MAP_FULL) return std::unexpected(limit_reached());
      return std::unexpected(
          store_error(directory_, "cannot commit", code == MDB_PANIC ? EIO : code));
    }
    leave_reserve();
    return {};
  }

 private:
  fs::path file(const char* name) const { return directory_ / name; }

  std::expected<void, Error> prepare_files() {
    std::error_code error;
    const bool created = fs::exists(file(kCreatedName), error);
    const auto status = fs::status(file(kDataName), error);
    if (!fs::exists(status)) {
      if (created) return std::unexpected(damaged(directory_, "the file is missing"));
    } else if (auto sound = check_lmdb_file(file(kDataName)); !sound) {
      const auto size = fs::file_size(file(kDataName), error);
      if (created || error || size > kCreationBytes) {
        return std::unexpected(damaged(directory_, sound.error()));
      }
      // Nothing can have been stored yet.
      fs::remove(file(kDataName), error);
      if (error) {
        return std::unexpected(Error{"cannot remove " + file(kDataName).string() +
                                     ", left over from an interrupted start: " + error.message()});
      }
    }
    const int fd = ::open(file(kReadersName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
      return std::unexpected(system_error("cannot create " + file(kReadersName).string(), errno));
    }
    const int code = ::posix_fallocate(fd, 0, kReadersBytes);
    ::close(fd);
    // A file system without it gives holes, as LMDB itself would.
    if (code != 0 && code != EOPNOTSUPP && code != EINVAL) {
      return std::unexpected(store_error(directory_, "cannot create its lock file", code));
    }
    return {};
  }

  std::expected<void, Error> open_tables_of_store() {
    auto env = open_env(directory_, 0, std::max(options_.first_map_bytes, map_bytes_));
    if (!env) return std::unexpected(env.error());
    // The process before this one may have died between the write of LMDB's header and its sync;
    // what is read here is acted upon, so it must be durable.
    if (const int code = mdb_env_sync(env->get(), 1)) {
      return std::unexpected(store_error(directory_, "cannot sync", code));
    }
    Txn reading;
    if (const int code = reading.begin(env->get(), MDB_RDONLY)) {
      return std::unexpected(store_error(directory_, "cannot read", code));
    }
    const auto format = check_format(directory_, reading);
    reading.abort();
    if (!format) return std::unexpected(format.error());

    const bool fresh = *format == MDB_NOTFOUND;
    Tables tables;
    Txn txn;
    int code = txn.begin(env->get(), fresh ? 0 : MDB_RDONLY);
    if (code == 0) code = open_tables(txn, fresh ? MDB_CREATE : 0, tables);
    if (code == MDB_NOTFOUND) return std::unexpected(damaged(directory_, "a table is missing"));
    if (code == 0 && fresh) {
      if (auto written = write_format(directory_, txn, tables); !written) return written;
    }
    if (code == 0) code = txn.commit();
    if (code == 0) code = open_infos(env->get(), tables);
    if (code != 0) return std::unexpected(store_error(directory_, "cannot be opened", code));
    env_ = std::move(*env);
    tables_ = tables;
    return {};
  }

  std::expected<void, Error> mark_as_created() {
    std::error_code error;
    if (fs::exists(file(kCreatedName), error)) return {};
    // The names of the data file and of the mark become durable together.
    const int fd = ::open(file(kCreatedName).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    const int directory = fd < 0 ? -1 : ::open(directory_.c_str(), O_RDONLY | O_CLOEXEC);
    const bool synced = directory >= 0 && ::fsync(directory) == 0;
    const int number = errno;
    if (fd >= 0) ::close(fd);
    if (directory >= 0) ::close(directory);
    if (synced) return {};
    return std::unexpected(system_error("cannot create " + file(kCreatedName).string(), number));
  }

  std::expected<void, Error> open_again_if_closed() {
    if (env_) return {};
    return open_tables_of_store();
  }

  int try_commit(const StoreBatch& batch) {
    Txn txn;
    if (const int code = txn.begin(env_.get(), 0)) return code;
    if (const int code = Writer(txn, tables_).write(batch)) return code;
    return txn.commit();
  }

  std::size_t map_size() const {
    MDB_envinfo info{};
    mdb_env_info(env_.get(), &info);
    return info.me_mapsize;
  }

  bool grow_to(std::size_t limit) {
    const auto now = map_size();
    if (now >= limit) return false;
    const auto bytes = now > limit / 2 ? limit : now * 2;
    if (mdb_env_set_mapsize(env_.get(), bytes) != 0) return false;
    map_bytes_ = bytes;
    return true;
  }

  // LMDB writes changed pages to new places, so even a removal needs room. Without this reserve a
  // store at its limit could never drain.
  std::size_t limit_with_reserve() const {
    return options_.map_limit_bytes + std::max(options_.map_limit_bytes / 16, kLeastReserveBytes);
  }
  static bool makes_room(const StoreBatch& batch) {
    std::size_t added = 0;
    for (const auto& [agent, bytes] : batch.agents) added += bytes.size();
    for (const auto& [agent, bytes] : batch.infos) added += bytes.size();
    for (const auto& [index, bytes] : batch.outbox) added += bytes.size();
    for (const auto& [key, bytes] : batch.meta) added += bytes.size();
    const bool removes = batch.clear_outbox || batch.drop_outbox_through > 0 ||
                         !batch.removed_outbox.empty() || !batch.removed_agents.empty();
    return removes && added <= kSmallBytes;
  }
  void leave_reserve() {
    if (map_size() <= options_.map_limit_bytes) return;
    // LMDB takes the size in use if that is more.
    if (mdb_env_set_mapsize(env_.get(), options_.map_limit_bytes) == 0) map_bytes_ = map_size();
  }

  // LMDB uses a page again only two transactions after the one that freed it. One that changes
  // next to nothing lets those of the last commit come free.
  bool settle() {
    const bool grown = map_size() >= options_.map_limit_bytes && grow_to(limit_with_reserve());
    Txn txn;
    int code = txn.begin(env_.get(), 0);
    const auto number = std::to_string(kStoreFormat);
    auto key_val = to_val("number");
    auto value = to_val(number);
    if (code == 0) code = mdb_put(txn.get(), tables_.format, &key_val, &value, 0);
    if (code == 0) code = txn.commit();
    txn.abort();
    if (grown) leave_reserve();
    return code == 0;
  }

  Error limit_reached() const {
    return {"the store in " + directory_.string() + " has reached its limit of " +
            std::to_string(options_.map_limit_bytes) +
            " bytes: raise the limit, or let the outbox drain"};
  }

  const fs::path directory_;
  const LmdbOptions options_;
  const DirectoryLock lock_;
  std::size_t map_bytes_ = 0;  // as grown so far
  Env env_;                    // empty after a failed commit
  Tables tables_;
};

}  // namespace

std::expected<std::unique_ptr<LmdbSessionStore>, Error> LmdbSessionStore::open(
    const fs::path& directory, const LmdbOptions& options) {
  if (auto made = make_directory(directory); !made) return std::unexpected(made.error());
  auto lock = DirectoryLock::take(directory, "session store");
  if (!lock) return std::unexpected(lock.error());
  auto store = std::make_unique<StoreInLmdb>(directory, options, std::move(*lock));
  if (auto started = store->start(); !started) return std::unexpected(started.error());
  return store;
}

std::expected<StoreContents, Error> read_store(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(directory / kDataName, error)) {
    return std::unexpected(Error{"there is no session store in " + directory.string() + " (" +
                                 kDataName + " is missing): check the path"});
  }
  // LMDB's own locks belong to the process: closing a second environment would drop them.
  if (locked_by_this_process(directory)) {
    return std::unexpected(
        Error{"the store in " + directory.string() + " is open in this process: use load()"});
  }
  // Without a daemon there is nobody to lock out, and a lock file of the wrong owner would keep
  // the daemon from starting.
  const bool locked = fs::exists(directory / kReadersName, error);
  auto env = open_env(directory, MDB_RDONLY | (locked ? 0 : MDB_NOLOCK), 0);
  if (!env) return std::unexpected(env.error());
  // A daemon that grows or commits meanwhile costs another try, never a wrong answer.
  constexpr int kTries = 10;
  for (int i = 0;; ++i) {
    Txn txn;
    int code = txn.begin(env->get(), MDB_RDONLY);
    if (code == MDB_MAP_RESIZED && i < kTries) {
      code = mdb_env_set_mapsize(env->get(), 0);
      if (code == 0) continue;
    }
    if (code != 0) return std::unexpected(store_error(directory, "cannot read", code));
    auto sound = check_lmdb_file(directory / kDataName, mdb_txn_id(txn.get()));
    if (!sound && sound.error() == kGone && i < kTries) continue;
    if (!sound) return std::unexpected(damaged(directory, sound.error()));
    auto format = check_format(directory, txn);
    if (!format) return std::unexpected(format.error());
    Tables tables;
    code = *format == MDB_NOTFOUND ? MDB_NOTFOUND : open_tables(txn, 0, tables);
    if (code == MDB_NOTFOUND) return std::unexpected(damaged(directory, "a table is missing"));
    if (code != 0) return std::unexpected(store_error(directory, "cannot read", code));
    return read_contents(directory, txn, tables);
  }
}

}  // namespace rollcall::persist
