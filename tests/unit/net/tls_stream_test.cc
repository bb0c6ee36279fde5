#include "net/tls_stream.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string pattern(std::size_t size) {
  std::string bytes(size, 0);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 >> 3);
  return bytes;
}

// A peer made of system calls only, for what no TlsStream would do.
class RawSocket {
 public:
  RawSocket() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~RawSocket() {
    if (fd_ >= 0) close(fd_);
  }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  // The kernel completes the connection; the loop need not run.
  void connect_to(std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    ASSERT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  void send(const std::string& bytes) {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // What has come by now.
  std::string received() {
    std::string bytes(65'536, 0);
    const ssize_t count = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
  }
  // The other side has closed or reset.
  bool is_ended() {
    char byte;
    const ssize_t count = recv(fd_, &byte, 1, MSG_DONTWAIT);
    return count == 0 || (count < 0 && errno == ECONNRESET);
  }
  // Accepts in the kernel only, and never says a word.
  std::uint16_t bind_and_listen() {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  int fd_;
};

class TlsStreams : public LoopTest {
 protected:
  using Stream = std::unique_ptr<TlsStream>;

  void listen_with(const TlsFiles& files, TlsListener::Options options = {}) {
    auto made =
        TlsListener::listen(loop, server_context(files), options,
                            {.on_accepted =
                                 [this](Stream stream) {
                                   server = std::move(stream);
                                   if (on_accepted) on_accepted();
                                   ready();
                                 },
                             .on_refused =
                                 [this](const std::string& address, const std::string& reason) {
                                   refused_address = address;
                                   refused = reason;
                                   if (stop_at == StopAt::kRefused) loop.stop();
                                 }});
    ASSERT_TRUE(made) << made.error().message;
    listener = std::move(made).value();
  }

  void connect_with(const TlsFiles& files, const std::string& expected_name = {},
                    milliseconds deadline = std::chrono::seconds(10)) {
    connector.emplace(loop, client_context(files));
    connector->connect({"127.0.0.1", port(), expected_name, deadline}, [this](auto result) {
      if (result) {
        client = std::move(result).value();
      } else {
        connect_error = result.error().message;
        if (stop_at == StopAt::kNotConnected) loop.stop();
      }
      ready();
    });
  }

  // Both ends of a connection, not started.
  void connect_both() {
    listen_with(ca.issue("master"));
    connect_with(ca.issue("w"), "master");
    run();
    ASSERT_TRUE(server) << refused;
    ASSERT_TRUE(client) << connect_error;
  }

  void ready() {
    if (server && client) loop.stop();
  }

  // A few turns, for what must not happen.
  void run_for_a_moment() {
    Timer end(loop);
    end.start(milliseconds(20), [this] { loop.stop(); });
    run();
  }

  StreamEvents collect(std::string& data, std::string& closed) {
    return {.on_data = [&data](auto bytes) { data += text(bytes); },
            .on_closed =
                [this, &closed](const std::string& reason) {
                  closed = reason;
                  loop.stop();
                },
            .on_drained = {}};
  }

  std::uint16_t port() const { return other_port != 0 ? other_port : listener->port(); }

  void TearDown() override {
    server.reset();
    client.reset();
    connector.reset();
    listener.reset();
    LoopTest::TearDown();
  }

  TestCa ca;
  std::unique_ptr<TlsListener> listener;
  std::optional<TlsConnector> connector;
  std::uint16_t other_port = 0;
  Stream server;
  Stream client;
  std::function<void()> on_accepted;
  // Both sides fail; this one ends the run.
  enum class StopAt { kRefused, kNotConnected };
  StopAt stop_at = StopAt::kRefused;
  std::string refused;
  std::string refused_address;
  std::string connect_error;
};

TEST_F(TlsStreams, AreHandedOverWithTheProvenPeer) {
  connect_both();
  EXPECT_THAT(server->peer().names, ElementsAre("w"));
  EXPECT_THAT(client->peer().names, ElementsAre("master"));
  EXPECT_THAT(server->peer().address, StartsWith("127.0.0.1:"));
  EXPECT_EQ(client->peer().address, "127.0.0.1:" + std::to_string(listener->port()));
  EXPECT_FALSE(server->peer().serial.empty());
}

TEST_F(TlsStreams, CarryTenMegabytesBothWaysWithinBounds) {
  constexpr std::size_t kTotal = 10'000'000;
  constexpr std::size_t kBound = 256 * 1024;
  constexpr std::size_t kPiece = 50'000;
  connect_both();
  const std::string sent = pattern(kTotal);
  std::size_t offset = 0;
  std::string received;
  std::size_t most_pending = 0;

  // The server sends back, and reads no more while the client is slow to take it.
  server->start({.on_data =
                     [&](auto bytes) {
                       server->write(text(bytes));
                       most_pending = std::max(most_pending, server->pending_bytes());
                       if (server->pending_bytes() > kBound) server->pause_reading();
                     },
                 .on_closed = [](const std::string& reason) { FAIL() << reason; },
                 .on_drained = [&] { server->resume_reading(); }});
  const auto send_more = [&] {
    while (offset < kTotal && client->pending_bytes() < kBound) {
      client->write(sent.substr(offset, kPiece));
      offset += kPiece;
    }
  };
  client->start({.on_data =
                     [&](auto bytes) {
                       received += text(bytes);
                       if (received.size() == kTotal) loop.stop();
                     },
                 .on_closed = [](const std::string& reason) { FAIL() << reason; },
                 .on_drained = send_more});
  send_more();
  run();
  EXPECT_TRUE(received == sent);
  EXPECT_LT(most_pending, 2 * kBound);
}

TEST_F(TlsStreams, SmallWritesOfOneTurnArriveTogether) {
  connect_both();
  std::vector<std::string> pieces;
  server->start({.on_data =
                     [&](auto bytes) {
                       pieces.push_back(text(bytes));
                       loop.stop();
                     },
                 .on_closed = {},
                 .on_drained = {}});
  std::string expected;
  for (int i = 0; i < 1'000; ++i) {
    client->write("row " + std::to_string(i));
    expected += "row " + std::to_string(i);
  }
  EXPECT_EQ(client->pending_bytes(), expected.size());
  run();
  EXPECT_THAT(pieces, ElementsAre(expected));
}

TEST_F(TlsStreams, DrainTellsWhenNothingIsPending) {
  connect_both();
  client->start({.on_data = {}, .on_closed = {}, .on_drained = [&] {
                   EXPECT_EQ(client->pending_bytes(), 0u);
                   loop.stop();
                 }});
  client->write("x");
  run();
}

TEST_F(TlsStreams, PendingBytesGrowWhileThePeerDoesNotRead) {
  connect_both();  // the server is not started, so it does not read
  std::string received;
  std::string closed;
  client->start({});
  client->write(pattern(20'000'000));
  run_for_a_moment();
  EXPECT_GT(client->pending_bytes(), 1'000'000u);
  client->close("enough");
  server->start(collect(received, closed));
  run();
  EXPECT_TRUE(received == pattern(20'000'000)) << "close() sends what was queued";
  EXPECT_EQ(closed, "the peer closed the connection");
}

TEST_F(TlsStreams, PausedStreamHoldsBackWhatItHasDecrypted) {
  connect_both();
  std::string received;
  server->start({.on_data =
                     [&](auto bytes) {
                       received += text(bytes);
                       server->pause_reading();
                       loop.stop();
                     },
                 .on_closed = {},
                 .on_drained = {}});
  client->write(pattern(200'000));
  run();
  const std::size_t first = received.size();
  EXPECT_LE(first, 65'536u);
  run_for_a_moment();
  EXPECT_EQ(received.size(), first) << "nothing while paused";
  while (received.size() < 200'000) {
    server->resume_reading();
    run();
  }
  EXPECT_TRUE(received == pattern(200'000));
}

TEST_F(TlsStreams, GoodbyeComesAfterTheLastBytes) {
  connect_both();
  std::string received;
  std::string server_closed;
  std::string client_closed;
  client->start({.on_data = {},
                 .on_closed = [&](const std::string& reason) { client_closed = reason; },
                 .on_drained = {}});
  server->start(collect(received, server_closed));
  client->write("last words");
  client->close("shutting down");
  EXPECT_EQ(client_closed, "") << "never from inside close()";
  client->write("too late");
  client->close("twice");
  run();
  EXPECT_EQ(received, "last words");
  EXPECT_EQ(server_closed, "the peer closed the connection");
  if (client_closed.empty()) run_for_a_moment();
  EXPECT_EQ(client_closed, "shutting down");
}

TEST_F(TlsStreams, GoodbyeGoesOnAfterTheStreamIsDestroyed) {
  connect_both();
  std::string received;
  std::string closed;
  client->write("last words");
  client->close("shutting down");
  client.reset();
  server->start(collect(received, closed));
  run();
  EXPECT_EQ(received, "last words");
  EXPECT_EQ(closed, "the peer closed the connection");
}

TEST_F(TlsStreams, PeerThatGoesWithoutGoodbyeIsToldApart) {
  connect_both();
  std::string received;
  std::string closed;
  server->start(collect(received, closed));
  client.reset();
  run();
  EXPECT_THAT(closed, HasSubstr("without a TLS goodbye"));
}

TEST_F(TlsStreams, PeerThatClosesMidwayEndsAWriterToo) {
  connect_both();
  std::string closed;
  server->start({.on_data = [&](auto) { server.reset(); }, .on_closed = {}, .on_drained = {}});
  std::string received;
  client->start(collect(received, closed));
  client->write(pattern(20'000'000));
  run();
  EXPECT_THAT(closed, HasSubstr("without a TLS goodbye"));
}

TEST_F(TlsStreams, StartedAfterItsEndStillHearsOfIt) {
  connect_both();
  client->write(pattern(20'000'000));
  server.reset();  // the writer finds out, though it does not read yet
  run_for_a_moment();
  std::string received;
  std::string closed;
  client->start(collect(received, closed));
  run();
  EXPECT_THAT(closed, HasSubstr("without a TLS goodbye"));
}

// ---- ends inside callbacks

TEST_F(TlsStreams, MayBeClosedInsideOnData) {
  connect_both();
  std::string closed;
  int calls = 0;
  server->start({.on_data =
                     [&](auto) {
                       ++calls;
                       server->close("protocol violation");
                     },
                 .on_closed =
                     [&](const std::string& reason) {
                       closed = reason;
                       loop.stop();
                     },
                 .on_drained = {}});
  client->start({});
  client->write(pattern(300'000));
  run();
  EXPECT_EQ(calls, 1) << "no data after close()";
  EXPECT_EQ(closed, "protocol violation");
}

TEST_F(TlsStreams, MayBeDestroyedInsideOnData) {
  connect_both();
  auto captured = std::make_shared<int>(1);
  server->start({.on_data =
                     [&, captured](auto) {
                       server.reset();
                       EXPECT_EQ(*captured, 1) << "the running callback still has its captures";
                       loop.stop();
                     },
                 .on_closed = [](const std::string&) { FAIL() << "it is gone"; },
                 .on_drained = {}});
  client->write(pattern(300'000));
  run();
  run_for_a_moment();
}

TEST_F(TlsStreams, MayBeDestroyedInsideOnClosed) {
  connect_both();
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> held = captured;
  int told = 0;
  server->start({.on_data = {},
                 .on_closed =
                     [&, captured = std::move(captured)](const std::string&) {
                       server.reset();
                       EXPECT_FALSE(held.expired()) << "the running callback has its captures";
                       ++told;
                       loop.stop();
                     },
                 .on_drained = {}});
  client.reset();
  run();
  run_for_a_moment();
  EXPECT_EQ(told, 1);
}

TEST_F(TlsStreams, MayBeDestroyedInsideOnDrained) {
  connect_both();
  client->start({.on_data = {},
                 .on_closed = [](const std::string&) { FAIL() << "it is gone"; },
                 .on_drained =
                     [&] {
                       client.reset();
                       loop.stop();
                     }});
  client->write("x");
  run();
  run_for_a_moment();
}

TEST_F(TlsStreams, OutliveTheListenerEvenIfItEndsInsideItsCallback) {
  on_accepted = [this] { listener.reset(); };
  listen_with(ca.issue("master"));
  connect_with(ca.issue("w"));
  run();
  ASSERT_TRUE(server && client);
  std::string received;
  std::string closed;
  server->start(collect(received, closed));
  client->write("still here");
  client->close("done");
  run();
  EXPECT_EQ(received, "still here");
}

TEST_F(TlsStreams, ListenerThatEndsInsideOnRefusedCutsTheHandshakesUnderWay) {
  auto made = TlsListener::listen(
      loop, server_context(ca.issue("master")), {},
      {.on_accepted = {}, .on_refused = [&](const std::string&, const std::string&) {
         listener.reset();
         loop.stop();
       }});
  ASSERT_TRUE(made);
  listener = std::move(made).value();
  RawSocket silent;
  RawSocket half;
  RawSocket refused_peer;  // accepted after the other two
  silent.connect_to(listener->port());
  half.connect_to(listener->port());
  half.send(TlsEngine(client_context(ca.issue("w"))).take_output().substr(0, 100));
  refused_peer.connect_to(listener->port());
  refused_peer.send("what is this?\n");
  run();
  run_for_a_moment();
  EXPECT_TRUE(silent.is_ended());
  EXPECT_TRUE(half.is_ended());
}

TEST_F(TlsStreams, ConnectorMayEndInsideItsCallback) {
  listen_with(ca.issue("master"));
  connector.emplace(loop, client_context(ca.issue("w")));
  connector->connect({"127.0.0.1", listener->port(), "master"}, [&](auto result) {
    ASSERT_TRUE(result);
    connector.reset();
    client = std::move(result).value();
    ready();
  });
  run();
  EXPECT_TRUE(client && server);
}

// ---- refusals

TEST_F(TlsStreams, ServerRefusesAClientOfAnotherCa) {
  TestCa other;
  auto stranger = other.issue("w");
  stranger.ca = other.together_with(ca);
  listen_with(ca.issue("master"));
  connect_with(stranger);
  run();
  EXPECT_FALSE(server);
  EXPECT_THAT(refused, HasSubstr("not signed by this cluster's CA"));
  EXPECT_THAT(refused_address, StartsWith("127.0.0.1:"));
}

TEST_F(TlsStreams, RefusedClientHearsTheServersReasonAfterItsHandshake) {
  listen_with(ca.issue("master"));
  stop_at = StopAt::kNotConnected;
  connector.emplace(loop, client_context(ca.issue("w", hours(-48), 1)));
  std::string received;
  std::string closed;
  connector->connect({"127.0.0.1", listener->port(), "master"}, [&](auto result) {
    ASSERT_TRUE(result) << "TLS 1.3: the client is done first";
    client = std::move(result).value();
    client->write("hello");
    client->start(collect(received, closed));
  });
  run();
  EXPECT_FALSE(server);
  EXPECT_THAT(refused, HasSubstr("has expired (notAfter"));
  EXPECT_THAT(closed, HasSubstr("the peer refused our certificate: it has expired"));
}

TEST_F(TlsStreams, ServerRefusesACertificateOfTheFuture) {
  listen_with(ca.issue("master"));
  connect_with(ca.issue("w", hours(48)));
  run();
  EXPECT_FALSE(server);
  EXPECT_THAT(refused, HasSubstr("not yet valid (notBefore"));
}

TEST_F(TlsStreams, ClientRefusesAServerOfAnotherCaByAddress) {
  TestCa other;
  stop_at = StopAt::kNotConnected;
  listen_with(other.issue("master"));
  connect_with(ca.issue("w"), "master");
  run();
  EXPECT_FALSE(client);
  EXPECT_THAT(connect_error, HasSubstr("cannot reach 127.0.0.1:" + std::to_string(port())));
  EXPECT_THAT(connect_error, HasSubstr("not signed by this cluster's CA"));
}

TEST_F(TlsStreams, ClientRefusesAServerOfAnotherName) {
  stop_at = StopAt::kNotConnected;
  listen_with(ca.issue("worker-2"));
  connect_with(ca.issue("w"), "master");
  run();
  EXPECT_FALSE(client);
  EXPECT_THAT(connect_error, HasSubstr("is for worker-2, not for master"));
  if (refused.empty()) run_for_a_moment();
  EXPECT_FALSE(server);
  EXPECT_THAT(refused, HasSubstr("the peer refused our certificate"));
}

TEST_F(TlsStreams, TextInsteadOfTlsIsRefused) {
  for (const std::string words : {"hello, are you there?\n", "GET / HTTP/1.1\r\n\r\n"}) {
    if (!listener) listen_with(ca.issue("master"));
    RawSocket peer;
    peer.connect_to(listener->port());
    peer.send(words);
    refused = "";
    run();
    EXPECT_THAT(refused, HasSubstr("not TLS")) << words;
  }
}

TEST_F(TlsStreams, HalfAHandshakeAndSilenceEndAtTheDeadline) {
  listen_with(ca.issue("master"), {.handshake_deadline = milliseconds(20)});
  RawSocket peer;
  peer.connect_to(listener->port());
  TlsEngine engine(client_context(ca.issue("w")));
  const std::string hello = engine.take_output();
  peer.send(hello.substr(0, hello.size() / 2));
  run();
  EXPECT_THAT(refused, HasSubstr("no TLS handshake within 20 ms"));
}

TEST_F(TlsStreams, PeerThatClosesDuringTheHandshakeIsRefused) {
  listen_with(ca.issue("master"));
  {
    RawSocket peer;
    peer.connect_to(listener->port());
  }
  run();
  EXPECT_THAT(refused, HasSubstr("during the TLS handshake"));
}

TEST_F(TlsStreams, ConnectionsAboveTheLimitAreRefusedUntilOneEnds) {
  listen_with(ca.issue("master"), {.max_connections = 1});
  connect_with(ca.issue("w"));
  run();
  ASSERT_TRUE(client && server);
  {
    RawSocket one_more;
    one_more.connect_to(listener->port());
    run();
    EXPECT_THAT(refused, HasSubstr("1 connections, which is the limit"));
    EXPECT_THAT(refused_address, StartsWith("127.0.0.1:"));
  }
  server.reset();
  client.reset();
  refused = "";
  connect_with(ca.issue("w2"));
  run();
  EXPECT_TRUE(client && server) << refused << connect_error;
}

TEST_F(TlsStreams, NewCertificatesServeNewConnections) {
  listen_with(ca.issue("old"));
  listener->set_context(server_context(ca.issue("new")));
  connect_with(ca.issue("w"), "new");
  run();
  ASSERT_TRUE(client) << connect_error;
  EXPECT_THAT(client->peer().names, ElementsAre("new"));
}

// ---- certificates that change while a handshake is under way

TEST_F(TlsStreams, WhoeverIsRevokedDuringItsHandshakeIsNotLetIn) {
  const TlsFiles master = ca.issue("master");
  const TlsFiles worker = ca.issue("w");
  listen_with(master);
  TlsEngine engine(client_context(worker));
  RawSocket peer;
  peer.connect_to(listener->port());
  peer.send(engine.take_output());
  // The server's half is answered only once it has other certificates.
  Timer each(loop);
  each.repeat(milliseconds(1), [&] {
    const std::string answer = peer.received();
    EXPECT_TRUE(engine.feed(std::as_bytes(std::span(answer))));
    if (!engine.handshake_done()) return;
    each.stop();
    listener->set_context(server_context(ca.revoking(master, worker)));
    peer.send(engine.take_output());
  });
  on_accepted = [this] { loop.stop(); };
  run();
  EXPECT_FALSE(server) << "let in";
  EXPECT_THAT(refused, HasSubstr("the certificate of w is revoked"));
  EXPECT_THAT(refused_address, StartsWith("127.0.0.1:"));
  EXPECT_EQ(listener->counters().failed, 1u);
  EXPECT_EQ(listener->counters().accepted, 0u);
}

TEST_F(TlsStreams, WhoeverStillCountsIsLetInThoughTheCertificatesChangeDuringItsHandshake) {
  const TlsFiles master = ca.issue("master");
  listen_with(master);
  connect_with(ca.issue("w"), "master");
  listener->set_context(server_context(ca.revoking(master, ca.issue("w2"))));
  run();
  EXPECT_TRUE(server && client) << refused << connect_error;
}

TEST_F(TlsStreams, AMasterThatIsRevokedDuringAnAttemptIsNotConnectedTo) {
  const TlsFiles master = ca.issue("master");
  const TlsFiles worker = ca.issue("w");
  stop_at = StopAt::kNotConnected;
  listen_with(master);
  connect_with(worker, "master");
  connector->set_context(client_context(ca.revoking(worker, master)));
  run();
  EXPECT_FALSE(client) << "connected";
  EXPECT_THAT(connect_error, HasSubstr("the certificate of master is revoked"));
}

TEST_F(TlsStreams, AnAttemptThatIsUnderWayGoesOnWithTheNewCertificates) {
  listen_with(ca.issue("master"));
  connect_with(ca.issue("w"), "master");
  connector->set_context(client_context(ca.issue("renewed")));
  run();
  ASSERT_TRUE(server && client) << refused << connect_error;
  EXPECT_THAT(server->peer().names, ElementsAre("renewed"));
}

TEST_F(TlsStreams, NewCertificatesBehindAnAttemptBeginNoOther) {
  listen_with(ca.issue("master"));
  connect_with(ca.issue("w"), "master");
  run();
  ASSERT_TRUE(server && client);
  connector->set_context(client_context(ca.issue("renewed")));
  run_for_a_moment();
  EXPECT_EQ(listener->counters().accepted, 1u);
}

// ---- connecting

TEST_F(TlsStreams, ConnectorTriesEachAddressOfAName) {
  addrinfo* found = nullptr;
  if (::getaddrinfo("localhost", nullptr, nullptr, &found) != 0)
    GTEST_SKIP() << "this machine does not know the name localhost";
  ::freeaddrinfo(found);
  listen_with(ca.issue("master"));  // IPv4 only; localhost may mean ::1 first
  connector.emplace(loop, client_context(ca.issue("w")));
  connector->connect({"localhost", listener->port(), "master"}, [&](auto result) {
    ASSERT_TRUE(result) << result.error().message;
    client = std::move(result).value();
    ready();
  });
  run();
  EXPECT_TRUE(client && server);
}

TEST_F(TlsStreams, ConnectorNamesTheAddressWhereNobodyListens) {
  stop_at = StopAt::kNotConnected;
  other_port = RawSocket().bind_and_listen();  // and is gone again
  connect_with(ca.issue("w"));
  run();
  EXPECT_THAT(connect_error,
              HasSubstr("127.0.0.1:" + std::to_string(other_port) + " connection refused"));
}

TEST_F(TlsStreams, ConnectorGivesUpOnASilentServerAtTheDeadline) {
  RawSocket silent;
  stop_at = StopAt::kNotConnected;
  other_port = silent.bind_and_listen();
  connect_with(ca.issue("w"), "", milliseconds(30));
  run();
  EXPECT_THAT(connect_error, HasSubstr("within"));
  EXPECT_THAT(connect_error, HasSubstr("127.0.0.1:" + std::to_string(other_port)));
}

TEST_F(TlsStreams, ConnectorTellsOfANameThatCannotBeLookedUp) {
  connector.emplace(loop, client_context(ca.issue("w")));
  std::string error;
  connector->connect({std::string(300, 'x'), 1, ""}, [&](auto result) {
    error = result.error().message;
    loop.stop();
  });
  EXPECT_EQ(error, "") << "never from inside connect()";
  run();
  EXPECT_THAT(error, HasSubstr("cannot look up xxx"));
}

TEST_F(TlsStreams, CancelledAttemptSaysNothing) {
  listen_with(ca.issue("master"));
  connector.emplace(loop, client_context(ca.issue("w")));
  connector->connect({"127.0.0.1", listener->port(), ""}, [](auto) { FAIL() << "cancelled"; });
  connector->connect({"127.0.0.1", listener->port(), ""}, [this](auto result) {
    ASSERT_TRUE(result);
    client = std::move(result).value();
    ready();
  });
  run();
  EXPECT_TRUE(client && server) << "the second attempt goes through";
}

TEST_F(TlsStreams, ConnectorMayEndDuringAnAttempt) {
  listen_with(ca.issue("master"));
  connect_with(ca.issue("w"));
  connector.reset();
  run_for_a_moment();
  EXPECT_FALSE(client);
}

// ---- listening

TEST_F(TlsStreams, ListenerSaysWhyItCannotListen) {
  listen_with(ca.issue("master"));
  const auto context = server_context(ca.issue("second"));
  const auto taken = TlsListener::listen(loop, context, {.port = listener->port()}, {});
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("another program has this port"));
  const auto name = TlsListener::listen(loop, context, {.address = "master.example"}, {});
  ASSERT_FALSE(name);
  EXPECT_THAT(name.error().message, HasSubstr("an IPv4 or IPv6 address is needed"));
  const auto foreign = TlsListener::listen(loop, context, {.address = "192.0.2.1"}, {});
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("does not have this address"));
}

}  // namespace
}  // namespace rollcall::net
