#include "cli/check_parts.h"

#include <fcntl.h>
#include <grp.h>
#include <httplib.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "app/daemon.h"
#include "inspect/token.h"
#include "net/loop.h"
#include "net/tls_stream.h"

namespace rollcall::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr int kSoonDays = 30;
constexpr double kFarOffSeconds = 10;
constexpr auto kSlowSync = milliseconds(100);
constexpr auto kConnectWithin = milliseconds(5'000);
// In TLS 1.3 a refusal comes behind the handshake; one way there and back.
constexpr auto kRefusedWithin = milliseconds(1'000);

std::string reason(int error) {
  return std::strerror(error);
}

std::string size_text(std::uint64_t bytes) {
  const std::uint64_t mib = bytes >> 20;
  return mib >= 10'240 ? std::to_string(mib >> 10) + " GiB" : std::to_string(mib) + " MiB";
}

const app::TlsConfig& tls_of(const AnyConfig& config) {
  return std::visit([](const auto& one) -> const app::TlsConfig& { return one.tls; }, config);
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

void check_readable(Findings& findings, const CheckedDaemon& daemon, const std::string& what,
                    const std::string& path) {
  const int error = as_user(daemon.user, [&] { return try_to_read(path); });
  if (error == 0) return;
  findings.wrong(what, path + " cannot be read by " + daemon.user.name + " (" + reason(error) + ")",
                 error == ENOENT
                     ? "copy it from the folder of the CA (rollcall pki show says what "
                       "there is)"
                     : "chgrp " + daemon.user.name + " " + path + " && chmod g+r " + path);
}

void judge(Findings& findings, const net::CertificateInfo& one, const std::string& name,
           std::chrono::system_clock::time_point now) {
  const int days = net::days_left(one.not_after, now);
  const std::string mend = one.names.empty() ? "rollcall pki change-ca"
                                             : "rollcall pki renew " + one.names.front() +
                                                   ", where the CA is, and copy both files here";
  if (now < one.not_before) {
    findings.wrong(name, one.file + " is not valid before " + app::time_text(one.not_before),
                   "timedatectl set-ntp true, here or where it was issued");
  } else if (days < 0) {
    findings.wrong(name, one.file + " has expired on " + app::time_text(one.not_after), mend);
  } else if (days < kSoonDays) {
    findings.warning(name, one.file + " is valid for " + std::to_string(days) + " days more", mend);
  } else {
    findings.good(name, one.file + ", valid for " + std::to_string(days) + " days");
  }
}

void judge_socket(Findings& findings, const CheckedDaemon& daemon, const std::string& what,
                  const std::string& path, int type) {
  const int error = as_user(daemon.user, [&] { return try_to_connect(path, type); });
  if (error == 0) return findings.good(what, path);
  std::string mend = "systemctl start wazuh-manager";
  if (error == EACCES || error == EPERM)
    mend = "usermod -aG wazuh " + daemon.user.name + " && systemctl restart " + daemon.unit;
  findings.wrong(
      what, path + " cannot be reached by " + daemon.user.name + " (" + reason(error) + ")", mend);
}

// One connection to the master, which is told nothing.
class Attempt {
 public:
  Attempt(net::TlsContext context, net::TlsConnector::Target target)
      : connector_(loop_, std::move(context)), end_(loop_) {
    end_.start(kConnectWithin + kRefusedWithin, [this] {
      failure_ = "no answer in time";
      loop_.stop();
    });
    connector_.connect(std::move(target), [this](auto stream) {
      if (!stream) return finish(stream.error().message);
      stream_ = std::move(*stream);
      net::StreamEvents events;
      events.on_data = [](std::span<const std::byte>) {};
      events.on_closed = [this](const std::string& why) { finish(why); };
      stream_->start(std::move(events));
      end_.start(kRefusedWithin, [this] { finish(""); });
    });
    loop_.run();
    connector_.cancel();
    stream_.reset();
  }
  const std::string& failure() const { return failure_; }

 private:
  void finish(const std::string& failure) {
    failure_ = failure;
    loop_.stop();
  }

  net::Loop loop_;
  net::TlsConnector connector_;
  net::Timer end_;
  std::unique_ptr<net::TlsStream> stream_;
  std::string failure_;
};

// The command that mends what a connection failed for.
std::string mend_of(const std::string& failure, const app::Address& to) {
  const auto has = [&](std::string_view text) { return failure.find(text) != std::string::npos; };
  if (has("revoked")) return "rollcall pki renew NODE, where the CA is, and copy both files";
  if (has("expired") || has("not yet valid"))
    return "rollcall pki renew NODE, where the CA is; or timedatectl set-ntp true";
  if (has("not signed") || has("unknown ca"))
    return "copy ca.crt from the folder of the CA to both machines";
  if (has("is for ")) return "correct [master] name, or issue the master a certificate for it";
  if (has("look up")) return "getent hosts " + to.host + ", and correct [master] address";
  if (has("refused our certificate"))
    return "journalctl -u rollcall-master, on the master: it says why";
  return "systemctl start rollcall-master, on the master, and open TCP port " +
         std::to_string(to.port) + " there";
}

}  // namespace

std::expected<AnyConfig, Error> load_any_config(const std::string& file) {
  auto master = app::load_master_config(file);
  if (master) return *std::move(master);
  auto sidecar = app::load_sidecar_config(file);
  if (sidecar) return *std::move(sidecar);
  const bool is_sidecars = sidecar.error().message.find("is not known") == std::string::npos;
  return std::unexpected(is_sidecars ? sidecar.error() : master.error());
}

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
  const auto* self = ::getpwuid(::geteuid());
  const std::string me = self != nullptr ? self->pw_name : std::to_string(::geteuid());
  if (::geteuid() != 0) return {me, false};
  const std::string name = wanted.empty() ? "rollcall" : wanted;
  const auto* other = ::getpwnam(name.c_str());
  if (other == nullptr || other->pw_uid == 0) return {me, false};
  return {name, true};
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

std::optional<Json> local_page(const app::InspectConfig& inspect, const std::string& path) {
  if (inspect.address.port == 0) return std::nullopt;
  std::string host = inspect.address.host;
  if (host == "0.0.0.0" || host == "::") host = "127.0.0.1";
  httplib::Client client(host, inspect.address.port);
  client.set_connection_timeout(std::chrono::seconds(2));
  client.set_read_timeout(std::chrono::seconds(10));
  auto answer = client.Get(path);
  if (answer && answer->status == 401) {
    const auto secret = inspect::Token::load(inspect.token);
    if (secret) answer = client.Get(path, {{"Authorization", secret->authorization()}});
  }
  if (!answer) return std::nullopt;
  auto json = Json::parse(answer->body, nullptr, false);
  return json.is_discarded() ? std::nullopt : std::optional(std::move(json));
}

void check_certificates(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config,
                        std::chrono::system_clock::time_point now) {
  const auto& tls = tls_of(config);
  check_readable(findings, daemon, "ca", tls.ca);
  check_readable(findings, daemon, "certificate", tls.certificate);
  check_readable(findings, daemon, "key", tls.key);
  if (const auto exposed = app::key_exposed(tls); !exposed.empty())
    findings.wrong("key", tls.key + " can be read by every user", "chmod o-rwx " + tls.key);
  const bool sidecar = std::holds_alternative<app::SidecarConfig>(config);
  const auto context = std::visit(
      [&](const auto& one) {
        return app::load_credentials(one.tls, one.origin, one.node.name,
                                     sidecar ? app::TlsRole::sidecar : app::TlsRole::master);
      },
      config);
  if (!context) {
    return findings.wrong("certificate", context.error().message,
                          "rollcall pki show, where the CA is; copy ca.crt and the node's pair");
  }
  for (const auto& authority : context->authorities()) judge(findings, authority, "ca", now);
  judge(findings, context->own_certificate(), "certificate", now);
  if (const auto by = context->own_revoked_by(); !by.empty()) {
    findings.wrong("certificate", tls.certificate + " is revoked by " + by,
                   "rollcall pki renew " + context->own_certificate().names.front() +
                       ", where the CA is, and copy both files here");
  }
}

void check_clock(Findings& findings, const std::optional<Json>& sidecars_status) {
  timex state{};
  const int synchronised = ::adjtimex(&state);
  if (synchronised < 0) {
    findings.skipped("clock",
                     "the kernel does not say whether it is synchronised (" + reason(errno) + ")");
  } else if (synchronised == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
    findings.warning("clock", "the clock of this machine is not synchronised with others",
                     "timedatectl set-ntp true");
  } else {
    findings.good("clock",
                  "synchronised, within " + std::to_string(state.maxerror / 1'000) + " ms");
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
                   "timedatectl set-ntp true, on both machines");
}

void check_disk(Findings& findings, const CheckedDaemon& daemon, const std::string& folder,
                std::uint64_t wanted_bytes) {
  const fs::path there = nearest(folder);
  struct statvfs space{};
  if (::statvfs(there.c_str(), &space) != 0) {
    return findings.wrong("disk", folder + ": " + reason(errno), "df " + there.string());
  }
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  const std::string room =
      size_text(free) + " are free, up to " + size_text(wanted_bytes) + " may be needed";
  if (free < wanted_bytes / 10) {
    findings.wrong("disk", folder + ": " + room, "df -h " + there.string());
  } else if (free < wanted_bytes) {
    findings.warning("disk", folder + ": " + room, "df -h " + there.string());
  } else {
    findings.good("disk", folder + ": " + room);
  }
  const auto began = std::chrono::steady_clock::now();
  const int error = as_user(daemon.user, [&] { return try_to_store(there.string()); });
  const auto took =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
  if (error != 0) {
    return findings.wrong(
        "disk",
        there.string() + " cannot be written by " + daemon.user.name + " (" + reason(error) + ")",
        "install -d -m 700 -o " + daemon.user.name + " " + folder);
  }
  const std::string speed = "a durable write takes " + std::to_string(took.count()) + " ms";
  if (took < kSlowSync) return findings.good("disk", speed);
  findings.warning("disk", speed + ", and each decision waits for one",
                   "use a local disk, no network one");
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

void check_master_port(Findings& findings, const AnyConfig& config) {
  std::vector<app::Address> addresses;
  std::string name;
  if (const auto* sidecar = std::get_if<app::SidecarConfig>(&config)) {
    addresses = sidecar->master.addresses;
    name = sidecar->master.name;
  } else {
    const auto& master = std::get<app::MasterConfig>(config);
    app::Address own = master.listen.address;
    if (own.host == "0.0.0.0" || own.host == "::") own.host = "127.0.0.1";
    addresses = {own};
    name = master.node.name;
  }
  const auto& tls = tls_of(config);
  const auto context = std::visit(
      [&](const auto& one) { return net::TlsContext::client(app::tls_files(tls, one.origin)); },
      config);
  if (!context) return findings.skipped("master", "not tried without a good certificate");
  for (const auto& to : addresses) {
    if (to.port == 0) {
      findings.skipped("master", "[listen] address lets the system choose a port");
      continue;
    }
    const std::string where = app::to_text(to);
    const Attempt attempt(*context, {to.host, to.port, name, kConnectWithin});
    if (attempt.failure().empty()) {
      findings.good("master", where + " is " + name + ", and lets this node in");
    } else {
      findings.wrong("master", where + ": " + attempt.failure(), mend_of(attempt.failure(), to));
    }
  }
}

void check_running(Findings& findings, const CheckedDaemon& daemon,
                   const app::InspectConfig& inspect) {
  if (inspect.address.port == 0)
    return findings.skipped("daemon", "[inspect] address lets the system choose a port");
  const auto ready = local_page(inspect, "/readyz");
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

Findings check_daemon(const std::string& file, const std::string& user) {
  Findings findings;
  CheckedDaemon daemon{"rollcalld", "rollcall-sidecar", file, daemon_user(user)};
  const auto config = load_any_config(file);
  if (!config) {
    std::string left = config.error().message;
    while (!left.empty()) {
      const auto line = left.substr(0, left.find('\n'));
      findings.wrong("configuration", line, "man rollcall-sidecar.ini, or rollcall-master.ini");
      left.erase(0, std::min(line.size() + 1, left.size()));
    }
    return findings;
  }
  findings.good("configuration", file);
  const auto* sidecar = std::get_if<app::SidecarConfig>(&*config);
  if (sidecar == nullptr) daemon.program = daemon.unit = "rollcall-master";
  const auto& inspect =
      sidecar != nullptr ? sidecar->inspect : std::get<app::MasterConfig>(*config).inspect;
  check_certificates(findings, daemon, *config, std::chrono::system_clock::now());
  check_clock(findings, sidecar != nullptr ? local_page(inspect, "/status") : std::nullopt);
  check_wazuh(findings, daemon, *config);
  if (sidecar != nullptr) {
    check_disk(findings, daemon, sidecar->store.path, 2 * sidecar->store.max_bytes);
  } else {
    const auto& store = std::get<app::MasterConfig>(*config).store;
    check_disk(findings, daemon, store.path, store.max_size);
  }
  check_master_port(findings, *config);
  check_running(findings, daemon, inspect);
  return findings;
}

}  // namespace rollcall::cli
