#include "protocol/wire.h"

#include <algorithm>
#include <array>
#include <msgpack.hpp>

#include "protocol/msgpack_bytes.h"

namespace rollcall::wire {

// One parsed value. A tree is a flat vector of these; the children of an array or map are one
// block further back in the same vector, found by its distance, so the vector may move while it
// grows and a Value is one pointer.
//
// Memory per document: every value takes at least one byte of input and parse() refuses a document
// that declares more values than it has bytes, whatever its headers say. So the tree has at most
// one Node per byte: 16 MiB for a frame of 1 MiB (measured: 17 MiB more, for one-byte values only),
// and 24 MiB for a moment if the vector has to grow to that. Strings are not copied. A frame of
// ordinary DELTAs needs about 6 bytes of nodes per byte.
struct Node {
  enum class Type : std::uint32_t { nil, boolean, u64, negative, str, bin, array, map, other };
  Type type = Type::nil;
  std::uint32_t size = 0;  // bytes of a str or bin, values of an array, pairs of a map
  union {
    std::uint64_t u64 = 0;  // also a boolean
    std::int64_t i64;
    const char* bytes;
    std::size_t first_child;  // distance in nodes
  };
};
static_assert(sizeof(Node) == 16);

namespace {

constexpr std::size_t kDeepest = 16;
constexpr std::size_t kFewNodes = 64;  // 1 KiB: what an allocator gives at once

const Node* as_node(const void* object) {
  return static_cast<const Node*>(object);
}

// Receives what msgpack's parser sees, in the order of the bytes, and builds the tree. Returning
// false stops the parser.
class Builder : public msgpack::null_visitor {
 public:
  Builder(std::vector<Node>& nodes, std::size_t bytes, const Limits& limits)
      : nodes_(nodes), limits_(limits), max_nodes_(std::max<std::size_t>(bytes, 1)) {
    grow(1);
  }

  const char* refusal() const { return refusal_; }

  bool visit_nil() { return put(Node::Type::nil); }
  bool visit_boolean(bool v) { return put(Node::Type::boolean, v ? 1 : 0); }
  bool visit_positive_integer(std::uint64_t v) { return put(Node::Type::u64, v); }
  bool visit_negative_integer(std::int64_t v) {
    return put(v >= 0 ? Node::Type::u64 : Node::Type::negative, static_cast<std::uint64_t>(v));
  }
  bool visit_float32(float) { return put(Node::Type::other); }
  bool visit_float64(double) { return put(Node::Type::other); }
  bool visit_ext(const char*, std::uint32_t) { return put(Node::Type::other); }
  bool visit_str(const char* v, std::uint32_t size) {
    if (size > limits_.max_str) return refuse("a string is too long");
    return put_bytes(Node::Type::str, v, size);
  }
  bool visit_bin(const char* v, std::uint32_t size) {
    if (size > limits_.max_bin) return refuse("a binary value is too long");
    return put_bytes(Node::Type::bin, v, size);
  }
  bool start_array(std::uint32_t count) {
    if (count > limits_.max_array) return refuse("an array has too many values");
    return open(Node::Type::array, count, count);
  }
  bool start_map(std::uint32_t count) {
    if (count > limits_.max_map) return refuse("a map has too many pairs");
    return open(Node::Type::map, count, 2 * std::size_t{count});
  }
  bool end_array_item() { return advance(); }
  bool end_map_key() { return advance(); }
  bool end_map_value() { return advance(); }
  bool end_array() { return close(); }
  bool end_map() { return close(); }
  void insufficient_bytes(std::size_t, std::size_t) { refuse("it is cut off"); }
  void parse_error(std::size_t, std::size_t) { refuse("a byte is not msgpack"); }

 private:
  bool refuse(const char* why) {
    if (refusal_ == nullptr) refusal_ = why;
    return false;
  }
  bool put(Node::Type type, std::uint64_t v = 0) {
    Node& node = nodes_[next_[depth_]];
    node.type = type;
    node.u64 = v;
    return true;
  }
  bool put_bytes(Node::Type type, const char* v, std::uint32_t size) {
    Node& node = nodes_[next_[depth_]];
    node.type = type;
    node.size = size;
    node.bytes = v;
    return true;
  }
  bool open(Node::Type type, std::uint32_t size, std::size_t children) {
    if (depth_ == std::min(limits_.max_depth, kDeepest)) return refuse("it is nested too deep");
    if (children > max_nodes_ - nodes_.size()) {
      return refuse("it declares more values than it has bytes");
    }
    const std::size_t first = nodes_.size();
    grow(children);
    Node& node = nodes_[next_[depth_]];
    node.type = type;
    node.size = size;
    node.first_child = first - next_[depth_];
    next_[++depth_] = first;
    return true;
  }
  bool advance() {
    ++next_[depth_];
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }
  void grow(std::size_t by) {
    const std::size_t size = nodes_.size() + by;
    if (size > nodes_.capacity()) {
      // A third of the bytes fits nearly every document at once; never more than can be needed.
      nodes_.reserve(
          std::min(max_nodes_, std::max({size, 2 * nodes_.size(), max_nodes_ / 3, kFewNodes})));
    }
    nodes_.resize(size);
  }

