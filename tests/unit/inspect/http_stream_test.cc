#include "inspect/http_stream.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "inspect/http_server.h"
#include "tests/unit/inspect/client.h"

namespace rollcall::inspect {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;

// News are numbers here; a stream says each of them once, a page waits until there is one.
class HttpStream : public ::testing::Test {
 protected:
  class Numbers final : public Stream {
   public:
    Numbers(const HttpStream& of, std::size_t bytes_each) : of_(of), bytes_each_(bytes_each) {}
    Part next() override {
      ++of_.asked_;
      Part part;
      part.seen = said_;
      if (said_ < of_.newest_) {
        part.seen = ++said_;
        part.text = std::to_string(said_) + std::string(bytes_each_, '.') + "\n";
      }
      part.last = of_.last_ != 0 && said_ == of_.last_;
      return part;
    }
    std::string farewell(std::string_view unsent, std::string_view why) const override {
      return std::string(unsent.substr(0, unsent.find('\n') + 1)) + "bye: " + std::string(why) +
             "\n";
    }

   private:
    const HttpStream& of_;
    const std::size_t bytes_each_;
    std::uint64_t said_ = 0;
  };

  // Says the same again and again.
  class Often final : public Stream {
   public:
    explicit Often(const HttpStream& of) : of_(of) {}
    bool starts_at_once() const override { return true; }
    Part next() override {
      ++of_.often_;
      return of_.first_;
    }
    std::string farewell(std::string_view, std::string_view) const override { return ""; }

   private:
    const HttpStream& of_;
  };

  void start() {
    options_.report = [this](std::string_view text) {
      const std::lock_guard lock(mutex_);
      reports_.emplace_back(text);
    };
    server_.emplace(options_);
    server_->route("GET", "/healthz", [](const Request&) { return Response{.body = "{}\n"}; });
    for (const auto& [path, bytes] :
         {std::pair{"/numbers", std::size_t{0}}, std::pair{"/large", std::size_t{1} << 20}}) {
      server_->route("GET", path, [this, bytes](const Request&) {
        return Response{.content_type = "text/plain",
                        .body = "begin\n",
                        .stream = std::make_shared<Numbers>(*this, bytes)};
      });
    }
    server_->route("GET", "/often", [this](const Request&) {
      return Response{.body = "begin\n", .stream = std::make_shared<Often>(*this)};
    });
    server_->route("GET", "/next", [this](const Request& r) {
      if (newest_ == 0 && !r.waited) return Response{.wait = Wait{0, at_most_}};
      return Response{.body = std::to_string(newest_)};
    });
    ASSERT_TRUE(server_->start());
  }
  void news(std::uint64_t upto) {
    newest_ = upto;
    server_->news(upto);
  }
  std::unique_ptr<Client> asks(const std::string& target) {
    auto client = std::make_unique<Client>(server_->port());
    client->send(request("GET " + target));
    return client;
  }
  std::vector<std::string> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  // A request that is answered after all that came before it was read.
  int health() { return asks("/healthz")->read_answer().status; }

