#pragma once
#include <cstdint>

namespace rollcall::app {

// A random number from the kernel.
std::uint64_t random_seed();

}  // namespace rollcall::app
