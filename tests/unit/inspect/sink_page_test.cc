// What the sink says of itself, over a real core beside a stand-in for wazuh-db.
#include <gmock/gmock.h>

#include "inspect/pages.h"
#include "tests/unit/inspect/pages_fixture.h"
#include "tests/unit/master_sink/fixture.h"

namespace rollcall::inspect {
namespace {

using master::test::Rig;
using nlohmann::json;
using ::testing::HasSubstr;

class SinkPage : public PagesTest {
 protected:
  void begin(master::SinkCore::Config config = master::test::correcting()) {
    rig_ = std::make_unique<Rig>(std::move(config));
    add_sink_page(server_, on_loop(), [this]() -> const master::SinkCore& { return rig_->sink(); });
    ASSERT_TRUE(server_.start());
  }
  // Agents 1 to n are on w1, which Wazuh's table does not say.
  void tell(std::uint32_t agents) {
    for (std::uint32_t agent = 1; agent <= agents; ++agent) {
      rig_->enroll(agent);
      rig_->syncs(agent, "w1", "disconnected", 990);
      rig_->connects(agent, "w1", 995);
    }
  }
  std::unique_ptr<Rig> rig_;
};

TEST_F(SinkPage, ShowsEachCorrectionWithBeforeAndAfter) {
  begin();
  tell(1);
  rig_->pass(10);
  const json page = get("/sink");
  EXPECT_EQ(page["mode"], "correct");
  EXPECT_EQ(page["error"], nullptr);
  EXPECT_EQ(page["wazuh"], "4.13 or later");
  EXPECT_EQ(page["write"], "http");
  EXPECT_EQ(page["written"], 1);
  EXPECT_EQ(page["rows"], 1);
  EXPECT_EQ(page["differing"], 0);
  EXPECT_EQ(page["withheld"]["unreachable"], 0);
  ASSERT_EQ(page["corrections"].size(), 1u);
  const json& c = page["corrections"][0];
  EXPECT_EQ(c["agent"], 1);
  EXPECT_EQ(c["written"], true);
  EXPECT_EQ(c["error"], nullptr);
  EXPECT_EQ(c["by"], "status");
  EXPECT_EQ(c["decided"]["node"], "w1");
  EXPECT_EQ(c["before"], json({{"connection_status", "disconnected"}}));
  EXPECT_EQ(c["after"], json({{"connection_status", "active"}}));
}

TEST_F(SinkPage, ComesInPages) {
  begin();
  tell(3);
  rig_->pass(10);
  EXPECT_EQ(get("/sink")["corrections"].size(), 3u);
  EXPECT_EQ(get("/sink?limit=2")["corrections"].size(), 2u);
  const json rest = get("/sink?after=2");
  ASSERT_EQ(rest["corrections"].size(), 1u);
  EXPECT_EQ(rest["corrections"][0]["number"], 3);
  EXPECT_THAT(refused("/sink?page=2"), HasSubstr("after, limit"));
}

TEST_F(SinkPage, SaysWhyNothingIsWritten) {
  begin();
  tell(1);
  rig_->http_says = Error{"attempt to write a readonly database"};
  rig_->pass(10);
  const json page = get("/sink");
  EXPECT_EQ(page["error"], "attempt to write a readonly database");
  EXPECT_EQ(page["written"], 0);
  EXPECT_EQ(page["corrections"][0]["written"], false);
  EXPECT_EQ(page["corrections"][0]["error"], "attempt to write a readonly database");
}

TEST_F(SinkPage, OfAnObserverShowsWhatItWouldWrite) {
  begin(master::SinkCore::Config{});
  tell(1);
  rig_->pass(10);
  const json page = get("/sink");
  EXPECT_EQ(page["mode"], "observe");
  EXPECT_EQ(page["observed"], 1);
  EXPECT_EQ(page["corrections"][0]["written"], false);
  EXPECT_EQ(page["corrections"][0]["after"]["connection_status"], "active");
}

TEST_F(SinkPage, CountsWhatIsWithheldByItsReason) {
  begin();
  tell(2);
  rig_->proven = {};
  rig_->pass(10);
  EXPECT_EQ(get("/sink")["withheld"]["unreachable"], 2);
}

}  // namespace
}  // namespace rollcall::inspect
