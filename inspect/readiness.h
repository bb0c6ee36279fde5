#pragma once
// Whether a daemon does its work, as /readyz and systemd's status line say it. Loop thread only.
#include <string>
#include <vector>

#include "inspect/pages.h"

namespace rollcall::inspect {

// Empty: ready.
std::vector<std::string> why_not_ready(const SidecarView& view);
std::vector<std::string> why_not_ready(const app::MasterDriver& driver);

// One line: what there is, and why it is not ready, if so.
std::string describe(const SidecarView& view);
std::string describe(const app::MasterDriver& driver);

}  // namespace rollcall::inspect
