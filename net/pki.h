#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace rollcall::net {

// The cluster's own certificate authority: keys and certificates as PEM files in one folder.
// ECDSA P-256. Nothing that exists is ever overwritten. Any thread; blocks on the disk.

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

}  // namespace rollcall::net
