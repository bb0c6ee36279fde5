#pragma once
// The log's records as JSON, one object each.
#include <cstdint>
#include <optional>

#include "cli/text.h"
#include "master/core/log_record.h"

namespace rollcall::cli {

// With `agent`: only what is about it; null if nothing is.
Json record_json(std::uint64_t index, const master::LogRecord& record,
                 std::optional<AgentId> agent);

}  // namespace rollcall::cli
