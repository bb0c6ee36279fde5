#include "tests/support/standin_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace rollcall::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string frame(const std::string& text) {
  const auto length = static_cast<std::uint32_t>(text.size());
  std::string out(4, '\0');
  std::memcpy(out.data(), &length, 4);
  return out + text;
}

// A blocking client, patient enough for a loaded machine.
class Client {
 public:
  explicit Client(const std::filesystem::path& path)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void send(const std::string& bytes) {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Up to `count` bytes; fewer if the peer closes or stays silent for `patience`.
  std::string receive(std::size_t count, std::chrono::milliseconds patience = 20s) {
    std::string out;
    while (out.size() < count) {
      pollfd ready{fd_, POLLIN, 0};
      if (poll(&ready, 1, static_cast<int>(patience.count())) <= 0) {
        silent_ = true;
        break;
      }
      char byte[4096];
      const ssize_t got = recv(fd_, byte, std::min(sizeof byte, count - out.size()), 0);
      if (got <= 0) {
        closed_ = true;
        break;
      }
      out.append(byte, static_cast<std::size_t>(got));
    }
    return out;
  }
  std::string reply(std::chrono::milliseconds patience = 20s) {
    const std::string header = receive(4, patience);
    if (header.size() < 4) {
      return "";
    }
    std::uint32_t length = 0;
    std::memcpy(&length, header.data(), 4);
    return receive(length, patience);
  }
  std::string ask(const std::string& request) {
    send(frame(request));
    return reply();
  }
  bool closed() const { return closed_; }
  bool silent() const { return silent_; }

 private:
  int fd_;
  bool connected_ = false;
  bool closed_ = false;
  bool silent_ = false;
};

constexpr auto kSilence = 200ms;  // long enough to believe that no answer comes
const std::string kCount = "global sql SELECT count(*) n FROM agent WHERE id>0";

class StandinServing : public ::testing::Test {
 protected:
  StandinServing() {
    std::string pattern = (std::filesystem::temp_directory_path() / "standin-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    socket_ = folder_ / "queue/db/wdb";
    options_.clock = [this] { return now_.load(); };
    server_.emplace(options_);
    const auto started = server_->start(socket_);
    EXPECT_TRUE(started) << started.error();
  }
  ~StandinServing() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  void enroll(int id) {
    EXPECT_EQ(server_->ask("global insert-agent {\"id\":" + std::to_string(id) +
                           ",\"name\":\"a\",\"date_add\":1}"),
              "ok");
  }
  nlohmann::json stats() { return nlohmann::json::parse(server_->control("stats").substr(3)); }

  std::atomic<std::int64_t> now_ = 1800000000;
  StandinOptions options_;
  std::filesystem::path folder_;
  std::filesystem::path socket_;
  std::optional<StandinServer> server_;
};

TEST_F(StandinServing, AnswersSeveralFramesOfOneWriteInOrder) {
  enroll(1);
  Client client(socket_);
  client.send(frame(kCount) + frame("foo") + frame("global get-labels 1"));
  EXPECT_EQ(client.reply(), "ok [{\"n\":1}]");
  EXPECT_EQ(client.reply(), "err Invalid DB query syntax, near 'foo'");
  EXPECT_EQ(client.reply(), "ok []");
}

TEST_F(StandinServing, AnswersAFrameThatArrivesByteByByte) {
  Client client(socket_);
  for (const char byte : frame(kCount)) {
    client.send(std::string(1, byte));
  }
  EXPECT_EQ(client.reply(), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, ServesManyClientsAtOnce) {
  enroll(1);
  std::vector<std::thread> threads;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([this, &answered] {
      Client client(socket_);
      for (int round = 0; round < 50; ++round) {
        answered += client.ask(kCount) == "ok [{\"n\":1}]";
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(answered, 600);
}

TEST_F(StandinServing, AFrameOfLengthZeroClosesTheConnection) {
  Client client(socket_);
  client.send(frame(""));
  EXPECT_EQ(client.reply(), "");
  EXPECT_TRUE(client.closed());
}

TEST_F(StandinServing, AnOversizeRequestIsNeverAnsweredAndCostsAWorker) {
  Client client(socket_);
  client.send(std::string("\x01\0\x01\0", 4) + "the rest never matters");
  EXPECT_EQ(client.reply(kSilence), "");
  EXPECT_TRUE(client.silent());
  EXPECT_EQ(stats()["oversize_requests"], 1);
  EXPECT_EQ(stats()["largest_request"], 65537);

  Client other(socket_);
  EXPECT_EQ(other.ask(kCount), "ok [{\"n\":0}]");
  std::vector<std::unique_ptr<Client>> killers;
  for (int i = 0; i < 7; ++i) {
    killers.push_back(std::make_unique<Client>(socket_));
    killers.back()->send(std::string("\x01\0\x01\0", 4));
  }
  while (stats()["oversize_requests"] != 8) {
    std::this_thread::yield();
  }
  other.send(frame(kCount));
  EXPECT_EQ(other.reply(kSilence), "");
  EXPECT_TRUE(other.silent()) << "all eight workers are gone";
  Client control(socket_);
  EXPECT_EQ(control.ask("standin reset"), "ok");
  EXPECT_EQ(other.reply(), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, ClientsThatStopInsideAFrameStarveTheOthers) {
  std::vector<std::unique_ptr<Client>> halves;
  for (int i = 0; i < 8; ++i) {
    halves.push_back(std::make_unique<Client>(socket_));
    halves.back()->send(frame(kCount).substr(0, 10));
  }
  while (stats()["open_connections"] != 8) {
    std::this_thread::yield();
  }
  Client ninth(socket_);
  ninth.send(frame(kCount));
  EXPECT_EQ(ninth.reply(kSilence), "");
  halves[3]->send(frame(kCount).substr(10));
  EXPECT_EQ(halves[3]->reply(), "ok [{\"n\":0}]");
  EXPECT_EQ(ninth.reply(), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, SlowDelaysEachReplyButNotTheNextConnection) {
  Client client(socket_);
  EXPECT_EQ(client.ask("standin fault slow 300"), "ok");
  const auto begin = std::chrono::steady_clock::now();
  client.send(frame(kCount));
  Client other(socket_);
  other.send(frame(kCount));
  EXPECT_EQ(client.reply(), "ok [{\"n\":0}]");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 290ms);
  EXPECT_EQ(other.reply(), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, ASlowReplyTellsTheTableAsItWasWhenAsked) {
  Client client(socket_);
  client.ask("standin fault slow 300");
  client.send(frame(kCount));
  while (stats()["requests"] != 1) {
    std::this_thread::yield();
  }
  enroll(1);
  EXPECT_EQ(client.reply(), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, TruncateCutsEarlierThanTheRealLimit) {
  enroll(1);
  Client client(socket_);
  client.ask("standin fault truncate 10");
  EXPECT_EQ(client.ask(kCount), "ok [{\"n\":1");
  EXPECT_EQ(stats()["truncated_replies"], 1);
  client.ask("standin fault none");
  EXPECT_EQ(client.ask(kCount), "ok [{\"n\":1}]");
}

TEST_F(StandinServing, AStallMutesAConnectionForEverAndOthersOnlyWhileItLasts) {
  Client client(socket_);
  EXPECT_EQ(server_->control("fault stall"), "ok");
  client.send(frame(kCount));
  EXPECT_EQ(client.reply(kSilence), "");
  EXPECT_TRUE(client.silent());
  server_->set_fault({});
  client.send(frame(kCount));
  EXPECT_EQ(client.reply(kSilence), "") << "it would be the answer to another request";
  EXPECT_EQ(client.ask("standin fault none"), "ok");
  Client other(socket_);
  EXPECT_EQ(other.ask(kCount), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, CloseAnswersAndClosesDropOnlyCloses) {
  server_->control("fault close");
  Client closed(socket_);
  EXPECT_EQ(closed.ask(kCount), "ok [{\"n\":0}]");
  EXPECT_EQ(closed.reply(), "");
  EXPECT_TRUE(closed.closed());
  server_->control("fault drop");
  Client dropped(socket_);
  EXPECT_EQ(dropped.ask(kCount), "");
  EXPECT_TRUE(dropped.closed());
}

TEST_F(StandinServing, PartialSendsHalfAFrameAndCloses) {
  server_->control("fault partial");
  Client client(socket_);
  EXPECT_EQ(client.ask(kCount), "ok [") << "the frame promised 12 bytes";
  EXPECT_TRUE(client.closed());
}

TEST_F(StandinServing, GarbageComesInThreeKinds) {
  Client client(socket_);
  server_->control("fault garbage");
  EXPECT_EQ(client.ask(kCount).size(), 9U);
  server_->control("fault garbage json");
  EXPECT_THAT(client.ask(kCount), StartsWith("ok [{"));
  server_->control("fault garbage frame");
  client.send(frame(kCount));
  EXPECT_EQ(client.receive(9), "\xff\xff\xff\xffok []");
}

TEST_F(StandinServing, AnUnknownFaultIsAnErrorAndChangesNothing) {
  Client client(socket_);
  EXPECT_EQ(client.ask("standin fault meteor"), "err no such fault: 'meteor'");
  EXPECT_EQ(client.ask("standin fault slow"), "err no such fault: 'slow'");
  EXPECT_EQ(client.ask("standin nonsense"), "err no such request to the stand-in: 'nonsense'");
  EXPECT_EQ(client.ask(kCount), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, FaultsAndCountersLeaveTheManagersOwnDaemonsAlone) {
  server_->control("fault drop");
  Client manager(socket_);
  EXPECT_EQ(manager.ask("standin manager"), "ok");
  EXPECT_EQ(manager.ask("global insert-agent {\"id\":1,\"name\":\"a\",\"date_add\":1}"), "ok");
  EXPECT_EQ(stats()["requests"], 0);
  EXPECT_EQ(stats()["forbidden"], 0);
  EXPECT_EQ(stats()["manager_requests"], 1);
  EXPECT_EQ(stats()["rows"], 1);
}

TEST_F(StandinServing, StatsTellWhatAnObserverDidThatItMustNot) {
  Client client(socket_);
  client.ask(kCount);
  client.ask("global sql UPDATE agent SET name='x'");
  client.ask("global sync-agent-info-get");
  client.ask("global get-agent-info 0");
  client.ask("global update-keepalive {}");
  const auto seen = stats();
  EXPECT_EQ(seen["requests"], 5);
  EXPECT_EQ(seen["non_select_sql"], 1);
  EXPECT_EQ(seen["secret_reads"], 1);
  EXPECT_EQ(seen["forbidden"], 2);
  EXPECT_EQ(seen["forbidden_commands"]["sync-agent-info-get"], 1);
  EXPECT_EQ(seen["commands"]["sql"], 2);
  EXPECT_GT(seen["bytes_in"], 5 * 4);
  EXPECT_GT(seen["bytes_out"], 0);
  EXPECT_EQ(seen["largest_request"], kCount.size());
}

TEST_F(StandinServing, AFrameThatComesInPiecesIsCounted) {
  Client whole(socket_);
  whole.send(frame(kCount) + frame(kCount));
  whole.reply();
  whole.reply();
  EXPECT_EQ(server_->stats().partial_frames, 0u);
  Client pieces(socket_);
  pieces.send(frame(kCount).substr(0, 4));
  while (server_->stats().partial_frames == 0) std::this_thread::yield();
  pieces.send(kCount);
  pieces.reply();
  EXPECT_EQ(server_->stats().partial_frames, 1u);
}

TEST_F(StandinServing, RowsAreCountedAsTheyAreOrAsAColumnCountsThem) {
  ASSERT_EQ(server_->control("fill 30"), "ok");
  Client client(socket_);
  client.ask("global sql SELECT id FROM agent WHERE id BETWEEN 1 AND 7");
  EXPECT_EQ(server_->stats().rows_out, 7u);
  client.ask("global sql SELECT group_concat(id) r,count(*) c FROM agent WHERE id>10");
  EXPECT_EQ(server_->stats().rows_out, 27u);
  EXPECT_GT(server_->stats().observer_cpu_us, 0u);
}

TEST_F(StandinServing, FillMakesActiveAgentsThatAllDiffer) {
  EXPECT_EQ(server_->control("fill 3 100 w9"), "ok");
  EXPECT_EQ(server_->ask("global sql SELECT count(*) n,count(DISTINCT name) d,count(DISTINCT"
                         " config_sum) s,min(id) a,max(id) z FROM agent WHERE id>0 AND"
                         " node_name='w9' AND connection_status='active'"),
            "ok [{\"n\":3,\"d\":3,\"s\":3,\"a\":100,\"z\":102}]");
  EXPECT_THAT(server_->control("fill 3 100"), StartsWith("err")) << "they are there";
  for (const char* bad : {"fill", "fill x", "fill 0", "fill 3 0"})
    EXPECT_THAT(server_->control(bad), StartsWith("err")) << bad;
}

TEST_F(StandinServing, KeepalivesGoRoundAllAgentsUntilTheyAreStopped) {
  ASSERT_EQ(server_->control("fill 50"), "ok");
  now_ += 1'000;
  ASSERT_EQ(server_->control("keepalives 50 100"), "ok");
  const std::string heard =
      "global sql SELECT count(*) n FROM agent WHERE id>0 AND last_keepalive=" +
      std::to_string(now_.load());
  while (server_->ask(heard) != "ok [{\"n\":50}]") std::this_thread::yield();
  EXPECT_EQ(server_->stats().requests, 0u) << "nobody asked";
  ASSERT_EQ(server_->control("keepalives 0"), "ok");
  for (const char* bad : {"keepalives", "keepalives 5", "keepalives 5 0", "keepalives -1 5"})
    EXPECT_THAT(server_->control(bad), StartsWith("err")) << bad;
}

TEST_F(StandinServing, TheClockCanBeSkewedWhileItRuns) {
  Client client(socket_);
  const std::string ask_time = "global sql SELECT strftime('%s','now') t";
  EXPECT_EQ(client.ask(ask_time), "ok [{\"t\":\"1800000000\"}]");
  EXPECT_EQ(client.ask("standin offset -300"), "ok");
  EXPECT_EQ(client.ask(ask_time), "ok [{\"t\":\"1799999700\"}]");
  now_ += 7;
  EXPECT_EQ(client.ask(ask_time), "ok [{\"t\":\"1799999707\"}]");
}

TEST_F(StandinServing, ARestartBreaksConnectionsAndKeepsTheTable) {
  enroll(1);
  Client before(socket_);
  EXPECT_EQ(before.ask(kCount), "ok [{\"n\":1}]");
  server_->stop();
  EXPECT_EQ(before.receive(1), "");
  EXPECT_TRUE(before.closed());
  EXPECT_FALSE(Client(socket_).connected());
  ASSERT_TRUE(server_->start(socket_));
  EXPECT_EQ(Client(socket_).ask(kCount), "ok [{\"n\":1}]");
}

TEST_F(StandinServing, ASocketThatWasLeftBehindIsReplaced) {
  const auto left = folder_ / "left";
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  left.string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  StandinServer other;
  ASSERT_TRUE(other.start(left));
  EXPECT_EQ(Client(left).ask(kCount), "ok [{\"n\":0}]");
}

TEST_F(StandinServing, APathThatCannotBeListenedOnIsAnErrorWithAReason) {
  StandinServer other;
  EXPECT_THAT(other.start(folder_ / std::string(120, 'x')).error(), HasSubstr("longer than"));
  EXPECT_THAT(other.start(socket_ / "below a socket").error(), HasSubstr("cannot make"));
}

TEST_F(StandinServing, HttpIsServedOnASecondSocketAndSeesTheSameTable) {
  enroll(5);
  const auto path = folder_ / "queue/sockets/wdb-http.sock";
  ASSERT_TRUE(server_->start_http(path));
  Client client(path);
  client.send("GET /v1/agents/ids HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string expected =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[5]";
  EXPECT_EQ(client.receive(expected.size()), expected);
  const std::string body = "{\"syncreq_keepalive\":[{\"id\":5,\"version\":\"Wazuh v4.14.7\"}]}";
  client.send("POST /v1/agents/sync HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\nConnection: close\r\n\r\n" + body);
  EXPECT_THAT(client.receive(1000), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(server_->ask("global sql SELECT connection_status c,last_keepalive k FROM agent "
                         "WHERE id=5"),
            "ok [{\"c\":\"active\",\"k\":1800000000}]");
  EXPECT_EQ(stats()["http_requests"], 2);
}

}  // namespace
}  // namespace rollcall::testing
