#pragma once
// What a daemon takes anew while it runs: certificates, what is revoked, and what of its
// configuration may change. On SIGHUP, or by itself when one of the files was changed. All of it
// counts or nothing: what is wrong is logged with file and line, and everything stays as it was.
// docs/configuration.md has the list. Loop thread only; reads small files there.
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/daemon.h"
#include "app/expiry.h"
#include "app/file_watch.h"
#include "app/service.h"
#include "net/loop.h"
#include "net/tls.h"

namespace rollcall::app {

// For /status.
struct ReloadStatus {
  std::uint64_t done = 0;                  // how often it was taken anew since the start
  std::uint64_t failed = 0;                // and how often not
  std::string error;                       // why not, the last time; empty if it was
  std::vector<std::string> needs_restart;  // keys that differ from those that are in use
};

// `to` becomes `from` in what may change while the daemon runs.
void take_live(SidecarConfig& to, const SidecarConfig& from);
void take_live(MasterConfig& to, const MasterConfig& from);

// Keys that are not as they were at the start and need a restart; none if `running`, which has
// taken what it could, says the same as `wanted`.
template <typename Config>
std::vector<std::string> needs_restart(const Config& running, const Config& wanted,
                                       const std::map<std::string, std::string>& at_start);

template <typename Config>
class Reloader {
 public:
  static constexpr auto kWatchEvery = std::chrono::seconds(2);
  // So long the files have to be as they are before SIGHUP has them read.
  static constexpr auto kSettle = std::chrono::milliseconds(500);

  enum class Tls { kSame, kChanged };
  // Called with what counts from now on.
  using Apply = std::function<void(const Config&, const net::TlsContext&, Tls)>;

  // `config` and `context` are what the daemon began with; their files may have changed since.
  Reloader(Config config, net::TlsContext context, TlsRole role);

  // Before the loop runs: SIGHUP and the files are watched, and expiring certificates told, from
  // here on.
  void start(net::Loop& loop, Apply apply);
  // Once the daemon said that it is ready: of each reload too.
  void tell(Service& service) { service_ = &service; }
  void stop();

  // From the files as they are now.
  void reload();

  const Config& config() const { return config_; }
  const ReloadStatus& status() const { return status_; }
  // The node's own, then its CAs.
  std::vector<net::CertificateInfo> certificates() const;

 private:
  struct Loaded {
    Config config;
    net::TlsContext context;
  };
  std::expected<Loaded, Error> load() const;
  void take();
  void watch_files();
  bool settled();
  void tick();
  void warn_of_dates();

  Config config_;
  net::TlsContext context_;
  const TlsRole role_;
  const std::map<std::string, std::string> at_start_;
  ReloadStatus status_;
  ExpiryWatch expiry_;
  FileWatch files_;
  Apply apply_;
  Service* service_ = nullptr;
  bool asked_ = false;
  std::string seen_;       // marks of the files since asked_
  int ticks_as_seen_ = 0;  // and for how long
  int ticks_ = 0;
  std::optional<net::Timer> timer_;
};

}  // namespace rollcall::app
