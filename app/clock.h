// Where the time comes from. Cores get a `Now` passed in; only the shell holds a Clock, and the
// simulator holds another one. Any thread may ask.
#pragma once
#include <string>

#include "protocol/now.h"

namespace rollcall::app {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now now() = 0;
  // Names this boot of the machine: boot times compare only while it is the same. Never empty; if
  // the kernel does not tell, it is new for every process, so that nothing is compared wrongly.
  virtual std::string boot_id() = 0;
};

class SystemClock final : public Clock {
 public:
  Now now() override;
  std::string boot_id() override;
};

}  // namespace rollcall::app
