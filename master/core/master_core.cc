#include "master/core/master_core.h"

#include <algorithm>
#include <iterator>

#include "protocol/codec.h"

namespace rollcall::master {
namespace {

std::uint64_t nonzero(std::mt19937_64& random) {
  for (;;) {
    if (const std::uint64_t v = random(); v != 0) return v;
  }
}

// No message carries more than kMaxEntries.
template <typename T>
std::vector<std::vector<T>> parts(std::vector<T> all) {
  std::vector<std::vector<T>> out;
  for (std::size_t i = 0; i < all.size(); i += kMaxEntries) {
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(i);
    const auto to =
        all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), i + kMaxEntries));
    out.emplace_back(std::make_move_iterator(from), std::make_move_iterator(to));
  }
  return out;
}

Winner winner_of(const AgentRecord& record) {
  return {record.top, record.is_open()};
}

// About what a message takes in memory while it waits.
std::size_t bytes_of(const Message& message) {
  std::size_t entries = 0;
  if (const auto* ack = std::get_if<Ack>(&message)) entries = ack->exceptions.size();
  if (const auto* s = std::get_if<Superseded>(&message)) entries = s->entries.size();
  if (const auto* c = std::get_if<Challenge>(&message)) entries = c->entries.size();
  std::size_t ids = 0;
  if (const auto* w = std::get_if<Want>(&message))
    ids = w->digests_of.size() + w->leaves.size() + w->infos.size();
  if (const auto* c = std::get_if<Command>(&message))
    return sizeof(Message) + c->entries.size() * sizeof(Command::Entry);
  return sizeof(Message) + entries * sizeof(AckException) + ids * sizeof(AgentId);
}

}  // namespace

MasterCore::MasterCore(Config config, State state, std::string may_have_lost, std::uint64_t seed,
                       const Now& now)
    : config_(std::move(config)),
      state_(std::move(state)),
      may_have_lost_(std::move(may_have_lost)),
      random_(seed),
      time_(state_.time(), config_.boot, now),
      leases_(state_, lease_times(), time_.clock(now), now) {
  state_.count_migrations_anew();
  feed_.begins_after(state_.feed().last());
  feed_in_group_ = feed_.last();
  for (const auto& [agent, record] : state_.agents()) {
    if (record.doubt()) doubts_.insert(agent);
  }
}

Output MasterCore::start(const Now& now) {
  Output out;
  if (state_.master() == MasterId{}) {
    log(Genesis{MasterId{nonzero(random_)}});
    begin_term("a new log", out);
  } else if (!may_have_lost_.empty()) {
    begin_term(may_have_lost_, out);
  }
  // Logged, so that a replay keeps the same.
  if (state_.migrations().capacity() != config_.keep_migrations)
    log(MigrationsKept{config_.keep_migrations});
  return finish(now, std::move(out));
}

void MasterCore::begin_term(std::string cause, Output& out) {
  note(out, NoteLevel::warning, "a new term begins: every worker is asked to tell everything again",
       {{"cause", cause}});
  log(TermBegun{Term{nonzero(random_)}, std::move(cause)});
  // Those that are connected were welcomed to the old one: they learn of it by connecting again.
  for (const auto& [node, id] : std::map(by_node_)) {
    ErrorMessage e;
    e.code = ErrorCode::new_term;
    e.text = "a new term begins; connect again";
    out.send.push_back({id, std::move(e)});
    close(id, "a new term begins", out);
  }
}

// The state changes at once; what is said of it waits in say() until it is durable.
void MasterCore::log(LogRecord& record, std::vector<Outcome>* outcomes) {
  if (!state_.apply(record, outcomes, &feed_)) std::abort();  // only a replay can disagree
  if (const auto* decided = std::get_if<Decided>(&record)) {
    for (const Event& e : decided->events) commands_.heard(e.agent);
  }
  pending_.push_back(encode(record));
  pending_bytes_ += pending_.back().size();
}

void MasterCore::say(ConnId conn, Message message) {
  const std::size_t bytes = bytes_of(message);
  waiting_bytes_ += bytes;
  waiting_.push_back({pending_.empty() ? ticket_ : ticket_ + 1, conn, bytes, std::move(message)});
}

