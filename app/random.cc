#include "app/random.h"

#include <sys/random.h>

#include <cstdlib>

namespace rollcall::app {

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) std::abort();
  return seed;
}

}  // namespace rollcall::app