  std::vector<Node>& nodes_;
  const Limits& limits_;
  const std::size_t max_nodes_;
  std::array<std::size_t, kDeepest + 1> next_{};  // at each depth, where the next value goes
  std::size_t depth_ = 0;
  const char* refusal_ = nullptr;
};

}  // namespace

// One value that `put` writes.
template <typename Put>
Packer& Packer::append(Put&& put) {
  char bytes[msgpack_bytes::kLongest];
  out_.append(bytes, static_cast<std::size_t>(put(bytes) - bytes));
  return *this;
}

Packer& Packer::array(std::uint32_t size) {
  return append([&](char* p) { return msgpack_bytes::put_array(p, size); });
}

Packer& Packer::map(std::uint32_t size) {
  return append([&](char* p) { return msgpack_bytes::put_map(p, size); });
}

Packer& Packer::u64(std::uint64_t v) {
  return append([&](char* p) { return msgpack_bytes::put_u64(p, v); });
}

Packer& Packer::i64(std::int64_t v) {
  return append([&](char* p) { return msgpack_bytes::put_i64(p, v); });
}

Packer& Packer::str(std::string_view v) {
  const auto size = static_cast<std::uint32_t>(v.size());
  append([&](char* p) { return msgpack_bytes::put_str_size(p, size); });
  return raw(v);
}

Packer& Packer::bin(std::string_view v) {
  const auto size = static_cast<std::uint32_t>(v.size());
  append([&](char* p) { return msgpack_bytes::put_bin_size(p, size); });
  return raw(v);
}

Packer& Packer::boolean(bool v) {
  out_.push_back(v ? '\xc3' : '\xc2');
  return *this;
}

Packer& Packer::nil() {
  out_.push_back('\xc0');
  return *this;
}

Packer& Packer::raw(std::string_view packed) {
  out_.append(packed);
  return *this;
}

std::optional<std::uint64_t> Value::as_u64() const {
  const Node* node = as_node(object_);
  if (node == nullptr || node->type != Node::Type::u64) return std::nullopt;
  return node->u64;
}

std::optional<std::int64_t> Value::as_i64() const {
  const Node* node = as_node(object_);
  if (node == nullptr) return std::nullopt;
  if (node->type == Node::Type::negative) return node->i64;
  if (node->type != Node::Type::u64 || node->u64 > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(node->u64);
}

std::optional<std::string_view> Value::as_str() const {
  const Node* node = as_node(object_);
  if (node == nullptr || node->type != Node::Type::str) return std::nullopt;
  return std::string_view(node->bytes, node->size);
}

std::optional<std::string_view> Value::as_bin() const {
  const Node* node = as_node(object_);
  if (node == nullptr || node->type != Node::Type::bin) return std::nullopt;
  return std::string_view(node->bytes, node->size);
}

std::optional<bool> Value::as_bool() const {
  const Node* node = as_node(object_);
  if (node == nullptr || node->type != Node::Type::boolean) return std::nullopt;
  return node->u64 != 0;
}

bool Value::is_nil() const {
  return object_ == nullptr || as_node(object_)->type == Node::Type::nil;
}

bool Value::is_array() const {
  return object_ != nullptr && as_node(object_)->type == Node::Type::array;
}

bool Value::is_map() const {
  return object_ != nullptr && as_node(object_)->type == Node::Type::map;
}

std::size_t Value::size() const {
  return is_array() || is_map() ? as_node(object_)->size : 0;
}

Value Value::at(std::size_t index) const {
  if (!is_array() || index >= as_node(object_)->size) return Value(nullptr);
  return Value(as_node(object_) + as_node(object_)->first_child + index);
}

Value Value::key_at(std::size_t index) const {
  if (!is_map() || index >= as_node(object_)->size) return Value(nullptr);
  return Value(as_node(object_) + as_node(object_)->first_child + 2 * index);
}

Value Value::value_at(std::size_t index) const {
  if (!is_map() || index >= as_node(object_)->size) return Value(nullptr);
  return Value(as_node(object_) + as_node(object_)->first_child + 2 * index + 1);
}

Value Value::get(std::uint64_t key) const {
  for (std::size_t i = 0; i < size(); ++i) {
    if (key_at(i).as_u64() == key) return value_at(i);
  }
  return Value(nullptr);
}

Document::Document(std::vector<Node> nodes) : nodes_(std::move(nodes)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Value Document::root() const {
  return Value(nodes_.data());
}

std::expected<Document, Error> Document::parse(std::string_view bytes, const Limits& limits) {
  std::vector<Node> nodes;
  Builder builder(nodes, bytes.size(), limits);
  std::size_t end = 0;
  bool whole = false;
  const char* refusal = nullptr;
  try {
    whole = msgpack::parse(bytes.data(), bytes.size(), end, builder);
    refusal = builder.refusal();
  } catch (const msgpack::unpack_error& e) {
    refusal = "a length is out of range";
  }
  if (refusal == nullptr && !whole) refusal = "it is not one value";
  if (refusal == nullptr && end != bytes.size()) refusal = "bytes follow its end";
  if (refusal != nullptr) return std::unexpected(Error{std::string("msgpack: ") + refusal});
  return Document(std::move(nodes));
}

}  // namespace rollcall::wire