Output MasterCore::finish(const Now& now, Output&& out) {
  if (const auto until = time_.due(now)) {
    log(*until);
    pending_reservation_ = until->until;
  }
  tell_commands(now, out);
  for (auto& [node, entries] : superseded_) {
    if (const ConnId conn = conn_of(node); conn != ConnId{}) {
      counters_.superseded_sent += entries.size();
      for (auto& part : parts(std::move(entries))) say(conn, Superseded{std::move(part)});
    }
  }
  superseded_.clear();
  for (auto& [node, entries] : challenges_) {
    if (const ConnId conn = conn_of(node); conn != ConnId{}) {
      counters_.challenges_sent += entries.size();
      for (auto& part : parts(std::move(entries))) say(conn, Challenge{std::move(part)});
    }
  }
  challenges_.clear();
  // One group at a time; what comes meanwhile goes into the next one.
  if (stored_ticket_ == ticket_ && !pending_.empty()) {
    out.append = Output::Append{++ticket_, std::exchange(pending_, {})};
    in_group_bytes_ = pending_bytes_;
    feed_in_group_ = feed_.added();
    reservation_in_group_ = std::exchange(pending_reservation_, std::nullopt);
  }
  std::size_t said = 0;
  for (; said < waiting_.size() && waiting_[said].ticket <= stored_ticket_; ++said) {
    Waiting& w = waiting_[said];
    waiting_bytes_ -= w.bytes;
    const auto it = conns_.find(w.conn);
    if (it == conns_.end() || it->second.closing) continue;
    if (auto* welcome = std::get_if<Welcome>(&w.message)) welcome->t2 = time_.tell(now).us;
    out.send.push_back({w.conn, std::move(w.message)});
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(said));
  return out;
}

Output MasterCore::stored(std::uint64_t ticket, const Now& now) {
  stored_ticket_ = std::max(stored_ticket_, ticket);
  pending_bytes_ -= std::min(pending_bytes_, in_group_bytes_);
  in_group_bytes_ = 0;
  feed_.show_upto(feed_in_group_);
  if (reservation_in_group_) time_.reserved(*reservation_in_group_);
  reservation_in_group_.reset();
  return finish(now, {});
}

// ---- connections -----------------------------------------------------------------------------

NodeName MasterCore::node_of(ConnId conn) const {
  const auto it = conns_.find(conn);
  return it == conns_.end() ? NodeName{} : it->second.node;
}

ConnId MasterCore::conn_of(const NodeName& node) const {
  const auto it = by_node_.find(node);
  return it == by_node_.end() ? ConnId{} : it->second;
}

Output MasterCore::connected(ConnId id, std::vector<std::string> peer_names, std::string address,
                             const Now& now) {
  Conn c;
  c.names = std::move(peer_names);
  c.address = std::move(address);
  c.since_mono_us = c.heard_mono_us = now.mono_us;
  conns_.insert_or_assign(id, std::move(c));
  return finish(now, {});
}

Output MasterCore::disconnected(ConnId id, const Now& now) {
  Output out;
  const auto it = conns_.find(id);
  if (it != conns_.end()) {
    const auto node = by_node_.find(it->second.node);
    if (node != by_node_.end() && node->second == id) {
      by_node_.erase(node);
      commands_.disconnected(it->second.node);
      note(out, NoteLevel::info, "worker disconnected",
           {{"node", it->second.node}, {"peer", it->second.address}});
    }
    conns_.erase(it);
  }
  return finish(now, std::move(out));
}

void MasterCore::close(ConnId id, std::string reason, Output& out) {
  const auto it = conns_.find(id);
  if (it == conns_.end() || it->second.closing) return;
  it->second.closing = true;
  const auto node = by_node_.find(it->second.node);
  if (node != by_node_.end() && node->second == id) {
    by_node_.erase(node);
    commands_.disconnected(it->second.node);
  }
  out.close.push_back({id, std::move(reason)});
}

