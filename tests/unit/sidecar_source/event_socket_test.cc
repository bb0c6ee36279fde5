#include "sidecar/source/event_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "tests/unit/net/fixture.h"

namespace rollcall::sidecar {
namespace {

using net::LoopTest;
using net::TempDir;
using ::testing::HasSubstr;

class StandingClock final : public app::Clock {
 public:
  // The clocks are read one after the other, so their difference is never quite the same.
  Now now() override {
    late_us = (late_us + 7) % 20;
    return {1'800'000'000'000'000 + late_us, 1'000'000, 1'000'000};
  }
  std::int64_t late_us = 0;
  std::string boot_id() override { return "1"; }
};

// Stores when the test says so.
class SlowSink final : public EventSocket::Sink {
 public:
  std::uint64_t observe(const std::vector<Observation>& batch) override {
    for (const Observation& o : batch) {
      agents.push_back(static_cast<std::uint32_t>(o.agent));
      moments.push_back(o.boot_us);
    }
    return ++ticket;
  }
  std::uint64_t stored_through() const override { return stored; }
  void store_now() override { ++store_nows; }
  bool full() const override { return is_full; }
  void watch(bool there) override {
    ++asked;
    watched = there;
  }

  std::vector<std::uint32_t> agents;
  std::vector<std::int64_t> moments;
  std::uint64_t ticket = 0, stored = 0;
  int store_nows = 0;
  bool is_full = false;
  bool watched = false;
  int asked = 0;
};

// A client of the plain kind, without the loop.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // As much as fits without waiting.
  std::size_t write(std::string_view text) {
    const auto n = ::send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  void say_no_more() { ::shutdown(fd_, SHUT_WR); }
  // Appends what has come to `heard`.
  const std::string& listen() {
    char buffer[65536];
    for (;;) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n == 0) ended = true;
      if (n <= 0) return heard;
      heard.append(buffer, static_cast<std::size_t>(n));
    }
  }

  std::string heard;
  bool ended = false;

