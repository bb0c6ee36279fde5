// Certificates, and the master's port, as `rollcall check` sees them.
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include "app/daemon.h"
#include "app/expiry.h"
#include "cli/check_parts.h"
#include "net/loop.h"
#include "net/tls_stream.h"

namespace rollcall::cli {
namespace {

constexpr auto kConnectWithin = std::chrono::milliseconds(5'000);
// In TLS 1.3 a refusal comes behind the handshake; one way there and back.
constexpr auto kRefusedWithin = std::chrono::milliseconds(1'000);

bool says(const std::string& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}

// What stands between two texts; empty if they are not there.
std::string between(const std::string& text, std::string_view before, std::string_view behind) {
  const auto begin = text.find(before);
  if (begin == std::string::npos) return "";
  const auto end = text.find(behind, begin + before.size());
  if (end == std::string::npos) return "";
  return text.substr(begin + before.size(), end - begin - before.size());
}

void judge(Findings& findings, const net::CertificateInfo& one, const std::string& name,
           const std::string& mend, std::chrono::system_clock::time_point now) {
  const int days = net::days_left(one.not_after, now);
  if (now < one.not_before) {
    findings.wrong(name, one.file + " is not valid before " + app::time_text(one.not_before),
                   noted("timedatectl set-ntp true", "here, or where it was issued"));
  } else if (days < 0) {
    findings.wrong(name, one.file + " has expired on " + app::time_text(one.not_after), mend);
  } else if (days < app::kExpiresSoonDays) {
    findings.warning(name, one.file + " is valid for " + std::to_string(days) + " days more", mend);
  } else {
    findings.good(name, one.file + ", valid for " + std::to_string(days) + " days");
  }
}

// What mends files that are there and cannot be used together.
std::string mend_of_files(const CheckedDaemon& daemon, const app::Origin& origin,
                          const std::string& fault) {
  const auto about = [&](std::string_view key) { return fault.starts_with(origin.of("tls", key)); };
  if (about("crl")) return fetch(daemon, {{"ca.crl", daemon.tls.crl}});
  if (about("revoked"))
    return edit(daemon.tls.revoked, "serials as `rollcall pki show` prints them");
  if (about("ca")) return fetch_authorities(daemon);
  if (says(fault, ", not for " + daemon.node))
    return issue(daemon, "or correct [node] name in " + daemon.file);
  if (says(fault, "not made for this use")) return renew(daemon, daemon.node);
  if (says(fault, "is not signed by"))
    return fetch(daemon, {{"ca.crt", daemon.tls.ca},
                          {daemon.node + ".crt", daemon.tls.certificate},
                          {daemon.node + ".key", daemon.tls.key}});
  return fetch_pair(daemon);
}

// Certificate, key and what they are judged by, as the daemon's user reads them. False if one is
// not there at all.
bool check_files(Findings& findings, const CheckedDaemon& daemon, const net::TlsFiles& files) {
  struct File {
    const char* what;
    std::string path, missing;
  };
  const std::string from_ca = "if it is not there: rollcall pki issue " + daemon.node;
  const std::array<File, 5> all = {
      File{"ca", files.ca, fetch(daemon, {{"ca.crt", files.ca}})},
      File{"certificate", files.certificate, fetch_pair(daemon, from_ca)},
      File{"key", files.key, fetch_pair(daemon, from_ca)},
      File{"crl", files.crl, fetch(daemon, {{"ca.crl", files.crl}})},
      File{"revoked", files.revoked,
           edit(daemon.file, "correct [tls] revoked, or remove that line")}};
  bool there = true;
  for (const auto& [what, path, missing] : all) {
    if (!path.empty() && check_readable(findings, daemon, what, path, missing) == ENOENT)
      there = false;
  }
  return there;
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

// Where the master is asked, and as whom.
struct Masters {
  std::vector<app::Address> addresses;
  std::string name;
  bool is_self = false;

  // A command for the master's machine.
  std::string there(const app::Address& to, const std::string& command) const {
    return is_self || app::is_loopback(to) ? command : "ssh " + shell_word(to.host) + " " + command;
  }
};

Masters masters_of(const AnyConfig& config) {
  if (const auto* sidecar = std::get_if<app::SidecarConfig>(&config))
    return {sidecar->master.addresses, sidecar->master.name};
  const auto& master = std::get<app::MasterConfig>(config);
  return {{app::local_address(master.listen.address)}, master.node.name, true};
}

// The command that mends what a connection failed for.
std::string mend_of_attempt(const CheckedDaemon& daemon, const Masters& masters,
                            const app::Address& to, const std::string& failure) {
  const bool ours = says(failure, "refused our certificate");
  if (says(failure, "not signed")) return fetch_authorities(daemon);
  if (says(failure, "not yet valid") && !ours)
    return noted("timedatectl set-ntp true", "on both machines");
  if (says(failure, "revoked") || says(failure, "expired") || says(failure, "not made for this"))
    return renew(daemon, ours ? daemon.node : masters.name);
  if (ours || says(failure, "sent no certificate"))
    return noted(masters.there(to, "journalctl -u rollcall-master -n 50"), "it says why");
  if (const auto names = between(failure, "is for ", ", not for "); !names.empty())
    return edit_and_restart(daemon, "[master] name = " + names + ", if that is the right machine");
  if (says(failure, "look up"))
    return edit_and_restart(daemon,
                            "[master] address: `getent hosts " + to.host + "` has to find it, too");
  if (says(failure, "TLS"))
    return edit_and_restart(daemon, "[master] address: something else listens there");
  return noted(masters.there(to, "systemctl start rollcall-master"),
               "and open TCP port " + std::to_string(to.port) + " there, if there is a firewall");
}

// What the master refuses a worker for that has a good certificate.
std::string mend_of_refusal(const CheckedDaemon& daemon, const app::SidecarConfig& config,
                            const std::string& refusal) {
  const auto& master = config.master.addresses.front();
  if (says(refusal, "allow list"))
    return noted((app::is_loopback(master) ? "" : "ssh -t " + shell_word(master.host) + " ") +
                     "vi /etc/rollcall/rollcall-master.ini",
                 "add " + daemon.node + " to [tls] allow");
  if (const auto theirs = between(refusal, "this master to '", "'"); !theirs.empty())
    return edit_and_restart(daemon, "[node] cluster = " + theirs + ", if this is its worker");
  if (says(refusal, "not in its certificate"))
    return issue(daemon, "or correct [node] name in " + daemon.file);
  if (says(refusal, "two machines with one name"))
    return edit_and_restart(daemon, "[node] name: each machine has its own");
  if (says(refusal, "protocol"))
    return noted("rollcall --version", "here and on the master: upgrade the older one");
  return "journalctl -u " + daemon.unit + " -n 50";
}

}  // namespace

void check_certificates(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config,
                        std::chrono::system_clock::time_point now) {
  const auto& tls = daemon.tls;
  const auto& origin =
      std::visit([](const auto& one) -> const app::Origin& { return one.origin; }, config);
  const bool there = check_files(findings, daemon, app::tls_files(tls, origin));
  if (const auto exposed = app::key_exposed(tls); !exposed.empty())
    findings.wrong("key", tls.key + " can be read by every user",
                   "chmod o-rwx " + shell_word(tls.key));
  if (!there) return;  // all else follows from that
  const bool sidecar = std::holds_alternative<app::SidecarConfig>(config);
  const auto context = app::load_credentials(
      tls, origin, daemon.node, sidecar ? app::TlsRole::sidecar : app::TlsRole::master);
  if (!context) {
    return findings.wrong("certificate", context.error().message,
                          mend_of_files(daemon, origin, context.error().message));
  }
  for (const auto& authority : context->authorities())
    judge(findings, authority, "ca", change_ca(daemon), now);
  judge(findings, context->own_certificate(), "certificate", renew(daemon, daemon.node), now);
  if (const auto by = context->own_revoked_by(); !by.empty()) {
    findings.wrong("certificate", tls.certificate + " is revoked by " + by,
                   renew(daemon, daemon.node));
  }
}

void check_master_port(Findings& findings, const CheckedDaemon& daemon, const AnyConfig& config) {
  const Masters masters = masters_of(config);
  const auto context = std::visit(
      [&](const auto& one) {
        return net::TlsContext::client(app::tls_files(daemon.tls, one.origin));
      },
      config);
  if (!context) return findings.skipped("master", "not tried without a good certificate");
  if (!context->own_wrong_use().empty()) {
    return findings.skipped(
        "master", masters.is_self
                      ? "not tried: its certificate is for servers only, so it cannot connect to "
                        "itself; `rollcall check` on a worker does"
                      : "not tried without a certificate for this use");
  }
  for (const auto& to : masters.addresses) {
    if (to.port == 0) {
      findings.skipped("master", "[listen] address lets the system choose a port");
      continue;
    }
    const std::string where = app::to_text(to);
    const Attempt attempt(*context, {to.host, to.port, masters.name, kConnectWithin});
    if (attempt.failure().empty()) {
      findings.good("master",
                    where + " is " + masters.name + ", and accepts this node's certificate");
    } else {
      findings.wrong("master", where + ": " + attempt.failure(),
                     mend_of_attempt(daemon, masters, to, attempt.failure()));
    }
  }
}

void check_link(Findings& findings, const CheckedDaemon& daemon, const app::SidecarConfig& config,
                const Json& status) {
  const Json& link = field(status, "link");
  if (field(link, "state") == "streaming")
    return findings.good("link", "the master has let " + daemon.program + " in");
  const Json& error = field(link, "error");
  if (!error.is_string()) {
    return findings.warning("link", daemon.program + " is not connected to the master yet",
                            noted("rollcall status --sidecar", "again in some seconds"));
  }
  // The master's last word, if it is what ended the connection.
  const Json& said = field(link, "master_says");
  const auto text = error.get<std::string>();
  if (said.is_string() && said.get<std::string>().ends_with(text)) {
    return findings.wrong("link", "the master refuses " + daemon.program + ": " + text,
                          mend_of_refusal(daemon, config, text));
  }
  findings.warning("link", daemon.program + " has no connection to the master: " + text,
                   "journalctl -u " + daemon.unit + " -n 50");
}

}  // namespace rollcall::cli
