// Replies of wazuh-db to the master's sink: a round ends whatever they are, what it asks and writes
// is within the bounds, and an observer writes nothing.
#include <memory>
#include <variant>

#include "master/sink/sink_core.h"
#include "tests/fuzz/input.h"

using namespace rollcall;
using namespace rollcall::master;
using fuzz::must;

namespace {

constexpr int kMaxOrders = 64;

State decided() {
  State state;
  for (std::uint32_t agent = 1; agent <= 8; ++agent) {
    Event e;
    e.agent = AgentId{agent};
    e.epoch = Epoch{1'000'000};
    e.kind = agent % 2 == 0 ? EventKind::closed : EventKind::opened;
    e.evidence = {{1'000'000}, {2'000'000}};
    Decided d;
    d.node = agent < 5 ? "w1" : "w2";
    d.at = {3'000'000};
    d.events = {e};
    LogRecord record = std::move(d);
    must(state.apply(record).has_value(), "the table is made");
  }
  return state;
}

void check(const SinkCore::Order& order, SinkMode mode) {
  if (const auto* ask = std::get_if<SinkCore::Ask>(&order)) {
    must(ask->text.size() <= wazuh::kMaxRequestBytes, "a question is within the bound");
    must(mode == SinkMode::correct || ask->text.starts_with("global sql SELECT "),
         "an observer only reads");
  }
  must(mode == SinkMode::correct || !std::holds_alternative<SinkCore::Post>(order),
       "an observer posts nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const State state = decided();
  fuzz::Input in(data, size);
  SinkCore::Config config;
  config.mode = in.flag() ? SinkMode::correct : SinkMode::observe;
  config.write = in.flag() ? SinkWrite::http : SinkWrite::stream;
  config.settle_us = 1;
  config.page_rows = 1 + in.below(8);
  config.keep_reports = 4;
  SinkCore sink(config);
  Now now{5'000'000, 5'000'000, 5'000'000};
  const DecidedView view{
      state, {6'000'000}, 1, [](const NodeName&) { return true; }, [](AgentId) { return false; }};
  sink.connected(now);
  for (int i = 0; i < kMaxOrders && !in.empty(); ++i) {
    now.mono_us += 10'000'000;
    SinkCore::Order order = sink.tick(view, now);
    for (int k = 0; k < kMaxOrders && !in.empty(); ++k) {
      check(order, config.mode);
      if (std::holds_alternative<SinkCore::Nothing>(order)) break;
      if (std::holds_alternative<SinkCore::Post>(order)) {
        order = sink.posted({}, view, now);
      } else {
        order = sink.replied(std::string(in.long_text()), view, now);
      }
    }
    if (!std::holds_alternative<SinkCore::Nothing>(order)) {
      sink.lost("cut", now);
      sink.connected(now);
    }
    must(sink.reports().size() <= config.keep_reports, "reports are bounded");
    (void)sink.take_notes();
  }
  return 0;
}
