#include "cli/live.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

namespace rollcall::cli {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t interrupted = 0;

// Signals reach this program only while it waits, so that none comes between looking and waiting.
class Signals {
 public:
  Signals() {
    interrupted = 0;
    sigset_t mine;
    sigemptyset(&mine);
    for (const int number : kMine) {
      sigaddset(&mine, number);
      struct sigaction action {};
      // That the size changed only has to end the wait.
      action.sa_handler = [](int what) { interrupted = what == SIGWINCH ? interrupted : what; };
      ::sigaction(number, &action, nullptr);
    }
    ::sigprocmask(SIG_BLOCK, &mine, &while_waiting_);
    for (const int number : kMine) sigdelset(&while_waiting_, number);
  }
  const sigset_t* while_waiting() const { return &while_waiting_; }

 private:
  static constexpr std::array<int, 4> kMine = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
  sigset_t while_waiting_{};
};

// Another page of the terminal, without a cursor, and keys one by one. All of it is taken back at
// the end.
class Borrowed {
 public:
  Borrowed() {
    if (::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
      termios keys = before_;
      keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      keys.c_cc[VMIN] = 0;
      keys.c_cc[VTIME] = 0;
      keys.c_cc[VSUSP] = _POSIX_VDISABLE;  // else the shell would be left with this page
      has_keys_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys) == 0;
    }
    std::fputs("\x1b[?1049h\x1b[?25l", stdout);
  }
  ~Borrowed() {
    std::fputs("\x1b[?25h\x1b[?1049l", stdout);
    std::fflush(stdout);
    if (has_keys_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  bool has_keys() const { return has_keys_; }

 private:
  termios before_{};
  bool has_keys_ = false;
};

// Written over what was there, so that nothing flickers.
void draw(const std::vector<std::string>& lines, const Screen& where) {
  std::string out = "\x1b[H";
  const std::size_t count = std::min(lines.size(), where.lines);
  for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : "\r\n") + lines[i] + "\x1b[K";
  out += "\x1b[J";
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);
}

// Until a key, a signal or that moment. False if nobody is there to press a key any more.
bool wait(Clock::time_point until, bool has_keys, const Signals& signals, std::string& keys) {
  const auto left = std::max(Clock::duration::zero(), until - Clock::now());
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
  const timespec at_most{.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
                         .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
  pollfd in{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (::ppoll(&in, has_keys ? 1 : 0, &at_most, signals.while_waiting()) <= 0) return true;
  std::array<char, 256> bytes;
  const ssize_t found = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  if (found > 0) keys.assign(bytes.data(), static_cast<std::size_t>(found));
  return found > 0 || (found < 0 && (errno == EINTR || errno == EAGAIN));
}

Exit on_terminal(const Live& live) {
  const Signals signals;
  const Borrowed terminal;
  for (;;) {
    live.refresh();
    const auto next = Clock::now() + live.every;
    do {
      const Screen where = screen();
      draw(live.lines(where), where);
      std::string pressed;
      if (!wait(next, terminal.has_keys(), signals, pressed) || interrupted != 0)
        return Exit::kDone;
      for (const Key key : keys_in(pressed)) {
        if (key == Key::quit) return Exit::kDone;
        if (live.key) live.key(key);
      }
    } while (Clock::now() < next);
  }
}

Exit elsewhere(const Live& live) {
  const Signals signals;
  for (bool first = true;; first = false) {
    live.refresh();
    Screen where = screen();
    where.terminal = false;  // all of it is shown, and no key does anything
    if (!first && !live.plain) std::puts("");
    for (const std::string& line : live.lines(where)) std::puts(line.c_str());
    if (live.once) return Exit::kDone;
    // If nobody reads it any more, that is the end.
    if (std::fflush(stdout) != 0) return Exit::kFailed;
    std::string none;
    const auto next = Clock::now() + live.every;
    while (Clock::now() < next && interrupted == 0) wait(next, false, signals, none);
    if (interrupted != 0) return Exit::kDone;
  }
}

}  // namespace

std::vector<Key> keys_in(std::string_view bytes) {
  static constexpr std::array<std::pair<std::string_view, Key>, 21> kKeys = {{
      {"\x1b[A", Key::up},
      {"\x1b[B", Key::down},
      {"\x1b[5~", Key::page_up},
      {"\x1b[6~", Key::page_down},
      {"\x1b[H", Key::first},
      {"\x1b[F", Key::last},
      {"\x1b[1~", Key::first},
      {"\x1b[4~", Key::last},
      {"\x1bOA", Key::up},
      {"\x1bOB", Key::down},
      {"\x1bOH", Key::first},
      {"\x1bOF", Key::last},
      {"q", Key::quit},
      {"Q", Key::quit},
      {"k", Key::up},
      {"j", Key::down},
      {" ", Key::page_down},
      {"b", Key::page_up},
      {"g", Key::first},
      {"G", Key::last},
      {"\x04", Key::quit},
  }};
  std::vector<Key> keys;
  while (!bytes.empty()) {
    const auto found = std::ranges::find_if(
        kKeys, [bytes](const auto& known) { return bytes.starts_with(known.first); });
    const bool known = found != kKeys.end();
    if (known) keys.push_back(found->second);
    bytes.remove_prefix(known ? found->first.size() : 1);
  }
  return keys;
}

void Scroll::take(Key key, std::size_t room, std::size_t all) {
  const std::size_t most = all > room ? all - room : 0;
  const auto back = [this](std::size_t rows) { first -= std::min(first, rows); };
  switch (key) {
    case Key::up:
      back(1);
      break;
    case Key::down:
      first += 1;
      break;
    case Key::page_up:
      back(room);
      break;
    case Key::page_down:
      first += room;
      break;
    case Key::first:
      first = 0;
      break;
    case Key::last:
      first = most;
      break;
    case Key::none:
    case Key::quit:
      break;
  }
  first = std::min(first, most);
}

Exit show_live(const Live& live) {
  return screen().terminal && !live.once && !live.plain ? on_terminal(live) : elsewhere(live);
}

}  // namespace rollcall::cli
