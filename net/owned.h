#pragma once

#include <memory>

namespace rollcall::net {

// A unique_ptr for what a C library made: Owned<X509, X509_free>.
template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
template <typename T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

}  // namespace rollcall::net
