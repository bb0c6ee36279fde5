#include "master/core/state.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "protocol/codec.h"
#include "protocol/wire.h"

namespace rollcall::master {

using wire::Document;
using wire::Packer;
using wire::Value;

namespace {
bool is_removed(const AgentRecord& record) {
  return record.reason == Reason::removed && !record.is_open();
}
}  // namespace

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
  }
  return "?";
}

AgentStatus status_of(const AgentRecord& record, LeaseStatus lease) {
  if (!record.is_open() || lease == LeaseStatus::expired) return AgentStatus::disconnected;
  return lease == LeaseStatus::valid ? AgentStatus::active : AgentStatus::unreachable;
}

LeaseStatus State::lease_of(const NodeName& node) const {
  const auto it = nodes_.find(node);
  return it == nodes_.end() ? LeaseStatus::lapsed : it->second.lease.status;
}

AgentStatus State::status_of(const AgentRecord& record) const {
  return master::status_of(record, lease_of(record.top.node));
}

Reason State::reason_of(const AgentRecord& record) const {
  if (!record.is_open()) return record.reason;
  return lease_of(record.top.node) == LeaseStatus::expired ? Reason::lease_expired : Reason::none;
}

std::optional<MasterTime> State::frozen_until(const NodeName& node) const {
  std::optional<MasterTime> until;
  for (const NodeName& name : {NodeName(), node}) {
    if (const auto it = frozen_.find(name); it != frozen_.end())
      until = std::max(until.value_or(it->second), it->second);
  }
  return until;
}

State::Counts State::counts() const {
  Counts c;
  for (const auto& [name, node] : nodes_) {
    if (node.lease.status == LeaseStatus::valid) {
      c.active += node.on_top;
    } else if (node.lease.status != LeaseStatus::expired) {
      c.unreachable += node.on_top;
    }
  }
  c.disconnected = agents_.size() - c.active - c.unreachable;
  return c;
}

std::expected<void, Error> State::apply(LogRecord& record, std::vector<Outcome>* outcomes) {
  if (auto* r = std::get_if<Decided>(&record)) return decide(*r, outcomes);
  std::visit(
      [this](const auto& r) {
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
          fold(r);
        }
      },
      record);
  return {};
}

void State::fold(const NodeWelcomed& r) {
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
}

void State::fold(const LeaseChanged& r) {
  if (const auto it = nodes_.find(r.node); it != nodes_.end())
    it->second.lease = {r.status, r.cause, r.at};
}

void State::fold(const ExpiryFrozen& r) {
  if (r.until > r.at) {
    frozen_[r.node] = r.until;
  } else {
    frozen_.erase(r.node);
  }
}

void State::fold(const NodeForgotten& r) {
  const auto it = nodes_.find(r.node);
  if (it == nodes_.end()) return;
  forgotten_[r.node] = {it->second.store, it->second.stream, it->second.position, r.at};
  nodes_.erase(it);
  frozen_.erase(r.node);
}

void State::fold(const AgentsForgotten& r) {
  for (const AgentId agent : r.agents) {
    // Only what is closed is ever forgotten; a log that says otherwise must not spoil the counts.
    const AgentRecord* record = agents_.find(agent);
    if (!record || record->is_open()) continue;
    agents_.erase(agent);
    removed_.erase(agent);
  }
}

