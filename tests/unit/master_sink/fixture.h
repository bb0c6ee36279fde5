// A sink beside a stand-in for wazuh-db, and the decided table that it reads. Times are seconds of
// the master's machine, whose clock wazuh-db shares.
#pragma once
#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "master/sink/sink_core.h"
#include "tests/support/standin_wazuhdb.h"
#include "tests/unit/master/fixture.h"

namespace rollcall::master::test {

using ::rollcall::testing::HttpReply;
using ::rollcall::testing::StandinWazuhDb;
using ::rollcall::testing::WazuhFlavour;

using TableOfTexts = std::map<std::string, std::string>;

inline SinkCore::Config correcting() {
  SinkCore::Config config;
  config.mode = SinkMode::correct;
  return config;
}

class Rig {
 public:
  explicit Rig(SinkCore::Config config = correcting(), WazuhFlavour flavour = WazuhFlavour::k4_14)
      : flavour_(flavour), db_(flavour, seconds()), sink_(std::move(config)) {
    sink_.connected(at(now));
  }

  double now = 1000;
  std::set<NodeName> proven = {"w1", "w2"};
  std::set<AgentId> unsettled;
  std::optional<std::string> stream_says;  // instead of the stand-in, to what writes
  std::optional<Error> http_says;
  std::vector<std::string> asked, posted;

  // ---- what the workers' sidecars told

  void decided(const NodeName& node, Event e) {
    Decided d;
    d.node = node;
    d.first_seq = ++seq_[node];
    d.position = d.first_seq;
    d.at = master_time(now);
    d.events = {std::move(e)};
    LogRecord record = std::move(d);
    ASSERT_TRUE(state_.apply(record));
    ++events_;
  }
  // Since `s`, with what Wazuh says of the agent there.
  void connects(std::uint32_t agent, const NodeName& node, double s, AgentInfo info = {}) {
    for (const auto& [key, value] : fields(agent, node)) {
      if (!info.contains(key)) info.insert_or_assign(key, value);
    }
    decided(node, with_info(opened(agent, s), info));
  }
  void leaves(std::uint32_t agent, const NodeName& node, double since, double s,
              Reason reason = Reason::shutdown) {
    Event e = closed(agent, since, 1, s);
    e.reason = reason;
    decided(node, e);
  }

  // ---- what Wazuh's own sync wrote, or would

  static TableOfTexts fields(std::uint32_t agent, const NodeName& node) {
    return {{"ip", "10.0.0." + std::to_string(agent)},
            {"os_name", "Ubuntu"},
            {"os_version", "22.04.3 LTS"},
            {"os_major", "22"},
            {"os_minor", "04"},
            {"os_codename", "Jammy Jellyfish"},
            {"os_build", ""},
            {"os_platform", "ubuntu"},
            {"os_uname", "Linux"},
            {"os_arch", "x86_64"},
            {"version", "Wazuh v4.14.7"},
            {"config_sum", "ab73af41699f13fdd81903b5f23d8d00"},
            {"merged_sum", "4a8724b20dee0124ff9656783c490c4e"},
            {"manager_host", node + "-host"},
            {"group_config_status", "synced"},
            {"label.site", "lab"}};
  }
  void enroll(std::uint32_t agent) {
    tell("global insert-agent " + nlohmann::json{{"id", agent},
                                                 {"name", "agent-" + std::to_string(agent)},
                                                 {"ip", "any"},
                                                 {"date_add", 1}}
                                      .dump());
  }
  // A worker's full row, as it was at `s`.
  void syncs(std::uint32_t agent, const NodeName& node, const char* status, double s,
             const TableOfTexts& more = {}) {
    nlohmann::json row = {{"id", agent},
                          {"name", "agent-" + std::to_string(agent)},
                          {"node_name", node},
                          {"connection_status", status},
                          {"last_keepalive", seconds(s)},
                          {"disconnection_time", 0},
                          {"status_code", 0}};
    auto all = fields(agent, node);
    for (const auto& [key, value] : more) all[key] = value;
    row["labels"] = nlohmann::json::array();
    for (const auto& [key, value] : all) {
      if (key.starts_with("label."))
        row["labels"].push_back({{"id", agent}, {"key", key.substr(6)}, {"value", value}});
      else
        row[key] = value;
    }
    if (flavour_ == WazuhFlavour::k4_11)
      tell("global sync-agent-info-set [" + row.dump() + "]");
    else
      put({{"syncreq", {row}}});
  }
  void syncs_keepalive(std::uint32_t agent) {
    put({{"syncreq_keepalive", {{{"id", agent}, {"version", "Wazuh v4.14.7"}}}}});
  }
  void syncs_status(std::uint32_t agent, const char* status) {
    put({{"syncreq_status",
          {{{"id", agent},
            {"version", "Wazuh v4.14.7"},
            {"connection_status", status},
            {"disconnection_time", seconds()},
            {"status_code", 3}}}}});
  }
  void put(const nlohmann::json& body) {
    ASSERT_EQ(db_.handle_http("POST", "/v1/agents/sync", body.dump(), seconds()).status, 200);
  }
  void sql(const std::string& statement) { tell("global sql " + statement); }

