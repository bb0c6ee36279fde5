#pragma once
// Words for tests of the sidecar's core. All times are seconds of the machine's boot clock; wall
// clock and master's time are elsewhere altogether, so that no test passes by mixing them up.
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/core/agent_state.h"
#include "sidecar/core/observation.h"

namespace rollcall::sidecar::test {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kWall = 1'700'000'000;    // the wall clock at boot, in seconds
constexpr std::int64_t kMaster = 1'800'000'000;  // the master's time at this machine's boot
constexpr std::int64_t kMono = 5;                // the machine was suspended that long before
constexpr std::uint64_t kBoot = 42;
constexpr AgentId kSeven{7};

inline std::int64_t us(double s) {
  return std::llround(s * 1e6);
}
inline Now at(double s) {
  return {us(s) + kWall * kSecond, us(s) - kMono * kSecond, us(s)};
}
inline MasterTime master_time(double s) {
  return {us(s) + kMaster * kSecond};
}
inline Epoch epoch(double s) {
  return epoch_at(master_time(s));
}

constexpr auto kNever = RowStatus::never_connected;
constexpr auto kPending = RowStatus::pending;
constexpr auto kActive = RowStatus::active;
constexpr auto kGone = RowStatus::disconnected;

// `heard`: the second in which the agent last spoke, by the boot clock; the row has the wall clock.
inline Row row(std::uint32_t agent, RowStatus status, std::int64_t heard, std::uint8_t code = 0) {
  return {AgentId{agent}, status, heard + kWall, code, 0};
}
// A look that took the tenth of a second before `s`.
inline Look look_at(double s, std::vector<Row> rows) {
  Look look;
  look.started = at(s - 0.1);
  look.finished = at(s);
  look.connection = 1;
  look.rows = std::move(rows);
  return look;
}

inline std::string number(double v) {
  std::ostringstream out;
  out << std::setprecision(12) << v;
  return out.str();
}
inline std::string text(Epoch e) {
  if (e == kUnstamped) return "-";
  return number(static_cast<double>(time_of(e).us - kMaster * kSecond) / 1e6);
}
// "7 closed @9+1 [19, 20] shutdown": agent, kind, epoch + change, evidence, reason if there is one.
inline std::string text(const LocalEvent& e) {
  std::string out = std::to_string(static_cast<std::uint32_t>(e.agent)) + " " +
                    std::string(to_string(e.kind)) + " @" + text(e.epoch) + "+" +
                    std::to_string(e.change) + " [" +
                    number(static_cast<double>(e.evidence.lo.boot_us) / 1e6) + ", " +
                    number(static_cast<double>(e.evidence.hi.boot_us) / 1e6) + "]";
  if (e.reason != Reason::none) out += " " + std::string(to_string(e.reason));
  if (e.info_hash != InfoHash{}) out += e.info ? " info" : " hash";
  if (e.folded != 0) out += " folded " + std::to_string(e.folded);
  if (e.grace_us != 0) out += " for " + number(static_cast<double>(e.grace_us) / 1e6);
  return out;
}
template <typename Events>
std::string text(const Events& events) {
  std::string out;
  for (const auto& e : events) out += (out.empty() ? "" : "; ") + text(e);
  return out;
}

}  // namespace rollcall::sidecar::test
