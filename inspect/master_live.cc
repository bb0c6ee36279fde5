// What the master's web page follows: how the cluster stands, again and again, as one stream.
//
// Readers cost the loop one small question at a time, however many they are and however much
// happens: all of them share what it answered a moment ago. A part has what changed about the
// workers since the reader's last one, and the newest entries of the feed; in a storm it says how
// many it left out. While the loop does not answer, a part says that it is busy.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "inspect/master_json.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"
#include "inspect/shared_answer.h"

namespace rollcall::inspect {
namespace {

using master::FeedEntry;
using master::LeaseStatus;
using namespace std::chrono_literals;

constexpr std::size_t kMostEntries = 200;  // of the feed, in one part
constexpr std::size_t kFirstEntries = 30;  // that came before the reader did
constexpr auto kPause = 300ms;             // between two parts, however much happens
constexpr auto kIdle = 1'000ms;            // and if nothing does
constexpr std::int64_t kSecondUs = 1'000'000;

struct LiveWorker {
  NodeName name;
  master::MasterCore::NodeStatus status;
  std::size_t on_top = 0, open_sessions = 0;
  master::MoveRates::Rates rates;
};

struct LiveMoment {
  std::int64_t master_us = 0;
  Json status;
  std::size_t under_way = 0;  // migrations
  std::vector<LiveWorker> workers;
  std::uint64_t last = 0;                                  // of the feed
  std::vector<std::pair<FeedEntry, std::string>> entries;  // the newest, with the agents' names
};

std::string name_of(const AgentRecord* agent) {
  if (agent == nullptr || !agent->info) return "";
  const auto name = agent->info->find("name");
  return name == agent->info->end() ? "" : std::string(name->second);
}

// Loop thread.
LiveMoment live_moment_of(const MasterView& view) {
  auto& core = view.driver.core();
  const Now now = view.clock.now();
  LiveMoment m;
  m.status = status_json(view);
  m.master_us = core.time(now).us;
  m.under_way = core.state().migrations().under_way();
  for (const auto& [name, log] : core.state().nodes()) {
    m.workers.push_back({name, core.node_status(name, now), log.on_top, log.open.size(),
                         core.move_rates().of(name, now.mono_us)});
  }
  const master::Feed& feed = core.feed();
  m.last = feed.last();
  const std::uint64_t begin = m.last > kMostEntries ? m.last - kMostEntries : 0;
  for (FeedEntry& entry : feed.after(std::max(begin, feed.first() - 1), kMostEntries)) {
    std::string name = name_of(core.state().find(entry.agent));
    m.entries.emplace_back(std::move(entry), std::move(name));
  }
  return m;
}

using LiveMoments = SharedAnswer<LiveMoment>;

// A moment so long ago, in whole seconds: what goes on does not change it all the time.
Json ago_json(std::int64_t master_us, std::optional<std::int64_t> us) {
  if (!us || master_us == 0) return nullptr;
  return (master_us - *us + kSecondUs / 2) / kSecondUs * kSecondUs;
}

Json worker_json(const LiveWorker& w, std::int64_t master_us) {
  const LeaseStatus lease = w.status.lease.status;
  const bool expired = lease == LeaseStatus::expired, valid = lease == LeaseStatus::valid;
  const std::size_t offered = valid ? std::min(w.status.offered, w.on_top) : 0;
  const auto left =
      valid || !w.status.lease_left_us ? std::nullopt : std::optional(-*w.status.lease_left_us);
  Json j = {
      {"node", w.name},
      {"connected", w.status.connected},
      {"address", or_null(w.status.address)},
      {"software", or_null(w.status.software)},
      {"active", valid ? w.on_top - offered : 0},
      {"migrating", offered},
      {"unreachable", valid || expired ? 0 : w.on_top},
      {"disconnected", expired ? w.on_top : 0},
      {"open_sessions", w.open_sessions},
      {"lease", lease_json(w.status)},
      {"expires", ago_json(master_us, left)},
      {"frozen_until", time_json(w.status.frozen_until)},
      {"away", nullptr},
      {"agreement", w.status.agreement == Agreement::unknown ? Json(nullptr)
                                                             : Json(to_string(w.status.agreement))},
      {"agreed", ago_json(master_us, w.status.agreed_ago_us)},
      {"connected_since", nullptr},
      {"heard", nullptr},
      {"blind", w.status.connected && w.status.blind},
      {"came_last_minute", w.rates.came_last_minute},
      {"left_last_minute", w.rates.left_last_minute}};
  j["lease"].erase("left_us");  // it changes all the time; "expires" says when it matters
  if (w.status.away) j["away"] = to_string(w.status.away->reason);
  if (w.status.connected) {
    j["connected_since"] = ago_json(master_us, w.status.connected_for_us);
    j["heard"] = ago_json(master_us, w.status.silent_for_us);
  }
  return j;
}

class MasterLive final : public Stream {
 public:
  explicit MasterLive(std::shared_ptr<LiveMoments> moments) : moments_(std::move(moments)) {}

