#include "sidecar/core/handoff.h"

#include <sstream>
#include <utility>

namespace rollcall::sidecar {
namespace {

constexpr std::int64_t kShortestGraceUs = 1'000'000;
constexpr std::uint32_t kMostMovesPerS = 10'000;

}  // namespace

std::string to_text(const Drain& d) {
  std::ostringstream out;
  out << d.number << ' ' << d.grace_us << ' ' << d.move_per_s << ' ' << d.since.boot << ' '
      << d.since.boot_us << ' ' << d.since.wall_us;
  return out.str();
}

std::optional<Drain> drain_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  Drain d;
  if (!(in >> d.number >> d.grace_us >> d.move_per_s >> d.since.boot >> d.since.boot_us >>
        d.since.wall_us))
    return std::nullopt;
  return d;
}

std::expected<void, Error> check(const Drain& d) {
  if (d.grace_us < kShortestGraceUs || d.grace_us > kLongestGraceUs)
    return std::unexpected(Error{"the grace of a drain is 1s to 24h"});
  if (d.move_per_s > kMostMovesPerS)
    return std::unexpected(Error{"at most " + std::to_string(kMostMovesPerS) +
                                 " agents are asked to reconnect in a second"});
  return {};
}

std::string_view to_string(Handoff::Cause cause) {
  switch (cause) {
    case Handoff::Cause::drain:
      return "drain";
    case Handoff::Cause::manager:
      return "manager";
  }
  return "?";
}

std::string_view to_string(Handoff::End end) {
  switch (end) {
    case Handoff::End::none:
      return "none";
    case Handoff::End::stayed:
      return "stayed";
    case Handoff::End::withdrawn:
      return "withdrawn";
    case Handoff::End::taken:
      return "taken";
    case Handoff::End::expired:
      return "expired";
    case Handoff::End::over:
      return "over";
  }
  return "?";
}

void remember(std::vector<Move>& moves, Move move) {
  if (moves.size() >= kMovesKept) moves.erase(moves.begin());
  moves.push_back(std::move(move));
}

std::string_view to_string(Move::Kind kind) {
  switch (kind) {
    case Move::Kind::took:
      return "took";
    case Move::Kind::released:
      return "released";
  }
  return "?";
}

}  // namespace rollcall::sidecar
