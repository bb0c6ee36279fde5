#include "net/loop.h"

#include <uv.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace rollcall::net {
namespace {

// Longer than any goodbye (socket.cc).
constexpr std::uint64_t kCloseDeadlineMs = 8'000;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "rollcall: %s\n", message.c_str());
  std::abort();
}

void must(int status, const char* what) {
  if (status != 0)
    die(std::string("the event loop failed in ") + what + ": " + uv_strerror(status));
}

template <typename Handle>
uv_handle_t* as_handle(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

void ignore_sigpipe() {
  struct sigaction current {};
  if (sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL) {
    std::signal(SIGPIPE, SIG_IGN);
  }
}

}  // namespace

struct Loop::Impl {
  struct Signal {
    uv_signal_t handle;
    std::function<void()> task;
  };

  uv_loop_t loop;
  uv_async_t async;
  // Two places to end a turn: `check` after the callbacks of the poll, `prepare` before the loop
  // waits, for what timers and closing handles asked for.
  uv_prepare_t prepare;
  uv_check_t check;
  std::vector<std::unique_ptr<Signal>> signals;
  std::vector<std::function<void()>> turn_end;
  std::uint64_t turn = 0;
  bool signals_and_async_closed = false;
  bool turn_handles_closed = false;
  bool closed = false;
  bool abandoned = false;  // a request runs on another thread and will touch this

  std::mutex mutex;
  std::vector<std::function<void()>> posted;  // guarded by mutex
  bool accepting = true;                      // guarded by mutex

  void run_posted() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mutex);
      tasks.swap(posted);
    }
    for (auto& task : tasks) task();
  }

  // What a task asks for at the end of the turn belongs to this turn, too.
  void run_turn_end() {
    while (!turn_end.empty()) {
      const auto tasks = std::exchange(turn_end, {});
      for (const auto& task : tasks) task();
    }
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {
  ignore_sigpipe();
  must(uv_loop_init(&impl_->loop), "uv_loop_init");
  must(uv_async_init(&impl_->loop, &impl_->async,
                     [](uv_async_t* handle) { static_cast<Impl*>(handle->data)->run_posted(); }),
       "uv_async_init");
  must(uv_prepare_init(&impl_->loop, &impl_->prepare), "uv_prepare_init");
  must(uv_check_init(&impl_->loop, &impl_->check), "uv_check_init");
  impl_->async.data = impl_->prepare.data = impl_->check.data = impl_.get();
  uv_prepare_start(&impl_->prepare, [](uv_prepare_t* handle) {
    Impl& self = *static_cast<Impl*>(handle->data);
    self.run_turn_end();
    ++self.turn;
  });
  uv_check_start(&impl_->check,
                 [](uv_check_t* handle) { static_cast<Impl*>(handle->data)->run_turn_end(); });
  uv_unref(as_handle(&impl_->prepare));
  uv_unref(as_handle(&impl_->check));
}

Loop::~Loop() {
  if (auto closed = close(); !closed) die(closed.error().message);
  if (impl_->abandoned) (void)impl_.release();
}

void Loop::run() {
  uv_run(&impl_->loop, UV_RUN_DEFAULT);
}

void Loop::stop() {
  uv_stop(&impl_->loop);
}

bool Loop::post(std::function<void()> task) {
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->accepting) return false;
  impl_->posted.push_back(std::move(task));
  // Under the lock: close() must not close the handle between the check and the use.
  uv_async_send(&impl_->async);
  return true;
}

void Loop::at_turn_end(std::function<void()> task) {
  impl_->turn_end.push_back(std::move(task));
}

std::uint64_t Loop::turn() const {
  return impl_->turn;
}

void Loop::on_signal(int signal_number, std::function<void()> task) {
  auto& signal = impl_->signals.emplace_back(std::make_unique<Impl::Signal>());
  signal->task = std::move(task);
  must(uv_signal_init(&impl_->loop, &signal->handle), "uv_signal_init");
  signal->handle.data = signal.get();
  must(uv_signal_start(
           &signal->handle,
           [](uv_signal_t* handle, int) { static_cast<Impl::Signal*>(handle->data)->task(); },
           signal_number),
       "uv_signal_start");
}

