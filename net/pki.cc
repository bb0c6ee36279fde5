#include "net/pki.h"

#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <utility>

#include "net/owned.h"
#include "net/x509.h"

namespace rollcall::net {
namespace {

using Bio = Owned<BIO, BIO_free_all>;
using Certificate = Owned<X509, X509_free>;
using PrivateKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using TimePoint = std::chrono::system_clock::time_point;

constexpr auto kClockSlack = std::chrono::hours(1);
constexpr int kCaDays = 3650;
constexpr int kMaxDays = 3650;
constexpr std::size_t kMaxNodeNameBytes = 64;
constexpr std::size_t kMaxDnsNameBytes = 253;
constexpr int kSerialBits = 128;
constexpr mode_t kKeyMode = 0600;
constexpr mode_t kCertificateMode = 0644;

std::unexpected<Error> openssl_failed(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return fail(what + " failed in OpenSSL: " + (reason != nullptr ? reason : "unknown reason"));
}

std::string system_text(int error) {
  return std::string(" (") + std::strerror(error) + ")";
}

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

// ---- files

// The whole file or nothing, never in place of another, and still there after a power cut.
std::expected<void, Error> create_file(const std::string& path, const std::string& content,
                                       mode_t mode) {
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
  // Not rename(), which would replace a file that somebody made in the meantime.
  if (error == 0 && link(temporary.c_str(), path.c_str()) != 0) error = errno;
  unlink(temporary.c_str());
  if (error != 0) return fail("cannot write " + path + system_text(error));
  return {};
}

std::expected<void, Error> sync_folder(const std::string& dir) {
  const int folder = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = folder >= 0 && fsync(folder) == 0;
  const int error = errno;
  if (folder >= 0) close(folder);
  if (!synced) return fail("cannot store the folder " + dir + " durably" + system_text(error));
  return {};
}

bool exists(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

std::string to_pem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string to_pem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

// Key and certificate. A crash in between leaves a key alone, which the next try names.
std::expected<void, Error> store(const std::string& dir, const IssuedCertificate& paths,
                                 X509* certificate, EVP_PKEY* key) {
  std::string key_pem = to_pem(key);
  const auto key_written = create_file(paths.key_path, key_pem, kKeyMode);
  OPENSSL_cleanse(key_pem.data(), key_pem.size());
  if (!key_written) return key_written;
  auto written = create_file(paths.certificate_path, to_pem(certificate), kCertificateMode);
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

// ---- certificates

struct Draft {
  std::string organisation;
  std::string common_name;
  TimePoint not_before;
  TimePoint not_after;
};

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
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

TimePoint end_of(const X509* certificate) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

struct Authority {
  Certificate certificate;
  PrivateKey key;
};

std::expected<Authority, Error> load_authority(const std::string& dir) {
  const std::string certificate_path = dir + "/ca.crt";
  const std::string key_path = dir + "/ca.key";
  const Bio certificate_file(BIO_new_file(certificate_path.c_str(), "r"));
  const Bio key_file(BIO_new_file(key_path.c_str(), "r"));
  if (certificate_file == nullptr || key_file == nullptr) {
    const bool no_certificate = certificate_file == nullptr;
    const int error =
        access((no_certificate ? certificate_path : key_path).c_str(), R_OK) != 0 ? errno : EIO;
    ERR_clear_error();
    return fail("the CA file " + (no_certificate ? certificate_path : key_path) +
                " cannot be opened" + system_text(error) +
                ": run `rollcall pki init` first, or give the folder of the CA with --dir");
  }
  Authority authority;
  authority.certificate.reset(PEM_read_bio_X509(certificate_file.get(), nullptr, nullptr, nullptr));
  authority.key.reset(PEM_read_bio_PrivateKey(
      key_file.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  const bool match = authority.certificate != nullptr && authority.key != nullptr &&
                     X509_check_private_key(authority.certificate.get(), authority.key.get()) == 1;
  ERR_clear_error();
  if (!match) {
    return fail(certificate_path + " and " + key_path +
                " are not a certificate and its key in PEM form: restore both from a backup");
  }
  return authority;
}

}  // namespace

std::expected<IssuedCertificate, Error> pki_init(const std::string& dir,
                                                 const std::string& cluster_name, TimePoint now) {
  if (auto named = check_name("cluster name", cluster_name, kMaxNodeNameBytes); !named) {
    return std::unexpected(named.error());
  }
  IssuedCertificate issued{dir + "/ca.crt", dir + "/ca.key", "", now + std::chrono::days(kCaDays)};
  std::error_code made;
  if (std::filesystem::create_directories(dir, made)) chmod(dir.c_str(), 0700);
  if (made) return fail("cannot make the folder " + dir + " (" + made.message() + ")");
  for (const auto& path : {issued.key_path, issued.certificate_path}) {
    if (exists(path)) {
      return fail(path +
                  " exists, and a CA is never overwritten (every certificate of the cluster " +
                  "hangs on it): choose another folder with --dir, or move it away first");
    }
  }

  const PrivateKey key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_failed("making a key");
  const Certificate certificate = draft_certificate(
      {cluster_name, "rollcall CA", now - kClockSlack, issued.not_after}, key.get());
  if (certificate == nullptr) return openssl_failed("making the CA certificate");
  X509* raw = certificate.get();
  X509_set_issuer_name(raw, X509_get_subject_name(raw));
  if (!add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(raw, raw, NID_subject_key_identifier, "hash") ||
      X509_sign(raw, key.get(), EVP_sha256()) == 0) {
    return openssl_failed("signing the CA certificate");
  }
  issued.serial = serial_text(raw);
  if (auto stored = store(dir, issued, raw, key.get()); !stored) {
    return std::unexpected(stored.error());
  }
  return issued;
}

std::expected<IssuedCertificate, Error> pki_issue(const std::string& dir,
                                                  const CertificateRequest& request,
                                                  TimePoint now) {
  if (auto named = check_name("node name", request.node, kMaxNodeNameBytes); !named) {
    return std::unexpected(named.error());
  }
  if (request.node == "ca") {
    return fail("the node name \"ca\" is taken by the CA's own files: choose another name");
  }
  if (request.days < 1 || request.days > kMaxDays) {
    return fail("a certificate cannot be valid for " + std::to_string(request.days) +
                " days: 1 to " + std::to_string(kMaxDays) + " are allowed");
  }
  std::vector<std::string> names{request.node};
  for (const auto& name : request.dns_names) {
    if (auto named = check_name("DNS name", name, kMaxDnsNameBytes); !named) {
      return std::unexpected(named.error());
    }
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  std::string alternatives;
  for (const auto& name : names) alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + name;

  IssuedCertificate issued{dir + "/" + request.node + ".crt", dir + "/" + request.node + ".key", "",
                           now + std::chrono::days(request.days)};
  for (const auto& path : {issued.key_path, issued.certificate_path}) {
    if (exists(path)) {
      return fail(path + " exists and is never overwritten: move it away first, or choose " +
                  "another node name");
    }
  }
  const auto authority = load_authority(dir);
  if (!authority) return std::unexpected(authority.error());
  X509* ca = authority->certificate.get();
  if (end_of(ca) <= now) {
    return fail("the CA " + dir + "/ca.crt has expired: make a new one with `rollcall pki init` " +
                "in another folder");
  }
  issued.not_after = std::min(issued.not_after, end_of(ca));

  const PrivateKey key(EVP_EC_gen("P-256"));
  if (key == nullptr) return openssl_failed("making a key");
  const Certificate certificate = draft_certificate(
      {organisation_of(ca), request.node, now - kClockSlack, issued.not_after}, key.get());
  if (certificate == nullptr) return openssl_failed("making the certificate");
  X509* raw = certificate.get();
  X509_set_issuer_name(raw, X509_get_subject_name(ca));
  if (!add_extension(raw, ca, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(raw, ca, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(raw, ca, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(raw, ca, NID_subject_alt_name, alternatives) ||
      !add_extension(raw, ca, NID_subject_key_identifier, "hash") ||
      !add_extension(raw, ca, NID_authority_key_identifier, "keyid:always") ||
      X509_sign(raw, authority->key.get(), EVP_sha256()) == 0) {
    return openssl_failed("signing the certificate");
  }
  issued.serial = serial_text(raw);
  if (auto stored = store(dir, issued, raw, key.get()); !stored) {
    return std::unexpected(stored.error());
  }
  return issued;
}

}  // namespace rollcall::net
