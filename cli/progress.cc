#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cli/text.h"

namespace rollcall::cli {
namespace {

constexpr std::chrono::milliseconds kSoon(500), kOften(100);
constexpr std::size_t kMostBar = 40;

}  // namespace

Progress::Progress(std::string what)
    : what_(std::move(what)), screen_(screen_of(STDERR_FILENO)), next_(Clock::now() + kSoon) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::show(std::uint64_t done, std::uint64_t total) {
  if (!screen_.terminal || Clock::now() < next_) return;
  next_ = Clock::now() + kOften;
  shown_ = true;
  std::fprintf(stderr, "\r%s\x1b[K",
               progress_line(what_, done, total, screen_.columns - 1).c_str());
}

std::string progress_line(const std::string& what, std::uint64_t done, std::uint64_t total,
                          std::size_t columns) {
  if (total == 0) return cut_to(what + "  " + grouped(static_cast<std::int64_t>(done)), columns);
  const std::uint64_t part = std::min(done, total);
  std::string percent = std::to_string(part * 100 / total) + " %";
  percent.insert(0, 5 - std::min<std::size_t>(5, percent.size()), ' ');
  const std::size_t used = width_of(what) + percent.size() + 6;
  if (used + 10 > columns) return cut_to(what + " " + percent, columns);
  const std::size_t room = std::min(kMostBar, columns - used);
  const auto filled = static_cast<std::size_t>(part * room / total);
  return what + "  [" + std::string(filled, '#') + std::string(room - filled, '-') + "] " + percent;
}

}  // namespace rollcall::cli
