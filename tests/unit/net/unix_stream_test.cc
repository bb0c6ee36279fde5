#include "net/unix_stream.h"

#include <sys/stat.h>

#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class UnixStreams : public LoopTest {
 protected:
  // Sends back what it gets, and closes when the client does.
  std::unique_ptr<UnixListener> echo_server() {
    auto listener = UnixListener::listen(loop, path, 0600, [this](auto stream) {
      server = std::move(stream);
      server->start({.on_data = [this](auto bytes) { server->write(text(bytes)); },
                     .on_closed = [this](const std::string& reason) { server_closed = reason; },
                     .on_drained = {}});
    });
    EXPECT_TRUE(listener) << listener.error().message;
    return std::move(listener).value();
  }

  // Why a stream that connects to `where` is closed; it never may.
  std::string refused(const std::string& where) {
    UnixStream client(loop);
    std::string closed;
    client.connect(where,
                   {.on_data = {},
                    .on_closed =
                        [&](const std::string& reason) {
                          closed = reason;
                          loop.stop();
                        },
                    .on_drained = {}},
                   [] { FAIL() << "nobody is there"; });
    EXPECT_EQ(closed, "") << "never from inside connect()";
    run();
    return closed;
  }

  void TearDown() override {
    server.reset();
    LoopTest::TearDown();
  }

  TempDir dir;
  std::string path = dir / "socket";
  std::unique_ptr<UnixStream> server;
  std::string server_closed;
};

TEST_F(UnixStreams, CarryBytesBothWays) {
  const auto listener = echo_server();
  UnixStream client(loop);
  std::string received;
  std::string closed;
  client.connect(path,
                 {.on_data =
                      [&](auto bytes) {
                        received += text(bytes);
                        if (received == "hello") client.close("done");
                      },
                  .on_closed =
                      [&](const std::string& reason) {
                        closed = reason;
                        loop.stop();
                      },
                  .on_drained = {}},
                 [&] { client.write("hello"); });
  run();
  EXPECT_EQ(received, "hello");
  EXPECT_EQ(closed, "done");
  EXPECT_EQ(server_closed, "the peer closed the connection");
}

TEST_F(UnixStreams, TenMegabytesComeBackWholeAcrossPauses) {
  constexpr std::size_t kTotal = 10'000'000;
  const auto listener = echo_server();
  UnixStream client(loop);
  Timer pause(loop);
  std::size_t received = 0;
  bool drained = false;
  client.connect(path,
                 {.on_data =
                      [&](auto bytes) {
                        for (const std::byte byte : bytes) {
                          ASSERT_EQ(static_cast<char>(byte),
                                    static_cast<char>('a' + received++ % 26));
                        }
                        if (received == kTotal) return loop.stop();
                        client.pause_reading();
                        pause.start(std::chrono::milliseconds(0), [&] { client.resume_reading(); });
                      },
                  .on_closed = [&](const std::string& reason) { FAIL() << reason; },
                  .on_drained = [&] { drained = true; }},
                 [&] {
                   std::string bytes(kTotal, 0);
                   for (std::size_t i = 0; i < kTotal; ++i) {
                     bytes[i] = static_cast<char>('a' + i % 26);
                   }
                   client.write(std::move(bytes));
                   EXPECT_GT(client.pending_bytes(), 0u);
                 });
  run();
  EXPECT_EQ(received, kTotal);
  EXPECT_TRUE(drained);
  EXPECT_EQ(client.pending_bytes(), 0u);
}

TEST_F(UnixStreams, AbsentSocketIsNamedInTheReason) {
  EXPECT_THAT(refused(path), AllOf(HasSubstr(path), HasSubstr("there is no such socket")));
}

TEST_F(UnixStreams, SocketWithoutAListenerIsToldApart) {
  { const auto listener = echo_server(); }
  write_text(path, "");  // not even a socket
  EXPECT_THAT(refused(path), HasSubstr("nobody listens"));
}

TEST_F(UnixStreams, PathTooLongForTheSystemIsRefused) {
  const std::string long_path = dir / std::string(200, 'x');
  EXPECT_THAT(refused(long_path), HasSubstr("more than 107 bytes"));
  EXPECT_FALSE(UnixListener::listen(loop, long_path, 0600, {}));
}

TEST_F(UnixStreams, PeerThatGoesAwayClosesTheStream) {
  const auto listener = echo_server();
  UnixStream client(loop);
  std::string closed;
  client.connect(path,
                 {.on_data = [&](auto) { server.reset(); },
                  .on_closed =
                      [&](const std::string& reason) {
                        closed = reason;
                        loop.stop();
                      },
                  .on_drained = {}},
                 [&] { client.write("x"); });
  run();
  EXPECT_EQ(closed, "the peer closed the connection");
}

TEST_F(UnixStreams, MayBeDestroyedInsideOnData) {
  const auto listener = echo_server();
  auto client = std::make_unique<UnixStream>(loop);
  client->connect(path,
                  {.on_data =
                       [&](auto) {
                         client.reset();
                         loop.stop();
                       },
                   .on_closed = [](const std::string&) { FAIL() << "it is gone"; },
                   .on_drained = {}},
                  [&] { client->write("x"); });
  run();
}

TEST_F(UnixStreams, MayBeDestroyedInsideOnClosed) {
  auto client = std::make_unique<UnixStream>(loop);
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> held = captured;
  int told = 0;
  client->connect(path, {.on_data = {},
                         .on_closed =
                             [&, captured = std::move(captured)](const std::string&) {
                               client.reset();
                               EXPECT_FALSE(held.expired())
                                   << "the running callback has its captures";
                               ++told;
                               loop.stop();
                             },
                         .on_drained = {}});
  run();
  EXPECT_EQ(told, 1);
}

TEST_F(UnixStreams, DestroyedBeforeItIsConnectedSaysNothing) {
  const auto listener = echo_server();
  UnixStream(loop).connect(path,
                           {.on_data = {},
                            .on_closed = [](const std::string&) { FAIL() << "it is gone"; },
                            .on_drained = {}},
                           [] { FAIL() << "it is gone"; });
  Timer later(loop);
  later.start(std::chrono::milliseconds(5), [&] { loop.stop(); });
  run();
}

TEST_F(UnixStreams, ListenerSetsTheModeAndRemovesItsFile) {
  {
    const auto listener = echo_server();
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    const auto second = UnixListener::listen(loop, path, 0600, {});
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("the file exists"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace rollcall::net
