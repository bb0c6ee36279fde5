// Lines of an events source: every line is an observation or refused, however its bytes arrive.
#include "sidecar/source/event_lines.h"

#include "tests/fuzz/core_input.h"

using namespace rollcall;
using namespace rollcall::sidecar;
using fuzz::must;

namespace {

constexpr std::size_t kLongest = 200;
const Now kNow{fuzz::kStart + 100 * fuzz::kSecond, 95 * fuzz::kSecond, 100 * fuzz::kSecond};

// What became of each line, as answers, and how many were observed.
struct Seen {
  std::string answers;
  std::size_t observed = 0;
  bool operator==(const Seen&) const = default;
};

void add(EventLines& lines, EventBatch& all) {
  EventBatch batch = lines.take();
  must(batch.observations.size() + batch.refused.size() == batch.lines(),
       "each line is an observation or refused");
  for (const auto& refusal : batch.refused) {
    must(refusal.line >= batch.first && refusal.line <= batch.last, "refusals name their lines");
    must(!refusal.why.empty(), "and say why");
    all.refused.push_back(refusal);
  }
  must(batch.lines() == 0 || batch.first == all.last + 1, "lines are counted one by one");
  if (batch.lines() > 0) all.last = batch.last;
  for (auto& observation : batch.observations) all.observations.push_back(std::move(observation));
  must(lines.buffered() <= kLongest, "what is kept is bounded");
}

Seen read(std::string_view bytes, std::size_t step) {
  static EventParser parser;
  EventLines lines(parser, kLongest);
  EventBatch all;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    const auto piece = bytes.substr(i, step);
    lines.read(std::as_bytes(std::span(piece.data(), piece.size())), kNow);
    add(lines, all);
  }
  lines.end(kNow);
  add(lines, all);
  return {answers_to(all), all.observations.size()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::size_t step = 1 + in.below(64);
  const std::string_view bytes = in.rest();
  must(read(bytes, bytes.size() + 1) == read(bytes, step), "where they are cut does not matter");
  return 0;
}
