// The SessionStore on disk, in LMDB. docs/store-format.md has the bytes.
//
// One thread at a time. One process at a time, except for read_store().
#pragma once
#include <cstddef>
#include <expected>
#include <filesystem>
#include <memory>

#include "persist/session_store.h"

namespace rollcall::persist {

struct LmdbOptions {
  // How far the data file may grow; it starts at `first_map_bytes` and doubles when it is full.
  std::size_t map_limit_bytes = std::size_t{4} << 30;
  std::size_t first_map_bytes = std::size_t{64} << 20;
};

class LmdbSessionStore : public SessionStore {
 public:
  // Opens the store in `directory`, which is created if it is missing. Refuses a directory that
  // another process uses, a store of a newer format, and a damaged one; each message says what to
  // do.
  static std::expected<std::unique_ptr<LmdbSessionStore>, Error> open(
      const std::filesystem::path& directory, const LmdbOptions& options = {});
};

// What a store holds now, for a tool in another process: the daemon may go on committing. In the
// process that has the store open, use load() instead.
std::expected<StoreContents, Error> read_store(const std::filesystem::path& directory);

}  // namespace rollcall::persist
