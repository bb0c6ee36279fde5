#pragma once
// How many files and connections this process may have open.
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>

namespace rollcall::app {

// Raises the limit to `wanted` as far as the system lets us; what it is then.
inline std::uint64_t raise_file_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

}  // namespace rollcall::app
