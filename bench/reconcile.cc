// Reconciliation: what agreeing again costs, two cores in one process; and the log of a large
// master.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>

#include "bench/figures.h"
#include "bench/master_log.h"
#include "bench/pair.h"
#include "protocol/codec.h"
#include "protocol/compression.h"
#include "protocol/inventory.h"

namespace rollcall::bench {
namespace {

constexpr std::int64_t kHeartbeatUs = 10'000'000;

void print_result(const std::string& name, double value) {
  std::printf("%s %.9f\n", name.c_str(), value);
}

// What it costs both cores together.
double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::unique_ptr<Pair> agreeing(std::uint32_t agents) {
  auto pair = std::make_unique<Pair>(agents);
  pair->connect();
  pair->pass(kHeartbeatUs + 2'000'000);
  if (!pair->agree()) fail("the two do not agree at the start");
  return pair;
}

double bytes_of(const Pair& pair) {
  return static_cast<double>(pair.traffic().up + pair.traffic().down);
}

// As an inventory has them: agents heard in the last 20 s, sessions of a day.
std::vector<InventoryEntry> entries_of(std::uint32_t agents) {
  std::mt19937_64 random(1);
  std::vector<InventoryEntry> entries;
  const std::int64_t now_us = 1'700'000'000'000'000;
  for (std::uint32_t a = 1; a <= agents; ++a) {
    const auto heard = now_us - static_cast<std::int64_t>(random() % 20) * 1'000'000;
    entries.push_back({AgentId{a},
                       Epoch{static_cast<std::uint64_t>(now_us) - random() % 86'400 * 1'000'000},
                       1,
                       {{heard}, {heard + 1'000'000}}});
  }
  return entries;
}

// In one piece, as small as zstd makes them: random microseconds are not to be compressed away.
double packed_alone(std::uint32_t agents) {
  return static_cast<double>(compress(pack_entries(entries_of(agents)), 19).size()) / agents;
}

void entries(std::uint32_t agents) {
  print_result("entries", packed_alone(agents));
  std::string frame;
  encode_frame(
      Heartbeat{1'000'000'000, agents, 1'000'000'000'000, digest_of(AgentId{1}, Epoch{1}, 1)},
      frame);
  print_result("heartbeat", static_cast<double>(frame.size()));
}

void inventory(std::uint32_t agents) {
  const auto pair = agreeing(agents);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    pair->pass(kHeartbeatUs);  // no worker is let in more often
    pair->count_anew();
    const Stopwatch watch;
    pair->want_inventory();
    best = std::min(best, watch.seconds());
    if (pair->traffic().up < agents * 10u) fail("there was no inventory");
  }
  pair->pass(kHeartbeatUs + 2'000'000);
  if (!pair->agree()) fail("the inventory found differences");
  print_result("seconds", best);
  print_result("bytes", bytes_of(*pair));
  double packing = 1e9;
  const auto all = entries_of(agents);
  for (int i = 0; i < 5; ++i) {
    const Stopwatch watch;
    if (!unpack_entries(pack_entries(all), all.size())) fail("entries do not come back");
    packing = std::min(packing, watch.seconds());
  }
  print_result("packing", packing);
  print_result("packed", packed_alone(agents));
}

double hashing_alone(std::uint32_t agents) {
  const Stopwatch watch;
  Digest sum;
  for (std::uint32_t a = 1; a <= agents; ++a) sum += digest_of(AgentId{a}, Epoch{a}, 0);
  if (sum == Digest{}) fail("no digest");
  return watch.seconds();
}

// From the connection on, which finds that they differ, until nothing more is said.
void differences() {
  constexpr std::uint32_t kAgents = 1'000'000;
  const auto pair = agreeing(kAgents);
  std::mt19937_64 random(1);
  std::vector<std::uint32_t> forgotten, invented;
  for (int i = 0; i < 50; ++i) {
    forgotten.push_back(static_cast<std::uint32_t>(1 + random() % kAgents));
    invented.push_back(static_cast<std::uint32_t>(kAgents + 1 + random() % kAgents));
  }
  pair->plant(forgotten, invented);
  pair->count_anew();
  const Stopwatch watch;
  pair->connect();
  pair->pass(kHeartbeatUs);
  print_result("seconds", watch.seconds());
  print_result("bytes", bytes_of(*pair));
  pair->pass(kHeartbeatUs + 2'000'000);
  if (!pair->agree()) fail("they do not agree after a heartbeat");
  for (const std::uint32_t a : forgotten) {
    if (!pair->master().state().find(AgentId{a})->is_open()) fail("a session is still forgotten");
  }
  for (const std::uint32_t a : invented) {
    if (pair->master().state().find(AgentId{a})->is_open()) fail("a session is still invented");
  }
  print_result("entries", static_cast<double>(pack_entries(entries_of(100)).size()));
  print_result("hashing", hashing_alone(kAgents));
}

void lease_return(std::uint32_t agents) {
  const auto pair = agreeing(agents);
  pair->disconnect();
  pair->pass(120'000'000);
  if (pair->lease_is_valid()) fail("the lease did not lapse");
  pair->count_anew();
  pair->connect();
  if (!pair->lease_is_valid() || !pair->agree()) fail("the worker is not back");
  print_result("bytes", bytes_of(*pair));
  print_result("turns", static_cast<double>(pair->traffic().turns) / 2);
}

// Minutes with as many changes each, for more and more agents. The first is not counted: the
// allocator then tidies up what building the pair left behind.
void growth() {
  constexpr int kMinutes = 5;
  for (const std::uint32_t agents : {1'000u, 10'000u, 100'000u, 1'000'000u}) {
    const auto pair = agreeing(agents);
    std::mt19937_64 random(1);
    const auto pass_seconds = [&](int seconds) {
      for (int second = 0; second < seconds; ++second) {
        const auto agent = static_cast<std::uint32_t>(1 + random() % agents);
        pair->look({agent}, false);
        pair->pass(1'000'000);
        pair->look({agent}, true);
      }
    };
    pass_seconds(60);
    pair->count_anew();
    const double before = cpu_seconds();
    pass_seconds(60 * kMinutes);
    const double cpu = (cpu_seconds() - before) / kMinutes;
    if (pair->traffic().up == 0) fail("nothing was said");
    const std::string name = std::to_string(agents / 1000) + "k_";
    print_result(name + "bytes", bytes_of(*pair) / kMinutes);
    print_result(name + "cpu", cpu * 1000);
  }
}

}  // namespace
}  // namespace rollcall::bench

int main(int argc, char** argv) {
  using namespace rollcall::bench;
  const std::string what = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) {
    if (i >= argc) fail("bench_reconcile " + what + ": too few arguments");
    return static_cast<std::uint32_t>(std::stoul(argv[i]));
  };
  if (what == "log") {  // DIR AGENTS RECORDS
    make_log(argv[2], number(3), number(4));
  } else if (what == "entries") {  // AGENTS
    entries(number(2));
  } else if (what == "inventory") {  // AGENTS
    inventory(number(2));
  } else if (what == "differences") {
    differences();
  } else if (what == "return") {  // AGENTS
    lease_return(number(2));
  } else if (what == "growth") {
    growth();
  } else {
    fail(
        "usage: bench_reconcile log|entries|inventory|differences|return|growth, as bench/run "
        "does");
  }
  return 0;
}
