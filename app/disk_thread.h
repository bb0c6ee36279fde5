// One thread that does the waiting for the disk, so that the loop thread never does. Jobs run in
// the order in which they were submitted, one at a time. submit() may be called from any thread.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace rollcall::app {

class DiskThread {
 public:
  enum class Submitted {
    Queued,
    Full,     // not taken: stop producing until a job has finished
    Stopped,  // not taken: stop() was called
  };

  // At most `bound` jobs wait, not counting the one that runs. submit() never blocks: the caller
  // is the loop thread, and a full queue is its sign to stop reading.
  explicit DiskThread(std::size_t bound = 64);
  ~DiskThread();  // stops
  DiskThread(const DiskThread&) = delete;
  DiskThread& operator=(const DiskThread&) = delete;

  // A job reports its outcome itself, for example by posting to the loop; one that throws ends the
  // process, since nobody could know any more what is on the disk.
  [[nodiscard]] Submitted submit(std::function<void()> job);

  // Takes no further job, runs all that wait, and returns when the last one is done. May be called
  // more than once and from any thread but the disk thread itself. A job must not wait for the
  // thread that calls this.
  void stop();

  std::size_t waiting() const;

 private:
  void run();

  const std::size_t bound_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  bool stopping_ = false;                   // guarded by mutex_
  std::mutex joining_;                      // guards thread_.join()
  std::jthread thread_;                     // last but one: it uses all of the above
  const std::thread::id id_;                // thread_ forgets its own when it is joined
};

}  // namespace rollcall::app
