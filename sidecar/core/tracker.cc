#include "sidecar/core/tracker.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <limits>
#include <utility>

#include "protocol/codec.h"

namespace rollcall::sidecar {

Reason reason_of(std::uint8_t status_code) {
  switch (status_code) {
    case 1:
      return Reason::invalid_version;
    case 2:
      return Reason::version_error;
    case 3:
      return Reason::shutdown;
    case 4:
      return Reason::no_keepalive;
    case 5:  // the worker's own restart
      return Reason::worker_restart;
    default:
      return Reason::unknown;
  }
}

namespace {

// The estimate of the clock may move a little between answering a CHALLENGE and sending the answer.
constexpr std::int64_t kMarginUs = 1'000;
constexpr std::int64_t kNoStepUs = 2'000'000;  // what a clock may be slewed by between two scans
constexpr std::size_t kFew = 64;  // unacked events: those that come next may be asked about

// Beyond any clock, as moments go on the wire.
constexpr std::int64_t kLatestSecond = (std::int64_t{1} << 60) / 1'000'000;

// A read that was not answered for so long is asked for again.
constexpr std::int64_t kInfoPatienceUs = 15'000'000;

// Of a Wazuh that did not say what it is.
constexpr std::int64_t kKeepaliveUs = 20'000'000;
constexpr std::int64_t kAgentTimeoutUs = 900'000'000;

std::int64_t first_known(std::int64_t configured, std::int64_t of_the_source,
                         std::int64_t otherwise) {
  return configured > 0 ? configured : of_the_source > 0 ? of_the_source : otherwise;
}

// Whether the wall clock was set in between.
bool stepped(const Now& then, const Now& now) {
  return std::abs((now.wall_us - now.boot_us) - (then.wall_us - then.boot_us)) >= kNoStepUs;
}

}  // namespace

std::size_t Tracker::count_open() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(agents_, [](const auto& a) { return is_open(a.second); }));
}

void Tracker::set_phase(Session& session, Phase phase) {
  if (session.phase == Phase::open && phase != Phase::open) --open_;
  if (session.phase != Phase::open && phase == Phase::open) ++open_;
  session.phase = phase;
}

void Tracker::restore(AgentId agent, AgentState state) {
  if (state.row) state.row->agent = agent;
  if (is_open(state)) ++open_;
  if (state.offered()) offers_.insert(agent);
  agents_.insert_or_assign(agent, std::move(state));
}

// ---- looks -------------------------------------------------------------------------------------

std::int64_t Tracker::keepalive_us() const {
  return first_known(config_.keepalive_us, defaults_.keepalive_us, kKeepaliveUs);
}

std::int64_t Tracker::agent_timeout_us() const {
  return first_known(config_.agent_timeout_us, defaults_.agent_timeout_us, kAgentTimeoutUs);
}

void Tracker::look(const Look& look) {
  defaults_ = look.defaults;
  covered_us_ = last_good_mono_us_ ? look.finished.mono_us - *last_good_mono_us_ : 0;
  // Two looks that are far apart (this process was halted, or the machine) prove little silence:
  // whoever was halted with them could not speak.
  covered_total_us_ += std::min(covered_us_, agent_timeout_us() / 4);
  ++looks_;
  std::size_t present = 0;
  for (std::size_t i = 0; i < look.rows.size(); ++i) {
    const Row& row = look.rows[i];
    if (row.agent == AgentId{}) continue;
    AgentState& state = agents_[row.agent];
    if (std::exchange(state.seen_at_look, looks_) != looks_) ++present;
    observe(row.agent, state, row, look);
    if (const auto waiting = own_winners_.extract(row.agent))
      outbid_if_newer(row.agent, state, waiting.mapped(), look.finished);
    if (look.complete) close_if_silent(row.agent, state);
    if (i < look.prints.size()) notice_info(row.agent, state, look.prints[i]);
  }
  answer_due_unseen(look);
  blind_us_ = 0;
  expire_offers(look.finished);
  if (look.complete) find_missing(look, agents_.size() - present);
  refresh_info(look);
  last_started_ = look.started;
  last_from_s_ = look.complete ? std::numeric_limits<std::int64_t>::min() : look.from_s;
  last_to_s_ = look.complete ? std::numeric_limits<std::int64_t>::max() : look.to_s;
  if (look.complete) last_complete_started_ = look.started;
  last_good_mono_us_ = look.finished.mono_us;
}

