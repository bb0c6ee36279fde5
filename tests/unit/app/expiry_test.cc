#include "app/expiry.h"

#include <gmock/gmock.h>

namespace rollcall::app {
namespace {

using std::chrono::days;
using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const ExpiryWatch::TimePoint kEnd{days(20'000)};

class Expiry : public ::testing::Test {
 protected:
  net::CertificateInfo certificate{{"w1"}, "0A", kEnd, kEnd - days(400)};
  ExpiryWatch watch;

  // What is said so long before the end: the days left, or 1000 and more for what is an error.
  std::vector<int> said(std::chrono::seconds before) {
    std::vector<int> all;
    for (const auto& warning : watch.look({certificate}, kEnd - before))
      all.push_back(warning.days_left + (warning.level == Level::Error ? 1000 : 0));
    return all;
  }
};

TEST_F(Expiry, IsToldThirtySevenAndOneDayBeforeOnceEach) {
  std::vector<int> told;
  for (auto left = days(60); left > days(0); left -= days(1)) {
    for (const int one : said(left)) told.push_back(one);
    for (const int one : said(left - hours(12))) told.push_back(one);
  }
  EXPECT_THAT(told, ElementsAre(30, 7, 1));
}

TEST(OverdueList, IsToldOnceItIsAndEachDayUntilThereIsANewerOne) {
  ExpiryWatch watch;
  std::vector<net::RevocationListInfo> lists = {{"CA", "/ca.crl", kEnd},
                                                {"CA2", "/ca.crl", ExpiryWatch::TimePoint::max()}};
  const auto told = [&](auto when) {
    std::vector<std::string> issuers;
    for (const auto& list : watch.overdue(lists, when)) issuers.push_back(list.issuer);
    return issuers;
  };
  EXPECT_THAT(told(kEnd - std::chrono::seconds(1)), IsEmpty());
  EXPECT_THAT(told(kEnd), ElementsAre("CA"));
  EXPECT_THAT(told(kEnd + hours(23)), IsEmpty());
  EXPECT_THAT(told(kEnd + hours(24)), ElementsAre("CA"));
  EXPECT_THAT(told(kEnd + hours(47)), IsEmpty());
  lists.front().next_update = kEnd + days(7);
  EXPECT_THAT(told(kEnd + days(3)), IsEmpty());
  EXPECT_THAT(told(kEnd + days(7)), ElementsAre("CA"));
}

TEST_F(Expiry, IsToldAtOnceByWhoStartsLate) {
  EXPECT_THAT(said(days(3)), ElementsAre(3));
  EXPECT_THAT(said(days(3)), IsEmpty());
  EXPECT_THAT(said(hours(20)), ElementsAre(0));
}

TEST_F(Expiry, OfOneThatIsOverIsAnErrorThatIsRepeatedEachHour) {
  EXPECT_THAT(said(hours(0)), ElementsAre(1000));
  EXPECT_THAT(said(-std::chrono::minutes(59)), IsEmpty());
  EXPECT_THAT(said(-hours(1)), ElementsAre(999));
  EXPECT_THAT(said(-std::chrono::minutes(61)), IsEmpty());
  EXPECT_THAT(said(-hours(2)), ElementsAre(999));
}

TEST_F(Expiry, OfOneThatIsNotValidYetIsAnErrorUntilItIs) {
  EXPECT_THAT(said(days(401)), ElementsAre(1401));
  EXPECT_THAT(said(days(399)), IsEmpty());
  EXPECT_THAT(said(days(30)), ElementsAre(30));
}

TEST_F(Expiry, AnotherCertificateIsToldAnew) {
  EXPECT_THAT(said(days(3)), ElementsAre(3));
  certificate.serial = "0B";
  EXPECT_THAT(said(days(3)), ElementsAre(3));
  certificate.not_after += days(300);
  certificate.serial = "0C";
  EXPECT_THAT(said(days(0)), IsEmpty());
}

}  // namespace
}  // namespace rollcall::app
