#pragma once
// A table by agent id, in the order of the ids. A copy of it costs next to nothing and stays as it
// is: copies share their pages, and whoever changes a page that others share makes one of its own
// first. So the loop hands out everything as it stands at one moment, and another thread reads that
// at leisure (docs/decisions/0011).
//
// Each object is used by one thread at a time, as any value. A copy is made on the thread that
// changes the original; from then on the two may be on different threads.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "protocol/ids.h"

namespace rollcall {

template <typename Value>
class AgentTable {
  // Names the table that may change a page. Pages keep theirs, so that none is ever named twice.
  struct Owner {};

  // Where a page keeps a value: small plain ones in itself, others apart, where they stay while the
  // page changes around them and may be shared with the pages of copies.
  struct Inside {
    Value value{};
    Value& get() { return value; }
    const Value& get() const { return value; }
    void make() { value = Value{}; }
    void reset() {}
    void copy_if_shared() {}
    void may_be_shared() {}
  };
  struct Apart {
    std::shared_ptr<Value> value;
    bool shared = false;
    Value& get() { return *value; }
    const Value& get() const { return *value; }
    void make() {
      value = std::make_shared<Value>();
      shared = false;
    }
    void reset() { value.reset(); }
    void copy_if_shared() {
      if (!std::exchange(shared, false)) return;
      value = std::make_shared<Value>(*value);
    }
    void may_be_shared() { shared = true; }
  };
  using Cell =
      std::conditional_t<std::is_trivially_copyable_v<Value> && sizeof(Value) <= 16, Inside, Apart>;

  struct Page {
    static constexpr std::size_t kRows = 32;
    std::shared_ptr<const Owner> owner;
    std::size_t rows = 0;
    std::array<std::uint32_t, kRows> ids{};  // ascending
    std::array<Cell, kRows> cells;

    std::size_t place_of(std::uint32_t id) const {
      return static_cast<std::size_t>(std::lower_bound(ids.begin(), ids.begin() + rows, id) -
                                      ids.begin());
    }
    bool has(std::size_t place, std::uint32_t id) const { return place < rows && ids[place] == id; }
    Value& own(std::size_t place) {
      cells[place].copy_if_shared();
      return cells[place].get();
    }
    Value& insert(std::size_t place, std::uint32_t id) {
      std::move_backward(ids.begin() + place, ids.begin() + rows, ids.begin() + rows + 1);
      std::move_backward(cells.begin() + place, cells.begin() + rows, cells.begin() + rows + 1);
      ++rows;
      ids[place] = id;
      cells[place].make();
      return cells[place].get();
    }
    void erase(std::size_t place) {
      std::move(ids.begin() + place + 1, ids.begin() + rows, ids.begin() + place);
      std::move(cells.begin() + place + 1, cells.begin() + rows, cells.begin() + place);
      cells[--rows].reset();
    }
  };

  struct Directory {
    std::shared_ptr<const Owner> owner;
    std::vector<std::uint32_t>
        first;  // of each page, except that the first page takes all below it
    std::vector<std::shared_ptr<Page>> pages;

    // The page that has the id, if any has.
    std::size_t page_of(std::uint32_t id) const {
      const auto after = std::upper_bound(first.begin(), first.end(), id);
      return static_cast<std::size_t>(after - first.begin()) - 1;
    }
  };

