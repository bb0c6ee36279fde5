#include "inspect/web_page.h"

#include <string>

#include "inspect/page_tools.h"

namespace rollcall::inspect {
namespace {

// Nothing from elsewhere, nothing inline, no frame, no form; text never becomes markup.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

bool names_it(std::string_view if_none_match, std::string_view tag) {
  return if_none_match == "*" || if_none_match.find(tag) != if_none_match.npos;
}

// A reader asks each time whether it still has the newest, and gets it only if not. The tag is a
// weak one: compressed or not, it is the same file.
Response file_response(const WebFile& file, const Request& request) {
  const std::string tag = "\"" + std::string(file.hash) + "\"";
  Response response;
  response.headers = {{"ETag", "W/" + tag},
                      {"Cache-Control", "no-cache"},
                      {"Content-Security-Policy", kPolicy},
                      {"Referrer-Policy", "no-referrer"}};
  response.content_type = file.content_type;
  if (names_it(request.if_none_match, tag)) {
    response.status = 304;
  } else {
    response.body = file.text;
  }
  return response;
}

}  // namespace

void add_web_page(HttpServer& server, std::string_view start) {
  for (const WebFile& file : web_files()) {
    const auto handler = [&file](const Request& request) {
      if (auto refused = read_parameters(request, {})) return *std::move(refused);
      return file_response(file, request);
    };
    server.route("GET", "/page/" + std::string(file.name), handler);
    if (file.name == start) server.route("GET", "/", handler);
  }
}

}  // namespace rollcall::inspect
