#include "sidecar/core/sidecar_core.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "protocol/codec.h"

namespace rollcall::sidecar {
namespace {

constexpr std::int64_t kSilentHeartbeats = 3;  // without a word from the master: connect again
constexpr std::int64_t kGreetingTimeoutUs = 10'000'000;
// Messages of one connection that are of no use here, answered one by one; then it is closed.
constexpr int kMaxUseless = 100;

std::uint64_t read_meta(const StoreImage& image, const char* key) {
  const auto it = image.meta.find(key);
  if (it == image.meta.end()) return 0;
  std::uint64_t v = 0;
  std::from_chars(it->second.data(), it->second.data() + it->second.size(), v);
  return v;
}

std::uint64_t nonzero(std::mt19937_64& random) {
  for (;;) {
    if (const std::uint64_t v = random(); v != 0) return v;
  }
}

// An event's share of the store: its fields may stand beside it.
std::size_t stored_bytes(const LocalEvent& event, std::string_view encoded) {
  std::size_t bytes = encoded.size();
  if (!event.info_kept || !event.info) return bytes;
  for (const auto& [name, value] : *event.info) bytes += name.size() + value.size() + 2;
  return bytes;
}

// Fields that are no longer those of the event were replaced by a newer event's: then the hash
// alone is told, and the master asks if it still wants them.
void find_kept_info(const StoreImage& image, LocalEvent& event) {
  const auto it = image.infos.find(static_cast<std::uint32_t>(event.agent));
  if (it == image.infos.end()) return;
  auto info = decode_info(it->second);
  if (info && hash_of(*info) == event.info_hash)
    event.info = std::make_shared<const AgentInfo>(std::move(*info));
}

}  // namespace

std::vector<std::uint32_t> agents_with_kept_info(
    const std::map<std::uint64_t, std::string>& outbox) {
  std::vector<std::uint32_t> agents;
  for (const auto& [position, bytes] : outbox) {
    const auto event = decode_local_event(bytes);
    if (event && event->info_kept) agents.push_back(static_cast<std::uint32_t>(event->agent));
  }
  return agents;
}

SidecarCore::SidecarCore(Config config, std::uint64_t seed)
    : config_(std::move(config)),
      random_(seed),
      timeline_(config_.boot),
      tracker_(config_.tracker, config_.node, timeline_),
      reconciler_(tracker_, timeline_, random_) {}

std::expected<Output, Error> SidecarCore::start(const StoreImage& image, const Now& now) {
  Output out;
  const Keep keep = claim_store(image, out);
  for (const auto& [id, bytes] : image.agents) {
    if (keep == Keep::nothing) break;
    auto state = decode_agent_state(bytes);
    if (!state)
      return std::unexpected(
          Error{"store: agent " + std::to_string(id) + ": " + state.error().message});
    tracker_.restore(AgentId{id}, std::move(*state));
  }
  for (const auto& [position, bytes] : image.outbox) {
    if (keep != Keep::everything) break;
    auto event = decode_local_event(bytes);
    if (!event)
      return std::unexpected(
          Error{"store: outbox event " + std::to_string(position) + ": " + event.error().message});
    if (event->info_kept) find_kept_info(image, *event);
    if (event->epoch == kUnstamped) ++unstamped_;
    const std::size_t size = stored_bytes(*event, bytes);
    outbox_.push_back({position, std::move(*event), 0, 0, size, 0, now.boot_us});
    outbox_bytes_ += size;
    position_ = position;
  }
  position_ = std::max(position_, read_meta(image, "position"));
  if (const auto it = image.meta.find("commands"); it != image.meta.end())
    commands_.restore(it->second);
  if (keep == Keep::everything) {
    acked_position_ = read_meta(image, "acked");
    master_ = MasterId{read_meta(image, "master")};
    term_ = Term{read_meta(image, "term")};
    store_ = StoreId{read_meta(image, "store")};
    if (store_ == StoreId{}) new_store();
    // An older copy, of before anything was told, looks like this.
    source_first_ |= acked_position_ == 0 || read_meta(image, "source_first") != 0;
    if (const auto it = image.meta.find("time"); it != image.meta.end()) restore_time(it->second);
  } else {
    forget_master();
  }
  restore_drain(image, keep);
  std::unordered_set<AgentId> waiting;
  for (const Entry& e : outbox_) waiting.insert(e.event.agent);
  tracker_.tell_untaken(waiting);
  new_stream();
  take_news(now);
  settle_through_ = position_;
  reconciler_.rebuild(Reconciler::Untaken::leave_out);
  last_commit_mono_us_ = now.mono_us;
  return finish(now, std::move(out));
}

// Under this name more may have been told than it knows.
void SidecarCore::new_store() {
  store_ = StoreId{nonzero(random_)};
  set_meta("store", static_cast<std::uint64_t>(store_));
  set_source_first(!heard_out());
}

void SidecarCore::new_stream() {
  // Seqs number what one stream sends; another stream sends all that is unacked under new ones.
  stream_ = StreamId{nonzero(random_)};
  start_position_ = position_;
  next_seq_ = 1;
  acked_seq_ = 0;
  in_flight_ = 0;
  next_unsent_ = 0;
  for (Entry& e : outbox_) e.seq = 0;
  settle_through_ = position_;
}

// ---- the source ------------------------------------------------------------------------------

Output SidecarCore::look(const Look& look) {
  ++counters_.looks;
  looked_mono_us_ = look.finished.mono_us;
  blind_ = false;
  counters_.looked_at_all |= look.complete;
  manager_is_back();
  tracker_.look(look);
  return finish(look.finished, {});
}

Output SidecarCore::observe(const std::vector<Observation>& batch, const Now& now) {
  for (const Observation& o : batch) tracker_.observe(o, now);
  collect(now);
  Output out;
  out.stored_with = urgent_ || !tracker_.dirty().empty() ? ticket_ + 1 : ticket_;
  return finish(now, std::move(out));
}

Output SidecarCore::store_now(const Now& now) {
  if (!tracker_.dirty().empty()) urgent_ = true;
  return finish(now, {});
}

Output SidecarCore::watch(bool there, const Now& now) {
  if (there) {
    tracker_.watched(now);
    hear_out(now);
  } else {
    tracker_.unwatched();
    watched_mono_us_.reset();
  }
  return finish(now, {});
}

bool SidecarCore::backlog_full() const {
  return over_bounds_ && (outbox_.size() > config_.max_events || outbox_bytes_ > config_.max_bytes);
}

Output SidecarCore::info_read(AgentId agent, const AgentInfo& info, const Now& now) {
  tracker_.info_read(agent, info, now);
  return finish(now, {});
}

// ---- the store -------------------------------------------------------------------------------

Output SidecarCore::stored(std::uint64_t ticket, const Now& now) {
  stored_ticket_ = std::max(stored_ticket_, ticket);
  if (stored_ticket_ == ticket_) drop_all(committing_infos_);
  return finish(now, {});
}

// Kept as text: the boot, then began, offset and error of each run of the master's time.
void SidecarCore::remember_time(const Now& now) {
  std::string text = std::to_string(timeline_.boot());
  for (const Timeline::Run& r : timeline_.runs(now)) {
    text += " " + std::to_string(r.began.us) + " " + std::to_string(r.offset_us) + " " +
            std::to_string(r.error_us);
  }
  meta_["time"] = std::move(text);
}

void SidecarCore::restore_time(const std::string& text) {
  std::istringstream in(text);
  std::uint64_t boot = 0;
  if (!(in >> boot) || boot != timeline_.boot()) return;
  std::vector<Timeline::Run> runs;
  for (Timeline::Run r; in >> r.began.us >> r.offset_us >> r.error_us;) runs.push_back(r);
  timeline_.restore(std::move(runs));
}

void SidecarCore::set_meta(std::string key, std::uint64_t value) {
  meta_[std::move(key)] = std::to_string(value);
}

void SidecarCore::enqueue(LocalEvent event, const Now& now) {
  if (event.epoch == kUnstamped) ++unstamped_;
  std::string bytes = encode(event);
  const std::size_t size = stored_bytes(event, bytes);
  outbox_bytes_ += size;
  outbox_.push_back({++position_, std::move(event), 0, ticket_ + 1, size, 0, now.boot_us});
  pending_outbox_.emplace_hint(pending_outbox_.end(), position_, std::move(bytes));
  urgent_ = true;
}

// The backlog grows nowhere else.
void SidecarCore::take_news(const Now& now) {
  for (LocalEvent& e : tracker_.take_events()) enqueue(std::move(e), now);
  for (auto& [agent, info] : tracker_.take_kept_infos()) {
    if (info) {
      pending_infos_.insert_or_assign(agent, std::move(info));
    } else {
      pending_infos_.erase(agent);
      committing_infos_.erase(agent);
    }
  }
  for (AgentId agent : tracker_.take_removed()) {
    pending_.removed_agents.push_back(static_cast<std::uint32_t>(agent));
    urgent_ = true;
  }
  if (outbox_.size() > std::max(config_.max_events, fold_at_) ||
      outbox_bytes_ > std::max(config_.max_bytes, fold_at_bytes_))
    fold(now);
}

// The master was away for so long that the backlog passed its bound: of each agent only the newest
// unsent event stays, with the latest moment of all. What it leaves behind is the same; how it came
// about is lost, and counted.
void SidecarCore::fold(const Now& now) {
  std::unordered_map<AgentId, std::size_t> newest;
  for (std::size_t i = outbox_.size(); i-- > 0;) {
    Entry& e = outbox_[i];
    if (e.seq != 0 || e.event.kind == EventKind::contact) continue;
    newest.try_emplace(e.event.agent, i);
  }
  std::deque<Entry> kept;
  outbox_bytes_ = 0;
  unstamped_ = 0;
  std::size_t gone = 0;
  std::unordered_set<std::uint64_t> changed;  // positions
  auto merge = [&](Entry& into, const Entry& old) {
    changed.insert(into.position);
    auto later = [&](const LocalMoment& a, const LocalMoment& b) {
      return timeline_.at(a, now) < timeline_.at(b, now) ? b : a;
    };
    into.event.evidence.hi = later(into.event.evidence.hi, old.event.evidence.hi);
    into.event.folded += 1 + old.event.folded;
    // Only within one session: under a newer stamp, old fields would hide what was said between.
    const bool same_session =
        into.event.epoch == old.event.epoch && into.event.start == old.event.start;
    if (same_session && !into.event.info && old.event.info_hash != InfoHash{} &&
        (into.event.info_hash == InfoHash{} || into.event.info_hash == old.event.info_hash)) {
      into.event.info = old.event.info;
      into.event.info_kept = old.event.info_kept;
      into.event.info_hash = old.event.info_hash;
    }
    if (same_session && !into.event.from) into.event.from = old.event.from;
    if (into.event.epoch == kUnstamped) into.event.starts_session = true;
  };
  // The newest info wins: merge from the newest of the old ones to the oldest.
  for (std::size_t i = outbox_.size(); i-- > 0;) {
    const auto it = newest.find(outbox_[i].event.agent);
    if (it == newest.end() || it->second <= i || outbox_[i].seq != 0) continue;
    merge(outbox_[it->second], outbox_[i]);
  }
  std::size_t unsent_at = 0;
  for (std::size_t i = 0; i < outbox_.size(); ++i) {
    Entry& e = outbox_[i];
    const auto it = newest.find(e.event.agent);
    if (e.seq == 0 && it != newest.end() && it->second > i) {
      pending_.removed_outbox.push_back(e.position);
      pending_outbox_.erase(e.position);
      ++gone;
      continue;
    }
    if (e.seq == 0 && it != newest.end() && it->second == i && changed.contains(e.position)) {
      std::string bytes = encode(e.event);
      e.bytes = stored_bytes(e.event, bytes);
      e.ticket = ticket_ + 1;
      pending_outbox_[e.position] = std::move(bytes);
    }
    if (i < next_unsent_) ++unsent_at;
    outbox_bytes_ += e.bytes;
    if (e.event.epoch == kUnstamped) ++unstamped_;
    kept.push_back(std::move(e));
  }
  outbox_ = std::move(kept);
  next_unsent_ = unsent_at;
  counters_.folded += gone;
  // What was told before and is queued again may be in a newer event now.
  if (gone > 0) settle_through_ = position_;
  urgent_ = true;
  // What remains may be over the bound by itself (one event for each agent): look again later.
  fold_at_ = outbox_.size() + outbox_.size() / 2;
  fold_at_bytes_ = outbox_bytes_ + outbox_bytes_ / 2;
  over_bounds_ = outbox_.size() > config_.max_events || outbox_bytes_ > config_.max_bytes;
}

void SidecarCore::stamp_all(const Now& now) {
  if (unstamped_ == 0 || !timeline_.known()) return;
  for (Entry& e : outbox_) {
    const bool was = e.event.epoch == kUnstamped;
    tracker_.stamp(e.event, now);
    if (!was) continue;
    std::string bytes = encode(e.event);
    pending_outbox_[e.position] = std::move(bytes);
    e.ticket = ticket_ + 1;
  }
  tracker_.end_stamping();
  unstamped_ = 0;
  urgent_ = true;
}

// What is not stored yet cannot be read back from there.
void SidecarCore::give_wanted_info(const Now& now, Output& out) {
  for (AgentId agent : tracker_.take_wanted_info()) {
    const auto newest = pending_infos_.find(agent);
    const auto newer = committing_infos_.find(agent);
    if (newest != pending_infos_.end()) {
      tracker_.info_read(agent, *newest->second, now);
    } else if (newer != committing_infos_.end()) {
      tracker_.info_read(agent, *newer->second, now);
    } else {
      out.read_info.push_back(agent);
    }
  }
}

void SidecarCore::put_infos(StoreChange& change) {
  for (const auto& [agent, info] : pending_infos_)
    change.infos.emplace_back(static_cast<std::uint32_t>(agent), encode(*info));
  committing_infos_ = std::exchange(pending_infos_, {});
}

Output SidecarCore::finish(const Now& now, Output&& out) {
  give_wanted_info(now, out);
  collect(now);
  // What the source said by then is told first.
  if (source_first_ && heard_out()) {
    set_source_first(false);
    settle_through_ = position_;
  }
  stamp_all(now);
  for (Note& n : tracker_.take_notes()) out.notes.push_back(std::move(n));
  for (const AgentId agent : tracker_.take_given_up()) out.given_up.push_back(agent);

  // One commit at a time; what comes meanwhile goes into the next one.
  const bool idle = stored_ticket_ == ticket_;
  const bool lazy_due = now.mono_us - last_commit_mono_us_ >= config_.lazy_commit_us;
  const bool ack_due =
      unstored_ack_ != 0 && now.mono_us - last_ack_mono_us_ >= config_.lazy_commit_us;
  const bool anything = urgent_ || ack_due || !tracker_.dirty().empty() || !meta_.empty() ||
                        commands_.memory_changed() || pending_.drop_outbox_through != 0;
  if (idle && anything && (urgent_ || lazy_due || ack_due)) {
    if (ack_due) store_ack(now);
    remember_commands();
    pending_.agents.reserve(tracker_.dirty().size());
    for (AgentId agent : tracker_.dirty()) {
      const auto it = tracker_.agents().find(agent);
      if (it != tracker_.agents().end())
        pending_.agents.emplace_back(static_cast<std::uint32_t>(agent), encode(it->second));
    }
    drop_all(tracker_.dirty());
    put_infos(pending_);
    if (!pending_outbox_.empty()) set_meta("position", position_);
    for (auto& [position, bytes] : pending_outbox_)
      pending_.outbox.emplace_back(position, std::move(bytes));
    pending_outbox_.clear();
    pending_.meta.reserve(meta_.size());
    for (auto& [k, v] : meta_) pending_.meta.emplace_back(k, std::move(v));
    meta_.clear();
    out.commit = Output::Commit{++ticket_, std::exchange(pending_, {})};
    urgent_ = false;
    last_commit_mono_us_ = now.mono_us;
  }
  carry_out_commands(now, out);
  pump(now, out);
  if (link_ == Link::streaming && !out.close)
    reconciler_.pump({last_sent_seq(), settled()}, now, out.send);
  tracker_.unacked(outbox_.size());
  return out;
}

void SidecarCore::store_ack(const Now& now) {
  for (AgentId agent : tracker_.take_acked()) tracker_.dirty().insert(agent);
  pending_.drop_outbox_through = std::max(pending_.drop_outbox_through, unstored_ack_);
  set_meta("acked", acked_position_);
  unstored_ack_ = 0;
  last_ack_mono_us_ = now.mono_us;
}

// ---- the stream ------------------------------------------------------------------------------

Event SidecarCore::on_wire(const LocalEvent& e, const Now& now) const {
  Event w;
  w.agent = e.agent;
  w.epoch = e.epoch;
  w.change = e.change;
  w.kind = e.kind;
  w.evidence = sent_evidence(e.evidence, timeline_, now);
  w.reason = e.reason;
  if (e.info_hash != InfoHash{}) w.info_hash = e.info_hash;
  w.info = e.info;
  w.folded = e.folded;
  w.from = e.from;
  if (e.kind == EventKind::offered)
    w.grace_us = grace_left_us(e.offered, e.grace_us, timeline_, now);
  return w;
}

void SidecarCore::pump(const Now& now, Output& out) {
  if (link_ != Link::streaming || out.close) return;
  const std::size_t target = compression_ == Compression::zstd ? kCompressedTarget : kFrameTarget;
  while (next_unsent_ < outbox_.size() && in_flight_ < window_) {
    Delta delta;
    std::size_t bytes = 0;
    while (next_unsent_ < outbox_.size() && bytes < target &&
           delta.events.size() < kMaxEventsPerDelta) {
      Entry& e = outbox_[next_unsent_];
      // Durable before sent: this is the only place that sends an event.
      if (e.ticket > stored_ticket_ || e.event.epoch == kUnstamped) break;
      if (e.seq == 0) {
        e.seq = next_seq_++;
        e.before = reconciler_.take(e.event);
      }
      if (delta.events.empty()) delta.first_seq = e.seq;
      delta.position = e.position;
      delta.events.push_back(on_wire(e.event, now));
      e.wire_bytes = packed_size_bound(delta.events.back());
      bytes += e.wire_bytes;
      ++next_unsent_;
    }
    if (delta.events.empty()) return;
    in_flight_ += bytes;
    out.send.emplace_back(std::move(delta));
  }
}

// Refused sessions are stamped anew as a whole: what of them was not sent yet would only be refused
// again.
void SidecarCore::drop_unsent(const std::set<std::pair<AgentId, Epoch>>& refused) {
  if (refused.empty()) return;
  const auto from = outbox_.begin() + static_cast<std::ptrdiff_t>(next_unsent_);
  const auto kept = std::remove_if(from, outbox_.end(), [&](const Entry& e) {
    if (e.seq != 0 || !refused.contains({e.event.agent, e.event.epoch})) return false;
    pending_.removed_outbox.push_back(e.position);
    pending_outbox_.erase(e.position);
    outbox_bytes_ -= std::min(outbox_bytes_, e.bytes);
    return true;
  });
  outbox_.erase(kept, outbox_.end());
}

// ---- the connection --------------------------------------------------------------------------

Output SidecarCore::connected(const Now& now) {
  link_ = Link::greeting;
  useless_ = 0;
  last_heard_mono_us_ = now.mono_us;
  hello_t0_ = now.boot_us;
  Hello h;
  h.protocol_min = config_.protocol_min;
  h.protocol_max = config_.protocol_max;
  h.cluster = config_.cluster;
  h.node = config_.node;
  h.machine = config_.machine;
  h.store = store_;
  h.stream = stream_;
  h.first_seq = outbox_.empty() || outbox_.front().seq == 0 ? next_seq_ : outbox_.front().seq;
  for (const auto& [agent, state] : tracker_.agents()) {
    if (state.session) h.highest_epoch = std::max(h.highest_epoch, state.session->epoch);
  }
  h.start_position = start_position_;
  h.acked_position = acked_position_;
  h.last_master = master_;
  h.last_term = term_;
  h.open_sessions = tracker_.open_sessions();
  h.software = config_.software;
  h.t0 = hello_t0_;
  if (settled() && term_ != Term{}) h.digest = reconciler_.open().digest();
  h.features = {std::string(kFeatureZstd)};
  if (config_.commands) h.features.emplace_back(kFeatureCommands);
  compression_ = Compression::none;
  Output out;
  out.send.emplace_back(std::move(h));
  return finish(now, std::move(out));
}

Output SidecarCore::disconnected(const Now& now) {
  link_ = Link::down;
  // All that was sent and not acked is sent again, under the seqs that it had.
  next_unsent_ = 0;
  in_flight_ = 0;
  reconciler_.lost(now);
  return finish(now, {});
}

Output SidecarCore::malformed(const Error& error, const Now& now) {
  Output out;
  out.close = "the master sent something that is not a message: " + error.message;
  note(out, NoteLevel::error, *out.close);
  return finish(now, std::move(out));
}

Output SidecarCore::message(const Message& message, const Now& now) {
  Output out;
  last_heard_mono_us_ = now.mono_us;
  if (link_ == Link::down) return out;
  if (is_useless(message) && ++useless_ > kMaxUseless) {
    out.close = "the master sent more than " + std::to_string(kMaxUseless) +
                " messages that mean nothing here; is it of another version?";
    note(out, NoteLevel::error, *out.close);
    return finish(now, std::move(out));
  }
  if (const auto* error = std::get_if<ErrorMessage>(&message)) {
    on(*error, now, out);
    return finish(now, std::move(out));
  }
  const bool greeting = link_ == Link::greeting;
  if (greeting != std::holds_alternative<Welcome>(message)) {
    out.close = "the master sent " + std::string(name_of(message)) +
                (greeting ? " before WELCOME" : " twice");
    if (std::holds_alternative<UnknownMessage>(message)) {
      out.close.reset();
      return finish(now, std::move(out));
    }
    note(out, NoteLevel::error, *out.close);
    return finish(now, std::move(out));
  }
  std::visit(
      [&](const auto& m) {
        using T = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<T, Welcome> || std::is_same_v<T, Ack> ||
                      std::is_same_v<T, Superseded> || std::is_same_v<T, Challenge> ||
                      std::is_same_v<T, HeartbeatAck> || std::is_same_v<T, Want> ||
                      std::is_same_v<T, InventoryAck> || std::is_same_v<T, Command>) {
          on(m, now, out);
        } else if constexpr (std::is_same_v<T, UnknownMessage>) {
          ErrorMessage e;
          e.code = ErrorCode::unknown_type;
          e.text = "message type " + std::to_string(m.type) + " is not known here";
          e.fatal = false;
          out.send.emplace_back(std::move(e));
        } else {
          out.close =
              "the master sent " + std::string(name_of(message)) + ", which only a worker sends";
          note(out, NoteLevel::error, *out.close);
        }
      },
      message);
  return finish(now, std::move(out));
}