std::expected<void, Error> Loop::close() {
  if (impl_->closed) return {};

  if (!impl_->signals_and_async_closed) {
    impl_->signals_and_async_closed = true;
    std::vector<std::function<void()>> dropped;
    {
      const std::lock_guard lock(impl_->mutex);
      impl_->accepting = false;
      dropped.swap(impl_->posted);
    }
    uv_close(as_handle(&impl_->async), nullptr);
    for (auto& signal : impl_->signals) uv_close(as_handle(&signal->handle), nullptr);
  }

  struct Guard {
    uv_timer_t handle;
    bool expired = false;
  };
  auto* guard = new Guard;
  must(uv_timer_init(&impl_->loop, &guard->handle), "uv_timer_init");
  guard->handle.data = guard;
  uv_timer_start(
      &guard->handle,
      [](uv_timer_t* handle) {
        static_cast<Guard*>(handle->data)->expired = true;
        uv_stop(handle->loop);
      },
      kCloseDeadlineMs, 0);
  uv_unref(as_handle(&guard->handle));
  // More than once: an earlier stop() ends the first run before it began.
  while (uv_run(&impl_->loop, UV_RUN_DEFAULT) != 0 && !guard->expired) {
  }
  impl_->turn_end.clear();

  uv_close(as_handle(&guard->handle),
           [](uv_handle_t* handle) { delete static_cast<Guard*>(handle->data); });
  if (!impl_->turn_handles_closed) {
    impl_->turn_handles_closed = true;
    uv_close(as_handle(&impl_->prepare), nullptr);
    uv_close(as_handle(&impl_->check), nullptr);
  }
  uv_run(&impl_->loop, UV_RUN_NOWAIT);

  if (uv_loop_close(&impl_->loop) != 0) {
    std::string left;
    uv_walk(
        &impl_->loop,
        [](uv_handle_t* handle, void* list) {
          auto& names = *static_cast<std::string*>(list);
          if (!names.empty()) names += ", ";
          names += uv_handle_type_name(handle->type);
        },
        &left);
    if (!left.empty()) {
      return std::unexpected(
          Error{"the event loop cannot end, because these handles are still open (destroy their "
                "owners first): " +
                left});
    }
    // A lookup of a name that no name server answers cannot be cancelled, and may take minutes.
    impl_->abandoned = true;
  }
  impl_->closed = true;
  return {};
}

uv_loop_s* Loop::uv() {
  return &impl_->loop;
}

struct Timer::State {
  uv_timer_t handle;
  // Shared, so that a task which restarts its own timer does not destroy itself while it runs.
  std::shared_ptr<std::function<void()>> task;
};

Timer::Timer(Loop& loop) : state_(new State) {
  must(uv_timer_init(loop.uv(), &state_->handle), "uv_timer_init");
  state_->handle.data = state_;
}

Timer::~Timer() {
  uv_close(as_handle(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void Timer::start(std::chrono::milliseconds delay, std::function<void()> task) {
  start(delay, std::chrono::milliseconds(0), std::move(task));
}

void Timer::repeat(std::chrono::milliseconds interval, std::function<void()> task) {
  interval = std::max(interval, std::chrono::milliseconds(1));  // 0 would mean "once" to libuv
  start(interval, interval, std::move(task));
}

void Timer::start(std::chrono::milliseconds delay, std::chrono::milliseconds interval,
                  std::function<void()> task) {
  state_->task = std::make_shared<std::function<void()>>(std::move(task));
  // The loop's idea of now is as old as this turn; a long callback would shorten the delay.
  uv_update_time(state_->handle.loop);
  const auto count = [](std::chrono::milliseconds ms) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(ms.count(), 0));
  };
  must(uv_timer_start(
           &state_->handle,
           [](uv_timer_t* handle) {
             const auto running = static_cast<State*>(handle->data)->task;
             (*running)();
           },
           count(delay), count(interval)),
       "uv_timer_start");
}

void Timer::stop() {
  uv_timer_stop(&state_->handle);
}

bool Timer::active() const {
  return uv_is_active(as_handle(&state_->handle)) != 0;
}

}  // namespace rollcall::net
