#include "bench/master_log.h"

#include <memory>
#include <random>
#include <vector>

#include "app/clock.h"
#include "bench/figures.h"
#include "bench/infos.h"
#include "master/core/state.h"
#include "persist/file_event_log.h"

namespace rollcall::bench {
namespace {

using master::LogRecord;

constexpr std::uint32_t kAgentsOfANode = 10'000;

template <typename T>
T must(std::expected<T, Error> result) {
  if (!result) fail(result.error().message);
  return std::move(*result);
}

void must(std::expected<void, Error> result) {
  if (!result) fail(result.error().message);
}

// Makes records as a master would, and keeps the state that they lead to.
class LogMaker {
 public:
  LogMaker(const std::filesystem::path& directory, std::int64_t now_us) : now_us_(now_us) {
    persist::LogRecovery recovery;
    log_ = must(persist::FileEventLog::open(directory, {}, recovery));
  }
  void add(LogRecord record) {
    must(state_.apply(record));
    records_.push_back(encode(record));
    if (records_.size() >= 1000) flush();
  }
  // Into the state only: a snapshot stands for it.
  void assume(LogRecord record) { must(state_.apply(record)); }
  void snapshot() {
    flush();
    must(log_->write_snapshot(log_->next_index() - 1, state_.encode()));
  }
  void flush() {
    must(log_->append(records_));
    records_.clear();
  }
  MasterTime now() { return {++now_us_}; }

 private:
  std::int64_t now_us_;
  std::unique_ptr<persist::FileEventLog> log_;
  master::State state_;
  std::vector<std::string> records_;
};

Event opened(std::uint32_t agent, MasterTime at) {
  Event e;
  e.agent = AgentId{agent};
  e.epoch = epoch_at(at);
  e.evidence = {{at.us - 200}, {at.us + 1'000'200}};
  e.info = std::make_shared<const AgentInfo>(info_of(agent, 1));
  e.info_hash = hash_of(*e.info);
  return e;
}

NodeName node_of(std::uint32_t agent) {
  return "w" + std::to_string((agent - 1) / kAgentsOfANode + 1);
}

}  // namespace

void make_log(const std::filesystem::path& directory, std::uint32_t agents, std::uint32_t records) {
  const std::int64_t now_us = app::SystemClock().now().wall_us - 60'000'000;
  LogMaker log(directory, now_us);
  log.add(master::Genesis{MasterId{7}});
  log.add(master::TermBegun{Term{8}, "a new log"});
  master::TimeReserved reserved;
  reserved.until = {now_us + 40'000'000};
  log.add(reserved);
  std::uint64_t stream = 0;
  for (std::uint32_t first = 1; first <= agents; first += kAgentsOfANode) {
    ++stream;
    log.add(master::NodeWelcomed{node_of(first), "machine", StoreId{stream}, StreamId{stream}, 1, 0,
                                 log.now()});
    master::Decided d;
    d.node = node_of(first);
    for (std::uint32_t a = first; a <= agents && a < first + kAgentsOfANode; ++a)
      d.events.push_back(opened(a, log.now()));
    d.at = log.now();
    log.assume(d);
  }
  log.snapshot();
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> seqs(stream + 1, kAgentsOfANode);
  for (std::uint32_t i = 0; i < records; ++i) {
    const auto agent = static_cast<std::uint32_t>(1 + random() % agents);
    master::Decided d;
    d.node = node_of(agent);
    d.first_seq = ++seqs[(agent - 1) / kAgentsOfANode + 1];
    d.events = {opened(agent, log.now())};
    d.events[0].info.reset();
    d.at = log.now();
    log.add(std::move(d));
  }
  log.flush();
}

}  // namespace rollcall::bench
