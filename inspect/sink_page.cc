// What the master's sink found and wrote.
#include <algorithm>
#include <utility>
#include <vector>

#include "inspect/master_json.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

using master::SinkCore;

Json withheld_json(const SinkCore::Status& status) {
  Json j = Json::object();
  for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(master::kLastWithheld); ++i) {
    const master::Withheld why{i};
    const auto n = status.withheld.find(why);
    j[to_string(why)] = n == status.withheld.end() ? 0 : n->second;
  }
  return j;
}

Json report_json(const SinkCore::Report& r) {
  Json before = Json::object(), after = Json::object();
  for (const auto& change : r.changes) {
    before[change.field] = change.before;
    after[change.field] = change.after;
  }
  return {{"number", r.number},
          {"round", r.round},
          {"at", r.at.us},
          {"agent", id_of(r.agent)},
          {"written", r.written},
          {"error", or_null(r.error)},
          {"by", to_string(r.kind)},
          {"decided", version_json(r.decided)},
          {"before", std::move(before)},
          {"after", std::move(after)}};
}

}  // namespace

Json sink_json(const SinkCore& sink) {
  const auto s = sink.status();
  Json j;
  j["mode"] = to_string(s.mode);
  j["error"] = or_null(s.error);
  j["wazuh"] = or_null(s.wazuh);
  j["write"] = s.write == master::SinkWrite::http ? "http" : "stream";
  j["own_node"] = or_null(s.own_node);
  j["rounds"] = s.rounds;
  j["failures"] = s.failures;
  j["written"] = s.written;
  j["observed"] = s.observed;
  j["refused"] = s.refused;
  j["rows"] = s.rows;
  j["differing"] = s.differing;
  j["withheld"] = withheld_json(s);
  j["round_us"] = s.round_us;
  return j;
}

void add_sink_page(HttpServer& server, Post post, std::function<const SinkCore&()> sink) {
  struct Found {
    Json status;
    std::vector<SinkCore::Report> reports;
  };
  server.route("GET", "/sink", [post = std::move(post), sink = std::move(sink)](const Request& r) {
    Paging page;
    if (auto refused = read_parameters(r, paging(page))) return *std::move(refused);
    return answered(
        post,
        [&sink, page] {
          const SinkCore& core = sink();
          Found found{sink_json(core), {}};
          const auto& all = core.reports();
          auto it = std::ranges::upper_bound(all, page.after, {}, &SinkCore::Report::number);
          for (; it != all.end() && found.reports.size() < page.limit; ++it)
            found.reports.push_back(*it);
          return found;
        },
        [](Found found) {
          Json list = Json::array();
          for (const auto& report : found.reports) list.push_back(report_json(report));
          found.status["corrections"] = std::move(list);
          return json(found.status);
        });
  });
}

}  // namespace rollcall::inspect
