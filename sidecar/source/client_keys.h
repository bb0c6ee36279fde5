// Wazuh's list of enrolled agents, for one question only: is it empty? The keys in it are secrets;
// nothing of the file is kept, returned or logged.
#pragma once
#include <optional>
#include <string>

namespace rollcall::sidecar {

// True if `path` (etc/client.keys) enrols no agent. Comments, blank lines and removed agents (names
// that begin with '!') do not count; a line of any other shape does, so that doubt says "not
// empty". Nothing if the file is missing, unreadable, not a plain file, or too long to be sure.
// Blocks for as long as reading up to a megabyte takes.
std::optional<bool> no_agents_enrolled(const std::string& path);

}  // namespace rollcall::sidecar
