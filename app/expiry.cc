#include "app/expiry.h"

#include <array>
#include <utility>

namespace rollcall::app {
namespace {

constexpr std::array<int, 3> kDays = {kExpiresSoonDays, 7, 1};
constexpr int kOver = static_cast<int>(kDays.size()) + 1;
constexpr int kNotYet = kOver + 1;

int threshold_of(const net::CertificateInfo& certificate, ExpiryWatch::TimePoint now) {
  if (now < certificate.not_before) return kNotYet;
  if (now >= certificate.not_after) return kOver;
  int passed = 0;
  for (const int days : kDays) {
    if (certificate.not_after - now <= std::chrono::days(days)) ++passed;
  }
  return passed;
}

}  // namespace

std::vector<ExpiryWarning> ExpiryWatch::look(const std::vector<net::CertificateInfo>& certificates,
                                             TimePoint now) {
  std::vector<ExpiryWarning> warnings;
  std::map<std::string, Told> told;
  for (const auto& certificate : certificates) {
    const int threshold = threshold_of(certificate, now);
    const auto before = told_.find(certificate.serial);
    Told& mine = told[certificate.serial] = {threshold, now};
    if (before != told_.end() && threshold <= before->second.threshold) {
      const bool again = threshold >= kOver && now - before->second.at >= kAgain;
      if (threshold == before->second.threshold && !again) mine.at = before->second.at;
      if (!again) continue;
    }
    if (threshold == 0) continue;
    ExpiryWarning warning{Level::Warn, "a certificate will expire soon", certificate,
                          net::days_left(certificate.not_after, now)};
    if (threshold == kOver) {
      warning.level = Level::Error;
      warning.message = "a certificate has expired: no connection can be made with it";
    } else if (threshold == kNotYet) {
      warning.level = Level::Error;
      warning.message = "a certificate is not valid yet: no connection can be made with it";
    }
    warnings.push_back(std::move(warning));
  }
  told_ = std::move(told);
  return warnings;
}

std::vector<net::RevocationListInfo> ExpiryWatch::overdue(
    const std::vector<net::RevocationListInfo>& lists, TimePoint now) {
  std::vector<net::RevocationListInfo> found;
  decltype(lists_told_) told;
  for (const auto& list : lists) {
    if (now < list.next_update) continue;
    const auto before = lists_told_.find({list.issuer, list.next_update});
    const bool fresh = before == lists_told_.end() || now - before->second >= kListAgain;
    told[{list.issuer, list.next_update}] = fresh ? now : before->second;
    if (fresh) found.push_back(list);
  }
  lists_told_ = std::move(told);
  return found;
}

}  // namespace rollcall::app
