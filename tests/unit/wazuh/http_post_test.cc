#include "wazuh/http_post.h"

#include <gmock/gmock.h>

#include <vector>

#include "tests/support/standin_server.h"
#include "tests/unit/net/fixture.h"

#include "tests/unit/wazuh/bytes.h"

namespace rollcall::wazuh {
namespace {

using rollcall::testing::Fault;
using rollcall::testing::StandinServer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

// What comes of a reply that arrives in one piece, and then ends.
std::string outcome(std::string_view text) {
  HttpReplyReader reader;
  const auto reply = reader.feed(bytes(text));
  if (!reply) return reply.error().message;
  if (*reply) return std::to_string((*reply)->status) + " " + (*reply)->body;
  const auto ended = reader.end();
  if (!ended) return ended.error().message;
  return "at the end " + std::to_string(ended->status) + " " + ended->body;
}

TEST(HttpReplyReader, TakesAReplyByItsLengthOrItsEnd) {
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "200 hi");
  EXPECT_EQ(outcome("HTTP/1.1 500 Error\r\nCONTENT-LENGTH:0\r\n\r\n"), "500 ");
  EXPECT_EQ(outcome("HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\ngone"), "at the end 404 gone");
}

TEST(HttpReplyReader, PutsAReplyTogetherFromSingleBytes) {
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  HttpReplyReader reader;
  for (std::size_t i = 0; i + 1 < text.size(); ++i)
    EXPECT_EQ(reader.feed(bytes(text).subspan(i, 1)).value(), std::nullopt);
  EXPECT_EQ(reader.feed(bytes(text).last(1)).value(), (HttpReply{200, "hi"}));
}

TEST(HttpReplyReader, RefusesWhatIsNoReply) {
  EXPECT_EQ(outcome("ok []"), "the answer is no HTTP");
  EXPECT_EQ(outcome("HTTP/1.1 abc\r\n\r\n"), "the answer has no status");
  EXPECT_EQ(outcome("HTTP/1.1\r\n\r\n"), "the answer has no status");
  EXPECT_EQ(outcome("HTTP/1.1 20"), "the connection ended inside an answer");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"),
            "the connection ended inside an answer");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"),
            "the answer is too long");
  EXPECT_EQ(outcome("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "the answer is too long");
  EXPECT_EQ(outcome("HTTP/1.1 200 " + std::string(70'000, 'x')), "the answer is too long");
}

class HttpPostTest : public net::LoopTest {
 protected:
  // What becomes of it.
  std::string post(const std::string& body, std::chrono::milliseconds timeout = 10s) {
    HttpPost http(loop, {.socket_path = path, .timeout = timeout});
    std::string said = "(nothing)";
    http.post("/v1/agents/sync", body, [&](std::expected<void, Error> outcome) {
      said = outcome ? "done" : outcome.error().message;
      loop.stop();
    });
    EXPECT_EQ(said, "(nothing)") << "never from inside post()";
    run();
    return said;
  }
  net::TempDir dir;
  std::string path = dir / "wdb-http.sock";
  StandinServer server;
};

TEST_F(HttpPostTest, ThatIsTakenIsDone) {
  ASSERT_TRUE(server.start_http(path));
  EXPECT_EQ(post("{}"), "done");
  EXPECT_EQ(server.stats().commands.at("POST /v1/agents/sync"), 1u);
}

TEST_F(HttpPostTest, ThatIsLongIsTakenToo) {
  ASSERT_TRUE(server.start_http(path));
  EXPECT_EQ(post("{\"x\":\"" + std::string(1 << 20, 'x') + "\"}"), "done");
}

TEST_F(HttpPostTest, ThatIsRefusedSaysByWhomAndWhatToDo) {
  ASSERT_TRUE(server.start_http(path));
  EXPECT_THAT(post("no json"), AllOf(HasSubstr(path), HasSubstr("the answer is 500"),
                                     HasSubstr("wazuh-db's log says more")));
}

TEST_F(HttpPostTest, ThatNobodyTakesSaysWhatToDo) {
  EXPECT_THAT(post("{}"), HasSubstr("there is no such socket; start wazuh-manager"));
}

TEST_F(HttpPostTest, ThatIsNotAnsweredIsGivenUp) {
  ASSERT_TRUE(server.start_http(path));
  server.set_fault({Fault::Kind::kStall});
  EXPECT_THAT(post("{}", 50ms), HasSubstr("no answer within 50 ms"));
}

TEST_F(HttpPostTest, ThatIsAnsweredHalfIsAnError) {
  ASSERT_TRUE(server.start_http(path));
  server.set_fault({Fault::Kind::kPartial});
  EXPECT_THAT(post("{}"), HasSubstr("the connection ended inside an answer"));
  server.set_fault({Fault::Kind::kDrop});
  EXPECT_THAT(post("{}"), HasSubstr("the connection ended inside an answer"));
}

TEST_F(HttpPostTest, ThatIsStoppedSaysNothingMore) {
  ASSERT_TRUE(server.start_http(path));
  HttpPost http(loop, {.socket_path = path});
  http.post("/v1/agents/sync", "{}", [](auto) { FAIL() << "it was stopped"; });
  http.stop();
  net::Timer later(loop);
  later.start(20ms, [this] { loop.stop(); });
  run();
  EXPECT_EQ(server.stats().http_requests, 0u);
}

}  // namespace
}  // namespace rollcall::wazuh
