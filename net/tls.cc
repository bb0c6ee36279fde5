#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "net/owned.h"
#include "net/trust.h"
#include "net/x509.h"

namespace rollcall::net {
namespace {

constexpr long kMaxChainBytes = 32L << 10;

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string verify_failure_text(X509_STORE_CTX* store) {
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  const int code = X509_STORE_CTX_get_error(store);
  const std::string who = certificate != nullptr ? called(certificate) : "the peer's certificate";
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return who + " has expired (notAfter " + time_text(X509_get0_notAfter(certificate)) +
             "): issue a new one, or mend this machine's clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return who + " is not yet valid (notBefore " + time_text(X509_get0_notBefore(certificate)) +
             "): mend the clock of this machine or of the one that issued it";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      // The peer's own certificate is meant, wherever in its chain the trouble was seen.
      return called(X509_STORE_CTX_get0_cert(store)) +
             " is not signed by this cluster's CA: issue one with the CA of this cluster";
    case X509_V_ERR_INVALID_PURPOSE:
      return who + " is not made for this use: it needs serverAuth and clientAuth";
    default:
      return who + " was refused: " + X509_verify_cert_error_string(code);
  }
}

// Dates aside: clocks differ, and a connection outlives its certificates. From the certificate to
// its CA; the error is why there is no such chain.
std::expected<std::vector<Certificate>, std::string> chain_to_ca(X509_STORE* ca, X509* certificate,
                                                                 STACK_OF(X509) * extra) {
  const Owned<X509_STORE_CTX, X509_STORE_CTX_free> check(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(check.get(), ca, certificate, extra) != 1) {
    return std::unexpected("OpenSSL is out of memory");
  }
  X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(check.get()), X509_V_FLAG_NO_CHECK_TIME);
  const bool good = X509_verify_cert(check.get()) == 1;
  ERR_clear_error();
  if (!good) return std::unexpected(verify_failure_text(check.get()));
  std::vector<Certificate> found;
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(check.get());
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509_up_ref(sk_X509_value(chain, i));
    found.emplace_back(sk_X509_value(chain, i));
  }
  return found;
}

// ---- the peer's certificate

struct Verification {
  std::shared_ptr<const Trust> trust;
  std::string expected_name;
  std::string failure;  // the first one, in words
};

// OpenSSL asks for each certificate of the chain, the peer's own last.
int on_verify(int verified, X509_STORE_CTX* store) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& wanted = *static_cast<Verification*>(SSL_get_app_data(ssl));
  if (verified != 1) {
    if (wanted.failure.empty()) wanted.failure = verify_failure_text(store);
    return 0;
  }
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  if (const auto by = wanted.trust->revoked_by(certificate); !by.empty()) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
    wanted.failure = revoked_text(certificate, by);
    return 0;
  }
  if (X509_STORE_CTX_get_error_depth(store) != 0 || wanted.expected_name.empty()) return 1;
  const auto names = dns_names(certificate);
  for (const auto& name : names) {
    if (same_name(name, wanted.expected_name)) return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  wanted.failure = "the peer's certificate is for " + joined(names) + ", not for " +
                   wanted.expected_name + ": wrong address, or wrong name in the configuration";
  return 0;
}

// What went wrong inside OpenSSL, in words. Alerts are the peer's opinion of us.
std::string tls_failure_text(unsigned long code) {
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return "TLS failed: " + openssl_reason(code);
  const std::string refused = "the peer refused our certificate: ";
  switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_RECORD_LENGTH_MISMATCH:
      return "the peer sent something that is not TLS (" + openssl_reason(code) + ")";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return "the peer does not speak TLS 1.3";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "the peer sent no certificate: both sides need one";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return refused + "it is not signed by the CA that the peer trusts";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return refused + "it has expired, or the peer's clock is wrong";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      return refused + "it is revoked";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
      return refused + "see the peer's log (wrong name, not yet valid, or not for this use)";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return refused + "we sent none";
    default:
      return "TLS failed: " + openssl_reason(code);
  }
}

}  // namespace

