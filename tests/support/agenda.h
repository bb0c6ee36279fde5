#pragma once
// What is to happen on a virtual clock: in the order of the times, and at one time in the order in
// which it was planned.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace rollcall::testing {

class Agenda {
 public:
  template <typename What>
  void add(std::int64_t when, What&& what) {
    std::size_t place = tasks_.size();
    if (free_.empty()) {
      tasks_.emplace_back();
    } else {
      place = free_.back();
      free_.pop_back();
    }
    tasks_[place] = std::make_unique<TaskOf<std::decay_t<What>>>(std::forward<What>(what));
    heap_.push_back({when, ++order_, place});
    std::push_heap(heap_.begin(), heap_.end());
  }
  std::optional<std::int64_t> next() const {
    return heap_.empty() ? std::nullopt : std::optional(heap_.front().when);
  }
  // What is next; there must be something. It may add to this.
  void do_next() {
    std::pop_heap(heap_.begin(), heap_.end());
    const std::size_t place = heap_.back().place;
    heap_.pop_back();
    free_.push_back(place);
    const std::unique_ptr<Task> task = std::move(tasks_[place]);
    task->run();
  }

 private:
  // As a std::function, but made in one piece and never copied.
  struct Task {
    virtual ~Task() = default;
    virtual void run() = 0;
  };
  template <typename What>
  struct TaskOf final : Task {
    explicit TaskOf(const What& w) : what(w) {}
    explicit TaskOf(What&& w) : what(std::move(w)) {}
    void run() override { what(); }
    What what;
  };
  struct Item {
    std::int64_t when;
    std::uint64_t order;
    std::size_t place;  // in tasks_, which stays where it is while the heap is sorted
    bool operator<(const Item& o) const { return when != o.when ? when > o.when : order > o.order; }
  };
  std::uint64_t order_ = 0;
  std::vector<Item> heap_;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<std::size_t> free_;
};

}  // namespace rollcall::testing
