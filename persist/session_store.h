// The sidecar's durable state: one record per agent, the infos of those whose source cannot be
// asked again, the outbox of unsent or unacked events, and a few named values. What the bytes mean
// is the business of sidecar/core; here they are opaque.
//
// One thread at a time (in the daemon: the disk thread).
#pragma once
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "protocol/error.h"

namespace rollcall::persist {

// One change of the store, applied whole or not at all. The members stand in the order in which
// they take effect: what is cleared, dropped or removed goes first, then the upserts, so that one
// batch may replace the whole outbox. Within one vector the last entry for a key wins.
// A batch may be committed twice with the same result, so a failed commit is simply tried again.
struct StoreBatch {
  bool clear_outbox = false;
  std::uint64_t drop_outbox_through = 0;           // every entry with an index up to this one
  std::vector<std::uint64_t> removed_outbox = {};  // single entries (folded into newer ones)
  std::vector<std::uint32_t> removed_agents = {};  // with their infos
  std::vector<std::pair<std::uint32_t, std::string>> agents = {};
  std::vector<std::pair<std::uint32_t, std::string>> infos = {};  // by agent
  std::vector<std::pair<std::uint64_t, std::string>> outbox = {};
  // Keys of 1 to kMaxMetaKeyBytes bytes.
  std::vector<std::pair<std::string, std::string>> meta = {};

  bool empty() const {
    return !clear_outbox && drop_outbox_through == 0 && removed_outbox.empty() &&
           removed_agents.empty() && agents.empty() && infos.empty() && outbox.empty() &&
           meta.empty();
  }
};

inline constexpr std::size_t kMaxMetaKeyBytes = 511;

using StoredInfos = std::map<std::uint32_t, std::string>;

struct StoreContents {
  std::map<std::uint32_t, std::string> agents;
  std::map<std::uint64_t, std::string> outbox;
  std::map<std::string, std::string> meta;
  StoredInfos infos = {};  // load() leaves it empty: read_infos() has them

  bool operator==(const StoreContents&) const = default;
};

// The meaning of a batch; every implementation gives the same result.
void apply(const StoreBatch& batch, StoreContents& contents);

// Refuses what no implementation could store: an empty or overlong key in `meta`.
std::expected<void, Error> check(const StoreBatch& batch);

class SessionStore {
 public:
  virtual ~SessionStore() = default;

  virtual std::expected<StoreContents, Error> load() = 0;

  // The infos of these agents, as committed; those that have none are left out.
  virtual std::expected<StoredInfos, Error> read_infos(
      const std::vector<std::uint32_t>& agents) = 0;

  // Durable when it returns without an error. After an error (disk full, I/O error) keep the
  // batch and commit it again, alone or with what came since: until that succeeds, a crash may
  // leave the store with the batch or without it, never with a part of it.
  virtual std::expected<void, Error> commit(const StoreBatch& batch) = 0;
};

}  // namespace rollcall::persist
