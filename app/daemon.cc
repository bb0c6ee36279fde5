#include "app/daemon.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <utility>

#include "app/command_line.h"
#include "app/logging.h"

namespace rollcall::app {
namespace {

using TimePoint = std::chrono::system_clock::time_point;

// The key at fault, by the file that the reason names; a reason that names two is about the first.
std::string_view key_at_fault(const TlsConfig& tls, std::string_view reason) {
  std::string_view key = "certificate";
  std::size_t first = reason.size();
  std::size_t longest = 0;
  for (const auto& [name, path] : {std::pair<std::string_view, const std::string&>{"ca", tls.ca},
                                   {"certificate", tls.certificate},
                                   {"key", tls.key},
                                   {"crl", tls.crl},
                                   {"revoked", tls.revoked}}) {
    if (path.empty()) continue;
    const std::size_t at = std::min(reason.find(path), reason.size());
    if (at > first || (at == first && path.size() <= longest)) continue;
    first = at;
    longest = path.size();
    key = name;
  }
  return key;
}

template <typename Config>
int check(const Config& config, TlsRole role, const Program& program) {
  const auto wrong =
      problems(config.tls, config.origin, config.node.name, role, std::chrono::system_clock::now());
  for (const std::string& problem : wrong) fail(program, kExitConfig, problem);
  if (!wrong.empty()) return kExitConfig;
  std::printf("%s: ok\n", config.origin.file.c_str());
  return 0;
}

template <typename Config, typename Load>
std::expected<Config, int> configured(int argc, char** argv, const Program& program, TlsRole role,
                                      Load load) {
  const auto line = read_command_line(argc, argv, program);
  if (!line) return std::unexpected(line.error());
  auto config = load(line->config);
  if (!config) return std::unexpected(fail(program, kExitConfig, config.error().message));
  if (line->check) return std::unexpected(check(*config, role, program));
  return *std::move(config);
}

template <typename Config>
std::expected<net::TlsContext, Error> begun(const Config& config, TlsRole role) {
  set_log_level(config.log.level);
  set_log_format(config.log.format);
  // Until it is listened to; its default would end this process.
  std::signal(SIGHUP, SIG_IGN);
  warn_of_key(config.tls);
  return load_credentials(config.tls, config.origin, config.node.name, role);
}

}  // namespace

std::string time_text(TimePoint when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&seconds, &parts) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return "an unreadable time";
  }
  return text;
}

int fail(const Program& program, int status, std::string_view message) {
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    std::fprintf(stderr, "%s: %.*s\n", program.name.c_str(), static_cast<int>(line.size()),
                 line.data());
    message.remove_prefix(std::min(line.size() + 1, message.size()));
  }
  return status;
}

net::TlsFiles tls_files(const TlsConfig& tls, const Origin& origin) {
  std::error_code unknown;  // then opening it says why
  const bool crl =
      origin.lines.contains("[tls] crl") || std::filesystem::exists(tls.crl, unknown) || unknown;
  return {tls.ca, tls.certificate, tls.key, crl ? tls.crl : "", tls.revoked};
}

std::expected<net::TlsContext, Error> load_credentials(const TlsConfig& tls, const Origin& origin,
                                                       std::string_view node, TlsRole role) {
  const auto at = [&](std::string_view key, std::string_view reason) {
    return std::unexpected(Error{origin.of("tls", key) + std::string(reason)});
  };
  const auto files = tls_files(tls, origin);
  auto context =
      role == TlsRole::master ? net::TlsContext::server(files) : net::TlsContext::client(files);
  if (!context) return at(key_at_fault(tls, context.error().message), context.error().message);
  if (const auto wrong = context->own_wrong_use(); !wrong.empty()) return at("certificate", wrong);
  const auto& names = context->own_certificate().names;
  if (std::ranges::find(names, node) == names.end()) {
    return at("certificate", "the certificate " + tls.certificate + " is for " +
                                 net::joined(names) + ", not for " + std::string(node) +
                                 ": issue one for that name, or mend [node] name");
  }
  return context;
}

std::string validity_problem(const net::CertificateInfo& certificate, const std::string& path,
                             TimePoint now) {
  if (now < certificate.not_before) {
    return "the certificate " + path + " is not valid before " + time_text(certificate.not_before) +
           ": mend the clock of this machine or of the one that issued it";
  }
  if (now > certificate.not_after) {
    return "the certificate " + path + " has expired (" + time_text(certificate.not_after) +
           "): issue a new one, or mend this machine's clock";
  }
  return "";
}

std::string key_exposed(const TlsConfig& tls) {
  struct stat status{};
  if (::stat(tls.key.c_str(), &status) != 0 || (status.st_mode & S_IRWXO) == 0) return "";
  return tls.key + " can be read by every user of this machine: chmod o-rwx " + tls.key;
}

void warn_of_key(const TlsConfig& tls) {
  if (const auto exposed = key_exposed(tls); !exposed.empty())
    log(Level::Warn, "whoever reads this node's key can speak for it", {{"why", exposed}});
}

std::vector<std::string> problems(const TlsConfig& tls, const Origin& origin, std::string_view node,
                                  TlsRole role, TimePoint now) {
  const auto context = load_credentials(tls, origin, node, role);
  if (!context) return {context.error().message};
  const auto& own = context->own_certificate();
  std::vector<std::string> found;
  if (const auto expired = validity_problem(own, tls.certificate, now); !expired.empty()) {
    found.push_back(origin.of("tls", "certificate") + expired);
  }
  if (const auto exposed = key_exposed(tls); !exposed.empty())
    found.push_back(origin.of("tls", "key") + exposed);
  if (const auto by = context->own_revoked_by(); !by.empty()) {
    found.push_back(origin.of("tls", by == tls.crl ? "crl" : "revoked") +
                    "this node's own certificate " + tls.certificate + " is revoked (serial " +
                    own.serial + "): issue a new one");
  }
  return found;
}

std::expected<SidecarConfig, int> sidecar_config(int argc, char** argv, const Program& program) {
  return configured<SidecarConfig>(argc, argv, program, TlsRole::sidecar, load_sidecar_config);
}

std::expected<MasterConfig, int> master_config(int argc, char** argv, const Program& program) {
  return configured<MasterConfig>(argc, argv, program, TlsRole::master, load_master_config);
}

std::expected<net::TlsContext, Error> set_up(const SidecarConfig& config) {
  return begun(config, TlsRole::sidecar);
}

std::expected<net::TlsContext, Error> set_up(const MasterConfig& config) {
  return begun(config, TlsRole::master);
}

std::uint64_t boot_number(Clock& clock) {
  return std::hash<std::string>{}(clock.boot_id());
}

void stop_on_signals(net::Loop& loop) {
  for (const int signal : {SIGTERM, SIGINT}) loop.on_signal(signal, [&loop] { loop.stop(); });
}

void run(net::Loop& loop, Service& service, const Work& work) {
  net::Timer often(loop), each_second(loop), seldom(loop), alive(loop);
  if (const auto every = service.alive_every())
    alive.repeat(*every, [&service] { service.alive(); });
  often.repeat(std::chrono::milliseconds(100), work.tick);
  each_second.repeat(std::chrono::seconds(1), [&] { service.status(work.describe()); });
  seldom.repeat(std::chrono::seconds(10), [&work] {
    flush_log();
    if (work.tidy) work.tidy();
  });
  work.tick();
  loop.run();
  service.stopping();
  log(Level::Info, "stopping");
}

}  // namespace rollcall::app