// A row that a look leaves out has not changed, which is silence too.
void Tracker::answer_due_unseen(const Look& look) {
  for (auto it = due_.begin(); it != due_.end();) {
    const auto found = agents_.find(*it);
    if (found == agents_.end() || !found->second.due) {
      it = due_.erase(it);
      continue;
    }
    if (found->second.seen_at_look != looks_)
      answer_due(found->first, found->second, look.finished);
    ++it;
  }
}

// Only at complete looks: they show every keepalive, however the wall clock was set meanwhile.
void Tracker::close_if_silent(AgentId agent, AgentState& state) {
  if (!is_open(state) || state.offered() ||
      covered_total_us_ - state.heard_covered_us <= agent_timeout_us())
    return;
  change_session(agent, state, EventKind::closed, Reason::no_keepalive);
}

void Tracker::look_failed(const Now&) {
  // Nobody can be said to have been silent while nobody could see. The look before still bounds
  // when a row changed, so last_started_ stays.
  last_good_mono_us_.reset();
  for (auto& [agent, state] : agents_) {
    if (state.due) state.due->covered_us = 0;
    state.info_asked_us = 0;  // a read that was under way may never be answered
  }
}

// The row says in which second of the wall clock the agent last spoke; the looks say between which
// two moments the row changed. Where the two disagree the wall clock has stepped, and only the
// looks count.
LocalEvidence Tracker::evidence_of(const Row& row, const Look& look) const {
  const Now& now = look.finished;
  const std::int64_t to_boot = now.boot_us - now.wall_us;
  // Whatever the table says, sums with it do not wrap.
  const std::int64_t keepalive_s = std::clamp<std::int64_t>(row.keepalive_s, 0, kLatestSecond);
  const std::int64_t second = keepalive_s * 1'000'000 + to_boot;
  std::int64_t lo = second;
  std::int64_t hi = std::min(second + 1'000'000, now.boot_us);
  const bool shown = row.keepalive_s >= last_from_s_ && row.keepalive_s <= last_to_s_ &&
                     !std::ranges::binary_search(look.late, row.agent);
  if (last_started_ && !shown && last_complete_started_) {
    // The look before would have left it out: it may be so ever since the last complete one. Its
    // second tells when, unless the clock was set meanwhile.
    if (second > now.boot_us || stepped(*last_complete_started_, now)) {
      lo = last_complete_started_->boot_us;
      hi = now.boot_us;
    }
  } else if (last_started_) {
    const std::int64_t before = last_started_->boot_us;
    if (second > now.boot_us || second + 1'000'000 < before) {
      lo = before;
      hi = now.boot_us;
    } else {
      lo = std::max(lo, before);
    }
  } else if (lo > now.boot_us) {
    // The first look, and a row from the future: the wall clock was set back since. All that is
    // sure is that it was before now.
    lo = now.boot_us - Timeline::kOtherBootErrorUs;
    hi = now.boot_us;
  }
  return {timeline_.moment(lo, now), timeline_.moment(std::max(lo, hi), now)};
}

// A row that went back while the clock did not: Wazuh's table was restored from a backup, and says
// nothing of where the agent is.
bool Tracker::is_restored(const Row& row, const Row& before, const Look& look) const {
  if (row.keepalive_s >= before.keepalive_s || !last_complete_started_) return false;
  const Now& then = *last_complete_started_;
  return !stepped(then, look.finished) && row.keepalive_s < then.wall_us / 1'000'000 - 1;
}

// Whether a moment is after the claim that released the session. While that cannot be told, it is
// taken to be: the master knows, and says so.
bool Tracker::beyond_fence(MasterTime at, const AgentState& state) const {
  return !timeline_.comparable() || at > time_of(state.session->fence);
}

bool Tracker::later(const LocalEvidence& evidence, const AgentState& state, const Now& now) const {
  if (!state.session) return true;
  const MasterTime lo = timeline_.at(evidence.lo, now);
  return lo > timeline_.at(state.session->evidence.lo, now) && beyond_fence(lo, state);
}

