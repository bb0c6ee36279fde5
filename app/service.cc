#include "app/service.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <expected>

#include "app/logging.h"
#include "protocol/error.h"

namespace rollcall::app {
namespace {

constexpr std::size_t kLongestStatus = 500;

std::string taken(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc{} && rest == text.data() + text.size() ? value : 0;
}

// Errors are named by peers: a line break in one would be a message of its own to systemd.
std::string one_line(std::string_view text) {
  std::string line(text.substr(0, kLongestStatus));
  std::ranges::replace_if(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return line;
}

std::expected<void, Error> send_datagram(const std::string& path, const std::string& message) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::unexpected(Error{"its name is too long"});
  path.copy(address.sun_path, path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());

  const int file = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (file < 0) return std::unexpected(Error{std::strerror(errno)});
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const ssize_t sent = ::sendto(file, message.data(), message.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address), size);
  const int error = errno;
  ::close(file);
  if (sent < 0) return std::unexpected(Error{std::strerror(error)});
  return {};
}

}  // namespace

Service Service::from_environment() {
  Options options;
  options.socket = taken("NOTIFY_SOCKET");
  const std::uint64_t watchdog = number(taken("WATCHDOG_USEC"));
  const std::string process = taken("WATCHDOG_PID");
  if (process.empty() || number(process) == static_cast<std::uint64_t>(::getpid()))
    options.watchdog = std::chrono::microseconds(watchdog);
  return Service(std::move(options));
}

void Service::ready() {
  send("READY=1");
}

void Service::reloading() {
  // systemd wants to know which reload this is the beginning of.
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t now_us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now_us));
}

void Service::stopping() {
  send("STOPPING=1");
}

void Service::status(std::string_view text) {
  std::string line = one_line(text);
  if (line == status_) return;
  status_ = std::move(line);
  send("STATUS=" + status_);
}

std::optional<std::chrono::milliseconds> Service::alive_every() const {
  using std::chrono::milliseconds;
  if (options_.socket.empty() || options_.watchdog.count() == 0) return std::nullopt;
  // Thrice in the time, so that one which comes late is not the end.
  return std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(options_.watchdog / 3));
}

void Service::alive() {
  send("WATCHDOG=1");
}

void Service::send(const std::string& message) {
  if (options_.socket.empty()) return;
  const auto sent = send_datagram(options_.socket, message);
  if (!sent && !complained_) {
    log(Level::Warn, "systemd cannot be told how this service is; it may end it for that",
        {{"socket", options_.socket}, {"why", sent.error().message}});
  }
  complained_ = !sent;
}

}  // namespace rollcall::app
