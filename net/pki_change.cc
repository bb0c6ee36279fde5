// What changes an authority that is in use: renewed and revoked certificates, and a new CA.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "net/pki.h"
#include "net/pki_files.h"
#include "net/revocation.h"

namespace rollcall::net {
namespace {

namespace fs = std::filesystem;

std::expected<Certificate, Error> newest_of(const std::string& dir, const std::string& node) {
  auto certificates = read_certificates(paths_of(dir, node).certificate_path, "the certificate");
  if (!certificates) {
    return fail(certificates.error().message + "; `rollcall pki issue " + node + "` makes one");
  }
  return std::move(certificates->front());
}

std::expected<void, Error> archive(const std::string& dir, const std::string& node,
                                   X509* certificate) {
  const std::string folder = archive_of(dir);
  std::error_code made;
  if (fs::create_directory(folder, made)) chmod(folder.c_str(), 0700);
  if (made) return fail("cannot make the folder " + folder + " (" + made.message() + ")");
  auto written = write_file(folder + "/" + node + "." + serial_text(certificate) + ".crt",
                            to_pem(certificate), kCertificateMode, Existing::kReplaced);
  return written ? sync_folder(folder) : written;
}

// The certificates that were issued to a node before its newest one.
std::vector<Certificate> renewed_of(const std::string& dir, const std::string& node) {
  std::vector<Certificate> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(archive_of(dir), none)) {
    auto certificates = read_certificates(entry.path().string(), "the certificate");
    if (!certificates) continue;
    const auto names = dns_names(certificates->front().get());
    if (!names.empty() && names.front() == node) found.push_back(std::move(certificates->front()));
  }
  return found;
}

// ---- the list of what is revoked

struct Signers {
  Authority now;
  std::optional<Authority> older;  // while the CA is changed
};

std::expected<Signers, Error> load_signers(const std::string& dir) {
  auto authority = load_authority(dir);
  if (!authority) return std::unexpected(authority.error());
  Signers signers{*std::move(authority), std::nullopt};
  if (!file_exists(older_ca_key(dir))) return signers;
  const auto certificates = read_certificates(ca_certificate(dir), "the CA file");
  if (!certificates) return std::unexpected(certificates.error());
  auto key = read_key(older_ca_key(dir));
  if (!key) return std::unexpected(key.error());
  auto certificate = certificate_of(*certificates, key->get());
  // Its key may be there already while it still signs, and still be there once it is gone.
  if (certificate != nullptr && X509_cmp(certificate.get(), signers.now.certificate.get()) != 0)
    signers.older = {std::move(certificate), *std::move(key)};
  return signers;
}

bool add_serial(X509_CRL* crl, const ASN1_INTEGER* serial, const ASN1_TIME* when) {
  Owned<X509_REVOKED, X509_REVOKED_free> entry(X509_REVOKED_new());
  if (entry == nullptr ||
      X509_REVOKED_set_serialNumber(entry.get(), const_cast<ASN1_INTEGER*>(serial)) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), const_cast<ASN1_TIME*>(when)) != 1 ||
      X509_CRL_add0_revoked(crl, entry.get()) != 1) {
    return false;
  }
  (void)entry.release();  // the list has it now
  return true;
}

// What `before` holds (null: nothing), and `serials`. It does not run out before its CA does: a
// daemon whose list came late must not let in whom it refused.
Crl make_list(const Authority& authority, X509_CRL* before,
              const std::vector<const ASN1_INTEGER*>& serials, PkiTime now) {
  Crl crl(X509_CRL_new());
  const Owned<ASN1_TIME, ASN1_TIME_free> when(
      ASN1_TIME_set(nullptr, std::chrono::system_clock::to_time_t(now)));
  X509* ca = authority.certificate.get();
  long number = 1;
  bool good = crl != nullptr && when != nullptr &&
              X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(ca)) == 1 &&
              X509_CRL_set1_lastUpdate(crl.get(), when.get()) == 1 &&
              X509_CRL_set1_nextUpdate(crl.get(), X509_get0_notAfter(ca)) == 1;
  if (good && before != nullptr) {
    const Owned<ASN1_INTEGER, ASN1_INTEGER_free> last(
        static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(before, NID_crl_number, nullptr, nullptr)));
    if (last != nullptr) number = ASN1_INTEGER_get(last.get()) + 1;
    STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(before);
    for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
      const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
      good = good && add_serial(crl.get(), X509_REVOKED_get0_serialNumber(entry),
                                X509_REVOKED_get0_revocationDate(entry));
    }
  }
  for (const ASN1_INTEGER* serial : serials)
    good = good && add_serial(crl.get(), serial, when.get());
  const Owned<ASN1_INTEGER, ASN1_INTEGER_free> count(ASN1_INTEGER_new());
  good = good && ASN1_INTEGER_set(count.get(), number) == 1 &&
         X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, count.get(), 0, 0) == 1 &&
         X509_CRL_sort(crl.get()) == 1 &&
         X509_CRL_sign(crl.get(), authority.key.get(), EVP_sha256()) > 0;
  return good ? std::move(crl) : nullptr;
}