// ---- context

struct TlsContext::Impl {
  Owned<SSL_CTX, SSL_CTX_free> ssl;
  bool server = false;
  std::vector<Certificate> own_chain;  // as in its file
  CertificateInfo own;
  std::shared_ptr<const Trust> trust;
  std::string own_revoked_by;
  std::string own_wrong_use;
};

std::expected<TlsContext, Error> TlsContext::server(const TlsFiles& files) {
  return load(files, true);
}

std::expected<TlsContext, Error> TlsContext::client(const TlsFiles& files) {
  return load(files, false);
}

const CertificateInfo& TlsContext::own_certificate() const {
  return impl_->own;
}

std::vector<CertificateInfo> TlsContext::authorities() const {
  return impl_->trust->infos();
}

std::vector<RevocationListInfo> TlsContext::revocation_lists() const {
  return impl_->trust->lists();
}

bool TlsContext::equals(const TlsContext& other) const {
  const auto same = [](const Certificate& a, const Certificate& b) {
    return X509_cmp(a.get(), b.get()) == 0;
  };
  // The key belongs to the certificate, so there is only one that it can be.
  return impl_->own.file == other.impl_->own.file &&
         std::ranges::equal(impl_->own_chain, other.impl_->own_chain, same) &&
         impl_->trust->equals(*other.impl_->trust);
}

std::string TlsContext::own_wrong_use() const {
  return impl_->own_wrong_use;
}

std::string TlsContext::own_revoked_by() const {
  return impl_->own_revoked_by;
}

namespace {

void set_protocol(SSL_CTX* ssl) {
  SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION);
  // AES-128 first: the fastest, and strong enough for what is sent.
  SSL_CTX_set_ciphersuites(
      ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
  SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(ssl, 0);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  // What a peer may send before it has proven anything; a chain takes one or two KiB each.
  SSL_CTX_set_max_cert_list(ssl, kMaxChainBytes);
  // No automatic chain: the peer has the CA, it need not travel with each handshake.
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
}

// The node's own certificate with its intermediates, and its key.
std::expected<std::vector<Certificate>, Error> use_own(SSL_CTX* ssl, const TlsFiles& files) {
  auto chain = read_certificates(files.certificate, "the certificate file");
  if (!chain) return std::unexpected(chain.error());
  X509* own = chain->front().get();
  if (SSL_CTX_use_certificate(ssl, own) != 1) {
    return fail("the certificate file " + files.certificate +
                " cannot be used: " + openssl_reason(ERR_peek_last_error()));
  }
  for (auto it = chain->begin() + 1; it != chain->end(); ++it) {
    SSL_CTX_add1_chain_cert(ssl, it->get());
  }
  const auto key = read_key(files.key);
  if (!key) return std::unexpected(key.error());
  ERR_clear_error();
  if (X509_check_private_key(own, key->get()) != 1 ||
      SSL_CTX_use_PrivateKey(ssl, key->get()) != 1) {
    ERR_clear_error();
    return fail("the key file " + files.key + " does not belong to the certificate " +
                files.certificate + ": take both from the same `rollcall pki issue`");
  }
  return chain;
}

// As the other side will judge it, but now, and with the names of the files.
std::expected<std::vector<Certificate>, Error> check_own(SSL_CTX* ssl, X509* own,
                                                         const TlsFiles& files) {
  STACK_OF(X509)* extra = nullptr;
  SSL_CTX_get0_chain_certs(ssl, &extra);
  auto chain = chain_to_ca(SSL_CTX_get_cert_store(ssl), own, extra);
  if (!chain) {
    return fail("the certificate " + files.certificate + " is not signed by the CA in " + files.ca +
                ": issue it again with that CA, or use the ca.crt that belongs to it");
  }
  return *std::move(chain);
}

std::string wrong_use(X509* own, bool server, const std::string& path) {
  const int purpose = server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
  if (X509_check_purpose(own, purpose, 0) == 1) return "";
  return "the certificate " + path + " is not made for this use: it needs " +
         (server ? "serverAuth" : "clientAuth") +
         " in its extended key usage; `rollcall pki issue` makes one with both";
}

}  // namespace

