#include "persist/log_rules.h"

namespace rollcall::persist {

std::expected<void, Error> check_group(std::span<const std::string> records) {
  if (records.size() > kMaxGroupRecords) {
    return std::unexpected(Error{"a group of " + std::to_string(records.size()) +
                                 " records cannot be appended: at most " +
                                 std::to_string(kMaxGroupRecords) + " go into one; split it"});
  }
  std::size_t left = kMaxGroupBytes;
  for (const auto& record : records) {
    // No sum of sizes that the caller chose: it could overflow.
    if (left < sizeof(std::uint32_t) || record.size() > left - sizeof(std::uint32_t)) {
      return std::unexpected(Error{"a group of more than " + std::to_string(kMaxGroupBytes) +
                                   " bytes cannot be appended to the log; split it"});
    }
    left -= sizeof(std::uint32_t) + record.size();
  }
  return {};
}

std::expected<void, Error> check_removal(std::uint64_t index, std::uint64_t snapshot_upto) {
  if (index <= 1 || index - 1 <= snapshot_upto) return {};
  return std::unexpected(
      Error{"records up to index " + std::to_string(index - 1) +
            " cannot be removed from the log: the newest snapshot covers them only up to " +
            std::to_string(snapshot_upto) + "; write a newer snapshot first"});
}

Error too_old(std::uint64_t from_index, std::uint64_t first_index) {
  return {"the log has no record with index " + std::to_string(from_index) +
          " any more: it begins at " + std::to_string(first_index) +
          "; read from there, after the state of the snapshot"};
}

Error not_yet_durable(std::uint64_t upto_index, std::uint64_t next_index) {
  return {"a snapshot up to index " + std::to_string(upto_index) +
          " is not possible: the log ends before index " + std::to_string(next_index)};
}

}  // namespace rollcall::persist
