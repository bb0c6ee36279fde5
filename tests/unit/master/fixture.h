#pragma once
// Words for tests of the master's core. All times are seconds of its machine's boot clock; the wall
// clock is elsewhere altogether, and the master's time is the wall clock of the first start.
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "master/core/log_record.h"
#include "protocol/event.h"
#include "protocol/now.h"

namespace rollcall::master::test {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kWall = 1'700'000'000;  // the wall clock at boot, in seconds
constexpr std::uint64_t kBoot = 42;

inline std::int64_t us(double s) {
  return std::llround(s * 1e6);
}
inline Now at(double s) {
  return {us(s) + kWall * kSecond, us(s) - 5 * kSecond, us(s)};
}
inline MasterTime master_time(double s) {
  return {us(s) + kWall * kSecond};
}
inline Epoch epoch(double s) {
  return epoch_at(master_time(s));
}

// Evidence is one second from `lo`; of a session that opens it is its epoch.
inline Event event(std::uint32_t agent, EventKind kind, double epoch_s, std::uint32_t change,
                   double lo) {
  Event e;
  e.agent = AgentId{agent};
  e.kind = kind;
  e.epoch = epoch(epoch_s);
  e.change = change;
  e.evidence = {master_time(lo), master_time(lo + 1)};
  return e;
}
inline Event opened(std::uint32_t agent, double s) {
  return event(agent, EventKind::opened, s, 0, s);
}
inline Event closed(std::uint32_t agent, double epoch_s, std::uint32_t change, double lo) {
  Event e = event(agent, EventKind::closed, epoch_s, change, lo);
  e.reason = Reason::shutdown;
  return e;
}
inline Event with_info(Event e, const AgentInfo& info, bool fields = true) {
  e.info_hash = hash_of(info);
  if (fields) e.info = std::make_shared<const AgentInfo>(info);
  return e;
}

}  // namespace rollcall::master::test
