// The sidecar's pages.
#include <algorithm>
#include <chrono>
#include <memory>

#include "inspect/page_tools.h"
#include "inspect/pages.h"
#include "inspect/readiness.h"
#include "inspect/shared_answer.h"
#include "inspect/texts.h"
#include "inspect/web_page.h"

namespace rollcall::inspect {
namespace {

using sidecar::AgentState;
using sidecar::RowStatus;
using sidecar::SidecarCore;

std::string_view name_of(RowStatus status) {
  switch (status) {
    case RowStatus::never_connected:
      return "never_connected";
    case RowStatus::pending:
      return "pending";
    case RowStatus::active:
      return "active";
    case RowStatus::disconnected:
      return "disconnected";
  }
  return "?";
}

std::string_view name_of(SidecarCore::Link link) {
  switch (link) {
    case SidecarCore::Link::down:
      return "down";
    case SidecarCore::Link::greeting:
      return "greeting";
    case SidecarCore::Link::streaming:
      return "streaming";
  }
  return "?";
}

Json epoch_json(Epoch epoch) {
  return epoch == kUnstamped ? Json(nullptr) : Json(static_cast<std::uint64_t>(epoch));
}

struct LocalFilter {
  std::optional<RowStatus> status;
  std::optional<Phase> session;

  bool takes(const AgentState& a) const {
    return (!status || (a.row && a.row->status == *status)) &&
           (!session || (a.session && a.session->phase == *session));
  }
};

// An agent as it stood at one moment, with its evidence in the master's time.
struct AgentView {
  AgentId id{};
  AgentState state;
  MasterTime lo, hi;
};

Json agent_json(const AgentView& a) {
  Json j;
  j["id"] = id_of(a.id);
  j["row"] = nullptr;
  if (const auto& row = a.state.row) {
    j["row"] = {{"status", name_of(row->status)},
                {"last_keepalive", row->keepalive_s == 0 ? Json(nullptr) : Json(row->keepalive_s)},
                {"status_code", row->code}};
  }
  j["session"] = nullptr;
  if (const auto& s = a.state.session) {
    j["session"] = {
        {"phase", to_string(s->phase)},
        {"epoch", epoch_json(s->epoch)},
        {"change", s->change},
        {"reason", s->reason == Reason::none ? Json(nullptr) : Json(to_string(s->reason))},
        {"evidence_lo", a.lo.us},
        {"evidence_hi", a.hi.us},
        {"fence", epoch_json(s->fence)},
        {"challenged", a.state.due.has_value()}};
  }
  return j;
}

// What the source last said of it.
std::string row_sentence(const AgentView& a) {
  const auto& row = a.state.row;
  if (!row) return "";
  std::string text = " wazuh-db's row says " + std::string(name_of(row->status));
  if (row->keepalive_s != 0) {
    text += ", with a keepalive at " + time_text({row->keepalive_s * 1'000'000}) +
            " by this machine's clock";
  }
  return text + ".";
}

std::string session_sentence(const AgentView& a) {
  const auto& s = a.state.session;
  if (!s) return " It was never here, so the master was told of no stay.";
  if (s->epoch == kUnstamped) {
    return " A stay here is open that the master was not told yet: its time is not known.";
  }
  std::string text = " Its newest stay here is " + std::string(to_string(s->phase));
  if (s->reason != Reason::none) text += " (" + std::string(to_string(s->reason)) + ")";
  text += ", began at " + time_text({static_cast<std::int64_t>(s->epoch)}) +
          " in the master's time, and its change " + std::to_string(s->change) +
          " is the newest that the master is told; it was last heard at " + time_text(a.lo) +
          " or up to " + length_text(a.hi.us - a.lo.us) + " later.";
  if (s->phase == Phase::released && s->fence != kUnstamped) {
    text += " The master said that it went to another worker, at " +
            time_text({static_cast<std::int64_t>(s->fence)}) + ".";
  }
  if (a.state.due) text += " The master asked for newer evidence, which has not come yet.";
  return text;
}

Json why_json(const AgentView& a, const NodeName& node, bool streaming) {
  std::string text = "Agent " + std::to_string(id_of(a.id)) + " as " + node +
                     " sees it:" + row_sentence(a) + session_sentence(a);
  if (!streaming) text += " Nothing is streamed to the master now.";
  Json j;
  j["agent"] = id_of(a.id);
  j["node"] = node;
  j["text"] = text;
  j["streaming"] = streaming;
  const Json all = agent_json(a);
  j["row"] = all["row"];
  j["session"] = all["session"];
  return j;
}

// What the loop says at one moment about everything but the agents.
struct Moment {
  SidecarCore::Status core;
  SourceStatus source;
  NodeName node;
  std::string store_error, link_error;
  std::size_t agents = 0, open_sessions = 0, missing = 0;
  std::int64_t keepalive_us = 0, agent_timeout_us = 0;
  bool takes_commands = false;
  sidecar::AgentCommands::Status commands;
  Upkeep upkeep;
};

Json commands_json(const Moment& m) {
  Json outcomes = Json::object();
  for (const auto& [outcome, count] : m.commands.outcomes) outcomes[to_string(outcome)] = count;
  return {{"taken", m.takes_commands},
          {"messages", m.commands.commands},
          {"waiting_agents", m.commands.waiting},
          {"agents", std::move(outcomes)}};
}

Json link_json(const Moment& m) {
  return {{"state", name_of(m.core.link)},
          {"error", or_null(m.link_error)},
          {"master", id_or_null(static_cast<std::uint64_t>(m.core.master))},
          {"term", id_or_null(static_cast<std::uint64_t>(m.core.term))},
          {"stream", id_or_null(static_cast<std::uint64_t>(m.core.stream))},
          {"last_seq", m.core.last_seq},
          {"acked_seq", m.core.acked_seq},
          {"in_flight_bytes", m.core.in_flight_bytes},
          {"master_says", or_null(m.core.last_error)}};
}

// How far both sides hold the same sessions of this worker open.
Json agreement_json(const Moment& m) {
  const sidecar::Reconciler::Status& r = m.core.reconciliation;
  Json j = {{"state", to_string(r.agreement)},
            {"compared", m.core.settled},
            {"equal_ago_us", or_null(r.equal_ago_us)},
            {"lease_us", or_null(m.core.lease_us)},
            {"inventories", r.full_inventories},
            {"partial_inventories", r.partial_inventories},
            {"digests_asked", r.digests_sent},
            {"inventory_under_way", r.inventory_under_way},
            {"last_inventory", nullptr}};
  if (r.inventory_ago_us) {
    j["last_inventory"] = {{"ago_us", *r.inventory_ago_us}, {"entries", r.inventory_entries}};
  }
  return j;
}

Json clock_json(const Moment& m) {
  const bool known = m.core.clock_known;
  return {{"known", known},
          {"offset_us", known ? Json(m.core.clock_offset_us) : Json(nullptr)},
          {"error_us", known ? Json(m.core.clock_error_us) : Json(nullptr)}};
}

Json last_look_json(const Moment& m) {
  if (!m.core.looked_ago_us) return nullptr;
  return {{"ago_us", *m.core.looked_ago_us},
          {"took_us", m.source.last_look_us},
          {"rows", m.source.last_rows},
          {"requests", m.source.last_requests},
          {"bytes", m.source.last_bytes}};
}

Json own_rows_json(const std::optional<SourceStatus::OwnRows>& own) {
  if (!own) return nullptr;
  return {{"refused", own->refused}, {"held", own->held}, {"hidden", own->hidden}};
}

Json source_json(const Moment& m) {
  const bool looked = m.source.looks > 0;
  return {{"connected", m.source.connected},
          {"looks", m.source.looks},
          {"failures", m.source.failures},
          {"scans", m.source.scans},
          {"wazuh", or_null(m.source.wazuh)},
          {"keepalive_us", m.keepalive_us},
          {"agent_timeout_us", m.agent_timeout_us},
          {"table_rows", m.source.table_rows},
          {"unreadable", m.source.unreadable},
          {"hints", m.source.hints},
          {"remoted", m.source.remoted ? Json(*m.source.remoted) : Json(nullptr)},
          {"own_rows", own_rows_json(m.source.own_rows)},
          {"last_look_us", looked ? Json(m.source.last_look_us) : Json(nullptr)},
          {"last_rows", looked || !m.source.by_looks ? Json(m.source.last_rows) : Json(nullptr)},
          {"last_bytes", looked ? Json(m.source.last_bytes) : Json(nullptr)},
          {"last_requests", looked ? Json(m.source.last_requests) : Json(nullptr)},
          {"error", or_null(m.source.last_error)}};
}

Json status_json(const Moment& m, const std::string& version) {
  Json j;
  j["version"] = version;
  j["node"] = m.node;
  j["agents"] = m.agents;
  j["open_sessions"] = m.open_sessions;
  j["certificates"] = certificates_json(m.upkeep, std::chrono::system_clock::now());
  j["reload"] = reload_json(m.upkeep);
  j["link"] = link_json(m);
  j["agreement"] = agreement_json(m);
  j["backlog"] = {{"events", m.core.unacked},
                  {"unsent", m.core.unsent},
                  {"bytes", m.core.backlog_bytes},
                  {"oldest_us", or_null(m.core.oldest_unacked_us)},
                  {"folded", m.core.folded}};
  j["clock"] = clock_json(m);
  j["source"] = source_json(m);
  j["store"] = {{"id", id_or_null(static_cast<std::uint64_t>(m.core.store))},
                {"error", or_null(m.store_error)}};
  j["answers"] = {{"superseded", m.core.superseded},
                  {"challenged", m.core.challenged},
                  {"future_epoch", m.core.future_epoch},
                  {"need_info", m.core.need_info}};
  j["commands"] = commands_json(m);
  return j;
}

Json sync_json(const Moment& m) {
  Json j;
  j["unacked_events"] = m.core.unacked;
  j["unsent_events"] = m.core.unsent;
  j["oldest_us"] = or_null(m.core.oldest_unacked_us);
  j["last_ack"] = nullptr;
  if (m.core.acked_ago_us) {
    j["last_ack"] = {{"ago_us", *m.core.acked_ago_us}, {"seq", m.core.acked_seq}};
  }
  j["link"] = link_json(m);
  j["agreement"] = agreement_json(m);
  j["clock"] = clock_json(m);
  j["source"] = {{"connected", m.source.connected},
                 {"error", or_null(m.source.last_error)},
                 {"looked_at_all", m.core.looked_at_all},
                 {"last_look", last_look_json(m)}};
  return j;
}

class SidecarPages {
 public:
  SidecarPages(Post post, SidecarView view)
      : post_(std::move(post)), view_(std::move(view)), live_(post_, [this] {
          return Live{moment(), view_.driver.core().tracker().drain().has_value()};
        }) {}