void MasterCore::refuse(ConnId id, ErrorCode code, std::string text, const Now&, Output& out,
                        std::int64_t retry_after_us) {
  const Conn& c = conns_.at(id);
  ++counters_.refused_connections;
  if (code == ErrorCode::malformed || code == ErrorCode::protocol || code == ErrorCode::sequence ||
      code == ErrorCode::inventory)
    ++counters_.protocol_errors;
  note(out, NoteLevel::warning, "connection refused: " + text,
       {{"code", std::string(to_string(code))},
        {"node", c.node.empty() ? (c.names.empty() ? "?" : c.names.front()) : c.node},
        {"peer", c.address}});
  ErrorMessage e;
  e.code = code;
  e.text = text;
  e.retry_after_us = retry_after_us;
  out.send.push_back({id, std::move(e)});
  close(id, std::move(text), out);
}

Output MasterCore::malformed(ConnId id, const Error& error, const Now& now) {
  Output out;
  if (conns_.contains(id) && !conns_.at(id).closing)
    refuse(id, ErrorCode::malformed, error.message, now, out, config_.heartbeat_us);
  return finish(now, std::move(out));
}

Output MasterCore::message(ConnId id, Message message, const Now& now) {
  Output out;
  const auto it = conns_.find(id);
  if (it == conns_.end() || it->second.closing) return out;
  Conn& conn = it->second;
  conn.heard_mono_us = now.mono_us;
  if (const auto* hello = std::get_if<Hello>(&message)) {
    if (!conn.node.empty()) {
      refuse(id, ErrorCode::protocol, "a second HELLO on one connection", now, out);
    } else {
      on(id, conn, *hello, now, out);
    }
  } else if (is_useless(message) && ++conn.useless > kMaxUseless) {
    refuse(id, ErrorCode::protocol,
           "more than " + std::to_string(kMaxUseless) +
               " messages that mean nothing to this master; is the worker of another version?",
           now, out);
  } else if (const auto* unknown = std::get_if<UnknownMessage>(&message)) {
    ErrorMessage e;
    e.code = ErrorCode::unknown_type;
    e.text = "message type " + std::to_string(unknown->type) + " is not known here";
    e.fatal = false;
    out.send.push_back({id, std::move(e)});
  } else if (const auto* error = std::get_if<ErrorMessage>(&message)) {
    if (!std::exchange(conn.complained, true)) {
      note(out, NoteLevel::warning, "a worker says: " + error->text,
           {{"code", std::string(to_string(error->code))},
            {"node", conn.node},
            {"peer", conn.address}});
    }
    if (error->fatal) close(id, "the worker gave up: " + error->text, out);
  } else if (conn.node.empty()) {
    refuse(id, ErrorCode::protocol, std::string(name_of(message)) + " before HELLO", now, out);
  } else if (auto* delta = std::get_if<Delta>(&message)) {
    on(id, conn, std::move(*delta), now, out);
  } else if (const auto* beat = std::get_if<Heartbeat>(&message)) {
    if (beat->digest) leases_.compares(conn.node);
    on(id, conn, *beat, now, out);
  } else if (const auto* digests = std::get_if<Digests>(&message)) {
    on(id, conn, *digests, now, out);
  } else if (const auto* begin = std::get_if<InventoryBegin>(&message)) {
    on(id, conn, *begin, now, out);
  } else if (const auto* chunk = std::get_if<InventoryChunk>(&message)) {
    on(id, conn, *chunk, now, out);
  } else if (const auto* end = std::get_if<InventoryEnd>(&message)) {
    on(id, conn, *end, now, out);
  } else if (const auto* result = std::get_if<Result>(&message)) {
    on(id, conn, *result, now, out);
  } else if (const auto* bye = std::get_if<Bye>(&message)) {
    on(id, conn, *bye, now, out);
  } else {
    refuse(id, ErrorCode::protocol, std::string(name_of(message)) + " comes from a master only",
           now, out);
  }
  return finish(now, std::move(out));
}

