#include "tests/simulation/simulator.h"

#include <algorithm>
#include <cstdio>

#include "tests/simulation/world.h"

namespace rollcall::simulation {

Now MachineClock::now() {
  const std::int64_t t = world_.now();
  return {kEpochOfTime + t + skew_, t - booted_at_ - slept_, t - booted_at_};
}
void MachineClock::reboot() {
  booted_at_ = world_.now() - kSecond;
  slept_ = 0;
  ++boot_;
}

World::World(std::uint64_t seed, const Options& options)
    : options_(options), random_(seed * 0x9E3779B97F4A7C15ull + 1) {
  exact_ = one_in(0.15);
  lossy_ = one_in(0.6);
  const int n = options.workers > 0 ? options.workers : static_cast<int>(chance(2, 3));
  const int k = options.agents > 0 ? options.agents : static_cast<int>(chance(1, 4));
  master = std::make_unique<MasterNode>(*this);
  master->protocol_max = one_in(0.5) ? 2 : 1;  // a version that is still to come
  for (int i = 0; i < n; ++i) {
    workers.push_back(std::make_unique<WorkerNode>(*this, "w" + std::to_string(i + 1)));
    workers.back()->protocol_max = one_in(0.5) ? 2 : 1;
    if (!exact_ && one_in(0.33))
      workers.back()->clock.step(chance(-3600 * kSecond, 3600 * kSecond));
  }
  for (int i = 0; i < k; ++i) {
    Agent a;
    a.id = AgentId{static_cast<std::uint32_t>(i + 1)};
    a.cloned = one_in(options_.cloned);
    renew_info(a);
    agents_.push_back(a);
  }
  result_.seed = seed;
}

void World::say(const std::string& who, const std::string& what) {
  if (!telling()) return;
  char head[40];
  std::snprintf(head, sizeof head, "%9.3f %-6s ", static_cast<double>(now_) / 1e6, who.c_str());
  result_.transcript += head + what + "\n";
}

void World::broken(std::string promise) {
  say("BROKEN", promise);
  result_.broken.push_back(std::move(promise));
}

Result World::run() {
  start_master("");
  for (auto& w : workers) {
    start_sidecar(*w);
    after(chance(0, 19) * 50 * kMs, [this, &w] { look_always(*w); });
  }
  for (Agent& a : agents_) after(chance(0, 5 * kSecond), [this, &a] { move_always(a); });
  faults();
  watch_always();
  const std::int64_t end = options_.chaos_us + options_.quiet_us;
  for (auto next = agenda_.next(); next && *next < end; next = agenda_.next()) {
    now_ = *next;
    agenda_.do_next();
  }
  now_ = end;
  check_end();
  return result_;
}

// What must hold at every moment, looked at now and then.
void World::watch_always() {
  after(about(60 * kSecond), [this] {
    promises_.queues();
    if (master->driver) promises_.table(master->durable);
    watch_always();
  });
}

bool Result::undecidable() const {
  return std::ranges::any_of(agents,
                             [](const auto& a) { return a.undecidable != Undecidable::no; });
}
bool Result::failed() const {
  return !broken.empty() || std::ranges::any_of(agents, [](const auto& a) {
    return a.undecidable == Undecidable::no && !a.right();
  });
}
bool Result::last_writer_failed() const {
  return std::ranges::any_of(agents, [](const auto& a) {
    return a.undecidable == Undecidable::no && a.truth != a.last_writer;
  });
}

Result run(std::uint64_t seed, const Options& options) {
  return World(seed, options).run();
}

}  // namespace rollcall::simulation
