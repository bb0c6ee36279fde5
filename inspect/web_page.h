#pragma once
// The web page: files that are compiled in, alike for every reader. What they show they ask for
// themselves, over the pages and the stream that docs/http.md lists. Any thread.
#include <span>
#include <string_view>

#include "inspect/http_server.h"

namespace rollcall::inspect {

struct WebFile {
  std::string_view name, content_type, text, hash;
};
// All that inspect/page/ holds; made by inspect/page/embed.cmake.
std::span<const WebFile> web_files();

// `start`: the file that / answers.
void add_web_page(HttpServer& server, std::string_view start);

}  // namespace rollcall::inspect
