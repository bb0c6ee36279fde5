#include "inspect/http_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <latch>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "tests/unit/inspect/client.h"

namespace rollcall::inspect {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;

class Http : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.report = [this](std::string_view text) {
      const std::lock_guard lock(mutex_);
      reports_.emplace_back(text);
    };
  }
  HttpServer& start() {
    server_.emplace(options_);
    server_->route("GET", "/healthz", [](const Request&) { return Response{.body = "{}\n"}; });
    server_->route("POST", "/echo", [](const Request& r) {
      return Response{.content_type = "text/plain", .body = r.body};
    });
    server_->route("GET", "/agents/{}/history", [](const Request& r) {
      return Response{
          .body =
              nlohmann::json{{"path", r.path}, {"matches", r.matches}, {"query", r.query}}.dump()};
    });
    server_->route("GET", "/big",
                   [](const Request&) { return Response{.body = std::string(32 << 20, 'x')}; });
    server_->route("GET", "/throws",
                   [](const Request&) -> Response { throw std::runtime_error("a secret detail"); });
    server_->route("GET", "/gone", [](const Request&) { return Response{.status = 410}; });
    server_->route("GET", "/waits", [this](const Request&) {
      ++waiting_;
      waiting_.notify_all();
      gate_.wait();
      return Response{};
    });
    const auto started = server_->start();
    EXPECT_TRUE(started) << started.error().message;
    return *server_;
  }
  std::string ask(const std::string& text) { return Client(server_->port()).send(text).read_all(); }
  Client::Answer health() {
    return Client(server_->port()).send(request("GET /healthz")).read_answer();
  }
  void expect_refused(const std::string& text, int status) {
    Client client(server_->port());
    const auto answer = client.send(text).read_answer();
    EXPECT_EQ(answer.status, status) << answer.head;
    EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json\r\n"));
    const auto body = nlohmann::json::parse(answer.body, nullptr, false);
    EXPECT_TRUE(body.is_object() && body["error"].is_string()) << answer.body;
    EXPECT_THAT(answer.head, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.closed_by_server());
  }
  void open_gate() {
    if (!opened_) gate_open_.set_value();
    opened_ = true;
  }
  void TearDown() override { open_gate(); }

  HttpOptions options_;
  std::mutex mutex_;
  std::vector<std::string> reports_;
  std::promise<void> gate_open_;
  std::shared_future<void> gate_ = gate_open_.get_future().share();
  std::atomic<int> waiting_ = 0;
  bool opened_ = false;
  std::optional<HttpServer> server_;  // last: stopped before what its handlers use
};

TEST_F(Http, AnswersOnTheFreePortItChose) {
  EXPECT_NE(start().port(), 0);
  const auto answer = health();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "{}\n");
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json\r\n"));
}

TEST_F(Http, HandlersGetPathMatchesAndQueryDecoded) {
  start();
  Client client(server_->port());
  const auto answer =
      client.send(request("GET /agents/a%20b/history?from=1%2B1&x=&from=2&y=a+b")).read_answer();
  EXPECT_EQ(nlohmann::json::parse(answer.body),
            nlohmann::json::parse(R"({"path": "/agents/a b/history", "matches": ["a b"],
                                      "query": {"from": "1+1", "x": "", "y": "a b"}})"));
}

TEST_F(Http, ReadsAreGuardedButHealthIsNot) {
  options_.guard_reads = [](Handler handler) {
    return [handler](const Request& r) {
      return r.authorization == "Bearer x" ? handler(r) : Response{.status = 401};
    };
  };
  start();
  Client client(server_->port());
  EXPECT_EQ(client.send(request("GET /agents/7/history")).read_answer().status, 401);
  EXPECT_EQ(client.send(request("GET /agents/7/history", "Authorization: Bearer x\r\n"))
                .read_answer()
                .status,
            200);
  EXPECT_EQ(client.send(request("GET /healthz")).read_answer().status, 200);
}

