#include "master/core/state.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace rollcall::master {

bool is_removed(const AgentRecord& record) {
  return record.reason == Reason::removed && !record.is_open();
}

const AgentRecord* State::find(AgentId agent) const {
  return agents_.find(agent);
}

std::string_view to_string(AgentStatus status) {
  switch (status) {
    case AgentStatus::active:
      return "active";
    case AgentStatus::unreachable:
      return "unreachable";
    case AgentStatus::disconnected:
      return "disconnected";
    case AgentStatus::migrating:
      return "migrating";
  }
  return "?";
}

void Offers::add(MasterTime at) {
  ++until[at];
  ++all;
}

void Offers::take_away(MasterTime at) {
  const auto it = until.find(at);
  if (it == until.end()) return;
  if (--it->second == 0) until.erase(it);
  --all;
}

std::size_t Offers::given_up() const {
  std::size_t n = 0;
  for (auto it = until.begin(); it != until.end() && it->first <= over; ++it) n += it->second;
  return n;
}

// An offer counts whatever became of its worker, until its grace is over.
AgentStatus status_of(const AgentRecord& record, const NodeStanding& node) {
  if (!record.is_open()) return AgentStatus::disconnected;
  if (record.is_offered()) {
    return record.offered_until <= node.offers_over ? AgentStatus::disconnected
                                                    : AgentStatus::migrating;
  }
  if (node.lease == LeaseStatus::expired) return AgentStatus::disconnected;
  return node.lease == LeaseStatus::valid ? AgentStatus::active : AgentStatus::unreachable;
}

Reason reason_of(const AgentRecord& record, const NodeStanding& node) {
  if (!record.has_session()) return Reason::none;
  if (!record.is_open()) return record.reason;
  if (status_of(record, node) != AgentStatus::disconnected) return Reason::none;
  return record.is_offered() ? Reason::handoff_expired : Reason::lease_expired;
}

LeaseStatus State::lease_of(const NodeName& node) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? LeaseStatus::lapsed : it->second.lease.status;
}

NodeStanding State::standing_of(const NodeLog& node) {
  return {node.lease.status, node.offers.over};
}

NodeStanding State::standing_of(const NodeName& node) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? NodeStanding{} : standing_of(it->second);
}

AgentStatus State::status_of(const AgentRecord& record) const {
  return master::status_of(record, standing_of(record.top.node));
}

Reason State::reason_of(const AgentRecord& record) const {
  return master::reason_of(record, standing_of(record.top.node));
}

std::optional<MasterTime> State::frozen_until(const NodeName& node) const {
  std::optional<MasterTime> until;
  for (const NodeName& name : {NodeName(), node}) {
    if (const auto it = frozen_.find(name); it != frozen_.end())
      until = std::max(until.value_or(it->second), it->second);
  }
  return until;
}

State::Counts State::counts_of(const NodeLog& node) {
  Counts c;
  const std::size_t not_offered = node.on_top - node.offers.all;
  c.migrating = node.offers.all - node.offers.given_up();
  if (node.lease.status == LeaseStatus::valid) {
    c.active = not_offered;
  } else if (node.lease.status != LeaseStatus::expired) {
    c.unreachable = not_offered;
  }
  c.disconnected = node.on_top - c.migrating - c.active - c.unreachable;
  return c;
}

State::Counts State::counts() const {
  Counts c;
  for (const auto& [name, node] : nodes_) {
    const Counts its = counts_of(node);
    c.migrating += its.migrating;
    c.active += its.active;
    c.unreachable += its.unreachable;
  }
  c.disconnected = agents_.size() - c.active - c.unreachable - c.migrating;
  return c;
}

std::expected<void, Error> State::apply(LogRecord& record, std::vector<Outcome>* outcomes,
                                        Feed* told) {
  if (auto* r = std::get_if<Decided>(&record)) return decide(*r, outcomes, told);
  std::visit(
      [this, told](const auto& r) {
        using T = std::decay_t<decltype(r)>;
        if constexpr (std::is_same_v<T, Genesis>) {
          master_ = r.master;
        } else if constexpr (std::is_same_v<T, TermBegun>) {
          term_ = r.term;
        } else if constexpr (std::is_same_v<T, TimeReserved>) {
          const MasterTime until = std::max(time_.until, r.until);
          time_ = r;
          time_.until = until;
        } else if constexpr (!std::is_same_v<T, Decided>) {
          fold(r, told);
        }
      },
      record);
  return {};
}

