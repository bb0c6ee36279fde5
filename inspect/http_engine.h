#pragma once
// From a request that is whole to the bytes of its answer: routes, and cpp-httplib in memory. No
// sockets; any thread, several at once.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/http_head.h"
#include "inspect/http_server.h"

namespace rollcall::inspect {

struct Route {
  std::string method;
  std::string pattern;
  Handler handler;
};

class HttpEngine {
 public:
  // Both are kept by reference; routes are added before the first answer().
  HttpEngine(const std::vector<Route>& routes, const HttpOptions& options);
  ~HttpEngine();
  HttpEngine(const HttpEngine&) = delete;
  HttpEngine& operator=(const HttpEngine&) = delete;

  struct Answer {
    std::string text;  // empty if httplib could not even refuse it
    std::optional<Wait> wait = {};
    std::shared_ptr<Stream> stream = nullptr;
    bool close = false;  // the text has no length: it ends with the connection
  };
  // `head` is one that parse_head() has accepted.
  Answer answer(const Head& head, std::string body, bool waited = false);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// What is answered without a handler; the connection ends after it.
std::string refusal_text(const Refusal& refusal, bool with_body);

}  // namespace rollcall::inspect
