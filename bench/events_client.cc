#include "bench/events_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "bench/figures.h"

namespace rollcall::bench {

EventsClient::EventsClient(const std::string& path) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) fail("the socket's path is too long: " + path);
  std::memcpy(to.sun_path, path.data(), path.size());
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    fail("nobody answers on " + path + ": " + std::strerror(errno));
}

EventsClient::~EventsClient() {
  ::close(fd_);
}

// Takes what answers there are: {"line":7,"stored":true}, or {"lines":[1,9],"stored":true}.
bool EventsClient::answered(std::uint64_t told) {
  char piece[65536];
  const ssize_t n = ::recv(fd_, piece, sizeof piece, MSG_DONTWAIT);
  if (n == 0) fail("the sidecar ended the connection");
  if (n < 0 && errno != EAGAIN && errno != EINTR)
    fail(std::string("the sidecar's answers cannot be read: ") + std::strerror(errno));
  if (n > 0) answers_.append(piece, static_cast<std::size_t>(n));
  std::size_t end = 0, begin = 0;
  for (; (end = answers_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = answers_.substr(begin, end - begin);
    if (!line.contains("\"stored\":true")) fail("the sidecar refused: " + line);
    const auto range = line.find("\"lines\":[");
    if (range == std::string::npos) {
      ++stored_;
      continue;
    }
    char* next = nullptr;
    const auto first = std::strtoull(line.c_str() + range + 9, &next, 10);
    stored_ += std::strtoull(next + 1, nullptr, 10) + 1 - first;
  }
  answers_.erase(0, begin);
  return stored_ >= told;
}

void EventsClient::tell(std::string_view lines) {
  told_ += static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
  while (!lines.empty() || !answered(told_)) {
    pollfd p{fd_, static_cast<short>(lines.empty() ? POLLIN : POLLIN | POLLOUT), 0};
    if (::poll(&p, 1, 30'000) <= 0) fail("no answer from the sidecar for 30 s");
    if (p.revents & POLLOUT) {
      const ssize_t n = ::send(fd_, lines.data(), lines.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN)
        fail(std::string("the socket takes no lines: ") + std::strerror(errno));
      if (n > 0) lines.remove_prefix(static_cast<std::size_t>(n));
    }
    if (p.revents & (POLLIN | POLLHUP | POLLERR)) answered(told_);
  }
}

}  // namespace rollcall::bench
