#include "bench/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "bench/figures.h"

namespace rollcall::bench {

HttpClient::~HttpClient() {
  if (fd_ >= 0) ::close(fd_);
}

void HttpClient::connect() {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    fail("nobody answers on port " + std::to_string(port_));
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  buffer_.clear();
}

std::string HttpClient::get(const std::string& path, int* status) {
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  for (int tries = 0; tries < 2; ++tries) {
    if (fd_ < 0) connect();
    buffer_.clear();
    if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(request.size())) {
      std::size_t body = std::string::npos, length = 0;
      char piece[65536];
      for (;;) {
        const ssize_t n = ::recv(fd_, piece, sizeof piece, 0);
        if (n <= 0) break;
        buffer_.append(piece, static_cast<std::size_t>(n));
        if (body == std::string::npos) {
          body = buffer_.find("\r\n\r\n");
          if (body == std::string::npos) continue;
          body += 4;
          const auto at = buffer_.find("Content-Length: ");
          if (at == std::string::npos || at > body) fail("an answer without Content-Length");
          length = std::strtoull(buffer_.c_str() + at + 16, nullptr, 10);
        }
        if (buffer_.size() < body + length) continue;
        if (status) *status = std::atoi(buffer_.c_str() + 9);
        return buffer_.substr(body, length);
      }
    }
    // The daemon ends a connection after some requests.
    ::close(fd_);
    fd_ = -1;
  }
  fail("no answer to " + path);
}

std::int64_t number_in(const std::string& json, const std::string& key) {
  auto at = json.find("\"" + key + "\":");
  if (at == std::string::npos) fail("there is no " + key + " in " + json.substr(0, 200));
  at += key.size() + 3;
  while (json[at] == ' ') ++at;
  return std::strtoll(json.c_str() + at, nullptr, 10);
}

}  // namespace rollcall::bench
