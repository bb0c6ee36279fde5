#pragma once
// What is to happen on a virtual clock: in the order of the times, and at one time in the order in
// which it was planned.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace rollcall::testing {

class Agenda {
 public:
  void add(std::int64_t when, std::function<void()> what) {
    std::size_t place = what_.size();
    if (free_.empty()) {
      what_.push_back(std::move(what));
    } else {
      place = free_.back();
      free_.pop_back();
      what_[place] = std::move(what);
    }
    heap_.push_back({when, ++order_, place});
    std::push_heap(heap_.begin(), heap_.end());
  }
  std::optional<std::int64_t> next() const {
    return heap_.empty() ? std::nullopt : std::optional(heap_.front().when);
  }
  // What is next, taken out; there must be something.
  std::function<void()> take() {
    std::pop_heap(heap_.begin(), heap_.end());
    const std::size_t place = heap_.back().place;
    heap_.pop_back();
    free_.push_back(place);
    return std::exchange(what_[place], nullptr);
  }

 private:
  struct Item {
    std::int64_t when;
    std::uint64_t order;
    std::size_t place;  // in what_, which stays where it is while the heap is sorted
    bool operator<(const Item& o) const { return when != o.when ? when > o.when : order > o.order; }
  };
  std::uint64_t order_ = 0;
  std::vector<Item> heap_;
  std::vector<std::function<void()>> what_;
  std::vector<std::size_t> free_;
};

}  // namespace rollcall::testing
