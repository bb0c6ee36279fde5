#pragma once
// How an HTTP thread asks the loop thread: it posts a question and waits for the answer, at most
// two seconds. The loop owns all state, so a question must be small.
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>

namespace rollcall::inspect {

// Posts to the loop thread; false if the loop has ended.
using Post = std::function<bool(std::function<void()>)>;

template <typename F>
auto ask(const Post& post, F question) -> std::optional<decltype(question())> {
  using T = decltype(question());
  auto promise = std::make_shared<std::promise<T>>();
  auto answer = promise->get_future();
  if (!post([promise, question = std::move(question)] { promise->set_value(question()); }))
    return std::nullopt;
  if (answer.wait_for(std::chrono::seconds(2)) != std::future_status::ready) return std::nullopt;
  return answer.get();
}

// The same for a question that is answered later, on the loop thread, by calling what it is given.
template <typename T>
std::optional<T> ask_later(const Post& post,
                           std::function<void(std::function<void(T)> answer)> question) {
  auto promise = std::make_shared<std::promise<T>>();
  auto answer = promise->get_future();
  const auto tell = [promise](T value) { promise->set_value(std::move(value)); };
  if (!post([question = std::move(question), tell] { question(tell); })) return std::nullopt;
  if (answer.wait_for(std::chrono::seconds(2)) != std::future_status::ready) return std::nullopt;
  return answer.get();
}

}  // namespace rollcall::inspect
