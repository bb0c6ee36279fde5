#include "net/tls.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <optional>

#include "net/owned.h"
#include "net/pki_files.h"
#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;
using ::testing::Not;

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string read_all(TlsEngine& engine) {
  std::string text;
  std::vector<std::byte> buffer(1'000);
  while (true) {
    const auto count = engine.read(buffer);
    EXPECT_TRUE(count) << count.error().message;
    if (!count || *count == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), *count);
  }
}

// A server and a client that exchange bytes without a socket.
class Tls : public ::testing::Test {
 protected:
  void connect(const TlsFiles& server_files, const TlsFiles& client_files,
               const std::string& expected_name = {}) {
    server.emplace(server_context(server_files));
    client.emplace(client_context(client_files), expected_name);
    exchange();
  }

  // Until neither has anything to say. Each side's first error is kept.
  void exchange() {
    while (true) {
      const std::string to_server = client->take_output();
      const std::string to_client = server->take_output();
      if (to_server.empty() && to_client.empty()) return;
      give(*server, to_server, server_error);
      give(*client, to_client, client_error);
    }
  }

  static void give(TlsEngine& engine, const std::string& cipher, std::string& error) {
    if (cipher.empty() || !error.empty()) return;
    if (auto fed = engine.feed(bytes(cipher)); !fed) {
      error = fed.error().message;
      return;
    }
    // What comes after the handshake (an alert, say) is found by reading; there is no data here.
    if (!engine.handshake_done()) return;
    if (auto count = engine.read({}); !count) error = count.error().message;
    std::byte nothing[1];
    if (auto count = engine.read(nothing); !count) error = count.error().message;
  }

  TestCa ca;
  std::optional<TlsEngine> server;
  std::optional<TlsEngine> client;
  std::string server_error;
  std::string client_error;
};

TEST_F(Tls, BothSidesLearnTheOthersNamesAndSerial) {
  const auto master = ca.issue("master");
  const auto worker = ca.issue("worker-1");
  connect(master, worker, "master");
  EXPECT_EQ(server_error + client_error, "");
  ASSERT_TRUE(server->handshake_done());
  ASSERT_TRUE(client->handshake_done());
  EXPECT_EQ(server->peer_names(), std::vector<std::string>{"worker-1"});
  EXPECT_EQ(client->peer_names(), std::vector<std::string>{"master"});
  EXPECT_EQ(server->peer_serial(), client_context(worker).own_certificate().serial);
}