std::expected<TlsContext, Error> TlsContext::load(const TlsFiles& files, bool server) {
  auto impl = std::make_shared<Impl>();
  impl->server = server;
  impl->ssl.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  SSL_CTX* ssl = impl->ssl.get();
  if (ssl == nullptr) return fail("OpenSSL cannot start: " + openssl_reason(ERR_peek_last_error()));
  set_protocol(ssl);

  auto trust = Trust::load({files.ca, files.crl, files.revoked});
  if (!trust) return std::unexpected(trust.error());
  for (const auto& authority : trust->authorities()) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), authority.get());
    if (server) SSL_CTX_add_client_CA(ssl, authority.get());
  }
  auto own_chain = use_own(ssl, files);
  if (!own_chain) return std::unexpected(own_chain.error());
  impl->own_chain = *std::move(own_chain);
  X509* own = impl->own_chain.front().get();
  const auto chain = check_own(ssl, own, files);
  if (!chain) return std::unexpected(chain.error());
  for (const auto& certificate : *chain) {
    if (impl->own_revoked_by.empty()) impl->own_revoked_by = trust->revoked_by(certificate.get());
  }
  impl->own = info_of(own, files.certificate);
  impl->own_wrong_use = wrong_use(own, server, files.certificate);
  impl->trust = std::make_shared<const Trust>(*std::move(trust));
  return TlsContext(std::move(impl));
}

// ---- engine

struct TlsEngine::Impl {
  Owned<SSL, SSL_free> ssl;
  BIO* input = nullptr;   // owned by ssl
  BIO* output = nullptr;  // owned by ssl
  Verification verification;
  bool handshake_done = false;
  bool peer_closed = false;
  std::string broken;  // why, if it is; every later call says so again
  std::vector<std::string> names;
  std::string serial;

  std::expected<void, Error> handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl.get());
    if (result == 1) {
      handshake_done = true;
      X509* peer = SSL_get0_peer_certificate(ssl.get());
      names = dns_names(peer);
      serial = serial_text(peer);
      return {};
    }
    const int error = SSL_get_error(ssl.get(), result);
    if (error == SSL_ERROR_WANT_READ) return {};
    return failure(error);
  }

  std::unexpected<Error> failure(int ssl_error) {
    const unsigned long code = ERR_peek_error();
    ERR_clear_error();
    if (!verification.failure.empty()) {
      broken = verification.failure;
    } else if (ssl_error == SSL_ERROR_ZERO_RETURN) {
      broken = "the peer closed during the TLS handshake";
    } else {
      broken = tls_failure_text(code);
    }
    return fail(broken);
  }
};

TlsEngine::TlsEngine(const TlsContext& context, std::string expected_name)
    : impl_(std::make_unique<Impl>()) {
  impl_->verification.trust = context.impl_->trust;
  impl_->verification.expected_name = std::move(expected_name);
  impl_->ssl.reset(SSL_new(context.impl_->ssl.get()));
  impl_->input = BIO_new(BIO_s_mem());
  impl_->output = BIO_new(BIO_s_mem());
  if (impl_->ssl == nullptr || impl_->input == nullptr || impl_->output == nullptr) {
    std::fputs("rollcall: OpenSSL is out of memory\n", stderr);
    std::abort();
  }
  SSL_set_bio(impl_->ssl.get(), impl_->input, impl_->output);
  SSL_set_app_data(impl_->ssl.get(), &impl_->verification);
  if (context.impl_->server) {
    SSL_set_accept_state(impl_->ssl.get());
  } else {
    SSL_set_connect_state(impl_->ssl.get());
    // Cannot fail before the peer has said something; if it does, so will the next feed().
    (void)impl_->handshake();
  }
}

