#include "master/core/migrations.h"

#include <algorithm>
#include <utility>

namespace rollcall::master {
namespace {

bool ends(EventKind kind) {
  return !leaves_open(kind) && kind != EventKind::contact;
}

}  // namespace

std::string_view to_string(Migrations::End end) {
  switch (end) {
    case Migrations::End::none:
      return "none";
    case Migrations::End::released:
      return "released";
    case Migrations::End::left:
      return "left";
    case Migrations::End::lease_gone:
      return "lease_gone";
    case Migrations::End::returned:
      return "returned";
    case Migrations::End::withdrawn:
      return "withdrawn";
    case Migrations::End::expired:
      return "expired";
    case Migrations::End::overtaken:
      return "overtaken";
  }
  return "?";
}

std::optional<std::int64_t> Migrations::Migration::gap_us() const {
  if (!is_taken() || left_hi.us == 0) return std::nullopt;
  return std::max<std::int64_t>(0, came_lo.us - left_hi.us);
}

void Migrations::keep(std::size_t capacity) {
  capacity_ = capacity;
  while (all_.size() > capacity_) {
    const auto oldest = all_.begin();
    const auto it = under_way_.find(oldest->second.agent);
    if (it != under_way_.end() && it->second == oldest->first) under_way_.erase(it);
    all_.erase(oldest);
  }
}

Migrations::Migration* Migrations::under_way_of(AgentId agent) {
  const auto it = under_way_.find(agent);
  return it == under_way_.end() ? nullptr : &all_.at(it->second);
}

Migrations::Migration& Migrations::begin(AgentId agent, SessionName from) {
  Migration& m = all_[++last_];
  m.agent = agent;
  m.from = std::move(from);
  under_way_[agent] = last_;
  return m;
}

void Migrations::end(Migration& m, End how, MasterTime at) {
  m.end = how;
  m.ended = at;
  under_way_.erase(m.agent);
  ++tally_.ends[std::to_underlying(how)];
  if (const auto gap = m.gap_us()) tally_.gaps.add(*gap);
}

void Migrations::decided(const NodeName& node, const Event& e, Rule rule,
                         const std::optional<Before>& before, bool offered, MasterTime at) {
  if (capacity_ == 0 || rule == Rule::future_epoch) return;
  Migration* m = under_way_.empty() ? nullptr : under_way_of(e.agent);
  if (accepted(rule) && before) {
    take(m, node, e, *before, at);
  } else if (m && node == m->from.node && m->is_taken()) {
    if (e.epoch == m->from.epoch) leave(*m, e, at);
  } else if (m && node == m->from.node) {
    if (accepted(rule)) go_on(*m, e, offered, at);
  } else if (accepted(rule) && e.kind == EventKind::offered) {
    if (m) end(*m, End::overtaken, at);
    begin(e.agent, {e.epoch, node}).offered = at;
  }
  if (all_.size() > capacity_) keep(capacity_);
}

void Migrations::take(Migration* m, const NodeName& node, const Event& e, const Before& before,
                      MasterTime at) {
  if (m && (m->is_taken() || m->from != before.session)) {
    end(*m, End::overtaken, at);
    m = nullptr;
  }
  if (!m) m = &begin(e.agent, before.session);
  m->to = {e.epoch, node};
  m->taken = at;
  m->left_hi = std::max(m->left_hi, before.hi);
  m->came_lo = std::min(e.evidence.lo, at);
  if (before.phase != Phase::open) {
    end(*m, before.phase == Phase::released ? End::released : End::left, at);
  } else if (before.lease_gone) {
    end(*m, End::lease_gone, at);
  }
}

// What the old worker says of the session that was taken from it: refused, and worth knowing.
void Migrations::leave(Migration& m, const Event& e, MasterTime at) {
  m.left_hi = std::max(m.left_hi, std::min(e.evidence.hi, at));
  if (!ends(e.kind)) return;
  m.released = at;
  end(m, e.kind == EventKind::released ? End::released : End::left, at);
}

// What the worker that offers says, before anybody took the agent.
void Migrations::go_on(Migration& m, const Event& e, bool offered, MasterTime at) {
  const bool same = e.epoch == m.from.epoch;  // else claimed anew, and the offer with it
  m.from.epoch = std::max(m.from.epoch, e.epoch);
  m.left_hi = std::max(m.left_hi, std::min(e.evidence.hi, at));
  if (e.kind == EventKind::withdrawn) {
    end(m, End::withdrawn, at);
  } else if (same && leaves_open(e.kind) && !offered) {
    end(m, End::returned, at);
  }
  if (ends(e.kind)) end(m, e.reason == Reason::handoff_expired ? End::expired : End::left, at);
}

void Migrations::lease_gone(const NodeName& node, MasterTime at) {
  std::vector<Migration*> over;
  for (const auto& [agent, number] : under_way_) {
    Migration& m = all_.at(number);
    if (m.is_taken() && m.from.node == node) over.push_back(&m);
  }
  for (Migration* m : over) end(*m, End::lease_gone, at);
}

// [capacity, last, [[number, agent, from, to, offered, taken, released, left, came, end, ended],
// …]]
void Migrations::pack(wire::Packer& p) const {
  const auto session = [&p](const SessionName& s) {
    p.u64(std::to_underlying(s.epoch)).str(s.node);
  };
  p.array(3).u64(capacity_).u64(last_).array(static_cast<std::uint32_t>(all_.size()));
  for (const auto& [number, m] : all_) {
    p.array(13).u64(number).u64(std::to_underlying(m.agent));
    session(m.from);
    session(m.to);
    p.i64(m.offered.us).i64(m.taken.us).i64(m.released.us).i64(m.left_hi.us).i64(m.came_lo.us);
    p.u64(std::to_underlying(m.end)).i64(m.ended.us);
  }
}

bool Migrations::read(msgpack_bytes::Reader& in) {
  const auto session = [&in](SessionName& s) {
    std::uint64_t epoch = 0;
    std::string_view node;
    if (!in.u64(epoch) || !in.str(node)) return false;
    s = {Epoch{epoch}, NodeName(node)};
    return true;
  };
  std::uint32_t parts = 0, size = 0;
  std::uint64_t capacity = 0;
  if (!in.array(parts) || parts != 3 || !in.u64(capacity) || !in.u64(last_) || !in.array(size))
    return false;
  capacity_ = capacity;
  for (; size > 0; --size) {
    std::uint64_t number = 0, agent = 0, end = 0;
    Migration m;
    if (!in.array(parts) || parts != 13 || !in.u64(number) || !in.u64(agent) ||
        agent > UINT32_MAX || !session(m.from) || !session(m.to) || !in.i64(m.offered.us) ||
        !in.i64(m.taken.us) || !in.i64(m.released.us) || !in.i64(m.left_hi.us) ||
        !in.i64(m.came_lo.us) || !in.u64(end) || end > std::to_underlying(End::overtaken) ||
        !in.i64(m.ended.us) || number > last_)
      return false;
    m.agent = AgentId{static_cast<std::uint32_t>(agent)};
    m.end = static_cast<End>(end);
    if (m.end == End::none && !under_way_.emplace(m.agent, number).second) return false;
    if (!all_.emplace(number, std::move(m)).second) return false;
  }
  return true;
}

}  // namespace rollcall::master
