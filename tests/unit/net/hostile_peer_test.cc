// Peers that mean no good, against a listener with real sockets: what each of them costs, and that
// the others are served meanwhile.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>

#include "app/file_limit.h"
#include "net/owned.h"
#include "net/tls_stream.h"
#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

// A socket that does only what the test says.
class Raw {
 public:
  explicit Raw(std::uint16_t port, const char* from = "127.0.0.1")
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, from, &address.sin_addr);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(port);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
  }
  Raw(Raw&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Raw() {
    if (fd_ >= 0) close(fd_);
  }

  // As much as the kernel takes.
  std::size_t send(std::string_view bytes) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  std::string receive() {
    std::string bytes(1 << 16, '\0');
    const ssize_t got = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }
  bool is_ended() {
    char byte;
    const ssize_t count = recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return count == 0 || (count < 0 && errno != EAGAIN);
  }

 private:
  int fd_;
};

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

class HostilePeers : public LoopTest {
 protected:
  void listen_with(TlsListener::Options options) {
    auto made = TlsListener::listen(loop, server_context(ca.issue("master")), options,
                                    {.on_accepted =
                                         [this](std::unique_ptr<TlsStream> stream) {
                                           accepted.push_back(std::move(stream));
                                           if (on_accepted) on_accepted();
                                         },
                                     .on_refused =
                                         [this](const std::string&, const std::string& reason) {
                                           refused.push_back(reason);
                                           if (on_refused) on_refused();
                                         }});
    ASSERT_TRUE(made) << made.error().message;
    listener = std::move(made).value();
  }

  // An honest worker, which must get in.
  std::unique_ptr<TlsStream> connect(const std::string& name) {
    TlsConnector connector(loop, client_context(ca.issue(name)));
    std::unique_ptr<TlsStream> client;
    const std::size_t before = accepted.size();
    const auto done = [&] {
      if (client && accepted.size() > before) loop.stop();
    };
    on_accepted = done;
    connector.connect({"127.0.0.1", listener->port(), "master"}, [&](auto result) {
      EXPECT_TRUE(result) << result.error().message;
      if (!result) return loop.stop();
      client = std::move(result).value();
      done();
    });
    run();
    on_accepted = nullptr;
    return client;
  }

  void run_until_refused(std::size_t count) {
    on_refused = [this, count] {
      if (refused.size() >= count) loop.stop();
    };
    if (refused.size() < count) run();
    on_refused = nullptr;
  }

  // What the listener makes of a client with these files.
  std::string refusal_of(const TlsFiles& files) {
    Raw peer(listener->port());
    TlsEngine engine(client_context(files));
    Timer pump(loop);
    pump.repeat(milliseconds(1), [&] {
      const std::string heard = peer.receive();
      // The server's opinion of us is of no interest here, its own words are.
      (void)engine.feed(std::as_bytes(std::span(heard)));
      peer.send(engine.take_output());
    });
    const std::size_t before = refused.size();
    run_until_refused(before + 1);
    return refused.back();
  }

  void TearDown() override {
    accepted.clear();
    listener.reset();
    LoopTest::TearDown();
  }

  TestCa ca;
  std::unique_ptr<TlsListener> listener;
  std::vector<std::unique_ptr<TlsStream>> accepted;
  std::vector<std::string> refused;
  std::function<void()> on_accepted;
  std::function<void()> on_refused;
};

TEST_F(HostilePeers, AHandshakeByteByByteEndsAtTheDeadlineAndIsCounted) {
  listen_with({.handshake_deadline = milliseconds(50)});
  Raw peer(listener->port());
  const std::string hello = TlsEngine(client_context(ca.issue("w"))).take_output();
  std::size_t sent = 0;
  Timer drip(loop);
  drip.repeat(milliseconds(1), [&] {
    if (sent < hello.size() / 2) sent += peer.send(hello.substr(sent, 1));
  });
  run_until_refused(1);
  EXPECT_THAT(refused.front(), HasSubstr("no TLS handshake within 50 ms"));
  EXPECT_EQ(listener->counters().too_slow, 1u);
}