std::string to_pem(X509_CRL* crl) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(bio.get(), crl);
  return text_of(bio.get());
}

X509_CRL* list_of(const std::vector<Crl>& lists, const Authority& authority) {
  for (const auto& list : lists) {
    if (X509_CRL_verify(list.get(), X509_get0_pubkey(authority.certificate.get())) == 1)
      return list.get();
  }
  ERR_clear_error();
  return nullptr;
}

std::expected<std::vector<Crl>, Error> present_lists(const std::string& dir) {
  if (!file_exists(crl_path(dir))) return std::vector<Crl>{};
  return read_crls(crl_path(dir));
}

bool lists(X509_CRL* list, const ASN1_INTEGER* serial) {
  X509_REVOKED* entry = nullptr;
  return list != nullptr &&
         X509_CRL_get0_by_serial(list, &entry, const_cast<ASN1_INTEGER*>(serial)) == 1;
}

std::expected<void, Error> remove_older_key(const std::string& dir) {
  if (unlink(older_ca_key(dir).c_str()) != 0)
    return fail("cannot remove " + older_ca_key(dir) + system_text(errno));
  return sync_folder(dir);
}

using Serial = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;

// Serials to revoke, by the CA that signed them.
struct Wanted {
  std::vector<Serial> now, older;
};

std::unexpected<Error> is_a_ca(const std::string& what) {
  return fail(what + " is that of a CA, and on its own list it would refuse every node: " +
              "`rollcall pki change-ca` brings a new CA");
}

std::expected<void, Error> want(Wanted& wanted, const Signers& signers, X509* certificate) {
  if (X509_check_ca(certificate) != 0) return is_a_ca(called(certificate));
  const auto signed_by = [&](const Authority& authority) {
    const bool good = X509_verify(certificate, X509_get0_pubkey(authority.certificate.get())) == 1;
    ERR_clear_error();
    return good;
  };
  Serial serial(ASN1_INTEGER_dup(X509_get0_serialNumber(certificate)));
  if (signed_by(signers.now)) {
    wanted.now.push_back(std::move(serial));
  } else if (signers.older && signed_by(*signers.older)) {
    wanted.older.push_back(std::move(serial));
  } else {
    return fail(called(certificate) + " (serial " + serial_text(certificate) +
                ") is not signed by a CA in this folder: name the folder of its CA with --dir");
  }
  return {};
}

std::expected<void, Error> want_node(Wanted& wanted, const Signers& signers, const std::string& dir,
                                     const RevokeRequest& request) {
  if (auto named = check_node_name(request.node); !named) return named;
  const auto renewed = renewed_of(dir, request.node);
  if (request.only_renewed && renewed.empty()) {
    return fail(request.node + " has no renewed certificate: `rollcall pki renew " + request.node +
                "` comes first; without --renewed its newest one is revoked");
  }
  // Those that a CA signed that is gone count no more as it is.
  for (const auto& certificate : renewed) (void)want(wanted, signers, certificate.get());
  if (request.only_renewed) return {};
  const auto newest = newest_of(dir, request.node);
  if (!newest) return std::unexpected(newest.error());
  return want(wanted, signers, newest->get());
}

