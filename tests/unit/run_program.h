#pragma once
// A program as its user meets it: arguments in, exit code and words out.
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace rollcall {

struct Ended {
  int code = -1;       // -1: by a signal
  std::string output;  // standard output and standard error
};

inline Ended run_program(const std::string& command) {
  Ended ended;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ended;
  std::array<char, 4096> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    ended.output.append(buffer.data(), count);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
  return ended;
}

}  // namespace rollcall
