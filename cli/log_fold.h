#pragma once
// Folds a log that is read from its files, as a master would.
#include <expected>
#include <functional>
#include <optional>
#include <string>

#include "master/core/log_record.h"
#include "master/core/state.h"
#include "persist/log_reader.h"

namespace rollcall::cli {

// When it was decided; not known of records that have no time.
std::optional<MasterTime> time_of(const master::LogRecord& record);

// The record that cannot be folded, and where it is.
std::string fault_at(const persist::LogReader& log, std::uint64_t index, const std::string& why);

struct Fold {
  master::State state;
  std::uint64_t upto = 0;  // the last record in it; 0: none
};
// Where a fold may begin: the empty state, if the log is there from its first record on; otherwise
// the newest snapshot that `fits`, or else the oldest one.
std::expected<Fold, Error> begin_fold(const persist::LogReader& log,
                                      const std::function<bool(const Fold&)>& fits = {});

// Decides, before each record, whether to go on.
using Before =
    std::function<persist::Reading(std::uint64_t index, const master::LogRecord& record)>;
using After = std::function<persist::Reading(std::uint64_t index, const master::State& state)>;
std::expected<void, Error> go_on(const persist::LogReader& log, Fold& fold, const Before& before,
                                 const After& after = {});

}  // namespace rollcall::cli
