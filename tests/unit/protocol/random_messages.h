#pragma once
// Random but valid messages, each from its own seed, so that a failure can be repeated.
#include <cstdint>
#include <random>

#include "protocol/messages.h"

namespace rollcall::testing {

using Rng = std::mt19937_64;

Event random_event(Rng& rng);
inline constexpr std::size_t kMessageTypes = 18;
Message random_message(std::size_t type, Rng& rng);  // type < kMessageTypes

}  // namespace rollcall::testing