  HttpOptions options_;
  std::chrono::milliseconds at_most_{60'000};
  std::atomic<std::uint64_t> newest_ = 0, last_ = 0;
  mutable std::atomic<int> asked_ = 0, often_ = 0;
  Stream::Part first_;
  std::mutex mutex_;
  std::vector<std::string> reports_;
  std::optional<HttpServer> server_;
};

TEST_F(HttpStream, SaysWhatIsNewUntilTheClientLeaves) {
  start();
  const auto client = asks("/numbers");
  const std::string head = client->read_until("begin\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_THAT(head, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(head, ::testing::Not(HasSubstr("Content-Length")));
  news(2);
  EXPECT_EQ(client->read_until("2\n"), "1\n2\n");
  news(3);
  EXPECT_EQ(client->read_until("\n"), "3\n");
}

TEST_F(HttpStream, GoesOnAlthoughTheRequestWantsTheConnectionClosed) {
  start();
  Client client(server_->port());
  client.send(request("GET /numbers", "Connection: close\r\n"));
  client.read_until("begin\n");
  news(1);
  EXPECT_EQ(client.read_until("\n"), "1\n");
}

TEST_F(HttpStream, EndsWithItsLastPart) {
  last_ = 2;
  start();
  const auto client = asks("/numbers");
  news(2);
  EXPECT_THAT(client->read_all(), EndsWith("begin\n1\n2\n"));
}

TEST_F(HttpStream, OfAHeadRequestHasNothingBehindItsHead) {
  start();
  Client client(server_->port());
  client.send(request("HEAD /numbers"));
  EXPECT_THAT(client.read_all(), EndsWith("\r\n\r\n"));
}

TEST_F(HttpStream, IsAskedNowAndThenWithoutNews) {
  options_.stream_idle = 1ms;
  start();
  const auto client = asks("/numbers");
  client->read_until("begin\n");
  for (int was = asked_; asked_ < was + 3;) ASSERT_EQ(health(), 200);
}

TEST_F(HttpStream, OneThatStartsAtOnceIsAskedAgainAfterItsOwnTime) {
  first_ = Stream::Part{.text = "now\n", .idle = 1ms};
  start();
  const auto client = asks("/often");
  for (int i = 0; i < 3; ++i) EXPECT_THAT(client->read_until("now\n"), EndsWith("now\n"));
}

TEST_F(HttpStream, HoweverMuchIsNewItIsLeftAloneForItsPause) {
  first_ = Stream::Part{.text = "now\n", .pause = 1h, .idle = 2h};
  start();
  const auto client = asks("/often");
  client->read_until("now\n");
  const auto other = asks("/next");
  news(7);
  EXPECT_EQ(other->read_answer().body, "7") << "the server had time to ask them both";
  news(8);
  EXPECT_EQ(health(), 200);
  EXPECT_EQ(often_, 1);
}

TEST_F(HttpStream, ARequestWaitsForNews) {
  start();
  const auto client = asks("/next");
  ASSERT_EQ(health(), 200);
  news(7);
  EXPECT_EQ(client->read_answer().body, "7");
  client->send(request("GET /healthz"));
  EXPECT_EQ(client->read_answer().status, 200) << "its connection goes on as others";
}

TEST_F(HttpStream, ARequestIsAnsweredWithoutNewsAfterItsTime) {
  at_most_ = 1ms;
  start();
  EXPECT_EQ(asks("/next")->read_answer().body, "0");
}

TEST_F(HttpStream, AboveTheirBoundTheyAreRefusedAndNobodyElseIs) {
  options_.streams = 3;
  start();
  std::vector<std::unique_ptr<Client>> readers;
  for (int i = 0; i < 2; ++i) {
    readers.push_back(asks("/numbers"));
    readers.back()->read_until("begin\n");
  }
  readers.push_back(asks("/next"));
  ASSERT_EQ(health(), 200);
  // It may be asked before the one that waits: then that one is refused.
  auto fourth = asks("/numbers");
  const auto answer = fourth->read_answer(Client::Body::NotSent);
  if (answer.status == 200) {
    EXPECT_EQ(readers[2]->read_answer().status, 503);
  } else {
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(asks("/next")->read_answer().status, 503);
  }
  EXPECT_EQ(health(), 200);
  readers.clear();
  // The places are free again once the front has seen that they left.
  for (int status = 503; status != 200;) {
    status = asks("/numbers")->read_answer(Client::Body::NotSent).status;
  }
}

TEST_F(HttpStream, NeverTakesMoreThanHalfOfTheConnections) {
  options_.streams = 100;
  options_.connections = 16;
  start();
  std::vector<std::unique_ptr<Client>> readers;
  int refused = 0;
  for (int i = 0; i < 14; ++i) {
    readers.push_back(asks("/numbers"));
    if (readers.back()->read_answer(Client::Body::NotSent).status == 503) ++refused;
    EXPECT_EQ(health(), 200);
  }
  EXPECT_EQ(refused, 6);
}

TEST_F(HttpStream, AReaderThatTakesNothingIsSentAwayWithTheReason) {
  options_.send_timeout = 50ms;
  start();
  const auto slow = asks("/large");
  slow->read_until("begin\n");
  news(40);
  while (reports().empty()) ASSERT_EQ(health(), 200);
  EXPECT_THAT(reports(), Contains(HasSubstr("did not take what there was to read")));
  // What it reads now are whole parts; the reason is there if it reads in time.
  const std::string rest = slow->read_all();
  EXPECT_LT(rest.size(), std::size_t{40} << 20);
}

TEST_F(HttpStream, ASlowReaderThatGoesOnReadsTheReasonAtTheEnd) {
  options_.send_timeout = 3s;
  start();
  const auto slow = asks("/large");
  slow->read_until("begin\n");
  news(40);
  while (reports().empty()) ASSERT_EQ(health(), 200);
  EXPECT_THAT(slow->read_all(),
              EndsWith(".\nbye: it did not take what there was to read in time\n"));
}

TEST_F(HttpStream, NoReaderHowManyEverKeepsOthersWaiting) {
  options_.threads = 3;
  options_.streams = 100;
  options_.stream_idle = 1ms;
  start();
  std::vector<std::unique_ptr<Client>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(asks("/large"));
  news(100);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(health(), 200);
}

TEST_F(HttpStream, AStopTellsThoseWhoRead) {
  start();
  const auto reader = asks("/numbers");
  reader->read_until("begin\n");
  const auto waiting = asks("/next");
  ASSERT_EQ(health(), 200);
  server_->stop();
  EXPECT_EQ(reader->read_all(), "bye: the daemon is stopping\n");
  const auto answer = waiting->read_answer();
  EXPECT_TRUE(answer.status == 503 || answer.status == 0) << answer.head;
}

}  // namespace
}  // namespace rollcall::inspect
