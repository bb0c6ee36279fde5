#pragma once
// The agents of a storm: made from a seed, so that whoever has the seed knows the truth.
#include <cstdint>
#include <string>

#include "protocol/agent_info.h"

namespace rollcall::bench {

// A full info as Wazuh has it. Names, addresses and both sums are random and independent; systems
// and groups are of a few kinds, as in a real fleet.
AgentInfo info_of(std::uint32_t agent, std::uint64_t seed);

// A line for the sidecar's event socket, with its end. `info` may be null.
std::string event_line(std::uint32_t agent, const char* event, std::int64_t at_us,
                       const AgentInfo* info);

}  // namespace rollcall::bench
