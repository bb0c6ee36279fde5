#pragma once

#include <chrono>
#include <cstddef>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/certificate.h"
#include "protocol/error.h"

namespace rollcall::net {

// TLS as protocol.md section 11 wants it: 1.3 only, both sides with a certificate of the cluster's
// own CA, no session tickets. No sockets here: bytes in, bytes out.

// Paths of PEM files. `ca` may hold several CAs (two at a time while the CA is changed);
// `certificate` may be followed by intermediates. `crl` holds lists of revoked certificates, each
// signed by one of the CAs, `revoked` serials (revocation.h); empty: no such file.
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
  std::string crl = {};
  std::string revoked = {};
};

// Certificates and settings, read once, shared by all connections. Copies are cheap. To use new
// files, load a new context; connections that exist keep the old one.
class TlsContext {
 public:
  // The error says which file is wrong and how to mend it. Refused: files that cannot be read or
  // parsed, a key with a passphrase or of another certificate, a certificate of another CA,
  // a list of revoked ones that no CA here has signed. An
  // expired certificate is not refused here (clocks differ), see own_certificate().not_after.
  static std::expected<TlsContext, Error> server(const TlsFiles& files);
  static std::expected<TlsContext, Error> client(const TlsFiles& files);

  const CertificateInfo& own_certificate() const;
  std::vector<CertificateInfo> authorities() const;
  std::vector<RevocationListInfo> revocation_lists() const;
  // Read from the same files, and they said the same: the files need not be looked at again, which
  // could have changed since.
  bool equals(const TlsContext& other) const;
  // The file by which this node's own certificate, or one between it and its CA, no longer counts;
  // empty if they do.
  std::string own_revoked_by() const;
  // Why peers will refuse it for what its extended key usage says; empty if they will not.
  std::string own_wrong_use() const;

 private:
  friend class TlsEngine;
  struct Impl;
  explicit TlsContext(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  static std::expected<TlsContext, Error> load(const TlsFiles& files, bool server);
  std::shared_ptr<const Impl> impl_;
};

// One connection's TLS. After an error there may be an alert in take_output() that should still
// be sent; nothing else works any more. Errors are in words for an operator.
//
// In TLS 1.3 the client is done before the server has looked at the client's certificate: a
// refusal reaches the client as an error of a later feed() or read().
class TlsEngine {
 public:
  // A client's first output is there at once. `expected_name`, if not empty, must be among the
  // peer certificate's DNS names (whole names, ASCII case ignored, no wildcards).
  explicit TlsEngine(const TlsContext& context, std::string expected_name = {});
  ~TlsEngine();
  TlsEngine(TlsEngine&&) noexcept;
  TlsEngine& operator=(TlsEngine&&) noexcept;

  // Bytes from the socket; they are kept until read() asks for them.
  std::expected<void, Error> feed(std::span<const std::byte> cipher);
  // Bytes for the socket.
  std::string take_output();

  // Only after the handshake.
  std::expected<void, Error> write(std::string_view plain);
  // How many bytes were put into `plain`; 0 when all that was fed is used up.
  std::expected<std::size_t, Error> read(std::span<std::byte> plain);
  // Says to the peer that no more bytes will come (close_notify).
  void close();

  bool handshake_done() const;
  // The peer has said that no more bytes will come; known when read() has come this far.
  bool peer_closed() const;
  // Of the peer's verified certificate; empty before the handshake is done.
  const std::vector<std::string>& peer_names() const;
  const std::string& peer_serial() const;
  // Whether `context` would let this peer in too, dates aside; the error says why not. After the
  // handshake, which has asked its own context.
  std::expected<void, Error> check_peer(const TlsContext& context) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rollcall::net