void SidecarCore::on(const Welcome& m, const Now& now, Output& out) {
  if (m.t0 != hello_t0_) {
    out.close = "WELCOME does not answer this HELLO";
    note(out, NoteLevel::error, *out.close);
    return;
  }
  if (m.protocol < config_.protocol_min || m.protocol > config_.protocol_max) {
    out.close = "the master chose protocol version " + std::to_string(m.protocol) +
                ", which was not offered";
    note(out, NoteLevel::error, *out.close);
    return;
  }
  if (m.store_is_older) return go_on_as_another_store(out);
  link_ = Link::streaming;
  if (std::ranges::find(m.features, kFeatureZstd) != m.features.end())
    compression_ = Compression::zstd;
  set_heartbeat(m.heartbeat_us, now);
  reconciler_.welcomed(m, now);
  window_ = std::clamp<std::size_t>(m.window, 64u << 10, 64u << 20);
  const bool another_master = m.master != master_;
  if (another_master) timeline_.reset();
  timeline_.add(m.time_began, m.t0, m.t1, m.t2, now.boot_us);
  remember_time(now);
  if (another_master || m.term != term_) {
    if (another_master) {
      if (!begin_with(m.master, out)) return;
    } else if (term_ != Term{}) {
      note(out, NoteLevel::info, "the master began a new term: every session is told again",
           {{"term", to_hex(static_cast<std::uint64_t>(m.term))}});
    }
    master_ = m.master;
    term_ = m.term;
    set_meta("master", static_cast<std::uint64_t>(master_));
    set_meta("term", static_cast<std::uint64_t>(term_));
    tracker_.tell_everything(now);
    collect(now);
    settle_through_ = position_;
    reconciler_.want_full();
    urgent_ = true;
  }
  sampled(now);
}

