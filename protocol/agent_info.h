#pragma once
// What is known of an agent apart from where it is: field name to value, for example "os_name" ->
// "Ubuntu"; labels are "label.KEY". A field that is not there is unknown.
//
// Behaves like a small std::map, but holds all fields as one string in the order of their names:
// infos are made once and then hashed, packed, compared and passed on, by the ten thousand.
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace rollcall {

class AgentInfo {
 public:
  using Field = std::pair<std::string_view, std::string_view>;  // name, value
  using value_type = Field;

  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Field;
    using difference_type = std::ptrdiff_t;
    using pointer = const Field*;
    using reference = const Field&;

    const_iterator() = default;
    const Field& operator*() const { return field_; }
    const Field* operator->() const { return &field_; }
    const_iterator& operator++() {
      at_ = field_.second.data() + field_.second.size();
      read();
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const const_iterator& other) const { return at_ == other.at_; }

   private:
    friend class AgentInfo;
    const_iterator(const char* at, const char* end) : at_(at), end_(end) { read(); }
    void read();

    const char* at_ = nullptr;  // where the field begins
    const char* end_ = nullptr;
    Field field_;
  };
  using iterator = const_iterator;

  AgentInfo() = default;
  AgentInfo(std::initializer_list<Field> fields);

  const_iterator begin() const { return {bytes_.data(), bytes_.data() + bytes_.size()}; }
  const_iterator end() const {
    return {bytes_.data() + bytes_.size(), bytes_.data() + bytes_.size()};
  }
  std::size_t size() const { return empty() ? 0 : size_; }
  bool empty() const { return bytes_.empty(); }
  const_iterator find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != end(); }
  std::string_view at(std::string_view name) const { return find(name)->second; }  // must be there

  // These invalidate iterators and views.
  void insert_or_assign(std::string_view name, std::string_view value);
  // For fields that come in order: false, and nothing done, if the name is not after all others.
  bool append(std::string_view name, std::string_view value);
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

  // Assigns to one field: info["name"] = "db-07".
  class Slot {
   public:
    void operator=(std::string_view value) { info_.insert_or_assign(name_, value); }

   private:
    friend class AgentInfo;
    Slot(AgentInfo& info, std::string_view name) : info_(info), name_(name) {}
    AgentInfo& info_;
    std::string_view name_;
  };
  Slot operator[](std::string_view name) { return {*this, name}; }

  // Of each field, in order: u32 little-endian length and bytes of the name, the same of the value.
  // What the hash is made of (docs/protocol.md, section 4).
  std::string_view bytes() const { return bytes_; }

  bool operator==(const AgentInfo& other) const { return bytes_ == other.bytes_; }

 private:
  std::string_view last_name() const { return {bytes_.data() + last_ + 4, last_size_}; }

  std::string bytes_;
  // Mean nothing while there are no bytes.
  std::uint32_t size_ = 0;
  std::uint32_t last_ = 0;       // where the last field begins
  std::uint32_t last_size_ = 0;  // of its name
};

}  // namespace rollcall
