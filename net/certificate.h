#pragma once
// What a certificate and a list of revoked ones say, for those who warn of it and show it. No
// OpenSSL here.
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

struct RevocationListInfo {
  std::string issuer;  // the subject of the CA that signed it
  std::string file;
  // When the CA means to have made the next one; the end of time if it does not say.
  std::chrono::system_clock::time_point next_update;
};

// "w1, w1.example"; "no name" if there is none.
inline std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "no name" : text;
}

// Whole days that are left, rounded down: 0 on the last day, -1 once it is over.
inline int days_left(std::chrono::system_clock::time_point not_after,
                     std::chrono::system_clock::time_point now) {
  return static_cast<int>(std::chrono::floor<std::chrono::days>(not_after - now).count());
}

}  // namespace rollcall::net