void MasterCore::on(ConnId id, Conn& conn, const Hello& m, const Now& now, Output& out) {
  if (auto fault = fault_of(conn, m))
    return refuse(id, fault->code, std::move(fault->text), now, out, fault->retry_after_us);
  if (!take_over(id, m, now, out)) return;
  const bool older = is_older_copy(m, out);

  Welcome w;
  w.protocol = std::min(m.protocol_max, config_.protocol_max);
  w.master = state_.master();
  w.term = state_.term();
  w.store_is_older = older;
  w.time_began = time_.began();
  w.window = config_.window;
  w.inventory_us = config_.inventory_us;
  w.inventory_differs_us = config_.inventory_differs_us;
  w.t0 = m.t0;
  w.t1 = time_.tell(now).us;
  for (const std::string_view feature : {kFeatureZstd, kFeatureCommands}) {
    if (std::ranges::find(m.features, feature) != m.features.end())
      w.features.emplace_back(feature);
  }
  conn.takes_commands = std::ranges::find(m.features, kFeatureCommands) != m.features.end();
  conn.machine = m.machine;
  conn.software = m.software;
  conn.open_sessions = m.open_sessions;
  if (!older) return admit(id, conn, m, std::move(w), now, out);
  note(out, NoteLevel::warning,
       "the worker's store is an older copy: it has said more than it remembers",
       {{"node", m.node}, {"peer", conn.address}});
  w.heartbeat_us = heartbeat_us();
  w.ttl_us = lease_times().ttl_us;
  say(id, std::move(w));  // it comes back as a store of its own
}

// Why a worker is not let in, whoever else is here.
std::optional<ErrorMessage> MasterCore::fault_of(const Conn& conn, const Hello& m) const {
  auto fault = [](ErrorCode code, std::string text) {
    ErrorMessage e;
    e.code = code;
    e.text = std::move(text);
    e.retry_after_us = 60'000'000;
    return e;
  };
  if (m.protocol_min > config_.protocol_max || m.protocol_max < config_.protocol_min) {
    return fault(ErrorCode::version,
                 "the worker speaks protocol " + std::to_string(m.protocol_min) + " to " +
                     std::to_string(m.protocol_max) + ", this master " +
                     std::to_string(config_.protocol_min) + " to " +
                     std::to_string(config_.protocol_max) + "; upgrade the older one");
  }
  if (m.cluster != config_.cluster) {
    return fault(ErrorCode::cluster, "the worker belongs to cluster '" + m.cluster +
                                         "', this master to '" + config_.cluster +
                                         "'; set [node] cluster alike on both");
  }
  if (std::ranges::find(conn.names, m.node) == conn.names.end()) {
    return fault(
        ErrorCode::name,
        "the worker calls itself '" + m.node +
            "', which is not in its certificate; issue one for that name or set [node] name");
  }
  if (!config_.allow.empty() && std::ranges::find(config_.allow, m.node) == config_.allow.end()) {
    return fault(ErrorCode::name, "node '" + m.node + "' is not in this master's allow list");
  }
  return std::nullopt;
}

// Whether the connection that this node has, if any, makes room for this one.
bool MasterCore::take_over(ConnId id, const Hello& m, const Now& now, Output& out) {
  const ConnId other = conn_of(m.node);
  if (other == ConnId{}) return true;
  const Conn& old = conns_.at(other);
  const bool same = old.machine == m.machine && old.stream == m.stream;
  const bool alive = now.mono_us - old.heard_mono_us < heartbeat_us(old) * 3 / 2;
  if (!same && alive) {
    refuse(id, ErrorCode::node_in_use,
           "node '" + m.node + "' is connected from " + old.address +
               "; two machines with one name, or a restart that was too quick",
           now, out, heartbeat_us());
    return false;
  }
  note(out, NoteLevel::info, "worker connected again; the older connection is closed",
       {{"node", m.node}, {"peer", conns_.at(id).address}, {"older", old.address}});
  close(other, "the worker connected again", out);
  return true;
}

