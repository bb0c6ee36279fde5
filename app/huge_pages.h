#pragma once
// Memory for a million agents, in fewer pages.

namespace rollcall::app {

// Starts this program anew, as the same process, with an allocator that asks the kernel for huge
// pages: it reads that from the environment before main() begins. Returns if that is done already,
// if GLIBC_TUNABLES was set by whoever started it, or if it cannot be done, which costs time only.
// First call of main().
void use_huge_pages(char** argv);

}  // namespace rollcall::app
