// The calls that change something, over the real core and driver; the disk answers when it is told
// to.
#include <gmock/gmock.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <mutex>

#include "app/master_driver.h"
#include "inspect/page_tools.h"
#include "inspect/pages.h"
#include "persist/memory_event_log.h"
#include "protocol/codec.h"
#include "tests/unit/app/fixture.h"
#include "tests/unit/inspect/client.h"

namespace rollcall::inspect {
namespace {

using ::testing::HasSubstr;

class MasterActions : public ::testing::Test,
                      public app::MasterDriver::Log,
                      public app::MasterDriver::Links {
 protected:
  MasterActions() {
    std::string name =
        (std::filesystem::temp_directory_path() / "rollcall-actions-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    token_ = Token::load_or_make(folder_ + "/token", ::geteuid()).value().authorization();
    add_master_actions(
        server_,
        [this](std::function<void()> task) {
          const std::lock_guard loop(loop_);
          task();
          if (after_task_) after_task_();
          return true;
        },
        driver_, Token::load(folder_ + "/token").value());
    EXPECT_TRUE(server_.start());
  }
  ~MasterActions() override {
    server_.stop();
    std::filesystem::remove_all(folder_);
  }

  void append(std::vector<std::string> records, Snapshot, Done done) override {
    ASSERT_TRUE(disk_.append(records));
    waiting_.push_back(std::move(done));
  }
  void send(master::ConnId, std::string) override {}
  void close(master::ConnId, const std::string&) override {}
  void pause_reading(bool) override {}

  void disk_turn() {
    while (!waiting_.empty()) {
      auto done = std::move(waiting_.back());
      waiting_.pop_back();
      done({});
    }
  }
  void begin() {
    const std::lock_guard loop(loop_);
    driver_.start();
    disk_turn();
    Hello h;
    h.cluster = "wazuh";
    h.node = "w1";
    h.machine = "w1";
    h.store = StoreId{1};
    h.stream = StreamId{1};
    std::string bytes;
    encode_frame(Message{h}, bytes);
    driver_.link_accepted(master::ConnId{1}, {"w1"}, "10.0.0.1:5");
    driver_.link_received(master::ConnId{1}, bytes);
    disk_turn();
  }
  Client::Answer post(const std::string& path, const std::string& authorization) {
    const std::string header =
        authorization.empty() ? "" : "Authorization: " + authorization + "\r\n";
    return Client(server_.port())
        .send(request("POST " + path, header + "Content-Length: 0\r\n"))
        .read_answer();
  }
  // With the token; the disk does its part as soon as it is asked.
  Client::Answer post(const std::string& path) {
    auto answer = std::async(std::launch::async, [&] { return post(path, token_); });
    while (answer.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      const std::lock_guard loop(loop_);
      disk_turn();
    }
    return answer.get();
  }
  // The worker's link is lost, and its grace ends.
  void hold_lease() {
    driver_.link_closed(master::ConnId{1});
    for (int s = 0; s < 700 && state().lease_of("w1") != master::LeaseStatus::held; ++s) {
      ++clock_.s;
      driver_.tick();
      disk_turn();
    }
    EXPECT_EQ(state().lease_of("w1"), master::LeaseStatus::held);
  }
  const master::State& state() { return driver_.core().state(); }

  std::string folder_, token_;
  app::HandClock clock_;
  persist::MemoryEventLog disk_;
  std::vector<Done> waiting_;
  std::function<void()> after_task_;  // on the loop
  std::mutex loop_;
  app::MasterDriver driver_{{}, {}, {}, "", 1, clock_, *this, *this, [](const Note&) {}};
  HttpServer server_{HttpOptions{}};
};

TEST_F(MasterActions, AreRefusedWithoutTheTokenAndChangeNothing) {
  begin();
  for (const char* path : {"/confirm", "/freeze?for=30m", "/unfreeze", "/nodes/w1/forget"}) {
    const auto without = post(path, "");
    EXPECT_EQ(without.status, 401) << path;
    EXPECT_THAT(without.head, HasSubstr("WWW-Authenticate: Bearer"));
    EXPECT_THAT(without.body, HasSubstr(folder_ + "/token"));
    const auto wrong = post(path, "Bearer " + std::string(64, '0'));
    EXPECT_EQ(wrong.status, 403) << path;
    EXPECT_THAT(wrong.body, HasSubstr(folder_ + "/token"));
  }
  EXPECT_TRUE(state().frozen().empty());
}

TEST_F(MasterActions, TakePostOnly) {
  for (const char* path : {"/confirm", "/freeze", "/unfreeze", "/nodes/w1/forget"}) {
    const auto answer =
        Client(server_.port()).send(request(std::string("GET ") + path)).read_answer();
    EXPECT_EQ(answer.status, 405) << path;
    EXPECT_THAT(answer.head, HasSubstr("Allow: POST"));
  }
}

TEST_F(MasterActions, OfAnotherSiteAreRefusedEvenWithTheToken) {
  begin();
  const auto answer =
      Client(server_.port())
          .send(request("POST /freeze?for=30m", "Origin: http://evil.example\r\nAuthorization: " +
                                                    token_ + "\r\nContent-Length: 0\r\n"))
          .read_answer();
  EXPECT_EQ(answer.status, 403);
  EXPECT_TRUE(state().frozen().empty());
}

TEST_F(MasterActions, TwoTokensInOneRequestAreRefused) {
  const auto answer =
      Client(server_.port())
          .send(request("POST /confirm",
                        "Authorization: " + token_ + "\r\nAuthorization: " + token_ + "\r\n"))
          .read_answer();
  EXPECT_EQ(answer.status, 400);
}

TEST_F(MasterActions, FreezeAndUnfreezeAreAnsweredWhenTheyAreInTheLog) {
  begin();
  const auto records = disk_.next_index();
  const auto frozen = post("/freeze?for=30m&node=w1");
  EXPECT_EQ(frozen.status, 200) << frozen.body;
  EXPECT_EQ(Json::parse(frozen.body), (Json{{"frozen", "w1"}, {"for_us", 1'800'000'000}}));
  EXPECT_GT(disk_.next_index(), records);
  EXPECT_TRUE(state().frozen().contains("w1"));
  EXPECT_EQ(post("/unfreeze?node=w1").status, 200);
  EXPECT_FALSE(state().frozen().contains("w1"));
}

TEST_F(MasterActions, ALogThatCannotBeWrittenIsNoSuccess) {
  begin();
  const auto answer = post("/freeze?for=30m", token_);  // the disk never answers
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("it is not known whether this was done"));
}

TEST_F(MasterActions, BadParametersAreRefusedWithWhatIsAllowed) {
  begin();
  for (const char* path : {"/freeze", "/freeze?for=0s", "/freeze?for=25h", "/freeze?for=soon"}) {
    const auto answer = post(path);
    EXPECT_EQ(answer.status, 400) << path;
    EXPECT_THAT(answer.body, HasSubstr("1s to 24h")) << path;
  }
  EXPECT_EQ(post("/confirm?all=1").status, 400);
  EXPECT_EQ(post("/nodes/a%20b/forget").status, 400);
}

TEST_F(MasterActions, ANodeThatNobodyKnowsIsNotFound) {
  begin();
  for (const char* path : {"/freeze?for=30m&node=w9", "/unfreeze?node=w9", "/nodes/w9/forget"}) {
    EXPECT_EQ(post(path).status, 404) << path;
  }
}

TEST_F(MasterActions, ANodeIsNotForgottenWhileItsLeaseRuns) {
  begin();
  EXPECT_EQ(post("/nodes/w1/forget").status, 409);
  EXPECT_TRUE(state().nodes().contains("w1"));
}

TEST_F(MasterActions, ConfirmNamesWhoseLeasesWereHeld) {
  begin();
  hold_lease();
  const auto answer = post("/confirm");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(Json::parse(answer.body), (Json{{"confirmed", {"w1"}}}));
  EXPECT_EQ(state().lease_of("w1"), master::LeaseStatus::expired);
}

TEST_F(MasterActions, ALeaseThatIsHeldWhileConfirmIsAnsweredIsLeftToTheNext) {
  begin();
  after_task_ = [this] {
    after_task_ = nullptr;
    hold_lease();
  };
  const auto answer = post("/confirm");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(Json::parse(answer.body), (Json{{"confirmed", Json::array()}}));
  EXPECT_EQ(state().lease_of("w1"), master::LeaseStatus::held);
}

TEST_F(MasterActions, BeforeTheTimeCanBeToldNothingIsChanged) {
  EXPECT_EQ(post("/freeze?for=30m").status, 503);
}

}  // namespace
}  // namespace rollcall::inspect
