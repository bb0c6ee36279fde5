#pragma once
// One connection to a daemon's inspect address, kept open: questions cost no connect.
#include <cstdint>
#include <string>

namespace rollcall::bench {

class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port) : port_(port) {}
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // The body. Ends the program if the daemon does not answer; `status` gets the HTTP status.
  std::string get(const std::string& path, int* status = nullptr);

 private:
  void connect();

  std::uint16_t port_;
  int fd_ = -1;
  std::string buffer_;
};

// The number behind "key": in a JSON text that has it once.
std::int64_t number_in(const std::string& json, const std::string& key);

}  // namespace rollcall::bench
