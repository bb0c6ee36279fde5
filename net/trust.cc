#include "net/trust.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <utility>

namespace rollcall::net {

std::expected<Trust, Error> Trust::load(const Files& files) {
  Trust trust;
  trust.files_ = files;
  auto authorities = read_certificates(files.ca, "the CA file");
  if (!authorities) return std::unexpected(authorities.error());
  for (const auto& authority : *authorities) {
    if (X509_check_ca(authority.get()) == 0) {
      return fail("the CA file " + files.ca + " holds " + called(authority.get()) +
                  ", which is not a CA: put ca.crt there");
    }
  }
  trust.authorities_ = *std::move(authorities);
  if (!files.crl.empty()) {
    if (auto read = trust.read_lists(); !read) return std::unexpected(read.error());
  }
  auto serials = RevokedSerials::load(files.revoked);
  if (!serials) return std::unexpected(serials.error());
  trust.serials_ = *std::move(serials);
  return trust;
}

std::expected<void, Error> Trust::read_lists() {
  auto crls = read_crls(files_.crl);
  if (!crls) return std::unexpected(crls.error());
  for (auto& crl : *crls) {
    const X509* signer = nullptr;
    for (const auto& authority : authorities_) {
      if (X509_CRL_verify(crl.get(), X509_get0_pubkey(authority.get())) == 1)
        signer = authority.get();
    }
    ERR_clear_error();
    if (signer == nullptr) {
      return fail("the list of revoked certificates " + files_.crl + " is not signed by a CA in " +
                  files_.ca + ": copy ca.crl and ca.crt from the same folder of the CA");
    }
    lists_.push_back({signer, std::move(crl)});
  }
  return {};
}

std::vector<CertificateInfo> Trust::infos() const {
  std::vector<CertificateInfo> infos;
  for (const auto& authority : authorities_) infos.push_back(info_of(authority.get(), files_.ca));
  return infos;
}

std::string Trust::revoked_by(const X509* certificate) const {
  auto* asked = const_cast<X509*>(certificate);  // OpenSSL takes it so, and changes nothing
  for (const auto& list : lists_) {
    if (X509_check_issued(const_cast<X509*>(list.authority), asked) != X509_V_OK) continue;
    X509_REVOKED* entry = nullptr;
    if (X509_CRL_get0_by_cert(list.crl.get(), &entry, asked) == 1) return files_.crl;
  }
  return serials_.contains(serial_text(certificate)) ? files_.revoked : "";
}

std::string revoked_text(const X509* certificate, const std::string& by) {
  return called(certificate) + " is revoked (serial " + serial_text(certificate) + ", by " + by +
         "): if this node is still to be trusted, give it a new one with `rollcall pki renew`";
}

}  // namespace rollcall::net
