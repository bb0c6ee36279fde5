#include "sidecar/source/remoted_counters.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/sidecar_source/fake_remoted.h"

namespace rollcall::sidecar {
namespace {

using test::FakeRemoted;
using ::testing::ElementsAre;
using ::testing::Pair;
using namespace std::chrono_literals;

TEST(RemotedCounts, AreAskedForByIdAndReadFromTheAnswer) {
  const std::vector<AgentId> agents = {AgentId{7}, AgentId{42}};
  EXPECT_EQ(counts_request(agents),
            R"({"command":"getagentsstats","parameters":{"agents":[7,42]}})");
  const auto counts = take_counts(
      R"({"error":0,"message":"ok","data":{"timestamp":1,"name":"wazuh-remoted","agents":[)"
      R"({"uptime":1,"id":42,"metrics":{"messages":{"received_breakdown":{"control":3,)"
      R"("control_breakdown":{"keepalive":1,"request":0,"shutdown":0,"startup":5},"event":0},)"
      R"("sent_breakdown":{"ack":1}}}}]}})");
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_THAT(*counts, ElementsAre(Pair(AgentId{42}, Counts{5, 1, 0, 1})));
}

TEST(RemotedCounts, AnyOtherAnswerIsAnError) {
  for (const char* reply :
       {"", "{}", "[]", R"({"error":9,"message":"Error getting agents from DB","data":{}})",
        R"({"error":0,"data":{}})", R"({"error":0,"data":{"agents":7}})",
        R"({"error":0,"data":{"agents":[7]}})", R"({"error":0,"data":{"agents":[{"id":7}]}})",
        R"({"error":0,"data":{"agents":[]})"})
    EXPECT_FALSE(take_counts(reply)) << reply;
}

class RemotedCountersTest : public ::testing::Test {
 protected:
  RemotedCountersTest() {
    std::string name = ::testing::TempDir() + "rollcall-remoted-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    options_.socket_path = folder_ + "/remote";
    options_.timeout = 10s;
    options_.put_off = {.base = 1h, .cap = 1h};
  }
  ~RemotedCountersTest() override { std::filesystem::remove_all(folder_); }

  // The answer to one question; nothing if there was none.
  std::optional<CountsOf> ask(RemotedCounters& counters) {
    std::optional<CountsOf> answer;
    const std::vector<AgentId> seven = {AgentId{7}};
    counters.ask(seven, [&](std::optional<CountsOf> starts) {
      answer = std::move(starts);
      loop_.stop();
    });
    EXPECT_FALSE(counters.may_ask());
    loop_.run();
    return answer;
  }

  std::string folder_;
  net::Loop loop_;
  RemotedCounters::Options options_;
};

TEST_F(RemotedCountersTest, EachQuestionIsAConnectionOfItsOwn) {
  FakeRemoted remoted(loop_, options_.socket_path);
  ASSERT_TRUE(remoted.listening());
  RemotedCounters counters(loop_, options_);
  for (std::uint64_t i = 1; i <= 3; ++i) {
    remoted.counts = {{7, {i, 1, 2}}};
    ASSERT_TRUE(counters.may_ask());
    const auto starts = ask(counters);
    ASSERT_TRUE(starts);
    EXPECT_THAT(*starts, ElementsAre(Pair(AgentId{7}, Counts{i, 1, 2, 1})));
    EXPECT_EQ(counters.answers(), true);
  }
  EXPECT_EQ(remoted.asked.size(), 3u);
}

TEST_F(RemotedCountersTest, WithoutASocketNothingIsKnownAndQuestionsArePutOff) {
  RemotedCounters counters(loop_, options_);
  EXPECT_EQ(counters.answers(), std::nullopt);
  EXPECT_EQ(ask(counters), std::nullopt);
  EXPECT_EQ(counters.answers(), false);
  EXPECT_FALSE(counters.may_ask());
}

TEST_F(RemotedCountersTest, AnAnswerThatMakesNoSenseIsNone) {
  FakeRemoted remoted(loop_, options_.socket_path);
  for (const std::string& says :
       {FakeRemoted::framed("err"), FakeRemoted::framed("{"), std::string("\xff\xff\xff\xff{}")}) {
    remoted.says = says;
    RemotedCounters counters(loop_, options_);
    EXPECT_EQ(ask(counters), std::nullopt);
    EXPECT_FALSE(counters.may_ask());
  }
}

TEST_F(RemotedCountersTest, SilenceIsNotWaitedForLong) {
  FakeRemoted remoted(loop_, options_.socket_path);
  remoted.mute = true;
  options_.timeout = 20ms;
  RemotedCounters counters(loop_, options_);
  EXPECT_EQ(ask(counters), std::nullopt);
  EXPECT_EQ(remoted.asked.size(), 1u);
}

TEST_F(RemotedCountersTest, PutOffQuestionsMayBeAskedAgainLater) {
  options_.put_off = {.base = 1ms, .cap = 1ms};
  RemotedCounters counters(loop_, options_);
  EXPECT_EQ(ask(counters), std::nullopt);
  FakeRemoted remoted(loop_, options_.socket_path);
  remoted.counts = {{7, {1, 1, 2}}};
  net::Timer watch(loop_);
  watch.repeat(1ms, [&] {
    if (counters.may_ask()) loop_.stop();
  });
  loop_.run();
  watch.stop();
  EXPECT_TRUE(ask(counters));
}

TEST_F(RemotedCountersTest, StoppedItCallsNothing) {
  FakeRemoted remoted(loop_, options_.socket_path);
  RemotedCounters counters(loop_, options_);
  bool called = false;
  const std::vector<AgentId> seven = {AgentId{7}};
  counters.ask(seven, [&](const std::optional<CountsOf>&) { called = true; });
  counters.stop();
  net::Timer later(loop_);
  later.start(20ms, [&] { loop_.stop(); });
  loop_.run();
  EXPECT_FALSE(called);
  EXPECT_TRUE(counters.may_ask());
}

}  // namespace
}  // namespace rollcall::sidecar
