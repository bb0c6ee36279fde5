#pragma once
// A unix socket that takes datagrams, as remoted's queue/alerts/ar does.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

namespace rollcall::support {

class DatagramReader {
 public:
  explicit DatagramReader(std::string path) : path_(std::move(path)) {
    ::unlink(path_.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bound_ = ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  // Leaves the file, as a program that was killed does.
  ~DatagramReader() { ::close(fd_); }
  DatagramReader(const DatagramReader&) = delete;
  DatagramReader& operator=(const DatagramReader&) = delete;

  bool bound() const { return bound_; }

  std::optional<std::string> read() {
    char buffer[1 << 16];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    return n < 0 ? std::nullopt : std::optional(std::string(buffer, static_cast<std::size_t>(n)));
  }
  // All that wait.
  std::vector<std::string> read_all() {
    std::vector<std::string> all;
    while (auto one = read()) all.push_back(std::move(*one));
    return all;
  }

 private:
  std::string path_;
  int fd_ = -1;
  bool bound_ = false;
};

}  // namespace rollcall::support