std::expected<void, Error> State::decide(Decided& r, std::vector<Outcome>* outcomes) {
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
    const Rule rule = record.apply(r.node, e, r.at);
    if (accepted(rule)) {
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
  if (r.cause != Cause::told) return {};
  if (!r.events.empty()) node.last_seq = std::max(node.last_seq, r.first_seq + r.events.size() - 1);
  node.position = std::max(node.position, r.position);
  return {};
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

// ---- snapshots -------------------------------------------------------------------------------
namespace {

// 2: leases, what is frozen, who was forgotten or removed. 1 is read.
constexpr std::uint64_t kSnapshotFormat = 2;

void pack_contact(Packer& p, const AgentRecord::Contact& c) {
  p.array(2).str(c.node).i64(c.hi.us);
}

void pack_stamp(Packer& p, const std::optional<AgentRecord::Info>& i) {
  if (!i) {
    p.nil();
    return;
  }
  p.array(2);
  pack_version(p, i->stamp);
  p.u64(static_cast<std::uint64_t>(i->hash));
}

Error bad(std::string_view what) {
  return Error{"snapshot: " + std::string(what) + " is not as this version writes it"};
}

template <typename T>
bool take(std::optional<T> v, auto& into) {
  if (!v) return false;
  into = static_cast<std::remove_reference_t<decltype(into)>>(*v);
  return true;
}

bool take_version(Value v, Version& into) {
  // An agent of which only contacts are known has no version: packed as epoch 0 and no node.
  const auto node = v.at(1).as_str();
  if (!node || !take(v.at(0).as_u64(), into.epoch) || !take(v.at(2).as_u64(), into.change))
    return false;
  into.node = std::string(*node);
  return true;
}

bool take_lease(Value node, Lease& into) {
  const auto status = node.at(8).as_u64(), cause = node.at(9).as_u64();
  if (!status || *status == 0 || *status > std::to_underlying(kLastLeaseStatus) || !cause ||
      *cause > std::to_underlying(kLastLeaseCause) || !take(node.at(10).as_i64(), into.since.us))
    return false;
  into.status = static_cast<LeaseStatus>(*status);
  into.cause = static_cast<LeaseCause>(*cause);
  return true;
}

bool take_stamp(Value v, std::optional<AgentRecord::Info>& into) {
  if (v.is_nil()) return true;
  into.emplace(AgentRecord::Info{});
  return take_version(v.at(0), into->stamp) && take(v.at(1).as_u64(), into->hash);
}

}  // namespace

std::string State::encode() const {
  std::string out;
  out.reserve(agents_.size() * 160);
  Packer p(out);
  p.array(12).u64(kSnapshotFormat).u64(static_cast<std::uint64_t>(master_));
  p.u64(static_cast<std::uint64_t>(term_)).i64(time_.until.us);
  p.array(static_cast<std::uint32_t>(nodes_.size()));
  for (const auto& [name, n] : nodes_) {
    p.array(11).str(name).str(n.machine).u64(static_cast<std::uint64_t>(n.store));
    p.u64(static_cast<std::uint64_t>(n.stream))
        .u64(n.last_seq)
        .u64(n.position)
        .i64(n.welcomed_at.us);
    p.array(static_cast<std::uint32_t>(n.open.size()));
    for (const auto& [agent, o] : n.open.table()) {
      p.array(3)
          .u64(static_cast<std::uint64_t>(agent))
          .u64(static_cast<std::uint64_t>(o.epoch))
          .u64(o.change);
    }
    p.u64(std::to_underlying(n.lease.status)).u64(std::to_underlying(n.lease.cause));
    p.i64(n.lease.since.us);
  }
  p.array(static_cast<std::uint32_t>(agents_.size()));
  for (const auto& [id, a] : agents_) {
    p.array(11).u64(static_cast<std::uint64_t>(id));
    pack_version(p, a.top);
    p.u64(static_cast<std::uint64_t>(a.phase)).u64(static_cast<std::uint64_t>(a.reason));
    p.i64(a.lo.us).i64(a.hi.us);
    pack_contact(p, a.contacts[0]);
    pack_contact(p, a.contacts[1]);
    pack_stamp(p, a.claimed);
    pack_stamp(p, a.known);
    if (a.info) {
      pack_info(p, *a.info);
    } else {
      p.nil();
    }
  }
  p.i64(time_.began.us).u64(time_.boot).i64(time_.offset_us);
  p.array(static_cast<std::uint32_t>(frozen_.size()));
  for (const auto& [name, until] : frozen_) p.array(2).str(name).i64(until.us);
  p.array(static_cast<std::uint32_t>(forgotten_.size()));
  for (const auto& [name, n] : forgotten_) {
    p.array(5).str(name).u64(std::to_underlying(n.store)).u64(std::to_underlying(n.stream));
    p.u64(n.position).i64(n.at.us);
  }
  p.array(static_cast<std::uint32_t>(removed_.size()));
  for (const auto& [agent, at] : removed_) p.array(2).u64(std::to_underlying(agent)).i64(at.us);
  return out;
}

// In the order of what they stand on: on_top is counted when the agents are read.
std::expected<void, Error> State::decode_nodes(Value nodes) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Value n = nodes.at(i);
    const auto name = n.at(0).as_str();
    const auto machine = n.at(1).as_str();
    NodeLog log;
    if (!name || !machine || !take(n.at(2).as_u64(), log.store) ||
        !take(n.at(3).as_u64(), log.stream) || !take(n.at(4).as_u64(), log.last_seq) ||
        !take(n.at(5).as_u64(), log.position) || !take(n.at(6).as_i64(), log.welcomed_at.us) ||
        !n.at(7).is_array())
      return std::unexpected(bad("a node"));
    log.machine = std::string(*machine);
    const Value own = n.at(7);
    for (std::size_t j = 0; j < own.size(); ++j) {
      AgentId agent{};
      OpenSessions::Session o;
      if (!take(own.at(j).at(0).as_u64(), agent) || !take(own.at(j).at(1).as_u64(), o.epoch) ||
          !take(own.at(j).at(2).as_u64(), o.change))
        return std::unexpected(bad("a node's session"));
      log.open.set(agent, o);
    }
    log.lease.since = log.welcomed_at;  // in format 1 all leases run
    if (n.size() > 8 && !take_lease(n, log.lease)) return std::unexpected(bad("a node's lease"));
    nodes_.emplace(std::string(*name), std::move(log));
  }
  return {};
}

