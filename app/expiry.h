#pragma once
// When to say that a certificate will be over: 30, 7 and 1 days before, and loudly once it is; and
// that a list of revoked ones should have been replaced by a newer one. Pure.
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "app/logging.h"
#include "net/certificate.h"

namespace rollcall::app {

// From then on people are told that a certificate will be over.
inline constexpr int kExpiresSoonDays = 30;

struct ExpiryWarning {
  Level level = Level::Warn;
  std::string_view message;
  net::CertificateInfo certificate;
  int days_left = 0;
};

class ExpiryWatch {
 public:
  using TimePoint = std::chrono::system_clock::time_point;
  // One that is over is said again so often.
  static constexpr auto kAgain = std::chrono::hours(1);
  static constexpr auto kListAgain = std::chrono::hours(24);

  // What has to be said of these now. Each threshold is said once for each certificate; whoever
  // starts behind one hears of it at once.
  std::vector<ExpiryWarning> look(const std::vector<net::CertificateInfo>& certificates,
                                  TimePoint now);
  // Those of which has to be said that they are overdue.
  std::vector<net::RevocationListInfo> overdue(const std::vector<net::RevocationListInfo>& lists,
                                               TimePoint now);

 private:
  struct Told {
    int threshold = 0;
    TimePoint at;
  };
  std::map<std::string, Told> told_;                                   // by serial
  std::map<std::pair<std::string, TimePoint>, TimePoint> lists_told_;  // by issuer and next update
};

}  // namespace rollcall::app
