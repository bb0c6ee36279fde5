#pragma once
// An ini file of either daemon. Whose it is shows in it.
#include <expected>
#include <string>
#include <variant>

#include "app/config.h"
#include "protocol/error.h"

namespace rollcall::cli {

using AnyConfig = std::variant<app::SidecarConfig, app::MasterConfig>;

// What is wrong with it, as the daemon says it whose it seems to be.
struct ConfigFault : Error {
  bool is_sidecars = false;
};
std::expected<AnyConfig, ConfigFault> load_any_config(const std::string& file);

const app::InspectConfig& inspect_of(const AnyConfig& config);

}  // namespace rollcall::cli