// Whether the worker's store has said more than it remembers. If it is this log that remembers
// less, a new term begins.
bool MasterCore::is_older_copy(const Hello& m, Output& out) {
  const bool was_ours = m.last_master == state_.master() && m.last_term == state_.term();
  const auto known = state_.nodes().find(m.node);
  if (known != state_.nodes().end() && known->second.store == m.store) {
    const NodeLog& log = known->second;
    // The worker was acked what this log does not have: a log restored from an older copy.
    const bool lost_seqs = log.stream == m.stream && m.first_seq > log.last_seq + 1;
    if (may_be_older_copy_ && was_ours && (m.acked_position > log.position || lost_seqs)) {
      may_be_older_copy_ = false;
      begin_term("worker " + m.node + " was acked more than this log has: an older copy of it",
                 out);
      return false;
    }
    return log.stream != m.stream && m.start_position < log.position;
  }
  if (m.acked_position == 0) return false;
  // Either the worker came back with a copy of the store that it had before the present one, or
  // under another name, or an operator had it forgotten, or this log forgot it.
  if (known != state_.nodes().end()) return true;
  if (!was_ours) return false;
  const auto its_store = [&](const auto& node) { return node.second.store == m.store; };
  if (const auto renamed = std::ranges::find_if(state_.nodes(), its_store);
      renamed != state_.nodes().end()) {
    note(out, NoteLevel::warning,
         "a store that belongs to another node: if the worker was renamed, forget the old name",
         {{"node", m.node}, {"store_of", renamed->first}});
    return true;
  }
  // All that it left open was closed: it tells it anew, as a store that is new.
  if (state_.forgotten().contains(m.node)) return true;
  if (may_be_older_copy_) {
    may_be_older_copy_ = false;
    begin_term("worker " + m.node + " was acked by this log, which does not know it: an older copy",
               out);
  }
  return false;
}

void MasterCore::admit(ConnId id, Conn& conn, const Hello& m, Welcome w, const Now& now,
                       Output& out) {
  conn.node = m.node;
  conn.stream = m.stream;
  conn.expected_seq = m.first_seq;
  by_node_[m.node] = id;
  commands_.connected(m.node);
  const auto known = state_.nodes().find(m.node);
  const bool same_store = known != state_.nodes().end() && known->second.store == m.store;
  log(NodeWelcomed{m.node,
                   m.machine,
                   m.store,
                   m.stream,
                   m.first_seq,
                   std::max(m.start_position, m.acked_position),
                   {w.t1}});
  log_lease(leases_.renewed(state_, m.node, lease_times(), now), now, out);
  leases_.connected(m.node);
  if (m.digest) leases_.compares(m.node);
  // A worker that tells everything, or whose store is new, has yet to say what is open.
  const bool comparable =
      m.digest && same_store && m.last_master == state_.master() && m.last_term == state_.term();
  if (comparable) w.agreement = compare(conn, *m.digest, now, out);
  w.last_seq = state_.nodes().at(m.node).last_seq;
  w.heartbeat_us = conn.heartbeat_us = heartbeat_us();
  w.ttl_us = lease_times().ttl_us;
  note(out, NoteLevel::info, "worker connected",
       {{"node", m.node},
        {"peer", conn.address},
        {"sessions", std::to_string(m.open_sessions)},
        {"software", m.software}});
  const bool differs = w.agreement == Agreement::differs;
  say(id, std::move(w));
  tell_missed(m.node, now);
  if (differs) walk(id, conn, now);
}

// What a worker may not have heard while it was away: sessions that it left open and that do not
// stand, and what it is asked to confirm.
void MasterCore::tell_missed(const NodeName& node, const Now& now) {
  for (const auto& [agent, own] : state_.nodes().at(node).open.table()) {
    const AgentRecord* r = state_.find(agent);
    const bool stands = r && r->is_open() && r->top.epoch == own.epoch && r->top.node == node;
    if (!stands) tell_superseded(node, agent, now);  // of a million the fewest
  }
  std::vector<AgentId> asked;  // a copy: checking one may settle it
  for (AgentId agent : doubts_) {
    if (state_.find(agent)->top.node == node) asked.push_back(agent);
  }
  for (AgentId agent : asked) check_doubt(agent);
}

// ---- events ----------------------------------------------------------------------------------

