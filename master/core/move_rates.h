#pragma once
// How many agents came to each worker and left it, for people who balance them. Counted in steps of
// ten seconds, since the start of the process. Pure; loop thread.
#include <array>
#include <cstdint>
#include <map>

#include "protocol/ids.h"

namespace rollcall::master {

class MoveRates {
 public:
  struct Rates {
    std::uint64_t came_last_minute = 0, left_last_minute = 0;
    std::uint64_t came_last_ten_minutes = 0, left_last_ten_minutes = 0;
    bool operator==(const Rates&) const = default;
  };

  // `mono_us`: the monotonic clock of this machine; never less than before.
  void moved(const NodeName& from, const NodeName& to, std::int64_t mono_us);
  Rates of(const NodeName& node, std::int64_t mono_us) const;
  void forget(const NodeName& node) { nodes_.erase(node); }

 private:
  static constexpr std::int64_t kStepUs = 10'000'000;
  static constexpr std::size_t kSteps = 60;
  struct Step {
    std::int64_t number = -1;  // of its ten seconds
    std::uint64_t came = 0, left = 0;
  };
  using Steps = std::array<Step, kSteps>;

  Step& step(const NodeName& node, std::int64_t mono_us);
  std::map<NodeName, Steps> nodes_;
};

}  // namespace rollcall::master
