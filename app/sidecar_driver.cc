#include "app/sidecar_driver.h"

#include <algorithm>
#include <utility>

#include "app/event_fields.h"
#include "protocol/codec.h"

namespace rollcall::app {

SidecarDriver::SidecarDriver(sidecar::SidecarCore::Config config, std::uint64_t seed, Clock& clock,
                             Store& store, Link& link, Source& source, Notes notes)
    : clock_(clock),
      store_(store),
      link_(link),
      source_(source),
      notes_(std::move(notes)),
      core_(std::move(config), seed),
      backoff_(seed ^ 0x5bd1e995u),
      reader_(kMaxFrame) {}

std::expected<void, Error> SidecarDriver::start(const persist::StoreContents& contents) {
  auto out =
      core_.start({contents.agents, contents.outbox, contents.meta, contents.infos}, clock_.now());
  if (!out) return std::unexpected(out.error());
  carry_out(std::move(*out));
  return {};
}

void SidecarDriver::look(const sidecar::Look& look) {
  measured_.looks.add(look.finished.mono_us - look.started.mono_us);
  carry_out(core_.look(look));
}
void SidecarDriver::look_failed(sidecar::SidecarCore::Manager manager) {
  carry_out(core_.look_failed(clock_.now(), manager));
}
void SidecarDriver::info_read(AgentId agent, const AgentInfo& info) {
  carry_out(core_.info_read(agent, info, clock_.now()));
}

std::uint64_t SidecarDriver::observe(const std::vector<sidecar::Observation>& batch) {
  sidecar::Output out = core_.observe(batch, clock_.now());
  const std::uint64_t ticket = out.stored_with;
  carry_out(std::move(out));
  return ticket;
}
void SidecarDriver::store_now() {
  carry_out(core_.store_now(clock_.now()));
}
void SidecarDriver::watch(bool there) {
  carry_out(core_.watch(there, clock_.now()));
}

std::expected<void, Error> SidecarDriver::drain(const sidecar::Drain& drain) {
  if (drain.move_per_s > 0 && messages_ == nullptr) {
    return std::unexpected(
        Error{"agents cannot be asked to move: this sidecar has no way to write to them"});
  }
  auto out = core_.drain(drain, clock_.now());
  if (!out) return std::unexpected(out.error());
  carry_out(std::move(*out));
  return {};
}

void SidecarDriver::connect_soon() {
  backoff_.reset();
  not_before_us_ = connect_at_mono_us_ = 0;
}

std::expected<void, Error> SidecarDriver::undrain() {
  auto out = core_.undrain(clock_.now());
  if (!out) return std::unexpected(out.error());
  carry_out(std::move(*out));
  return {};
}

void SidecarDriver::when_drain_is_stored(std::function<void()> then) {
  if (core_.drain_is_stored()) return then();
  drain_asked_.push_back(std::move(then));
}

void SidecarDriver::bye(ByeReason reason, std::int64_t back_within_us) {
  carry_out(core_.bye(reason, back_within_us, clock_.now()));
}

std::expected<void, Error> SidecarDriver::send_inventory() {
  if (core_.link() != sidecar::SidecarCore::Link::streaming) {
    return std::unexpected(
        Error{"nothing is streamed to the master now: it is told everything "
              "that it lacks once it can be reached; see /sync"});
  }
  Want want;
  want.inventory = true;
  carry_out(core_.message(want, clock_.now()));
  return {};
}

void SidecarDriver::datagram_sent(std::uint64_t number, const std::optional<std::string>& why_not) {
  carry_out(core_.datagram_sent(number, why_not, clock_.now()));
}

void SidecarDriver::asked_to_move(const std::optional<std::string>& why_not) {
  carry_out(core_.asked_to_move(why_not, clock_.now()));
}

void SidecarDriver::link_connected() {
  if (stopped_) return;
  state_ = State::connected;
  closing_ = false;
  reader_ = FrameReader(kMaxFrame);
  ack_times_ = {};
  carry_out(core_.connected(clock_.now()));
}

void SidecarDriver::link_received(std::string_view bytes) {
  if (state_ != State::connected || closing_) return;
  measured_.traffic.received += bytes.size();
  reader_.feed(bytes);
  while (state_ == State::connected && !closing_) {
    const auto payload = reader_.next();
    if (!payload) return carry_out(core_.malformed(payload.error(), clock_.now()));
    if (!*payload) return;
    const auto message = decode(**payload);
    if (!message) return carry_out(core_.malformed(message.error(), clock_.now()));
    if (const auto* ack = std::get_if<Ack>(&*message)) {
      ++measured_.acks;
      ack_times_.acked(ack->through, clock_.now().mono_us, measured_.ack_times);
    }
    const bool welcomed = core_.link() == sidecar::SidecarCore::Link::streaming;
    carry_out(core_.message(*message, clock_.now()));
    if (closing_ || core_.link() != sidecar::SidecarCore::Link::streaming) continue;
    link_error_.clear();
    // Only by what comes after WELCOME: a master that refuses what this one then sends must not be
    // asked again and again without a pause.
    if (welcomed) backoff_.reset();
  }
}

void SidecarDriver::link_closed(const std::string& reason) {
  if (stopped_) return;
  const bool was_connected = state_ == State::connected;
  state_ = State::idle;
  if (link_error_.empty() || !was_connected) link_error_ = reason;
  const std::int64_t now = clock_.now().mono_us;
  connect_at_mono_us_ =
      std::max(now + std::chrono::microseconds(backoff_.next()).count(), not_before_us_);
  if (was_connected) carry_out(core_.disconnected(clock_.now()));
}

void SidecarDriver::tick() {
  if (stopped_) return;
  const Now now = clock_.now();
  if (retry_at_mono_us_ && now.mono_us >= *retry_at_mono_us_) {
    retry_at_mono_us_.reset();
    commit(committing_ticket_, committing_);
  }
  if (state_ == State::idle && now.mono_us >= connect_at_mono_us_) {
    state_ = State::connecting;
    link_.connect();
  }
  carry_out(core_.tick(now));
}

void SidecarDriver::close_link(const std::string& reason) {
  if (state_ != State::connected || closing_) return;
  closing_ = true;
  link_error_ = reason;
  link_.close(reason);
}

void SidecarDriver::carry_out(sidecar::Output out) {
  if (stopped_) return;
  for (const Note& n : out.notes) notes_(n);
  if (out.commit) {
    sidecar::StoreChange& c = out.commit->change;
    persist::StoreBatch batch;
    batch.clear_outbox = c.clear_outbox;
    batch.drop_outbox_through = c.drop_outbox_through;
    batch.removed_outbox = std::move(c.removed_outbox);
    batch.removed_agents = std::move(c.removed_agents);
    batch.agents = std::move(c.agents);
    batch.infos = std::move(c.infos);
    batch.outbox = std::move(c.outbox);
    batch.meta = std::move(c.meta);
    commit(out.commit->ticket, std::make_shared<const persist::StoreBatch>(std::move(batch)));
  }
  if (state_ == State::connected && !closing_ && !out.send.empty()) {
    send(out.send);
  }
  if (out.close) {
    not_before_us_ = clock_.now().mono_us + out.retry_after_us;
    close_link(*out.close);
  }
  for (const AgentId agent : out.given_up) source_.given_up(agent);
  if (!out.read_info.empty()) source_.read_info(out.read_info);
  for (sidecar::AgentDatagram& d : out.datagrams) {
    if (agents_) {
      agents_->send(d.number, std::move(d.text), std::chrono::microseconds(d.patience_us));
    } else {
      datagram_sent(d.number, "this sidecar cannot reach agents");
    }
  }
  for (const AgentId agent : out.force_reconnect) {
    if (messages_) {
      messages_->force_reconnect(agent);
    } else {
      asked_to_move("this sidecar cannot reach agents");
    }
  }
}

void SidecarDriver::send(const std::vector<Message>& messages) {
  std::string bytes;
  for (const Message& m : messages) {
    if (const auto* delta = std::get_if<Delta>(&m)) {
      ack_times_.sent(last_seq_of(*delta), clock_.now().mono_us);
      if (each_wanted_ && each_wanted_()) tell_each_of(*delta);
    }
    encode_frame(m, bytes, core_.compression());
  }
  measured_.traffic.sent += bytes.size();
  link_.send(std::move(bytes));
}

void SidecarDriver::tell_each_of(const Delta& delta) {
  std::uint64_t seq = delta.first_seq;
  for (const Event& e : delta.events) {
    auto fields = fields_of(e, core_.node());
    fields.emplace_back("seq", std::to_string(seq++));
    notes_({NoteLevel::debug, "the master is told", std::move(fields)});
  }
}

void SidecarDriver::commit(std::uint64_t ticket, std::shared_ptr<const persist::StoreBatch> batch) {
  committing_ticket_ = ticket;
  committing_ = batch;
  store_.commit(std::move(batch), [this, ticket](std::expected<void, Error> result) {
    committed(ticket, std::move(result));
  });
}

void SidecarDriver::committed(std::uint64_t ticket, std::expected<void, Error> result) {
  if (stopped_) return;
  if (!result) {
    // Hold, keep, say so, try again: nothing is sent that could not be stored.
    if (store_error_.empty()) {
      notes_({NoteLevel::error,
              "the store cannot be written; observing goes on, nothing is sent",
              {{"why", result.error().message}}});
    }
    store_error_ = result.error().message;
    retry_at_mono_us_ = clock_.now().mono_us + kStoreRetryUs;
    return;
  }
  if (!store_error_.empty()) {
    notes_({NoteLevel::info, "the store can be written again", {}});
    store_error_.clear();
  }
  committing_.reset();
  carry_out(core_.stored(ticket, clock_.now()));
  if (core_.drain_is_stored()) {
    for (const auto& then : std::exchange(drain_asked_, {})) then();
  }
  if (on_stored_) on_stored_(ticket);
}

}  // namespace rollcall::app