// Why a frame is not even decided.
std::optional<ErrorMessage> MasterCore::fault_of(const Conn& conn, const Delta& m) const {
  auto fault = [](ErrorCode code, std::string text) {
    ErrorMessage e;
    e.code = code;
    e.text = std::move(text);
    return e;
  };
  if (m.first_seq != conn.expected_seq) {
    return fault(ErrorCode::sequence, "DELTA begins at seq " + std::to_string(m.first_seq) +
                                          ", expected " + std::to_string(conn.expected_seq));
  }
  for (const Event& e : m.events) {
    if (e.change >= kFirstMasterChange) {
      return fault(ErrorCode::reserved_change, "agent " + id_text(e.agent) + ": change " +
                                                   std::to_string(e.change) +
                                                   " is reserved for the master");
    }
    if (e.info && hash_of(*e.info) != e.info_hash) {
      return fault(
          ErrorCode::malformed,
          "agent " + id_text(e.agent) + ": the info does not have the hash that comes with it");
    }
  }
  if (m.events.empty()) return fault(ErrorCode::malformed, "a DELTA without events");
  return std::nullopt;
}

void MasterCore::on(ConnId id, Conn& conn, Delta m, const Now& now, Output& out) {
  if (auto fault = fault_of(conn, m))
    return refuse(id, fault->code, std::move(fault->text), now, out);
  conn.expected_seq += m.events.size();
  for (auto& [number, inventory] : conn.reconciling.inventories) {
    for (const Event& e : m.events) inventory.touch(e.agent);
  }
  ++counters_.frames;
  counters_.events += m.events.size();
  counters_.nodes[conn.node].events += m.events.size();

  Ack ack;
  ack.through = m.first_seq + m.events.size() - 1;
  Decided d;
  d.node = conn.node;
  d.at = time_.tell(now);
  d.position = m.position;
  const std::vector<std::uint64_t> seqs = take_undecided(m, d, now, ack);
  if (!seqs.empty()) {
    d.first_seq = seqs.back() + 1 - seqs.size();
    std::vector<Outcome> outcomes;
    LogRecord record = std::move(d);
    log(record, &outcomes);
    Decided& decided = std::get<Decided>(record);
    history_.add(decided, outcomes);
    answer(decided, outcomes, seqs, now, ack, out);
    remember(decided, outcomes, seqs);
  }
  acknowledge(id, std::move(ack));
}

// The events that are to be decided, and their seqs. Those that the log has already were sent again
// because the ACK was lost: what it would have said is said again.
std::vector<std::uint64_t> MasterCore::take_undecided(Delta& m, Decided& d, const Now& now,
                                                      Ack& ack) {
  const std::uint64_t last = state_.nodes().at(d.node).last_seq;
  std::vector<std::uint64_t> seqs;
  seqs.reserve(m.events.size());
  if (m.first_seq > last) {
    d.events = std::move(m.events);
    for (std::size_t i = 0; i < d.events.size(); ++i) seqs.push_back(m.first_seq + i);
    return seqs;
  }
  for (std::size_t i = 0; i < m.events.size(); ++i) {
    Event& e = m.events[i];
    const std::uint64_t seq = m.first_seq + i;
    if (seq <= last) {
      ++counters_.duplicates;
      const AgentRecord* r = state_.find(e.agent);
      AgentRecord copy;
      if (r) copy = *r;
      // An event that was refused as from the future may say something by now: then it is decided
      // anew, as if it had only now arrived. What others say again must not: it would be out of its
      // order among what the stream left open.
      const Rule rule = copy.apply(d.node, e, d.at);
      if (!accepted(rule)) {
        add_exception(seq, d.node, e, rule, r, now, ack);
        continue;
      }
    }
    d.events.push_back(std::move(e));
    seqs.push_back(seq);
  }
  return seqs;
}