  // ---- the sink

  // Everything that it does at this moment.
  void tick() { run(sink_.tick(view(), at(now))); }
  void run(SinkCore::Order order) {
    for (int i = 0; i < 10'000; ++i) {
      if (const auto* ask = std::get_if<SinkCore::Ask>(&order)) {
        asked.push_back(ask->text);
        ASSERT_LE(ask->text.size(), wazuh::kMaxRequestBytes);
        const bool writes = ask->text.starts_with("global sync-agent-info-set");
        if (writes) posted.push_back(ask->text);
        order =
            sink_.replied(writes && stream_says ? *stream_says : db_.handle(ask->text, seconds()),
                          view(), at(now));
        ASSERT_FALSE(db_.seen().sql_changes);
        ASSERT_FALSE(db_.seen().reads_secret);
      } else if (const auto* post = std::get_if<SinkCore::Post>(&order)) {
        posted.push_back(post->body);
        order = sink_.posted(answer(post->body), view(), at(now));
      } else {
        for (auto& note : sink_.take_notes()) notes.push_back(std::move(note));
        return;
      }
    }
    FAIL() << "the round does not end";
  }
  // Until so many seconds later, ten times a second.
  void pass(double s) {
    for (const double until = now + s; now < until;) {
      now += 0.1;
      tick();
    }
  }
  DecidedView view() {
    return {state_, master_time(now), events_,
            [this](const NodeName& node) { return proven.contains(node); },
            [this](AgentId agent) { return unsettled.contains(agent); }};
  }
  SinkCore& sink() { return sink_; }
  StandinWazuhDb& db() { return db_; }
  const State& state() const { return state_; }

  // The whole row, with labels.
  TableOfTexts row(std::uint32_t agent) {
    TableOfTexts out;
    const auto rows = rows_of("SELECT * FROM agent WHERE id=" + std::to_string(agent));
    for (const auto& [key, value] : rows.at(0).items()) {
      if (key != "sync_status")
        out[key] = value.is_string() ? value.get<std::string>() : value.dump();
    }
    for (const auto& label :
         rows_of("SELECT key,value FROM labels WHERE id=" + std::to_string(agent)))
      out["label." + label["key"].get<std::string>()] = label["value"];
    return out;
  }
  std::string shows(std::uint32_t agent) {
    const auto r = row(agent);
    return r.at("connection_status") + " on " + r.at("node_name");
  }
  std::int64_t seconds(double s) const { return kWall + static_cast<std::int64_t>(s); }
  std::int64_t seconds() const { return seconds(now); }

  std::vector<Note> notes;

 private:
  void tell(const std::string& request) {
    const std::string reply = db_.handle(request, seconds());
    ASSERT_TRUE(reply.starts_with("ok")) << request << ": " << reply;
  }
  nlohmann::json rows_of(const std::string& select) {
    return nlohmann::json::parse(db_.handle("global sql " + select, seconds()).substr(3));
  }
  std::expected<void, Error> answer(const std::string& body) {
    if (http_says) return std::unexpected(*http_says);
    const HttpReply reply = db_.handle_http("POST", "/v1/agents/sync", body, seconds());
    if (reply.status == 200) return {};
    return std::unexpected(Error{"status " + std::to_string(reply.status)});
  }

  const WazuhFlavour flavour_;
  StandinWazuhDb db_;
  SinkCore sink_;
  State state_;
  std::map<NodeName, std::uint64_t> seq_;
  std::uint64_t events_ = 0;
};

}  // namespace rollcall::master::test