// Another copy of this store has told the master more than this one knows. It goes on as a store of
// its own and tells everything; the master's answers then outbid nothing that it does not know,
// because what the source says now is the truth.
void SidecarCore::go_on_as_another_store(Output& out) {
  note(out, NoteLevel::warning,
       "this store is an older copy: the master has heard more from it than it remembers; every "
       "session is told anew");
  new_store();
  acked_position_ = 0;
  term_ = Term{};
  set_meta("acked", 0);
  set_meta("term", 0);
  new_stream();
  urgent_ = true;
  out.close = "the store is an older copy";
}

// Nothing that was stamped means anything to it. False if the connection has to end first.
bool SidecarCore::begin_with(MasterId master, Output& out) {
  if (master_ != MasterId{})
    note(out, NoteLevel::warning,
         "another master (or one with an empty log): everything is told anew",
         {{"master", to_hex(static_cast<std::uint64_t>(master))}});
  const bool sent = std::ranges::any_of(outbox_, [](const Entry& e) { return e.seq != 0; });
  tracker_.forget_master();
  pending_outbox_.clear();
  pending_.removed_outbox.clear();
  pending_.drop_outbox_through = position_;
  unstored_ack_ = 0;
  outbox_.clear();
  outbox_bytes_ = 0;
  unstamped_ = 0;
  next_unsent_ = 0;
  acked_position_ = 0;
  set_meta("acked", 0);
  reconciler_.rebuild(Reconciler::Untaken::leave_out);
  if (!sent) return true;
  // HELLO promised seqs that are dropped now: another stream promises anew.
  master_ = master;
  term_ = Term{};
  set_meta("master", static_cast<std::uint64_t>(master_));
  set_meta("term", 0);
  new_stream();
  urgent_ = true;
  out.close = "another master: a new stream begins";
  return false;
}

