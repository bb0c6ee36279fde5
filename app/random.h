#pragma once
#include <cstdint>

namespace rollcall::app {

// A random number from the kernel. Not by std::random_device: the one in libstdc++ wants a newer
// glibc than packages for RHEL 9 may (packaging/check-elf).
std::uint64_t random_seed();

}  // namespace rollcall::app
