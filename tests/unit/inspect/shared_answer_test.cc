#include "inspect/shared_answer.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace rollcall::inspect {
namespace {

using namespace std::chrono_literals;

class SharedAnswers : public ::testing::Test {
 protected:
  using Answer = SharedAnswer<int>;

  // The loop as it is now: it answers, or it does not.
  Post loop() {
    return [this](const std::function<void()>& task) {
      ++questions_;
      if (answers_) task();
      return answers_;
    };
  }

  Answer answer_{loop(), [this] { return ++value_; }, [this] { return now_; }};
  Answer::Clock::time_point now_{1h};
  bool answers_ = true;
  int questions_ = 0, value_ = 0;
};

TEST_F(SharedAnswers, WhoAsksALittleLaterGetsTheSame) {
  EXPECT_EQ(*answer_.get(), 1);
  now_ += Answer::kShared - 1ms;
  EXPECT_EQ(*answer_.get(), 1);
  now_ += 1ms;
  EXPECT_EQ(*answer_.get(), 2);
  EXPECT_EQ(questions_, 2);
}

TEST_F(SharedAnswers, AQuestionThatFailedIsAskedAgainAfterAWhileOnly) {
  answers_ = false;
  for (int readers = 0; readers < 8; ++readers) EXPECT_EQ(answer_.get(), nullptr);
  EXPECT_EQ(questions_, 1);
  answers_ = true;
  now_ += Answer::kAgain - 1ms;
  EXPECT_EQ(answer_.get(), nullptr);
  now_ += 1ms;
  EXPECT_EQ(*answer_.get(), 1);
}

TEST_F(SharedAnswers, WhatWasKnownBeforeIsNotToldAsNewWhileTheLoopIsStuck) {
  EXPECT_EQ(*answer_.get(), 1);
  answers_ = false;
  now_ += Answer::kShared;
  EXPECT_EQ(answer_.get(), nullptr);
}

// While `post` is held the question is under way.
TEST(SharedAnswer, WhileAStuckLoopIsAskedTheOthersDoNotWaitForIt) {
  std::promise<void> asked, go_on;
  int questions = 0;
  SharedAnswer<int>::Clock::time_point now{1h};
  SharedAnswer<int> answer(
      [&](const std::function<void()>& task) {
        if (++questions == 1) return false;
        asked.set_value();
        go_on.get_future().wait();
        task();
        return true;
      },
      [] { return 7; }, [&] { return now; });
  EXPECT_EQ(answer.get(), nullptr);
  now += SharedAnswer<int>::kAgain;
  std::shared_ptr<const int> first;
  std::jthread reader([&] { first = answer.get(); });
  asked.get_future().wait();
  for (int others = 0; others < 8; ++others) EXPECT_EQ(answer.get(), nullptr);
  go_on.set_value();
  reader.join();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(*first, 7);
  EXPECT_EQ(answer.get(), first);
  EXPECT_EQ(questions, 2);
}

TEST(SharedAnswer, TheOthersDoNotWaitForEverForTheFirstWhoAsks) {
  std::promise<void> asked, go_on;
  SharedAnswer<int> answer(
      [&](const std::function<void()>&) {
        asked.set_value();
        go_on.get_future().wait();
        return false;
      },
      [] { return 7; });
  std::jthread reader([&] { answer.get(); });
  asked.get_future().wait();
  EXPECT_EQ(answer.get(), nullptr);
  go_on.set_value();
}

}  // namespace
}  // namespace rollcall::inspect