void State::fold(const NodeWelcomed& r, Feed* told) {
  const bool was_forgotten = forgotten_.contains(r.node);
  const auto [it, is_new] = nodes_.try_emplace(r.node);
  NodeLog& node = it->second;
  if (is_new) {
    node.lease.since = r.at;
    if (const auto was = forgotten_.find(r.node); was != forgotten_.end()) {
      node.store = was->second.store;
      node.position = was->second.position;
      forgotten_.erase(was);
    }
  }
  node.machine = r.machine;
  node.welcomed_at = r.at;
  node.away.reset();
  if (node.store != r.store) {
    node.store = r.store;
    node.position = 0;
  }
  node.position = std::max(node.position, r.position);
  if (node.stream != r.stream) {
    // Another stream counts anew, and may begin anywhere.
    node.stream = r.stream;
    node.last_seq = r.first_seq - 1;
  } else {
    node.last_seq = std::max(node.last_seq, r.first_seq - 1);
  }
  if (!was_forgotten) return;
  // What was left open in spite of it is there again.
  for (const auto& [agent, record] : agents_) {
    if (!record.is_open() || record.top.node != r.node) continue;
    ++node.on_top;
    if (record.is_offered()) node.offers.add(record.offered_until);
  }
  standing_became(r.node, {}, LeaseCause::none, r.at, told);
}

void State::fold(const LeaseChanged& r, Feed* told) {
  const auto it = nodes_.find(r.node);
  if (it == nodes_.end()) return;
  NodeLog& node = it->second;
  const NodeStanding before = standing_of(node);
  node.lease = {r.status, r.cause, r.at};
  node.away.reset();
  if (r.status == LeaseStatus::expired) migrations_.lease_gone(r.node, r.at);
  // It can say itself what became of its offers.
  if (r.status == LeaseStatus::valid) node.offers.over = {};
  standing_became(r.node, before, r.cause, r.at, told);
}

void State::fold(const OffersExpired& r, Feed* told) {
  const auto it = nodes_.find(r.node);
  if (it == nodes_.end()) return;
  const NodeStanding before = standing_of(it->second);
  it->second.offers.over = std::max(it->second.offers.over, r.upto);
  standing_became(r.node, before, LeaseCause::none, r.at, told);
}

void State::fold(const MigrationsKept& r, Feed*) {
  migrations_.keep(r.most);
}

void State::fold(const NodeLeft& r, Feed*) {
  if (const auto it = nodes_.find(r.node); it != nodes_.end())
    it->second.away = Away{r.reason, r.until};
}

void State::standing_became(const NodeName& node, const NodeStanding& before, LeaseCause cause,
                            MasterTime at, Feed* told) {
  const NodeStanding after = standing_of(node);
  for (const AgentId agent : agents_on(node)) {
    AgentRecord& record = agents_.edit(agent);
    feed_.changed({agent,
                   at,
                   {node, record.top.epoch, master::status_of(record, before)},
                   {node, record.top.epoch, master::status_of(record, after)},
                   master::reason_of(record, after),
                   cause},
                  record.told, told);
  }
}

// Those whose open session is its, in the order of their ids. Its own stream says which they can
// be; if that is not all of them, a worker has given a version twice, and all agents are looked at.
std::vector<AgentId> State::agents_on(const NodeName& node) const {
  std::vector<AgentId> on;
  const auto is_on = [&](const AgentRecord* r) { return r && r->is_open() && r->top.node == node; };
  const auto its = nodes_.find(node);
  if (its != nodes_.end()) {
    if (its->second.on_top == 0) return on;
    on.reserve(its->second.on_top);
    for (const auto& [agent, session] : its->second.open.table()) {
      if (is_on(agents_.find(agent))) on.push_back(agent);
    }
    if (on.size() == its->second.on_top) return on;
    on.clear();
  }
  for (const auto& [agent, record] : agents_) {
    if (is_on(&record)) on.push_back(agent);
  }
  return on;
}

void State::fold(const ExpiryFrozen& r, Feed*) {
  if (r.until > r.at) {
    frozen_[r.node] = r.until;
  } else {
    frozen_.erase(r.node);
  }
}

void State::fold(const NodeForgotten& r, Feed* told) {
  const auto it = nodes_.find(r.node);
  if (it == nodes_.end()) return;
  forgotten_[r.node] = {it->second.store, it->second.stream, it->second.position, r.at};
  const NodeStanding before = standing_of(it->second);
  const bool left_some = it->second.on_top > 0;
  nodes_.erase(it);
  frozen_.erase(r.node);
  if (left_some) standing_became(r.node, before, LeaseCause::none, r.at, told);
}

void State::fold(const AgentsForgotten& r, Feed*) {
  for (const AgentId agent : r.agents) {
    // Only what is closed is ever forgotten; a log that says otherwise must not spoil the counts.
    const AgentRecord* record = agents_.find(agent);
    if (!record || record->is_open()) continue;
    agents_.erase(agent);
    removed_.erase(agent);
    feed_.forget(agent);
  }
}

