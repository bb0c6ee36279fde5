#pragma once
// What a certificate says, for those who warn of it and show it. No OpenSSL here.
#include <chrono>
#include <string>
#include <vector>

namespace rollcall::net {

struct CertificateInfo {
  std::vector<std::string> names;  // DNS names of the subjectAltName
  std::string serial;              // upper-case hex, as `openssl x509 -serial` prints it
  std::chrono::system_clock::time_point not_after;
  std::chrono::system_clock::time_point not_before;
  std::string subject = {};  // "O = example, CN = worker-1"
  std::string file = {};     // where it was read
};

// Whole days that are left, rounded down: 0 on the last day, -1 once it is over.
inline int days_left(std::chrono::system_clock::time_point not_after,
                     std::chrono::system_clock::time_point now) {
  return static_cast<int>(std::chrono::floor<std::chrono::days>(not_after - now).count());
}

}  // namespace rollcall::net
