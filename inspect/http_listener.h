#pragma once
// The socket that the HTTP side listens on.
#include <cstdint>
#include <expected>
#include <string_view>

#include "inspect/http_connection.h"
#include "inspect/http_server.h"
#include "protocol/error.h"

namespace rollcall::inspect {

struct HttpListener {
  Fd fd;
  std::uint16_t port = 0;  // the one that it got
};
std::expected<HttpListener, Error> listen_on(const HttpOptions& options);

// Why there is no HTTP side, and what to do.
std::unexpected<Error> cannot(std::string_view what, const HttpOptions& options, const char* why);

}  // namespace rollcall::inspect
