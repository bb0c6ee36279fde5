#pragma once
#include <string>
namespace rollcall {
// What went wrong, where, and how to mend it: one sentence for a person.
struct Error {
  std::string message;
};
}  // namespace rollcall
