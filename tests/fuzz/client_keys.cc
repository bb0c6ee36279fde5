// Wazuh's list of enrolled agents, asked whether it is empty.
#include "sidecar/source/client_keys.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/input.h"

using rollcall::fuzz::must;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int fd = memfd_create("client.keys", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == static_cast<ssize_t>(size),
       "a file in memory can be written");
  const auto empty = rollcall::sidecar::no_agents_enrolled(path);
  must(empty.has_value(), "a short plain file is always answered");
  if (size == 0) must(*empty, "nobody is enrolled in an empty file");
  return 0;
}
