#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <vector>

#include "net/certificate.h"
#include "protocol/error.h"

namespace rollcall::net {

// The cluster's own certificate authority: keys and certificates as PEM files in one folder.
// ECDSA P-256. Only what is said to replace a file does. Any thread; blocks on the disk.
//
//   ca.crt        the CA that signs, and behind it an older one while the CA is changed
//   ca.key        its key; ca.key.older that of the older one
//   ca.crl        what was revoked, a list of each CA; after a change the older one's too
//   NODE.crt/.key a node's newest pair
//   renewed/      certificates that were renewed, so that they can still be revoked and shown

struct IssuedCertificate {
  std::string certificate_path;
  std::string key_path;
  std::string serial;  // upper-case hex, as `openssl x509 -serial` prints it
  std::chrono::system_clock::time_point not_after;
};

struct CertificateRequest {
  std::string node;                    // the DNS name of the certificate and the name of its files
  std::vector<std::string> dns_names;  // further names
  int days = 825;                      // 1 to 3650; never longer than the CA itself
};

// Writes ca.crt and ca.key (mode 0600), valid for ten years, into `dir`, which is made if needed.
std::expected<IssuedCertificate, Error> pki_init(const std::string& dir,
                                                 const std::string& cluster_name,
                                                 std::chrono::system_clock::time_point now);

// Writes NODE.crt and NODE.key (mode 0600), signed by the CA in `dir`, for either end of a
// connection. Valid from an hour ago, for clocks that differ.
std::expected<IssuedCertificate, Error> pki_issue(const std::string& dir,
                                                  const CertificateRequest& request,
                                                  std::chrono::system_clock::time_point now);

// A new key and certificate for the same names, in the place of the pair that is there, whose
// certificate goes on counting until it is revoked or over.
std::expected<IssuedCertificate, Error> pki_renew(const std::string& dir, const std::string& node,
                                                  int days,
                                                  std::chrono::system_clock::time_point now);

struct RevokeRequest {
  std::string node;                       // all of its certificates, or
  bool only_renewed = false;              // all but the newest
  std::vector<std::string> files = {};    // these, wherever they are
  std::vector<std::string> serials = {};  // of the CA that signs, and of an older one
};
struct RevokedCertificates {
  std::string list_path;
  std::vector<std::string> serials;  // that were not on it before
};
// Adds to ca.crl. Never a CA's own certificate, by which it would refuse everybody.
std::expected<RevokedCertificates, Error> pki_revoke(const std::string& dir,
                                                     const RevokeRequest& request,
                                                     std::chrono::system_clock::time_point now);

// A new CA beside the one that is there: from now on it signs, and ca.crt holds both.
std::expected<IssuedCertificate, Error> pki_begin_change(const std::string& dir,
                                                         std::chrono::system_clock::time_point now);
// The older CA is forgotten, with its key. Refused while a node's newest certificate is signed by
// it. Cut short at any step, the next call goes on behind it.
std::expected<void, Error> pki_end_change(const std::string& dir);

struct ListedCertificate {
  enum class Use { kCa, kNode };
  CertificateInfo info;
  Use use = Use::kNode;
  bool signs = false;          // the CA for new certificates
  std::string revoked_by;      // the file by which it is; empty: it is not
  bool is_of_this_ca = false;  // signed by a CA that is listed
  std::string key_trouble;     // what is wrong with the key beside it, its mode too; empty: nothing
};
// Everything in the folder of a CA.
std::expected<std::vector<ListedCertificate>, Error> pki_list(const std::string& dir);
// What a file with certificates holds, on any machine.
std::expected<std::vector<ListedCertificate>, Error> pki_read(const std::string& file);

}  // namespace rollcall::net
