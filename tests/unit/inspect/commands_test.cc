// Commands over HTTP, over the real core and driver; the test is the loop, the disk and the worker.
#include <gmock/gmock.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>

#include "app/master_driver.h"
#include "inspect/pages.h"
#include "persist/memory_event_log.h"
#include "protocol/codec.h"
#include "protocol/framing.h"
#include "tests/unit/app/fixture.h"
#include "tests/unit/inspect/client.h"

namespace rollcall::inspect {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr master::ConnId kWorker{1};

class MasterCommands : public ::testing::Test,
                       public app::MasterDriver::Log,
                       public app::MasterDriver::Links {
 protected:
  MasterCommands() {
    std::string name =
        (std::filesystem::temp_directory_path() / "rollcall-commands-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    token_ = Token::load_or_make(folder_ + "/token", ::geteuid()).value().authorization();
    add_master_commands(
        server_,
        [this](std::function<void()> task) {
          const std::lock_guard loop(loop_);
          task();
          return true;
        },
        driver_, Token::load(folder_ + "/token").value());
    EXPECT_TRUE(server_.start());
  }
  ~MasterCommands() override {
    server_.stop();
    std::filesystem::remove_all(folder_);
  }

  void append(std::vector<std::string> records, Snapshot, Done done) override {
    ASSERT_TRUE(disk_.append(records));
    waiting_.push_back(std::move(done));
  }
  void send(master::ConnId, std::string bytes) override { to_worker_.feed(bytes); }
  void close(master::ConnId, const std::string&) override {}
  void pause_reading(bool) override {}

  void from_worker(const Message& message) {
    std::string bytes;
    encode_frame(message, bytes);
    driver_.link_received(kWorker, bytes);
  }
  // w1 has agents 7 and 8, and of 8 no version is known; 9 has left it.
  void begin() {
    const std::lock_guard loop(loop_);
    driver_.start();
    turn();
    driver_.link_accepted(kWorker, {"w1"}, "10.0.0.1:5");
    Hello h;
    h.cluster = "wazuh";
    h.node = h.machine = "w1";
    h.store = StoreId{1};
    h.stream = StreamId{1};
    h.features = {std::string(kFeatureCommands)};
    from_worker(h);
    Delta delta;
    for (const std::uint32_t agent : {7u, 8u, 9u}) {
      Event& e = delta.events.emplace_back();
      e.agent = AgentId{agent};
      e.epoch = Epoch{1'700'000'000'000'000};
      e.evidence = {time_of(e.epoch), time_of(e.epoch)};
      if (agent != 7) continue;
      e.info = std::make_shared<const AgentInfo>(AgentInfo{{"version", "Wazuh v4.14.7"}});
      e.info_hash = hash_of(*e.info);
    }
    delta.events.push_back(delta.events.back());
    delta.events.back().kind = EventKind::closed;
    delta.events.back().change = 1;
    from_worker(delta);
    turn();
  }
  // The disk does its part, and the worker answers what it was asked.
  void turn() {
    while (!waiting_.empty()) {
      auto done = std::move(waiting_.back());
      waiting_.pop_back();
      done({});
    }
    while (const auto payload = to_worker_.next().value()) {
      const auto message = decode(*payload).value();
      const auto* command = std::get_if<Command>(&message);
      if (!command) continue;
      Result result{command->id, {}, {}};
      for (const auto& e : command->entries) {
        told_.push_back(std::to_string(static_cast<std::uint32_t>(e.agent)) + " " + e.version);
        result.entries.push_back({e.agent, CommandOutcome::sent});
      }
      if (!mute_) from_worker(result);
    }
  }
  Client::Answer put(const std::string& query, const std::string& body = "") {
    return put_with(query, body, "Authorization: " + token_ + "\r\n");
  }
  Client::Answer put_with(const std::string& query, const std::string& body,
                          const std::string& header) {
    auto answer = std::async(std::launch::async, [&] {
      const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
      return Client(server_.port())
          .send(request("PUT /agents/restart" + query, header + length) + body)
          .read_answer();
    });
    while (answer.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      const std::lock_guard loop(loop_);
      turn();
      clock_.s += pace_s_;
      driver_.tick();
    }
    return answer.get();
  }
  static std::string reasons(const Client::Answer& answer) {
    std::string out;
    const json body = json::parse(answer.body);
    for (const json& f : body.at("failed"))
      out += (out.empty() ? "" : ", ") + std::to_string(f["id"].get<int>()) + " " +
             f["reason"].get<std::string>();
    return out;
  }

  std::string folder_, token_;
  app::HandClock clock_;
  std::int64_t pace_s_ = 0;
  persist::MemoryEventLog disk_;
  std::vector<Done> waiting_;
  FrameReader to_worker_{kMaxFrame};
  std::vector<std::string> told_;
  bool mute_ = false;
  std::mutex loop_;
  app::MasterDriver driver_{{}, {}, {}, "", 1, clock_, *this, *this, [](const Note&) {}};
  HttpServer server_{HttpOptions{}};
};

TEST_F(MasterCommands, AnAgentThatWasToldIsAffected) {
  begin();
  const auto answer = put("?agents_list=007&id=deploy-1");
  EXPECT_EQ(answer.status, 200);
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["id"], "deploy-1");
  EXPECT_EQ(body["affected"], json({7}));
  EXPECT_EQ(body["total_affected"], 1);
  EXPECT_EQ(body["failed"], json::array());
  EXPECT_EQ(told_, std::vector<std::string>({"7 Wazuh v4.14.7"}));
}

TEST_F(MasterCommands, SomeAreAnsweredWith207AndAReasonEach) {
  begin();
  const auto answer = put("?agents_list=7,8,9,010");
  EXPECT_EQ(answer.status, 207);
  EXPECT_EQ(reasons(answer), "8 unknown_version, 9 disconnected, 10 unknown");
  const json body = json::parse(answer.body);
  for (const json& f : body.at("failed")) EXPECT_NE(f["text"], "");
}

TEST_F(MasterCommands, NoneAreAnsweredWith4xx) {
  begin();
  EXPECT_EQ(put("?agents_list=8,9").status, 409);
  const auto unknown = put("?agents_list=10");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(reasons(unknown), "10 unknown");
  EXPECT_THAT(unknown.body, HasSubstr("\"error\":"));
}

TEST_F(MasterCommands, AVersionMayBeAssumedWhereNoneIsKnown) {
  begin();
  EXPECT_EQ(put("?agents_list=7,8&assume=v4.1.0").status, 200);
  EXPECT_EQ(told_, std::vector<std::string>({"7 Wazuh v4.14.7", "8 v4.1.0"}));
}

TEST_F(MasterCommands, AllAreThoseThatAreConnected) {
  begin();
  const auto answer = put("?agents_list=all");
  EXPECT_EQ(answer.status, 207);
  EXPECT_EQ(reasons(answer), "8 unknown_version");
}

TEST_F(MasterCommands, ManyFitIntoTheBody) {
  begin();
  std::string ids = "7";
  for (int i = 100; i < 5'000; ++i) ids += "," + std::to_string(i);
  const auto answer = put("", ids);
  EXPECT_EQ(answer.status, 207);
  EXPECT_EQ(json::parse(answer.body)["total_failed"], 4'900);
}

TEST_F(MasterCommands, TheSameIdAnswersTheSameAndTellsNobodyTwice) {
  begin();
  const auto first = put("?agents_list=7&id=a");
  EXPECT_EQ(put("?agents_list=7&id=a").body, first.body);
  EXPECT_EQ(told_.size(), 1u);
  const auto other = put("?agents_list=7,8&id=a");
  EXPECT_EQ(other.status, 409);
  EXPECT_THAT(other.body, HasSubstr("another command"));
}

TEST_F(MasterCommands, AWorkerThatIsSilentIsWaitedForUntilTheTimeIsOver) {
  begin();
  mute_ = true;
  pace_s_ = 1;
  const auto answer = put("?agents_list=7&timeout=5s");
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(reasons(answer), "7 no_answer");
}

TEST_F(MasterCommands, WhatIsNotAskedForProperlyIsRefused) {
  begin();
  for (const char* query :
       {"", "?agents_list=", "?agents_list=7,", "?agents_list=0", "?agents_list=x",
        "?agents_list=7&assume=new", "?agents_list=7&id=a/b", "?agents_list=7&timeout=2m",
        "?agents_list=7&timeout=5", "?agents_list=7&force=1", "?agents_list=4294967296"})
    EXPECT_EQ(put(query).status, 400) << query;
  EXPECT_EQ(put("?agents_list=7", "8").status, 400);
  EXPECT_EQ(put("", "7;8").status, 400);
  EXPECT_TRUE(told_.empty());
}

TEST_F(MasterCommands, WithoutTheTokenNobodyIsTold) {
  begin();
  EXPECT_EQ(put_with("?agents_list=7", "", "").status, 401);
  EXPECT_EQ(put_with("?agents_list=7", "", "Authorization: Bearer wrong\r\n").status, 403);
  EXPECT_TRUE(told_.empty());
}

TEST_F(MasterCommands, AMasterThatCannotTellTheTimeTellsNobody) {
  const auto answer =  // without a turn of the disk, which would let it
      Client(server_.port())
          .send(request("PUT /agents/restart?agents_list=7",
                        "Authorization: " + token_ + "\r\nContent-Length: 0\r\n"))
          .read_answer();
  EXPECT_EQ(answer.status, 503);
}

TEST_F(MasterCommands, ADaemonThatStopsLetsNobodyWait) {
  begin();
  mute_ = true;
  auto answer = std::async(std::launch::async, [&] {
    return Client(server_.port())
        .send(request("PUT /agents/restart?agents_list=7&timeout=60s&id=a",
                      "Authorization: " + token_ + "\r\nContent-Length: 0\r\n"))
        .read_answer();
  });
  for (bool asked = false; !asked;) {
    const std::lock_guard loop(loop_);
    turn();
    asked = !told_.empty();
  }
  {
    const std::lock_guard loop(loop_);
    driver_.stop();
  }
  const auto ended = answer.get();
  EXPECT_EQ(ended.status, 503);
  EXPECT_THAT(ended.body, HasSubstr("id=a"));
}

TEST_F(MasterCommands, OthersFindAThreadWhileSomeWait) {
  begin();
  mute_ = true;
  const auto ask = [&](const std::string& id) {
    return Client(server_.port())
        .send(request("PUT /agents/restart?agents_list=7&timeout=60s&id=" + id,
                      "Authorization: " + token_ + "\r\nContent-Length: 0\r\n"))
        .read_answer();
  };
  auto first = std::async(std::launch::async, ask, "a");
  auto second = std::async(std::launch::async, ask, "b");
  for (bool asked = false; !asked;) {
    const std::lock_guard loop(loop_);
    turn();
    asked = told_.size() == 2;
  }
  const auto third = ask("c");
  EXPECT_EQ(third.status, 429);
  EXPECT_THAT(third.head, HasSubstr("Retry-After: 1"));
  {
    const std::lock_guard loop(loop_);
    driver_.stop();
  }
  EXPECT_EQ(first.get().status, 503);
  EXPECT_EQ(second.get().status, 503);
}

}  // namespace
}  // namespace rollcall::inspect
