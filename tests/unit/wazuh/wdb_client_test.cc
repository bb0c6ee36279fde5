#include "wazuh/wdb_client.h"

#include <gmock/gmock.h>

#include <optional>
#include <vector>

#include "tests/support/standin_server.h"
#include "tests/unit/net/fixture.h"

namespace rollcall::wazuh {
namespace {

using rollcall::testing::Fault;
using rollcall::testing::StandinServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

// A client that asks `question` whenever it is connected; the loop ends with the first answer, or
// when it was lost `losses` times.
class WdbClientTest : public net::LoopTest {
 protected:
  void play(std::size_t losses = 1) {
    WdbClient client(
        loop, {.socket_path = path, .request_timeout = 50ms, .backoff = {.base = 1ms, .cap = 2ms}},
        {.on_connected =
             [&] {
               ++connects;
               if (question) client.ask(*question);
             },
         .on_reply =
             [&](const std::string& reply) {
               said.push_back(reply);
               loop.stop();
             },
         .on_lost =
             [&](const std::string& reason) {
               said.push_back(reason);
               if (said.size() >= losses) loop.stop();
             }});
    client.start();
    EXPECT_THAT(said, ElementsAre()) << "never from inside start()";
    run();
    unserved = client.unserved();
    client.stop();
  }
  net::TempDir dir;
  std::string path = dir / "wdb";
  StandinServer server;
  std::optional<std::string> question = "global sql SELECT 7 n";
  std::vector<std::string> said;
  int connects = 0;
  bool unserved = false;
};

TEST_F(WdbClientTest, AsksAndHears) {
  ASSERT_TRUE(server.start(path));
  play();
  EXPECT_THAT(said, ElementsAre("ok [{\"n\":7}]"));
  EXPECT_FALSE(unserved);
}

TEST_F(WdbClientTest, WithoutASocketSaysWhatToDoAndTriesAgain) {
  play(3);
  EXPECT_THAT(said, ElementsAre(HasSubstr(path), HasSubstr("there is no such socket"),
                                HasSubstr("start wazuh-manager")));
  EXPECT_TRUE(unserved);
}

TEST_F(WdbClientTest, AFileThatIsNoSocketIsNotAManagerThatIsGone) {
  net::write_text(path, "x");
  play();
  EXPECT_THAT(said, ElementsAre(HasSubstr("this is not a socket")));
  EXPECT_FALSE(unserved);
}

TEST_F(WdbClientTest, AConnectionThatEndsIsMadeAgain) {
  ASSERT_TRUE(server.start(path));
  server.set_fault({Fault::Kind::kDrop});
  play(3);
  EXPECT_GE(connects, 3);
  EXPECT_THAT(said.back(), HasSubstr("the connection was lost"));
  EXPECT_FALSE(unserved);
}

TEST_F(WdbClientTest, WhatIsNotAnsweredInTimeIsGivenUp) {
  ASSERT_TRUE(server.start(path));
  server.set_fault({Fault::Kind::kStall});
  play();
  EXPECT_THAT(said, ElementsAre(HasSubstr("no answer within 50 ms")));
}

TEST_F(WdbClientTest, AnAnswerOfAnotherProgramIsNotTaken) {
  ASSERT_TRUE(server.start(path));
  server.set_fault({Fault::Kind::kGarbage});
  play();
  EXPECT_THAT(said, ElementsAre(HasSubstr("is another program behind this socket?")));
}

TEST_F(WdbClientTest, AQuestionThatWouldHarmIsNotSent) {
  ASSERT_TRUE(server.start(path));
  question = std::string(kMaxRequestBytes + 1, 'x');
  play();
  EXPECT_THAT(said, ElementsAre(HasSubstr("is not sent to wazuh-db")));
  EXPECT_EQ(server.stats().largest_request, 0u);
}

}  // namespace
}  // namespace rollcall::wazuh