void Tracker::observe(AgentId agent, AgentState& state, const Row& row, const Look& look) {
  const Now& now = look.finished;
  state.missing.reset();
  if (state.row == row && !state.due) return;  // by far the most rows

  if (state.row && is_restored(row, *state.row, look)) {
    state.row = row;
    dirty_.insert(agent);
    return;
  }
  const bool spoke =
      row.keepalive_s > 0 &&
      (!state.row || state.row->keepalive_s != row.keepalive_s || state.row->visits < row.visits);
  if (state.row != row) {
    state.row = row;
    dirty_.insert(agent);
  }
  if (spoke) state.heard_covered_us = covered_total_us_;
  const LocalEvidence evidence = spoke ? evidence_of(row, look) : LocalEvidence{};

  if (is_open(state)) {
    if (spoke) take_evidence(state, evidence, now);
    if (!row.present()) {
      left_here(agent, state, reason_of(row.code), now);
    } else {
      answer_offer(agent, state, now);
      if (row.status == RowStatus::active && !state.info_told_here) want_info(agent, state, now);
      if (state.due) answer_due(agent, state, now);
    }
    return;
  }
  state.due.reset();
  if (!spoke) return;
  if (later(evidence, state, now)) {
    if (row.present()) {
      begin_session(agent, state, evidence, now);
      if (row.status == RowStatus::active) want_info(agent, state, now);
    } else {
      visited(agent, state, evidence, reason_of(row.code), now);
    }
  } else if (beyond_fence(timeline_.at(evidence.hi, now), state)) {
    contact(agent, state, evidence);
  }
}

void Tracker::take_evidence(AgentState& state, const LocalEvidence& evidence, const Now& now) {
  Session& session = *state.session;
  const bool newer = timeline_.at(evidence.lo, now) > timeline_.at(session.evidence.lo, now);
  if (newer && evidence.lo.boot == session.evidence.lo.boot) {
    state.largest_gap_us =
        std::max(state.largest_gap_us, evidence.lo.boot_us - session.evidence.lo.boot_us);
  }
  if (newer) session.evidence.lo = evidence.lo;
  if (timeline_.at(evidence.hi, now) > timeline_.at(session.evidence.hi, now))
    session.evidence.hi = evidence.hi;
}

// A silence that says that an agent is not here: two and a half of its intervals.
std::int64_t Tracker::patience_us(const AgentState& state) const {
  return std::max(keepalive_us(), std::min(state.largest_gap_us, 3 * keepalive_us())) * 5 / 2;
}

void Tracker::answer_due(AgentId agent, AgentState& state, const Now& now) {
  if (sent_lo(state.session->evidence, now) > state.due->upto) {
    state.due.reset();
    change_session(agent, state, EventKind::confirmed, Reason::none);
    return;
  }
  // One look proves no more than one interval's silence, however long ago the one before was:
  // whoever was halted with this process could not speak.
  state.due->covered_us += std::min(covered_us_, keepalive_us());
  if (state.offered()) return;  // its grace says how long to wait
  if (state.due->covered_us <= patience_us(state)) return;
  state.due.reset();
  change_session(agent, state, EventKind::closed, Reason::unconfirmed);
}

void Tracker::find_missing(const Look& look, std::size_t gone) {
  if (look.rows.empty() && look.no_agents_enrolled != true) return;
  if (gone == 0) {
    missing_reported_ = 0;
    return;
  }
  if (gone > many_missing(agents_.size()) && gone > missing_reported_) {
    notes_.push_back(
        {NoteLevel::warning,
         "many agents are missing from the source at once; they are removed if a look "
         "30 s from now does not find them either",
         {{"missing", std::to_string(gone)}, {"known", std::to_string(agents_.size())}}});
  }
  missing_reported_ = gone;
  for (auto it = agents_.begin(); it != agents_.end();) {
    auto& [agent, state] = *it;
    if (state.seen_at_look == looks_) {
      ++it;
      continue;
    }
    if (!state.missing || state.missing->connection != look.connection) {
      state.missing = Missing{look.finished.mono_us, look.connection};
      ++it;
      continue;
    }
    if (look.finished.mono_us - state.missing->since_mono_us < config_.missing_for_us) {
      ++it;
      continue;
    }
    end_removed(agent, state, look.finished);
    notes_.push_back(
        {NoteLevel::info, "agent is gone from the source", {{"agent", id_text(agent)}}});
    removed_.push_back(agent);
    dirty_.erase(agent);
    it = agents_.erase(it);
  }
}

