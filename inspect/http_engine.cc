#include "inspect/http_engine.h"

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <optional>

namespace rollcall::inspect {
namespace {

std::string error_body(std::string_view message) {
  // Whatever bytes a path brought along, the answer is valid UTF-8.
  return nlohmann::json{{"error", message}}.dump(-1, ' ', false,
                                                 nlohmann::json::error_handler_t::replace) +
         "\n";
}

std::string_view reason(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 408:
      return "Request Timeout";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

// No regular expressions: a long path makes those of libstdc++ recurse until the stack ends.
std::optional<std::vector<std::string>> match(const std::string& pattern, std::string_view path) {
  const auto wanted = segments(pattern);
  const auto given = segments(path);
  if (wanted.size() != given.size()) return std::nullopt;
  std::vector<std::string> matches;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{}" && !given[i].empty()) {
      matches.emplace_back(given[i]);
    } else if (wanted[i] != given[i]) {
      return std::nullopt;
    }
  }
  return matches;
}

class MemoryStream final : public httplib::Stream {
 public:
  explicit MemoryStream(std::string in) : in_(std::move(in)) {}
  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    const std::size_t taken = in_.copy(to, size, at_);
    at_ += taken;
    return static_cast<ssize_t>(taken);
  }
  ssize_t write(const char* from, size_t size) override {
    out_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  // httplib puts these two into the request; nobody here asks for them.
  void get_remote_ip_and_port(std::string& ip, int& port) const override { ip.clear(), port = 0; }
  void get_local_ip_and_port(std::string& ip, int& port) const override { ip.clear(), port = 0; }
  socket_t socket() const override { return INVALID_SOCKET; }
  std::string take_output() { return std::move(out_); }

 private:
  const std::string in_;
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

Response error_response(int status, std::string_view message) {
  return Response{.status = status, .body = error_body(message)};
}

std::string refusal_text(const Refusal& refusal, bool with_body) {
  const std::string body = error_body(refusal.message);
  std::string text = "HTTP/1.1 " + std::to_string(refusal.status) + " ";
  text += reason(refusal.status);
  text += "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
          "\r\nConnection: close\r\n\r\n";
  if (with_body) text += body;
  return text;
}

class HttpEngine::Impl final : private httplib::Server {
 public:
  Impl(const std::vector<Route>& routes, const HttpOptions& options)
      : routes_(routes), options_(options) {
    set_keep_alive_max_count(options.requests_per_connection);
    set_keep_alive_timeout(std::chrono::ceil<std::chrono::seconds>(options.idle_timeout).count());
    set_default_headers({{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
    // Everything is answered here, so that httplib reads no body and has no routes of its own.
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      fill(response, answer_to(request));
      return HandlerResponse::Handled;
    });
    set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) fill(response, error_response(response.status, "bad request"));
    });
  }

  Answer answer(const Head& head, std::string body, bool waited) {
    Call call{head, waited};
    call_ = &call;
    std::string text = head.method + " " + head.target + " HTTP/1.1\r\n";
    if (head.close) text += "Connection: close\r\n";
    // Only gzip: httplib would take brotli first, at a quality that does 1 MB a second.
    if (head.gzip) text += "Accept-Encoding: gzip\r\n";
    MemoryStream stream(text + "\r\n");
    bool closed = false;
    process_request(stream, head.close, closed, [&](httplib::Request& request) {
      request.body = std::move(body);
      if (!head.authorization.empty()) {
        request.set_header("Authorization", head.authorization);
      }
    });
    call_ = nullptr;
    if (call.stream) return stream_of(std::move(call));
    return {stream.take_output(), call.wait};
  }

 private:
  // What httplib does not carry from answer() to the handler, and back.
  struct Call {
    const Head& head;
    bool waited;
    std::optional<Wait> wait = {};
    std::shared_ptr<Stream> stream = nullptr;
    std::string content_type = {}, begin = {};
  };
  static inline thread_local Call* call_ = nullptr;

  // Without a length: it goes on until the connection ends.
  static Answer stream_of(Call call) {
    std::string text = "HTTP/1.1 200 OK\r\nContent-Type: " + call.content_type +
                       "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                       "Connection: close\r\n\r\n";
    if (call.head.method == "HEAD") return {.text = text, .close = true};
    return {.text = text + call.begin, .stream = std::move(call.stream)};
  }

  static void fill(httplib::Response& to, Response from) {
    to.status = from.status;
    to.body = std::move(from.body);
    to.headers.erase("Content-Type");
    to.set_header("Content-Type", from.content_type);
    for (const auto& [name, value] : from.headers) {
      to.headers.erase(name);
      to.set_header(name, value);
    }
  }

  Response answer_to(const httplib::Request& from) const {
    const std::string method = from.method == "HEAD" ? "GET" : from.method;
    std::string allowed;
    for (const Route& route : routes_) {
      auto matches = match(route.pattern, from.path);
      if (!matches) continue;
      if (route.method != method) {
        if (!allowed.empty()) allowed += ", ";
        allowed += route.method == "GET" ? "GET, HEAD" : route.method;
        continue;
      }
      Request request{.method = method,
                      .path = from.path,
                      .query = {},
                      .matches = *std::move(matches),
                      .body = from.body,
                      .authorization = from.get_header_value("Authorization"),
                      .last_event_id = call_->head.last_event_id,
                      .if_none_match = call_->head.if_none_match,
                      .event_stream = call_->head.event_stream,
                      .waited = call_->waited};
      for (const auto& [name, value] : from.params) request.query.try_emplace(name, value);
      return run(route, request);
    }
    if (allowed.empty()) return error_response(404, "nothing is served at " + from.path);
    Response response = error_response(405, from.path + " takes " + allowed + " only");
    response.headers.emplace_back("Allow", allowed);
    return response;
  }

  Response run(const Route& route, const Request& request) const {
    std::string problem = "an exception of unknown type";
    try {
      Response response = route.handler(request);
      if (response.status >= 200 && response.status <= 599) return noted(std::move(response));
      problem = "status " + std::to_string(response.status);
    } catch (const std::exception& e) {
      problem = e.what();
    } catch (...) {
    }
    if (options_.report) {
      options_.report("the handler of " + route.method + " " + route.pattern +
                      " failed: " + problem);
    }
    return error_response(500, "this request failed; the log says why");
  }

  static Response noted(Response response) {
    call_->wait = response.wait;
    call_->stream = response.stream;
    if (!response.stream) return response;
    call_->content_type = response.content_type;
    call_->begin = std::move(response.body);
    return {};
  }

  const std::vector<Route>& routes_;
  const HttpOptions& options_;
};

HttpEngine::HttpEngine(const std::vector<Route>& routes, const HttpOptions& options)
    : impl_(std::make_unique<Impl>(routes, options)) {}
HttpEngine::~HttpEngine() = default;
HttpEngine::Answer HttpEngine::answer(const Head& head, std::string body, bool waited) {
  return impl_->answer(head, std::move(body), waited);
}

}  // namespace rollcall::inspect
