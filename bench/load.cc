// What stands around the daemons when they are measured: agents at the event socket, a master that
// waits for HELLO, a thousand workers. bench/run starts it; each command prints what it measured.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>

#include "bench/events_client.h"
#include "bench/figures.h"
#include "bench/http_client.h"
#include "bench/infos.h"
#include "bench/workers.h"
#include "protocol/codec.h"
#include "protocol/compression.h"

namespace rollcall::bench {
namespace {

std::int64_t wall_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Storm {
  std::string socket;
  std::uint16_t port = 0;  // of the master's inspect address
  std::uint32_t agents = 0;
  bool info = true;
  std::uint64_t seed = 0;
};

void print_result(const std::string& name, double value) {
  std::printf("%s %.6f\n", name.c_str(), value);
  std::fflush(stdout);
}

// ---- storm -----------------------------------------------------------------------------------

// From the first line written until the master's table has all of them.
void storm(const Storm& s) {
  std::string lines;
  const std::int64_t at = wall_us();
  for (std::uint32_t a = 1; a <= s.agents; ++a) {
    const AgentInfo info = s.info ? info_of(a, s.seed) : AgentInfo{};
    lines += event_line(a, "connect", at + a, s.info ? &info : nullptr);
  }
  HttpClient master(s.port);
  EventsClient sidecar(s.socket);
  const Stopwatch watch;
  sidecar.tell(lines);
  const double stored = watch.seconds();
  while (number_in(master.get("/status"), "active") < s.agents) {
    if (watch.seconds() > 60) fail("after 60 s the master does not have all agents");
    std::this_thread::sleep_for(std::chrono::milliseconds(4));
  }
  const double seen = watch.seconds();
  if (number_in(master.get("/agents?limit=1"), "total") != s.agents)
    fail("/agents and /status disagree");
  print_result("stored", stored);
  print_result("seen", seen);
}

// Every agent, its node and its config sum, as the seed says.
void verify(const Storm& s, const std::string& node) {
  HttpClient master(s.port);
  std::uint32_t found = 0, wrong = 0;
  std::int64_t after = 0;
  for (bool more = true; more;) {
    const auto page =
        nlohmann::json::parse(master.get("/agents?limit=1000&after=" + std::to_string(after)));
    for (const auto& agent : page["agents"]) {
      const auto id = agent["id"].get<std::uint32_t>();
      bool right = agent["status"] == "active" && agent["node"] == node;
      if (right && s.info) {
        const AgentInfo info = info_of(id, s.seed);
        right = agent["info_complete"] == true &&
                agent["info"]["config_sum"] == std::string(info.at("config_sum")) &&
                agent["info"]["name"] == std::string(info.at("name"));
      }
      ++found;
      if (right) continue;
      if (++wrong <= 3) print_remark("wrong: " + agent.dump());
    }
    more = !page["next_after"].is_null();
    if (more) after = page["next_after"].get<std::int64_t>();
  }
  if (found != s.agents || wrong != 0) {
    fail(std::to_string(found) + " of " + std::to_string(s.agents) + " agents are there, " +
         std::to_string(wrong) + " of them wrong");
  }
  print_result("verified", found);
}

// What these events come to if they are compressed in one piece, as small as zstd makes them.
void entropy(const Storm& s) {
  std::string plain;
  wire::Packer packer(plain);
  std::mt19937_64 random(s.seed);
  for (std::uint32_t a = 1; a <= s.agents; ++a) {
    Event e;
    e.agent = AgentId{a};
    e.epoch = Epoch{static_cast<std::uint64_t>(wall_us())};
    const auto error = static_cast<std::int64_t>(100 + random() % 100);
    e.evidence = {{time_of(e.epoch).us - error}, {time_of(e.epoch).us + error}};
    if (s.info) {
      e.info = std::make_shared<const AgentInfo>(info_of(a, s.seed));
      e.info_hash = hash_of(*e.info);
    }
    pack_event(packer, e);
  }
  const double plain_size = static_cast<double>(plain.size()) / s.agents;
  print_result("plain", plain_size);
  print_result("packed", static_cast<double>(compress(plain, 19).size()) / s.agents);
}

// ---- latency ---------------------------------------------------------------------------------

// One change at a time, from its line written until the master's page of the agent shows it.
void latency(const Storm& s, int samples) {
  HttpClient master(s.port);
  EventsClient sidecar(s.socket);
  std::mt19937_64 random(s.seed);
  std::vector<double> took;
  std::map<std::uint32_t, bool> closed;
  for (int i = 0; i < samples; ++i) {
    const auto agent = static_cast<std::uint32_t>(1 + random() % s.agents);
    bool& is_closed = closed[agent];
    is_closed = !is_closed;
    const std::string line =
        event_line(agent, is_closed ? "disconnect" : "connect", wall_us(), nullptr);
    const std::string wanted = is_closed ? "\"disconnected\"" : "\"active\"";
    const std::string path = "/agents/" + std::to_string(agent);
    const Stopwatch watch;
    sidecar.tell(line);
    for (;;) {
      const std::string page = master.get(path);
      const auto status = page.find("\"status\":");
      if (status != page.npos && page.compare(status + 9, wanted.size(), wanted) == 0) break;
      if (watch.seconds() > 10) fail("after 10 s the master does not show the change: " + page);
    }
    took.push_back(watch.seconds());
    // Not in step with any timer of the daemons.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
  }
  print_result("p50", percentile(took, 0.5) * 1000);
  print_result("p99", percentile(took, 0.99) * 1000);
}

// Three syncs one after the other: the least that durable before sent and durable before acked
// cost (LMDB syncs its pages and then its header, the log its group).
void syncs(const std::string& directory, int samples) {
  const std::string path = directory + "/syncs";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) fail("cannot create " + path);
  const std::string bytes(4096, 'x');
  std::vector<double> took;
  off_t at = 0;
  for (int i = 0; i < samples; ++i) {
    const Stopwatch watch;
    for (int n = 0; n < 3; ++n, at += 4096) {
      if (::pwrite(fd, bytes.data(), bytes.size(), at) != 4096 || ::fdatasync(fd) != 0)
        fail("cannot write " + path);
    }
    took.push_back(watch.seconds());
  }
  ::close(fd);
  ::unlink(path.c_str());
  print_result("p50", percentile(took, 0.5) * 1000);
  print_result("p99", percentile(took, 0.99) * 1000);
}

// ---- what flows in quiet times ---------------------------------------------------------------

// Every agent speaks once in `interval_ms`, evenly spread.
void keepalives(const std::string& socket, std::uint32_t agents, int interval_ms, int seconds) {
  constexpr int kStepMs = 2000;  // keepalives are answered within a second
  EventsClient sidecar(socket);
  const Stopwatch watch;
  std::uint32_t next = 0;
  std::uint64_t told = 0;
  for (int step = 1; step * kStepMs <= seconds * 1000; ++step) {
    const std::uint64_t due = std::uint64_t{agents} * static_cast<unsigned>(step) * kStepMs /
                              static_cast<unsigned>(interval_ms);
    std::string lines;
    for (; told < due; ++told)
      lines += event_line(next++ % agents + 1, "keepalive", wall_us(), nullptr);
    sidecar.tell(lines);
    while (watch.seconds() * 1000 < step * kStepMs)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  print_result("told", static_cast<double>(told));
  print_result("seconds", watch.seconds());
}

// Agents of the first worker go to the second one, and back when all have gone; half of them say
// goodbye, which comes late.
void moves(const std::string& first, const std::string& second, std::uint32_t agents,
           int per_minute, int seconds, std::uint64_t seed) {
  EventsClient sidecars[] = {EventsClient(first), EventsClient(second)};
  const Stopwatch watch;
  const int count = per_minute * seconds / 60;
  for (int i = 0; i < count; ++i) {
    while (watch.seconds() * count < i * static_cast<double>(seconds))
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::uint32_t agent = static_cast<std::uint32_t>(i) % agents + 1;
    const bool back = static_cast<std::uint32_t>(i) / agents % 2 == 1;
    const AgentInfo info = info_of(agent, seed);
    sidecars[back ? 0 : 1].tell(event_line(agent, "connect", wall_us(), &info));
    if (i % 2 == 0)
      sidecars[back ? 1 : 0].tell(event_line(agent, "disconnect", wall_us() - 1'000, nullptr));
  }
  while (watch.seconds() < seconds) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  print_result("moved", count);
  print_result("seconds", watch.seconds());
}

// ---- a relay that counts ---------------------------------------------------------------------

struct Counted {
  std::atomic<std::uint64_t> up = 0, down = 0;
};

void pump(int from, int to, std::atomic<std::uint64_t>& count) {
  char piece[65536];
  for (ssize_t n; (n = ::recv(from, piece, sizeof piece, 0)) > 0;) {
    count += static_cast<std::uint64_t>(n);
    for (ssize_t sent = 0; sent < n;) {
      const ssize_t m = ::send(to, piece + sent, static_cast<std::size_t>(n - sent), MSG_NOSIGNAL);
      if (m <= 0) break;
      sent += m;
    }
  }
  ::shutdown(to, SHUT_WR);
}

int tcp_socket(std::uint16_t port, bool listen) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* address = reinterpret_cast<const sockaddr*>(&a);
  const int bad =
      listen ? ::bind(fd, address, sizeof a) || ::listen(fd, 8) : ::connect(fd, address, sizeof a);
  if (bad) fail("port " + std::to_string(port) + ": " + std::strerror(errno));
  return fd;
}

// Prints its port; then, for each line on its standard input, the bytes so far.
void relay(std::uint16_t target) {
  const int listener = tcp_socket(0, true);
  sockaddr_in own{};
  socklen_t size = sizeof own;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&own), &size);
  print_result("port", ntohs(own.sin_port));
  static Counted counted;
  std::thread([listener, target] {
    for (int from; (from = ::accept(listener, nullptr, nullptr)) >= 0;) {
      const int to = tcp_socket(target, false);
      std::thread([from, to] { pump(from, to, counted.up); }).detach();
      std::thread([from, to] { pump(to, from, counted.down); }).detach();
    }
  }).detach();
  for (int c; (c = std::getchar()) != EOF;) {
    if (c != '\n') continue;
    print_result("up", static_cast<double>(counted.up));
    print_result("down", static_cast<double>(counted.down));
  }
  std::_Exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  std::signal(SIGPIPE, SIG_IGN);
  const std::string what = args.empty() ? "" : args[0];
  auto arg = [&](std::size_t i) {
    if (i >= args.size()) fail("bench_load " + what + ": too few arguments");
    return args[i];
  };
  auto num = [&](std::size_t i) { return std::stoull(arg(i)); };
  auto storm_of = [&](std::size_t first) {
    Storm s;
    s.agents = static_cast<std::uint32_t>(num(first));
    s.info = arg(first + 1) == "full";
    s.seed = num(first + 2);
    return s;
  };
  auto port = [&](std::size_t i) { return static_cast<std::uint16_t>(num(i)); };
  if (what == "storm") {  // SOCKET MASTER_HTTP AGENTS full|bare SEED
    Storm s = storm_of(3);
    s.socket = arg(1);
    s.port = port(2);
    storm(s);
  } else if (what == "verify") {  // MASTER_HTTP NODE AGENTS full|bare SEED
    Storm s = storm_of(3);
    s.port = port(1);
    verify(s, arg(2));
  } else if (what == "entropy") {  // AGENTS full|bare SEED
    entropy(storm_of(1));
  } else if (what == "latency") {  // SOCKET MASTER_HTTP AGENTS SAMPLES
    Storm s;
    s.socket = arg(1);
    s.port = port(2);
    s.agents = static_cast<std::uint32_t>(num(3));
    latency(s, static_cast<int>(num(4)));
  } else if (what == "syncs") {  // DIR SAMPLES
    syncs(arg(1), static_cast<int>(num(2)));
  } else if (what == "keepalives") {  // SOCKET AGENTS INTERVAL_MS SECONDS
    keepalives(arg(1), static_cast<std::uint32_t>(num(2)), static_cast<int>(num(3)),
               static_cast<int>(num(4)));
  } else if (what == "moves") {  // SOCKET SOCKET AGENTS PER_MINUTE SECONDS SEED
    moves(arg(1), arg(2), static_cast<std::uint32_t>(num(3)), static_cast<int>(num(4)),
          static_cast<int>(num(5)), num(6));
  } else if (what == "relay") {  // TARGET_PORT
    relay(port(1));
  } else if (what == "pki") {  // DIR COUNT
    make_certificates(arg(1), static_cast<int>(num(2)));
  } else if (what == "restart") {  // PKI PORT RUNS PROGRAM ARGUMENTS…
    restart(arg(1), port(2), static_cast<int>(num(3)), {args.begin() + 4, args.end()});
  } else if (what == "workers") {  // PKI PORT WORKERS AGENTS SEED
    connect_workers(arg(1), port(2), static_cast<int>(num(3)), static_cast<int>(num(4)), num(5));
  } else if (what == "handshakes") {  // PKI WORKERS
    handshakes_alone(arg(1), static_cast<int>(num(2)));
  } else {
    fail(
        "usage: bench_load "
        "storm|verify|entropy|latency|syncs|keepalives|moves|relay|pki|restart|workers|"
        "handshakes …, as bench/run does");
  }
  return 0;
}

}  // namespace rollcall::bench

int main(int argc, char** argv) {
  return rollcall::bench::main(argc, argv);
}
