#pragma once
// What standard output, or another stream, is connected to, and how words are coloured there.
#include <cstddef>
#include <string>
#include <string_view>

namespace rollcall::cli {

struct Screen {
  bool terminal = false;
  bool colours = false;  // never elsewhere, nor if NO_COLOR is set (https://no-color.org)
  std::size_t columns = 80;
  std::size_t lines = 24;
};
// Elsewhere than on a terminal there are 80 columns, or as many as COLUMNS says.
Screen screen_of(int descriptor);
Screen screen();  // of standard output

// What a colour says, not which one it is.
enum class Tone { plain, good, notice, warning, bad, dim, strong };
std::string toned(std::string_view text, Tone tone, bool colours);

// Of the words that daemons have for agents, leases, links and digests: green for what is well,
// red for what is not.
Tone tone_of(std::string_view word);

}  // namespace rollcall::cli
