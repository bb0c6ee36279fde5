// SidecarCore's part in handoff: drain, the manager's restart, and a planned stop of its own
// (docs/protocol.md, section 15).
#include <algorithm>

#include "sidecar/core/sidecar_core.h"

namespace rollcall::sidecar {
namespace {

// Sessions that are offered, or taken back, in one tick: tens of thousands take seconds, and
// neither the disk nor the loop is held up.
constexpr std::size_t kHandedAtOnce = 2'000;
// A manager's socket that is gone for so long is no hiccup.
constexpr std::int64_t kGoneUs = 3'000'000;
// An agent that stays all the same is asked again no sooner.
constexpr std::int64_t kAskAgainUs = 60'000'000;

}  // namespace

// Its number is not given again, whoever's it was. A drain that was taken back may have left offers
// behind when this process ended; another machine's drain is no concern of this one.
void SidecarCore::restore_drain(const StoreImage& image, Keep keep) {
  const auto it = image.meta.find("drain");
  if (it == image.meta.end()) return;
  const auto drain = drain_of(it->second);
  if (!drain) return;
  drains_ = drain->number;
  if (drain->grace_us <= 0) {
    tracker_.set_drain(std::nullopt);
  } else if (keep != Keep::nothing) {
    begin_drain(*drain);
  } else {
    meta_["drain"] = to_text(no_drain());
  }
}

Drain SidecarCore::no_drain() const {
  Drain none;
  none.number = drains_;
  none.grace_us = 0;
  return none;
}

void SidecarCore::begin_drain(const Drain& drain) {
  tracker_.set_drain(drain);
  to_move_.clear();
  moves_due_us_ = 0;
  next_round_mono_us_ = 0;
  counters_.drain_moves = {};
}

std::expected<Output, Error> SidecarCore::drain(Drain drain, const Now& now) {
  if (auto ok = check(drain); !ok) return std::unexpected(ok.error());
  drain.number = ++drains_;
  drain.since = timeline_.moment(now.boot_us, now);
  meta_["drain"] = to_text(drain);
  drain_ticket_ = ticket_ + 1;
  urgent_ = true;
  begin_drain(drain);
  Output out;
  note(out, NoteLevel::warning, "this worker is drained: its sessions are offered",
       {{"sessions", std::to_string(tracker_.open_sessions())},
        {"grace_s", std::to_string(drain.grace_us / 1'000'000)},
        {"move_per_s", std::to_string(drain.move_per_s)}});
  return finish(now, std::move(out));
}

std::expected<Output, Error> SidecarCore::undrain(const Now& now) {
  if (!tracker_.drain()) return std::unexpected(Error{"this worker is not drained"});
  meta_["drain"] = to_text(no_drain());
  drain_ticket_ = ticket_ + 1;
  urgent_ = true;
  tracker_.set_drain(std::nullopt);
  Output out;
  note(out, NoteLevel::warning, "this worker is drained no more: what is offered is taken back");
  return finish(now, std::move(out));
}

Output SidecarCore::look_failed(const Now& now, Manager manager) {
  ++counters_.failed_looks;
  if (!std::exchange(blind_, true)) next_heartbeat_mono_us_ = now.mono_us;
  tracker_.look_failed(now);
  Output out;
  // One that was never there is a matter of the configuration.
  if (manager == Manager::maybe_there || counters_.looks == 0) {
    gone_since_mono_us_.reset();
  } else if (!gone_since_mono_us_) {
    gone_since_mono_us_ = now.mono_us;
  } else if (!manager_gone_ && now.mono_us - *gone_since_mono_us_ >= kGoneUs) {
    manager_gone_ = true;
    tracker_.set_manager_gone(true);
    note(out, NoteLevel::warning, "the manager is gone: the sessions of this worker are offered",
         {{"sessions", std::to_string(tracker_.open_sessions())}});
  }
  return finish(now, std::move(out));
}

void SidecarCore::manager_is_back() {
  gone_since_mono_us_.reset();
  if (std::exchange(manager_gone_, false)) tracker_.set_manager_gone(false);
}

// `passed_us` since the last tick, without halts.
void SidecarCore::tick_handoff(std::int64_t passed_us, const Now& now, Output& out) {
  tracker_.waited_blind(passed_us, now);
  tracker_.hand_off(kHandedAtOnce, now);
  move_some(passed_us, now, out);
  collect(now);  // before a heartbeat compares what waits to be told
}

void SidecarCore::move_some(std::int64_t passed_us, const Now& now, Output& out) {
  const auto& drain = tracker_.drain();
  if (!drain || drain->move_per_s == 0 || tracker_.handing_off()) return;
  if (to_move_.empty()) {
    if (now.mono_us < next_round_mono_us_) return;
    next_round_mono_us_ = now.mono_us + kAskAgainUs;
    for (const auto& [agent, state] : tracker_.agents()) {
      if (state.session && state.session->phase == Phase::open) to_move_.push_back(agent);
    }
    // Those of one network or team have neighbouring ids.
    std::ranges::shuffle(to_move_, random_);
  }
  const auto rate = static_cast<std::int64_t>(drain->move_per_s);
  moves_due_us_ = std::min(moves_due_us_ + passed_us * rate, rate * 1'000'000);
  for (; moves_due_us_ >= 1'000'000 && !to_move_.empty(); moves_due_us_ -= 1'000'000) {
    const AgentId agent = to_move_.back();
    to_move_.pop_back();
    if (!tracker_.offer_now(agent, now)) continue;
    out.force_reconnect.push_back(agent);
  }
}

// Those that were not asked have their turn again in the next round.
Output SidecarCore::asked_to_move(const std::optional<std::string>& why_not, const Now& now) {
  Output out;
  if (why_not && counters_.drain_moves.why != *why_not)
    note(out, NoteLevel::warning, "an agent could not be asked to connect anew",
         {{"why", *why_not}});
  for (MovesAsked* count : {&counters_.moves, &counters_.drain_moves}) {
    ++(why_not ? count->failed : count->taken);
    if (why_not) count->why = *why_not;
  }
  return finish(now, std::move(out));
}

Output SidecarCore::bye(ByeReason reason, std::int64_t back_within_us, const Now& now) {
  Output out;
  if (link_ != Link::streaming) return out;
  // What is stored and may be sent goes first.
  pump(now, out);
  if (tracker_.drain()) reason = ByeReason::drain;
  out.send.emplace_back(Bye{reason, back_within_us});
  out.close = "this sidecar stops";
  link_ = Link::down;
  return out;
}

}  // namespace rollcall::sidecar
