#include "cli/check_parts.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cli/local_page.h"
#include "inspect/daemon_metrics.h"

namespace rollcall::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr double kFarOffSeconds = 10;
constexpr auto kSlowSync = milliseconds(100);

std::string reason(int error) {
  return std::strerror(error);
}

std::string size_text(std::uint64_t bytes) {
  const std::uint64_t mib = bytes >> 20;
  return mib >= 10'240 ? std::to_string(mib >> 10) + " GiB" : std::to_string(mib) + " MiB";
}

int try_to_read(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno;
  ::close(file);
  return 0;
}

int try_to_connect(const std::string& path, int type) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
  path.copy(address.sun_path, path.size());
  const int socket = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return errno;
  const int failed =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ? errno
                                                                                          : 0;
  ::close(socket);
  return failed == EAGAIN ? 0 : failed;  // somebody listens, and is busy
}

// Writes a file there, durably, and removes it.
int try_to_store(const std::string& folder) {
  const std::string path = folder + "/.rollcall-check." + std::to_string(::getpid());
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return errno;
  int error = 0;
  if (::write(file, "check\n", 6) != 6 || ::fsync(file) != 0) error = errno == 0 ? EIO : errno;
  ::close(file);
  ::unlink(path.c_str());
  return error;
}

// The folder itself, or the nearest one above it that is there.
fs::path nearest(fs::path folder) {
  std::error_code none;
  while (!fs::exists(folder, none) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

// The first folder on the way to a file that this user cannot pass; empty if there is none.
std::string closed_folder(const DaemonUser& user, const fs::path& file) {
  fs::path folder;
  for (const auto& part : file.parent_path()) {
    folder /= part;
    if (as_user(user, [&] { return ::access(folder.c_str(), X_OK) == 0 ? 0 : errno; }) == EACCES)
      return folder;
  }
  return "";
}

// The command that lets this user read the file.
std::string let_read(const DaemonUser& user, const std::string& path) {
  const std::string closed = closed_folder(user, path);
  const std::string what = shell_word(closed.empty() ? path : closed);
  return "chgrp " + shell_word(user.group) + " " + what + " && chmod " +
         (closed.empty() ? "g+r " : "g+x ") + what;
}

void judge_socket(Findings& findings, const CheckedDaemon& daemon, const std::string& what,
                  const std::string& path, int type) {
  const int error = as_user(daemon.user, [&] { return try_to_connect(path, type); });
  if (error == 0) return findings.good(what, path);
  std::string mend = "systemctl start wazuh-manager";
  if (error == EACCES || error == EPERM)
    mend = "usermod -aG wazuh " + shell_word(daemon.user.name) + " && systemctl restart " +
           daemon.unit;
  findings.wrong(
      what, path + " cannot be reached by " + daemon.user.name + " (" + reason(error) + ")", mend);
}

// Whether the unit makes this folder when the daemon is started for the first time.
bool comes_with_first_start(const CheckedDaemon& daemon, const fs::path& folder) {
  std::error_code none;
  if (daemon.state.empty() || fs::exists(folder, none)) return false;
  const fs::path state = daemon.state;
  return std::ranges::mismatch(state, folder).in1 == state.end();
}

std::string mend_of_store(const CheckedDaemon& daemon, const std::string& folder, int error) {
  const std::string user = shell_word(daemon.user.name);
  if (error == ENOSPC || error == EDQUOT)
    return noted("du -xh " + shell_word(nearest(folder).string()) + " | sort -h | tail -n 30",
                 "make room there");
  if (error == EROFS) {
    return "mount -o remount,rw \"$(findmnt -no TARGET -T " + shell_word(nearest(folder).string()) +
           ")\"";
  }
  std::error_code none;
  if (fs::exists(folder, none))
    return "chown -R " + user + ": " + shell_word(folder) + " && chmod 700 " + shell_word(folder);
  return "install -d -m 700 -o " + user + " -g " + shell_word(daemon.user.group) + " " +
         shell_word(folder);
}

// The line that a fault of a configuration names, "file:7: ..."; 0 if it names none.
int line_of(const std::string& fault, const std::string& file) {
  int line = 0;
  if (fault.starts_with(file + ":"))
    std::from_chars(fault.data() + file.size() + 1, fault.data() + fault.size(), line);
  return line;
}

}  // namespace

std::vector<std::string> usual_configs() {
  std::vector<std::string> found;
  std::error_code none;
  for (const char* file :
       {"/etc/rollcall/rollcall-sidecar.ini", "/etc/rollcall/rollcall-master.ini"}) {
    if (fs::exists(file, none)) found.emplace_back(file);
  }
  return found;
}

DaemonUser daemon_user(const std::string& wanted) {
  const auto group_of = [](gid_t id) {
    const auto* group = ::getgrgid(id);
    return group != nullptr ? std::string(group->gr_name) : std::to_string(id);
  };
  const auto* self = ::getpwuid(::geteuid());
  const DaemonUser me{self != nullptr ? self->pw_name : std::to_string(::geteuid()),
                      group_of(::getegid()), false};
  if (::geteuid() != 0) return me;
  const std::string name = wanted.empty() ? "rollcall" : wanted;
  const auto* other = ::getpwnam(name.c_str());
  if (other == nullptr || other->pw_uid == 0) return me;
  return {name, group_of(other->pw_gid), true};
}

CheckedDaemon checked_daemon(const std::string& file, const AnyConfig& config,
                             const DaemonUser& user) {
  CheckedDaemon daemon;
  daemon.file = file;
  daemon.user = user;
  if (const auto* sidecar = std::get_if<app::SidecarConfig>(&config)) {
    daemon.program = "rollcalld";
    daemon.unit = "rollcall-sidecar";
    daemon.node = sidecar->node.name;
    daemon.tls = sidecar->tls;
    daemon.state = app::SidecarConfig{}.store.path;
  } else {
    const auto& master = std::get<app::MasterConfig>(config);
    daemon.program = daemon.unit = "rollcall-master";
    daemon.node = master.node.name;
    daemon.tls = master.tls;
    daemon.state = app::MasterConfig{}.store.path;
  }
  return daemon;
}

int as_user(const DaemonUser& user, const std::function<int()>& probe) {
  if (!user.is_other) return probe();
  const auto* wanted = ::getpwnam(user.name.c_str());
  if (wanted == nullptr) return ESRCH;
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) {
    const bool dropped = ::initgroups(wanted->pw_name, wanted->pw_gid) == 0 &&
                         ::setgid(wanted->pw_gid) == 0 && ::setuid(wanted->pw_uid) == 0;
    ::_exit(dropped ? probe() : errno);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

int check_readable(Findings& findings, const CheckedDaemon& daemon, const std::string& what,
                   const std::string& path, const std::string& missing) {
  const int error = as_user(daemon.user, [&] { return try_to_read(path); });
  if (error != 0) {
    findings.wrong(what,
                   path + " cannot be read by " + daemon.user.name + " (" + reason(error) + ")",
                   error == ENOENT ? missing : let_read(daemon.user, path));
  }
  return error;
}

KernelClock kernel_clock() {
  timex state{};
  const int said = ::adjtimex(&state);
  if (said < 0) return {reason(errno)};
  return {"", said != TIME_ERROR && (state.status & STA_UNSYNC) == 0, state.maxerror};
}

void check_clock(Findings& findings, const KernelClock& kernel,
                 const std::optional<Json>& sidecars_status) {
  if (!kernel.unknown.empty()) {
    findings.skipped("clock",
                     "the kernel does not say whether it is synchronised (" + kernel.unknown + ")");
  } else if (!kernel.synchronised) {
    findings.warning("clock", "the clock of this machine is not synchronised with others",
                     "timedatectl set-ntp true");
  } else {
    findings.good("clock",
                  "synchronised, within " + std::to_string(kernel.within_us / 1'000) + " ms");
  }
  if (!sidecars_status) return;
  const Json& clock = field(*sidecars_status, "clock");
  const Json& offset = field(clock, "offset_us");
  if (!offset.is_number()) {
    return findings.skipped("master's clock", "not known until rollcalld is connected");
  }
  const double seconds = offset.get<double>() / 1e6;
  char text[96];
  std::snprintf(text, sizeof text, "the master's clock is %.3f s %s this one", std::abs(seconds),
                seconds < 0 ? "behind" : "ahead of");
  if (std::abs(seconds) < kFarOffSeconds) return findings.good("master's clock", text);
  findings.warning("master's clock", std::string(text) + "; certificates are judged by each one's",
                   noted("timedatectl set-ntp true", "on both machines"));
}

void check_disk(Findings& findings, const CheckedDaemon& daemon, const StateFolder& folder) {
  const fs::path there = nearest(folder.path);
  struct statvfs space {};
  if (::statvfs(there.c_str(), &space) != 0) {
    return findings.wrong("disk", folder.path + ": " + reason(errno),
                          edit_and_restart(daemon, "[store] path = a folder that can be used"));
  }
  // What the folder holds is no longer needed of what is free.
  const auto held = static_cast<std::uint64_t>(inspect::bytes_in(folder.path));
  const std::uint64_t wanted = folder.wanted_bytes - std::min(held, folder.wanted_bytes);
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  const std::string room = folder.path + ": " + size_text(free) + " are free, up to " +
                           size_text(wanted) + " more may be needed";
  const std::string mend =
      edit_and_restart(daemon, "a smaller [store] " + folder.key + "; or make room: du -xh " +
                                   shell_word(there.string()) + " | sort -h | tail");
  if (free < wanted / 10) {
    findings.wrong("disk", room, mend);
  } else if (free < wanted) {
    findings.warning("disk", room, mend);
  } else {
    findings.good("disk", room);
  }
  if (comes_with_first_start(daemon, folder.path))
    return findings.skipped("disk", folder.path + " is made at the first start");
  const auto began = std::chrono::steady_clock::now();
  const int error = as_user(daemon.user, [&] { return try_to_store(there.string()); });
  const auto took =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
  if (error != 0) {
    return findings.wrong(
        "disk",
        there.string() + " cannot be written by " + daemon.user.name + " (" + reason(error) + ")",
        mend_of_store(daemon, folder.path, error));
  }
  const std::string speed = "a durable write takes " + std::to_string(took.count()) + " ms";
  if (took < kSlowSync) return findings.good("disk", speed);
  findings.warning("disk", speed + ", and each decision waits for one",
                   edit_and_restart(daemon, "[store] path = a folder on a local disk"));
}

void check_wazuh(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config) {
  if (const auto* master = std::get_if<app::MasterConfig>(&config)) {
    if (master->sink.mode == app::MasterConfig::SinkMode::Off)
      return findings.skipped("wazuh-db", "[sink] mode is off");
    return judge_socket(findings, daemon, "wazuh-db", master->sink.wazuh_db, SOCK_STREAM);
  }
  const auto& source = std::get<app::SidecarConfig>(config).source;
  if (source.type == app::SidecarConfig::SourceType::Events) {
    // Its socket is the daemon's own, who makes it.
    const std::string folder = fs::path(source.events_socket).parent_path();
    return findings.skipped("events", "events come to " + source.events_socket + " in " + folder);
  }
  judge_socket(findings, daemon, "wazuh-db", source.wazuh_db, SOCK_STREAM);
  if (source.agent_socket.empty())
    return findings.skipped("agents", "[source] agent_socket is none: nobody can be restarted");
  judge_socket(findings, daemon, "agents", source.agent_socket, SOCK_DGRAM);
}

void check_running(Findings& findings, const CheckedDaemon& daemon,
                   const app::InspectConfig& inspect, const std::optional<Json>& ready) {
  if (inspect.address.port == 0)
    return findings.skipped("daemon", "[inspect] address lets the system choose a port");
  if (!ready) {
    return findings.warning("daemon",
                            daemon.program + " does not answer at " + app::to_text(inspect.address),
                            "systemctl start " + daemon.unit);
  }
  const Json& why = field(*ready, "why");
  if (why.is_null()) return findings.good("daemon", daemon.program + " is ready");
  findings.warning("daemon", daemon.program + " is not ready: " + shown(why),
                   "journalctl -u " + daemon.unit + " -n 50");
}

namespace {

void tell_faults(Findings& findings, const std::string& file, const ConfigFault& fault) {
  const std::string manual = std::string("man ") +
                             (fault.is_sidecars ? "rollcall-sidecar.ini" : "rollcall-master.ini") +
                             " has all keys";
  std::string left = fault.message;
  while (!left.empty()) {
    const auto line = left.substr(0, left.find('\n'));
    findings.wrong("configuration", line, edit(file, manual, line_of(line, file)));
    left.erase(0, std::min(line.size() + 1, left.size()));
  }
}

StateFolder state_folder(const AnyConfig& config) {
  if (const auto* sidecar = std::get_if<app::SidecarConfig>(&config))
    return {sidecar->store.path, 2 * sidecar->store.max_bytes, "max_bytes"};
  const auto& store = std::get<app::MasterConfig>(config).store;
  return {store.path, store.max_size, "max_size"};
}

}  // namespace

Findings check_daemon(const std::string& file, const std::string& user, Steps& steps) {
  Findings findings;
  const auto config = load_any_config(file);
  if (!config) {
    tell_faults(findings, file, config.error());
    return findings;
  }
  const CheckedDaemon daemon = checked_daemon(file, *config, daemon_user(user));
  const auto* sidecar = std::get_if<app::SidecarConfig>(&*config);
  const auto& inspect = inspect_of(*config);
  if (check_readable(findings, daemon, "configuration", file, edit(file, "it is gone")) == 0)
    findings.good("configuration", file);
  check_certificates(findings, daemon, *config, std::chrono::system_clock::now());
  steps.add_done();
  const auto ready = local_json(inspect, "/readyz");
  const auto status = sidecar != nullptr ? local_json(inspect, "/status") : std::nullopt;
  steps.add_done();
  check_clock(findings, kernel_clock(), status);
  check_wazuh(findings, daemon, *config);
  steps.add_done();
  check_disk(findings, daemon, state_folder(*config));
  steps.add_done();
  if (sidecar == nullptr && !ready && inspect.address.port != 0) {
    findings.skipped("master", "not tried: " + daemon.program + " does not run");
  } else {
    check_master_port(findings, daemon, *config);
  }
  steps.add_done();
  if (status) check_link(findings, daemon, *sidecar, *status);
  check_running(findings, daemon, inspect, ready);
  steps.add_done();
  return findings;
}

}  // namespace rollcall::cli
