#pragma once
// What a core has to say to people: the shell writes it to the log. Cores have no log of their own.
#include <string>
#include <utility>
#include <vector>

namespace rollcall {

enum class NoteLevel { debug, info, warning, error };

struct Note {
  NoteLevel level = NoteLevel::info;
  std::string text;
  std::vector<std::pair<std::string, std::string>> fields;  // agent, node, version, peer …
};

}  // namespace rollcall