TlsEngine::~TlsEngine() = default;
TlsEngine::TlsEngine(TlsEngine&&) noexcept = default;
TlsEngine& TlsEngine::operator=(TlsEngine&&) noexcept = default;

std::expected<void, Error> TlsEngine::feed(std::span<const std::byte> cipher) {
  if (!impl_->broken.empty()) return fail(impl_->broken);
  if (!cipher.empty() && BIO_write(impl_->input, cipher.data(), static_cast<int>(cipher.size())) !=
                             static_cast<int>(cipher.size())) {
    return fail(impl_->broken = "TLS is out of memory");
  }
  if (impl_->handshake_done) return {};
  return impl_->handshake();
}

std::string TlsEngine::take_output() {
  std::string bytes(BIO_ctrl_pending(impl_->output), '\0');
  if (!bytes.empty()) BIO_read(impl_->output, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

std::expected<void, Error> TlsEngine::write(std::string_view plain) {
  if (!impl_->broken.empty()) return fail(impl_->broken);
  if (!impl_->handshake_done) return fail("TLS cannot send before its handshake is done");
  if (plain.empty()) return {};
  ERR_clear_error();
  std::size_t written = 0;
  const int result = SSL_write_ex(impl_->ssl.get(), plain.data(), plain.size(), &written);
  if (result == 1) return {};
  return impl_->failure(SSL_get_error(impl_->ssl.get(), result));
}

std::expected<std::size_t, Error> TlsEngine::read(std::span<std::byte> plain) {
  if (!impl_->broken.empty()) return fail(impl_->broken);
  std::size_t total = 0;
  // One record (16 KiB at most) comes with each call.
  while (impl_->handshake_done && !impl_->peer_closed && total < plain.size()) {
    ERR_clear_error();
    std::size_t count = 0;
    const int result =
        SSL_read_ex(impl_->ssl.get(), plain.data() + total, plain.size() - total, &count);
    total += count;
    if (result == 1) continue;
    const int error = SSL_get_error(impl_->ssl.get(), result);
    if (error == SSL_ERROR_WANT_READ) break;
    if (error == SSL_ERROR_ZERO_RETURN) {
      impl_->peer_closed = true;
      break;
    }
    const auto failure = impl_->failure(error);
    // What came whole before the fault is still good; the next call tells of the fault.
    if (total > 0) break;
    return failure;
  }
  return total;
}

void TlsEngine::close() {
  if (!impl_->broken.empty() || !impl_->handshake_done) return;
  ERR_clear_error();
  SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
}

bool TlsEngine::handshake_done() const {
  return impl_->handshake_done;
}

bool TlsEngine::peer_closed() const {
  return impl_->peer_closed;
}

const std::vector<std::string>& TlsEngine::peer_names() const {
  return impl_->names;
}

const std::string& TlsEngine::peer_serial() const {
  return impl_->serial;
}

std::expected<void, Error> TlsEngine::check_peer(const TlsContext& context) const {
  X509* peer = SSL_get0_peer_certificate(impl_->ssl.get());
  if (peer == nullptr) return {};
  const auto& other = *context.impl_;
  if (other.trust == impl_->verification.trust) return {};
  const auto chain = chain_to_ca(SSL_CTX_get_cert_store(other.ssl.get()), peer,
                                 SSL_get_peer_cert_chain(impl_->ssl.get()));
  if (!chain) return fail(chain.error());
  for (const auto& certificate : *chain) {
    if (const auto by = other.trust->revoked_by(certificate.get()); !by.empty())
      return fail(revoked_text(certificate.get(), by));
  }
  return {};
}

}  // namespace rollcall::net
