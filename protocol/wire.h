#pragma once
// msgpack as both daemons use it for frames, stores and logs: a packer that appends to a string and
// a bounded, read-only view of what was parsed. The library that parses is included in wire.cc
// only.
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"

namespace rollcall::wire {

// Appends msgpack to `out`, in the shortest form of each value.
class Packer {
 public:
  explicit Packer(std::string& out) : out_(out) {}
  Packer& array(std::uint32_t size);
  Packer& map(std::uint32_t size);  // followed by size times key, value
  Packer& u64(std::uint64_t v);
  Packer& i64(std::int64_t v);
  Packer& str(std::string_view v);
  Packer& bin(std::string_view v);
  Packer& boolean(bool v);
  Packer& nil();
  Packer& raw(std::string_view packed);  // values that are packed already

 private:
  template <typename Put>
  Packer& append(Put&& put);
  std::string& out_;
};

// What a peer or a file may send; a document over a limit is an error before anything large is
// allocated.
struct Limits {
  std::size_t max_depth = 8;  // 16 at most
  std::size_t max_array = 1u << 17;
  std::size_t max_map = 4096;
  std::size_t max_str = 1u << 16;
  std::size_t max_bin = 1u << 20;
};

// One value inside a Document; valid as long as the Document lives. Every accessor answers
// "nothing" for another type, so that callers check once, by value.
class Value {
 public:
  std::optional<std::uint64_t> as_u64() const;
  std::optional<std::int64_t> as_i64() const;  // also of non-negative values that fit
  std::optional<std::string_view> as_str() const;
  std::optional<std::string_view> as_bin() const;
  std::optional<bool> as_bool() const;
  bool is_nil() const;  // also a value that is not there
  bool is_array() const;
  bool is_map() const;
  std::size_t size() const;               // of an array or map; 0 for anything else
  Value at(std::size_t index) const;      // of an array; nil beyond its end
  Value key_at(std::size_t index) const;  // of a map, in the order of the bytes
  Value value_at(std::size_t index) const;
  Value get(std::uint64_t key) const;  // of a map with integer keys; nil if absent

 private:
  friend class Document;
  explicit Value(const void* object) : object_(object) {}
  const void* object_;
};

struct Node;

class Document {
 public:
  // Exactly one value, and nothing behind it. Strings point into `bytes`, which must outlive it.
  static std::expected<Document, Error> parse(std::string_view bytes, const Limits& limits = {});
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();
  Value root() const;

 private:
  explicit Document(std::vector<Node> nodes);
  std::vector<Node> nodes_;
};

}  // namespace rollcall::wire
