#include "bench/pair.h"

#include <random>
#include <utility>

#include "bench/figures.h"
#include "protocol/codec.h"

namespace rollcall::bench {
namespace {

constexpr std::int64_t kBeganUs = 1'700'000'000'000'000;
constexpr std::int64_t kTickUs = 250'000;

Now at_start() {
  return {kBeganUs, 1'000'000, 1'000'000};
}

sidecar::Look look_of(const Now& now, bool complete) {
  sidecar::Look look;
  look.started = look.finished = now;
  look.complete = complete;
  look.connection = 1;
  return look;
}

sidecar::Row row_of(std::uint32_t agent, bool there, const Now& now, std::int64_t age_s = 0) {
  sidecar::Row row;
  row.agent = AgentId{agent};
  row.status = there ? sidecar::RowStatus::active : sidecar::RowStatus::disconnected;
  row.keepalive_s = now.wall_us / 1'000'000 - age_s;
  row.code = there ? 0 : 3;
  return row;
}

sidecar::SidecarCore::Config sidecar_config() {
  sidecar::SidecarCore::Config config;
  config.node = "w1";
  config.machine = "bench";
  config.boot = 1;
  config.max_events = 4'000'000;
  config.max_bytes = std::size_t{4} << 30;
  return config;
}

}  // namespace

Pair::Pair(std::uint32_t agents) : now_(at_start()) {
  sidecar_ = std::make_unique<sidecar::SidecarCore>(sidecar_config(), 1);
  auto started = sidecar_->start({}, now_);
  if (!started) fail(started.error().message);
  take(std::move(*started));
  master_ = std::make_unique<master::MasterCore>(master::MasterCore::Config{}, master::State{}, "",
                                                 2, now_);
  take(master_->start(now_));
  exchange();
  // Their sessions began within the last day, and they spoke within the last 20 s.
  std::mt19937_64 random(1);
  for (const std::int64_t age_s : {86'400, 20}) {
    pass(20'000'000);
    sidecar::Look look = look_of(now_, true);
    for (std::uint32_t a = 1; a <= agents; ++a) {
      const auto age = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(age_s));
      look.rows.push_back(row_of(a, true, now_, age));
    }
    take(sidecar_->look(look));
    exchange();
  }
}

void Pair::connect() {
  connected_ = true;
  at_master_ = FrameReader(kMaxFrame);
  at_sidecar_ = FrameReader(kMaxFrame);
  take(master_->connected(kConn, {"w1"}, "bench", now_));
  take(sidecar_->connected(now_));
  exchange();
}

void Pair::disconnect() {
  connected_ = false;
  up_.clear();
  down_.clear();
  take(sidecar_->disconnected(now_));
  take(master_->disconnected(kConn, now_));
  exchange();
}

void Pair::pass(std::int64_t us) {
  for (std::int64_t left = us; left > 0; left -= kTickUs) {
    now_.wall_us += kTickUs;
    now_.mono_us += kTickUs;
    now_.boot_us += kTickUs;
    take(master_->tick(now_));
    take(sidecar_->tick(now_));
    exchange();
  }
}

void Pair::look(const std::vector<std::uint32_t>& agents, bool there) {
  sidecar::Look look = look_of(now_, false);
  look.from_s = now_.wall_us / 1'000'000 - 1;
  for (const std::uint32_t a : agents) look.rows.push_back(row_of(a, there, now_));
  take(sidecar_->look(look));
  exchange();
}

void Pair::want_inventory() {
  Want want;
  want.inventory = true;
  take(sidecar_->message(want, now_));
  exchange();
}

void Pair::plant(const std::vector<std::uint32_t>& forgotten,
                 const std::vector<std::uint32_t>& invented) {
  if (connected_) disconnect();
  master::State state = master_->state();
  master::Decided damage;
  damage.node = "w1";
  damage.cause = master::Cause::absent;
  damage.at = master_->time(now_);
  for (const std::uint32_t a : forgotten) {
    Event e;
    e.agent = AgentId{a};
    e.epoch = state.nodes().at("w1").open.find(e.agent)->epoch;
    e.change = 0;
    e.kind = EventKind::closed;
    damage.events.push_back(e);
  }
  for (const std::uint32_t a : invented) {
    Event e;
    e.agent = AgentId{a};
    e.epoch = epoch_at(damage.at);
    damage.events.push_back(e);
  }
  master::LogRecord record = std::move(damage);
  if (auto ok = state.apply(record); !ok) fail(ok.error().message);
  master_ = std::make_unique<master::MasterCore>(master::MasterCore::Config{}, std::move(state), "",
                                                 3, now_);
  master_ticket_ = 0;
  take(master_->start(now_));
  exchange();
}

bool Pair::agree() const {
  const auto& open = master_->state().nodes().at("w1").open;
  return open.size() == sidecar_->tracker().open_sessions() &&
         master_->node_status("w1", now_).agreement == Agreement::equal;
}

bool Pair::lease_is_valid() const {
  return master_->node_status("w1", now_).lease.status == master::LeaseStatus::valid;
}

// What is said is on the way until exchange() lets it arrive.
void Pair::take(sidecar::Output out) {
  if (out.close) fail("the sidecar closes: " + *out.close);
  if (out.commit) sidecar_ticket_ = out.commit->ticket;
  if (!connected_) return;
  for (const Message& m : out.send) {
    encode_frame(m, up_, sidecar_->compression());
    ++traffic_.frames;
  }
}

void Pair::take(master::Output out) {
  for (const auto& c : out.close) fail("the master closes: " + c.reason);
  if (out.append) master_ticket_ = out.append->ticket;
  if (!connected_) return;
  for (const auto& s : out.send) {
    encode_frame(s.message, down_);
    ++traffic_.frames;
  }
}

void Pair::exchange() {
  while (sidecar_ticket_ != 0 || master_ticket_ != 0 || !up_.empty() || !down_.empty()) {
    while (sidecar_ticket_ != 0) take(sidecar_->stored(std::exchange(sidecar_ticket_, 0), now_));
    if (!up_.empty()) {
      ++traffic_.turns;
      traffic_.up += up_.size();
      at_master_.feed(std::exchange(up_, {}));
      while (const auto payload = at_master_.next().value()) {
        auto message = decode(*payload);
        if (!message) fail("the master cannot read: " + message.error().message);
        take(master_->message(kConn, std::move(*message), now_));
      }
    }
    while (master_ticket_ != 0) take(master_->stored(std::exchange(master_ticket_, 0), now_));
    if (!down_.empty()) {
      ++traffic_.turns;
      traffic_.down += down_.size();
      at_sidecar_.feed(std::exchange(down_, {}));
      while (const auto payload = at_sidecar_.next().value()) {
        const auto message = decode(*payload);
        if (!message) fail("the sidecar cannot read: " + message.error().message);
        take(sidecar_->message(*message, now_));
      }
    }
  }
}

}  // namespace rollcall::bench