TEST_F(HostilePeers, AThousandSilentConnectionsGiveWayAndKeepNobodyOut) {
  listen_with({.max_connections = 4, .max_handshakes = 20});
  std::deque<Raw> silent;
  for (int i = 0; i < 1'000; ++i) silent.emplace_back(listener->port());
  const auto client = connect("w1");
  ASSERT_TRUE(client);
  run_until_refused(980);
  EXPECT_EQ(listener->counters().gave_way, refused.size());
  EXPECT_THAT(refused.back(), HasSubstr("gave way to a newer one"));
  EXPECT_GE(refused.size(), 980u);
  EXPECT_TRUE(silent.front().is_ended());
  EXPECT_FALSE(silent.back().is_ended()) << "the newest still has its chance";
}

TEST_F(HostilePeers, AThousandWorkersAtOnceAreAllAccepted) {
  constexpr std::size_t kWorkers = 1'000;
  if (app::raise_file_limit(2 * kWorkers + 100) < 2 * kWorkers + 100)
    GTEST_SKIP() << "this process may not open so many files";
  listen_with({.max_connections = kWorkers, .max_handshakes = kWorkers});
  const TlsContext context = client_context(ca.issue("w"));
  std::deque<TlsConnector> connectors;
  std::vector<std::unique_ptr<TlsStream>> clients;
  const auto done = [&] {
    if (clients.size() == kWorkers && accepted.size() == kWorkers) loop.stop();
  };
  on_accepted = done;
  for (std::size_t i = 0; i < kWorkers; ++i) {
    connectors.emplace_back(loop, context);
    connectors.back().connect({"127.0.0.1", listener->port(), "master", std::chrono::seconds(50)},
                              [&](auto result) {
                                ASSERT_TRUE(result) << result.error().message;
                                clients.push_back(std::move(result).value());
                                done();
                              });
  }
  run();
  EXPECT_EQ(accepted.size(), kWorkers);
  EXPECT_THAT(refused, ::testing::IsEmpty());
  on_accepted = nullptr;
}

TEST_F(HostilePeers, OneAddressGetsNoMoreThanItsConnections) {
  listen_with({.max_per_address = 2});
  const auto one = connect("w1");
  std::optional<Raw> two(listener->port());
  Raw three(listener->port());
  run_until_refused(1);
  EXPECT_THAT(refused.front(), HasSubstr("2 connections from this address, which is the limit"));
  EXPECT_EQ(listener->counters().over_address, 1u);

  Raw elsewhere(listener->port(), "127.0.0.2");
  two.reset();
  run_until_refused(2);
  EXPECT_THAT(refused[1], HasSubstr("during the TLS handshake"));
  EXPECT_TRUE(connect("w2")) << "there is room again";
  EXPECT_FALSE(elsewhere.is_ended()) << "others are not counted with it";
}

TEST_F(HostilePeers, FailedHandshakesThatDoNotGoTakeABoundedNumberOfGoodbyes) {
  listen_with({.max_handshakes = 4});
  const std::size_t before = open_files();
  std::deque<Raw> talkers;
  for (std::size_t i = 1; i <= 40; ++i) {
    talkers.emplace_back(listener->port());
    talkers.back().send("this is not TLS at all");
    run_until_refused(i);
  }
  // A goodbye waits for the peer's own end; beyond the bound the connection is cut.
  EXPECT_LE(open_files() - before - talkers.size(), 4u);
}

TEST_F(HostilePeers, WhoSaysMuchLeavesTheOthersTheirTurn) {
  listen_with({});
  const auto loud = connect("loud");
  const auto quiet = connect("quiet");
  std::size_t heard = 0;
  std::optional<std::size_t> heard_before_quiet;
  accepted[0]->start(
      {.on_data = [&](auto bytes) { heard += bytes.size(); }, .on_closed = {}, .on_drained = {}});
  accepted[1]->start({.on_data =
                          [&](auto) {
                            heard_before_quiet = heard;
                            loop.stop();
                          },
                      .on_closed = {},
                      .on_drained = {}});
  loud->start({});
  quiet->start({});
  // Both at once, as much as the kernel takes.
  loud->write(std::string(std::size_t{8} << 20, 'x'));
  quiet->write("a word");
  run();
  ASSERT_TRUE(heard_before_quiet);
  EXPECT_LE(*heard_before_quiet, std::size_t{2} * 256 * 1024) << "two shares of a turn at most";
  accepted.clear();
}

// A client made of OpenSSL alone, which asks for a new key as often as it likes.
TEST_F(HostilePeers, KeyUpdatesWithoutEndEndTheConnection) {
  listen_with({});
  const TlsFiles files = ca.issue("w");
  const Owned<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
  ASSERT_EQ(
      SSL_CTX_use_certificate_file(context.get(), files.certificate.c_str(), SSL_FILETYPE_PEM), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM), 1);
  const Owned<SSL, SSL_free> ssl(SSL_new(context.get()));
  BIO* input = BIO_new(BIO_s_mem());
  BIO* output = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), input, output);
  SSL_set_connect_state(ssl.get());

  Raw peer(listener->port());
  std::string unsent;
  const auto send = [&] {
    std::string bytes(BIO_ctrl_pending(output), '\0');
    if (!bytes.empty()) BIO_read(output, bytes.data(), static_cast<int>(bytes.size()));
    unsent += bytes;
    unsent.erase(0, peer.send(unsent));
  };
  bool deaf = false;
  std::string closed;
  on_accepted = [&] {
    accepted.front()->start({.on_data = {},
                             .on_closed =
                                 [&](const std::string& reason) {
                                   closed = reason;
                                   loop.stop();
                                 },
                             .on_drained = {}});
    deaf = true;
  };
  Timer turn(loop);
  turn.repeat(milliseconds(1), [&] {
    if (!deaf) {
      const std::string heard = peer.receive();
      BIO_write(input, heard.data(), static_cast<int>(heard.size()));
      SSL_do_handshake(ssl.get());
      return send();
    }
    for (int i = 0; i < 500 && unsent.empty(); ++i) {
      ASSERT_EQ(SSL_key_update(ssl.get(), SSL_KEY_UPDATE_REQUESTED), 1);
      SSL_do_handshake(ssl.get());
      send();
    }
    send();
  });
  run();
  EXPECT_EQ(closed, "the peer asks TLS for new keys without end");
  on_accepted = nullptr;
}

