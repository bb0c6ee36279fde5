#include "protocol/agent_record.h"

#include <algorithm>

namespace rollcall {

std::string_view to_string(Rule rule) {
  switch (rule) {
    case Rule::first:
      return "first";
    case Rule::newer:
      return "newer";
    case Rule::older:
      return "older";
    case Rule::duplicate:
      return "duplicate";
    case Rule::conflict:
      return "conflict";
    case Rule::future_epoch:
      return "future_epoch";
    case Rule::contact:
      return "contact";
  }
  return "?";
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::open:
      return "open";
    case Phase::released:
      return "released";
    case Phase::closed:
      return "closed";
  }
  return "?";
}

Phase phase_after(EventKind kind) {
  if (leaves_open(kind)) return Phase::open;
  return kind == EventKind::released ? Phase::released : Phase::closed;
}

Rule AgentRecord::apply(const NodeName& node, const Event& event, MasterTime now) {
  // A sidecar whose clock estimate is off must not hold the agent for as long as it is off. Its
  // evidence comes from the same clock, so nothing of such an event counts.
  if (event.epoch > epoch_at({now.us + kFutureToleranceUs})) return Rule::future_epoch;

  const MasterTime at_lo = std::min(event.evidence.lo, now);
  const MasterTime at_hi = std::min(event.evidence.hi, now);
  raise_contact(node, at_hi);
  if (event.kind == EventKind::contact) return Rule::contact;

  const Version version{event.epoch, node, event.change};
  take_info(version, event);

  const Phase says = phase_after(event.kind);
  if (has_session() && version <= top) {
    if (version.same_session(top)) {
      lo = std::max(lo, at_lo);
      hi = std::max(hi, at_hi);
    }
    if (version < top) return Rule::older;
    // What stays open says the same only if it is offered in both.
    const bool same = says == phase && (!is_offered() || event.kind == EventKind::offered);
    take_offer(event, now);
    return same ? Rule::duplicate : Rule::conflict;
  }

  const Rule rule = has_session() ? Rule::newer : Rule::first;
  const bool goes_on = version.same_session(top);
  lo = goes_on ? std::max(lo, at_lo) : at_lo;
  hi = goes_on ? std::max(hi, at_hi) : at_hi;
  top = version;
  phase = says;
  reason = event.reason;
  offered_until = {};
  take_offer(event, now);
  return rule;
}

// The grace runs from the receipt, which is logged. What says the same version again raises it at
// most, so that the order does not matter.
void AgentRecord::take_offer(const Event& event, MasterTime now) {
  if (event.kind == EventKind::offered)
    offered_until = std::max(offered_until, {now.us + event.grace_us});
}

std::optional<MasterTime> AgentRecord::doubt() const {
  if (!is_open()) return std::nullopt;
  std::optional<MasterTime> latest;
  for (const Contact& c : contacts) {
    if (c.node.empty() || c.node == top.node || c.hi < lo) continue;
    if (!latest || c.hi > *latest) latest = c.hi;
  }
  return latest;
}

void AgentRecord::raise_contact(const NodeName& node, MasterTime at) {
  // Ordered by (hi, node) from the greatest: the two that remain do not depend on arrival. A free
  // place is the least, also beside a moment before 1970.
  auto greater = [](const Contact& a, const Contact& b) {
    if (a.node.empty() || b.node.empty()) return b.node.empty() && !a.node.empty();
    return a.hi != b.hi ? a.hi > b.hi : a.node > b.node;
  };
  for (Contact& c : contacts) {
    if (c.node != node) continue;
    c.hi = std::max(c.hi, at);
    if (greater(contacts[1], contacts[0])) std::swap(contacts[0], contacts[1]);
    return;
  }
  const Contact fresh{node, at};
  for (std::size_t i = 0; i < contacts.size(); ++i) {
    if (!contacts[i].node.empty() && !greater(fresh, contacts[i])) continue;
    for (std::size_t j = contacts.size() - 1; j > i; --j) contacts[j] = contacts[j - 1];
    contacts[i] = fresh;
    return;
  }
}

void AgentRecord::take_info(const Version& stamp, const Event& event) {
  if (!event.info_hash) return;
  const Info says{stamp, *event.info_hash};
  if (!claimed || says.stamp > claimed->stamp) claimed = says;
  if (event.info && says.hash == claimed->hash) {
    known = claimed;
    info = event.info;
  } else if (event.info && (!known || says.stamp > known->stamp)) {
    known = says;
    info = event.info;
  } else if (known && known->hash == says.hash && says.stamp > known->stamp) {
    known->stamp = says.stamp;
  }
  if (known && claimed->hash == known->hash) known->stamp = claimed->stamp;
}

bool AgentRecord::operator==(const AgentRecord& o) const {
  const bool same_info = info == o.info || (info && o.info && *info == *o.info);
  return same_info && top == o.top && phase == o.phase && reason == o.reason && lo == o.lo &&
         hi == o.hi && offered_until == o.offered_until && contacts == o.contacts &&
         claimed == o.claimed && known == o.known;
}

}  // namespace rollcall
