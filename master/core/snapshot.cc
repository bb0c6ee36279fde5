// The state as bytes (docs/store-format.md). Read value by value: a master with a million agents
// starts from half a gigabyte.
#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "master/core/state.h"
#include "protocol/codec.h"
#include "protocol/msgpack_bytes.h"
#include "protocol/plain_delta.h"
#include "protocol/wire.h"

namespace rollcall::master {

using msgpack_bytes::Reader;
using wire::Packer;

namespace {

// 2: leases, what is frozen, who was forgotten or removed. 3: offers, who is away, the feed's
// numbers, migrations. Older ones are read.
constexpr std::uint64_t kSnapshotFormat = 3;

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

}  // namespace

std::string State::encode() const {
  std::string out;
  out.reserve(agents_.size() * 160);
  Packer p(out);
  p.array(14).u64(kSnapshotFormat).u64(static_cast<std::uint64_t>(master_));
  p.u64(static_cast<std::uint64_t>(term_)).i64(time_.until.us);
  p.array(static_cast<std::uint32_t>(nodes_.size()));
  for (const auto& [name, n] : nodes_) {
    p.array(n.away ? 14 : 12).str(name).str(n.machine).u64(static_cast<std::uint64_t>(n.store));
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
    p.i64(n.offers.over.us);
    if (n.away) p.u64(std::to_underlying(n.away->reason)).i64(n.away->until.us);
  }
  p.array(static_cast<std::uint32_t>(agents_.size()));
  for (const auto& [id, a] : agents_) {
    p.array(a.is_offered() ? 12 : 11).u64(static_cast<std::uint64_t>(id));
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
    if (a.is_offered()) p.i64(a.offered_until.us);
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
  write_feed(p);
  migrations_.pack(p);
  return out;
}

// Moves that are too old to count are left out: when they are forgotten is not part of the state.
void State::write_feed(Packer& p) const {
  p.array(4).i64(feed_.began_.us).u64(feed_.last_);
  std::uint32_t told = 0;
  for (const auto& [agent, record] : agents_) told += record.told > 0 ? 1 : 0;
  p.array(told);
  for (const auto& [agent, record] : agents_) {
    if (record.told > 0) p.array(2).u64(std::to_underlying(agent)).u64(record.told);
  }
  std::vector<std::pair<AgentId, Moves::Times>> moves;
  for (const auto& [agent, all] : feed_.moves_.agents()) {
    Moves::Times times = all;
    std::erase_if(times, [&](std::int64_t at) { return at <= time_.until.us - Moves::kKeptUs; });
    if (!times.empty()) moves.emplace_back(agent, std::move(times));
  }
  p.array(static_cast<std::uint32_t>(moves.size()));
  for (const auto& [agent, times] : moves) {
    p.array(2).u64(std::to_underlying(agent)).array(static_cast<std::uint32_t>(times.size()));
    for (const std::int64_t at : times) p.i64(at);
  }
}

namespace {

Error bad_snapshot(std::string_view what) {
  return Error{"snapshot: " + std::string(what) + " is not as this version writes it"};
}

// Each takes the next value, or returns false.

template <typename T>
bool take(Reader& in, T& into) {
  std::uint64_t v = 0;
  if (!in.u64(v)) return false;
  into = static_cast<T>(v);
  return std::uint64_t(into) == v;
}

bool take(Reader& in, MasterTime& into) {
  return in.i64(into.us);
}

bool take(Reader& in, std::string& into) {
  std::string_view v;
  if (!in.str(v)) return false;
  into = v;
  return true;
}

bool take_array(Reader& in, std::uint32_t size) {
  std::uint32_t found = 0;
  return in.array(found) && found == size;
}

// An agent of which only contacts are known has no version: packed as epoch 0 and no node.
bool take(Reader& in, Version& into) {
  return take_array(in, 3) && take(in, into.epoch) && take(in, into.node) && take(in, into.change);
}

bool take(Reader& in, AgentRecord::Contact& into) {
  return take_array(in, 2) && take(in, into.node) && take(in, into.hi);
}

bool take(Reader& in, std::optional<AgentRecord::Info>& into) {
  if (in.nil()) return true;
  into.emplace(AgentRecord::Info{});
  return take_array(in, 2) && take(in, into->stamp) && take(in, into->hash);
}

bool take(Reader& in, AgentId& id, AgentRecord& a) {
  std::uint32_t parts = 0;
  return in.array(parts) && (parts == 11 || parts == 12) && take(in, id) && take(in, a.top) &&
         take(in, a.phase) && take(in, a.reason) && take(in, a.lo) && take(in, a.hi) &&
         take(in, a.contacts[0]) && take(in, a.contacts[1]) && take(in, a.claimed) &&
         take(in, a.known) && (in.nil() || read_plain_info(in, a.info)) &&
         (parts == 11 || (take(in, a.offered_until) && a.is_offered()));
}

bool take(Reader& in, OpenSessions& into) {
  std::uint32_t size = 0;
  if (!in.array(size)) return false;
  for (std::uint32_t i = 0; i < size; ++i) {
    AgentId agent{};
    OpenSessions::Session s;
    if (!take_array(in, 3) || !take(in, agent) || !take(in, s.epoch) || !take(in, s.change))
      return false;
    into.set(agent, s);
  }
  return true;
}

// A number of an enum that begins at `first`.
template <typename E>
bool take_enum(Reader& in, E& into, E first, E last) {
  std::underlying_type_t<E> v = 0;
  if (!take(in, v) || v < std::to_underlying(first) || v > std::to_underlying(last)) return false;
  into = static_cast<E>(v);
  return true;
}

bool take(Reader& in, Lease& into) {
  return take_enum(in, into.status, LeaseStatus::valid, kLastLeaseStatus) &&
         take_enum(in, into.cause, LeaseCause::none, kLastLeaseCause) && take(in, into.since);
}

bool take(Reader& in, Away& into) {
  return take_enum(in, into.reason, ByeReason::shutdown, kLastByeReason) && take(in, into.until);
}

bool take(Reader& in, NodeName& name, NodeLog& n) {
  std::uint32_t parts = 0;
  if (!in.array(parts) || !take(in, name) || !take(in, n.machine) || !take(in, n.store) ||
      !take(in, n.stream) || !take(in, n.last_seq) || !take(in, n.position) ||
      !take(in, n.welcomed_at) || !take(in, n.open))
    return false;
  n.lease.since = n.welcomed_at;  // in format 1 all leases run
  if (parts == 8) return true;
  if (!take(in, n.lease)) return false;
  if (parts == 11) return true;
  if (!take(in, n.offers.over)) return false;
  return parts == 12 || (parts == 14 && take(in, n.away.emplace()));
}

bool take(Reader& in, ForgottenNode& n) {
  return take(in, n.store) && take(in, n.stream) && take(in, n.position) && take(in, n.at);
}

// Calls `one` for each element of the array that comes next, until it is false.
template <typename F>
bool each(Reader& in, F&& one) {
  std::uint32_t size = 0;
  if (!in.array(size)) return false;
  for (std::uint32_t i = 0; i < size; ++i) {
    if (!one()) return false;
  }
  return true;
}

}  // namespace

// In the order of what they stand on: on_top is counted when the agents are read.
bool State::read_nodes(Reader& in) {
  return each(in, [&] {
    NodeName name;
    NodeLog log;
    if (!take(in, name, log)) return false;
    return nodes_.emplace(std::move(name), std::move(log)).second;
  });
}

bool State::read_agents(Reader& in) {
  return each(in, [&] {
    AgentId id{};
    AgentRecord a;
    const std::size_t before = agents_.size();
    if (!take(in, id, a)) return false;
    AgentRecord& record = agents_.edit(id);
    if (agents_.size() == before) return false;
    if (a.is_open()) {
      ++active_;
      if (const auto node = nodes_.find(a.top.node); node != nodes_.end()) {
        ++node->second.on_top;
        if (a.is_offered()) node->second.offers.add(a.offered_until);
      }
    }
    record = std::move(a);
    return true;
  });
}

bool State::read_beside(Reader& in) {
  return each(in,
              [&] {
                NodeName name;
                return take_array(in, 2) && take(in, name) && take(in, frozen_[name]);
              }) &&
         each(in,
              [&] {
                NodeName name;
                return take_array(in, 5) && take(in, name) && take(in, forgotten_[name]);
              }) &&
         each(in, [&] {
           AgentId agent{};
           return take_array(in, 2) && take(in, agent) && take(in, removed_[agent]);
         });
}

bool State::read_feed(Reader& in) {
  return take_array(in, 4) && take(in, feed_.began_) && take(in, feed_.last_) &&
         each(in,
              [&] {
                AgentId agent{};
                if (!take_array(in, 2) || !take(in, agent) || !agents_.contains(agent))
                  return false;
                return take(in, agents_.edit(agent).told);
              }) &&
         each(in, [&] {
           AgentId agent{};
           Moves::Times times;
           const auto one = [&] { return in.i64(times.emplace_back()); };
           if (!take_array(in, 2) || !take(in, agent) || !each(in, one) || times.empty() ||
               times.size() > Moves::kKept)
             return false;
           feed_.moves_.set(agent, std::move(times));
           return true;
         });
}

std::expected<State, Error> State::decode(std::string_view bytes) {
  Reader in(bytes);
  std::uint32_t parts = 0;
  std::uint64_t format = 0;
  if (!in.array(parts) || !take(in, format)) return std::unexpected(bad_snapshot("its format"));
  if (format > kSnapshotFormat) {
    return std::unexpected(
        Error{"snapshot: format " + std::to_string(format) +
              " was written by a newer version of rollcall-master; run that one"});
  }
  State s;
  const std::uint32_t expected_parts = format == 1 ? 9 : format == 2 ? 12 : 14;
  if (parts != expected_parts || !take(in, s.master_) || !take(in, s.term_) ||
      !take(in, s.time_.until))
    return std::unexpected(bad_snapshot("its head"));
  if (!s.read_nodes(in)) return std::unexpected(bad_snapshot("a node"));
  if (!s.read_agents(in)) return std::unexpected(bad_snapshot("an agent"));
  if (!take(in, s.time_.began) || !take(in, s.time_.boot) || !in.i64(s.time_.offset_us) ||
      (format > 1 && !s.read_beside(in)) || (format > 2 && !s.read_feed(in)) ||
      (format > 2 && !s.migrations_.read(in)) || !in.at_end())
    return std::unexpected(bad_snapshot("what stands beside its agents"));
  if (format < 3) s.feed_.began_ = {std::max<std::int64_t>(s.time_.until.us, 1)};
  if (format == 1) {
    for (const auto& [id, record] : s.agents_) {
      if (is_removed(record)) s.removed_[id] = record.hi;
    }
  }
  return s;
}

State State::with_times_of(const State& read) const {
  State s = *this;
  for (auto& [name, node] : s.nodes_) {
    const auto it = read.nodes_.find(name);
    if (it == read.nodes_.end() || node.lease.cause != LeaseCause::none) continue;
    const MasterTime since = it->second.lease.since;
    if (node.lease.since <= since && since <= node.welcomed_at) node.lease.since = since;
  }
  for (auto& [agent, at] : s.removed_) {
    if (const auto it = read.removed_.find(agent); it != read.removed_.end()) at = it->second;
  }
  if (read.feed_.began_ != MasterTime{}) {
    s.feed_ = read.feed_;
    for (const auto& [agent, record] : agents_) {
      const AgentRecord* its = read.find(agent);
      s.agents_.edit(agent).told = its == nullptr ? 0 : its->told;
    }
  }
  return s;
}

}  // namespace rollcall::master
