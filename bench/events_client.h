#pragma once
// The other end of a sidecar's event socket (docs/events.md).
#include <cstdint>
#include <string>
#include <string_view>

namespace rollcall::bench {

class EventsClient {
 public:
  explicit EventsClient(const std::string& path);
  ~EventsClient();
  EventsClient(const EventsClient&) = delete;
  EventsClient& operator=(const EventsClient&) = delete;

  // Writes all lines as fast as they are taken, and returns when each is answered as stored. Ends
  // the program if one is refused.
  void tell(std::string_view lines);

 private:
  bool answered(std::uint64_t told);

  int fd_ = -1;
  std::uint64_t told_ = 0;    // lines, so far
  std::uint64_t stored_ = 0;  // of them
  std::string answers_;
};

}  // namespace rollcall::bench
