#include <gmock/gmock.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "app/logging.h"
#include "inspect/pages.h"
#include "inspect/token.h"
#include "tests/unit/inspect/pages_fixture.h"

namespace rollcall::inspect {
namespace {

using ::testing::HasSubstr;

class LogPage : public PagesTest {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rollcall-log-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    const Token token = Token::load_or_make(folder_ + "/token", ::geteuid()).value();
    authorization_ = token.authorization();
    add_log_page(server_, token);
    ASSERT_TRUE(server_.start());
  }
  void TearDown() override {
    PagesTest::TearDown();
    app::set_log_level(app::Level::Info);
    std::filesystem::remove_all(folder_);
  }
  Client::Answer put(const std::string& target, bool with_token = true) {
    const std::string header = with_token ? "Authorization: " + authorization_ + "\r\n" : "";
    return Client(server_.port())
        .send(request("PUT " + target, header + "Content-Length: 0\r\n"))
        .read_answer();
  }
  std::string folder_;
  std::string authorization_;
};

TEST_F(LogPage, ChangesTheLevelAtOnceAndSaysWhatItWas) {
  EXPECT_EQ(get("/log")["level"], "info");
  const auto answer = put("/log?level=error");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr(R"("before":"info")"));
  EXPECT_EQ(app::log_level(), app::Level::Error);
  EXPECT_EQ(get("/log")["level"], "error");
}

TEST_F(LogPage, WithoutTheTokenOrALevelNothingChanges) {
  EXPECT_EQ(put("/log?level=debug", false).status, 401);
  EXPECT_EQ(put("/log").status, 400);
  EXPECT_EQ(put("/log?level=loud").status, 400);
  EXPECT_EQ(app::log_level(), app::Level::Info);
}

}  // namespace
}  // namespace rollcall::inspect