void Tracker::end_removed(AgentId agent, AgentState& state, const Now& now) {
  const auto winner = own_winners_.extract(agent);
  if (!state.session) return;
  if (!winner || !winner.mapped().open)
    return change_session(agent, state, EventKind::removed, Reason::removed);
  const LocalEvidence evidence = state.session->evidence;
  open_session(agent, state, evidence, now, EventKind::removed, Reason::removed,
               next(winner.mapped().version.epoch));
}

// ---- info --------------------------------------------------------------------------------------

void Tracker::want_info(AgentId agent, AgentState& state, const Now& now) {
  if (state.info_asked_us != 0 && now.mono_us - state.info_asked_us < kInfoPatienceUs) return;
  state.info_asked_us = std::max<std::int64_t>(1, now.mono_us);
  wanted_info_.push_back(agent);
}

void Tracker::notice_info(AgentId agent, AgentState& state, std::uint32_t print) {
  if (std::exchange(state.info_print, print) != print && state.info_told_here)
    refresh_queue_.push_back(agent);
}

void Tracker::refresh_info(const Look& look) {
  if (looks_ == 1) refresh_began_us_ = look.finished.mono_us;
  if (refresh_queue_.empty() &&
      look.finished.mono_us - refresh_began_us_ >= config_.info_refresh_us) {
    refresh_began_us_ = look.finished.mono_us;
    for (const auto& [agent, state] : agents_) {
      if (is_open(state) && state.row && state.row->status == RowStatus::active)
        refresh_queue_.push_back(agent);
    }
  }
  while (!refresh_queue_.empty() && wanted_info_.size() < config_.info_batch) {
    const AgentId agent = refresh_queue_.back();
    refresh_queue_.pop_back();
    const auto it = agents_.find(agent);
    if (it != agents_.end() && is_open(it->second)) want_info(agent, it->second, look.finished);
  }
}

void Tracker::info_read(AgentId agent, const AgentInfo& read, const Now&) {
  AgentInfo info = read;
  if (clip_info(info)) {
    notes_.push_back({NoteLevel::warning,
                      "an agent's fields are larger than a frame may be; the rest is left out",
                      {{"agent", id_text(agent)}, {"fields", std::to_string(read.size())}}});
  }
  const auto it = agents_.find(agent);
  if (it == agents_.end()) return;
  AgentState& state = it->second;
  state.info_asked_us = 0;
  // Only the worker that has the agent knows its fields: other workers' rows are old copies.
  const bool left = state.session && state.session->phase == Phase::closed;
  if (info.empty() || !(is_open(state) || (left && state.told_hash == InfoHash{}))) return;
  const InfoHash hash = hash_of(info);
  // Of an agent that left only what it told itself; and what an events source told meanwhile is
  // newer than what was read back from the store.
  if ((left || is_kept(state)) && hash != state.info_hash) return;
  tell_info(agent, state, std::make_shared<const AgentInfo>(std::move(info)), hash);
}

bool Tracker::may_ask() const {
  return unacked_ + events_.size() < kFew;
}

void Tracker::tell_info(AgentId agent, AgentState& state, const InfoPtr& info, InfoHash hash) {
  // Once in each session the hash is told even if it is the one told before: another worker may
  // have told another one in between.
  if (hash == state.told_hash && state.info_told_here) return;
  // What changed here nobody else has told.
  const bool fields = state.info_told_here || !may_ask();
  state.info_hash = hash;
  state.told_hash = hash;
  state.info_told_here = true;
  const bool open = is_open(state);
  change_session(agent, state, open ? EventKind::info : EventKind::closed,
                 open ? Reason::none : state.session->reason, fields ? info : nullptr);
}

void Tracker::fields_wanted(AgentId agent, const Now& now) {
  const auto it = agents_.find(agent);
  if (it == agents_.end() || !it->second.session) return;
  if (it->second.session->phase == Phase::released) return;
  // Stored, so that it is not forgotten: the master asks once.
  it->second.told_hash = InfoHash{};
  it->second.info_told_here = true;
  dirty_.insert(agent);
  want_info(agent, it->second, now);
}

