// When the whole table is read and when only what may have changed, and since which second. Pure;
// the time comes with each call.
//
// Rows change by what agents do, which leaves the second in the row, by wazuh-db's own clock. So a
// row whose times are all before the look before began is as that look left it, as long as that
// clock went on evenly. Whatever else may happen is found by reading the whole table again.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocol/now.h"

namespace rollcall::sidecar {

class LookPlan {
 public:
  // Seconds of wazuh-db's clock, first and last included.
  struct Window {
    std::int64_t from_s = 0;
    std::int64_t to_s = 0;
    bool operator==(const Window&) const = default;
  };

  // What the first reply of a look says, and between which two moments that was read.
  struct Head {
    std::optional<std::int64_t> table_ms;  // wazuh-db's wall clock
    std::size_t table_rows = 0;            // agents of all nodes
    Now asked;
    Now answered;
  };

  explicit LookPlan(std::chrono::microseconds scan) : scan_us_(scan.count()) {}

  void set_scan(std::chrono::microseconds scan);

  // Another connection: what is behind it may be another table.
  void connected();

  // What to read next; nothing: the whole table.
  std::optional<Window> next(const Now& now) const;

  // Whether wazuh-db's clock went on evenly since the look before. If not, a window proves nothing.
  bool goes_on(const Head& head) const;

  // A look succeeded.
  enum class Kind { whole, window };
  void looked(Kind kind, const Head& head, const Now& finished);

 private:
  struct Last {
    std::int64_t table_ms = 0;
    std::int64_t took_ms = 0;
    Now asked;
    Now answered;
  };

  std::int64_t scan_us_;
  std::optional<Last> last_;
  std::size_t rows_ = 0;
  std::int64_t scanned_us_ = 0;  // monotonic: the last whole look, and the next one
  std::int64_t scan_at_us_ = 0;
  bool vanished_ = false;  // rows, and no whole look since
};

}  // namespace rollcall::sidecar
