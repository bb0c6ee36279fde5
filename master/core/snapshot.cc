// The state as bytes (docs/store-format.md). Read value by value: a master with a million agents
// starts from half a gigabyte.
#include "master/core/state.h"
#include "protocol/codec.h"
#include "protocol/msgpack_bytes.h"
#include "protocol/plain_delta.h"
#include "protocol/wire.h"

namespace rollcall::master {

using msgpack_bytes::Reader;
using wire::Packer;

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

namespace {

Error bad(std::string_view what) {
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
  into.emplace();
  return take_array(in, 2) && take(in, into->stamp) && take(in, into->hash);
}

bool take(Reader& in, AgentId& id, AgentRecord& a) {
  return take_array(in, 11) && take(in, id) && take(in, a.top) && take(in, a.phase) &&
         take(in, a.reason) && take(in, a.lo) && take(in, a.hi) && take(in, a.contacts[0]) &&
         take(in, a.contacts[1]) && take(in, a.claimed) && take(in, a.known) &&
         (in.nil() || read_plain_info(in, a.info));
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

bool take(Reader& in, NodeName& name, NodeLog& n) {
  return take_array(in, 8) && take(in, name) && take(in, n.machine) && take(in, n.store) &&
         take(in, n.stream) && take(in, n.last_seq) && take(in, n.position) &&
         take(in, n.welcomed_at) && take(in, n.open);
}

}  // namespace

std::expected<State, Error> State::decode(std::string_view bytes) {
  Reader in(bytes);
  std::uint32_t parts = 0;
  std::uint64_t format = 0;
  if (!in.array(parts) || !take(in, format)) return std::unexpected(bad("its head"));
  if (format > kSnapshotFormat) {
    return std::unexpected(
        Error{"snapshot: format " + std::to_string(format) +
              " was written by a newer version of rollcall-master; run that one"});
  }
  State s;
  std::uint32_t nodes = 0, agents = 0;
  if (parts != 9 || !take(in, s.master_) || !take(in, s.term_) || !take(in, s.time_.until) ||
      !in.array(nodes))
    return std::unexpected(bad("its head"));
  for (std::uint32_t i = 0; i < nodes; ++i) {
    NodeName name;
    NodeLog log;
    if (!take(in, name, log)) return std::unexpected(bad("a node"));
    s.nodes_.emplace(std::move(name), std::move(log));
  }
  if (!in.array(agents)) return std::unexpected(bad("its head"));
  for (std::uint32_t i = 0; i < agents; ++i) {
    AgentId id{};
    AgentRecord a;
    if (!take(in, id, a) || s.agents_.contains(id)) return std::unexpected(bad("an agent"));
    s.active_ += a.is_open() ? 1 : 0;
    s.agents_.edit(id) = std::move(a);
  }
  if (!take(in, s.time_.began) || !take(in, s.time_.boot) || !in.i64(s.time_.offset_us) ||
      !in.at_end())
    return std::unexpected(bad("its end"));
  return s;
}

}  // namespace rollcall::master
