#include "net/pki_files.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>
#include <utility>

namespace rollcall::net {
namespace {

constexpr int kCaDays = 3650;
constexpr int kMaxDays = 3650;
constexpr std::size_t kMaxNodeNameBytes = 64;
constexpr std::size_t kMaxDnsNameBytes = 253;
constexpr int kSerialBits = 128;

std::expected<void, Error> check_name(const std::string& what, const std::string& name,
                                      std::size_t max_bytes) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (name.empty() || name.size() > max_bytes || !std::ranges::all_of(name, allowed)) {
    return fail("the " + what + " \"" + name + "\" is not usable: 1 to " +
                std::to_string(max_bytes) + " letters, digits, '-', '_' or '.' are allowed");
  }
  return {};
}

bool set_random_serial(X509* certificate) {
  const Owned<BIGNUM, BN_free> number(BN_new());
  return BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool add_subject_entry(X509_NAME* subject, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(subject, field, MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

// The names of a node, each once; its own first.
std::expected<std::string, Error> alternative_names(const CertificateRequest& request) {
  std::vector<std::string> names{request.node};
  for (const auto& name : request.dns_names) {
    if (auto named = check_name("DNS name", name, kMaxDnsNameBytes); !named) {
      return std::unexpected(named.error());
    }
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "DNS:" : ",DNS:") + name;
  return text;
}

std::string to_pem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio.get());
}

}  // namespace

// ---- files

std::string ca_certificate(const std::string& dir) {
  return dir + "/ca.crt";
}
std::string ca_key(const std::string& dir) {
  return dir + "/ca.key";
}
std::string older_ca_key(const std::string& dir) {
  return dir + "/ca.key.older";
}
std::string next_ca_key(const std::string& dir) {
  return dir + "/ca.key.next";
}
std::string crl_path(const std::string& dir) {
  return dir + "/ca.crl";
}
std::string archive_of(const std::string& dir) {
  return dir + "/renewed";
}
IssuedCertificate paths_of(const std::string& dir, const std::string& node) {
  return {dir + "/" + node + ".crt", dir + "/" + node + ".key", "", {}};
}

std::unexpected<Error> openssl_failed(const std::string& what) {
  const std::string reason = openssl_reason(ERR_peek_error());
  ERR_clear_error();
  return fail(what + " failed in OpenSSL: " + reason);
}

std::string system_text(int error) {
  return std::string(" (") + std::strerror(error) + ")";
}

bool file_exists(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0;
}

std::expected<void, Error> write_file(const std::string& path, const std::string& content,
                                      mode_t mode, Existing existing) {
  const std::string temporary = path + ".new." + std::to_string(getpid());
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return fail("cannot create " + temporary + system_text(errno));
  int error = fchmod(file, mode) != 0 ? errno : 0;  // whatever the umask
  for (std::size_t written = 0; error == 0 && written < content.size();) {
    const ssize_t count = write(file, content.data() + written, content.size() - written);
    if (count > 0) written += static_cast<std::size_t>(count);
    if (count < 0 && errno != EINTR) error = errno;
  }
  if (error == 0 && fsync(file) != 0) error = errno;
  if (close(file) != 0 && error == 0) error = errno;
  if (error == 0 && existing == Existing::kReplaced) {
    if (std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  } else if (error == 0 && link(temporary.c_str(), path.c_str()) != 0) {
    error = errno;  // somebody made it in the meantime, which rename() would replace
  }
  unlink(temporary.c_str());
  if (error != 0) return fail("cannot write " + path + system_text(error));
  return {};
}

std::expected<void, Error> write_key(const std::string& path, EVP_PKEY* key, Existing existing) {
  std::string pem = to_pem(key);
  auto written = write_file(path, pem, kKeyMode, existing);
  OPENSSL_cleanse(pem.data(), pem.size());
  return written;
}

std::expected<void, Error> sync_folder(const std::string& dir) {
  const int folder = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder >= 0 && fsync(folder) == 0;
  const int error = errno;
  if (folder >= 0) close(folder);
  if (!synced) return fail("cannot store the folder " + dir + " durably" + system_text(error));
  return {};
}

std::string to_pem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

// ---- what was asked for

std::expected<void, Error> check_node_name(const std::string& node) {
  if (node == "ca") {
    return fail("the node name \"ca\" is taken by the CA's own files: choose another name");
  }
  return check_name("node name", node, kMaxNodeNameBytes);
}

std::expected<void, Error> check_days(int days) {
  if (days >= 1 && days <= kMaxDays) return {};
  return fail("a certificate cannot be valid for " + std::to_string(days) + " days: 1 to " +
              std::to_string(kMaxDays) + " are allowed");
}

// ---- the CA

Certificate certificate_of(const std::vector<Certificate>& certificates, EVP_PKEY* key) {
  for (const auto& certificate : certificates) {
    if (X509_check_private_key(certificate.get(), key) != 1) continue;
    X509_up_ref(certificate.get());
    return Certificate(certificate.get());
  }
  ERR_clear_error();
  return nullptr;
}

std::expected<Authority, Error> load_authority(const std::string& dir) {
  for (const auto& path : {ca_certificate(dir), ca_key(dir)}) {
    if (access(path.c_str(), R_OK) == 0) continue;
    return fail("the CA file " + path + " cannot be opened" + system_text(errno) +
                ": run `rollcall pki init` first, or give the folder of the CA with --dir");
  }
  Authority authority;
  const auto certificates = read_certificates(ca_certificate(dir), "the CA file");
  auto key = read_key(ca_key(dir));
  if (certificates && key) authority.certificate = certificate_of(*certificates, key->get());
  if (authority.certificate == nullptr) {
    return fail(ca_certificate(dir) + " and " + ca_key(dir) +
                " are not a certificate and its key in PEM form: restore both from a backup");
  }
  authority.key = *std::move(key);
  return authority;
}

// ---- certificates

Certificate draft_certificate(const Draft& draft, EVP_PKEY* key) {
  Certificate certificate(X509_new());
  X509* raw = certificate.get();
  X509_NAME* subject = X509_get_subject_name(raw);
  const std::time_t not_before = std::chrono::system_clock::to_time_t(draft.not_before);
  const std::time_t not_after = std::chrono::system_clock::to_time_t(draft.not_after);
  const bool good = X509_set_version(raw, X509_VERSION_3) == 1 && set_random_serial(raw) &&
                    add_subject_entry(subject, "O", draft.organisation) &&
                    add_subject_entry(subject, "CN", draft.common_name) &&
                    ASN1_TIME_set(X509_getm_notBefore(raw), not_before) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(raw), not_after) != nullptr &&
                    X509_set_pubkey(raw, key) == 1;
  return good ? std::move(certificate) : nullptr;
}

std::string organisation_of(X509* certificate) {
  char text[128] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_organizationName, text,
                            sizeof text);
  return text;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

std::expected<Certificate, Error> make_ca(const std::string& organisation, EVP_PKEY* key,
                                          PkiTime now) {
  if (auto named = check_name("cluster name", organisation, kMaxNodeNameBytes); !named) {
    return std::unexpected(named.error());
  }
  Certificate certificate = draft_certificate(
      {organisation, "rollcall CA", now - kClockSlack, now + std::chrono::days(kCaDays)}, key);
  if (certificate == nullptr) return openssl_failed("making the CA certificate");
  X509* raw = certificate.get();
  X509_set_issuer_name(raw, X509_get_subject_name(raw));
  if (!add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(raw, raw, NID_subject_key_identifier, "hash") ||
      X509_sign(raw, key, EVP_sha256()) == 0) {
    return openssl_failed("signing the CA certificate");
  }
  return certificate;
}

std::expected<NodePair, Error> make_node(const Authority& authority,
                                         const CertificateRequest& request, PkiTime now) {
  const auto names = alternative_names(request);
  if (!names) return std::unexpected(names.error());
  X509* ca = authority.certificate.get();
  const PkiTime ca_end = to_time_point(X509_get0_notAfter(ca));
  if (ca_end <= now) {
    return fail("the CA has expired (" + time_text(X509_get0_notAfter(ca)) +
                "): make a new one with `rollcall pki change-ca`");
  }
  NodePair made{nullptr, PrivateKey(EVP_EC_gen("P-256")),
                std::min(now + std::chrono::days(request.days), ca_end)};
  if (made.key == nullptr) return openssl_failed("making a key");
  made.certificate = draft_certificate(
      {organisation_of(ca), request.node, now - kClockSlack, made.not_after}, made.key.get());
  if (made.certificate == nullptr) return openssl_failed("making the certificate");
  X509* raw = made.certificate.get();
  X509_set_issuer_name(raw, X509_get_subject_name(ca));
  if (!add_extension(raw, ca, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(raw, ca, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(raw, ca, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(raw, ca, NID_subject_alt_name, *names) ||
      !add_extension(raw, ca, NID_subject_key_identifier, "hash") ||
      !add_extension(raw, ca, NID_authority_key_identifier, "keyid:always") ||
      X509_sign(raw, authority.key.get(), EVP_sha256()) == 0) {
    return openssl_failed("signing the certificate");
  }
  return made;
}

}  // namespace rollcall::net
