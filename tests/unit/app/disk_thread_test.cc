#include "app/disk_thread.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace rollcall::app {
namespace {

using Submitted = DiskThread::Submitted;

TEST(DiskThread, RunsJobsInTheOrderOfTheirSubmission) {
  std::vector<int> ran;
  DiskThread disk(1000);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(disk.submit([&ran, i] { ran.push_back(i); }), Submitted::Queued);
  }
  disk.stop();
  ASSERT_EQ(ran.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(ran[static_cast<std::size_t>(i)], i);
}

TEST(DiskThread, RunsJobsOnAThreadOfItsOwn) {
  DiskThread disk;
  std::promise<std::thread::id> id;
  ASSERT_EQ(disk.submit([&] { id.set_value(std::this_thread::get_id()); }), Submitted::Queued);
  EXPECT_NE(id.get_future().get(), std::this_thread::get_id());
}

TEST(DiskThread, StopRunsEveryJobThatWaits) {
  std::promise<void> gate;
  int ran = 0;
  DiskThread disk(8);
  ASSERT_EQ(disk.submit([opened = gate.get_future().share()] { opened.wait(); }),
            Submitted::Queued);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(disk.submit([&ran] { ++ran; }), Submitted::Queued);
  std::jthread opener([&] { gate.set_value(); });
  disk.stop();
  EXPECT_EQ(ran, 5);
  EXPECT_EQ(disk.waiting(), 0u);
}

TEST(DiskThread, RefusesAJobAboveItsBoundWithoutBlocking) {
  std::promise<void> gate;
  std::promise<void> begun;
  DiskThread disk(2);
  ASSERT_EQ(disk.submit([&begun, opened = gate.get_future().share()] {
    begun.set_value();
    opened.wait();
  }),
            Submitted::Queued);
  begun.get_future().wait();  // from here on the queue is empty and the thread is busy
  EXPECT_EQ(disk.submit([] {}), Submitted::Queued);
  EXPECT_EQ(disk.submit([] {}), Submitted::Queued);
  EXPECT_EQ(disk.submit([] {}), Submitted::Full);
  gate.set_value();
}

TEST(DiskThread, TakesJobsAgainAfterItWasFull) {
  DiskThread disk(1);
  for (int i = 0; i < 100; ++i) {
    std::promise<void> done;
    ASSERT_EQ(disk.submit([&] { done.set_value(); }), Submitted::Queued);
    done.get_future().wait();
  }
}

TEST(DiskThread, TakesNoJobAfterStop) {
  DiskThread disk;
  disk.stop();
  disk.stop();
  EXPECT_EQ(disk.submit([] { FAIL(); }), Submitted::Stopped);
}

TEST(DiskThread, AJobMaySubmitAnother) {
  DiskThread disk;
  std::promise<void> second;
  ASSERT_EQ(
      disk.submit([&] { ASSERT_EQ(disk.submit([&] { second.set_value(); }), Submitted::Queued); }),
      Submitted::Queued);
  second.get_future().wait();
}

TEST(DiskThread, WhatAJobHoldsEndsBeforeTheNextJobRuns) {
  DiskThread disk;
  auto held = std::make_shared<int>(1);
  std::weak_ptr<int> watched = held;
  bool gone = false;
  ASSERT_EQ(disk.submit([held = std::move(held)] {}), Submitted::Queued);
  ASSERT_EQ(disk.submit([&] { gone = watched.expired(); }), Submitted::Queued);
  disk.stop();
  EXPECT_TRUE(gone);
}

TEST(DiskThread, ManyThreadsMaySubmit) {
  int ran = 0;  // by the disk thread only
  DiskThread disk(4000);
  {
    std::vector<std::jthread> submitters;
    for (int t = 0; t < 4; ++t) {
      submitters.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          EXPECT_EQ(disk.submit([&ran] { ++ran; }), Submitted::Queued);
        }
      });
    }
  }
  disk.stop();
  EXPECT_EQ(ran, 4000);
}

}  // namespace
}  // namespace rollcall::app
