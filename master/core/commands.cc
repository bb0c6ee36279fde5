#include "master/core/commands.h"

#include <algorithm>
#include <utility>

#include "protocol/agent_version.h"

namespace rollcall::master {

std::string_view to_string(CommandEnd end) {
  switch (end) {
    case CommandEnd::sent:
      return "sent";
    case CommandEnd::unknown:
      return "unknown";
    case CommandEnd::disconnected:
      return "disconnected";
    case CommandEnd::contested:
      return "contested";
    case CommandEnd::no_commands:
      return "no_commands";
    case CommandEnd::unknown_version:
      return "unknown_version";
    case CommandEnd::migrating:
      return "migrating";
    case CommandEnd::unreachable:
      return "unreachable";
    case CommandEnd::not_here:
      return "not_here";
    case CommandEnd::socket:
      return "socket";
    case CommandEnd::late:
      return "late";
    case CommandEnd::uncertain:
      return "uncertain";
    case CommandEnd::no_answer:
      return "no_answer";
  }
  return "?";
}

namespace {

// Those that nobody told: another worker may.
CommandEnd end_of(CommandOutcome outcome) {
  switch (outcome) {
    case CommandOutcome::sent:
      return CommandEnd::sent;
    case CommandOutcome::not_here:
      return CommandEnd::not_here;
    case CommandOutcome::unknown_version:
      return CommandEnd::unknown_version;
    case CommandOutcome::socket:
      return CommandEnd::socket;
    case CommandOutcome::late:
      return CommandEnd::late;
    case CommandOutcome::uncertain:
      break;
  }
  return CommandEnd::uncertain;
}

bool may_go_on(CommandEnd end) {
  return end == CommandEnd::not_here || end == CommandEnd::socket || end == CommandEnd::late;
}

}  // namespace

// ---- what comes in

bool Commands::same(const CommandRequest& a, const CommandRequest& b) {
  return a.kind == b.kind && a.all == b.all && a.assume == b.assume &&
         (a.all || a.agents == b.agents);
}

Commands::Running* Commands::find(const CommandId& id) {
  for (auto& [number, r] : running_) {
    if (r.request.id == id) return &r;
  }
  return nullptr;
}

Commands::Begun Commands::begin(CommandRequest request, const Now& now) {
  if (const Running* r = find(request.id))
    return same(r->request, request) ? Begun::joined : Begun::conflict;
  for (const Remembered& known : remembered_) {
    if (known.request.id != request.id) continue;
    if (!same(known.request, request)) return Begun::conflict;
    again_.push_back(known.report);
    return Begun::joined;
  }
  std::size_t of_running = request.agents.size();
  for (const auto& [number, r] : running_) of_running += r.tasks.size();
  if (running_.size() >= kMaxRunning || of_running > kMaxAgents) return Begun::busy;
  if (running_.empty()) rescanned_mono_us_ = now.mono_us;
  ++commands_;
  const std::uint64_t number = ++last_;
  Running& r = running_[number];
  r.began_mono_us = now.mono_us;
  r.until_mono_us = now.mono_us + request.timeout_us;
  r.tasks.resize(request.agents.size());
  r.open = r.tasks.size();
  agents_ += r.tasks.size();
  r.request = std::move(request);
  for (std::size_t i = 0; i < r.tasks.size(); ++i) {
    r.tasks[i].agent = r.request.agents[i];
    list(number, r, i);
  }
  return Begun::started;
}

// r.tasks.size() if it is not one of them.
std::size_t Commands::place_of(const Running& r, AgentId agent) {
  const auto at = std::ranges::lower_bound(r.tasks, agent, {}, &Task::agent);
  return at != r.tasks.end() && at->agent == agent ? static_cast<std::size_t>(at - r.tasks.begin())
                                                   : r.tasks.size();
}

Commands::NodeIndex Commands::index_of(const NodeName& node) {
  const auto found = std::ranges::find(workers_, node, &Worker::name);
  if (found != workers_.end()) return static_cast<NodeIndex>(found - workers_.begin());
  workers_.push_back({node, {}, 0});
  return static_cast<NodeIndex>(workers_.size() - 1);
}

void Commands::list(std::uint64_t number, Running& r, std::size_t task) {
  if (!std::exchange(r.tasks[task].listed, true)) to_look_.push_back({number, task});
}

void Commands::heard(AgentId agent) {
  for (auto& [number, r] : running_) {
    const std::size_t task = place_of(r, agent);
    if (task < r.tasks.size() && r.tasks[task].stage == Stage::held) list(number, r, task);
  }
}

// Those that it was asked about are asked of it again, wherever they are now: it remembers whom it
// told.
void Commands::connected(const NodeName& node) {
  if (running_.empty()) return;
  const NodeIndex index = index_of(node);
  for (auto& [number, r] : running_) {
    for (std::size_t i = 0; i < r.tasks.size(); ++i) {
      Task& t = r.tasks[i];
      if (t.stage != Stage::held) continue;
      if (t.unanswered && t.node == index) {
        t.stage = Stage::queued;
        workers_[index].queue.push_back({number, i});
      } else {
        list(number, r, i);
      }
    }
  }
}

void Commands::disconnected(const NodeName& node) {
  if (running_.empty()) return;
  const NodeIndex index = index_of(node);
  for (auto& [number, r] : running_) {
    for (std::size_t i = 0; i < r.tasks.size(); ++i) {
      Task& t = r.tasks[i];
      if (t.node != index || (t.stage != Stage::asked && t.stage != Stage::queued)) continue;
      if (t.stage == Stage::asked) t.unanswered = true;
      hold(r, i, t.unanswered ? CommandEnd::no_answer : CommandEnd::unreachable);
      list(number, r, i);
    }
  }
  workers_[index].queue.clear();
}

void Commands::result(const NodeName& node, const Result& result) {
  const auto found = std::ranges::find(running_, result.id,
                                       [](const auto& entry) { return entry.second.request.id; });
  if (found == running_.end()) return;
  auto& [number, r] = *found;
  const NodeIndex index = index_of(node);
  for (const Result::Entry& entry : result.entries) {
    const std::size_t i = place_of(r, entry.agent);
    if (i == r.tasks.size()) continue;
    Task& t = r.tasks[i];
    if (t.node != index || (t.stage != Stage::asked && !t.unanswered) || t.stage == Stage::ended)
      continue;
    const CommandEnd how = end_of(entry.outcome);
    if (how == CommandEnd::socket) r.why[i] = result.why;
    t.unanswered = false;
    if (!may_go_on(how)) {
      end(r, i, how);
      continue;
    }
    t.refused = true;
    hold(r, i, how);
    list(number, r, i);
  }
}

// ---- what is done about it

Commands::Orders Commands::advance(const Where& where, const Now& now) {
  Orders orders;
  orders.ended = std::exchange(again_, {});
  if (running_.empty()) return orders;
  look_at_listed(where, now);
  if (now.mono_us - rescanned_mono_us_ >= kRescanUs) {
    rescanned_mono_us_ = now.mono_us;
    rescan(where, now);
  }
  for (auto& [number, r] : running_) {
    if (now.mono_us >= r.until_mono_us) expire(r);
  }
  for (Worker& worker : workers_) pump(worker, where, now, orders);
  finish(orders, now);
  return orders;
}

void Commands::look_at_listed(const Where& where, const Now& now) {
  for (std::size_t n = std::min(to_look_.size(), kLooksAtOnce); n > 0; --n) {
    const Ref ref = to_look_.front();
    to_look_.pop_front();
    const auto r = running_.find(ref.running);
    if (r == running_.end()) continue;
    r->second.tasks[ref.task].listed = false;
    look(ref.running, r->second, ref.task, where, now);
  }
}

// Nothing tells when a lease ends, a contest is over or an answer is overdue.
void Commands::rescan(const Where& where, const Now& now) {
  for (auto& [number, r] : running_) {
    for (std::size_t n = std::min(r.tasks.size(), kLooksAtOnce); n > 0; --n) {
      r.rescan = (r.rescan + 1) % r.tasks.size();
      look(number, r, r.rescan, where, now);
    }
  }
}

void Commands::look(std::uint64_t number, Running& r, std::size_t task, const Where& where,
                    const Now& now) {
  Task& t = r.tasks[task];
  if (t.stage == Stage::ended || t.stage == Stage::queued) return;
  const bool overdue = t.stage == Stage::asked && now.mono_us - t.asked_mono_us >= kAnswerUs;
  if (t.stage == Stage::asked && !overdue) return;
  const Place place = where(t.agent);
  const bool elsewhere =
      place.kind == Place::Kind::here &&
      (place.epoch != t.epoch || t.asks == 0 || place.node != workers_[t.node].name);
  if (overdue && !elsewhere) return;
  switch (place.kind) {
    case Place::Kind::here:
      if (t.refused && !elsewhere) {
        if (t.end != CommandEnd::not_here) end(r, task, t.end);
        return;
      }
      if (has_version(r, task, place)) go(number, r, task, place);
      return;
    case Place::Kind::later:
      // What a worker said already is more to the point.
      return hold(r, task, t.refused || t.unanswered ? t.end : place.end);
    case Place::Kind::nowhere:
      if (!t.unanswered) end(r, task, place.end);
      return;
  }
}

bool Commands::has_version(Running& r, std::size_t task, const Place& place) {
  if (agent_version(place.version) || agent_version(r.request.assume)) return true;
  if (place.version_comes) {
    hold(r, task, CommandEnd::unknown_version);
  } else {
    end(r, task, CommandEnd::unknown_version);
  }
  return false;
}

void Commands::go(std::uint64_t number, Running& r, std::size_t task, const Place& place) {
  Task& t = r.tasks[task];
  leave(t);
  if (++t.asks > kMaxAsks) return end(r, task, CommandEnd::not_here);
  t.node = index_of(place.node);
  t.epoch = place.epoch;
  t.refused = false;
  t.unanswered = false;
  t.stage = Stage::queued;
  workers_[t.node].queue.push_back({number, task});
}

void Commands::hold(Running& r, std::size_t task, CommandEnd end) {
  Task& t = r.tasks[task];
  leave(t);
  t.stage = Stage::held;
  t.end = end;
}

// Of those that waited the owner is looked up again.
void Commands::pump(Worker& worker, const Where& where, const Now& now, Orders& orders) {
  std::uint64_t of = 0;
  while (!worker.queue.empty() && worker.asked < kWindow) {
    const auto [number, task] = worker.queue.front();
    worker.queue.pop_front();
    const auto found = running_.find(number);
    if (found == running_.end()) continue;
    Running& r = found->second;
    Task& t = r.tasks[task];
    if (t.stage != Stage::queued) continue;
    const Place place = where(t.agent);
    const bool still_here = place.kind == Place::Kind::here && place.node == worker.name;
    if (!still_here && !t.unanswered) {
      t.stage = Stage::look;
      list(number, r, task);
      continue;
    }
    t.stage = Stage::asked;
    t.end = CommandEnd::no_answer;
    t.asked_mono_us = now.mono_us;
    if (still_here) t.epoch = place.epoch;
    ++worker.asked;
    if (of != number || orders.send.back().second.entries.size() == kBatch) {
      of = number;
      orders.send.emplace_back(
          worker.name, Command{r.request.id, r.request.kind, {}, r.until_mono_us - now.mono_us});
    }
    const bool known = agent_version(place.version).has_value();
    orders.send.back().second.entries.push_back(
        {t.agent, known ? place.version : r.request.assume});
  }
}

// It counts no longer among those that its worker was asked about.
void Commands::leave(Task& t) {
  if (t.stage != Stage::asked) return;
  t.stage = Stage::look;
  --workers_[t.node].asked;
}

void Commands::end(Running& r, std::size_t task, CommandEnd how) {
  Task& t = r.tasks[task];
  leave(t);
  t.stage = Stage::ended;
  t.end = how;
  --r.open;
  ++ends_[how];
}

void Commands::expire(Running& r) {
  for (std::size_t i = 0; i < r.tasks.size(); ++i) {
    const Task& t = r.tasks[i];
    if (t.stage == Stage::ended) continue;
    end(r, i, t.stage == Stage::queued && !t.unanswered ? CommandEnd::unreachable : t.end);
  }
}

void Commands::finish(Orders& orders, const Now& now) {
  for (auto at = running_.begin(); at != running_.end();) {
    Running& r = at->second;
    if (r.open > 0) {
      ++at;
      continue;
    }
    auto report = std::make_shared<CommandReport>();
    report->id = r.request.id;
    report->kind = r.request.kind;
    report->took_us = now.mono_us - r.began_mono_us;
    for (std::size_t i = 0; i < r.tasks.size(); ++i) {
      const Task& t = r.tasks[i];
      if (t.end == CommandEnd::sent) {
        report->affected.push_back(t.agent);
        continue;
      }
      const auto why = r.why.find(i);
      report->failed.push_back(
          {t.agent, t.end, t.asks > 0 ? workers_[t.node].name : NodeName(),
           t.end == CommandEnd::socket && why != r.why.end() ? why->second : ""});
    }
    remember(r, report, now);
    orders.ended.push_back(std::move(report));
    at = running_.erase(at);
  }
  if (!running_.empty()) return;
  to_look_.clear();
  workers_.clear();
}

void Commands::remember(Running& r, CommandReportPtr report, const Now& now) {
  remembered_.push_back({std::move(r.request), now.mono_us, std::move(report)});
  while (remembered_.size() > 1 && (remembered_.size() > kMaxRemembered || agents_ > kMaxAgents ||
                                    now.mono_us - remembered_.front().at_mono_us > kRememberedUs)) {
    agents_ -= remembered_.front().request.agents.size();
    remembered_.pop_front();
  }
}

Commands::Status Commands::status() const {
  Status s;
  s.running = running_.size();
  for (const auto& [number, r] : running_) s.waiting += r.open;
  s.commands = commands_;
  s.ends = ends_;
  return s;
}

}  // namespace rollcall::master
