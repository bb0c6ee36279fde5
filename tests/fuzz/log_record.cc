// Records and snapshots of the master's log: a record is refused, or folded; a fold can be written
// as a snapshot and read again.
#include <vector>

#include "master/core/log_record.h"
#include "master/core/state.h"
#include "tests/fuzz/input.h"

using namespace rollcall;
using namespace rollcall::master;
using fuzz::must;

namespace {

void read_snapshot(std::string_view bytes) {
  const auto state = State::decode(bytes);
  if (!state) return;
  const std::string canonical = state->encode();
  const auto again = State::decode(canonical);
  must(again.has_value(), "a snapshot that was read can be written and read again");
  must(again->encode() == canonical, "and it is the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  State state;
  while (!in.empty()) {
    const std::string_view bytes = in.long_text();
    auto record = decode_log_record(bytes);
    const auto slow = decode_log_record_by_values(bytes);
    must(record.has_value() == slow.has_value() && (!record || *record == *slow),
         "the short cut for decisions reads as the other way does");
    if (!record) {
      read_snapshot(bytes);
      continue;
    }
    const auto again = decode_log_record(encode(*record));
    must(again && *again == *record, "a record that was read can be written and read again");
    // Without its rules it is decided as new; with them, decided again.
    if (auto* decided = std::get_if<Decided>(&*record)) decided->rules.clear();
    must(state.apply(*record).has_value(), "what is decided anew is never refused");
  }
  const std::string snapshot = state.encode();
  const auto again = State::decode(snapshot);
  must(again.has_value(), "the fold of any records can be kept as a snapshot");
  must(again->encode() == snapshot, "and it is the same");
  return 0;
}