TEST_F(Http, AForeignHostIsRefusedBeforeRouting) {
  start();
  expect_refused("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403);
  expect_refused("GET /nothing HTTP/1.1\r\nHost: evil.example:9470\r\n\r\n", 403);
  expect_refused("GET /healthz HTTP/1.1\r\n\r\n", 400);
}

TEST_F(Http, AConfiguredNameIsServed) {
  options_.allowed_hosts = {"rollcall.example.org"};
  start();
  Client client(server_->port());
  EXPECT_EQ(client.send("GET /healthz HTTP/1.1\r\nHost: rollcall.example.org:80\r\n\r\n")
                .read_answer()
                .status,
            200);
}

TEST_F(Http, AForeignOriginIsRefused) {
  start();
  expect_refused(request("POST /echo", "Origin: https://evil.example\r\n"), 403);
}

TEST_F(Http, ChunkedEncodingIsRefused) {
  start();
  expect_refused(request("POST /echo", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
                 400);
  expect_refused(request("GET /healthz", "Transfer-Encoding: gzip, chunked\r\n"), 400);
}

TEST_F(Http, ABodyOnGetOrHeadIsRefused) {
  start();
  expect_refused(request("GET /healthz", "Content-Length: 3\r\n", "abc"), 400);
  const std::string text = ask(request("HEAD /healthz", "Content-Length: 3\r\n", "abc"));
  EXPECT_THAT(text, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(text, ::testing::EndsWith("\r\n\r\n"));  // HEAD is answered without a body always
}

TEST_F(Http, HeadIsAnsweredLikeGetWithoutTheBody) {
  start();
  Client client(server_->port());
  const auto head = client.send(request("HEAD /healthz")).read_answer(Client::Body::NotSent);
  EXPECT_EQ(head.status, 200);
  EXPECT_THAT(head.head, HasSubstr("Content-Length: 3\r\n"));
  // The next answer begins where the head ended: no body came.
  EXPECT_EQ(client.send(request("GET /healthz")).read_answer().body, "{}\n");
}

TEST_F(Http, UnknownPathsAndMethodsAreToldAsJson) {
  start();
  Client client(server_->port());
  auto answer = client.send(request("GET /nothing")).read_answer();
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.body, "{\"error\":\"nothing is served at /nothing\"}\n");
  answer = client.send(request("GET /agents//history")).read_answer();
  EXPECT_EQ(answer.status, 404);
  answer = client.send(request("GET /%ff%00")).read_answer();
  EXPECT_EQ(answer.status, 404);
  EXPECT_TRUE(nlohmann::json::accept(answer.body)) << answer.body;
  answer = client.send(request("POST /healthz")).read_answer();
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.body, "{\"error\":\"/healthz takes GET, HEAD only\"}\n");
  EXPECT_THAT(answer.head, HasSubstr("Allow: GET, HEAD\r\n"));
  answer = client.send(request("GET /gone")).read_answer();
  EXPECT_EQ(answer.status, 410);
  EXPECT_TRUE(nlohmann::json::parse(answer.body).contains("error"));
}

TEST_F(Http, AHandlerThatThrowsIsAnswered500WithoutItsDetail) {
  start();
  Client client(server_->port());
  const auto answer = client.send(request("GET /throws")).read_answer();
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.head + answer.body, ::testing::Not(HasSubstr("secret")));
  server_->stop();
  EXPECT_THAT(reports_, ElementsAre("the handler of GET /throws failed: a secret detail"));
}

TEST_F(Http, ABodyComesWholeWhateverItsPieces) {
  start();
  Client client(server_->port());
  const std::string body(100'000, 'b');
  const std::string text = request("POST /echo", "Content-Length: 100000\r\n", body);
  for (std::size_t at = 0; at < text.size(); at += 7'777) client.send(text.substr(at, 7'777));
  EXPECT_EQ(client.read_answer().body, body);
}

TEST_F(Http, ABodyIsTakenUpToItsLimit) {
  start();
  Client client(server_->port());
  const std::string body(1 << 20, 'b');
  EXPECT_EQ(client.send(request("POST /echo", "Content-Length: 1048576\r\n", body))
                .read_answer()
                .body.size(),
            body.size());
  expect_refused(request("POST /echo", "Content-Length: 1048577\r\n", body), 413);
}

TEST_F(Http, BodiesOfAllConnectionsTogetherAreBounded) {
  options_.buffered_in = 1'000;
  start();
  Client first(server_->port());
  first.send(request("POST /echo", "Content-Length: 900\r\n"));
  // Seen by the server before the next, because it answers them in one thread, in turn.
  EXPECT_EQ(health().status, 200);
  expect_refused(request("POST /echo", "Content-Length: 200\r\n"), 503);
  EXPECT_EQ(health().status, 200);
  EXPECT_EQ(first.send(std::string(900, 'x')).read_answer().status, 200);
}

