#pragma once
// Whom a node believes: its CAs, and which of their certificates no longer count. For net/ only;
// read once, then shared.
#include <openssl/x509.h>

#include <expected>
#include <string>
#include <vector>

#include "net/certificate.h"
#include "net/revocation.h"
#include "net/x509.h"
#include "protocol/error.h"

namespace rollcall::net {

class Trust {
 public:
  struct Files {
    std::string ca, crl, revoked;  // the last two may be empty
    bool operator==(const Files&) const = default;
  };
  // A list must be signed by one of the CAs: otherwise anybody could bring one, or bring none. Only
  // beside the list of a CA may there be another one under its name: of the CA before or after it,
  // which is no CA here and has signed nothing that counts. So ca.crt and ca.crl may come one after
  // the other.
  static std::expected<Trust, Error> load(const Files& files);

  const std::vector<Certificate>& authorities() const { return authorities_; }
  std::vector<CertificateInfo> infos() const;
  std::vector<RevocationListInfo> lists() const;
  // Read from the same files, and they said the same.
  bool equals(const Trust& other) const;
  // The file that says that it no longer counts; empty if none does.
  std::string revoked_by(const X509* certificate) const;

 private:
  struct List {
    const X509* authority;
    Crl crl;
  };
  std::expected<void, Error> read_lists();

  Files files_;
  std::vector<Certificate> authorities_;
  std::vector<List> lists_;
  RevokedSerials serials_;
};

// "the certificate of w1 is revoked (serial 0A, by /etc/rollcall/ca.crl): ..."
std::string revoked_text(const X509* certificate, const std::string& by);

}  // namespace rollcall::net