// What the worker must hear of one of its events, if anything; `r` is what is known of the agent
// now.
void MasterCore::add_exception(std::uint64_t seq, const NodeName& node, const Event& e, Rule rule,
                               const AgentRecord* found, const Now& now, Ack& ack) {
  if (rule == Rule::future_epoch) {
    ack.exceptions.push_back({seq, e.agent, ExceptionKind::future_epoch, {}});
    return;
  }
  // A worker may call an event sent again that never came: then nothing is known of the agent.
  if (!found || (accepted(rule) && !e.info_hash)) return;
  const AgentRecord& r = *found;
  const Version said{e.epoch, node, e.change};
  const bool own_top_stands = r.is_open() && r.top.same_session(said);
  // An open session that does not stand or has gone further than the event knows, or an end while
  // a session of its own stands that the worker does not know of. A worker to which this is no
  // news ignores it.
  const bool stands_not = leaves_open(e.kind) ? (!own_top_stands && r.top >= said) || r.top > said
                                              : e.kind != EventKind::contact && r.is_open() &&
                                                    r.top.node == node && r.top >= said;
  // Or a store that went back says one version with another meaning: it has to go on from there.
  const bool lost = stands_not || (rule == Rule::conflict && r.top == said);
  // Not known, or (an older copy of the worker's store) known otherwise under this version. Or it
  // was refused as from the future, and what followed it was not.
  const bool untaken = !r.claimed || r.claimed->stamp < said;
  const bool need_info =
      e.info_hash && (untaken || (r.claimed->stamp == said &&
                                  (r.info_missing() || r.claimed->hash != *e.info_hash)));
  const bool end_lost = lost && !leaves_open(e.kind);  // no fields mend that
  if (need_info && own_top_stands && !end_lost) {
    ack.exceptions.push_back({seq, e.agent, ExceptionKind::need_info, {}});
  } else if (lost && !accepted(rule)) {
    // Only another worker's claim can be a contest.
    if (r.top.node == node || may_tell(node, e.agent, now))
      ack.exceptions.push_back({seq, e.agent, ExceptionKind::superseded, winner_of(r)});
  } else if (need_info) {
    ack.exceptions.push_back({seq, e.agent, ExceptionKind::need_info, {}});
  }
}

// What the decisions mean for this worker, for those that had the agents, and for doubt.
void MasterCore::answer(const Decided& d, const std::vector<Outcome>& outcomes,
                        const std::vector<std::uint64_t>& seqs, const Now& now, Ack& ack,
                        Output& out) {
  for (std::size_t i = 0; i < d.events.size(); ++i) {
    const Event& e = d.events[i];
    const Rule rule = d.rules[i];
    const AgentRecord* r = outcomes[i].record;
    if (rule == Rule::conflict) {
      note(out, NoteLevel::warning, "one version with two meanings; the first stands",
           {{"agent", id_text(e.agent)},
            {"version", to_string(Version{e.epoch, d.node, e.change})},
            {"event", std::string(to_string(e.kind))}});
    }
    add_exception(seqs[i], d.node, e, rule, r, now, ack);
    if (!r) continue;
    if (accepted(rule) && !outcomes[i].other_owner.empty()) {
      owner_changed(e.agent, outcomes[i].other_owner, now, out);
      // Whoever held it hears that its session does not stand any more.
      tell_superseded(outcomes[i].other_owner, e.agent, now);
    }
    if (e.info) remember_ip(e.agent, *r);
    check_doubt(e.agent, *r);
  }
}

// For people.
void MasterCore::remember(Decided& d, const std::vector<Outcome>& outcomes,
                          const std::vector<std::uint64_t>& seqs) {
  std::map<Rule, std::uint64_t> counts;
  for (Rule rule : d.rules) ++counts[rule];
  auto& of_node = counters_.nodes[d.node];
  for (const auto& [rule, n] : counts) {
    counters_.by_rule[std::string(to_string(rule))] += n;
    of_node.rules[rule] += n;
  }
  for (std::size_t i = 0; i < d.events.size(); ++i) {
    Decision& seen = decisions_.emplace_back();
    seen.number = ++decision_number_;
    seen.at = d.at;
    seen.node = d.node;
    seen.seq = seqs[i];
    seen.cause = d.cause;
    seen.rule = d.rules[i];
    if (const AgentRecord* r = outcomes[i].record) {
      seen.top = r->top;
      seen.top_phase = r->phase;
    }
    seen.event = std::move(d.events[i]);
    seen.event.info.reset();  // nobody asks for it here, and it may be large
    if (decisions_.size() > config_.keep_decisions) decisions_.pop_front();
  }
}