TEST_F(Http, LongUrlsAndLongHeadsAreRefused) {
  start();
  expect_refused(request("GET /" + std::string(3'000, 'x')), 414);
  expect_refused("GET /" + std::string(20'000, 'x'), 414);
  expect_refused(request("GET /healthz", "X: " + std::string(9'000, 'x') + "\r\n"), 431);
  expect_refused(request("GET /healthz", "X: " + std::string(200'000, 'x')), 431);
}

TEST_F(Http, ManyRequestsMayFollowEachOtherOnOneConnection) {
  start();
  Client client(server_->port());
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(client.send(request("GET /healthz")).read_answer().status, 200);
  }
}

TEST_F(Http, RequestsSentAtOnceAreAnsweredInOrder) {
  start();
  Client client(server_->port());
  client.send(request("GET /healthz") + request("POST /echo", "Content-Length: 2\r\n", "hi") +
              request("GET /nothing") + request("GET /healthz", "Connection: close\r\n"));
  EXPECT_EQ(client.read_answer().body, "{}\n");
  EXPECT_EQ(client.read_answer().body, "hi");
  EXPECT_EQ(client.read_answer().status, 404);
  EXPECT_THAT(client.read_answer().head, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(Http, AConnectionEndsAfterItsLastAllowedRequest) {
  options_.requests_per_connection = 2;
  start();
  Client client(server_->port());
  EXPECT_THAT(client.send(request("GET /healthz")).read_answer().head,
              ::testing::Not(HasSubstr("Connection: close")));
  EXPECT_THAT(client.send(request("GET /healthz")).read_answer().head,
              HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(Http, AClientThatStopsSendingAfterItsRequestIsAnswered) {
  start();
  Client client(server_->port());
  client.send(request("GET /healthz"));
  client.finish_sending();
  EXPECT_EQ(client.read_answer().status, 200);
}

TEST_F(Http, CompressedAnswersAreGzipOnly) {
  start();
  Client client(server_->port());
  EXPECT_THAT(
      client.send(request("GET /healthz", "Accept-Encoding: br, gzip\r\n")).read_answer().head,
      HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_THAT(client.send(request("GET /healthz", "Accept-Encoding: br\r\n")).read_answer().head,
              ::testing::Not(HasSubstr("Content-Encoding")));
}

TEST_F(Http, ARangeIsNotTaken) {
  start();
  Client client(server_->port());
  EXPECT_EQ(client.send(request("GET /healthz", "Range: bytes=0-0,0-0\r\n")).read_answer().body,
            "{}\n");
}

TEST_F(Http, ClientsThatSendHalfARequestDoNotHoldUpHealth) {
  start();
  std::vector<std::unique_ptr<Client>> slow;  // more than there are workers
  for (int i = 0; i < 50; ++i) {
    slow.push_back(std::make_unique<Client>(server_->port()));
    slow.back()->send(i % 2 == 0 ? "GET /heal" : request("POST /echo", "Content-Length: 9\r\n"));
  }
  for (int i = 0; i < 20; ++i) ASSERT_EQ(health().status, 200);
  // They are served when they go on.
  EXPECT_EQ(slow[0]->send("thz HTTP/1.1\r\nHost: localhost\r\n\r\n").read_answer().status, 200);
  EXPECT_EQ(slow[1]->send("123456789").read_answer().body, "123456789");
}

TEST_F(Http, TwoHundredSlowClientsOfAllKindsDoNotHoldUpHealth) {
  options_.receive_timeout = 100s;  // a sanitizer may be as slow as they are
  options_.buffered_out = std::size_t{4} << 30;
  start();
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(std::make_unique<Client>(server_->port()));
    if (i % 4 == 1) slow.back()->send("G");
    if (i % 4 == 2) slow.back()->send(request("POST /echo", "Content-Length: 9\r\n", "1"));
    if (i % 20 == 3) slow.back()->send(request("GET /big"));  // and reads none of it
  }
  const std::string rest = request("GET /healthz").substr(1);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    // Byte by byte, and in between others are answered.
    for (int k = 1; k < 200; k += 4) slow[static_cast<std::size_t>(k)]->send(rest.substr(i, 1));
    if (i % 4 == 0) {
      ASSERT_EQ(health().status, 200);
    }
  }
  for (int k = 1; k < 200; k += 4) {
    ASSERT_EQ(slow[static_cast<std::size_t>(k)]->read_answer().status, 200);
  }
}

TEST_F(Http, ClientsThatDoNotReadTheirAnswersDoNotHoldUpHealth) {
  options_.buffered_out = std::size_t{2} << 30;
  start();
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 10; ++i) {
    slow.push_back(std::make_unique<Client>(server_->port()));
    slow.back()->send(request("GET /big"));
  }
  for (int i = 0; i < 20; ++i) ASSERT_EQ(health().status, 200);
  EXPECT_EQ(slow[0]->read_answer().body.size(), std::size_t{32} << 20);
}

TEST_F(Http, ARequestThatDoesNotArriveInTimeIsAnswered408) {
  options_.receive_timeout = 50ms;
  start();
  expect_refused("GET /healthz HTT", 408);
  expect_refused(request("POST /echo", "Content-Length: 9\r\n", "123"), 408);
}

TEST_F(Http, ASilentConnectionIsClosedWithoutAWord) {
  options_.idle_timeout = 50ms;
  start();
  EXPECT_EQ(ask(""), "");
}

TEST_F(Http, AClientThatNeverReadsIsClosed) {
  options_.send_timeout = 100ms;
  start();
  Client client(server_->port());
  client.send(request("GET /big"));
  // The first look at the socket comes after the server gave up; then the rest is missing.
  char byte = 0;
  ASSERT_EQ(::recv(client.fd(), &byte, 1, MSG_PEEK), 1);
  while (::send(client.fd(), "x", 1, MSG_NOSIGNAL) == 1) std::this_thread::sleep_for(5ms);
  EXPECT_LT(client.read_all().size(), std::size_t{32} << 20);
}

TEST_F(Http, AboveTheBoundOnConnectionsTheOldestThatWaitsMakesRoom) {
  options_.connections = 4;
  start();
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 4; ++i) {
    idle.push_back(std::make_unique<Client>(server_->port()));
    idle.back()->send("GET ");
  }
  EXPECT_EQ(health().status, 200);
  EXPECT_TRUE(idle[0]->closed_by_server());
}

TEST_F(Http, MoreClientsThanConnectionsAreAllServed) {
  options_.connections = 4;
  start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<Client>(server_->port()));
    clients.back()->send(request("GET /healthz", "Connection: close\r\n"));
  }
  for (const auto& client : clients) EXPECT_EQ(client->read_answer().status, 200);
}

TEST_F(Http, TwoHundredRequestsAtOnceAreAllAnswered) {
  start();
  std::latch ready(200);
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 200; ++i) {
      clients.emplace_back([&, i] {
        const std::string body = "request " + std::to_string(i);
        ready.arrive_and_wait();
        Client client(server_->port());
        const auto answer =
            client
                .send(request("POST /echo",
                              "Content-Length: " + std::to_string(body.size()) + "\r\n", body))
                .read_answer();
        if (answer.status == 200 && answer.body == body) ++good;
      });
    }
  }
  EXPECT_EQ(good, 200);
}

TEST_F(Http, AFullQueueIsAnswered503AndEverythingElseStillIsDone) {
  options_.threads = 1;
  options_.queued = 1;
  start();
  Client working(server_->port());
  working.send(request("GET /waits"));
  waiting_.wait(0);
  Client queued(server_->port());
  queued.send(request("GET /healthz"));
  Client other(server_->port());
  other.send(request("GET /healthz"));
  // One of the two found the queue full, whichever the front thread read first.
  pollfd either[] = {{queued.fd(), POLLIN, 0}, {other.fd(), POLLIN, 0}};
  ASSERT_EQ(::poll(either, 2, 30'000), 1);
  Client& refused = either[0].revents != 0 ? queued : other;
  EXPECT_EQ(refused.read_answer().status, 503);
  open_gate();
  EXPECT_EQ((&refused == &queued ? other : queued).read_answer().status, 200);
  EXPECT_EQ(working.read_answer().status, 200);
}

TEST_F(Http, DescriptorsAbove1023AreServed) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4'096);
  if (limit.rlim_cur < 2'048 || ::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    GTEST_SKIP() << "this system allows no descriptors above 1023";
  }
  std::vector<int> taken;
  while (taken.empty() || taken.back() < 1'100)
    taken.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  start();
  EXPECT_EQ(health().status, 200);
  for (const int fd : taken) ::close(fd);
  server_->stop();
  ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(Http, StopFinishesTheRequestAtWork) {
  start();
  Client client(server_->port());
  client.send(request("GET /waits"));
  waiting_.wait(0);
  std::jthread stopper([&] { server_->stop(); });
  open_gate();
  EXPECT_EQ(client.read_answer().status, 200);
}

TEST_F(Http, StopEndsOpenConnectionsAndMayBeCalledTwice) {
  start();
  Client client(server_->port());
  client.send("GET /hea");
  EXPECT_EQ(health().status, 200);
  server_->stop();
  server_->stop();
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(Http, APortInUseIsAnErrorThatNamesIt) {
  start();
  HttpOptions options;
  options.port = server_->port();
  HttpServer second(options);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message,
              HasSubstr("cannot listen on 127.0.0.1:" + std::to_string(server_->port()) +
                        ": Address already in use; set [inspect] address"));
}

TEST_F(Http, AServerThatNeverStartedMayBeStoppedAndMayEnd) {
  HttpServer unused{HttpOptions{}};
  unused.stop();
  EXPECT_EQ(unused.port(), 0);
}

}  // namespace
}  // namespace rollcall::inspect
