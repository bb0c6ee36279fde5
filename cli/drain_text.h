#pragma once
// How far a drain has come, in words.
#include <string>

#include "cli/text.h"

namespace rollcall::cli {

// Of `drain` in a sidecar's /handoffs:
// "[######----]  600 of 1000 are gone (w2 400, w3 190, nowhere 10), 400 left: 300 not offered yet,
// 93 offered, 7 stayed; 12 could not be asked to go: why". Without control characters.
std::string drain_line(const Json& drain);

// Sessions that are still here.
std::size_t drain_left(const Json& drain);

// What writes `text` over `lines` lines that were written before, and how many they are now.
struct Rewritten {
  std::string bytes;
  std::size_t lines = 0;
};
Rewritten rewritten(const std::string& text, std::size_t lines, std::size_t columns);

}  // namespace rollcall::cli
