#pragma once
// The threads that run handlers, and the bounded queue before them.
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace rollcall::inspect {

class HttpWorkers {
 public:
  HttpWorkers(std::size_t threads, std::size_t bound) : bound_(bound) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~HttpWorkers() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      jobs_.clear();  // their connections are gone
    }
    changed_.notify_all();
  }
  // False if too many wait.
  bool submit(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      if (jobs_.size() >= bound_) return false;
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
    return true;
  }

 private:
  void run() {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (stopping_) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job();
    }
  }

  const std::size_t bound_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  bool stopping_ = false;                   // guarded by mutex_
  std::vector<std::jthread> threads_;       // last: joined before the rest ends
};

}  // namespace rollcall::inspect
