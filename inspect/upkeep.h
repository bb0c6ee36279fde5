#pragma once
// What /status of both daemons says of certificates, and of what was read anew while it runs.
#include <chrono>
#include <functional>
#include <vector>

#include "app/reload.h"
#include "inspect/page_tools.h"
#include "net/certificate.h"

namespace rollcall::inspect {

struct Upkeep {
  std::vector<net::CertificateInfo> certificates;
  app::ReloadStatus reload;
};
using UpkeepOf = std::function<Upkeep()>;  // loop thread

template <typename Config>
UpkeepOf upkeep_of(const app::Reloader<Config>& reloader) {
  return [&reloader] { return Upkeep{reloader.certificates(), reloader.status()}; };
}

Json certificates_json(const Upkeep& upkeep, std::chrono::system_clock::time_point now);
Json reload_json(const Upkeep& upkeep);

}  // namespace rollcall::inspect