  Response healthz() const;
  Response readyz() const;
  Response status() const;
  Response sync() const;
  Response agents(const Request& request) const;
  Response agent(const Request& request) const;
  Response why(const Request& request) const;
  // What the web page follows, as it stands; nothing if the loop does not answer.
  std::optional<Json> live();

 private:
  struct Live {
    Moment moment;
    bool drained = false;
  };
  Moment moment() const;  // loop thread
  AgentView view_of(AgentId id, const AgentState& state) const;
  std::optional<std::vector<AgentId>> find(const LocalFilter& filter, std::uint64_t after) const;

  Post post_;
  SidecarView view_;
  SharedAnswer<Live> live_;
};

Moment SidecarPages::moment() const {
  const app::SidecarDriver& driver = view_.driver;
  const auto& tracker = driver.core().tracker();
  return {driver.core().status(view_.clock.now()),
          view_.source(),
          driver.core().node(),
          driver.store_error(),
          driver.link_error(),
          tracker.agents().size(),
          tracker.open_sessions(),
          tracker.missing(),
          tracker.keepalive_us(),
          tracker.agent_timeout_us(),
          driver.core().takes_commands(),
          driver.core().commands(),
          view_.upkeep ? view_.upkeep() : Upkeep{}};
}

Response SidecarPages::healthz() const {
  return answered(
      post_, [this] { return moment(); },
      [](const Moment& m) {
        if (!m.store_error.empty()) {
          return json(
              {{"status", "failing"}, {"why", "the store cannot be written: " + m.store_error}},
              503);
        }
        if (m.missing > sidecar::Tracker::many_missing(m.agents)) {
          return json(
              {{"status", "degraded"},
               {"why", std::to_string(m.missing) + " agents are missing from the source at once"}});
        }
        return json({{"status", "ok"}});
      });
}

Response SidecarPages::readyz() const {
  return answered(
      post_, [this] { return why_not_ready(view_); },
      [](const std::vector<std::string>& why) { return readiness(why); });
}

Response SidecarPages::status() const {
  return answered(
      post_, [this] { return moment(); },
      [this](const Moment& m) { return json(status_json(m, view_.version)); });
}

Response SidecarPages::sync() const {
  return answered(
      post_, [this] { return moment(); }, [](const Moment& m) { return json(sync_json(m)); });
}

std::optional<Json> SidecarPages::live() {
  const auto now = live_.get();
  if (!now) return std::nullopt;
  return Json{{"daemon", "sidecar"},
              {"drained", now->drained},
              {"status", status_json(now->moment, view_.version)},
              {"sync", sync_json(now->moment)}};
}

AgentView SidecarPages::view_of(AgentId id, const AgentState& state) const {
  AgentView view{id, state, {}, {}};
  if (state.session) {
    const Now now = view_.clock.now();
    const auto& timeline = view_.driver.core().timeline();
    view.lo = timeline.at(state.session->evidence.lo, now);
    view.hi = timeline.at(state.session->evidence.hi, now);
  }
  return view;
}

// The ids behind `after` that the filter takes, in no order. The table is read in parts, so that
// many agents do not hold up the loop; if it was rebuilt in between, from the start. Nothing if the
// loop does not answer.
std::optional<std::vector<AgentId>> SidecarPages::find(const LocalFilter& filter,
                                                       std::uint64_t after) const {
  constexpr std::size_t kBucketsAtOnce = 8'192;
  struct Part {
    std::size_t buckets = 0;
    std::vector<AgentId> ids;
  };
  std::vector<AgentId> found;
  std::size_t from = 0, buckets = 0;
  do {
    auto part = ask(post_, [this, filter, after, from] {
      const auto& agents = view_.driver.core().tracker().agents();
      Part out{agents.bucket_count(), {}};
      const std::size_t end = std::min(out.buckets, from + kBucketsAtOnce);
      for (std::size_t bucket = from; bucket < end; ++bucket) {
        for (auto it = agents.begin(bucket); it != agents.end(bucket); ++it) {
          if (id_of(it->first) > after && filter.takes(it->second)) out.ids.push_back(it->first);
        }
      }
      return out;
    });
    if (!part) return std::nullopt;
    if (from > 0 && part->buckets != buckets) {
      found.clear();
      from = 0;
      buckets = part->buckets;
      continue;
    }
    buckets = part->buckets;
    found.insert(found.end(), part->ids.begin(), part->ids.end());
    from += kBucketsAtOnce;
  } while (from < buckets);
  return found;
}

Response SidecarPages::agents(const Request& request) const {
  Paging page;
  LocalFilter filter;
  auto parameters = paging(page);
  parameters.push_back(one_of<RowStatus>("status", filter.status,
                                         {{"never_connected", RowStatus::never_connected},
                                          {"pending", RowStatus::pending},
                                          {"active", RowStatus::active},
                                          {"disconnected", RowStatus::disconnected}}));
  parameters.push_back(one_of<Phase>(
      "session", filter.session,
      {{"open", Phase::open}, {"released", Phase::released}, {"closed", Phase::closed}}));
  if (auto refused = read_parameters(request, parameters)) return *std::move(refused);

  auto ids = find(filter, page.after);
  if (!ids) return busy();
  const bool more = ids->size() > page.limit;
  const std::size_t taken = std::min<std::size_t>(ids->size(), page.limit);
  std::ranges::partial_sort(*ids, ids->begin() + static_cast<std::ptrdiff_t>(taken));
  ids->resize(taken);
  const Json next = more ? Json(id_of(ids->back())) : Json(nullptr);

  struct Page {
    std::size_t total = 0;
    std::vector<AgentView> agents;
  };
  return answered(
      post_,
      [this, ids = *std::move(ids)] {
        const auto& agents = view_.driver.core().tracker().agents();
        Page out{agents.size(), {}};
        for (const AgentId id : ids) {
          // It may be gone by now.
          if (const auto it = agents.find(id); it != agents.end())
            out.agents.push_back(view_of(id, it->second));
        }
        return out;
      },
      [&next](const Page& p) {
        Json list = Json::array();
        for (const AgentView& agent : p.agents) list.push_back(agent_json(agent));
        return json({{"total", p.total}, {"next_after", next}, {"agents", std::move(list)}});
      });
}

Response SidecarPages::agent(const Request& request) const {
  if (auto refused = read_parameters(request, {})) return *std::move(refused);
  const auto id = agent_of(request.matches[0]);
  if (!id) return not_an_agent();
  return answered(
      post_,
      [this, id = *id]() -> std::optional<AgentView> {
        const auto& agents = view_.driver.core().tracker().agents();
        const auto it = agents.find(id);
        if (it == agents.end()) return std::nullopt;
        return view_of(id, it->second);
      },
      [](const std::optional<AgentView>& agent) {
        return agent ? json(agent_json(*agent))
                     : error_response(404, "no agent of this id is known here");
      });
}

Response SidecarPages::why(const Request& request) const {
  if (auto refused = read_parameters(request, {})) return *std::move(refused);
  const auto id = agent_of(request.matches[0]);
  if (!id) return not_an_agent();
  struct Found {
    AgentView agent;
    NodeName node;
    bool streaming = false;
  };
  return answered(
      post_,
      [this, id = *id]() -> std::optional<Found> {
        const auto& core = view_.driver.core();
        const auto it = core.tracker().agents().find(id);
        if (it == core.tracker().agents().end()) return std::nullopt;
        return Found{view_of(id, it->second), core.node(),
                     core.link() == SidecarCore::Link::streaming};
      },
      [](const std::optional<Found>& found) {
        return found ? json(why_json(found->agent, found->node, found->streaming))
                     : error_response(404, "no agent of this id is known here");
      });
}

class SidecarLive final : public Stream {
 public:
  explicit SidecarLive(std::shared_ptr<SidecarPages> pages) : pages_(std::move(pages)) {}
  bool starts_at_once() const override { return true; }
  Part next() override {
    // Nobody tells the server of news here, so it is asked twice a second.
    constexpr std::chrono::milliseconds kIdle{500};
    const auto now = pages_->live();
    return {.text = now ? event_text("now", *now) : busy_event(), .idle = kIdle};
  }
  std::string farewell(std::string_view unsent, std::string_view why) const override {
    return whole_events(unsent, why);
  }

 private:
  std::shared_ptr<SidecarPages> pages_;
};

}  // namespace

void add_sidecar_pages(HttpServer& server, Post post, SidecarView view) {
  add_handoff_page(server, post, view);
  add_sidecar_metrics(server, post, view);
  const auto pages = std::make_shared<SidecarPages>(std::move(post), std::move(view));
  add_page(server, "/healthz", [pages] { return pages->healthz(); });
  add_page(server, "/readyz", [pages] { return pages->readyz(); });
  add_page(server, "/status", [pages] { return pages->status(); });
  add_page(server, "/sync", [pages] { return pages->sync(); });
  server.route("GET", "/live", [pages](const Request& request) {
    if (auto refused = read_parameters(request, {})) return *std::move(refused);
    return live_response(std::make_shared<SidecarLive>(pages));
  });
  add_web_page(server, "sidecar.html");
  server.route("GET", "/agents", [pages](const Request& r) { return pages->agents(r); });
  server.route("GET", "/agents/{}", [pages](const Request& r) { return pages->agent(r); });
  server.route("GET", "/agents/{}/why", [pages](const Request& r) { return pages->why(r); });
}

}  // namespace rollcall::inspect
