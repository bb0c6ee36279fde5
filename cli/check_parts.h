#pragma once
// What `rollcall check` looks at, each in the way in which the daemon will meet it. `rollcall
// support` packs the same.
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/any_config.h"
#include "cli/findings.h"
#include "cli/mend.h"
#include "cli/progress.h"

namespace rollcall::cli {

// The ini files of the daemons that are set up on this machine.
std::vector<std::string> usual_configs();

DaemonUser daemon_user(const std::string& wanted);
CheckedDaemon checked_daemon(const std::string& file, const AnyConfig& config,
                             const DaemonUser& user);

// Runs `probe` in a child with the rights of that user, and returns its errno; 0: it went well.
int as_user(const DaemonUser& user, const std::function<int()>& probe);

// errno; `missing` mends it if the file is not there. What is well is not told.
int check_readable(Findings& findings, const CheckedDaemon& daemon, const std::string& what,
                   const std::string& path, const std::string& missing);

void check_certificates(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config,
                        std::chrono::system_clock::time_point now);

// What the kernel says of this machine's clock.
struct KernelClock {
  std::string unknown;  // why it says nothing
  bool synchronised = false;
  std::int64_t within_us = 0;
};
KernelClock kernel_clock();
void check_clock(Findings& findings, const KernelClock& kernel,
                 const std::optional<Json>& sidecars_status);

// The folder of the state, and how much it may come to hold, by a key of [store].
struct StateFolder {
  std::string path;
  std::uint64_t wanted_bytes = 0;
  std::string key;
};
void check_disk(Findings& findings, const CheckedDaemon& daemon, const StateFolder& folder);

void check_wazuh(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config);
void check_master_port(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config);
// Whether the running sidecar was let in: the master judges more than its certificate.
void check_link(Findings& findings, const CheckedDaemon& daemon, const app::SidecarConfig& config,
                const Json& status);
// Its /readyz; nothing if it did not answer.
void check_running(Findings& findings, const CheckedDaemon& daemon,
                   const app::InspectConfig& inspect, const std::optional<Json>& ready);

// All of these, for the daemon of this file; so many steps.
inline constexpr std::uint64_t kCheckSteps = 6;
Findings check_daemon(const std::string& file, const std::string& user, Steps& steps);

}  // namespace rollcall::cli
