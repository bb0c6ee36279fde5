#include "app/master_driver.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "app/event_fields.h"
#include "protocol/codec.h"

namespace rollcall::app {

std::expected<master::State, Error> fold_log(const persist::EventLog& log,
                                             const persist::LogRecovery& recovery,
                                             master::History* history, master::Feed* feed) {
  master::State state;
  std::uint64_t from = recovery.first_index;
  if (recovery.snapshot) {
    auto decoded = master::State::decode(recovery.snapshot->bytes);
    if (!decoded) return std::unexpected(decoded.error());
    state = std::move(*decoded);
    from = recovery.snapshot->upto_index + 1;
    // Nothing that the snapshot stands for was decided later than the last time reserved in it.
    if (history) history->begins_at(state.time().until);
  }
  if (feed) feed->begins_after(state.feed().last());
  std::vector<master::Outcome> outcomes;
  std::optional<Error> failed;
  auto read = log.for_each(from, [&](std::uint64_t index, std::string_view bytes) {
    auto record = master::decode_log_record(bytes);
    std::expected<void, Error> ok;
    if (!record) {
      ok = std::unexpected(record.error());
    } else {
      outcomes.clear();
      ok = state.apply(*record, history ? &outcomes : nullptr, feed);
      const auto* decided = std::get_if<master::Decided>(&*record);
      if (ok && history && decided) history->add(*decided, outcomes);
    }
    if (ok) return persist::Reading::kGoOn;
    failed = Error{"record " + std::to_string(index) + ": " + ok.error().message};
    return persist::Reading::kStop;
  });
  if (!read) return std::unexpected(read.error());
  if (failed) return std::unexpected(*failed);
  if (feed) feed->show_upto(feed->added());
  return state;
}

std::expected<void, Error> check_snapshot(const persist::EventLog& log, std::uint64_t upto_index) {
  const auto bytes = log.snapshot(upto_index);
  if (!bytes) return std::unexpected(bytes.error());
  if (auto state = master::State::decode(*bytes); !state) return std::unexpected(state.error());
  return {};
}

MasterDriver::MasterDriver(master::MasterCore::Config config, Options options, master::State state,
                           std::string may_have_lost, std::uint64_t seed, Clock& clock, Log& log,
                           Links& links, Notes notes)
    : clock_(clock),
      log_(log),
      links_(links),
      notes_(std::move(notes)),
      options_(options),
      core_(std::move(config), std::move(state), std::move(may_have_lost), seed, clock.now()),
      since_snapshot_(options.since_snapshot) {}

void MasterDriver::start() {
  carry_out(core_.start(clock_.now()));
}

// Whoever waits for a command learns that nobody will answer.
void MasterDriver::stop() {
  stopped_ = true;
  wait_for_command_.clear();
}

void MasterDriver::link_accepted(master::ConnId conn, std::vector<std::string> peer_names,
                                 std::string address) {
  peers_.insert_or_assign(conn, Peer{});
  carry_out(core_.connected(conn, std::move(peer_names), std::move(address), clock_.now()));
}

void MasterDriver::link_received(master::ConnId conn, std::string_view bytes) {
  const auto it = peers_.find(conn);
  if (it == peers_.end()) return;
  if (const NodeName node = core_.node_of(conn); !node.empty())
    measured_.nodes[node].traffic.received += bytes.size();
  it->second.reader.feed(bytes);
  while (!stopped_) {
    const auto payload = it->second.reader.next();
    if (!payload) {
      peers_.erase(it);
      return carry_out(core_.malformed(conn, payload.error(), clock_.now()));
    }
    if (!*payload) return;
    auto message = decode(**payload);
    if (!message) {
      peers_.erase(it);
      return carry_out(core_.malformed(conn, message.error(), clock_.now()));
    }
    if (const auto* delta = std::get_if<Delta>(&*message))
      it->second.ack_times.sent(last_seq_of(*delta), clock_.now().mono_us);
    carry_out(core_.message(conn, std::move(*message), clock_.now()));
    if (!peers_.contains(conn)) return;  // it was closed meanwhile
  }
}

void MasterDriver::link_closed(master::ConnId conn) {
  peers_.erase(conn);
  if (!stopped_) carry_out(core_.disconnected(conn, clock_.now()));
}

void MasterDriver::tick() {
  if (stopped_) return;
  const Now now = clock_.now();
  if (retry_at_mono_us_ && now.mono_us >= *retry_at_mono_us_) {
    retry_at_mono_us_.reset();
    append(appending_ticket_);
  }
  carry_out(core_.tick(now));
}

void MasterDriver::carry_out(master::Output out) {
  if (stopped_) return;
  tell_decisions();
  for (const Note& n : out.notes) notes_(n);
  if (out.append) {
    appending_ = std::move(out.append->records);
    appending_ticket_ = out.append->ticket;
    since_snapshot_ += appending_.size();
    for (const auto& record : appending_) bytes_since_snapshot_ += record.size();
    // Nothing is pending in the core now: its state is the fold of all up to this group.
    if (since_snapshot_ >= options_.snapshot_every ||
        bytes_since_snapshot_ >= options_.snapshot_every_bytes) {
      // A copy costs little; encoding a million agents would hold up the loop for a second.
      snapshot_ = [state = std::make_shared<const master::State>(core_.state())] {
        return state->encode();
      };
      since_snapshot_ = 0;
      bytes_since_snapshot_ = 0;
    }
    append(appending_ticket_);
  }
  for (const auto& one : out.send) send(one);
  for (const auto& c : out.close) {
    peers_.erase(c.conn);
    links_.close(c.conn, c.reason);
  }
  for (const auto& report : out.reports) tell(report);
  if (core_.congested() != paused_) {
    paused_ = core_.congested();
    links_.pause_reading(paused_);
  }
}

void MasterDriver::send(const master::Output::Send& one) {
  std::string bytes;
  encode_frame(one.message, bytes);
  const auto* ack = std::get_if<Ack>(&one.message);
  const auto peer = peers_.find(one.conn);
  if (ack && peer != peers_.end())
    peer->second.ack_times.acked(ack->through, clock_.now().mono_us, measured_.ack_times);
  if (const NodeName node = core_.node_of(one.conn); !node.empty()) {
    Measured::OfNode& of_node = measured_.nodes[node];
    of_node.traffic.sent += bytes.size();
    of_node.acks += ack ? 1u : 0u;
  }
  links_.send(one.conn, std::move(bytes));
}

void MasterDriver::append(std::uint64_t ticket) {
  log_.append(appending_, snapshot_, [this, ticket](std::expected<void, Error> result) {
    if (stopped_) return;
    if (!result) {
      // Hold, keep, say so, try again: nothing is acked that is not in the log.
      if (log_error_.empty()) {
        notes_({NoteLevel::error,
                "the log cannot be written; nothing is acked until it can",
                {{"why", result.error().message}}});
      }
      log_error_ = result.error().message;
      retry_at_mono_us_ = clock_.now().mono_us + kLogRetryUs;
      return;
    }
    if (!log_error_.empty()) {
      notes_({NoteLevel::info, "the log can be written again", {}});
      log_error_.clear();
    }
    appending_.clear();
    snapshot_ = {};
    carry_out(core_.stored(ticket, clock_.now()));
    tell_durable();
  });
}

void MasterDriver::change(const Change& change,
                          std::function<void(std::expected<void, Error>)> done) {
  auto out = change(core_, clock_.now());
  if (!out) return done(std::unexpected(out.error()));
  carry_out(std::move(*out));
  if (appending_.empty()) return done({});
  wait_for_disk_.push_back({2, std::move(done)});
}

void MasterDriver::command(master::CommandRequest request, std::function<void(CommandEnded)> done) {
  if (stopped_) return;
  const CommandId id = request.id;
  auto out = core_.command(std::move(request), clock_.now());
  if (!out) return done(std::unexpected(std::move(out.error())));
  wait_for_command_.emplace(id, std::move(done));
  carry_out(std::move(*out));
}

void MasterDriver::tell(const master::CommandReportPtr& report) {
  const auto [from, to] = wait_for_command_.equal_range(report->id);
  std::vector<std::function<void(CommandEnded)>> told;
  for (auto at = from; at != to; ++at) told.push_back(std::move(at->second));
  wait_for_command_.erase(from, to);
  for (const auto& done : told) done(report);
}

void MasterDriver::tell_decisions() {
  const auto& all = core_.decisions();
  const std::uint64_t newest = all.empty() ? told_ : all.back().number;
  if (newest == told_) return;
  const std::uint64_t behind = std::exchange(told_, newest);
  if (!each_wanted_ || !each_wanted_()) return;
  auto it = std::ranges::upper_bound(all, behind, {}, &master::Decision::number);
  for (; it != all.end(); ++it) {
    auto fields = fields_of(it->event, it->node);
    if (it->cause == master::Cause::told) fields.emplace_back("seq", std::to_string(it->seq));
    fields.emplace_back("cause", to_string(it->cause));
    fields.emplace_back("rule", to_string(it->rule));
    notes_({NoteLevel::debug, "decided", std::move(fields)});
  }
}

void MasterDriver::tell_durable() {
  std::vector<WaitsForDisk> told;
  std::erase_if(wait_for_disk_, [&](WaitsForDisk& one) {
    if (--one.groups > 0 && !appending_.empty()) return false;
    told.push_back(std::move(one));
    return true;
  });
  for (const auto& one : told) one.done({});
}

}  // namespace rollcall::app