std::expected<void, Error> State::decode_agents(Value agents) {
  for (std::size_t i = 0; i < agents.size(); ++i) {
    const Value x = agents.at(i);
    AgentId id{};
    AgentRecord a;
    bool ok = take(x.at(0).as_u64(), id) && take_version(x.at(1), a.top) &&
              take(x.at(2).as_u64(), a.phase) && take(x.at(3).as_u64(), a.reason) &&
              take(x.at(4).as_i64(), a.lo.us) && take(x.at(5).as_i64(), a.hi.us) &&
              take_stamp(x.at(8), a.claimed) && take_stamp(x.at(9), a.known);
    for (std::size_t c = 0; ok && c < 2; ++c) {
      const auto node = x.at(6 + c).at(0).as_str();
      ok = node && take(x.at(6 + c).at(1).as_i64(), a.contacts[c].hi.us);
      if (ok) a.contacts[c].node = std::string(*node);
    }
    if (!ok || agents_.contains(id)) return std::unexpected(bad("an agent"));
    if (!x.at(10).is_nil()) {
      auto info = unpack_info(x.at(10));
      if (!info) return std::unexpected(info.error());
      a.info = std::make_shared<const AgentInfo>(std::move(*info));
    }
    active_ += a.is_open() ? 1 : 0;
    if (const auto node = nodes_.find(a.top.node); a.is_open() && node != nodes_.end())
      ++node->second.on_top;
    agents_.edit(id) = std::move(a);
  }
  return {};
}

std::expected<void, Error> State::decode_beside(Value v) {
  const Value frozen = v.at(9), forgotten = v.at(10), removed = v.at(11);
  if (!frozen.is_array() || !forgotten.is_array() || !removed.is_array())
    return std::unexpected(bad("what stands beside its agents"));
  for (std::size_t i = 0; i < frozen.size(); ++i) {
    const auto name = frozen.at(i).at(0).as_str();
    if (!name || !take(frozen.at(i).at(1).as_i64(), frozen_[std::string(*name)].us))
      return std::unexpected(bad("what is frozen"));
  }
  for (std::size_t i = 0; i < forgotten.size(); ++i) {
    const Value f = forgotten.at(i);
    const auto name = f.at(0).as_str();
    ForgottenNode n;
    if (!name || !take(f.at(1).as_u64(), n.store) || !take(f.at(2).as_u64(), n.stream) ||
        !take(f.at(3).as_u64(), n.position) || !take(f.at(4).as_i64(), n.at.us))
      return std::unexpected(bad("a forgotten node"));
    forgotten_.emplace(std::string(*name), n);
  }
  for (std::size_t i = 0; i < removed.size(); ++i) {
    AgentId agent{};
    MasterTime at;
    if (!take(removed.at(i).at(0).as_u64(), agent) || !take(removed.at(i).at(1).as_i64(), at.us))
      return std::unexpected(bad("a removed agent"));
    removed_.emplace(agent, at);
  }
  return {};
}

std::expected<State, Error> State::decode(std::string_view bytes) {
  wire::Limits limits;
  limits.max_depth = 10;
  limits.max_array = 1u << 28;  // a file of our own, under a checksum
  auto doc = Document::parse(bytes, limits);
  if (!doc) return std::unexpected(doc.error());
  const Value v = doc->root();
  const auto format = v.at(0).as_u64();
  if (!format) return std::unexpected(bad("its format"));
  if (*format > kSnapshotFormat) {
    return std::unexpected(
        Error{"snapshot: format " + std::to_string(*format) +
              " was written by a newer version of rollcall-master; run that one"});
  }
  State s;
  if (!take(v.at(1).as_u64(), s.master_) || !take(v.at(2).as_u64(), s.term_) ||
      !take(v.at(3).as_i64(), s.time_.until.us) || !v.at(4).is_array() || !v.at(5).is_array() ||
      !take(v.at(6).as_i64(), s.time_.began.us) || !take(v.at(7).as_u64(), s.time_.boot) ||
      !take(v.at(8).as_i64(), s.time_.offset_us))
    return std::unexpected(bad("its head"));
  if (auto ok = s.decode_nodes(v.at(4)); !ok) return std::unexpected(ok.error());
  if (auto ok = s.decode_agents(v.at(5)); !ok) return std::unexpected(ok.error());
  if (*format > 1) {
    if (auto ok = s.decode_beside(v); !ok) return std::unexpected(ok.error());
  }
  return s;
}

}  // namespace rollcall::master