std::expected<void, Error> want_serial(Wanted& wanted, const Signers& signers,
                                       const std::string& text) {
  const auto hex = canonical_serial(text);
  if (!hex) {
    return fail("\"" + text + "\" is not a serial number: hex digits, as `rollcall pki show` " +
                "shows them, are needed");
  }
  BIGNUM* read = nullptr;
  const int digits = BN_hex2bn(&read, hex->c_str());
  const Owned<BIGNUM, BN_free> number(read);
  if (digits != static_cast<int>(hex->size())) return openssl_failed("reading a serial number");
  for (const auto* authority : {&signers.now, signers.older ? &*signers.older : nullptr}) {
    if (authority == nullptr) continue;
    Serial serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
    if (serial == nullptr) return openssl_failed("reading a serial number");
    if (ASN1_INTEGER_cmp(X509_get0_serialNumber(authority->certificate.get()), serial.get()) == 0)
      return is_a_ca("the serial number " + *hex);
    (authority == &signers.now ? wanted.now : wanted.older).push_back(std::move(serial));
  }
  return {};
}

std::expected<Wanted, Error> wanted_of(const Signers& signers, const std::string& dir,
                                       const RevokeRequest& request) {
  Wanted wanted;
  if (!request.node.empty()) {
    if (auto added = want_node(wanted, signers, dir, request); !added)
      return std::unexpected(added.error());
  }
  for (const auto& file : request.files) {
    const auto certificates = read_certificates(file, "the certificate");
    if (!certificates) return std::unexpected(certificates.error());
    if (auto added = want(wanted, signers, certificates->front().get()); !added)
      return std::unexpected(added.error());
  }
  for (const auto& text : request.serials) {
    if (auto added = want_serial(wanted, signers, text); !added)
      return std::unexpected(added.error());
  }
  return wanted;
}

}  // namespace

std::expected<IssuedCertificate, Error> pki_renew(const std::string& dir, const std::string& node,
                                                  int days, PkiTime now) {
  if (auto named = check_node_name(node); !named) return std::unexpected(named.error());
  if (auto good = check_days(days); !good) return std::unexpected(good.error());
  const auto authority = load_authority(dir);
  if (!authority) return std::unexpected(authority.error());
  const auto before = newest_of(dir, node);
  if (!before) return std::unexpected(before.error());
  const auto made = make_node(*authority, {node, dns_names(before->get()), days}, now);
  if (!made) return std::unexpected(made.error());
  if (auto kept = archive(dir, node, before->get()); !kept) return std::unexpected(kept.error());
  IssuedCertificate issued = paths_of(dir, node);
  issued.serial = serial_text(made->certificate.get());
  issued.not_after = made->not_after;
  // A crash in between leaves a key that does not fit, which daemons refuse and this mends.
  auto written = write_key(issued.key_path, made->key.get(), Existing::kReplaced);
  if (written) {
    written = write_file(issued.certificate_path, to_pem(made->certificate.get()), kCertificateMode,
                         Existing::kReplaced);
  }
  if (written) written = sync_folder(dir);
  if (!written) return std::unexpected(written.error());
  return issued;
}

std::expected<RevokedCertificates, Error> pki_revoke(const std::string& dir,
                                                     const RevokeRequest& request, PkiTime now) {
  const auto signers = load_signers(dir);
  if (!signers) return std::unexpected(signers.error());
  const auto wanted = wanted_of(*signers, dir, request);
  if (!wanted) return std::unexpected(wanted.error());
  const auto before = present_lists(dir);
  if (!before) return std::unexpected(before.error());

  RevokedCertificates revoked{crl_path(dir), {}};
  std::string text;
  const auto add = [&](const Authority& authority, const std::vector<Serial>& serials) {
    X509_CRL* old = list_of(*before, authority);
    std::vector<const ASN1_INTEGER*> fresh;
    for (const auto& serial : serials) {
      if (lists(old, serial.get())) continue;
      fresh.push_back(serial.get());
      const std::string hex = serial_text(serial.get());
      if (std::ranges::find(revoked.serials, hex) == revoked.serials.end())
        revoked.serials.push_back(hex);
    }
    const Crl list = make_list(authority, old, fresh, now);
    if (list != nullptr) text += to_pem(list.get());
    return list != nullptr;
  };
  if (!add(signers->now, wanted->now) || (signers->older && !add(*signers->older, wanted->older)))
    return openssl_failed("signing the list of revoked certificates");
  auto written = write_file(crl_path(dir), text, kCertificateMode, Existing::kReplaced);
  if (written) written = sync_folder(dir);
  if (!written) return std::unexpected(written.error());
  return revoked;
}

