#pragma once
// Pages of the daemon on this machine, for those who look whether it is there.
#include <optional>
#include <string>

#include "app/config.h"
#include "cli/text.h"

namespace rollcall::cli {

// The body of a page; nothing if the daemon does not answer, or not with 200 or 503, with which it
// says that it is not well. The token is shown only to a daemon that is told to ask for it: who
// else listens at its port may ask, and gets none.
std::optional<std::string> local_page(const app::InspectConfig& inspect, const std::string& path);
// The same as JSON; nothing, too, if all that is in it is an error.
std::optional<Json> local_json(const app::InspectConfig& inspect, const std::string& path);

}  // namespace rollcall::cli
