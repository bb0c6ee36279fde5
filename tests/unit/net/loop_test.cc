#include "net/loop.h"

#include <signal.h>
#include <uv.h>

#include <memory>
#include <optional>
#include <semaphore>
#include <thread>
#include <vector>

#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using std::chrono::milliseconds;
class LoopBehaviour : public LoopTest {};
class TimerBehaviour : public LoopTest {};

TEST_F(LoopBehaviour, RunsWhatOtherThreadsPostInTheOrderOfEachThread) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int task = 0; task < kTasks; ++task) {
        loop.post([&, thread, task] {
          seen[thread].push_back(task);
          if (++total == kThreads * kTasks) loop.stop();
        });
      }
    });
  }
  run();
  for (auto& thread : threads) thread.join();
  for (const auto& tasks : seen) {
    ASSERT_EQ(tasks.size(), kTasks);
    for (int task = 0; task < kTasks; ++task) EXPECT_EQ(tasks[task], task);
  }
}

TEST_F(LoopBehaviour, RunsATaskThatATaskPostsInALaterTurn) {
  bool inside = false;
  loop.post([&] {
    inside = true;
    loop.post([&] {
      EXPECT_FALSE(inside);
      loop.stop();
    });
    inside = false;
  });
  run();
}

TEST_F(LoopBehaviour, RefusesAndDropsWhatIsPostedAfterClose) {
  auto posted_before = std::make_shared<int>();
  EXPECT_TRUE(loop.post([posted_before] {}));
  ASSERT_TRUE(loop.close());
  EXPECT_EQ(posted_before.use_count(), 1) << "the task was dropped";
  EXPECT_FALSE(loop.post([] { FAIL(); }));
}

TEST_F(LoopBehaviour, EndsATurnBeforeItWaits) {
  std::vector<int> order;
  Timer timer(loop);
  timer.start(milliseconds(0), [&] {
    loop.at_turn_end([&] {
      order.push_back(2);
      loop.post([&] { loop.stop(); });
    });
    order.push_back(1);
  });
  run();
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST_F(LoopBehaviour, EndsATurnOfPostedTasksBeforeItWaits) {
  std::vector<int> order;
  loop.post([&] {
    loop.at_turn_end([&] {
      order.push_back(2);
      loop.at_turn_end([&] { order.push_back(3); });
      loop.post([&] { order.push_back(4); });
      loop.post([&] { loop.stop(); });
    });
    order.push_back(1);
  });
  run();
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
}

TEST_F(LoopBehaviour, ATurnsEndThatATimerMadeMayAskForMore) {
  std::vector<int> order;
  Timer timer(loop);
  timer.start(milliseconds(0), [&] {
    loop.at_turn_end([&] { loop.at_turn_end([&] { order.push_back(1); }); });
    loop.post([&] {
      order.push_back(2);
      loop.stop();
    });
  });
  run();
  EXPECT_EQ(order, (std::vector{1, 2})) << "before the loop waited";
}

TEST_F(LoopBehaviour, HearsSignals) {
  int heard = 0;
  loop.on_signal(SIGUSR1, [&] {
    ++heard;
    loop.stop();
  });
  raise(SIGUSR1);
  run();
  raise(SIGUSR1);
  run();
  EXPECT_EQ(heard, 2);
}

TEST_F(LoopBehaviour, IgnoresSigpipe) {
  struct sigaction current {};
  ASSERT_EQ(sigaction(SIGPIPE, nullptr, &current), 0);
  EXPECT_EQ(current.sa_handler, SIG_IGN);
}

// As a lookup is while no name server answers.
TEST_F(LoopBehaviour, ClosesAlthoughARequestOnAnotherThreadDoesNotEnd) {
  static std::binary_semaphore may_end{0};
  static std::binary_semaphore ended{0};
  auto* request = new uv_work_t;  // never told that it ended
  {
    Loop short_lived;
    uv_queue_work(
        short_lived.uv(), request,
        [](uv_work_t*) {
          may_end.acquire();
          ended.release();
        },
        [](uv_work_t*, int) { FAIL() << "its loop is gone"; });
    EXPECT_TRUE(short_lived.close());
  }
  may_end.release();
  ended.acquire();
}

TEST_F(LoopBehaviour, NamesTheHandlesThatKeepItFromClosing) {
  std::optional<Timer> forgotten(std::in_place, loop);
  const auto refused = loop.close();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("timer"));
  forgotten.reset();
  EXPECT_TRUE(loop.close());
}

TEST_F(LoopBehaviour, ClosesAfterAStopThatCameTooEarly) {
  loop.stop();
  EXPECT_TRUE(loop.close());
}

TEST_F(TimerBehaviour, FiresOnce) {
  int fired = 0;
  Timer timer(loop);
  timer.start(milliseconds(1), [&] {
    ++fired;
    EXPECT_FALSE(timer.active());
    loop.post([&] { loop.stop(); });
  });
  EXPECT_TRUE(timer.active());
  run();
  EXPECT_EQ(fired, 1);
}

TEST_F(TimerBehaviour, RepeatsUntilItIsStoppedInsideItsOwnCallback) {
  int fired = 0;
  Timer timer(loop);
  timer.repeat(milliseconds(0), [&] {
    if (++fired < 3) return;
    timer.stop();
    loop.stop();
  });
  run();
  EXPECT_EQ(fired, 3);
  EXPECT_FALSE(timer.active());
}

TEST_F(TimerBehaviour, MayBeRestartedInsideItsOwnCallback) {
  auto alive = std::make_shared<int>(1);
  Timer timer(loop);
  timer.start(milliseconds(0), [&, alive] {
    timer.start(milliseconds(0), [&] { loop.stop(); });
    EXPECT_EQ(*alive, 1) << "the running task still has what it captured";
  });
  run();
}

TEST_F(TimerBehaviour, MayBeDestroyedInsideItsOwnCallback) {
  auto alive = std::make_shared<int>(1);
  auto timer = std::make_unique<Timer>(loop);
  timer->repeat(milliseconds(0), [&, alive] {
    timer.reset();
    EXPECT_EQ(*alive, 1);
    loop.stop();
  });
  run();
}

TEST_F(TimerBehaviour, DestroyedWhileActiveNeverFires) {
  {
    Timer(loop).start(milliseconds(0), [] { FAIL(); });
  }
  Timer later(loop);
  later.start(milliseconds(2), [&] { loop.stop(); });
  run();
}

}  // namespace
}  // namespace rollcall::net
