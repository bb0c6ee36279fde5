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
  std::string fault;       // why the record behind it cannot be folded; empty if it can
};
// Where a fold may begin: the empty state, if the log is there from its first record on; otherwise
// the newest snapshot that `fits`, or else the oldest one.
std::expected<Fold, Error> begin_fold(const persist::LogReader& log,
                                      const std::function<bool(const Fold&)>& fits = {});

// Decides, before each record, whether to go on.
using Before =
    std::function<persist::Reading(std::uint64_t index, const master::LogRecord& record)>;
using After = std::function<persist::Reading(std::uint64_t index, const master::State& state)>;
// An Error means that the files cannot be read; what is wrong with a record is the fold's fault.
std::expected<void, Error> go_on(const persist::LogReader& log, Fold& fold, const Before& before,
                                 const After& after = {});

// What `use` makes of the log in `directory`. A running master removes old parts: if that is why
// something could not be read, the log is opened anew and `use` begins again.
template <typename T>
std::expected<T, Error> read_log(
    const std::string& directory,
    const std::function<std::expected<T, Error>(const persist::LogReader&)>& use) {
  constexpr int kTries = 5;
  for (int attempt = 1;; ++attempt) {
    const auto log = persist::LogReader::open(directory);
    if (!log) return std::unexpected(log.error());
    auto made = use(*log);
    if (made || !log->was_shortened()) return made;
    if (attempt < kTries) continue;
    return std::unexpected(Error{
        "the master removes old parts of the log faster than they can be read (" +
        made.error().message + "): try again later, or copy the directory and read the copy"});
  }
}

}  // namespace rollcall::cli
