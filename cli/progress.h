#pragma once
// A bar on standard error for work that takes long, if a person watches there; else nothing. It is
// gone when the work is done.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
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

// How much of some work is done, counted by whoever does it, shown by whoever waits for it.
class Steps {
 public:
  explicit Steps(std::uint64_t total) : total_(total) {}
  void add_done() { ++done_; }
  std::uint64_t done() const { return done_; }
  std::uint64_t total() const { return total_; }

 private:
  std::atomic<std::uint64_t> done_ = 0;
  const std::uint64_t total_;
};

// Shows how far it is while `work(steps)` is done, also while one step takes long.
template <typename Work>
auto shown_while(const std::string& what, std::uint64_t total, const Work& work) {
  Steps steps(total);
  if (!screen_of(2).terminal) return work(steps);
  auto result = std::async(std::launch::async, [&] { return work(steps); });
  Progress progress(what);
  while (result.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready)
    progress.show(steps.done(), steps.total());
  return result.get();
}

// Of something that becomes less, how much is gone of the most that there was.
class Remaining {
 public:
  void see(std::uint64_t left) {
    left_ = left;
    if (left > most_) most_ = left;
  }
  std::uint64_t done() const { return most_ - left_; }
  std::uint64_t total() const { return most_; }

 private:
  std::uint64_t most_ = 0, left_ = 0;
};

// "Reading the log  [####----]  50 %", or "Reading the log  1,200" of an unknown total.
std::string progress_line(const std::string& what, std::uint64_t done, std::uint64_t total,
                          std::size_t columns);

}  // namespace rollcall::cli
