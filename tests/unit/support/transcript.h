// The recorded requests and replies of real wazuh-db daemons, as a test reads them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/standin_wazuhdb.h"

namespace rollcall::testing {

struct TranscriptEntry {
  std::string step;
  std::int64_t now_seconds = 0;
  std::string request;
  nlohmann::json raw;  // `reply`, or `length`, `begins`, `ends`; `body` and `status` for HTTP

  bool is_write() const { return step == "write"; }
  bool is_http() const { return raw.contains("status"); }
  bool is_cut() const { return raw.contains("length"); }
};

inline std::vector<TranscriptEntry> read_transcript(const std::string& version) {
  const std::string path =
      std::string(ROLLCALL_SOURCE_DIR) + "/tests/data/transcript-" + version + ".jsonl";
  std::ifstream file(path);
  std::vector<TranscriptEntry> entries;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json raw = nlohmann::json::parse(line);
    entries.push_back({raw.at("step"),
                       static_cast<std::int64_t>(std::floor(raw.at("at").get<double>())),
                       raw.at("request"), raw});
  }
  if (entries.empty()) {
    std::cerr << "no transcript in " << path << "\n";
    std::abort();
  }
  return entries;
}

// The recorder enrolled and connected these between two entries, without writing it down.
inline void connect_800_agents(StandinWazuhDb& db, int first_id, std::int64_t now_seconds) {
  for (int id = first_id; id < first_id + 800; ++id) {
    const std::string number = std::to_string(id);
    const std::string sync = db.flavour() == WazuhFlavour::k4_11 ? "syncreq" : "syncreq_status";
    db.handle("global insert-agent {\"id\":" + number + ",\"name\":\"agent-" + number +
                  "\",\"ip\":\"any\",\"register_ip\":\"any\",\"internal_key\":\"0\","
                  "\"group\":\"default\",\"date_add\":1700000000}",
              now_seconds);
    db.handle("global update-keepalive {\"id\":" + number +
                  ",\"connection_status\":\"pending\",\"sync_status\":\"" + sync + "\"}",
              now_seconds);
    db.handle("global update-agent-data {\"id\":" + number +
                  ",\"os_name\":\"Ubuntu\",\"os_platform\":\"ubuntu\",\"os_uname\":\"Linux |host "
                  "|5.15.0-91-generic |#101-Ubuntu SMP |x86_64\",\"version\":\"Wazuh v4.14.7\","
                  "\"node_name\":\"worker-1\",\"agent_ip\":\"10.0.0.8\",\"connection_status\":"
                  "\"active\",\"sync_status\":\"syncreq\",\"group_config_status\":\"synced\","
                  "\"labels\":\"site:lab\"}",
              now_seconds);
  }
}

}  // namespace rollcall::testing
