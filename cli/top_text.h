#pragma once
// What `rollcall top` shows, of what the daemon answered.
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/live.h"
#include "cli/text.h"

namespace rollcall::cli {

struct TopView {
  std::string address;
  bool sidecar = false;
  Json status;                            // null until it answered once
  Json nodes, balance, events;            // of a master
  Json drain;                             // of a sidecar
  std::optional<double> events_a_second;  // since it was asked before
  std::string error;                      // why there is no newer answer
};

// Workers in trouble come first.
std::vector<std::string> top_lines(const TopView& view, const Screen& screen, Scroll& scroll);

// How many rows of the table can be seen, and how many there are.
struct TopRoom {
  std::size_t rows = 0, all = 0;
};
TopRoom top_room(const TopView& view, const Screen& screen);

// "[####>>?---]": so many columns in all, shared among the parts; whoever has something has one.
struct Part {
  std::int64_t number = 0;
  char mark = '#';
  Tone tone = Tone::plain;
};
std::string bar(const std::vector<Part>& parts, std::size_t columns, bool colours);

// "migrate      w1 -> w2 (reason)" of an entry of the feed.
std::string event_text(const Json& entry);

}  // namespace rollcall::cli
