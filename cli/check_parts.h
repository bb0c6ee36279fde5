#pragma once
// What `rollcall check` looks at, each in the way in which the daemon will meet it. `rollcall
// support` packs the same.
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "app/config.h"
#include "cli/findings.h"

namespace rollcall::cli {

// Whose file this is shows in it.
using AnyConfig = std::variant<app::SidecarConfig, app::MasterConfig>;
std::expected<AnyConfig, Error> load_any_config(const std::string& file);
// The ini files of the daemons that are set up on this machine.
std::vector<std::string> usual_configs();

// The user that the daemon runs as. Whoever calls as root looks with that user's rights.
struct DaemonUser {
  std::string name;
  bool is_other = false;  // than the one who calls
};
DaemonUser daemon_user(const std::string& wanted);

// Runs `probe` in a child with the rights of that user, and returns its errno; 0: it went well.
int as_user(const DaemonUser& user, const std::function<int()>& probe);

// A page of the daemon on this machine; nothing if it does not answer, or not with JSON.
std::optional<Json> local_page(const app::InspectConfig& inspect, const std::string& path);

struct CheckedDaemon {
  std::string program;  // "rollcalld"
  std::string unit;     // of systemd
  std::string file;     // its configuration
  DaemonUser user;
};
void check_certificates(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config,
                        std::chrono::system_clock::time_point now);
void check_clock(Findings& findings, const std::optional<Json>& sidecars_status);
void check_disk(Findings& findings, const CheckedDaemon& daemon, const std::string& folder,
                std::uint64_t wanted_bytes);
void check_wazuh(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config);
void check_master_port(Findings& findings, const AnyConfig& config);
void check_running(Findings& findings, const CheckedDaemon& daemon,
                   const app::InspectConfig& inspect);

// All of these, for the daemon of this file.
Findings check_daemon(const std::string& file, const std::string& user);

}  // namespace rollcall::cli
