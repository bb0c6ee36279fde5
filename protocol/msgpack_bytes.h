#pragma once
// msgpack one value at a time, for the few places where millions of values pass in a second. wire.h
// is for all others.
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace rollcall::msgpack_bytes {

// ---- Writing: each function writes the shortest form to `p`, which has room for kLongest bytes,
// ---- and returns where the next value goes.

inline constexpr std::size_t kLongest = 9;

template <typename T>
inline char* put_big_endian(char* p, T v) {
  if constexpr (std::endian::native == std::endian::little && sizeof(T) == 2) {
    v = __builtin_bswap16(v);
  } else if constexpr (std::endian::native == std::endian::little && sizeof(T) == 4) {
    v = __builtin_bswap32(v);
  } else if constexpr (std::endian::native == std::endian::little && sizeof(T) == 8) {
    v = __builtin_bswap64(v);
  }
  std::memcpy(p, &v, sizeof v);
  return p + sizeof v;
}

template <typename T>
inline char* put_headed(char* p, unsigned head, std::uint64_t v) {
  *p = static_cast<char>(head);
  return put_big_endian(p + 1, static_cast<T>(v));
}

inline char* put_u64(char* p, std::uint64_t v) {
  if (v < 0x80) {
    *p = static_cast<char>(v);
    return p + 1;
  }
  if (v <= UINT8_MAX) return put_headed<std::uint8_t>(p, 0xcc, v);
  if (v <= UINT16_MAX) return put_headed<std::uint16_t>(p, 0xcd, v);
  if (v <= UINT32_MAX) return put_headed<std::uint32_t>(p, 0xce, v);
  return put_headed<std::uint64_t>(p, 0xcf, v);
}

inline char* put_i64(char* p, std::int64_t v) {
  const auto bits = static_cast<std::uint64_t>(v);
  if (v >= 0) return put_u64(p, bits);
  if (v >= -32) {
    *p = static_cast<char>(v);
    return p + 1;
  }
  if (v >= INT8_MIN) return put_headed<std::uint8_t>(p, 0xd0, bits);
  if (v >= INT16_MIN) return put_headed<std::uint16_t>(p, 0xd1, bits);
  if (v >= INT32_MIN) return put_headed<std::uint32_t>(p, 0xd2, bits);
  return put_headed<std::uint64_t>(p, 0xd3, bits);
}

// Arrays begin with 0x90 or 0xdc, maps with 0x80 or 0xde; the 32-bit form is one above the other.
inline char* put_size(char* p, unsigned fix, unsigned head16, std::uint32_t size) {
  if (size < 16) {
    *p = static_cast<char>(fix | size);
    return p + 1;
  }
  if (size <= UINT16_MAX) return put_headed<std::uint16_t>(p, head16, size);
  return put_headed<std::uint32_t>(p, head16 + 1, size);
}
inline char* put_array(char* p, std::uint32_t size) {
  return put_size(p, 0x90, 0xdc, size);
}
inline char* put_map(char* p, std::uint32_t size) {
  return put_size(p, 0x80, 0xde, size);
}

// What goes before the bytes of a string.
inline char* put_str_size(char* p, std::uint32_t size) {
  if (size < 32) {
    *p = static_cast<char>(0xa0 | size);
    return p + 1;
  }
  if (size <= UINT8_MAX) return put_headed<std::uint8_t>(p, 0xd9, size);
  if (size <= UINT16_MAX) return put_headed<std::uint16_t>(p, 0xda, size);
  return put_headed<std::uint32_t>(p, 0xdb, size);
}
inline char* put_bin_size(char* p, std::uint32_t size) {
  if (size <= UINT8_MAX) return put_headed<std::uint8_t>(p, 0xc4, size);
  if (size <= UINT16_MAX) return put_headed<std::uint16_t>(p, 0xc5, size);
  return put_headed<std::uint32_t>(p, 0xc6, size);
}

// ---- Reading: each function takes the next value, or returns false if it is of another type or
// ---- cut off; then the reader is of no further use.

class Reader {
 public:
  explicit Reader(std::string_view bytes)
      : p_(reinterpret_cast<const unsigned char*>(bytes.data())), end_(p_ + bytes.size()) {}

  bool at_end() const { return p_ == end_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - p_); }

  bool u64(std::uint64_t& v) {
    if (p_ == end_) return false;
    const unsigned head = *p_;
    if (head < 0x80) {
      v = head;
      ++p_;
      return true;
    }
    switch (head) {
      case 0xcc:
        return big_endian<std::uint8_t>(v);
      case 0xcd:
        return big_endian<std::uint16_t>(v);
      case 0xce:
        return big_endian<std::uint32_t>(v);
      case 0xcf:
        return big_endian<std::uint64_t>(v);
      default:
        return false;
    }
  }

  bool i64(std::int64_t& v) {
    if (p_ == end_) return false;
    const unsigned head = *p_;
    std::uint64_t bits = 0;
    if (head >= 0xe0) {
      v = static_cast<std::int8_t>(head);
      ++p_;
      return true;
    }
    switch (head) {
      case 0xd0:
        if (!big_endian<std::uint8_t>(bits)) return false;
        v = static_cast<std::int8_t>(bits);
        return true;
      case 0xd1:
        if (!big_endian<std::uint16_t>(bits)) return false;
        v = static_cast<std::int16_t>(bits);
        return true;
      case 0xd2:
        if (!big_endian<std::uint32_t>(bits)) return false;
        v = static_cast<std::int32_t>(bits);
        return true;
      case 0xd3:
        if (!big_endian<std::uint64_t>(bits)) return false;
        v = static_cast<std::int64_t>(bits);
        return true;
      default:
        if (!u64(bits) || bits > INT64_MAX) return false;
        v = static_cast<std::int64_t>(bits);
        return true;
    }
  }

  // Takes a nil, if the next value is one.
  bool nil() {
    if (p_ == end_ || *p_ != 0xc0) return false;
    ++p_;
    return true;
  }

  bool array(std::uint32_t& size) { return sized(0x90, 0xdc, size); }
  bool map(std::uint32_t& size) { return sized(0x80, 0xde, size); }

  // Points into the bytes.
  bool str(std::string_view& v) {
    if (p_ == end_) return false;
    const unsigned head = *p_;
    std::uint64_t size = 0;
    if ((head & 0xe0) == 0xa0) {
      size = head & 0x1f;
      ++p_;
    } else if (head == 0xd9) {
      if (!big_endian<std::uint8_t>(size)) return false;
    } else if (head == 0xda) {
      if (!big_endian<std::uint16_t>(size)) return false;
    } else if (head != 0xdb || !big_endian<std::uint32_t>(size)) {
      return false;
    }
    return take(size, v);
  }

  // Points into the bytes.
  bool bin(std::string_view& v) {
    if (p_ == end_) return false;
    const unsigned head = *p_;
    std::uint64_t size = 0;
    if (head == 0xc4) {
      if (!big_endian<std::uint8_t>(size)) return false;
    } else if (head == 0xc5) {
      if (!big_endian<std::uint16_t>(size)) return false;
    } else if (head != 0xc6 || !big_endian<std::uint32_t>(size)) {
      return false;
    }
    return take(size, v);
  }

 private:
  bool take(std::uint64_t size, std::string_view& v) {
    if (size > left()) return false;
    v = {reinterpret_cast<const char*>(p_), static_cast<std::size_t>(size)};
    p_ += size;
    return true;
  }

  // Behind the head.
  template <typename T>
  bool big_endian(std::uint64_t& v) {
    if (left() < 1 + sizeof(T)) return false;
    T raw;
    std::memcpy(&raw, p_ + 1, sizeof raw);
    if constexpr (std::endian::native == std::endian::little && sizeof(T) == 2) {
      raw = __builtin_bswap16(raw);
    } else if constexpr (std::endian::native == std::endian::little && sizeof(T) == 4) {
      raw = __builtin_bswap32(raw);
    } else if constexpr (std::endian::native == std::endian::little && sizeof(T) == 8) {
      raw = __builtin_bswap64(raw);
    }
    v = raw;
    p_ += 1 + sizeof(T);
    return true;
  }

  bool sized(unsigned fix, unsigned head16, std::uint32_t& size) {
    if (p_ == end_) return false;
    const unsigned head = *p_;
    std::uint64_t v = 0;
    if ((head & 0xf0) == fix) {
      v = head & 0x0f;
      ++p_;
    } else if (head == head16) {
      if (!big_endian<std::uint16_t>(v)) return false;
    } else if (head != head16 + 1 || !big_endian<std::uint32_t>(v)) {
      return false;
    }
    size = static_cast<std::uint32_t>(v);
    return true;
  }

  const unsigned char* p_;
  const unsigned char* end_;
};

}  // namespace rollcall::msgpack_bytes
