#include "inspect/http_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace rollcall::inspect {
namespace {

std::unexpected<Refusal> refuse(int status, std::string message) {
  return std::unexpected(Refusal{status, std::move(message)});
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Calls take(item) for each item of a list with commas, in lower case.
template <typename Take>
void each_item(std::string_view list, Take take) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    take(lower(trim(list.substr(0, comma))));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

// The next line without its end; nullopt if it does not end in CR LF or holds a control character.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || end == 0 || text[end - 1] != '\r') return std::nullopt;
  const std::string_view line = text.substr(0, end - 1);
  text.remove_prefix(end + 1);
  const bool plain = std::ranges::none_of(line, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
  return plain ? std::optional(line) : std::nullopt;
}

bool accepts_gzip(std::string_view item) {
  const std::size_t semicolon = item.find(';');
  if (trim(item.substr(0, semicolon)) != "gzip") return false;
  if (semicolon == std::string_view::npos) return true;
  std::string weight(item.substr(semicolon + 1));
  std::erase(weight, ' ');
  // Only a weight of nothing but zeros forbids it.
  return !weight.starts_with("q=0") || weight.find_first_of("123456789") != std::string::npos;
}

constexpr std::array<std::string_view, 7> kMethods = {"GET",   "HEAD",   "POST",   "PUT",
                                                      "PATCH", "DELETE", "OPTIONS"};

// The method, the path and the version.
std::expected<Head, Refusal> parse_request_line(std::string_view line, const HeadLimits& limits) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return refuse(400, "the request line is not: method, path, version");
  }
  Head head;
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (head.target.size() > limits.target) {
    return refuse(414, "the path is longer than " + std::to_string(limits.target) + " bytes");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return refuse(505, "the version is neither HTTP/1.1 nor HTTP/1.0");
  }
  if (!is_token(head.method)) return refuse(400, "the method is not a word");
  if (std::ranges::find(kMethods, head.method) == kMethods.end()) {
    return refuse(501, "the method is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  }
  const bool plain = std::ranges::all_of(head.target, [](char c) { return c > ' ' && c < 0x7f; });
  if (!head.target.starts_with('/') || !plain) {
    return refuse(400, "the path does not begin with / or holds characters that need %-escapes");
  }
  head.close = version == "HTTP/1.0";
  return head;
}

// What is judged once all headers are read.
struct Pending {
  std::optional<std::string_view> host, length;
};

// `name` is in lower case.
std::expected<void, Refusal> take_header(std::string_view name, std::string_view value,
                                         const HeadLimits& limits, Head& head, Pending& pending) {
  if (name == "host") {
    if (pending.host) return refuse(400, "there are two Host headers");
    pending.host = value;
  } else if (name == "content-length") {
    if (pending.length) return refuse(400, "there are two Content-Length headers");
    pending.length = value;
  } else if (name == "transfer-encoding") {
    return refuse(400, "Transfer-Encoding is not taken; send a Content-Length");
  } else if (name == "content-encoding") {
    if (lower(value) != "identity") return refuse(415, "a compressed body is not taken");
  } else if (name == "expect") {
    return refuse(417, "Expect is not taken; send the body at once");
  } else if (name == "origin") {
    const std::size_t scheme = value.find("://");
    if (scheme == std::string_view::npos || !is_own_host(value.substr(scheme + 3), limits.hosts)) {
      return refuse(403, "this Origin may not ask here");
    }
  } else if (name == "authorization") {
    if (!head.authorization.empty()) return refuse(400, "there are two Authorization headers");
    head.authorization = value;
  } else if (name == "connection") {
    each_item(value, [&](const std::string& item) { head.close |= item == "close"; });
  } else if (name == "accept") {
    each_item(value, [&](const std::string& item) {
      head.event_stream |= trim(item.substr(0, item.find(';'))) == "text/event-stream";
    });
  } else if (name == "last-event-id") {
    head.last_event_id = value;
  } else if (name == "if-none-match") {
    head.if_none_match = value;
  } else if (name == "accept-encoding") {
    each_item(value, [&](const std::string& item) { head.gzip |= accepts_gzip(item); });
  }
  return {};
}

// What Content-Length says, in bytes.
std::expected<std::size_t, Refusal> body_bytes(std::string_view length, const Head& head,
                                               const HeadLimits& limits) {
  const char* end = length.data() + length.size();
  std::size_t bytes = 0;
  const auto [rest, problem] = std::from_chars(length.data(), end, bytes);
  if (!is_digits(length) || (problem == std::errc{} && rest != end)) {
    return refuse(400, "Content-Length is not a number");
  }
  const bool too_long = problem == std::errc::result_out_of_range || bytes > limits.body;
  if ((head.method == "GET" || head.method == "HEAD") && (too_long || bytes > 0)) {
    return refuse(400, "GET and HEAD have no body");
  }
  if (too_long) {
    return refuse(413, "the body is longer than " + std::to_string(limits.body) + " bytes");
  }
  return bytes;
}

}  // namespace

bool is_own_host(std::string_view host, const std::vector<std::string>& hosts) {
  std::string name = lower(trim(host));
  std::optional<std::string> port;
  if (name.starts_with('[')) {
    const std::size_t end = name.find(']');
    if (end == std::string::npos) return false;
    if (end + 1 < name.size()) {
      if (name[end + 1] != ':') return false;
      port = name.substr(end + 2);
    }
    name = name.substr(1, end - 1);
    if (name.find(':') == std::string::npos) return false;  // brackets are for IPv6 only
  } else if (name != "::1") {
    // An IPv6 address without brackets is only known as "::1", perhaps with a port behind it.
    const std::size_t colon = name.starts_with("::1:") ? 3 : name.find(':');
    if (colon != std::string::npos) {
      port = name.substr(colon + 1);
      name.resize(colon);
    }
  }
  if (port && (!is_digits(*port) || port->size() > 5)) return false;
  return name == "127.0.0.1" || name == "localhost" || name == "::1" ||
         std::ranges::find(hosts, name) != hosts.end();
}

std::expected<Head, Refusal> parse_head(std::string_view text, const HeadLimits& limits) {
  const auto request_line = take_line(text);
  if (!request_line) return refuse(400, "the request line is not plain text that ends in CR LF");
  auto head = parse_request_line(*request_line, limits);
  if (!head) return head;
  Pending pending;
  while (!text.starts_with("\r\n")) {
    const auto line = take_line(text);
    if (!line) return refuse(400, "a header is not plain text that ends in CR LF");
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos || !is_token(line->substr(0, colon))) {
      return refuse(400, "a header is not: name, colon, value");
    }
    const std::string name = lower(line->substr(0, colon));
    const auto taken = take_header(name, trim(line->substr(colon + 1)), limits, *head, pending);
    if (!taken) return std::unexpected(taken.error());
  }
  if (text.size() != 2) return refuse(400, "there is text after the empty line");

  if (!pending.host) return refuse(400, "the Host header is missing");
  if (!is_own_host(*pending.host, limits.hosts)) {
    return refuse(403, "this Host is not served here; ask 127.0.0.1 or localhost");
  }
  if (pending.length) {
    const auto bytes = body_bytes(*pending.length, *head, limits);
    if (!bytes) return std::unexpected(bytes.error());
    head->body_bytes = *bytes;
  }
  return head;
}

}  // namespace rollcall::inspect
