#include "net/pki.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "net/pki_files.h"

namespace rollcall::net {
namespace {

// Key and certificate. A crash in between leaves a key alone, which the next try names.
std::expected<void, Error> store(const std::string& dir, const IssuedCertificate& paths,
                                 X509* certificate, EVP_PKEY* key) {
  if (auto written = write_key(paths.key_path, key, Existing::kKept); !written) return written;
  auto written =
      write_file(paths.certificate_path, to_pem(certificate), kCertificateMode, Existing::kKept);
  if (!written) {
    unlink(paths.key_path.c_str());
    return written;
  }
  auto synced = sync_folder(dir);
  if (!synced) {
    unlink(paths.certificate_path.c_str());
    unlink(paths.key_path.c_str());
  }
  return synced;
}

}  // namespace

std::expected<IssuedCertificate, Error> pki_init(const std::string& dir,
                                                 const std::string& cluster_name, PkiTime now) {
  const PrivateKey key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_failed("making a key");
  const auto certificate = make_ca(cluster_name, key.get(), now);
  if (!certificate) return std::unexpected(certificate.error());
  X509* raw = certificate->get();
  const IssuedCertificate issued{ca_certificate(dir), ca_key(dir), serial_text(raw),
                                 to_time_point(X509_get0_notAfter(raw))};
  std::error_code made;
  if (std::filesystem::create_directories(dir, made)) chmod(dir.c_str(), 0700);
  if (made) return fail("cannot make the folder " + dir + " (" + made.message() + ")");
  for (const auto& path : {issued.key_path, issued.certificate_path}) {
    if (file_exists(path)) {
      return fail(path +
                  " exists, and a CA is never overwritten (every certificate of the cluster " +
                  "hangs on it): `rollcall pki change-ca` brings a new one into a running " +
                  "cluster; for another cluster choose another folder with --dir");
    }
  }
  if (auto stored = store(dir, issued, raw, key.get()); !stored) {
    return std::unexpected(stored.error());
  }
  return issued;
}

std::expected<IssuedCertificate, Error> pki_issue(const std::string& dir,
                                                  const CertificateRequest& request, PkiTime now) {
  if (auto named = check_node_name(request.node); !named) return std::unexpected(named.error());
  if (auto good = check_days(request.days); !good) return std::unexpected(good.error());
  IssuedCertificate issued = paths_of(dir, request.node);
  for (const auto& path : {issued.key_path, issued.certificate_path}) {
    if (file_exists(path)) {
      return fail(path + " exists and is never overwritten: `rollcall pki renew " + request.node +
                  "` puts a new pair in its place; for another node choose another name");
    }
  }
  const auto authority = load_authority(dir);
  if (!authority) return std::unexpected(authority.error());
  const auto made = make_node(*authority, request, now);
  if (!made) return std::unexpected(made.error());
  issued.serial = serial_text(made->certificate.get());
  issued.not_after = made->not_after;
  if (auto stored = store(dir, issued, made->certificate.get(), made->key.get()); !stored) {
    return std::unexpected(stored.error());
  }
  return issued;
}

}  // namespace rollcall::net