std::expected<void, Error> State::decide(Decided& r, std::vector<Outcome>* outcomes, Feed* told) {
  const bool replay = !r.rules.empty() || r.events.empty();
  NodeLog& node = nodes_[r.node];
  // Looked up once for each event; the table's nodes stay where they are.
  std::vector<AgentRecord*> records;
  records.reserve(r.events.size());
  if (outcomes) outcomes->reserve(r.events.size());
  for (const Event& e : r.events) records.push_back(&agents_.edit(e.agent));
  bool future = false;
  if (!replay) r.rules.reserve(r.events.size());
  for (std::size_t i = 0; i < r.events.size(); ++i) {
    const Event& e = r.events[i];
    AgentRecord& record = *records[i];
    if (outcomes) {
      Outcome& o = outcomes->emplace_back();
      o.met = {record.top, record.phase};
      o.record = &record;
      if (record.has_session() && record.top.node != r.node) o.other_owner = record.top.node;
    }
    const bool was_open = record.is_open(), was_removed = is_removed(record);
    NodeLog* const had = was_open ? node_of(record, r.node, node) : nullptr;
    const NodeStanding had_standing = had ? standing_of(*had) : NodeStanding{};
    const Standing stood{record.top.node, record.top.epoch,
                         master::status_of(record, had_standing)};
    const MasterTime had_offer = record.is_offered() ? record.offered_until : MasterTime{};
    std::optional<Migrations::Before> before;
    if (record.has_session() && record.top.node != r.node)
      before = {{record.top.epoch, record.top.node},
                record.phase,
                record.hi,
                had && had->lease.status == LeaseStatus::expired};
    else if (!record.has_session() && e.kind == EventKind::opened && e.from &&
             e.from->node != r.node)
      before = {{*e.from, Phase::open, MasterTime{}, false}};  // a log that was lost had it
    const Rule rule = record.apply(r.node, e, r.at);
    migrations_.decided(r.node, e, rule, before, record.is_offered(), r.at);
    const MasterTime has_offer = record.is_offered() ? record.offered_until : MasterTime{};
    // One that is there now is of this node, or as it was.
    if (had_offer != has_offer || (accepted(rule) && had != &node)) {
      if (had && had_offer.us != 0) had->offers.take_away(had_offer);
      if (has_offer.us != 0) node.offers.add(has_offer);
    }
    if (had_offer != has_offer && !accepted(rule))
      tell_feed(e.agent, stood, record, standing_of(node), r.at, told);
    if (accepted(rule)) {
      tell_feed(e.agent, stood, record, standing_of(node), r.at, told);
      active_ = active_ - (was_open ? 1 : 0) + (record.is_open() ? 1 : 0);
      if (had && had->on_top > 0) --had->on_top;
      if (record.is_open()) ++node.on_top;
      if (was_removed || is_removed(record)) note_removed(e.agent, record, r.at);
    }
    if (!replay) {
      r.rules.push_back(rule);
    } else if (r.rules[i] != rule) {
      return disagree(e, r.node, r.rules[i], rule);
    }
    future = future || rule == Rule::future_epoch;
    if (rule != Rule::future_epoch) node.open.take(e.agent, e.kind, e.epoch, e.change);
  }
  if (future) forget_unknown(r, outcomes);
  feed_.tidy(r.at, 2 * r.events.size());
  if (r.cause != Cause::told) return {};
  if (!r.events.empty()) node.last_seq = std::max(node.last_seq, r.first_seq + r.events.size() - 1);
  node.position = std::max(node.position, r.position);
  return {};
}

void State::tell_feed(AgentId agent, const Standing& stood, AgentRecord& record,
                      const NodeStanding& node, MasterTime at, Feed* told) {
  const AgentStatus status = master::status_of(record, node);
  const bool moved = !stood.node.empty() && stood.node != record.top.node;
  if (!moved && stood.status == status) return;
  const FeedChange change{agent,
                          at,
                          stood,
                          {record.top.node, record.top.epoch, status},
                          master::reason_of(record, node)};
  feed_.changed(change, record.told, told);
  if (moved) feed_.moved(change, record.told, told);
}

// Where the agent's open session is counted.
NodeLog* State::node_of(const AgentRecord& record, const NodeName& usual, NodeLog& its) {
  if (record.top.node == usual) return &its;
  const auto it = nodes_.find(record.top.node);
  return it == nodes_.end() ? nullptr : &it->second;
}

void State::note_removed(AgentId agent, const AgentRecord& record, MasterTime at) {
  if (is_removed(record)) {
    removed_.try_emplace(agent, at);
  } else {
    removed_.erase(agent);
  }
}

std::expected<void, Error> State::disagree(const Event& e, const NodeName& node, Rule logged,
                                           Rule decided) {
  return std::unexpected(Error{"the log says that agent " +
                               std::to_string(static_cast<std::uint32_t>(e.agent)) + " at " +
                               to_string(Version{e.epoch, node, e.change}) + " was decided as " +
                               std::string(to_string(logged)) + ", this program decides " +
                               std::string(to_string(decided))});
}

// Agents of which all that came was from the future: nothing is known of them.
void State::forget_unknown(const Decided& r, std::vector<Outcome>* outcomes) {
  std::unordered_set<AgentId> unknown;
  for (std::size_t i = 0; i < r.events.size(); ++i) {
    const AgentId agent = r.events[i].agent;
    if (r.rules[i] != Rule::future_epoch || !(agents_.at(agent) == AgentRecord{})) continue;
    unknown.insert(agent);
  }
  for (std::size_t i = 0; outcomes && i < r.events.size(); ++i) {
    if (unknown.contains(r.events[i].agent)) (*outcomes)[i].record = nullptr;
  }
  for (const AgentId agent : unknown) agents_.erase(agent);
}

}  // namespace rollcall::master
