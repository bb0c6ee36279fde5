// The head of an HTTP request, judged before anything else sees it. Pure: bytes in, values out.
//
// The interface is for loopback and asks for no password, so a web page that the operator has open
// must not get in: a name that resolves to 127.0.0.1 shows as a foreign Host, a form on another
// site as a foreign Origin. What two parsers could read in two ways (Transfer-Encoding, two
// lengths, bare line feeds, folded lines) is refused.
#pragma once
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace rollcall::inspect {

struct HeadLimits {
  std::size_t target = 2'048;  // bytes of path and query
  std::size_t body = std::size_t{1} << 20;
  // Besides 127.0.0.1, localhost and ::1, in lower case and without a port.
  std::vector<std::string> hosts;
};

struct Head {
  std::string method;
  std::string target;  // begins with '/'
  std::size_t body_bytes = 0;
  bool close = false;  // the connection ends after the answer
  bool gzip = false;   // the answer may be compressed
  std::string authorization = {};
  bool event_stream = false;  // Accept names text/event-stream
  std::string last_event_id = {};
  std::string if_none_match = {};
};

struct Refusal {
  int status = 400;
  std::string message;
};

// `text` is everything up to and including the empty line.
std::expected<Head, Refusal> parse_head(std::string_view text, const HeadLimits& limits);

// True for a Host header that names this machine's loopback or one of `hosts`, with any port.
bool is_own_host(std::string_view host, const std::vector<std::string>& hosts);

}  // namespace rollcall::inspect
