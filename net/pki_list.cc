// What there is: certificates in the folder of a CA, and in any other file.
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "net/pki.h"
#include "net/pki_files.h"
#include "net/trust.h"

namespace rollcall::net {
namespace {

namespace fs = std::filesystem;

std::string trouble_with_key(X509* certificate, const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return "";  // kept elsewhere
  if ((status.st_mode & 07) != 0) {
    return path + " can be read by every user: chmod o-rwx " + path;
  }
  const auto key = read_key(path);
  if (!key) return key.error().message;
  const bool fits = X509_check_private_key(certificate, key->get()) == 1;
  ERR_clear_error();
  return fits ? "" : path + " does not belong to the certificate beside it";
}

std::expected<Trust, Error> trust_in(const std::string& dir) {
  const std::string crl = crl_path(dir);
  return Trust::load({ca_certificate(dir), file_exists(crl) ? crl : "", ""});
}

bool signed_by(const Trust& trust, X509* certificate) {
  const bool found = std::ranges::any_of(trust.authorities(), [&](const auto& authority) {
    return X509_verify(certificate, X509_get0_pubkey(authority.get())) == 1;
  });
  ERR_clear_error();
  return found;
}

ListedCertificate listed(const Trust& trust, X509* certificate, const std::string& file) {
  ListedCertificate one;
  one.info = info_of(certificate, file);
  one.is_of_this_ca = signed_by(trust, certificate);
  one.revoked_by = trust.revoked_by(certificate);
  one.key_trouble = trouble_with_key(certificate, fs::path(file).replace_extension(".key"));
  return one;
}

// In the order of their names.
std::vector<std::string> certificate_files(const std::string& dir) {
  std::vector<std::string> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(dir, none)) {
    if (entry.path().extension() == ".crt" && entry.path().filename() != "ca.crt")
      files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

std::expected<std::vector<ListedCertificate>, Error> pki_list(const std::string& dir) {
  const auto trust = trust_in(dir);
  if (!trust) return std::unexpected(trust.error());
  const auto key = read_key(ca_key(dir));  // may be kept elsewhere
  std::vector<ListedCertificate> all;
  for (const auto& authority : trust->authorities()) {
    ListedCertificate one;
    one.info = info_of(authority.get(), ca_certificate(dir));
    one.use = ListedCertificate::Use::kCa;
    one.is_of_this_ca = true;
    one.signs = key && X509_check_private_key(authority.get(), key->get()) == 1;
    ERR_clear_error();
    all.push_back(std::move(one));
  }
  for (const auto& folder : {dir, archive_of(dir)}) {
    for (const auto& file : certificate_files(folder)) {
      const auto certificates = read_certificates(file, "the certificate");
      if (!certificates) return std::unexpected(certificates.error());
      all.push_back(listed(*trust, certificates->front().get(), file));
    }
  }
  return all;
}

std::expected<std::vector<ListedCertificate>, Error> pki_read(const std::string& file) {
  const auto certificates = read_certificates(file, "the file");
  if (!certificates) return std::unexpected(certificates.error());
  const auto trust = trust_in(fs::absolute(file).parent_path());
  std::vector<ListedCertificate> all;
  for (const auto& certificate : *certificates) {
    ListedCertificate one = trust ? listed(*trust, certificate.get(), file) : ListedCertificate{};
    one.info = info_of(certificate.get(), file);
    if (X509_check_ca(certificate.get()) != 0) one.use = ListedCertificate::Use::kCa;
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace rollcall::net
