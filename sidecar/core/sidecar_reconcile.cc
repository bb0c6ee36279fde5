// SidecarCore's part in reconciliation: when its set of open sessions can be compared, heartbeats,
// and whose store it is (docs/protocol.md, section 14).
#include <algorithm>

#include "sidecar/core/sidecar_core.h"

namespace rollcall::sidecar {
namespace {

// Ticks come a few times a second: longer was a halt, of this process or of the machine.
constexpr std::int64_t kHaltUs = 2'000'000;
// So many keepalive intervals of an events source tell who is there.
constexpr std::int64_t kHeardOutIntervals = 3;

std::string text_of(const StoreImage& image, const char* key) {
  const auto it = image.meta.find(key);
  return it == image.meta.end() ? std::string() : it->second;
}

}  // namespace

// ---- whose store it is --------------------------------------------------------------------------

// A store that was written under another name told that name's sessions: under this one nothing was
// told yet. If it came from another machine too, its agents are that machine's.
SidecarCore::Keep SidecarCore::claim_store(const StoreImage& image, Output& out) {
  const std::string node = text_of(image, "node");
  const std::string machine = text_of(image, "machine");
  if (node != config_.node) meta_["node"] = config_.node;
  if (machine != config_.machine) meta_["machine"] = config_.machine;
  const bool moved = !machine.empty() && machine != config_.machine;
  if (node.empty() || node == config_.node) {
    // Its agents may be elsewhere by now.
    if (moved) set_source_first(true);
    return Keep::everything;
  }
  note(out, NoteLevel::warning,
       moved
           ? "this store is of another node on another machine: what it says is forgotten, and "
             "agents are taken up from the source"
           : "this node was renamed: everything is told anew under its new name; 'rollcall forget "
             "node' removes the old one",
       {{"node", config_.node}, {"before", node}});
  pending_.clear_outbox = true;
  if (moved) {
    for (const auto& [id, bytes] : image.agents) pending_.removed_agents.push_back(id);
  }
  new_store();
  urgent_ = true;
  return moved ? Keep::nothing : Keep::agents;
}

void SidecarCore::forget_master() {
  tracker_.forget_master();
  for (const char* key : {"master", "term", "acked"}) set_meta(key, 0);
}

void SidecarCore::hear_out(const Now& now) {
  if (watched_mono_us_) watched_us_ += std::min(now.mono_us - *watched_mono_us_, kHaltUs);
  watched_mono_us_ = now.mono_us;
}

// Survives a restart: the store says no more after it than before.
void SidecarCore::set_source_first(bool first) {
  source_first_ = first;
  set_meta("source_first", first ? 1 : 0);
}

// An events source cannot be asked; after a few intervals those who are there have spoken.
bool SidecarCore::heard_out() const {
  return counters_.looked_at_all || watched_us_ >= kHeardOutIntervals * tracker_.keepalive_us();
}

// ---- the set ------------------------------------------------------------------------------------

// Whether the set is what the master must have at last_sent_seq().
bool SidecarCore::settled() const {
  const bool told = outbox_.empty() || outbox_.front().position > settle_through_;
  const bool to_be_sent_again = next_unsent_ < outbox_.size() && outbox_[next_unsent_].seq != 0;
  return told && !to_be_sent_again && !source_first_ && !refused_told_ && !tracker_.undecided();
}

// On this connection.
std::uint64_t SidecarCore::last_sent_seq() const {
  const bool to_be_sent_again = next_unsent_ < outbox_.size() && outbox_[next_unsent_].seq != 0;
  return (to_be_sent_again ? outbox_[next_unsent_].seq : next_seq_) - 1;
}

// The master did not take an event of these agents: what was sent after it counts from what was
// before it.
void SidecarCore::take_again(const std::set<AgentId>& agents) {
  for (Entry& e : outbox_) {
    if (e.seq == 0) return;
    if (agents.contains(e.event.agent)) e.before = reconciler_.take(e.event);
  }
}

// When nothing waits to be told, the set is the tracker's.
void SidecarCore::check_set(Output& out) {
  if (!outbox_.empty() || tracker_.restamping()) return;
  if (!reconciler_.suspect() && reconciler_.open().size() == tracker_.open_sessions()) return;
  const Digest before = reconciler_.open().digest();
  reconciler_.rebuild(Reconciler::Untaken::put_in);
  if (reconciler_.open().digest() != before)
    note(out, NoteLevel::warning, "what was told was not what is known here; the master will ask");
}

// ---- heartbeats ---------------------------------------------------------------------------------

// Up to a tenth earlier, so that workers that came together do not stay together.
void SidecarCore::plan_heartbeat(const Now& now) {
  const auto early = std::uniform_int_distribution<std::int64_t>(0, heartbeat_us_ / 10)(random_);
  next_heartbeat_mono_us_ = now.mono_us + heartbeat_us_ - early;
}

void SidecarCore::set_heartbeat(std::int64_t heartbeat_us, const Now& now) {
  heartbeat_us_ = std::clamp<std::int64_t>(heartbeat_us, 100'000, 600'000'000);
  plan_heartbeat(now);
}

void SidecarCore::heartbeat(const Now& now, Output& out) {
  plan_heartbeat(now);
  check_set(out);
  Heartbeat h{last_sent_seq(), tracker_.open_sessions(), now.boot_us};
  if (settled()) h.digest = reconciler_.open().digest();
  h.blind = blind_;
  out.send.emplace_back(std::move(h));
}

// Nobody was silent while nobody listened here, and the master should hear at once that this worker
// is back.
// Returns the time since the last tick, without the halt.
std::int64_t SidecarCore::notice_halt(const Now& now) {
  std::int64_t passed = 0;
  if (last_tick_) {
    const std::int64_t halted = now.mono_us - last_tick_->mono_us;
    passed = std::min(halted, kHaltUs);
    const std::int64_t suspended = now.boot_us - last_tick_->boot_us - halted;
    if (halted > kHaltUs) last_heard_mono_us_ = std::min(now.mono_us, last_heard_mono_us_ + halted);
    if (halted > kHaltUs || suspended > kHaltUs) next_heartbeat_mono_us_ = now.mono_us;
  }
  last_tick_ = now;
  return passed;
}

// ---- the master's word --------------------------------------------------------------------------

void SidecarCore::on(const HeartbeatAck& m, const Now& now, Output&) {
  reconciler_.agreed(m.agreement, now);
  lease_until_mono_us_ = now.mono_us + m.lease_us;
  if (m.heartbeat_us != 0 && m.heartbeat_us != heartbeat_us_) set_heartbeat(m.heartbeat_us, now);
  if (m.t1 == 0) return;  // the master's time stands still: its log cannot be written
  timeline_.add(m.t0, m.t1, m.t2, now.boot_us);
  sampled(now);
}

void SidecarCore::sampled(const Now& now) {
  tracker_.sampled(now);
  if (!refused_told_ || tracker_.restamping()) return;
  refused_told_ = false;
  collect(now);
  settle_through_ = position_;
}

void SidecarCore::on(const Want& m, const Now& now, Output&) {
  for (const AgentId agent : m.infos) {
    ++counters_.need_info;
    tracker_.fields_wanted(agent, now);
  }
  reconciler_.want(m, now);
}

void SidecarCore::on(const InventoryAck& m, const Now& now, Output& out) {
  if (auto wrong = reconciler_.acked(m, now)) {
    out.close = std::move(*wrong);
    note(out, NoteLevel::error, *out.close);
  }
}

}  // namespace rollcall::sidecar
