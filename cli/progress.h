#pragma once
// A bar on standard error for work that takes long, if a person watches there; else nothing. It is
// gone when the work is done.
#include <chrono>
#include <cstdint>
#include <string>

#include "cli/screen.h"

namespace rollcall::cli {

class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // So much of it is done; with a total of 0 it is not known how much there is.
  void show(std::uint64_t done, std::uint64_t total);

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  Screen screen_;
  Clock::time_point next_;  // work that is done soon shows nothing
  bool shown_ = false;
};

// "Reading the log  [####----]  50 %", or "Reading the log  1,200" of an unknown total.
std::string progress_line(const std::string& what, std::uint64_t done, std::uint64_t total,
                          std::size_t columns);

}  // namespace rollcall::cli
