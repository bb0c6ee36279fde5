#pragma once
// What somebody who helps needs to know of this machine, packed, without secrets.
#include <cstddef>
#include <expected>
#include <string>
#include <vector>

#include "app/config.h"
#include "cli/progress.h"
#include "protocol/error.h"

namespace rollcall::cli {

// What a program says, the newest of it if that is more than `most` bytes; of no harm if it is not
// there. `command` is a text of ours.
std::string said_by(const std::string& command, std::size_t most);

// What the certificates of a daemon say, as JSON; names need not be UTF-8.
std::string certificates_of(const app::TlsConfig& tls);

// So many steps for so many daemons.
std::uint64_t support_steps(std::size_t daemons);

// Returns the path of what was written, mode 0600. `out`: empty for a name with the time.
std::expected<std::string, Error> write_support(const std::vector<std::string>& configs,
                                                const std::string& user, const std::string& out,
                                                const std::string& version, Steps& steps);

}  // namespace rollcall::cli
