#include "bench/workers.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>

#include "bench/figures.h"
#include "bench/infos.h"
#include "net/loop.h"
#include "net/pki.h"
#include "net/tls_stream.h"
#include "protocol/codec.h"
#include "protocol/framing.h"

extern char** environ;

namespace rollcall::bench {
namespace {

using Streams = std::vector<std::unique_ptr<net::TlsStream>>;

std::string worker_name(int i) {
  return "w" + std::to_string(i + 1);
}

net::TlsFiles files_of(const std::string& pki, const std::string& name) {
  return {pki + "/ca.crt", pki + "/" + name + ".crt", pki + "/" + name + ".key"};
}

template <typename T>
T must(std::expected<T, Error> result) {
  if (!result) fail(result.error().message);
  return std::move(*result);
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One worker's side of the protocol, as far as it takes to have its agents acked.
class Worker {
 public:
  Worker(net::Loop& loop, net::TlsContext context, std::string name)
      : connector_(loop, std::move(context)), name_(std::move(name)) {}

  struct Told {
    std::function<void()> acked;
    std::function<void(const std::string&)> broken;
  };
  void connect(std::uint16_t port, std::uint32_t first_agent, int agents, std::uint64_t seed,
               Told told) {
    told_ = std::move(told);
    connector_.connect({"127.0.0.1", port, "master", std::chrono::seconds(60)},
                       [=, this](auto stream) {
                         if (!stream) return told_.broken(stream.error().message);
                         stream_ = std::move(*stream);
                         begin(first_agent, agents, seed);
                       });
  }
  void stop() { stream_.reset(); }

 private:
  void begin(std::uint32_t first_agent, int agents, std::uint64_t seed) {
    net::StreamEvents events;
    events.on_data = [=, this](std::span<const std::byte> bytes) {
      reader_.feed(text_of(bytes));
      for (;;) {
        const auto payload = reader_.next();
        if (!payload || !*payload) return;
        const auto message = decode(**payload);
        if (!message) return told_.broken(message.error().message);
        if (const auto* welcome = std::get_if<Welcome>(&*message)) {
          say(news(*welcome, first_agent, agents, seed), Compression::zstd);
        } else if (const auto* ack = std::get_if<Ack>(&*message)) {
          if (ack->through == static_cast<std::uint64_t>(agents)) told_.acked();
        } else {
          return told_.broken("the master said " + std::string(name_of(*message)));
        }
      }
    };
    events.on_closed = [this](const std::string& reason) { told_.broken(reason); };
    stream_->start(std::move(events));
    Hello h;
    h.cluster = "wazuh";
    h.node = name_;
    h.machine = name_;
    h.store = StoreId{std::hash<std::string>{}(name_) | 1};
    h.stream = StreamId{std::hash<std::string>{}(name_) | 1};
    h.features = {std::string(kFeatureZstd)};
    say(h, Compression::none);
  }

  static Delta news(const Welcome& w, std::uint32_t first_agent, int agents, std::uint64_t seed) {
    Delta m;
    m.position = static_cast<std::uint64_t>(agents);
    for (int i = 0; i < agents; ++i) {
      Event& e = m.events.emplace_back();
      e.agent = AgentId{first_agent + static_cast<std::uint32_t>(i)};
      e.epoch = Epoch{static_cast<std::uint64_t>(w.t1 - agents + i)};
      e.evidence = {{time_of(e.epoch).us - 200}, {time_of(e.epoch).us + 200}};
      e.info =
          std::make_shared<const AgentInfo>(info_of(static_cast<std::uint32_t>(e.agent), seed));
      e.info_hash = hash_of(*e.info);
    }
    return m;
  }

  void say(const Message& message, Compression compression) {
    std::string bytes;
    encode_frame(message, bytes, compression);
    stream_->write(std::move(bytes));
  }

  net::TlsConnector connector_;
  std::string name_;
  std::unique_ptr<net::TlsStream> stream_;
  FrameReader reader_{kMaxFrame};
  Told told_;
};

std::vector<net::TlsContext> contexts(const std::string& pki, int workers) {
  std::vector<net::TlsContext> all;
  for (int i = 0; i < workers; ++i)
    all.push_back(must(net::TlsContext::client(files_of(pki, worker_name(i)))));
  return all;
}

// Accepts connections until it is killed; its port goes to the pipe.
[[noreturn]] void accept_for_ever(const std::string& pki, int port_to) {
  net::Loop loop;
  const auto context = must(net::TlsContext::server(files_of(pki, "master")));
  Streams streams;
  net::TlsListener::Options options;
  options.max_connections = 100'000;
  options.handshake_deadline = std::chrono::seconds(60);
  auto listener =
      must(net::TlsListener::listen(loop, context, options,
                                    {[&](std::unique_ptr<net::TlsStream> s) {
                                       s->start({[](auto) {}, [](const std::string&) {}, [] {}});
                                       s->write("x");
                                       streams.push_back(std::move(s));
                                     },
                                     [](const std::string&, const std::string&) {}}));
  const std::uint16_t port = listener->port();
  if (::write(port_to, &port, sizeof port) != sizeof port) fail("cannot say the port");
  loop.run();
  std::_Exit(0);
}

}  // namespace

void make_certificates(const std::string& directory, int workers) {
  const auto now = std::chrono::system_clock::now();
  must(net::pki_init(directory, "bench", now));
  must(net::pki_issue(directory, {"master", {}, 30}, now));
  for (int i = 0; i < workers; ++i) must(net::pki_issue(directory, {worker_name(i), {}, 30}, now));
}

void connect_workers(const std::string& pki, std::uint16_t port, int count, int agents,
                     std::uint64_t seed) {
  net::Loop loop;
  const auto all = contexts(pki, count);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < count; ++i)
    workers.push_back(
        std::make_unique<Worker>(loop, all[static_cast<std::size_t>(i)], worker_name(i)));
  int acked = 0, broken = 0;
  auto done = [&] {
    if (acked + broken >= count) loop.stop();
  };
  net::Timer patience(loop);
  patience.start(std::chrono::seconds(120), [&] { loop.stop(); });
  const Stopwatch watch;
  for (int i = 0; i < count; ++i) {
    workers[static_cast<std::size_t>(i)]->connect(port, static_cast<std::uint32_t>(i * agents + 1),
                                                  agents, seed,
                                                  {[&] {
                                                     ++acked;
                                                     done();
                                                   },
                                                   [&, i](const std::string& why) {
                                                     if (++broken <= 3)
                                                       print_remark(worker_name(i) + ": " + why);
                                                     done();
                                                   }});
  }
  loop.run();
  const double seconds = watch.seconds();
  patience.stop();
  std::printf("seconds %.6f\nacked %d\nbroken %d\n", seconds, acked, broken);
  std::fflush(stdout);
  // Until bench/run has looked at the master's memory.
  [[maybe_unused]] const int waited = std::getchar();
  std::_Exit(0);
}

void handshakes_alone(const std::string& pki, int count) {
  int pipe_fds[2];
  if (::pipe(pipe_fds) != 0) fail("no pipe");
  const pid_t server = ::fork();
  if (server == 0) accept_for_ever(pki, pipe_fds[1]);
  std::uint16_t port = 0;
  if (::read(pipe_fds[0], &port, sizeof port) != sizeof port) fail("the server did not start");

  net::Loop loop;
  const auto all = contexts(pki, count);
  std::vector<std::unique_ptr<net::TlsConnector>> connectors;
  Streams streams;
  int heard = 0;
  const Stopwatch watch;
  for (int i = 0; i < count; ++i) {
    connectors.push_back(
        std::make_unique<net::TlsConnector>(loop, all[static_cast<std::size_t>(i)]));
    connectors.back()->connect(
        {"127.0.0.1", port, "master", std::chrono::seconds(60)}, [&](auto stream) {
          if (!stream) fail("a handshake failed: " + stream.error().message);
          // The server's byte says that it is content with our certificate too.
          (*stream)->start({[&](auto) {
                              if (++heard == count) loop.stop();
                            },
                            [](const std::string& why) { fail("a stream ended: " + why); }, [] {}});
          streams.push_back(std::move(*stream));
        });
  }
  loop.run();
  std::printf("seconds %.6f\n", watch.seconds());
  std::fflush(stdout);
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  std::_Exit(0);
}

void restart(const std::string& pki, std::uint16_t port, int runs,
             const std::vector<std::string>& command) {
  net::Loop loop;
  const auto context = must(net::TlsContext::server(files_of(pki, "master")));
  std::unique_ptr<net::TlsStream> stream;
  FrameReader reader(kMaxFrame);
  std::uint64_t sessions = 0;
  net::TlsListener::Options options;
  options.port = port;
  auto listener = must(net::TlsListener::listen(
      loop, context, options,
      {[&](std::unique_ptr<net::TlsStream> s) {
         stream = std::move(s);
         reader = FrameReader(kMaxFrame);
         net::StreamEvents events;
         events.on_data = [&](std::span<const std::byte> bytes) {
           reader.feed(text_of(bytes));
           const auto payload = reader.next();
           if (!payload || !*payload) return;
           const auto message = must(decode(**payload));
           sessions = std::get<Hello>(message).open_sessions;
           loop.stop();
         };
         events.on_closed = [](const std::string&) {};
         stream->start(std::move(events));
       },
       [](const std::string& address, const std::string& why) { fail(address + ": " + why); }}));
  net::Timer patience(loop);
  patience.start(std::chrono::seconds(30), [] { fail("no HELLO came within 30 s"); });

  std::vector<char*> argv;
  for (const std::string& a : command) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  std::vector<double> took;
  for (int i = 0; i < runs; ++i) {
    const Stopwatch watch;
    pid_t child = 0;
    if (::posix_spawn(&child, argv[0], nullptr, nullptr, argv.data(), environ) != 0)
      fail("cannot start " + command[0]);
    loop.run();
    took.push_back(watch.seconds());
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    stream.reset();
  }
  std::printf("seconds %.6f\nsessions %llu\n", median(took),
              static_cast<unsigned long long>(sessions));
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace rollcall::bench
