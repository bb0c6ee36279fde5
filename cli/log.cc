// rollcall log: the master's log, read from its files. Nothing but `repair --drop-tail` writes, so
// all of the rest may run beside a master.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/log_fold.h"
#include "cli/log_json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "inspect/master_json.h"
#include "inspect/texts.h"
#include "persist/log_reader.h"

namespace rollcall::cli {
namespace {

using persist::LogReader;
using persist::Reading;

struct Options {
  std::string directory;
  bool json = false;
  bool drop_tail = false;
  std::string from, to;  // a record's number, or a time
  std::uint64_t agent = 0;

  std::optional<AgentId> agent_id() const {
    if (agent == 0) return std::nullopt;
    return AgentId{static_cast<std::uint32_t>(agent)};
  }
};

void print(const Json& json) {
  std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

void say(const std::string& text) {
  std::fputs(wrapped(harmless(text)).c_str(), stdout);
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < 10'000) return std::to_string(bytes) + " bytes";
  if (bytes < 10'000'000) return std::to_string(bytes / 1'000) + " KB";
  return std::to_string(bytes / 1'000'000) + " MB";
}

// ---- verify

// What became of one snapshot.
struct Compared {
  std::uint64_t upto = 0;
  bool good = false;
  std::string words;
};

std::optional<std::size_t> first_difference(const std::string& a, const std::string& b) {
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (at == a.end() && other == b.end()) return std::nullopt;
  return static_cast<std::size_t>(at - a.begin());
}

Compared compare(const LogReader& log, std::uint64_t upto, const master::State& state) {
  Compared out{upto, true, "equals the fold of the records, byte for byte"};
  const auto bytes = log.snapshot(upto);
  if (!bytes) {
    // The master has replaced it by a newer one meanwhile.
    const bool gone = !std::filesystem::exists(log.snapshot_file(upto));
    return {upto, gone, gone ? "was replaced meanwhile" : bytes.error().message};
  }
  const std::string fold = state.encode();
  const auto at = first_difference(fold, *bytes);
  if (!at) return out;
  // A format of before says the same in other bytes.
  const auto decoded = master::State::decode(*bytes);
  if (decoded && decoded->encode() == fold) {
    out.words = "equals the fold of the records; it is of an older format";
    return out;
  }
  // Nor do states that began with a snapshot of format 1 have all times that the records have.
  if (decoded && state.with_times_of(*decoded).encode() == decoded->encode()) {
    out.words =
        "equals the fold of the records, but for since when leases run and agents are removed: the "
        "log was begun by an older version, whose snapshots did not hold that";
    return out;
  }
  return {upto, false,
          "is NOT the fold of the records: they differ at byte " + std::to_string(*at) +
              " of its contents. Delete it: the master then begins with the one before, or with "
              "the first record"};
}

struct Verified {
  persist::LogVerdict bytes;
  std::vector<Compared> snapshots;
  std::string fault;  // a record that cannot be folded
};

std::expected<Verified, Error> verify_fold(const LogReader& log) {
  Verified out;
  out.bytes = log.verdict();
  auto fold = begin_fold(log);
  if (!fold) {
    // If the damage is why, that is what is to be said.
    if (out.bytes.damage && !log.was_shortened()) return out;
    return std::unexpected(fold.error());
  }
  const auto snapshots = log.snapshots();
  auto next = snapshots.begin();
  while (next != snapshots.end() && *next < fold->upto) {
    out.snapshots.push_back({*next++, true, "is older than the oldest record that is kept"});
  }
  if (next != snapshots.end() && *next == fold->upto) {
    out.snapshots.push_back({*next++, true, "is what the log begins with"});
  }
  auto done = go_on(log, *fold, {}, [&](std::uint64_t index, const master::State& state) {
    if (next != snapshots.end() && *next == index)
      out.snapshots.push_back(compare(log, *next++, state));
    return Reading::kGoOn;
  });
  if (!done) return std::unexpected(done.error());
  out.fault = fold->fault;
  return out;
}

Json verdict_json(const Options& options, const persist::LogVerdict& v, const Verified& verified,
                  bool whole) {
  Json j;
  j["directory"] = options.directory;
  j["whole"] = whole;
  j["segments"] = v.segments;
  j["bytes"] = v.bytes;
  j["first_record"] = v.first_index;
  j["next_record"] = v.next_index;
  j["torn_tail_bytes"] = inspect::or_null(v.torn_tail);
  j["damage"] = nullptr;
  if (v.damage) {
    j["damage"] = {{"file", v.damage->file.string()},
                   {"offset", v.damage->offset},
                   {"reason", v.damage->reason},
                   {"repairs", v.repairs}};
  }
  j["invalid_snapshots"] = inspect::or_null(v.message);
  j["fault"] = inspect::or_null(verified.fault);
  j["snapshots"] = Json::array();
  for (const auto& s : verified.snapshots) {
    j["snapshots"].push_back({{"upto", s.upto}, {"good", s.good}, {"text", s.words}});
  }
  return j;
}

void say_verdict(const Options& options, const persist::LogVerdict& v, const Verified& verified) {
  say("The log in " + options.directory + ": " + std::to_string(v.records) + " records, " +
      std::to_string(v.first_index) + " to " + std::to_string(v.next_index - 1) + ", in " +
      std::to_string(v.segments) + " segments of " + size_text(v.bytes) + ".");
  for (const auto& s : verified.snapshots) {
    say("The snapshot up to record " + std::to_string(s.upto) + " " + s.words + ".");
  }
  if (v.torn_tail) {
    say("The last " + std::to_string(*v.torn_tail) +
        " bytes are no whole group: one that is being "
        "written now, or one that a power cut tore, which the next start cuts off. That is no "
        "damage.");
  }
  if (!v.message.empty()) say(v.message + ". Delete what is not valid: it is not used.");
  if (v.damage) {
    say("DAMAGED: " + v.damage->file.string() + ", byte " + std::to_string(v.damage->offset) +
        ": " + v.damage->reason + ".");
    say(v.repairs + ".");
  }
  if (!verified.fault.empty()) {
    say("CANNOT BE FOLDED: " + verified.fault +
        ". The bytes are as they were written. Run the version of rollcall-master that wrote it, "
        "or begin a new log in an empty directory and let the workers rebuild it.");
  }
}

Exit verify(const Options& options) {
  const auto done = read_log<Verified>(options.directory, verify_fold);
  if (!done) return fail(done.error().message);
  const Verified& verified = *done;
  const auto& v = verified.bytes;
  const bool whole = !v.damage && v.message.empty() && verified.fault.empty() &&
                     std::ranges::all_of(verified.snapshots, &Compared::good);
  if (options.json) {
    print(verdict_json(options, v, verified, whole));
  } else {
    say_verdict(options, v, verified);
    std::printf("%s\n", whole ? "It is whole." : "It is NOT whole.");
  }
  return whole ? Exit::kDone : Exit::kDamaged;
}

// ---- replay and export

// A place in the log: a record, or a moment.
struct Bound {
  std::optional<std::uint64_t> record;
  std::optional<MasterTime> time;
  bool operator!() const { return !record && !time; }
};

std::expected<Bound, Error> bound_of(const std::string& text) {
  if (text.empty()) return Bound{};
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number);
  constexpr std::uint64_t kTimesBegin = 1'000'000'000'000;  // as parse_time() has it
  if (problem == std::errc{} && rest == end && number < kTimesBegin) return Bound{number, {}};
  const auto time = inspect::parse_time(text);
  if (!time) return std::unexpected(Error{time.error().message + ", or the number of a record"});
  return Bound{{}, *time};
}

// Whether the record is behind the bound. One without a time goes with those before it.
bool is_behind(const Bound& bound, std::uint64_t index, const master::LogRecord& record) {
  if (bound.record) return index > *bound.record;
  const auto at = time_of(record);
  return bound.time && at && *at > *bound.time;
}

// Nothing in a snapshot is later than the time that was reserved when it was made.
bool is_surely_before(const Fold& fold, const Bound& bound) {
  if (fold.upto == 0) return true;
  if (bound.record) return fold.upto <= *bound.record;
  const MasterTime until = fold.state.time().until;
  return until.us != 0 && until <= *bound.time;
}

Error not_kept(const std::string& where, std::uint64_t first_record) {
  return {"the log begins " + where + " with record " + std::to_string(first_record) +
          "; what was before is not kept ([store] retention, max_size)"};
}

// The oldest snapshot may still be of a time before the bound: so it is if the record behind it is.
std::expected<void, Error> check_beginning(const LogReader& log, const Fold& fold,
                                           const Bound& bound) {
  if (is_surely_before(fold, bound)) return {};
  if (bound.record) return std::unexpected(not_kept("after a snapshot", fold.upto + 1));
  std::optional<MasterTime> first;
  auto looked = log.for_each(fold.upto + 1, [&](std::uint64_t, std::string_view bytes) {
    if (const auto record = master::decode_log_record(bytes)) first = time_of(*record);
    return first ? Reading::kStop : Reading::kGoOn;
  });
  if (!looked) return std::unexpected(looked.error());
  if (first && *first <= *bound.time) return {};
  return std::unexpected(
      not_kept(first ? "at " + inspect::time_text(*first) : "at its end", fold.upto + 1));
}

std::expected<Fold, Error> fold_until(const LogReader& log, const Bound& bound) {
  auto fold = begin_fold(log, [&](const Fold& at) { return is_surely_before(at, bound); });
  if (!fold) return fold;
  if (auto fits = check_beginning(log, *fold, bound); !fits) return std::unexpected(fits.error());
  auto done = go_on(log, *fold, [&](std::uint64_t index, const master::LogRecord& record) {
    return is_behind(bound, index, record) ? Reading::kStop : Reading::kGoOn;
  });
  if (!done) return std::unexpected(done.error());
  return fold;
}

struct Replayed {
  Fold fold;
  bool damaged = false;
};

Exit replay(const Options& options) {
  if (options.from.empty() == options.to.empty()) {
    return fail("replay takes one of --until TIME and --until-record N", Exit::kUsage);
  }
  const auto bound = bound_of(options.from.empty() ? options.to : options.from);
  if (!bound) return fail(bound.error().message, Exit::kUsage);
  const auto done = read_log<Replayed>(
      options.directory, [&](const LogReader& log) -> std::expected<Replayed, Error> {
        auto fold = fold_until(log, *bound);
        if (!fold) return std::unexpected(fold.error());
        return Replayed{std::move(*fold), log.verdict().damage.has_value()};
      });
  if (!done) return fail(done.error().message);
  const Fold& fold = done->fold;
  if (!fold.fault.empty()) return fail(fold.fault);

  const auto& state = fold.state;
  Json agents = Json::array();
  for (const auto& [id, record] : state.agents()) {
    if (options.agent_id() && id != *options.agent_id()) continue;
    agents.push_back(inspect::agent_json(id, record, {state.standing_of(record.top.node), {}, {}}));
  }
  if (options.agent_id() && agents.empty()) {
    return fail("after record " + std::to_string(fold.upto) + " no agent " +
                std::to_string(options.agent) + " was known");
  }
  if (options.json) {
    print({{"record", fold.upto}, {"total", state.agents().size()}, {"agents", std::move(agents)}});
    return Exit::kDone;
  }
  say("The table after record " + std::to_string(fold.upto) + ", of " +
      std::to_string(state.agents().size()) + " agents:");
  Table table = agents_table();
  add_agents(table, agents);
  table.print();
  if (done->damaged) say("The log is damaged behind that: see \"rollcall log verify\".");
  return Exit::kDone;
}

Exit export_records(const Options& options) {
  const auto from = bound_of(options.from);
  if (!from) return fail(from.error().message, Exit::kUsage);
  const auto to = bound_of(options.to);
  if (!to) return fail(to.error().message, Exit::kUsage);
  const auto log = LogReader::open(options.directory);
  if (!log) return fail(log.error().message);
  const auto first = log->verdict().first_index;
  if (from->record && *from->record<first&& * from->record> 0) {
    return fail("the log begins with record " + std::to_string(first) +
                "; what was before is not kept ([store] retention, max_size)");
  }
  std::optional<std::string> failed;
  bool begun = !from->time;
  Progress progress("Reading the log");
  auto read =
      log->for_each(from->record.value_or(first), [&](std::uint64_t index, std::string_view bytes) {
        progress.show(index, log->verdict().next_index);
        const auto record = master::decode_log_record(bytes);
        if (!record) {
          failed = fault_at(*log, index, record.error().message);
          return Reading::kStop;
        }
        if (is_behind(*to, index, *record)) return Reading::kStop;
        const auto at = time_of(*record);
        begun = begun || (at && *at >= *from->time);
        const Json json = begun ? record_json(index, *record, options.agent_id()) : Json();
        if (!json.is_null()) print(json);
        return Reading::kGoOn;
      });
  if (!read) {
    return fail(log->was_shortened() ? "the master has removed an old part of the log while it was "
                                       "read (" +
                                           read.error().message + "): run this again"
                                     : read.error().message);
  }
  if (failed) return fail(*failed, Exit::kDamaged);
  if (const auto& damage = log->verdict().damage; damage && !to->record && !to->time) {
    return fail(
        "the log is damaged behind that: see \"rollcall log verify " + options.directory + "\"",
        Exit::kDamaged);
  }
  return Exit::kDone;
}

Exit repair(const Options& options) {
  const auto log = LogReader::open(options.directory);
  if (!log) return fail(log.error().message);
  const auto& v = log->verdict();
  if (options.json) {
    Json verdict = verdict_json(options, v, {}, !v.damage);
    verdict["cut"] = nullptr;
    if (v.damage && options.drop_tail) {
      const auto done = persist::cut_log_at_damage(options.directory);
      if (!done) return fail(done.error().message);
      verdict["cut"] = *done;
    }
    print(verdict);
    return v.damage && !options.drop_tail ? Exit::kDamaged : Exit::kDone;
  }
  if (!v.damage) {
    say("The log in " + options.directory + " is not damaged: nothing was changed.");
    return Exit::kDone;
  }
  if (!options.drop_tail) {
    say_verdict(options, v, {});
    say("Nothing was changed.");
    return Exit::kDamaged;
  }
  const auto done = persist::cut_log_at_damage(options.directory);
  if (!done) return fail(done.error().message);
  say(*done);
  return Exit::kDone;
}

}  // namespace

void add_log(CLI::App& app, Run& run) {
  CLI::App* log = app.add_subcommand("log", "Read the master's log from its files");
  log->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, Exit (*what)(const Options&)) {
    // Lives as long as the callbacks that use it.
    const auto options = std::make_shared<Options>();
    CLI::App* command = log->add_subcommand(name, about);
    command
        ->add_option("DIR", options->directory, "The log's directory: [store] path of the master")
        ->required();
    command->callback([&run, options, what] { run = [options, what] { return what(*options); }; });
    return std::pair(command, options);
  };
  const auto of_agent = [](CLI::App* command, const std::shared_ptr<Options>& options) {
    command->add_option("--agent", options->agent, "Only what is about this agent")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{0xffff'ffff}));
  };
  auto [verify_command, verified] = add(
      "verify", "Prove that nothing is damaged, and each snapshot the fold of its records", verify);
  verify_command->add_flag("--json", verified->json, "As one JSON object");
  auto [replay_command, replayed] = add("replay", "Show the table as it was then", replay);
  replay_command->add_option("--until", replayed->from,
                             "Up to this time, UTC: 2026-11-23T02:40:10Z");
  replay_command->add_option("--until-record", replayed->to, "Up to this record, with it");
  replay_command->add_flag("--json", replayed->json, "As one JSON object");
  of_agent(replay_command, replayed);
  auto [export_command, exported] =
      add("export", "Print the records, one JSON object a line", export_records);
  export_command->add_option("--from", exported->from, "From this time, or this record, on");
  export_command->add_option("--to", exported->to, "Up to this time, or this record, with it");
  export_command->add_flag("--json", exported->json, "As JSON, which is how it is printed anyway");
  of_agent(export_command, exported);
  auto [repair_command, repaired] = add(
      "repair", "Say what is damaged, and mend it if told how; the master must be stopped", repair);
  repair_command->add_flag("--drop-tail", repaired->drop_tail,
                           "Cut the log at the damage; what is cut off is kept in .cut files");
  repair_command->add_flag("--json", repaired->json, "As one JSON object");
}

}  // namespace rollcall::cli
