#include "app/disk_thread.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace rollcall::app {

DiskThread::DiskThread(std::size_t bound)
    : bound_(bound), thread_([this] { run(); }), id_(thread_.get_id()) {}

DiskThread::~DiskThread() {
  stop();
}

DiskThread::Submitted DiskThread::submit(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return Submitted::Stopped;
    if (jobs_.size() >= bound_) return Submitted::Full;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
  return Submitted::Queued;
}

void DiskThread::stop() {
  if (std::this_thread::get_id() == id_) {
    std::fputs("DiskThread::stop() was called by one of its own jobs\n", stderr);
    std::abort();
  }
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  const std::lock_guard lock(joining_);
  if (thread_.joinable()) thread_.join();
}

std::size_t DiskThread::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void DiskThread::run() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
    // The job, and what it holds, ends here on the disk thread, before the next one starts.
  }
}

}  // namespace rollcall::app
