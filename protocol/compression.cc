#include "protocol/compression.h"

#include <zstd.h>

#include <cstdlib>
#include <memory>

namespace rollcall {

namespace {

struct Free {
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
};

// A context is a large allocation that keeps nothing from one payload to the next, so that each
// thread makes one and keeps it.
template <typename Context, Context* (*make)()>
Context* context() {
  thread_local const std::unique_ptr<Context, Free> kept(make());
  if (!kept) std::abort();  // out of memory
  return kept.get();
}

}  // namespace

std::string compress(std::string_view plain, int level) {
  std::string packed;
  if (plain.size() < 2) return packed;
  packed.resize(plain.size() - 1);
  const std::size_t n = ZSTD_compressCCtx(context<ZSTD_CCtx, ZSTD_createCCtx>(), packed.data(),
                                          packed.size(), plain.data(), plain.size(), level);
  packed.resize(ZSTD_isError(n) ? 0 : n);  // the only error there can be: it does not fit
  return packed;
}

std::expected<std::string, Error> decompress(std::string_view packed, std::size_t size) {
  std::string plain(size, '\0');
  const std::size_t n = ZSTD_decompressDCtx(context<ZSTD_DCtx, ZSTD_createDCtx>(), plain.data(),
                                            plain.size(), packed.data(), packed.size());
  if (ZSTD_isError(n)) return std::unexpected(Error{ZSTD_getErrorName(n)});
  if (n != size) return std::unexpected(Error{"it unpacks to less than it says"});
  return plain;
}

}  // namespace rollcall
