#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>

#include "protocol/error.h"

struct uv_loop_s;

namespace rollcall::net {

// The event loop that owns all state of a daemon. Everything here and in the other headers of
// net/ is for the loop thread only, except Loop::post(). Callbacks must not throw.
//
// Every Timer, stream, listener and connector on a loop is destroyed before its close().
class Loop {
 public:
  // Sets SIGPIPE to "ignore" if nobody has set it: a write to a dead peer is an error of that
  // stream, not the end of the process.
  Loop();
  ~Loop();  // calls close(), and aborts if a handle was forgotten
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until stop(), also while nothing else is going on. May be called again afterwards.
  void run();
  // Loop thread (or before run()); from elsewhere: post([&] { loop.stop(); }).
  void stop();

  // Any thread. Runs `task` on the loop thread in a later turn, in the order of the calls. After
  // close() the task is dropped and false returned. The number of tasks is bounded by the callers.
  bool post(std::function<void()> task);

  // Runs `task` once, when the callbacks of this turn are over and before the loop waits again.
  void at_turn_end(std::function<void()> task);

  // Which turn this is: one more each time the loop waits.
  std::uint64_t turn() const;

  // Calls `task` on the loop thread for each `signal_number` that arrives, until close().
  void on_signal(int signal_number, std::function<void()> task);

  // Ends the loop: waits for handles that are being closed (streams may need a second to say
  // goodbye), drops what is still posted. The error names the handles that were left open. A request
  // that does not end within 5 s, such as the lookup of a name, is left behind with its memory.
  std::expected<void, Error> close();

  uv_loop_s* uv();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Calls a function later, once or again and again. May be restarted, stopped or destroyed inside
// its own callback. Measured on the monotonic clock.
class Timer {
 public:
  explicit Timer(Loop& loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void start(std::chrono::milliseconds delay, std::function<void()> task);
  void repeat(std::chrono::milliseconds interval, std::function<void()> task);
  void stop();
  bool active() const;

 private:
  struct State;
  void start(std::chrono::milliseconds delay, std::chrono::milliseconds interval,
             std::function<void()> task);
  State* state_;  // owned by its uv handle, which outlives this object by one turn
};

}  // namespace rollcall::net
