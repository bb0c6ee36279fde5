// The data file of a sidecar's store, damaged: opened it can be read and written, refused it says
// why. LMDB itself believes its pages, so whatever passes the check must be safe for it.
#include "persist/lmdb_session_store.h"

#include "persist/lmdb_check.h"
#include "tests/fuzz/scratch.h"

using namespace rollcall;
using namespace rollcall::persist;
using fuzz::must;

namespace {

constexpr const char* kDataName = "data.mdb";
const LmdbOptions kSmall{.map_limit_bytes = std::size_t{4} << 20,
                         .first_map_bytes = std::size_t{1} << 20};

// A store with values of all sizes, as LMDB wrote it.
std::string whole_store(const std::filesystem::path& directory) {
  auto store = LmdbSessionStore::open(directory, kSmall);
  must(store.has_value(), "a new store can be made");
  for (int round = 0; round < 3; ++round) {
    StoreBatch batch;
    for (std::uint32_t id = 1; id <= 60; ++id)
      batch.agents.emplace_back(id, std::string(40 + id, static_cast<char>('a' + round)));
    batch.outbox.emplace_back(static_cast<std::uint64_t>(round), std::string(9'000, 'o'));
    batch.meta.emplace_back("store", std::to_string(round));
    must((*store)->commit(batch).has_value(), "and written");
  }
  store->reset();
  return fuzz::read_file(directory / kDataName);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::Scratch scratch;
  static const std::string whole = whole_store(scratch.path());
  const auto& directory = scratch.path();
  scratch.clear();

  fuzz::Input in(data, size);
  std::string bytes = whole;
  if (in.flag()) bytes.resize(in.number<std::uint32_t>() % (bytes.size() + 1));
  while (!in.empty() && !bytes.empty()) {
    // Headers are where the damage is interesting: half of the patches go to the first bytes of a
    // page.
    const std::uint32_t where = in.number<std::uint32_t>();
    const std::size_t page = (where >> 8) % (bytes.size() / 4096 + 1) * 4096;
    const std::size_t at = (where & 1 ? where >> 1 : page + (where >> 1 & 0x7f)) % bytes.size();
    const auto patch = in.take(1 + in.below(8));
    bytes.replace(at, std::min(patch.size(), bytes.size() - at),
                  patch.substr(0, bytes.size() - at));
  }
  fuzz::write_file(directory / kDataName, bytes);
  fuzz::write_file(directory / "created", "");

  auto store = LmdbSessionStore::open(directory, kSmall);
  if (!store) {
    must(!store.error().message.empty(), "a refusal says why");
    return 0;
  }
  const auto contents = (*store)->load();
  if (!contents) return 0;
  StoreContents expected = *contents;
  StoreBatch batch;
  batch.agents.emplace_back(7, "seven");
  batch.outbox.emplace_back(1u << 20, "event");
  if (!(*store)->commit(batch)) return 0;
  apply(batch, expected);
  const auto again = (*store)->load();
  must(again && *again == expected, "what was committed is there, and nothing else changed");
  return 0;
}
