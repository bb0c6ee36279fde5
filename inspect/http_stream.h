#pragma once
// Answers that are not given at once: one that waits for news, and one that goes on for as long as
// there are any. While they wait they hold a connection, but no worker.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace rollcall::inspect {

// What a handler answers if there is nothing to say yet. It is asked again once the server was told
// of news beyond `seen`, and for the last time (Request::waited) after `at_most` since the first.
struct Wait {
  std::uint64_t seen = 0;
  std::chrono::milliseconds at_most{};
};

// An answer in parts, until the client leaves.
class Stream {
 public:
  virtual ~Stream() = default;

  struct Part {
    std::string text;        // as it is sent
    std::uint64_t seen = 0;  // the next one is asked for once there are news beyond
    bool last = false;
    // The next one is not asked for before, however much is new, ...
    std::chrono::milliseconds pause{0};
    // ... and without news after so long; 0: as the server has it.
    std::chrono::milliseconds idle{0};
  };
  // On a worker, one call at a time: after news, and now and then without any, so that a client
  // that is gone is noticed.
  virtual Part next() = 0;
  // The first part is asked for without waiting for news.
  virtual bool starts_at_once() const { return false; }
  // On the front thread, at the end: what to send instead of `unsent`, of which a part may have
  // been sent before.
  virtual std::string farewell(std::string_view unsent, std::string_view why) const = 0;
};

}  // namespace rollcall::inspect
