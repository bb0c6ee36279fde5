#pragma once
#include <expected>
#include <string>
#include <utility>

namespace rollcall {

// What went wrong, where, and how to mend it: one sentence for a person.
struct Error {
  std::string message;
};
inline std::unexpected<Error> fail(std::string message) {
  return std::unexpected(Error{std::move(message)});
}

}  // namespace rollcall