 private:
  int fd_;
};

std::string line(std::uint32_t agent) {
  return "{\"agent\":" + std::to_string(agent) + ",\"event\":\"connect\"}\n";
}

class EventSocketTest : public LoopTest {
 protected:
  void start(EventSocket::Options options = {}) {
    options.path = path;
    socket = std::make_unique<EventSocket>(loop, clock, options, sink, [](const Note&) {});
    const auto started = socket->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  void TearDown() override {
    if (socket) socket->stop();
    socket.reset();
    LoopTest::TearDown();
  }
  template <typename Fact>
  void until(Fact fact) {
    net::Timer look(loop);
    look.repeat(std::chrono::milliseconds(1), [&] {
      if (fact()) loop.stop();
    });
    run();
  }
  void stored(std::uint64_t ticket) {
    sink.stored = ticket;
    socket->stored(ticket);
  }
  std::string refused_start() {
    EventSocket::Options options;
    options.path = path;
    EventSocket other(loop, clock, options, sink, [](const Note&) {});
    const auto started = other.start();
    other.stop();
    return started ? "" : started.error().message;
  }

  TempDir dir;
  std::string path = dir / "events.sock";
  StandingClock clock;
  SlowSink sink;
  std::unique_ptr<EventSocket> socket;
};

TEST_F(EventSocketTest, IsForItsGroupAndGoneAfterTheStop) {
  start();
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_TRUE(S_ISSOCK(found.st_mode));
  EXPECT_EQ(found.st_mode & 0777u, 0660u);
  socket->stop();
  socket.reset();
  ASSERT_TRUE(loop.close());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(EventSocketTest, AnswersNothingBeforeItIsStored) {
  start();
  Client client(path);
  client.write(line(7) + line(8));
  until([&] { return sink.agents.size() == 2; });
  EXPECT_EQ(client.listen(), "");
  stored(sink.ticket);
  until([&] { return !client.listen().empty(); });
  EXPECT_EQ(client.heard, "{\"lines\":[1,2],\"stored\":true}\n");
}

TEST_F(EventSocketTest, ARefusedLineIsAnsweredInItsPlace) {
  start();
  Client client(path);
  client.write(line(7) + "{}\n");
  until([&] { return sink.agents.size() == 1; });
  EXPECT_EQ(client.listen(), "");
  stored(sink.ticket);
  until([&] { return !client.listen().empty(); });
  EXPECT_THAT(client.heard, ::testing::StartsWith(
                                "{\"line\":1,\"stored\":true}\n{\"line\":2,\"refused\":\"agent "));
  client.heard.clear();
  client.write("nonsense\n");
  until([&] { return !client.listen().empty(); });
  EXPECT_THAT(client.heard, HasSubstr("{\"line\":3,\"refused\":\"the line is not JSON"));
}

TEST_F(EventSocketTest, WhoEndsAfterTheLastLineStillGetsAllAnswers) {
  start();
  Client client(path);
  client.write(line(7) + "{\"agent\":8,\"event\":\"connect\"}");
  client.say_no_more();
  until([&] { return sink.agents.size() == 2; });
  EXPECT_GT(sink.store_nows, 0) << "nobody is to wait for a lazy commit";
  EXPECT_EQ(client.listen(), "");
  stored(sink.ticket);
  until([&] {
    client.listen();
    return client.ended;
  });
  EXPECT_EQ(client.heard, "{\"lines\":[1,2],\"stored\":true}\n");
  EXPECT_EQ(socket->status().connections, 0u);
}

TEST_F(EventSocketTest, ClientsAreAnsweredEachByItsOwnNumbers) {
  start();
  Client one(path);
  Client two(path);
  one.write(line(1) + line(2));
  two.write(line(3));
  until([&] { return sink.agents.size() == 3; });
  stored(sink.ticket);
  until([&] { return !one.listen().empty() && !two.listen().empty(); });
  EXPECT_EQ(one.heard, "{\"lines\":[1,2],\"stored\":true}\n");
  EXPECT_EQ(two.heard, "{\"line\":1,\"stored\":true}\n");
}

TEST_F(EventSocketTest, ReadsNoMoreThanMayWaitUntilSomeIsStored) {
  start({.path = {}, .waiting = 100});
  Client client(path);
  std::string text;
  for (std::uint32_t i = 1; i <= 20'000; ++i) text += line(i);
  std::size_t written = 0;
  std::size_t most = 0;
  until([&] {
    const std::size_t before = written;
    written += client.write(std::string_view(text).substr(written));
    most = std::max(most, socket->status().waiting);
    return written == before && socket->status().paused;
  });
  EXPECT_LT(written, text.size());
  const std::size_t seen = sink.agents.size();
  EXPECT_GE(seen, 100u);
  EXPECT_LT(seen, 100u + 65536 / line(1).size() + 1) << "more than one read past the limit";
  EXPECT_GT(sink.store_nows, 0);
  // Everything comes through as it is stored, in order.
  until([&] {
    written += client.write(std::string_view(text).substr(written));
    client.listen();
    if (sink.ticket > sink.stored) stored(sink.ticket);
    return client.heard.find(",20000],\"stored\":true}\n") != std::string::npos;
  });
  ASSERT_EQ(sink.agents.size(), 20'000u);
  for (std::uint32_t i = 0; i < 20'000; ++i) ASSERT_EQ(sink.agents[i], i + 1);
  EXPECT_EQ(socket->status().waiting, 0u);
  EXPECT_FALSE(socket->status().paused);
}

TEST_F(EventSocketTest, TheSameAtUsIsTheSameMomentEachTime) {
  start();
  Client client(path);
  for (std::size_t i = 1; i <= 10; ++i) {
    client.write("{\"agent\":7,\"event\":\"keepalive\",\"at_us\":1799999999000000}\n");
    until([&] { return sink.moments.size() == i; });
  }
  EXPECT_EQ(std::ranges::count(sink.moments, sink.moments[0]), 10);
}

TEST_F(EventSocketTest, ReadsNothingWhileTheSinkIsFull) {
  sink.is_full = true;
  start();
  Client client(path);
  client.write(line(1));
  until([&] { return socket->status().paused && sink.asked > 0 && !sink.watched; });
  // What was in the first read came through; nothing after it does.
  const std::size_t seen = sink.agents.size();
  client.write(line(2));
  int ticks = 0;
  until([&] { return ++ticks == 50; });
  EXPECT_EQ(sink.agents.size(), seen);
  sink.is_full = false;
  until([&] { return sink.agents.size() == 2; });
  EXPECT_EQ(sink.agents.back(), 2u);
}

TEST_F(EventSocketTest, WhoDoesNotReadTheAnswersIsNotReadEither) {
  start({.path = {}, .waiting = 1'000'000});
  Client client(path);
  const std::string bad(200'000, '\n');
  until([&] {
    client.write(bad);
    return client.write(bad) == 0 && sink.asked > 0 && !sink.watched;
  });
  int ticks = 0;
  until([&] { return ++ticks == 50; });
  const std::uint64_t lines = socket->status().lines;
  until([&] { return ++ticks == 100; });
  EXPECT_EQ(socket->status().lines, lines);
  until([&] {
    client.listen();
    return socket->status().lines > lines + 200'000;
  });
}

TEST_F(EventSocketTest, TellsOneConnectionTooManyWhyAndServesTheOthers) {
  start({.path = {}, .connections = 2});
  Client one(path);
  Client two(path);
  Client three(path);
  until([&] {
    three.listen();
    return three.ended;
  });
  EXPECT_EQ(three.heard, "{\"refused\":\"too many connections; allowed are 2\"}\n");
  two.write(line(2));
  until([&] { return sink.agents.size() == 1; });
}

TEST_F(EventSocketTest, WhatAClientToldBeforeItBrokeOffCounts) {
  start();
  {
    Client client(path);
    client.write(line(7) + "{\"agent\":8,\"ev");
  }
  until([&] { return sink.agents.size() == 1; });
  until([&] {
    stored(sink.ticket);
    return socket->status().connections == 0;
  });
  EXPECT_EQ(socket->status().waiting, 0u);
  EXPECT_EQ(sink.agents, std::vector<std::uint32_t>{7});
}

TEST_F(EventSocketTest, SaysWhetherAnybodyIsThere) {
  start();
  {
    Client client(path);
    until([&] { return sink.watched; });
  }
  until([&] { return !sink.watched; });
}

// ---- the socket's file

TEST_F(EventSocketTest, ASocketThatSomebodyLeftBehindIsReplaced) {
  {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  start();
  Client client(path);
  client.write(line(7));
  until([&] { return sink.agents.size() == 1; });
}

TEST_F(EventSocketTest, ASocketThatIsListenedOnIsLeftAlone) {
  start();
  EXPECT_THAT(refused_start(), HasSubstr("another program listens on " + path));
  Client client(path);
  client.write(line(7));
  until([&] { return sink.agents.size() == 1; });
}

TEST_F(EventSocketTest, AFileThatIsNoSocketIsLeftAlone) {
  net::write_text(path, "precious");
  EXPECT_THAT(refused_start(), HasSubstr(path + " is no socket"));
  EXPECT_EQ(net::read_text(path), "precious");
}

TEST_F(EventSocketTest, AFolderThatIsMissingIsSaid) {
  path = dir / "nowhere/events.sock";
  EXPECT_THAT(refused_start(), HasSubstr("make the folder"));
}

}  // namespace
}  // namespace rollcall::sidecar
