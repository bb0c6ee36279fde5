#include "sidecar/core/agent_state.h"

#include <algorithm>

#include "protocol/codec.h"
#include "protocol/wire.h"

namespace rollcall::sidecar {
namespace {

using wire::Document;
using wire::Packer;
using wire::Value;

constexpr std::size_t kUsualBytes = 160;  // of an agent, or of an event without fields

// Every list below only grows at its end; a reader takes what is missing as the default.
void pack(Packer& p, const LocalMoment& m) {
  p.array(3).u64(m.boot).i64(m.boot_us).i64(m.wall_us);
}

// Reads fixed lists field by field and remembers whether all were of the right type.
class Fields {
 public:
  explicit Fields(Value list) : list_(list) {}
  std::uint64_t u64() { return take(list_.at(next_++).as_u64()); }
  std::int64_t i64() { return take(list_.at(next_++).as_i64()); }
  bool boolean() { return take(list_.at(next_++).as_bool()); }
  template <typename E>
  E id() {
    return static_cast<E>(u64());
  }
  LocalMoment moment() {
    Fields f(list_.at(next_++));
    LocalMoment m{f.u64(), f.i64(), f.i64()};
    ok_ = ok_ && f.ok_;
    return m;
  }
  // "" if it is absent.
  std::string text() {
    const Value v = list_.at(next_++);
    return v.is_nil() ? std::string() : std::string(take(v.as_str()));
  }
  Value value() { return list_.at(next_++); }
  bool ok() const { return ok_; }

 private:
  template <typename T>
  T take(std::optional<T> v) {
    if (!v) ok_ = false;
    return v.value_or(T{});
  }
  Value list_;
  std::size_t next_ = 0;
  bool ok_ = true;
};

void pack(Packer& p, const Handoff& h) {
  p.array(8).u64(std::to_underlying(h.cause)).u64(h.drain);
  pack(p, h.made);
  p.i64(h.grace_us).u64(std::to_underlying(h.left)).u64(std::to_underlying(h.end));
  pack(p, h.ended);
  p.str(h.to);
}

bool take_handoff(const Value& list, std::optional<Handoff>& into) {
  if (list.is_nil()) return true;
  Fields r(list);
  Handoff& h = into.emplace();
  h.cause = r.id<Handoff::Cause>();
  h.drain = r.u64();
  h.made = r.moment();
  h.grace_us = r.i64();
  h.left = r.id<Reason>();
  h.end = r.id<Handoff::End>();
  h.ended = r.moment();
  h.to = r.text();
  return r.ok() && h.cause >= Handoff::Cause::drain && h.cause <= Handoff::Cause::manager &&
         h.end <= Handoff::End::over && h.grace_us >= 0 && h.grace_us <= kLongestGraceUs;
}

void pack(Packer& p, const std::vector<Move>& moves) {
  p.array(static_cast<std::uint32_t>(moves.size()));
  for (const Move& m : moves) {
    p.array(3).u64(std::to_underlying(m.kind)).str(m.node);
    pack(p, m.at);
  }
}

// A newer program may keep more of them, and of kinds that are not known here: these are left out.
bool take_moves(const Value& list, std::vector<Move>& into) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    Fields r(list.at(i));
    Move m;
    m.kind = r.id<Move::Kind>();
    if (r.ok() && m.kind != Move::Kind::took && m.kind != Move::Kind::released) continue;
    m.node = r.text();
    m.at = r.moment();
    if (!r.ok() || !is_valid_node_name(m.node)) return false;
    remember(into, std::move(m));
  }
  return list.is_nil() || list.is_array();
}

// Relative to the epoch a moment must fit the wire, whatever the source's clock said.
MasterTime within_bounds(MasterTime t) {
  return {std::clamp(t.us, -kMaxTimeUs / 2, kMaxTimeUs / 2)};
}

}  // namespace

Evidence sent_evidence(const LocalEvidence& evidence, const Timeline& timeline, const Now& now) {
  const MasterTime lo = within_bounds(timeline.earliest(evidence.lo, now));
  const MasterTime hi = within_bounds(timeline.latest(evidence.hi, now));
  return {lo, std::max(lo, hi)};
}

std::int64_t grace_left_us(const LocalMoment& offered, std::int64_t grace_us,
                           const Timeline& timeline, const Now& now) {
  const std::int64_t since = std::max<std::int64_t>(0, timeline.since_us(offered, now));
  return std::clamp<std::int64_t>(grace_us - since, 0, kLongestGraceUs);
}

std::string encode(const AgentState& s) {
  std::string out;
  out.reserve(kUsualBytes);
  Packer p(out);
  p.array(!s.moves.empty() ? 8 : s.handoff ? 7 : 6);
  if (s.row) {
    p.array(4).u64(static_cast<std::uint64_t>(s.row->status)).i64(s.row->keepalive_s);
    p.u64(s.row->code).u64(s.row->visits);
  } else {
    p.nil();
  }
  if (s.session) {
    const Session& x = *s.session;
    p.array(x.fence_node.empty() ? 8 : 9).u64(static_cast<std::uint64_t>(x.epoch)).u64(x.change);
    p.u64(static_cast<std::uint64_t>(x.phase)).u64(static_cast<std::uint64_t>(x.reason));
    pack(p, x.start);
    pack(p, x.evidence.lo);
    pack(p, x.evidence.hi);
    p.u64(static_cast<std::uint64_t>(x.fence));
    if (!x.fence_node.empty()) p.str(x.fence_node);
  } else {
    p.nil();
  }
  p.u64(static_cast<std::uint64_t>(s.accepted));
  p.u64(static_cast<std::uint64_t>(s.info_hash)).u64(static_cast<std::uint64_t>(s.told_hash));
  p.boolean(s.info_told_here);
  if (s.handoff) {
    pack(p, *s.handoff);
  } else if (!s.moves.empty()) {
    p.nil();
  }
  if (!s.moves.empty()) pack(p, s.moves);
  return out;
}

