#pragma once
// What the loop answers to the readers of a stream. All of them share one question, and while the
// loop is stuck one HTTP thread waits for it at most: the others are told at once that it is busy.
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "inspect/loop_call.h"

namespace rollcall::inspect {

template <typename T>
class SharedAnswer {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kShared = std::chrono::milliseconds(200);  // how old an answer may be
  static constexpr auto kAgain = std::chrono::seconds(1);  // after a question that failed
  // How long the others wait for the answer to a question that is under way.
  static constexpr auto kPatience = std::chrono::milliseconds(200);

  // `question` is asked on the loop thread.
  SharedAnswer(Post post, std::function<T()> question,
               std::function<Clock::time_point()> now = Clock::now)
      : post_(std::move(post)), question_(std::move(question)), now_(std::move(now)) {}

  // Nothing if the loop does not answer. Any thread.
  std::shared_ptr<const T> get() {
    std::unique_lock lock(mutex_);
    if (is_fresh()) return latest_;
    if (failed_) {
      if (asking_ || now_() - *failed_ < kAgain) return nullptr;
    } else if (asking_) {
      answered_.wait_for(lock, kPatience, [this] { return !asking_; });
      return is_fresh() ? latest_ : nullptr;
    }
    asking_ = true;
    lock.unlock();
    auto answer = ask(post_, question_);
    lock.lock();
    asking_ = false;
    answered_.notify_all();
    if (!answer) {
      failed_ = now_();
      return nullptr;
    }
    failed_.reset();
    latest_ = std::make_shared<const T>(*std::move(answer));
    since_ = now_();
    return latest_;
  }

 private:
  bool is_fresh() const { return latest_ && now_() - since_ < kShared; }

  const Post post_;
  const std::function<T()> question_;
  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  // Guarded by mutex_, which nobody holds while the loop is asked.
  std::condition_variable answered_;
  bool asking_ = false;
  std::shared_ptr<const T> latest_;
  Clock::time_point since_;
  std::optional<Clock::time_point> failed_;  // since then, if the last question failed
};

}  // namespace rollcall::inspect
