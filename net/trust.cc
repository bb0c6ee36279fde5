#include "net/trust.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
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
  std::vector<Crl> strange;
  for (auto& crl : *crls) {
    const X509* signer = nullptr;
    for (const auto& authority : authorities_) {
      if (X509_CRL_verify(crl.get(), X509_get0_pubkey(authority.get())) == 1)
        signer = authority.get();
    }
    ERR_clear_error();
    if (signer != nullptr) {
      lists_.push_back({signer, std::move(crl)});
    } else {
      strange.push_back(std::move(crl));
    }
  }
  for (const auto& crl : strange) {
    const bool of_another_time = std::ranges::any_of(lists_, [&](const List& list) {
      return X509_NAME_cmp(X509_get_subject_name(list.authority), X509_CRL_get_issuer(crl.get())) ==
             0;
    });
    if (of_another_time) continue;
    return fail("the list of revoked certificates " + files_.crl + " is not signed by a CA in " +
                files_.ca + ": copy ca.crl and ca.crt from the same folder of the CA");
  }
  return {};
}

std::vector<RevocationListInfo> Trust::lists() const {
  std::vector<RevocationListInfo> infos;
  for (const auto& list : lists_) {
    const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list.crl.get());
    infos.push_back(
        {subject_of(list.authority), files_.crl,
         next != nullptr ? to_time_point(next) : std::chrono::system_clock::time_point::max()});
  }
  return infos;
}

bool Trust::equals(const Trust& other) const {
  const auto same_certificate = [](const Certificate& a, const Certificate& b) {
    return X509_cmp(a.get(), b.get()) == 0;
  };
  const auto same_list = [](const List& a, const List& b) {
    return X509_CRL_match(a.crl.get(), b.crl.get()) == 0;
  };
  return files_ == other.files_ && serials_ == other.serials_ &&
         std::ranges::equal(authorities_, other.authorities_, same_certificate) &&
         std::ranges::equal(lists_, other.lists_, same_list);
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
