#include "inspect/http_listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace rollcall::inspect {
namespace {

constexpr int kBacklog = 1'024;  // the system may cut it to net.core.somaxconn

std::expected<HttpListener, Error> bound(Fd fd, const HttpOptions& options) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return cannot("listen on", options, std::strerror(errno));
  const auto port = address.ss_family == AF_INET6
                        ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                        : reinterpret_cast<sockaddr_in&>(address).sin_port;
  return HttpListener{std::move(fd), ntohs(port)};
}

}  // namespace

std::unexpected<Error> cannot(std::string_view what, const HttpOptions& options, const char* why) {
  const bool v6 = options.host.find(':') != std::string::npos;
  return std::unexpected(Error{"HTTP cannot " + std::string(what) + " " +
                               (v6 ? "[" + options.host + "]" : options.host) + ":" +
                               std::to_string(options.port) + ": " + why +
                               "; set [inspect] address to an address of this machine with a free "
                               "port"});
}

std::expected<HttpListener, Error> listen_on(const HttpOptions& options) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  const int problem =
      ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &raw);
  if (problem != 0) return cannot("resolve", options, ::gai_strerror(problem));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(raw, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    Fd fd(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol));
    const int on = 1;
    if (fd && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        ::bind(fd.get(), at->ai_addr, at->ai_addrlen) == 0 && ::listen(fd.get(), kBacklog) == 0) {
      return bound(std::move(fd), options);
    }
    error = errno;
  }
  return cannot("listen on", options, std::strerror(error));
}

}  // namespace rollcall::inspect
