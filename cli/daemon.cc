#include "cli/daemon.h"

#include <httplib.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string_view>

#include "cli/any_config.h"
#include "inspect/token.h"

namespace rollcall::cli {
namespace {

struct Place {
  app::InspectConfig inspect;
  bool sidecar = false;
};

std::expected<Place, Error> of_config(const std::string& file) {
  const auto config = load_any_config(file);
  if (!config) return std::unexpected(config.error());
  return Place{inspect_of(*config), std::holds_alternative<app::SidecarConfig>(*config)};
}

std::expected<app::Address, Error> parse_url(std::string_view text, std::uint16_t default_port) {
  constexpr std::string_view kHttp = "http://";
  if (text.starts_with("https://")) {
    return std::unexpected(
        Error{"the daemons speak plain HTTP, on loopback: use " + std::string(kHttp)});
  }
  if (text.starts_with(kHttp)) text.remove_prefix(kHttp.size());
  if (text.ends_with('/')) text.remove_suffix(1);
  return app::parse_address(text, default_port, app::AnyPort::No);
}

// How the ini file does not fit what else was said; empty if it does.
std::string contradiction(const Target& target, bool of_sidecar) {
  if (of_sidecar) {
    if (target.asks == Asks::kMaster)
      return target.config + " is a sidecar's; this is asked of the master: name the master's";
    if (!target.master.empty())
      return target.config + " is a sidecar's, and --master names a master: leave one of them out";
    return "";
  }
  if (!target.asks_sidecar) return "";
  return target.config + " is the master's; this is asked of a sidecar: name the sidecar's";
}

const char* program(bool sidecar) {
  return sidecar ? "rollcalld" : "rollcall-master";
}

// What the daemon says of an error, or the body as it is.
std::string reason_in(const std::string& body) {
  const auto json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error")) return shown(json["error"]);
  return body.substr(0, 200);
}

}  // namespace

void add_target(CLI::App& command, Target& target, Asks asks) {
  target.asks = asks;
  CLI::Option* master = nullptr;
  if (asks != Asks::kSidecar) {
    master = command
                 .add_option("--master", target.master,
                             "Address of the master's HTTP side (127.0.0.1:9472)")
                 ->type_name("HOST:PORT");
  }
  if (asks != Asks::kMaster) {
    CLI::Option* sidecar = command
                               .add_option_function<std::string>(
                                   "--sidecar",
                                   [&target](const std::string& address) {
                                     target.asks_sidecar = true;
                                     target.sidecar = address;
                                   },
                                   "Ask a sidecar, at this address (127.0.0.1:9470)")
                               ->expected(0, 1)
                               ->type_name("[HOST:PORT]");
    if (master) sidecar->excludes(master);
  }
  if (asks == Asks::kSidecar) target.asks_sidecar = true;
  command
      .add_option("--config", target.config, "The daemon's ini file, for its address and its token")
      ->type_name("FILE");
  command.add_option("--token", target.token, "The daemon's token file")->type_name("FILE");
}

std::expected<Daemon, Exit> Daemon::of(const Target& target) {
  Place place;
  if (!target.config.empty()) {
    auto found = of_config(target.config);
    if (!found) return std::unexpected(fail(found.error().message, Exit::kUsage));
    place = std::move(*found);
    if (const auto fault = contradiction(target, place.sidecar); !fault.empty())
      return std::unexpected(fail(fault, Exit::kUsage));
  } else {
    place.sidecar = target.asks_sidecar;
    place.inspect = place.sidecar ? app::SidecarConfig{}.inspect : app::MasterConfig{}.inspect;
  }
  const std::string& url = place.sidecar ? target.sidecar : target.master;
  if (!url.empty()) {
    auto address = parse_url(url, place.sidecar ? 9470 : 9472);
    if (!address) return std::unexpected(fail(address.error().message, Exit::kUsage));
    place.inspect.address = std::move(*address);
  } else if (place.inspect.address.port == 0) {
    return std::unexpected(fail(target.config +
                                    ": [inspect] address lets the system choose a port: name it "
                                    "with --master or --sidecar, as the daemon's log says it",
                                Exit::kUsage));
  }
  Daemon daemon;
  const app::Address address = app::local_address(place.inspect.address);
  daemon.host_ = address.host;
  daemon.port_ = address.port;
  daemon.sidecar_ = place.sidecar;
  daemon.token_file_ = target.token.empty() ? place.inspect.token : target.token;
  return daemon;
}

std::string Daemon::address() const {
  return app::to_text({host_, static_cast<std::uint16_t>(port_)});
}

namespace {

// Says what is wrong, and how the command ends with it.
std::unexpected<Exit> said(const Daemon::Failure& failure) {
  return std::unexpected(fail(failure.message, failure.how));
}

}  // namespace

std::expected<std::string, Daemon::Failure> Daemon::try_get(const std::string& path) const {
  // The token goes only to a daemon that wants it of those who read, too.
  auto answer = ask(Method::kGet, path, Shows::kNothing);
  if (answer && answer->status == 401) answer = ask(Method::kGet, path, Shows::kToken);
  return body_of(answer);
}

std::expected<std::string, Exit> Daemon::get(const std::string& path) const {
  auto body = try_get(path);
  if (!body) return said(body.error());
  return *std::move(body);
}

std::expected<std::string, Exit> Daemon::post(const std::string& path) const {
  auto body = body_of(ask(Method::kPost, path, Shows::kToken));
  if (!body) return said(body.error());
  return *std::move(body);
}

std::expected<std::string, Exit> Daemon::put(const std::string& path) const {
  auto body = body_of(ask(Method::kPut, path, Shows::kToken));
  if (!body) return said(body.error());
  return *std::move(body);
}

std::expected<Daemon::Answer, Exit> Daemon::put(const std::string& path,
                                                const std::string& body) const {
  auto answer = ask(Method::kPut, path, Shows::kToken, body);
  if (!answer) return said(answer.error());
  const auto json = Json::parse(answer->body, nullptr, false);
  if (json.is_object() && json.contains("failed")) return *std::move(answer);
  const auto refused = body_of(answer);
  if (!refused) return said(refused.error());
  return std::unexpected(Exit::kFailed);
}

std::expected<std::string, Daemon::Failure> Daemon::body_of(const Asked& answer) const {
  if (!answer) return std::unexpected(answer.error());
  if (answer->status == 200) return answer->body;
  return std::unexpected(Failure{address() + " answers " + std::to_string(answer->status) + ": " +
                                 reason_in(answer->body)});
}

std::string Daemon::why_not(int error) const {
  const char* whose = sidecar_ ? "the sidecar" : "the master";
  if (static_cast<httplib::Error>(error) == httplib::Error::Read) {
    return std::string(whose) + " at " + address() + " took the request and did not answer: is " +
           program(sidecar_) + " busy, or stopped? Its log, and /healthz, say more";
  }
  return std::string("cannot reach ") + whose + " at " + address() + ": is " + program(sidecar_) +
         " running? If its [inspect] address is another one, name its ini file with --config, or "
         "the address with --" +
         (sidecar_ ? "sidecar" : "master");
}

Daemon::Asked Daemon::ask(Method method, const std::string& path, Shows shows,
                          const std::string& body) const {
  httplib::Headers headers;
  if (shows == Shows::kToken) {
    const auto secret = inspect::Token::load(token_file_);
    if (!secret) {
      return std::unexpected(Failure{secret.error().message + "; run this as the user that " +
                                     program(sidecar_) +
                                     " runs as, or name the file with --token"});
    }
    headers.emplace("Authorization", secret->authorization());
  }
  const bool hurries = patience_.count() > 0;
  const std::chrono::seconds usual(method == Method::kPut ? 90 : 30);
  httplib::Client client(host_, port_);
  client.set_connection_timeout(hurries ? patience_ : std::chrono::seconds(5));
  client.set_read_timeout(hurries ? patience_ : usual);
  const auto answer = method == Method::kGet ? client.Get(path, headers)
                      : method == Method::kPut
                          ? client.Put(path, headers, body, "text/plain")
                          : client.Post(path, headers, body, "application/json");
  if (!answer)
    return std::unexpected(Failure{why_not(static_cast<int>(answer.error())), Exit::kNoAnswer});
  return Answer{answer->status, answer->body};
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '.' || c == '-' || c == '_';
    if (plain) {
      out += c;
      continue;
    }
    char hex[4];
    std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned char>(c));
    out += hex;
  }
  return out;
}

Json parsed(const std::string& body) {
  return Json::parse(body);
}

}  // namespace rollcall::cli
