#pragma once
// What the commands of the CA share: its files, and how certificates are drafted and signed. For
// net/pki*.cc only.
#include <sys/types.h>

#include <chrono>
#include <expected>
#include <string>
#include <vector>

#include "net/pki.h"
#include "net/x509.h"
#include "protocol/error.h"

namespace rollcall::net {

using PkiTime = std::chrono::system_clock::time_point;

inline constexpr auto kClockSlack = std::chrono::hours(1);
inline constexpr mode_t kKeyMode = 0600;
inline constexpr mode_t kCertificateMode = 0644;

// Files in the folder of a CA.
std::string ca_certificate(const std::string& dir);  // the CA that signs first, then an older one
std::string ca_key(const std::string& dir);
std::string older_ca_key(const std::string& dir);  // while the CA is changed
std::string next_ca_key(const std::string& dir);   // while that begins
std::string crl_path(const std::string& dir);
IssuedCertificate paths_of(const std::string& dir, const std::string& node);
std::string archive_of(const std::string& dir);  // certificates that were renewed

std::unexpected<Error> openssl_failed(const std::string& what);
std::string system_text(int error);
bool file_exists(const std::string& path);

enum class Existing { kKept, kReplaced };
// The whole file or nothing, and still there after a power cut, once the folder is synced too.
std::expected<void, Error> write_file(const std::string& path, const std::string& content,
                                      mode_t mode, Existing existing);
std::expected<void, Error> write_key(const std::string& path, EVP_PKEY* key, Existing existing);
std::expected<void, Error> sync_folder(const std::string& dir);

std::string to_pem(X509* certificate);

std::expected<void, Error> check_node_name(const std::string& node);
std::expected<void, Error> check_days(int days);

struct Authority {
  Certificate certificate;
  PrivateKey key;
};
// The CA that signs: the certificate in ca.crt that ca.key belongs to.
std::expected<Authority, Error> load_authority(const std::string& dir);
// Of these certificates the one that `key` belongs to; null if there is none.
Certificate certificate_of(const std::vector<Certificate>& certificates, EVP_PKEY* key);

// A new certificate with no issuer, no extension and no signature yet.
struct Draft {
  std::string organisation;
  std::string common_name;
  PkiTime not_before;
  PkiTime not_after;
};
Certificate draft_certificate(const Draft& draft, EVP_PKEY* key);
std::string organisation_of(X509* certificate);
bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value);

// A CA's own certificate.
std::expected<Certificate, Error> make_ca(const std::string& organisation, EVP_PKEY* key,
                                          PkiTime now);
struct NodePair {
  Certificate certificate;
  PrivateKey key;
  PkiTime not_after;
};
// For either end of a connection; never longer than the CA itself.
std::expected<NodePair, Error> make_node(const Authority& authority,
                                         const CertificateRequest& request, PkiTime now);

}  // namespace rollcall::net
