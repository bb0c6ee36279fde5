#include "cli/drain_text.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace rollcall::cli {
namespace {

constexpr std::size_t kBar = 30;

std::size_t count_of(const Json& value) {
  return static_cast<std::size_t>(std::max<std::int64_t>(0, number_of(value)));
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

}  // namespace

std::size_t drain_left(const Json& drain) {
  return count_of(field(drain, "left"));
}

std::string drain_line(const Json& drain) {
  std::size_t gone = 0;
  std::vector<std::string> where;
  const auto went = [&](const std::string& to, std::size_t agents) {
    gone += agents;
    if (agents > 0) where.push_back(to + " " + std::to_string(agents));
  };
  for (const auto& [node, agents] : field(drain, "taken").items()) went(node, count_of(agents));
  went("nowhere", count_of(field(drain, "expired")));

  const std::size_t left = drain_left(drain), all = gone + left;
  const std::size_t filled = all == 0 ? kBar : gone * kBar / all;
  std::string line = "[" + std::string(filled, '#') + std::string(kBar - filled, '-') + "]  " +
                     std::to_string(gone) + " of " + std::to_string(all) + " are gone";
  if (!where.empty()) line += " (" + joined(where) + ")";
  if (left == 0) return harmless(line);

  line += ", " + std::to_string(left) + " left";
  std::vector<std::string> kinds;
  for (const auto& [name, text] :
       {std::pair("waiting", " not offered yet"), std::pair("offered", " offered"),
        std::pair("stayed", " stayed")}) {
    if (const std::size_t agents = count_of(field(drain, name)); agents > 0)
      kinds.push_back(std::to_string(agents) + text);
  }
  if (!kinds.empty()) line += ": " + joined(kinds);
  if (const std::size_t failed = count_of(field(drain, "asked_failed")); failed > 0)
    line += "; " + std::to_string(failed) +
            " could not be asked to go: " + shown(field(drain, "asked_error"));
  return harmless(line);
}

Rewritten rewritten(const std::string& text, std::size_t lines, std::size_t columns) {
  std::string shown = wrapped(text, columns);
  shown.pop_back();  // the cursor stays on the last line
  std::string bytes = "\r";
  if (lines > 1) bytes += "\x1b[" + std::to_string(lines - 1) + "A";
  return {bytes + "\x1b[J" + shown, static_cast<std::size_t>(std::ranges::count(shown, '\n')) + 1};
}

}  // namespace rollcall::cli
