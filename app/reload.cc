#include "app/reload.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <string_view>
#include <utility>

#include "app/logging.h"

namespace rollcall::app {
namespace {

// As take_live() has it.
constexpr std::array<std::string_view, 21> kLiveKeys = {
    "[tls] ca",
    "[tls] certificate",
    "[tls] key",
    "[tls] crl",
    "[tls] revoked",
    "[tls] allow",
    "[log] level",
    "[log] format",
    "[source] poll",
    "[source] scan",
    "[handoff] grace",
    "[handoff] manager_restart_grace",
    "[handoff] back_within",
    "[timing] heartbeat",
    "[timing] ttl",
    "[timing] grace",
    "[timing] inventory",
    "[timing] inventory_differs",
    "[timing] keep_removed",
    "[sink] every",
    "[sink] settle",
};

constexpr auto kTick = std::chrono::milliseconds(100);

std::expected<SidecarConfig, Error> load_config(const SidecarConfig& config) {
  return load_sidecar_config(config.origin.file);
}
std::expected<MasterConfig, Error> load_config(const MasterConfig& config) {
  return load_master_config(config.origin.file);
}

void warn(const ExpiryWarning& warning) {
  const auto& certificate = warning.certificate;
  const bool node = !certificate.names.empty();
  log(warning.level, warning.message,
      {{"file", certificate.file},
       {"subject", certificate.subject},
       {"not_after", time_text(certificate.not_after)},
       {"days_left", std::to_string(warning.days_left)},
       {"mend",
        node ? "rollcall pki renew " + certificate.names.front() + ", and copy both files here"
             : "rollcall pki change-ca"}});
}

}  // namespace

void take_live(SidecarConfig& to, const SidecarConfig& from) {
  to.tls = from.tls;
  to.log = from.log;
  to.source.poll = from.source.poll;
  to.source.scan = from.source.scan;
  to.handoff = from.handoff;
  to.origin = from.origin;
}

void take_live(MasterConfig& to, const MasterConfig& from) {
  to.tls = from.tls;
  to.allow = from.allow;
  to.log = from.log;
  to.timing = from.timing;
  to.sink.every = from.sink.every;
  to.sink.settle = from.sink.settle;
  to.origin = from.origin;
}

template <typename Config>
std::vector<std::string> needs_restart(const Config& running, const Config& wanted,
                                       const std::map<std::string, std::string>& at_start) {
  std::vector<std::string> keys;
  if (running == wanted) return keys;
  const auto& now = wanted.origin.values;
  const auto differs = [&](const std::string& key) {
    const auto a = at_start.find(key);
    const auto b = now.find(key);
    return (a == at_start.end()) != (b == now.end()) ||
           (a != at_start.end() && a->second != b->second);
  };
  for (const auto* side : {&at_start, &now}) {
    for (const auto& [key, value] : *side) {
      if (std::ranges::find(kLiveKeys, key) == kLiveKeys.end() && differs(key) &&
          std::ranges::find(keys, key) == keys.end())
        keys.push_back(key);
    }
  }
  std::ranges::sort(keys);
  return keys;
}

template <typename Config>
Reloader<Config>::Reloader(Config config, net::TlsContext context, TlsRole role)
    : config_(std::move(config)),
      context_(std::move(context)),
      role_(role),
      at_start_(config_.origin.values) {}

template <typename Config>
void Reloader<Config>::start(net::Loop& loop, Apply apply) {
  apply_ = std::move(apply);
  watch_files();
  // However often it comes, ten times a second are enough.
  loop.on_signal(SIGHUP, [this] { asked_ = true; });
  timer_.emplace(loop);
  timer_->repeat(kTick, [this] { tick(); });
  tick();
  // What was changed since it was read for this start is taken as soon as the loop runs.
  const auto now = load();
  asked_ = !now || !(now->config == config_) || !now->context.equals(context_);
}

template <typename Config>
void Reloader<Config>::stop() {
  timer_.reset();
}

template <typename Config>
void Reloader<Config>::tick() {
  const bool watches = ticks_++ % (kWatchEvery / kTick) == 0;
  const bool changed = watches && files_.changed();
  if (changed || (asked_ && settled())) {
    asked_ = false;
    seen_.clear();
    reload();
  }
  if (watches) warn_of_dates();
}

// As FileWatch has it, for those who do not want to wait that long.
template <typename Config>
bool Reloader<Config>::settled() {
  std::string now = files_.marks();
  if (now == seen_) return ++ticks_as_seen_ >= kSettle / kTick;
  seen_ = std::move(now);
  ticks_as_seen_ = 0;
  return false;
}

template <typename Config>
void Reloader<Config>::warn_of_dates() {
  const auto now = std::chrono::system_clock::now();
  for (const auto& warning : expiry_.look(certificates(), now)) warn(warning);
  for (const auto& list : expiry_.overdue(context_.revocation_lists(), now)) {
    log(Level::Warn, "a list of revoked certificates is overdue; it goes on counting",
        {{"file", list.file},
         {"issuer", list.issuer},
         {"next_update", time_text(list.next_update)},
         {"mend", "copy the newest list of this CA here"}});
  }
}

template <typename Config>
void Reloader<Config>::watch_files() {
  const auto& tls = config_.tls;
  files_.watch({config_.origin.file, tls.ca, tls.certificate, tls.key, tls.crl, tls.revoked});
}

template <typename Config>
std::expected<typename Reloader<Config>::Loaded, Error> Reloader<Config>::load() const {
  auto config = load_config(config_);
  if (!config) return std::unexpected(config.error());
  const auto files = tls_files(config->tls, config->origin);
  // Whoever was revoked would be let in again.
  if (files.crl.empty() && !context_.revocation_lists().empty()) {
    return std::unexpected(Error{config->origin.of("tls", "crl") + config->tls.crl +
                                 " is gone: put it back, or restart to go on without it"});
  }
  // The name of a node stays what it is until a restart.
  auto context = load_credentials(config->tls, config->origin, config_.node.name, role_);
  if (!context) return std::unexpected(context.error());
  return Loaded{*std::move(config), *std::move(context)};
}

template <typename Config>
void Reloader<Config>::reload() {
  if (service_ != nullptr) service_->reloading();
  take();
  if (service_ != nullptr) service_->ready();
}

template <typename Config>
void Reloader<Config>::take() {
  files_.take();
  auto loaded = load();
  if (!loaded) {
    ++status_.failed;
    status_.error = loaded.error().message;
    log(Level::Error, "what was changed is wrong, and everything stays as it was",
        {{"why", status_.error}});
    return;
  }
  const Tls tls = loaded->context.equals(context_) ? Tls::kSame : Tls::kChanged;
  context_ = std::move(loaded->context);
  take_live(config_, loaded->config);
  ++status_.done;
  status_.error.clear();
  status_.needs_restart = needs_restart(config_, loaded->config, at_start_);
  set_log_format(config_.log.format);
  set_log_level(config_.log.level);
  log(Level::Info, "configuration and certificates were read anew",
      {{"file", config_.origin.file},
       {"certificates", tls == Tls::kChanged ? "changed" : "the same"},
       {"serial", context_.own_certificate().serial}});
  if (!status_.needs_restart.empty()) {
    log(Level::Warn, "this was changed too, and needs a restart",
        {{"keys", net::joined(status_.needs_restart)}});
  }
  warn_of_key(config_.tls);
  if (const auto by = context_.own_revoked_by(); !by.empty()) {
    log(Level::Error, "this node's own certificate is revoked: others will refuse it",
        {{"by", by}, {"serial", context_.own_certificate().serial}});
  }
  watch_files();
  if (apply_) apply_(config_, context_, tls);
}

template <typename Config>
std::vector<net::CertificateInfo> Reloader<Config>::certificates() const {
  std::vector<net::CertificateInfo> all = {context_.own_certificate()};
  for (auto& authority : context_.authorities()) all.push_back(std::move(authority));
  return all;
}

template class Reloader<SidecarConfig>;
template class Reloader<MasterConfig>;
template std::vector<std::string> needs_restart(const SidecarConfig&, const SidecarConfig&,
                                                const std::map<std::string, std::string>&);
template std::vector<std::string> needs_restart(const MasterConfig&, const MasterConfig&,
                                                const std::map<std::string, std::string>&);

}  // namespace rollcall::app
