#pragma once
// Shows something on the terminal, again and again, until the user presses q or interrupts it. The
// terminal is as it was afterwards, however that ended. Elsewhere than on a terminal each time is
// printed below the one before.
#include <chrono>
#include <functional>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/screen.h"

namespace rollcall::cli {

// What a key asks for.
enum class Key { none, quit, up, down, page_up, page_down, first, last };
// Of what was read from the terminal at once.
std::vector<Key> keys_in(std::string_view bytes);

// A place in a list that is longer than the screen.
struct Scroll {
  std::size_t first = 0;
  // `room` rows of `all` can be seen.
  void take(Key key, std::size_t room, std::size_t all);
};

struct Live {
  std::chrono::milliseconds every{2000};
  bool once = false;
  bool plain = false;             // for a program: a line each time, also on a terminal
  std::function<void()> refresh;  // asks anew
  // What is to be seen of what was asked last. On a terminal no more lines than it has.
  std::function<std::vector<std::string>(const Screen&)> lines;
  std::function<void(Key)> key;
};
Exit show_live(const Live& live);

}  // namespace rollcall::cli
