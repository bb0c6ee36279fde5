#include "inspect/upkeep.h"

namespace rollcall::inspect {

Json certificates_json(const Upkeep& upkeep, std::chrono::system_clock::time_point now) {
  Json all = Json::array();
  for (const auto& one : upkeep.certificates) {
    const auto us =
        std::chrono::duration_cast<std::chrono::microseconds>(one.not_after.time_since_epoch());
    all.push_back({{"subject", one.subject},
                   {"names", one.names},
                   {"file", one.file},
                   {"serial", one.serial},
                   {"not_after", us.count()},
                   {"days_left", net::days_left(one.not_after, now)}});
  }
  return all;
}

Json reload_json(const Upkeep& upkeep) {
  const auto& reload = upkeep.reload;
  return {{"done", reload.done},
          {"failed", reload.failed},
          {"error", or_null(reload.error)},
          {"needs_restart", reload.needs_restart}};
}

}  // namespace rollcall::inspect
