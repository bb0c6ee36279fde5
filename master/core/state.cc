#include "master/core/state.h"

#include <algorithm>
#include <unordered_set>

#include "protocol/codec.h"
#include "protocol/wire.h"

namespace rollcall::master {

using wire::Document;
using wire::Packer;
using wire::Value;

const AgentRecord* State::find(AgentId agent) const {
  return agents_.find(agent);
}

std::expected<void, Error> State::apply(LogRecord& record, std::vector<Outcome>* outcomes) {
  if (auto* r = std::get_if<Decided>(&record)) return decide(*r, outcomes);
  if (const auto* r = std::get_if<Genesis>(&record)) {
    master_ = r->master;
  } else if (const auto* t = std::get_if<TermBegun>(&record)) {
    term_ = t->term;
  } else if (const auto* u = std::get_if<TimeReserved>(&record)) {
    const MasterTime until = std::max(time_.until, u->until);
    time_ = *u;
    time_.until = until;
  } else if (const auto* w = std::get_if<NodeWelcomed>(&record)) {
    NodeLog& node = nodes_[w->node];
    node.machine = w->machine;
    node.welcomed_at = w->at;
    if (node.store != w->store) {
      node.store = w->store;
      node.position = 0;
    }
    node.position = std::max(node.position, w->position);
    if (node.stream != w->stream) {
      // Another stream counts anew, and may begin anywhere.
      node.stream = w->stream;
      node.last_seq = w->first_seq - 1;
    } else {
      node.last_seq = std::max(node.last_seq, w->first_seq - 1);
    }
  }
  return {};
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
    const bool was_open = record.is_open();
    const Rule rule = record.apply(r.node, e, r.at);
    active_ = active_ - (was_open ? 1 : 0) + (record.is_open() ? 1 : 0);
    if (!replay) {
      r.rules.push_back(rule);
    } else if (r.rules[i] != rule) {
      return std::unexpected(Error{"the log says that agent " +
                                   std::to_string(static_cast<std::uint32_t>(e.agent)) + " at " +
                                   to_string(Version{e.epoch, r.node, e.change}) +
                                   " was decided as " + std::string(to_string(r.rules[i])) +
                                   ", this program decides " + std::string(to_string(rule))});
    }
    future = future || rule == Rule::future_epoch;
    if (rule != Rule::future_epoch) node.open.take(e.agent, e.kind, e.epoch, e.change);
  }
  if (future) forget_unknown(r, outcomes);
  if (!r.events.empty()) node.last_seq = std::max(node.last_seq, r.first_seq + r.events.size() - 1);
  node.position = std::max(node.position, r.position);
  return {};
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

constexpr std::uint64_t kSnapshotFormat = 1;

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
  p.array(9).u64(kSnapshotFormat).u64(static_cast<std::uint64_t>(master_));
  p.u64(static_cast<std::uint64_t>(term_)).i64(time_.until.us);
  p.array(static_cast<std::uint32_t>(nodes_.size()));
  for (const auto& [name, n] : nodes_) {
    p.array(8).str(name).str(n.machine).u64(static_cast<std::uint64_t>(n.store));
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
  return out;
}

std::expected<State, Error> State::decode(std::string_view bytes) {
  wire::Limits limits;
  limits.max_depth = 10;
  limits.max_array = 1u << 28;  // a file of our own, under a checksum
  auto doc = Document::parse(bytes, limits);
  if (!doc) return std::unexpected(doc.error());
  const Value v = doc->root();
  const auto format = v.at(0).as_u64();
  if (format && *format > kSnapshotFormat) {
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
  const Value nodes = v.at(4);
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
    s.nodes_.emplace(std::string(*name), std::move(log));
  }
  const Value agents = v.at(5);
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
    if (!ok || s.agents_.contains(id)) return std::unexpected(bad("an agent"));
    if (!x.at(10).is_nil()) {
      auto info = unpack_info(x.at(10));
      if (!info) return std::unexpected(info.error());
      a.info = std::make_shared<const AgentInfo>(std::move(*info));
    }
    s.active_ += a.is_open() ? 1 : 0;
    s.agents_.edit(id) = std::move(a);
  }
  return s;
}

}  // namespace rollcall::master
