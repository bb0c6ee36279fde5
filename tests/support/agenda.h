#pragma once
// What is to happen on a virtual clock: in the order of the times, and at one time in the order in
// which it was planned.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace rollcall::testing {

class Agenda {
 public:
  void add(std::int64_t when, std::function<void()> what) {
    heap_.push_back({when, ++order_, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end());
  }
  std::optional<std::int64_t> next() const {
    return heap_.empty() ? std::nullopt : std::optional(heap_.front().when);
  }
  // What is next, taken out; there must be something.
  std::function<void()> take() {
    std::pop_heap(heap_.begin(), heap_.end());
    std::function<void()> what = std::move(heap_.back().what);
    heap_.pop_back();
    return what;
  }

 private:
  struct Item {
    std::int64_t when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Item& o) const { return when != o.when ? when > o.when : order > o.order; }
  };
  std::uint64_t order_ = 0;
  std::vector<Item> heap_;
};

}  // namespace rollcall::testing