// ---- certificates

TEST_F(HostilePeers, AnExpiredCertificateIsRefused) {
  listen_with({});
  EXPECT_THAT(refusal_of(ca.issue("w", std::chrono::hours(-48), 1)), HasSubstr("expired"));
  EXPECT_EQ(listener->counters().failed, 1u);
}

TEST_F(HostilePeers, ACertificateOfTheFutureIsRefused) {
  listen_with({});
  EXPECT_THAT(refusal_of(ca.issue("w", std::chrono::hours(48))), HasSubstr("not yet valid"));
}

// As `rollcall pki issue` makes it, but for servers only: a web server's, say, of a company whose
// CA is used here too.
TlsFiles server_only(const TlsFiles& like, const std::string& ca_file) {
  const auto open = [](const std::string& path, const char* how) {
    return Owned<BIO, BIO_free_all>(BIO_new_file(path.c_str(), how));
  };
  const std::string ca_key = ca_file.substr(0, ca_file.rfind('.')) + ".key";
  const Owned<X509, X509_free> certificate(
      PEM_read_bio_X509(open(like.certificate, "r").get(), nullptr, nullptr, nullptr));
  const Owned<EVP_PKEY, EVP_PKEY_free> key(
      PEM_read_bio_PrivateKey(open(ca_key, "r").get(), nullptr, nullptr, nullptr));
  X509* raw = certificate.get();
  const Owned<X509_EXTENSION, X509_EXTENSION_free> old(
      X509_delete_ext(raw, X509_get_ext_by_NID(raw, NID_ext_key_usage, -1)));
  const Owned<X509_EXTENSION, X509_EXTENSION_free> usage(
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_ext_key_usage, "serverAuth"));
  EXPECT_EQ(X509_add_ext(raw, usage.get(), -1), 1);
  EXPECT_GT(X509_sign(raw, key.get(), EVP_sha256()), 0);
  TlsFiles files = like;
  files.certificate += ".server";
  EXPECT_EQ(PEM_write_bio_X509(open(files.certificate, "w").get(), raw), 1);
  return files;
}

TEST_F(HostilePeers, ACertificateForServersOnlyIsNoWorkers) {
  listen_with({});
  EXPECT_THAT(refusal_of(server_only(ca.issue("web"), ca.certificate())),
              HasSubstr("is not made for this use"));
}

}  // namespace
}  // namespace rollcall::net