std::expected<IssuedCertificate, Error> pki_begin_change(const std::string& dir, PkiTime now) {
  const std::string next_key = next_ca_key(dir);
  if (file_exists(older_ca_key(dir)) && !file_exists(next_key)) {
    return fail("a change of the CA is under way in " + dir +
                ": end it with `rollcall pki change-ca --finish`");
  }
  const auto authority = load_authority(dir);
  if (!authority) return std::unexpected(authority.error());
  auto present = read_certificates(ca_certificate(dir), "the CA file");
  if (!present) return std::unexpected(present.error());

  // Each step can be the last one before a power cut; the next call goes on behind it.
  std::expected<void, Error> done;
  if (!file_exists(next_key)) {
    const PrivateKey key(EVP_EC_gen("P-256"));
    if (key == nullptr) return openssl_failed("making a key");
    done = write_key(next_key, key.get(), Existing::kKept);
    if (!done) return std::unexpected(done.error());
  }
  const auto key = read_key(next_key);
  if (!key) return std::unexpected(key.error());
  Certificate certificate = certificate_of(*present, key->get());
  if (certificate == nullptr) {
    auto made = make_ca(organisation_of(authority->certificate.get()), key->get(), now);
    if (!made) return std::unexpected(made.error());
    certificate = *std::move(made);
    done = write_file(ca_certificate(dir),
                      to_pem(certificate.get()) + to_pem(authority->certificate.get()),
                      kCertificateMode, Existing::kReplaced);
  }
  if (done && !file_exists(older_ca_key(dir)))
    done = write_key(older_ca_key(dir), authority->key.get(), Existing::kKept);
  if (done) done = sync_folder(dir);
  if (done && std::rename(next_key.c_str(), ca_key(dir).c_str()) != 0)
    done = fail("cannot write " + ca_key(dir) + system_text(errno));
  if (done) done = sync_folder(dir);
  if (!done) return std::unexpected(done.error());
  return IssuedCertificate{ca_certificate(dir), ca_key(dir), serial_text(certificate.get()),
                           to_time_point(X509_get0_notAfter(certificate.get()))};
}

std::expected<void, Error> pki_end_change(const std::string& dir) {
  const auto signers = load_signers(dir);
  if (!signers) return std::unexpected(signers.error());
  const auto listed = pki_list(dir);
  if (!listed) return std::unexpected(listed.error());
  if (file_exists(next_ca_key(dir))) {
    return fail("the change of the CA in " + dir +
                " was cut short as it began: `rollcall pki change-ca` goes on with it");
  }
  if (!signers->older) {
    if (file_exists(older_ca_key(dir))) return remove_older_key(dir);  // cut short just before that
    return fail("no change of the CA is under way in " + dir +
                ": `rollcall pki change-ca` begins one");
  }
  std::string left;
  for (const auto& one : *listed) {
    if (one.use != ListedCertificate::Use::kNode || !one.revoked_by.empty()) continue;
    const auto certificates = read_certificates(one.info.file, "the certificate");
    if (!certificates || one.info.file.starts_with(archive_of(dir))) continue;
    X509* certificate = certificates->front().get();
    if (X509_verify(certificate, X509_get0_pubkey(signers->older->certificate.get())) == 1)
      left += (left.empty() ? "" : ", ") + joined(one.info.names);
    ERR_clear_error();
  }
  if (!left.empty()) {
    return fail("the older CA is still needed by: " + left +
                "; give each a new certificate with `rollcall pki renew NODE`, or revoke it");
  }
  const auto before = present_lists(dir);
  if (!before) return std::unexpected(before.error());
  // The list first, for the nodes are given it first. Until they have the new ca.crt the older CA
  // counts there, and so does its list.
  std::expected<void, Error> done;
  if (!before->empty()) {
    X509_CRL* kept = list_of(*before, signers->now);
    const Crl list = make_list(signers->now, kept, {}, std::chrono::system_clock::now());
    if (list == nullptr) return openssl_failed("signing the list of revoked certificates");
    X509_CRL* older = list_of(*before, *signers->older);
    done = write_file(crl_path(dir), to_pem(list.get()) + (older != nullptr ? to_pem(older) : ""),
                      kCertificateMode, Existing::kReplaced);
  }
  if (done) done = sync_folder(dir);
  if (done) {
    done = write_file(ca_certificate(dir), to_pem(signers->now.certificate.get()), kCertificateMode,
                      Existing::kReplaced);
  }
  if (done) done = sync_folder(dir);
  return done ? remove_older_key(dir) : done;
}

}  // namespace rollcall::net
