// standin-wazuhdb: StandinServer as a program, until SIGTERM, SIGINT or --max-seconds.
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/standin_server.h"

namespace {

using rollcall::testing::StandinOptions;
using rollcall::testing::StandinServer;
using rollcall::testing::WazuhFlavour;

constexpr const char* kUsage =
    "usage: standin-wazuhdb --socket PATH [--http-socket PATH] [--flavour 4.11|4.14]\n"
    "                       [--now-offset SECONDS] [--max-seconds N]\n"
    "Answers as wazuh-db does, from a table in memory. Requests that begin with \"standin \" are\n"
    "for itself: fault NAME [ARG], offset SECONDS, reset, stats, fill N [FIRST] [NODE],\n"
    "keepalives N MS, manager. SIGUSR1 prints the stats in one line.\n"
    "Without --max-seconds it ends after an hour.\n";

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number)
                                                                  : std::nullopt;
}

std::time_t monotonic_seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

int complain(const std::string& what) {
  std::fprintf(stderr, "standin-wazuhdb: %s\n%s", what.c_str(), kUsage);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  StandinOptions options;
  std::string socket;
  std::string http_socket;
  std::int64_t max_seconds = 3600;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (i + 1 == argc) {
      return complain(std::string(name) + " needs a value");
    }
    const std::string_view value = argv[i + 1];
    const auto number = whole_number(value);
    if (name == "--socket") {
      socket = value;
    } else if (name == "--http-socket") {
      http_socket = value;
    } else if (name == "--flavour" && (value == "4.11" || value == "4.14")) {
      options.flavour = value == "4.11" ? WazuhFlavour::k4_11 : WazuhFlavour::k4_14;
    } else if (name == "--now-offset" && number) {
      options.now_offset_seconds = *number;
    } else if (name == "--max-seconds" && number && *number > 0) {
      max_seconds = *number;
    } else {
      return complain("cannot use " + std::string(name) + " " + std::string(value));
    }
  }
  if (socket.empty()) {
    return complain("--socket is missing");
  }

  // Blocked before the server's thread starts, so that only sigtimedwait below sees them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGUSR1);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  StandinServer server(options);
  for (const auto& started :
       {server.start(socket), http_socket.empty() ? std::expected<void, std::string>()
                                                  : server.start_http(http_socket)}) {
    if (!started) {
      std::fprintf(stderr, "standin-wazuhdb: %s\n", started.error().c_str());
      return 1;
    }
  }
  std::printf("listening on %s\n", socket.c_str());
  std::fflush(stdout);
  const std::time_t until = monotonic_seconds() + max_seconds;
  while (const std::time_t left = std::max<std::time_t>(until - monotonic_seconds(), 0)) {
    const timespec limit{left, 0};
    if (sigtimedwait(&ends, nullptr, &limit) != SIGUSR1) {
      break;
    }
    std::printf("%s\n", server.control("stats").substr(3).c_str());
    std::fflush(stdout);
  }
  server.stop();
  return 0;
}
