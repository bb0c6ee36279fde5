// Checks the structure of an LMDB file without LMDB: page numbers, flags, bounds, key order,
// counts. LMDB 0.9 believes its pages, so that a truncated or overwritten file ends the process
// with SIGBUS or worse; with this it ends with a message.
#pragma once
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>

namespace rollcall::persist {

// Checks the newest state, or the one of transaction `txn`, which must not change meanwhile: hold
// the store's lock, or a read transaction. The error says what is wrong and where; a state that is
// not there any more gives kGone.
inline constexpr const char* kGone = "the transaction is not the newest or second newest";
std::expected<void, std::string> check_lmdb_file(const std::filesystem::path& data_file,
                                                 std::optional<std::uint64_t> txn = {});

}  // namespace rollcall::persist
