#pragma once
// The entries of an INVENTORY_CHUNK as bytes (docs/protocol.md, section 6): about 16 each, half of
// what numbers of msgpack would take.
#include <cstddef>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"
#include "protocol/messages.h"

namespace rollcall {

// The entries are ascending by agent, each once.
std::string pack_entries(std::span<const InventoryEntry> entries);
// Exactly `count` of them. The error names the entry.
std::expected<std::vector<InventoryEntry>, Error> unpack_entries(std::string_view bytes,
                                                                 std::size_t count);

}  // namespace rollcall
