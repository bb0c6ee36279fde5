#pragma once
// The log of a large master, as it would have written it.
#include <cstdint>
#include <filesystem>

namespace rollcall::bench {

// A snapshot with so many agents, all with their info, and behind it so many records of agents that
// open a session anew.
void make_log(const std::filesystem::path& directory, std::uint32_t agents, std::uint32_t records);

}  // namespace rollcall::bench
