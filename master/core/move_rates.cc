#include "master/core/move_rates.h"

namespace rollcall::master {

MoveRates::Step& MoveRates::step(const NodeName& node, std::int64_t mono_us) {
  const std::int64_t number = mono_us / kStepUs;
  Step& found = nodes_[node][static_cast<std::size_t>(number) % kSteps];
  if (found.number != number) found = {number, 0, 0};
  return found;
}

void MoveRates::moved(const NodeName& from, const NodeName& to, std::int64_t mono_us) {
  ++step(from, mono_us).left;
  ++step(to, mono_us).came;
}

MoveRates::Rates MoveRates::of(const NodeName& node, std::int64_t mono_us) const {
  Rates rates;
  const auto its = nodes_.find(node);
  if (its == nodes_.end()) return rates;
  const std::int64_t present = mono_us / kStepUs;
  for (const Step& s : its->second) {
    const std::int64_t ago = present - s.number;
    if (s.number < 0 || ago >= std::int64_t{kSteps}) continue;
    rates.came_last_ten_minutes += s.came;
    rates.left_last_ten_minutes += s.left;
    if (ago >= 6) continue;
    rates.came_last_minute += s.came;
    rates.left_last_minute += s.left;
  }
  return rates;
}

}  // namespace rollcall::master