// An ACK carries at most kMaxEntries exceptions: one that has more is said in parts, each up to its
// last exception.
void MasterCore::acknowledge(ConnId id, Ack ack) {
  auto exceptions = parts(std::exchange(ack.exceptions, {}));
  for (std::size_t i = 0; i + 1 < exceptions.size(); ++i) {
    const std::uint64_t through = exceptions[i].back().seq;
    say(id, Ack{through, std::move(exceptions[i])});
  }
  if (!exceptions.empty()) ack.exceptions = std::move(exceptions.back());
  say(id, std::move(ack));
}

void MasterCore::tell_superseded(const NodeName& node, AgentId agent, const Now& now) {
  const auto log = state_.nodes().find(node);
  const AgentRecord* r = state_.find(agent);
  if (log == state_.nodes().end() || !r || conn_of(node) == ConnId{}) return;
  const OpenSessions::Session* own = log->second.open.find(agent);
  if (!own) return;
  const Version said{own->epoch, node, own->change};
  if (r->top.same_session(said) && r->is_open()) return;
  if (r->top < said || !may_tell(node, agent, now)) return;
  superseded_[node].push_back({agent, winner_of(*r)});
}

// Asks again whenever anything is heard of the agent and the doubt remains: the winner may not have
// heard, or its answer did not reach far enough.
void MasterCore::check_doubt(AgentId agent, const AgentRecord& r) {
  const auto upto = r.doubt();
  if (!upto) {
    doubts_.erase(agent);
    return;
  }
  doubts_.insert(agent);
  if (conn_of(r.top.node) != ConnId{})
    challenges_[r.top.node].push_back({agent, r.top.epoch, *upto});
}

Output MasterCore::tick(const Now& now) {
  Output out;
  const bool deaf = congested() || !ready();
  const Unheard unheard = leases_.make_up(state_, lease_times(), deaf, now);
  for (auto& [id, conn] : conns_)
    conn.heard_mono_us = std::min(now.mono_us, unheard.later(conn.heard_mono_us, 0, now));
  std::vector<ConnId> silent;
  for (const auto& [id, conn] : conns_) {
    if (!conn.closing && now.mono_us - conn.heard_mono_us > ttl_of(heartbeat_us(conn)))
      silent.push_back(id);
  }
  for (ConnId id : silent) {
    const Conn& c = conns_.at(id);
    note(out, NoteLevel::warning, "nothing heard for a TTL; closing",
         {{"node", c.node.empty() ? "?" : c.node}, {"peer", c.address}});
    close(id, "nothing heard for a TTL", out);
  }
  drop_stale_inventories(deaf || unheard.halted, now, out);
  tick_leases(now, out);
  forget_removed(now, out);
  tell_later(now);
  return finish(now, std::move(out));
}

MasterCore::NodeStatus MasterCore::node_status(const NodeName& node, const Now& now) const {
  NodeStatus s;
  if (const auto it = state_.nodes().find(node); it != state_.nodes().end()) {
    s.lease = it->second.lease;
    s.away = it->second.away;
    s.offers_over = it->second.offers.over;
    s.offered = it->second.offers.all;
  }
  s.lease_left_us = leases_.left_us(state_, node, now);
  s.frozen_until = state_.frozen_until(node);
  if (const auto agreed = agreed_mono_us_.find(node); agreed != agreed_mono_us_.end())
    s.agreed_ago_us = now.mono_us - agreed->second;
  const ConnId id = conn_of(node);
  if (id == ConnId{}) return s;
  const Conn& c = conns_.at(id);
  s.connected = true;
  s.address = c.address;
  s.software = c.software;
  s.connected_for_us = now.mono_us - c.since_mono_us;
  s.silent_for_us = now.mono_us - c.heard_mono_us;
  s.open_sessions_reported = c.open_sessions;
  s.blind = c.blind;
  s.agreement = c.reconciling.agreement;
  return s;
}

void MasterCore::note(Output& out, NoteLevel level, std::string text,
                      std::vector<std::pair<std::string, std::string>> fields) {
  out.notes.push_back({level, std::move(text), std::move(fields)});
}

}  // namespace rollcall::master
