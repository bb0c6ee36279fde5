#include "master/core/state.h"

#include <algorithm>
#include <unordered_set>

namespace rollcall::master {

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

}  // namespace rollcall::master