void SidecarCore::on(const Ack& m, const Now& now, Output& out) {
  if (m.through >= next_seq_) {
    out.close = "ACK of seq " + std::to_string(m.through) + ", which was never sent";
    note(out, NoteLevel::error, *out.close);
    return;
  }
  acked_mono_us_ = now.mono_us;
  std::unordered_map<std::uint64_t, const AckException*> exceptions;
  for (const AckException& e : m.exceptions) exceptions[e.seq] = &e;
  std::vector<std::pair<LocalEvent, const AckException*>> answered;
  std::set<AgentId> put_back;
  while (!outbox_.empty() && outbox_.front().seq != 0 && outbox_.front().seq <= m.through) {
    Entry& e = outbox_.front();
    acked_seq_ = e.seq;
    acked_position_ = e.position;
    unstored_ack_ = e.position;
    if (next_unsent_ > 0) {
      --next_unsent_;
      in_flight_ -= std::min(in_flight_, e.wire_bytes);
    }
    outbox_bytes_ -= std::min(outbox_bytes_, e.bytes);
    const auto it = exceptions.find(e.seq);
    const AckException* exception = it == exceptions.end() ? nullptr : it->second;
    if (exception && exception->kind == ExceptionKind::future_epoch) {
      refused_told_ |= reconciler_.told_through() >= e.seq;
      if (put_back.insert(e.event.agent).second) reconciler_.put_back(e.event.agent, e.before);
    } else {
      tracker_.acked(e.event);
      if (put_back.contains(e.event.agent)) reconciler_.take(e.event);
    }
    if (exception) answered.emplace_back(std::move(e.event), exception);
    outbox_.pop_front();
  }
  if (!put_back.empty()) take_again(put_back);
  if (outbox_.size() < config_.max_events / 2) fold_at_ = 0;
  if (outbox_bytes_ < config_.max_bytes / 2) fold_at_bytes_ = 0;
  if (fold_at_ == 0 && fold_at_bytes_ == 0) over_bounds_ = false;
  std::set<std::pair<AgentId, Epoch>> refused;
  for (auto& [event, exception] : answered) {
    switch (exception->kind) {
      case ExceptionKind::superseded:
        ++counters_.superseded;
        tracker_.superseded(event.agent, exception->winner, now, &event);
        break;
      case ExceptionKind::need_info:
        ++counters_.need_info;
        tracker_.fields_wanted(event.agent, now);
        break;
      case ExceptionKind::future_epoch:
        ++counters_.future_epoch;
        refused.emplace(event.agent, event.epoch);
        tracker_.future_epoch(event.agent, event.epoch);
        break;
    }
  }
  drop_unsent(refused);
}