 public:
  AgentTable() = default;
  AgentTable(const AgentTable& other) : directory_(other.directory_), size_(other.size_) {
    // Neither may change in place any more what both have.
    other.owner_.reset();
  }
  AgentTable(AgentTable&& other) noexcept
      : directory_(std::move(other.directory_)),
        owner_(std::move(other.owner_)),
        size_(std::exchange(other.size_, 0)) {}
  AgentTable& operator=(AgentTable other) noexcept {
    std::swap(directory_, other.directory_);
    std::swap(owner_, other.owner_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AgentTable() = default;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  const Value* find(AgentId agent) const {
    if (!directory_) return nullptr;
    const auto id = static_cast<std::uint32_t>(agent);
    const Page& page = *directory_->pages[directory_->page_of(id)];
    const std::size_t place = page.place_of(id);
    return page.has(place, id) ? &page.cells[place].get() : nullptr;
  }
  bool contains(AgentId agent) const { return find(agent) != nullptr; }
  const Value& at(AgentId agent) const {
    const Value* value = find(agent);
    if (value == nullptr) std::abort();
    return *value;
  }

  // The row of this agent to be changed, made if it is not there. Unless it is small and plain it
  // stays where it is until it is erased or the table is copied.
  Value& edit(AgentId agent) {
    const auto id = static_cast<std::uint32_t>(agent);
    Directory& directory = own_directory();
    const std::size_t number = directory.page_of(id);
    Page* page = &own_page(directory, number);
    std::size_t place = page->place_of(id);
    if (page->has(place, id)) return page->own(place);
    if (page->rows == Page::kRows) {
      page = &split(directory, number, id);
      place = page->place_of(id);
    }
    ++size_;
    return page->insert(place, id);
  }

  void erase(AgentId agent) {
    if (!directory_) return;
    const auto id = static_cast<std::uint32_t>(agent);
    const std::size_t number = directory_->page_of(id);
    const std::size_t place = directory_->pages[number]->place_of(id);
    if (!directory_->pages[number]->has(place, id)) return;
    Directory& directory = own_directory();
    Page& page = own_page(directory, number);
    page.erase(place);
    --size_;
    if (page.rows > 0) return;
    directory.first.erase(directory.first.begin() + static_cast<std::ptrdiff_t>(number));
    directory.pages.erase(directory.pages.begin() + static_cast<std::ptrdiff_t>(number));
    if (directory.pages.empty()) {
      directory_.reset();
    } else {
      directory.first.front() = 0;
    }
  }

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::pair<AgentId, const Value&>;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = value_type;
    value_type operator*() const {
      const Page& page = *directory_->pages[page_];
      return {AgentId{page.ids[place_]}, page.cells[place_].get()};
    }
    Iterator& operator++() {
      if (++place_ == directory_->pages[page_]->rows) {
        ++page_;
        place_ = 0;
      }
      return *this;
    }
    bool operator==(const Iterator& other) const {
      return page_ == other.page_ && place_ == other.place_;
    }

   private:
    friend class AgentTable;
    Iterator(const Directory* directory, std::size_t page, std::size_t place)
        : directory_(directory), page_(page), place_(place) {}
    const Directory* directory_;
    std::size_t page_;
    std::size_t place_;
  };
  Iterator begin() const { return {directory_.get(), 0, 0}; }
  Iterator end() const { return {directory_.get(), directory_ ? directory_->pages.size() : 0, 0}; }
  // The first agent behind this one.
  Iterator after(AgentId agent) const {
    if (!directory_) return end();
    const auto id = static_cast<std::uint32_t>(agent);
    const std::size_t number = directory_->page_of(id);
    const Page& page = *directory_->pages[number];
    std::size_t place = page.place_of(id);
    if (page.has(place, id)) ++place;
    return place == page.rows ? Iterator(directory_.get(), number + 1, 0)
                              : Iterator(directory_.get(), number, place);
  }

  bool operator==(const AgentTable& other) const {
    return size_ == other.size_ &&
           std::equal(begin(), end(), other.begin(), [](const auto& a, const auto& b) {
             return a.first == b.first && a.second == b.second;
           });
  }

 private:
  const std::shared_ptr<const Owner>& owner() {
    if (!owner_) owner_ = std::make_shared<const Owner>();
    return owner_;
  }

  Directory& own_directory() {
    if (!directory_) {
      directory_ = std::make_shared<Directory>();
      directory_->pages.push_back(std::make_shared<Page>());
      directory_->pages.back()->owner = owner();
      directory_->first.push_back(0);
      directory_->owner = owner();
    } else if (directory_->owner != owner()) {
      directory_ = std::make_shared<Directory>(*directory_);
      directory_->owner = owner();
    }
    return *directory_;
  }

  Page& own_page(Directory& directory, std::size_t number) {
    std::shared_ptr<Page>& page = directory.pages[number];
    if (page->owner != owner()) {
      page = std::make_shared<Page>(*page);
      page->owner = owner();
      for (Cell& cell : page->cells) cell.may_be_shared();
    }
    return *page;
  }

  // Makes room for `id` in a page that is full; the page that it belongs into. Ids that come in
  // order fill their pages.
  Page& split(Directory& directory, std::size_t number, std::uint32_t id) {
    Page& full = *directory.pages[number];
    const std::size_t keep = id > full.ids.back() ? Page::kRows : Page::kRows / 2;
    auto fresh = std::make_shared<Page>();
    fresh->owner = owner();
    fresh->rows = Page::kRows - keep;
    std::move(full.ids.begin() + keep, full.ids.end(), fresh->ids.begin());
    std::move(full.cells.begin() + keep, full.cells.end(), fresh->cells.begin());
    full.rows = keep;
    const std::uint32_t first = fresh->rows == 0 ? id : fresh->ids[0];
    const auto at = static_cast<std::ptrdiff_t>(number) + 1;
    directory.first.insert(directory.first.begin() + at, first);
    directory.pages.insert(directory.pages.begin() + at, fresh);
    return id >= first ? *fresh : full;
  }

  std::shared_ptr<Directory> directory_;        // none: empty
  mutable std::shared_ptr<const Owner> owner_;  // none: nothing of it may be changed in place
  std::size_t size_ = 0;
};

}  // namespace rollcall
