#include "inspect/metrics_text.h"

#include <gmock/gmock.h>

namespace rollcall::inspect {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricsText, OneNameIsOneFamilyWithItsLabels) {
  MetricsText text;
  text.gauge("rollcall_agents", "Agents", 3, {{"status", "active"}});
  text.gauge("rollcall_agents", "Agents", 1, {{"status", "migrating"}});
  const std::string body = text.response().body;
  EXPECT_EQ(body.find("# TYPE rollcall_agents gauge"), body.rfind("# TYPE"));
  EXPECT_THAT(body, HasSubstr("rollcall_agents{status=\"active\"} 3\n"));
  EXPECT_THAT(body, HasSubstr("rollcall_agents{status=\"migrating\"} 1\n"));
}

TEST(MetricsText, ALargeCounterLosesNoDigit) {
  MetricsText text;
  text.counter("events_total", "Events", 4'503'599'627'370'497.0);
  EXPECT_THAT(text.response().body, HasSubstr("events_total 4503599627370497\n"));
}

TEST(MetricsText, AHistogramIsCumulativeAndInSeconds) {
  DurationCounts counts;
  counts.add(100);
  counts.add(900'000);
  counts.add(7'200'000'000);
  MetricsText text;
  text.histogram("took_seconds", "How long", counts);
  const std::string body = text.response().body;
  EXPECT_THAT(body, HasSubstr("took_seconds_bucket{le=\"0.0001\"} 1\n"));
  EXPECT_THAT(body, HasSubstr("took_seconds_bucket{le=\"0.5\"} 1\n"));
  EXPECT_THAT(body, HasSubstr("took_seconds_bucket{le=\"1\"} 2\n"));
  EXPECT_THAT(body, HasSubstr("took_seconds_bucket{le=\"+Inf\"} 3\n"));
  EXPECT_THAT(body, HasSubstr("took_seconds_count 3\n"));
  EXPECT_THAT(body, HasSubstr("took_seconds_sum 7200.9001"));
}

TEST(MetricsText, ExactlyOneStateHolds) {
  MetricsText text;
  text.state("link", "The link", "state", "up", {"down", "up"}, {{"node", "w1"}});
  const std::string body = text.response().body;
  EXPECT_THAT(body, HasSubstr("link{node=\"w1\",state=\"up\"} 1\n"));
  EXPECT_THAT(body, HasSubstr("link{node=\"w1\",state=\"down\"} 0\n"));
}

TEST(MetricsText, ALabelCannotBreakOutOfItsQuotes) {
  MetricsText text;
  text.gauge("g", "G", 1, {{"node", "a\"} 7\nevil 1\n"}});
  EXPECT_THAT(text.response().body, Not(HasSubstr("\nevil")));
}

}  // namespace
}  // namespace rollcall::inspect