void SidecarCore::on(const Superseded& m, const Now& now, Output&) {
  for (const auto& e : m.entries) {
    ++counters_.superseded;
    tracker_.superseded(e.agent, e.winner, now);
  }
}

void SidecarCore::on(const Challenge& m, const Now& now, Output&) {
  for (const auto& e : m.entries) {
    ++counters_.challenged;
    tracker_.challenged(e.agent, e.epoch, e.upto, now);
  }
}

void SidecarCore::on(const ErrorMessage& m, const Now&, Output& out) {
  counters_.last_error = std::string(to_string(m.code)) + ": " + m.text;
  note(out, m.fatal ? NoteLevel::error : NoteLevel::warning, "the master says: " + m.text,
       {{"code", std::string(to_string(m.code))}});
  if (!m.fatal) return;
  out.close = m.text;
  out.retry_after_us = std::clamp<std::int64_t>(m.retry_after_us, 0, 600'000'000);
}

Output SidecarCore::tick(const Now& now) {
  Output out;
  tick_handoff(notice_halt(now), now, out);
  const std::int64_t silence = now.mono_us - last_heard_mono_us_;
  if (link_ == Link::greeting && silence > kGreetingTimeoutUs) {
    out.close = "no WELCOME within 10 s";
    note(out, NoteLevel::warning, *out.close);
  } else if (link_ == Link::streaming && silence > kSilentHeartbeats * heartbeat_us_) {
    out.close = "nothing from the master for three heartbeats";
    note(out, NoteLevel::warning, *out.close);
  } else if (link_ == Link::streaming && now.mono_us >= next_heartbeat_mono_us_) {
    heartbeat(now, out);
  }
  return finish(now, std::move(out));
}