std::expected<AgentState, Error> decode_agent_state(std::string_view bytes) {
  auto doc = Document::parse(bytes);
  if (!doc) return std::unexpected(doc.error());
  AgentState s;
  Fields f(doc->root());
  const Value row = f.value();
  bool ok = true;
  if (!row.is_nil()) {
    Fields r(row);
    s.row.emplace();
    s.row->status = static_cast<RowStatus>(r.u64());
    s.row->keepalive_s = r.i64();
    s.row->code = static_cast<std::uint8_t>(r.u64());
    s.row->visits = static_cast<std::uint32_t>(r.u64());
    ok = ok && r.ok() && s.row->status <= RowStatus::disconnected;
  }
  const Value session = f.value();
  if (!session.is_nil()) {
    Fields r(session);
    Session& x = s.session.emplace();
    x.epoch = r.id<Epoch>();
    x.change = static_cast<std::uint32_t>(r.u64());
    x.phase = static_cast<Phase>(r.u64());
    x.reason = static_cast<Reason>(r.u64());
    x.start = r.moment();
    x.evidence.lo = r.moment();
    x.evidence.hi = r.moment();
    x.fence = r.id<Epoch>();
    x.fence_node = r.text();
    ok = ok && r.ok() && x.phase >= Phase::open && x.phase <= Phase::closed;
  }
  s.accepted = f.id<Epoch>();
  s.info_hash = f.id<InfoHash>();
  s.told_hash = f.id<InfoHash>();
  s.info_told_here = f.boolean();
  ok = ok && take_handoff(f.value(), s.handoff);
  ok = ok && take_moves(f.value(), s.moves);
  if (!ok || !f.ok())
    return std::unexpected(Error{"an agent's state is not as this version writes it"});
  return s;
}

std::string encode(const LocalEvent& e) {
  std::string out;
  out.reserve(kUsualBytes);
  Packer p(out);
  const bool handoff = e.from || e.kind == EventKind::offered;
  p.array(handoff ? 15 : 12).u64(static_cast<std::uint64_t>(e.agent));
  p.u64(static_cast<std::uint64_t>(e.kind));
  p.u64(static_cast<std::uint64_t>(e.epoch)).u64(e.change).boolean(e.starts_session);
  pack(p, e.start);
  pack(p, e.evidence.lo);
  pack(p, e.evidence.hi);
  p.u64(static_cast<std::uint64_t>(e.reason)).u64(static_cast<std::uint64_t>(e.info_hash));
  if (e.info_kept) {
    p.boolean(true);
  } else if (e.info) {
    pack_info(p, *e.info);
  } else {
    p.nil();
  }
  p.u64(e.folded);
  if (!handoff) return out;
  if (e.from) {
    p.array(2).u64(static_cast<std::uint64_t>(e.from->epoch)).str(e.from->node);
  } else {
    p.nil();
  }
  pack(p, e.offered);
  p.i64(e.grace_us);
  return out;
}

std::expected<LocalEvent, Error> decode_local_event(std::string_view bytes) {
  auto doc = Document::parse(bytes);
  if (!doc) return std::unexpected(doc.error());
  Fields f(doc->root());
  LocalEvent e;
  e.agent = f.id<AgentId>();
  e.kind = f.id<EventKind>();
  e.epoch = f.id<Epoch>();
  e.change = static_cast<std::uint32_t>(f.u64());
  e.starts_session = f.boolean();
  e.start = f.moment();
  e.evidence.lo = f.moment();
  e.evidence.hi = f.moment();
  e.reason = f.id<Reason>();
  e.info_hash = f.id<InfoHash>();
  const Value info = f.value();
  e.info_kept = info.as_bool() == true;
  if (!info.is_nil() && !e.info_kept) {
    auto fields = unpack_info(info);
    if (!fields) return std::unexpected(fields.error());
    e.info = std::make_shared<const AgentInfo>(std::move(*fields));
  }
  e.folded = static_cast<std::uint32_t>(f.u64());
  if (const Value from = f.value(); !from.is_nil()) {
    Fields r(from);
    SessionName& name = e.from.emplace();
    name.epoch = r.id<Epoch>();
    name.node = r.text();
    if (!r.ok() || name.epoch == kUnstamped || !is_valid_node_name(name.node)) e.agent = AgentId{};
  }
  if (e.kind == EventKind::offered) {
    e.offered = f.moment();
    e.grace_us = f.i64();
  }
  if (!f.ok() || e.grace_us < 0 || e.grace_us > kLongestGraceUs || e.agent == AgentId{} ||
      e.kind < EventKind::opened || e.kind > EventKind::contact)
    return std::unexpected(Error{"an outbox event is not as this version writes it"});
  return e;
}

std::string encode(const AgentInfo& info) {
  std::size_t bytes = 3;
  for (const auto& [name, value] : info) bytes += name.size() + value.size() + 4;
  std::string out;
  out.reserve(bytes);
  Packer p(out);
  pack_info(p, info);
  return out;
}

std::expected<AgentInfo, Error> decode_info(std::string_view bytes) {
  auto doc = Document::parse(bytes);
  if (!doc) return std::unexpected(doc.error());
  return unpack_info(doc->root());
}

}  // namespace rollcall::sidecar
