// What every EventLog refuses, in the same words. Pure.
#pragma once
#include <cstdint>
#include <expected>
#include <span>
#include <string>

#include "persist/event_log.h"

namespace rollcall::persist {

inline constexpr std::size_t kSnapshotsKept = 2;

std::expected<void, Error> check_group(std::span<const std::string> records);
std::expected<void, Error> check_removal(std::uint64_t index, std::uint64_t snapshot_upto);
Error too_old(std::uint64_t from_index, std::uint64_t first_index);
Error not_yet_durable(std::uint64_t upto_index, std::uint64_t next_index);

}  // namespace rollcall::persist
