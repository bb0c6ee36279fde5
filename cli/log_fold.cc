#include "cli/log_fold.h"

#include <algorithm>
#include <variant>

#include "cli/progress.h"

namespace rollcall::cli {

using persist::Reading;

std::optional<MasterTime> time_of(const master::LogRecord& record) {
  return std::visit(
      [](const auto& r) -> std::optional<MasterTime> {
        if constexpr (requires { r.at; }) {
          return r.at;
        } else {
          return std::nullopt;
        }
      },
      record);
}

std::string fault_at(const persist::LogReader& log, std::uint64_t index, const std::string& why) {
  std::string where = "record " + std::to_string(index);
  if (const auto place = log.place_of(index)) {
    where +=
        ", in the group at byte " + std::to_string(place->offset) + " of " + place->file.string();
  }
  return where + ": " + why;
}

std::expected<Fold, Error> begin_fold(const persist::LogReader& log,
                                      const std::function<bool(const Fold&)>& fits) {
  const auto first = log.verdict().first_index;
  const auto next = log.verdict().next_index;
  std::optional<Fold> oldest;
  auto snapshots = log.snapshots();
  std::erase_if(snapshots, [&](std::uint64_t upto) { return upto + 1 < first || upto >= next; });
  std::ranges::reverse(snapshots);
  for (const auto upto : snapshots) {
    // Unless it is asked for, the whole log is folded.
    const bool is_oldest = upto == snapshots.back();
    if (!fits && (first == 1 || !is_oldest)) continue;
    const auto bytes = log.snapshot(upto);
    if (!bytes) continue;
    auto state = master::State::decode(*bytes);
    if (!state) {
      return std::unexpected(
          Error{log.snapshot_file(upto).string() + ": " + state.error().message});
    }
    Fold fold{std::move(*state), upto, {}};
    if (!fits || fits(fold)) return fold;
    if (is_oldest) oldest = std::move(fold);
  }
  if (first == 1) return Fold{};
  if (oldest) return std::move(*oldest);
  return std::unexpected(Error{"the log begins with record " + std::to_string(first) +
                               ", and no snapshot stands for those before"});
}

std::expected<void, Error> go_on(const persist::LogReader& log, Fold& fold, const Before& before,
                                 const After& after) {
  Progress progress("Reading the log");
  const std::uint64_t all = log.verdict().next_index;
  return log.for_each(fold.upto + 1, [&](std::uint64_t index, std::string_view bytes) {
    progress.show(index, all);
    auto record = master::decode_log_record(bytes);
    if (!record) {
      fold.fault = fault_at(log, index, record.error().message);
      return Reading::kStop;
    }
    if (before && before(index, *record) == Reading::kStop) return Reading::kStop;
    if (auto applied = fold.state.apply(*record); !applied) {
      fold.fault = fault_at(log, index, applied.error().message);
      return Reading::kStop;
    }
    fold.upto = index;
    return after ? after(index, fold.state) : Reading::kGoOn;
  });
}

}  // namespace rollcall::cli
