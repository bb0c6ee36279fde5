// What must hold: of the master on the way, and of everybody after the quiet time.
#include "tests/simulation/world.h"

namespace rollcall::simulation {
namespace {

// More in one minute is a hot loop. Heartbeats are 12 and their answers as many; the rest is what
// befalls a worker in its worst minute.
constexpr std::uint64_t kMessagesOfWorker = 200, kMessagesOfAgent = 20;

}  // namespace

void Promises::greeted(WorkerNode& w, const Hello& hello) {
  if (w.stream != hello.stream) w.said.clear();
  w.stream = hello.stream;
}

void Promises::sent(WorkerNode& w, const Delta& delta) {
  if (delta.position > w.durable_position)
    world_.broken(w.name + ": an event was sent before it was durable");
  std::uint64_t seq = delta.first_seq;
  for (const Event& e : delta.events) {
    if (e.kind != EventKind::contact) w.said[seq] = {e.agent, {e.epoch, w.name, e.change}};
    ++seq;
  }
}

void Promises::acked(const Connection& c, const Ack& ack) {
  WorkerNode& w = *c.worker;
  const auto& nodes = world_.master->durable.nodes();
  const auto node = nodes.find(c.node);
  if (node == nodes.end() || ack.through > node->second.last_seq)
    world_.broken("an event was acked before it was durable");
  for (const AckException& e : ack.exceptions) {
    if (e.kind == ExceptionKind::future_epoch) w.said.erase(e.seq);
  }
  while (!w.said.empty() && w.said.begin()->first <= ack.through) {
    const WorkerNode::Said& said = w.said.begin()->second;
    Version& acked = known_[said.agent].acked;
    acked = std::max(acked, said.version);
    w.said.erase(w.said.begin());
  }
}

void Promises::decided(const master::Decision& d) {
  Known& known = known_[d.event.agent];
  const std::string agent = "agent " + text_of(d.event.agent);
  if (d.top < known.top)
    world_.broken(agent + ": its version went back from " + to_string(known.top) + " to " +
                  to_string(d.top));
  const bool same = d.top.epoch == known.top.epoch && d.top.node == known.top.node;
  const bool ended = known.phase == Phase::open && d.top_phase != Phase::open;
  if (same && ended && d.node != d.top.node && d.top.change < kFirstMasterChange)
    world_.broken(agent + ": " + d.node + " ended the session of " + d.top.node);
  known.top = d.top;
  known.phase = d.top_phase;
  if (d.event.kind == EventKind::offered && d.rule == Rule::older && d.top.node != d.node)
    ++world_.result().migrations["crossed"];
  if (accepted(d.rule)) known.removed = d.event.kind == EventKind::removed;
  if (accepted(d.rule) && leaves_open(d.event.kind)) {
    const bool offered = d.event.kind == EventKind::offered;
    known.taken_back[d.top.node] = offered ? Version{} : d.top;
    if (!offered) known.offered_until = {};
  }
  repaired(d, known);
}

void Promises::repaired(const master::Decision& d, Known& known) {
  using master::Cause;
  // Refused for the time, of which the worker learns later: until then its inventory has it.
  const bool refused = known.refused_for_time.contains(d.node);
  if (d.rule == Rule::future_epoch)
    known.refused_for_time.insert(d.node);
  else
    known.refused_for_time.erase(d.node);
  if (d.cause == Cause::told || d.cause == Cause::evidence || d.cause == Cause::forgotten) return;
  ++world_.result().repairs;
  const std::string agent = "agent " + text_of(d.event.agent);
  if (!world_.sidecar_lost && !world_.master_lost && !refused)
    world_.broken(agent + ": repaired as " + std::string(to_string(d.cause)) + " at " + d.node +
                  ", but nobody lost anything");
  if (d.cause != Cause::absent || !accepted(d.rule)) return;
  for (const auto& w : world_.workers) {
    if (w->name != d.node || !world_.is_connected(*w)) continue;
    if (holds(*w, d.event))
      world_.broken(agent + ": closed as absent, but " + d.node + " holds the session");
    // A store that is lost is no reason either: its sidecar looks before it says what it has.
    if (!world_.master_lost && world_.is_there_since_before(d.event.agent, *w))
      world_.broken(agent + ": closed as absent, but it is on " + d.node);
  }
}

bool Promises::holds(const WorkerNode& w, const Event& e) {
  const auto& agents = w.driver->core().tracker().agents();
  const auto it = agents.find(e.agent);
  return it != agents.end() && it->second.session && it->second.session->phase == Phase::open &&
         it->second.session->epoch == e.epoch;
}

void Promises::table(const master::State& state) {
  for (const auto& [agent, record] : state.agents()) known_.try_emplace(agent);
  for (auto& [agent, known] : known_) {
    const AgentRecord* record = state.find(agent);
    if (!record && known.removed) known = {};  // its time in the table is over
    const Version top = record ? record->top : Version{};
    if (top < known.acked)
      world_.broken("agent " + text_of(agent) + ": " + to_string(known.acked) +
                    " was acked and is lost, the record has " + to_string(top));
    const bool info = record && record->info;
    if (known.info && !info) world_.broken("agent " + text_of(agent) + ": its info is lost");
    known.info = info;
  }
}

// What the one before decided and had not made durable is forgotten, and nobody was told of it.
void Promises::master_started(const master::State& state) {
  table(state);
  breaches_ = 0;
  for (auto& w : world_.workers) {
    const auto node = state.nodes().find(w->name);
    const bool expired =
        node != state.nodes().end() && node->second.lease.status == master::LeaseStatus::expired;
    w->expired = expired ? 0 : -1;  // that was judged before
    w->away_until = {};
  }
  for (auto& [agent, known] : known_) {
    const AgentRecord* record = state.find(agent);
    known.top = record ? record->top : Version{};
    known.phase = record ? record->phase : Phase::closed;
    known.offered_until = record && record->is_offered() ? record->offered_until : MasterTime{};
    known.offered = known.top;
    last_offer_until_ = std::max(last_offer_until_, known.offered_until);
  }
}

// What workers said remains true, also where a master has forgotten it.
void Promises::master_lost() {
  for (auto& [agent, known] : known_) {
    Known kept;
    kept.taken_back = std::move(known.taken_back);
    known = std::move(kept);
  }
  feed_lost_ = true;
  for (auto& w : world_.workers) w->said.clear();
}

void Promises::message(const WorkerNode& w) {
  auto& [minute, count] = messages_[&w];
  const std::int64_t present = world_.now() / (60 * kSecond);
  if (minute != present) count = 0;
  minute = present;
  ++count;
  world_.result().busiest_minute = std::max(world_.result().busiest_minute, count);
  if (count == kMessagesOfWorker + kMessagesOfAgent * world_.agents())
    world_.broken(w.name + ": a hot loop of messages");
}

void Promises::queues() {
  const std::size_t agents = world_.agents();
  for (const auto& w : world_.workers) {
    if (w->driver && w->driver->core().status(w->clock.now()).unacked > 100 + 100 * agents)
      world_.broken(w->name + ": a queue without end");
  }
  if (world_.master->driver && world_.master->driver->core().in_doubt() > agents)
    world_.broken("more doubts than agents");
}

// A master that was too slow to hear a worker must not take that for the worker's silence.
void Promises::heard(WorkerNode& w, std::int64_t came) {
  w.arrived = std::max(w.arrived, came);
  if (came <= w.expired && w.expired - came < kTtl)
    world_.broken(w.name + ": its lease expired while what it said waited to be read");
}

// Between programs that keep to the protocol, nothing is refused as a breach of it.
void Promises::master_ticked() {
  const master::MasterCore& core = world_.master->driver->core();
  if (core.counters().protocol_errors > breaches_) {
    breaches_ = core.counters().protocol_errors;
    world_.broken("the master refuses what a worker says as a breach of the protocol");
  }
  leases();
  shown();
  away();
  feed();
}

// ---- the feed, as one reads it who follows it from the beginning -------------------------------

namespace {

// That an agent is offered is not told: it is where it was.
master::AgentStatus shown_as(master::AgentStatus status) {
  return status == master::AgentStatus::migrating ? master::AgentStatus::active : status;
}

}  // namespace

void Promises::feed() {
  const master::Feed& feed = world_.master->driver->core().feed();
  if (feed_lost_ || !feed.can_resume(feed_read_)) {
    if (!feed_lost_ && feed_read_ > feed.last()) world_.broken("the feed went back");
    return read_feed_anew();
  }
  for (const master::FeedEntry& e : feed.after(feed_read_, feed.last())) told(e);
}

// What was told before a restart means the same after it.
void Promises::feed_again() {
  const master::Feed& feed = world_.master->driver->core().feed();
  for (const auto& [seq, e] : feed_) {
    if (feed_lost_ || seq < feed.first() || seq > feed.last()) continue;
    if (!(feed.after(seq - 1, 1).at(0) == e))
      world_.broken("number " + std::to_string(seq) + " of the feed got another meaning");
  }
  feed_.clear();
  this->feed();
}

void Promises::told(const master::FeedEntry& e) {
  Told& known = told_[e.agent];
  const std::string what = "number " + std::to_string(e.seq) + " of the feed";
  if (e.seq != ++feed_read_) world_.broken(what + " follows a gap");
  if (e.agent_seq != known.agent_seq + 1) world_.broken(what + " follows a gap of its agent");
  feed_[e.seq] = e;
  known.agent_seq = e.agent_seq;
  if (e.kind == master::FeedKind::contested) return;
  const bool same =
      shown_as(e.from.status) == shown_as(known.standing.status) &&
      (e.from.status == master::AgentStatus::disconnected || e.from.node == known.standing.node);
  if (!same) world_.broken(what + " does not follow from what was told of its agent");
  known.standing = e.to;
}

// As after an answer of 410: the table, and from there on what follows.
void Promises::read_feed_anew() {
  const master::MasterCore& core = world_.master->driver->core();
  if (core.feed().last() != core.state().feed().last()) return;  // something is not durable yet
  feed_lost_ = false;
  feed_.clear();
  told_.clear();
  for (const auto& [agent, record] : core.state().agents())
    told_[agent] = {record.told,
                    {record.top.node, record.top.epoch, core.state().status_of(record)}};
  feed_read_ = core.feed().last();
}

void Promises::feed_end() {
  feed();
  const master::State& state = world_.master->driver->core().state();
  if (state.feed().last() != world_.master->driver->core().feed().last()) return;
  for (const auto& [agent, record] : state.agents()) {
    if (shown_as(told_[agent].standing.status) != shown_as(state.status_of(record)))
      world_.broken("agent " + text_of(agent) + ": the feed does not end as the table stands");
  }
}

void Promises::leases() {
  for (const auto& [name, node] : world_.master->driver->core().state().nodes()) {
    for (const auto& w : world_.workers) {
      if (w->name != name) continue;
      if (node.lease.status != master::LeaseStatus::expired) {
        w->expired = -1;
      } else if (w->expired < 0 && node.lease.cause == master::LeaseCause::silent) {
        w->expired = world_.now();
        heard(*w, w->arrived);
      }
    }
  }
}

// ---- after the quiet time --------------------------------------------------------------------

// The log's fold is the table: what is durable, and what the running master holds if nothing of it
// waits for the disk.
void World::check_fold() {
  MasterNode& m = *master;
  persist::MemoryEventLog log = m.log;
  log.truncate_tail(m.durable_next);  // a commit may be under way
  const auto fold = app::fold_log(log, log.recover());
  const std::string durable = m.durable.encode();
  if (!fold || fold->encode() != durable) broken("the log's fold is not what is durable");
  if (m.commits == 0 && durable != m.driver->core().state().encode())
    broken("what is durable is not the table");
}

void World::check_agents() {
  for (const Agent& a : agents_) {
    AgentResult r;
    r.agent = static_cast<std::uint32_t>(a.id);
    r.truth = a.place ? a.place->name : "";
    const bool two = a.place && a.clone_place && a.clone_place != a.place;
    r.undecidable = two ? Undecidable::cloned : Undecidable::no;
    r.last_writer = last_writer_[a.id];
    if (master->driver) {
      const master::State& state = master->driver->core().state();
      const AgentRecord* record = state.find(a.id);
      using master::AgentStatus;
      const auto status = record ? state.status_of(*record) : AgentStatus::disconnected;
      // An offer of an agent that stays may be new.
      if (status == AgentStatus::active || status == AgentStatus::migrating)
        r.master = record->top.node;
      if (two && r.master != a.place->name && r.master != a.clone_place->name)
        broken("agent " + text_of(a.id) + ": two share its key, and the master shows neither");
      if (a.place && !two && r.right() &&
          (!record->info || *record->info != a.place->table[a.id].info))
        broken("agent " + text_of(a.id) + ": the master has other info");
    }
    result_.agents.push_back(std::move(r));
  }
}

// Both sides agree on what each stream left open, and every worker counts as there.
void World::check_agreement(WorkerNode& w) {
  const auto& nodes = master->driver->core().state().nodes();
  const auto node = nodes.find(w.name);
  if (node == nodes.end()) return broken(w.name + ": the master does not know it");
  if (node->second.lease.status != master::LeaseStatus::valid)
    broken(w.name + ": its lease is " + std::string(to_string(node->second.lease.status)));
  const bool all_acked = w.driver->core().status(w.clock.now()).unacked == 0;
  if (all_acked && node->second.open != w.driver->core().stream_sessions())
    broken(w.name + ": what its stream left open is not what the master has of it");
  const auto agreement = master->driver->core().node_status(w.name, master->clock.now()).agreement;
  if (agreement != Agreement::equal) broken(w.name + ": the digests are not equal");
}

void World::check_workers() {
  for (const auto& w : workers) {
    if (!w->driver) continue;
    check_agreement(*w);
    const auto& core = w->driver->core();
    if (core.tracker().open_sessions() != core.tracker().count_open())
      broken(w->name + ": open sessions are miscounted");
    if (core.status(w->clock.now()).unacked > 50)
      broken(w->name + ": a backlog after the quiet time");
  }
}

void World::check_end() {
  check_agents();
  if (!master->driver) {
    broken("no master at the end");
    return;
  }
  master->log.sync();
  check_fold();
  promises_.table(master->driver->core().state());
  promises_.feed_end();
  check_workers();
  check_handoffs();
}

}  // namespace rollcall::simulation
