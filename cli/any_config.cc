#include "cli/any_config.h"

#include <utility>

namespace rollcall::cli {

std::expected<AnyConfig, ConfigFault> load_any_config(const std::string& file) {
  auto master = app::load_master_config(file);
  if (master) return *std::move(master);
  auto sidecar = app::load_sidecar_config(file);
  if (sidecar) return *std::move(sidecar);
  // Whose it is shows in what is found wrong with it as the other's.
  const bool is_sidecars = sidecar.error().message.find("is not known") == std::string::npos;
  return std::unexpected(ConfigFault{is_sidecars ? sidecar.error() : master.error(), is_sidecars});
}

const app::InspectConfig& inspect_of(const AnyConfig& config) {
  return std::visit([](const auto& one) -> const app::InspectConfig& { return one.inspect; },
                    config);
}

}  // namespace rollcall::cli