void SidecarCore::note(Output& out, NoteLevel level, std::string text,
                       std::vector<std::pair<std::string, std::string>> fields) {
  out.notes.push_back({level, std::move(text), std::move(fields)});
}

SidecarCore::Status SidecarCore::status(const Now& now) const {
  Status s = counters_;
  s.link = link_;
  s.unacked = outbox_.size();
  s.unsent = outbox_.size() - next_unsent_;
  s.in_flight_bytes = in_flight_;
  s.backlog_bytes = outbox_bytes_;
  if (!outbox_.empty()) s.oldest_unacked_us = now.boot_us - outbox_.front().made_boot_us;
  if (acked_mono_us_) s.acked_ago_us = now.mono_us - *acked_mono_us_;
  if (looked_mono_us_) s.looked_ago_us = now.mono_us - *looked_mono_us_;
  s.last_seq = next_seq_ - 1;
  s.acked_seq = acked_seq_;
  s.master = master_;
  s.term = term_;
  s.stream = stream_;
  s.store = store_;
  s.reconciliation = reconciler_.status(now);
  s.settled = settled();
  if (lease_until_mono_us_)
    s.lease_us = std::max<std::int64_t>(0, *lease_until_mono_us_ - now.mono_us);
  s.clock_known = timeline_.known();
  if (s.clock_known) {
    s.clock_offset_us = timeline_.clock().offset_us() + now.boot_us - now.wall_us;
    s.clock_error_us = timeline_.clock().error_us(now.boot_us);
  }
  return s;
}

}  // namespace rollcall::sidecar
