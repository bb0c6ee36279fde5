// The daemon's own log: what it writes, and from which level on.
#include <algorithm>
#include <optional>
#include <utility>

#include "app/logging.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"

namespace rollcall::inspect {
namespace {

std::string_view name_of(app::LogFormat format) {
  switch (format) {
    case app::LogFormat::Text:
      return "text";
    case app::LogFormat::Json:
      return "json";
    case app::LogFormat::Journal:
      return "journal";
    case app::LogFormat::Auto:
      break;
  }
  return "auto";
}

Json log_json() {
  return {{"level", to_string(app::log_level())}, {"format", name_of(app::log_format())}};
}

}  // namespace

void add_log_page(HttpServer& server, const Token& token) {
  add_page(server, "/log", [] { return json(log_json()); });
  server.route(
      "PUT", "/log", guarded(token, [](const Request& request) {
        using app::Level;
        std::optional<Level> level;
        if (auto refused = read_parameters(request, {one_of<Level>("level", level,
                                                                   {{"debug", Level::Debug},
                                                                    {"info", Level::Info},
                                                                    {"warn", Level::Warn},
                                                                    {"error", Level::Error}})})) {
          return *std::move(refused);
        }
        if (!level) {
          return error_response(400, "level is missing: it takes one of debug, info, warn, error");
        }
        const Level before = app::log_level();
        app::set_log_level(*level);
        if (*level != before) {
          // At a level at which it is seen, before and after.
          app::log(
              std::max({Level::Info, before, *level}), "the log's level was changed",
              {{"from", std::string(to_string(before))}, {"to", std::string(to_string(*level))}});
        }
        Json answer = log_json();
        answer["before"] = to_string(before);
        return json(answer);
      }));
}

}  // namespace rollcall::inspect
