#pragma once
// A client of the HTTP side, in plain sockets: it does what a test says and nothing else.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace rollcall::inspect {

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // A server that does not answer fails the test instead of holding it.
    const timeval limit{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Client& send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;  // the server has had enough; what it says is read next
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return *this;
  }
  void finish_sending() { ::shutdown(fd_, SHUT_WR); }
  int fd() const { return fd_; }

  // Everything until the server closes.
  std::string read_all() {
    while (read_some()) {
    }
    return std::move(in_);
  }

  struct Answer {
    int status = 0;
    std::string head;
    std::string body;
  };
  enum class Body { Sent, NotSent };
  Answer read_answer(Body body = Body::Sent) {
    std::size_t end = 0;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_some()) return {0, in_, ""};
    }
    Answer answer{0, in_.substr(0, end + 4), ""};
    answer.status = std::stoi(answer.head.substr(9, 3));
    in_.erase(0, end + 4);
    if (body == Body::NotSent) return answer;
    const std::size_t at = answer.head.find("Content-Length: ");
    const std::size_t bytes = at == std::string::npos ? 0 : std::stoul(answer.head.substr(at + 16));
    while (in_.size() < bytes && read_some()) {
    }
    answer.body = in_.substr(0, bytes);
    in_.erase(0, bytes);
    return answer;
  }
  // Up to and including `end`, which is in no answer's length: of a stream.
  std::string read_until(std::string_view end) {
    std::size_t at = 0;
    while ((at = in_.find(end)) == std::string::npos) {
      if (!read_some()) return std::exchange(in_, {}) + "(closed)";
    }
    const std::string out = in_.substr(0, at + end.size());
    in_.erase(0, at + end.size());
    return out;
  }
  bool closed_by_server() { return in_.empty() && !read_some(); }

 private:
  bool read_some() {
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    in_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  int fd_;
  std::string in_;
};

inline std::string request(const std::string& line, const std::string& headers = "",
                           const std::string& body = "") {
  return line + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n" + body;
}

}  // namespace rollcall::inspect
