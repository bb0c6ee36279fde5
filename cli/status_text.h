#pragma once
// What a daemon's /status says, in words.
#include <string>
#include <vector>

#include "cli/text.h"

namespace rollcall::cli {

struct NamedText {
  std::string name, text;
  Tone tone = Tone::plain;
};
std::vector<NamedText> master_status(const Json& status);
std::vector<NamedText> sidecar_status(const Json& status);

// How a worker of /nodes is connected: "up", "blind" (it cannot look at its agents), "away"
// (stopped on purpose) or "down".
std::string link_of(const Json& node);

// "older 3, newer 6": what is not 0, or "none".
std::string counts(const Json& by_name);

}  // namespace rollcall::cli