  bool starts_at_once() const override { return true; }

  Part next() override {
    const auto moment = moments_->get();
    if (!moment) return {busy_event(), seen_, false, kPause, kIdle};
    Json j;
    j["daemon"] = "master";
    j["now"] = moment->master_us;
    j["whole"] = !begun_;
    j["status"] = moment->status;
    j["migrations_under_way"] = moment->under_way;
    add_workers(*moment, j);
    add_entries(*moment, j);
    begun_ = true;
    seen_ = moment->last;
    return {event_text("now", j), seen_, false, kPause, kIdle};
  }

  std::string farewell(std::string_view unsent, std::string_view why) const override {
    return whole_events(unsent, why);
  }

 private:
  void add_workers(const LiveMoment& moment, Json& j) {
    Json changed = Json::array(), gone = Json::array();
    std::map<NodeName, std::string> said;
    for (const LiveWorker& worker : moment.workers) {
      Json one = worker_json(worker, moment.master_us);
      std::string text = one.dump(-1, ' ', false, Json::error_handler_t::replace);
      const auto before = said_.find(worker.name);
      if (before == said_.end() || before->second != text) changed.push_back(std::move(one));
      said.emplace(worker.name, std::move(text));
    }
    for (const auto& [name, text] : said_) {
      if (!said.contains(name)) gone.push_back(name);
    }
    said_ = std::move(said);
    j["nodes"] = std::move(changed);
    j["gone"] = std::move(gone);
  }

  void add_entries(const LiveMoment& moment, Json& j) {
    Json list = Json::array();
    if (!begun_) seen_ = moment.last - std::min<std::uint64_t>(moment.last, kFirstEntries);
    std::uint64_t shown = 0;
    for (const auto& [entry, name] : moment.entries) {
      if (entry.seq <= seen_) continue;
      Json one = feed_json(entry);
      one["name"] = or_null(name);
      list.push_back(std::move(one));
      ++shown;
    }
    // Before the reader came nothing is missing, whatever is not kept.
    const std::uint64_t passed = moment.last - std::min(seen_, moment.last);
    j["skipped"] = begun_ ? passed - std::min(passed, shown) : 0;
    j["events"] = std::move(list);
  }

  std::shared_ptr<LiveMoments> moments_;
  bool begun_ = false;
  std::uint64_t seen_ = 0;
  std::map<NodeName, std::string> said_;
};

}  // namespace

void add_master_live(HttpServer& server, Post post, MasterView view) {
  const auto moments = std::make_shared<LiveMoments>(
      std::move(post), [view = std::move(view)] { return live_moment_of(view); });
  server.route("GET", "/live", [moments](const Request& request) {
    if (auto refused = read_parameters(request, {})) return *std::move(refused);
    return live_response(std::make_shared<MasterLive>(moments));
  });
}

}  // namespace rollcall::inspect