TEST_F(Tls, CarriesBytesWhateverTheirPieces) {
  connect(ca.issue("master"), ca.issue("w"));
  std::string plain;
  for (int i = 0; i < 100'000; ++i) plain += static_cast<char>(i * 7);
  ASSERT_TRUE(client->write(plain));
  const std::string cipher = client->take_output();
  std::string received;
  for (std::size_t at = 0; at < cipher.size(); at += 977) {
    ASSERT_TRUE(server->feed(bytes(cipher.substr(at, 977))));
    received += read_all(*server);
  }
  EXPECT_EQ(received, plain);
}

TEST_F(Tls, HandshakeMayComeByteByByte) {
  server.emplace(server_context(ca.issue("master")));
  client.emplace(client_context(ca.issue("w")));
  while (!server->handshake_done()) {
    for (const char byte : client->take_output()) {
      ASSERT_TRUE(server->feed(bytes(std::string(1, byte))));
    }
    for (const char byte : server->take_output()) {
      ASSERT_TRUE(client->feed(bytes(std::string(1, byte))));
    }
  }
  EXPECT_TRUE(client->handshake_done());
}

TEST_F(Tls, SendsNoTicketsAndNothingElseAfterTheHandshake) {
  connect(ca.issue("master"), ca.issue("w"));
  EXPECT_EQ(server->take_output(), "");
  EXPECT_EQ(client->take_output(), "");
}

TEST_F(Tls, GoodbyeIsToldApartFromSilence) {
  connect(ca.issue("master"), ca.issue("w"));
  ASSERT_TRUE(client->write("last words"));
  client->close();
  EXPECT_FALSE(server->peer_closed());
  ASSERT_TRUE(server->feed(bytes(client->take_output())));
  EXPECT_EQ(read_all(*server), "last words");
  EXPECT_TRUE(server->peer_closed());
}

TEST_F(Tls, ServerRefusesAClientOfAnotherCa) {
  TestCa other;
  auto stranger = other.issue("w");
  stranger.ca = other.together_with(ca);  // it trusts us; we do not trust it
  connect(ca.issue("master"), stranger);
  EXPECT_THAT(server_error, HasSubstr("the certificate of w is not signed by this cluster's CA"));
  EXPECT_THAT(client_error, HasSubstr("the peer refused our certificate"));
  EXPECT_THAT(client_error, HasSubstr("not signed by the CA that the peer trusts"));
}

TEST_F(Tls, ClientRefusesAServerOfAnotherCa) {
  TestCa other;
  connect(other.issue("master"), ca.issue("w"));
  EXPECT_THAT(client_error, HasSubstr("the certificate of master is not signed by this cluster's"));
  EXPECT_FALSE(client->handshake_done());
  EXPECT_FALSE(server->handshake_done());
}

TEST_F(Tls, TwoCasOfTheSameClusterNameWorkDuringAChange) {
  TestCa next;
  auto master = ca.issue("master");
  auto old_worker = ca.issue("w1");
  auto new_worker = next.issue("w2");
  master.ca = old_worker.ca = new_worker.ca = ca.together_with(next);
  connect(master, old_worker);
  EXPECT_TRUE(server->handshake_done()) << server_error << client_error;
  connect(master, new_worker);
  EXPECT_TRUE(server->handshake_done()) << server_error << client_error;
}

TEST_F(Tls, ExpiredCertificateIsNamedWithItsEnd) {
  connect(ca.issue("master"), ca.issue("w", hours(-48), 1));
  EXPECT_THAT(server_error, HasSubstr("the certificate of w has expired (notAfter 20"));
  EXPECT_THAT(client_error, HasSubstr("it has expired, or the peer's clock is wrong"));
}

TEST_F(Tls, ExpiredServerCertificateIsRefusedByTheClient) {
  connect(ca.issue("master", hours(-48), 1), ca.issue("w"));
  EXPECT_THAT(client_error, HasSubstr("the certificate of master has expired (notAfter 20"));
}

TEST_F(Tls, CertificateOfTheFutureIsRefused) {
  connect(ca.issue("master"), ca.issue("w", hours(48)));
  EXPECT_THAT(server_error, HasSubstr("the certificate of w is not yet valid (notBefore 20"));
  EXPECT_FALSE(server->handshake_done());
}

TEST_F(Tls, CertificateOfAClockThatIsLateByHalfAnHourIsAccepted) {
  connect(ca.issue("master", std::chrono::hours(1)), ca.issue("w"));
  EXPECT_TRUE(server->handshake_done()) << server_error << client_error;
}

TEST_F(Tls, WrongServerNameIsRefusedBeforeTheServerIsReady) {
  connect(ca.issue("worker-2"), ca.issue("w"), "master");
  EXPECT_THAT(client_error, HasSubstr("is for worker-2, not for master"));
  EXPECT_THAT(server_error, HasSubstr("the peer refused our certificate"));
  EXPECT_FALSE(client->handshake_done());
  EXPECT_FALSE(server->handshake_done());
}

TEST_F(Tls, ServerNameIsComparedWholeAndWithoutCase) {
  const auto master = ca.issue("master.example");
  const auto worker = ca.issue("w");
  connect(master, worker, "MASTER.example");
  EXPECT_TRUE(client->handshake_done()) << client_error;
  for (const char* wrong : {"master", "example", "master.example.org", "*.example"}) {
    client_error = server_error = "";
    connect(master, worker, wrong);
    EXPECT_FALSE(client->handshake_done()) << wrong;
  }
}

// ---- whom new files let in

// A certificate of these names, signed by `issuer` (null: by itself), and its key, as PEM files.
struct Made {
  Certificate certificate;
  PrivateKey key;
};
Made made(const std::string& name, const Made* issuer, bool is_ca) {
  Made it{nullptr, PrivateKey(EVP_EC_gen("P-256"))};
  const auto now = std::chrono::system_clock::now();
  it.certificate = draft_certificate({"test", name, now - hours(1), now + hours(1)}, it.key.get());
  X509* raw = it.certificate.get();
  const Made& by = issuer != nullptr ? *issuer : it;
  X509_set_issuer_name(raw, X509_get_subject_name(by.certificate.get()));
  EXPECT_TRUE(add_extension(raw, by.certificate.get(), NID_basic_constraints,
                            is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE"));
  const bool named =
      is_ca || add_extension(raw, by.certificate.get(), NID_subject_alt_name, "DNS:" + name);
  EXPECT_TRUE(named);
  EXPECT_GT(X509_sign(raw, by.key.get(), EVP_sha256()), 0);
  return it;
}

TEST_F(Tls, ARevokedIntermediateTakesAllBelowItAlongInEveryCheck) {
  TempDir dir;
  const Made root = made("root", nullptr, true);
  const Made between = made("between", &root, true);
  const Made node = made("w", &between, false);
  write_text(dir / "ca.crt", to_pem(root.certificate.get()));
  write_text(dir / "w.crt", to_pem(node.certificate.get()) + to_pem(between.certificate.get()));
  ASSERT_TRUE(write_key(dir / "w.key", node.key.get(), Existing::kKept));
  const TlsFiles files{dir / "ca.crt", dir / "w.crt", dir / "w.key"};
  TlsFiles told = files;
  told.revoked = dir / "revoked";
  write_text(told.revoked, serial_text(between.certificate.get()) + "\n");

  connect(files, files);
  ASSERT_TRUE(server->handshake_done()) << server_error << client_error;
  EXPECT_TRUE(server->check_peer(server_context(files)));
  for (const TlsEngine* side : {&*server, &*client}) {
    const auto good = side->check_peer(server_context(told));
    ASSERT_FALSE(good);
    EXPECT_THAT(good.error().message, HasSubstr("the certificate \"O = test, CN = between\" is"));
  }
  EXPECT_EQ(server_context(told).own_revoked_by(), told.revoked);
  EXPECT_EQ(server_context(files).own_revoked_by(), "");
  connect(told, files);
  EXPECT_THAT(server_error, HasSubstr("is revoked")) << "a new connection";
}

TEST_F(Tls, ContextsAreEqualAsLongAsTheFilesSayTheSame) {
  TempDir dir;
  TlsFiles files = ca.issue("w");
  files.revoked = dir / "revoked";
  write_text(files.revoked, "0A # lost\n");
  const TlsContext before = client_context(files);
  EXPECT_TRUE(before.equals(before));
  write_text(files.revoked, "A\n");
  EXPECT_TRUE(client_context(files).equals(before)) << "the same in other words";
  write_text(files.revoked, "0A\n0B\n");
  EXPECT_FALSE(client_context(files).equals(before));
  write_text(files.revoked, "0A\n");
  const std::string authority = read_text(files.ca);
  TestCa other;
  write_text(files.ca, authority + read_text(other.certificate()));
  EXPECT_FALSE(client_context(files).equals(before));
  write_text(files.ca, authority);
  EXPECT_TRUE(client_context(files).equals(before));
  const TlsFiles renewed = ca.issue("w2");
  std::filesystem::copy_file(renewed.certificate, files.certificate,
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(renewed.key, files.key,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(client_context(files).equals(before));
}

TEST_F(Tls, TextInsteadOfTlsIsToldAsSuch) {
  for (const std::string text : {"hello, are you there?\n", "GET / HTTP/1.1\r\n\r\n",
                                 "\x16\x03\x01\xff\xff garbage", "SSH-2.0-OpenSSH_9.2\r\n"}) {
    TlsEngine engine(server_context(ca.issue("m" + std::to_string(text.size()))));
    const auto fed = engine.feed(bytes(text));
    ASSERT_FALSE(fed) << text;
    EXPECT_THAT(fed.error().message, HasSubstr("not TLS")) << text;
  }
}

TEST_F(Tls, BrokenRecordAfterTheHandshakeEndsIt) {
  connect(ca.issue("master"), ca.issue("w"));
  ASSERT_TRUE(client->write("good"));
  const std::string good = client->take_output();
  ASSERT_TRUE(client->write("bad"));
  std::string bad = client->take_output();
  bad.back() = static_cast<char>(bad.back() ^ 1);
  ASSERT_TRUE(server->feed(bytes(good + bad)));
  std::byte buffer[100];
  const auto first = server->read(buffer);
  ASSERT_TRUE(first) << "what came whole before is still delivered";
  EXPECT_EQ(*first, 4u);
  const auto second = server->read(buffer);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("TLS failed"));
  EXPECT_FALSE(server->write("more"));
  EXPECT_FALSE(server->feed(bytes(good)));
}

TEST_F(Tls, NothingIsSentBeforeTheHandshake) {
  TlsEngine engine(client_context(ca.issue("w")));
  EXPECT_FALSE(engine.write("early"));
}

// ---- peers that this project would not build

class ForeignClient {
 public:
  explicit ForeignClient(const std::string& ca_file) : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_load_verify_file(context_.get(), ca_file.c_str());
  }
  SSL_CTX* context() { return context_.get(); }

  // The server's words at the end.
  std::string talk_to(TlsEngine& server) {
    const Owned<SSL, SSL_free> ssl(SSL_new(context_.get()));
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl.get(), in, out);
    for (int turn = 0; turn < 10; ++turn) {
      SSL_connect(ssl.get());
      std::string cipher(BIO_ctrl_pending(out), '\0');
      BIO_read(out, cipher.data(), static_cast<int>(cipher.size()));
      if (auto fed = server.feed(bytes(cipher)); !fed) return fed.error().message;
      const std::string answer = server.take_output();
      BIO_write(in, answer.data(), static_cast<int>(answer.size()));
    }
    return server.handshake_done() ? "accepted" : "undecided";
  }

 private:
  Owned<SSL_CTX, SSL_CTX_free> context_;
};

TEST_F(Tls, ClientWithoutACertificateIsRefused) {
  TlsEngine engine(server_context(ca.issue("master")));
  EXPECT_THAT(ForeignClient(ca.certificate()).talk_to(engine), HasSubstr("sent no certificate"));
  EXPECT_FALSE(engine.handshake_done());
}

TEST_F(Tls, ClientOfAnOlderTlsIsRefused) {
  TlsEngine engine(server_context(ca.issue("master")));
  ForeignClient client_1_2(ca.certificate());
  SSL_CTX_set_max_proto_version(client_1_2.context(), TLS1_2_VERSION);
  EXPECT_THAT(client_1_2.talk_to(engine), HasSubstr("does not speak TLS 1.3"));
}

// ---- files

class TlsFilesRefused : public ::testing::Test {
 protected:
  std::string error(const TlsFiles& with) {
    const auto context = TlsContext::server(with);
    EXPECT_FALSE(context);
    return context ? "" : context.error().message;
  }

  TestCa ca;
  TempDir dir;
  TlsFiles files = ca.issue("master");
};

TEST_F(TlsFilesRefused, MissingOnesAreNamed) {
  for (std::string TlsFiles::*which : {&TlsFiles::ca, &TlsFiles::certificate, &TlsFiles::key}) {
    TlsFiles broken = files;
    broken.*which = dir / "absent.pem";
    EXPECT_THAT(error(broken), HasSubstr(dir / "absent.pem"));
    EXPECT_THAT(error(broken), HasSubstr("No such file"));
  }
}

TEST_F(TlsFilesRefused, FoldersAreNamed) {
  files.ca = dir.path();
  EXPECT_THAT(error(files), HasSubstr("cannot be read: is it a file?"));
}

TEST_F(TlsFilesRefused, OnesWithoutPemAreNamed) {
  write_text(dir / "text", "not a certificate\n");
  for (std::string TlsFiles::*which : {&TlsFiles::ca, &TlsFiles::certificate, &TlsFiles::key}) {
    TlsFiles broken = files;
    broken.*which = dir / "text";
    EXPECT_THAT(error(broken), HasSubstr(dir / "text"));
    EXPECT_THAT(error(broken), HasSubstr("holds no"));
  }
}

TEST_F(TlsFilesRefused, DamagedCertificate) {
  std::string pem = read_text(files.certificate);
  pem[pem.size() / 2] = '*';
  write_text(dir / "damaged.crt", pem);
  files.certificate = dir / "damaged.crt";
  EXPECT_THAT(error(files), HasSubstr("is damaged"));
}

TEST_F(TlsFilesRefused, HugeFile) {
  write_text(dir / "huge", std::string(2 << 20, 'x'));
  files.ca = dir / "huge";
  EXPECT_THAT(error(files), HasSubstr("larger than 1 MiB"));
}

TEST_F(TlsFilesRefused, KeyOfAnotherCertificate) {
  files.key = ca.issue("other").key;
  EXPECT_THAT(error(files), HasSubstr("does not belong to the certificate"));
}

TEST_F(TlsFilesRefused, KeyWithAPassphrase) {
  const Owned<BIO, BIO_free_all> in(BIO_new_file(files.key.c_str(), "r"));
  const Owned<EVP_PKEY, EVP_PKEY_free> key(
      PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  Owned<BIO, BIO_free_all> out(BIO_new_file((dir / "locked.key").c_str(), "w"));
  char passphrase[] = "secret";
  ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), passphrase,
                                          sizeof passphrase - 1, nullptr, nullptr),
            1);
  out.reset();
  files.key = dir / "locked.key";
  EXPECT_THAT(error(files), HasSubstr("protected by a passphrase"));
}

TEST_F(TlsFilesRefused, CertificateOfAnotherCa) {
  TestCa other;
  files.ca = other.certificate();
  EXPECT_THAT(error(files), HasSubstr("is not signed by the CA in " + other.certificate()));
}

TEST_F(TlsFilesRefused, NodeCertificateInPlaceOfTheCa) {
  files.ca = files.certificate;
  EXPECT_THAT(error(files), HasSubstr("which is not a CA"));
}

TEST_F(TlsFilesRefused, ButNotAnExpiredOneWhoseEndCanBeAsked) {
  const auto context = TlsContext::client(ca.issue("late", hours(-48), 1));
  ASSERT_TRUE(context) << context.error().message;
  EXPECT_LT(context->own_certificate().not_after, std::chrono::system_clock::now());
}

}  // namespace
}  // namespace rollcall::net