// ---- sessions ----------------------------------------------------------------------------------

MasterTime Tracker::sent_lo(const LocalEvidence& evidence, const Now& now) const {
  return {timeline_.at(evidence.lo, now).us - timeline_.error_us(evidence.lo, now) - kMarginUs};
}

LocalEvent Tracker::event_of(AgentId agent, const AgentState& state, EventKind kind) const {
  const Session& s = *state.session;
  LocalEvent e;
  e.agent = agent;
  e.kind = kind;
  e.epoch = s.epoch;
  e.change = s.change;
  e.start = s.start;
  e.evidence = s.evidence;
  e.reason = s.reason;
  if (kind == EventKind::offered) {
    e.offered = state.handoff->made;
    e.grace_us = state.handoff->grace_us;
  }
  return e;
}

void Tracker::open_session(AgentId agent, AgentState& state, const LocalEvidence& evidence,
                           const Now& now, EventKind kind, Reason reason, Epoch at_least) {
  const Epoch last = std::max(state.session ? state.session->epoch : kUnstamped, state.accepted);
  std::optional<SessionName> from;
  if (state.session) {
    if (state.session->phase == Phase::released && !state.session->fence_node.empty())
      from = SessionName{state.session->fence, state.session->fence_node};
    set_phase(*state.session, Phase::closed);
  }
  Session& s = state.session.emplace();
  s.phase = Phase::closed;
  s.start = evidence.lo;
  s.evidence = evidence;
  s.reason = reason;
  s.change = leaves_open(kind) ? 0 : 1;
  set_phase(s, phase_after(kind));
  if (s.phase != Phase::open && state.handoff && state.handoff->end == Handoff::End::none)
    state.handoff->end = Handoff::End::over;
  if (timeline_.known()) {
    s.epoch = std::max({epoch_at(timeline_.at(evidence.lo, now)), next(last), at_least});
  }
  state.due.reset();
  state.restamp_after = -1;
  state.info_told_here = false;
  LocalEvent e = event_of(agent, state, kind);
  e.starts_session = true;
  if (from && kind == EventKind::opened)
    remember(state.moves, {Move::Kind::took, from->node, timeline_.moment(now.boot_us, now)});
  e.from = std::move(from);
  // Fields that are known from an earlier stay may have changed elsewhere since: they are told
  // when they have been read here again.
  events_.push_back(std::move(e));
  dirty_.insert(agent);
}

void Tracker::change_session(AgentId agent, AgentState& state, EventKind kind, Reason reason,
                             InfoPtr info) {
  Session& s = *state.session;
  const bool says_info = kind == EventKind::info;
  // What says more of a session that is offered says that it is.
  if (state.offered() && (kind == EventKind::info || kind == EventKind::confirmed))
    kind = EventKind::offered;
  s.change += 1;
  s.reason = reason;
  set_phase(s, phase_after(kind));
  LocalEvent e = event_of(agent, state, kind);
  if (says_info || info) {
    e.info_hash = state.info_hash;
    e.info = std::move(info);
    e.info_kept = e.info && is_kept(state);
  }
  if (!is_open(state)) {
    state.due.reset();
    if (state.handoff && state.handoff->end == Handoff::End::none)
      state.handoff->end = Handoff::End::over;
  }
  events_.push_back(std::move(e));
  dirty_.insert(agent);
}

void Tracker::contact(AgentId agent, const AgentState& state, const LocalEvidence& evidence) {
  LocalEvent e = event_of(agent, state, EventKind::contact);
  e.evidence = evidence;
  events_.push_back(std::move(e));
}

void Tracker::tell(AgentId agent, const AgentState& state) {
  const Session& s = *state.session;
  const EventKind kind = state.offered()              ? EventKind::offered
                         : s.phase == Phase::open     ? EventKind::opened
                         : s.phase == Phase::released ? EventKind::released
                                                      : EventKind::closed;
  LocalEvent e = event_of(agent, state, kind);
  e.starts_session = s.epoch == kUnstamped;
  e.info_hash = state.info_hash;
  events_.push_back(std::move(e));
}

}  // namespace rollcall::sidecar
