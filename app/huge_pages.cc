#include "app/huge_pages.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace rollcall::app {

void use_huge_pages(char** argv) {
  constexpr const char* kTunables = "GLIBC_TUNABLES";
  if (std::getenv(kTunables) != nullptr) return;
  // By its own path, which names the process in ps.
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error || ::setenv(kTunables, "glibc.malloc.hugetlb=1", 0) != 0) return;
  ::execv(program.c_str(), argv);
}

}  // namespace rollcall::app
