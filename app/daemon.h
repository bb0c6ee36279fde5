#pragma once
// What the main() of both daemons begins with (the command line, the configuration, the
// certificates) and ends with (the loop). What is wrong goes to standard error, one line each, with
// the program's name.
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/clock.h"
#include "app/config.h"
#include "app/service.h"
#include "net/loop.h"
#include "net/tls.h"
#include "protocol/error.h"

namespace rollcall::app {

inline constexpr int kExitUsage = 64;  // EX_USAGE of sysexits.h

struct Program {
  std::string name;     // "rollcalld"
  std::string about;    // for --help
  std::string version;  // "1.2.3"
  std::string config;   // the file that is read unless --config names another
};

// Prints each line of `message` and returns `status`.
int fail(const Program& program, int status, std::string_view message);

enum class TlsRole { sidecar, master };

// The files that a configuration names. ca.crl beside the CA file counts from when it is there.
net::TlsFiles tls_files(const TlsConfig& tls, const Origin& origin);

// The certificates that a configuration names, ready for use: readable, of the cluster's CA, made
// for `node`. The error says at which line of the configuration to mend what.
std::expected<net::TlsContext, Error> load_credentials(const TlsConfig& tls, const Origin& origin,
                                                       std::string_view node, TlsRole role);

// Why the certificate does not count at `now`; empty if it does.
std::string validity_problem(const net::CertificateInfo& certificate, const std::string& path,
                             std::chrono::system_clock::time_point now);

// Why others than the daemon and its group can read the node's key; empty if they cannot.
std::string key_exposed(const TlsConfig& tls);
void warn_of_key(const TlsConfig& tls);

std::string time_text(std::chrono::system_clock::time_point when);  // 2026-11-23T02:40:10Z

// What --check-config says beside reading the file: one line for each problem.
std::vector<std::string> problems(const TlsConfig& tls, const Origin& origin, std::string_view node,
                                  TlsRole role, std::chrono::system_clock::time_point now);

// Either what to run with, or (after --help, --version, --check-config or an error, all of which
// have been printed) the status to exit with.
std::expected<SidecarConfig, int> sidecar_config(int argc, char** argv, const Program& program);
std::expected<MasterConfig, int> master_config(int argc, char** argv, const Program& program);

// The log as configured, and the certificates.
std::expected<net::TlsContext, Error> set_up(const SidecarConfig& config);
std::expected<net::TlsContext, Error> set_up(const MasterConfig& config);

// Differs after a boot of the machine.
std::uint64_t boot_number(Clock& clock);

// SIGTERM and SIGINT end run(). Before anybody is told that the daemon is there.
void stop_on_signals(net::Loop& loop);
struct Work {
  std::function<void()> tick;             // now and ten times a second
  std::function<std::string()> describe;  // for the service's status, each second
  std::function<void()> tidy = nullptr;   // every ten seconds
};
// Until the loop is stopped. From the loop the service is told that it turns.
void run(net::Loop& loop, Service& service, const Work& work);

}  // namespace rollcall::app
