// A directory with files of the master's log, made of intact and of arbitrary pieces. Opened it is
// a log that can be read, appended to and opened again; refused it is untouched, and can be cut.
#include "persist/file_event_log.h"

#include <map>
#include <vector>

#include "persist/log_format.h"
#include "persist/log_survey.h"
#include "tests/fuzz/scratch.h"

using namespace rollcall;
using namespace rollcall::persist;
using fuzz::must;

namespace {

constexpr const char* kLock = "owner.lock";  // is written by whoever opens

// As many bytes of real segments and snapshots as the input asks for, right and wrong ones, so that
// checksums are no wall to the fuzzer.
std::string piece(fuzz::Input& in, std::uint64_t& next) {
  LogId log{};
  const std::uint8_t how = in.byte();
  log[0] = how & 0x80 ? 2 : 1;
  const std::uint64_t index = how & 0x40 ? in.number<std::uint32_t>() : next + (how >> 4 & 3);
  std::string bytes;
  switch (how & 7) {
    case 0:
      return encode_header(FileKind::kSegment, {log, index});
    case 1:
    case 2:
    case 3: {
      std::vector<std::string> records;
      for (std::size_t n = 1 + in.below(3); n > 0; --n) records.emplace_back(in.text());
      encode_frame(log, index, records, bytes);
      next = index + records.size();
      return bytes;
    }
    case 4: {
      const auto body = in.text();
      return encode_snapshot_header({log, index}, body) + std::string(body);
    }
    case 5:
      return std::string(in.text());
    case 6:
      return std::string(in.byte(), '\0');
    default:
      return std::string(kFrameMarker);
  }
}

void make_files(fuzz::Input& in, const std::filesystem::path& directory) {
  std::uint64_t next = 1;
  while (!in.empty()) {
    const std::uint8_t what = in.byte();
    const std::uint64_t index = what & 0x40 ? in.number<std::uint32_t>() : next + (what >> 4 & 3);
    std::string bytes;
    const std::size_t pieces = 1 + in.below(5);
    for (std::size_t i = 0; i < pieces; ++i) bytes += piece(in, next);
    if (what & 0x80) bytes.resize(bytes.size() - std::min<std::size_t>(bytes.size(), in.byte()));
    if (what & 0x08 && !bytes.empty()) bytes[in.number<std::uint16_t>() % bytes.size()] ^= 0x40;
    std::string name = file_name(what & 1 ? FileKind::kSnapshot : FileKind::kSegment, index);
    if ((what & 6) == 6) name = what & 1 ? "tail-dropped" : name + ".tmp";
    fuzz::write_file(directory / name, bytes);
  }
}

using Records = std::map<std::uint64_t, std::string>;

Records records_of(const EventLog& log) {
  Records records;
  const auto read =
      log.for_each(log.first_index(), [&](std::uint64_t index, std::string_view bytes) {
        must(records.emplace(index, bytes).second, "each record comes once");
        return Reading::kGoOn;
      });
  must(read.has_value(), "a log that was opened can be read");
  must(records.size() == log.next_index() - log.first_index(), "and none is missing");
  return records;
}

// Opens, reads, appends; false if it was refused.
bool use(const std::filesystem::path& directory) {
  LogRecovery recovery;
  Records records;
  {
    const auto log = FileEventLog::open(directory, {.segment_bytes = 300}, recovery);
    if (!log) return false;
    must((*log)->next_index() == recovery.next_index &&
             (*log)->first_index() == recovery.first_index,
         "recovery says what there is");
    must(!recovery.snapshot || recovery.snapshot->upto_index < recovery.next_index,
         "no snapshot is ahead of the log");
    must(recovery.first_index == 1 ||
             (recovery.snapshot && recovery.snapshot->upto_index + 1 >= recovery.first_index),
         "what is gone is in a snapshot");
    records = records_of(**log);
    const auto next = (*log)->next_index();
    const std::vector<std::string> group{"one more", ""};
    must((*log)->append(group).has_value(), "a log that was opened can be appended to");
    records[next] = group[0];
    records[next + 1] = group[1];
    must((*log)->write_snapshot(next, "state").has_value(), "and gets a snapshot");
  }
  const auto verdict = verify_log(directory);
  must(verdict.has_value() && !verdict->damage && !verdict->torn_tail, "then nothing is wrong");
  const auto log = FileEventLog::open(directory, {.segment_bytes = 300}, recovery);
  must(log.has_value(), "and it can be opened again");
  must(!recovery.torn_tail_dropped, "with nothing torn");
  must(recovery.snapshot && recovery.snapshot->bytes == "state", "with its newest snapshot");
  must(records_of(**log) == records, "and all that was in it");
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::Scratch scratch;
  scratch.clear();
  const auto& directory = scratch.path();
  fuzz::Input in(data, size);
  make_files(in, directory);
  const auto before = fuzz::files_in(directory);
  const auto verdict =
      verify_log(directory, [](std::uint64_t, std::string_view) { return Reading::kGoOn; });
  must(fuzz::files_in(directory) == before, "verifying changes nothing");
  if (use(directory)) {
    must(verdict && !verdict->damage, "what is opened was found good");
    return 0;
  }
  auto after = fuzz::files_in(directory);
  after.erase(kLock);
  must(after == before, "a log that is refused is not touched");
  must(!verdict || verdict->damage, "what is refused was found bad");
  // What is damaged in two ways may have to be cut twice.
  for (int cuts = 0; !use(directory); ++cuts) {
    must(cuts < 3, "a log that was cut can be opened");
    if (!cut_log_at_damage(directory)) return 0;
  }
  return 0;
}
