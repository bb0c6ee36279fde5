#include "inspect/page_tools.h"

#include <algorithm>
#include <charconv>

#include "app/logging.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

constexpr std::uint64_t kMaxLimit = 1'000;

std::optional<std::uint64_t> number(const std::string& text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, value);
  if (problem != std::errc{} || rest != end) return std::nullopt;
  return value;
}

std::string names_of(const std::vector<Parameter>& parameters) {
  std::string names;
  for (const Parameter& p : parameters) names += (names.empty() ? "" : ", ") + p.name;
  return names.empty() ? "none" : names;
}

}  // namespace

HttpOptions http_options(const app::InspectConfig& config, std::size_t connections,
                         const Token& token) {
  HttpOptions options;
  options.host = config.address.host;
  options.port = config.address.port;
  options.allowed_hosts = config.hosts;
  // An address is no name that somebody else could have point here.
  if (!app::is_wildcard(config.address)) options.allowed_hosts.push_back(config.address.host);
  options.connections = connections;
  options.report = [](std::string_view text) { app::log(app::Level::Warn, text); };
  if (config.read_token) {
    options.guard_reads = [token](Handler handler) { return guarded(token, std::move(handler)); };
  } else if (!app::is_loopback(config.address)) {
    app::log(
        app::Level::Warn,
        "the inspect address can be reached from other machines, and asks nobody for a password: "
        "[inspect] read_token = true would",
        {{"address", app::to_text(config.address)}});
  }
  return options;
}

Response json(const Json& body, int status) {
  // What an agent says of itself need not be UTF-8.
  return {status, "application/json",
          body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

Response busy() {
  return error_response(503, "the daemon is busy or stopping; try again");
}

Response readiness(const std::vector<std::string>& why_not) {
  if (why_not.empty()) return json({{"status", "ready"}});
  std::string why;
  for (const std::string& reason : why_not) why += (why.empty() ? "" : "; ") + reason;
  return json({{"status", "not ready"}, {"why", why}}, 503);
}

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json id_or_null(std::uint64_t id) {
  return id == 0 ? Json(nullptr) : Json(to_hex(id));
}

Parameter whole_number(std::string name, std::uint64_t& into, std::uint64_t least,
                       std::uint64_t most) {
  std::string form = "a whole number";
  if (most != ~std::uint64_t{0}) {
    form += ", " + std::to_string(least) + " to " + std::to_string(most);
  }
  return {std::move(name), std::move(form), [&into, least, most](const std::string& text) {
            const auto value = number(text);
            if (!value || *value < least || *value > most) return false;
            into = *value;
            return true;
          }};
}

std::optional<Response> read_parameters(const Request& request,
                                        const std::vector<Parameter>& allowed) {
  for (const auto& [name, value] : request.query) {
    const auto found = std::ranges::find(allowed, name, &Parameter::name);
    if (found == allowed.end()) {
      return error_response(400, "unknown parameter '" + name + "'; allowed: " + names_of(allowed));
    }
    if (!found->take(value)) return error_response(400, name + " takes " + found->form);
  }
  return std::nullopt;
}

std::string event_text(std::string_view name, const Json& data) {
  return "event: " + std::string(name) +
         "\ndata: " + data.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n\n";
}

std::string busy_event() {
  return event_text("busy", {{"why", "the daemon is busy"}});
}

std::string whole_events(std::string_view unsent, std::string_view why) {
  const std::size_t end = unsent.find("\n\n");
  std::string text(unsent.substr(0, end == unsent.npos ? 0 : end + 2));
  return text + event_text("closed", {{"why", why}});
}

Response live_response(std::shared_ptr<Stream> stream, const std::string& begin) {
  Response response;
  response.content_type = "text/event-stream";
  response.body = "retry: 2000\n" + begin;
  response.stream = std::move(stream);
  return response;
}

void add_page(HttpServer& server, std::string pattern, std::function<Response()> page) {
  server.route("GET", std::move(pattern), [page = std::move(page)](const Request& request) {
    if (auto refused = read_parameters(request, {})) return *std::move(refused);
    return page();
  });
}

std::vector<Parameter> paging(Paging& into) {
  return {whole_number("after", into.after, 0, ~std::uint64_t{0}),
          whole_number("limit", into.limit, 1, kMaxLimit)};
}

std::optional<AgentId> agent_of(const std::string& text) {
  const auto value = number(text);
  if (!value || *value == 0 || *value > 0xffff'ffffu) return std::nullopt;
  return AgentId{static_cast<std::uint32_t>(*value)};
}

Response not_an_agent() {
  return error_response(400, "an agent's id is a whole number from 1 to 4294967295");
}

}  // namespace rollcall::inspect
