#pragma once
// What somebody who helps needs to know of this machine, packed, without secrets.
#include <expected>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace rollcall::cli {

// Returns the path of what was written, mode 0600. `out`: empty for a name with the time.
std::expected<std::string, Error> write_support(const std::vector<std::string>& configs,
                                                const std::string& user, const std::string& out,
                                                const std::string& version);

}  // namespace rollcall::cli
