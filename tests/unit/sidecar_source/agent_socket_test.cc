#include "sidecar/source/agent_socket.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/datagram_reader.h"

namespace rollcall::sidecar {
namespace {

using support::DatagramReader;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class AgentSocketTest : public ::testing::Test {
 protected:
  AgentSocketTest() {
    std::string name = ::testing::TempDir() + "rollcall-ar-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    options_.path = folder_ + "/ar";
    options_.retry = 1ms;
  }
  ~AgentSocketTest() override { std::filesystem::remove_all(folder_); }

  // Notes how it went, and stops the loop when nothing is left to be told.
  void send(AgentSocket& socket, std::string text, std::chrono::milliseconds patience) {
    ++open_;
    socket.send(std::move(text), patience, [this](const std::optional<Error>& failure) {
      told_.push_back(failure ? failure->message : "sent");
      if (--open_ == 0) loop_.stop();
    });
  }

  std::string folder_;
  net::Loop loop_;
  AgentSocket::Options options_;
  int open_ = 0;
  std::vector<std::string> told_;
};

TEST_F(AgentSocketTest, WhatIsSentArrivesInOrder) {
  DatagramReader remoted(options_.path);
  ASSERT_TRUE(remoted.bound());
  AgentSocket socket(loop_, options_);
  for (const char* text : {"first", "second", "third"}) send(socket, text, 10s);
  EXPECT_THAT(told_, SizeIs(0)) << "never from inside send()";
  loop_.run();
  EXPECT_THAT(told_, ElementsAre("sent", "sent", "sent"));
  EXPECT_THAT(remoted.read_all(), ElementsAre("first", "second", "third"));
  EXPECT_EQ(socket.status().sent, 3u);
}

TEST_F(AgentSocketTest, WithoutRemotedItIsTriedUntilThePatienceIsOver) {
  AgentSocket socket(loop_, options_);
  send(socket, "text", 20ms);
  loop_.run();
  EXPECT_THAT(told_, ElementsAre(HasSubstr("no such socket")));
  EXPECT_EQ(socket.status().failed, 1u);
  EXPECT_EQ(socket.status().waiting, 0u);
}

TEST_F(AgentSocketTest, ARemotedThatComesBackGetsWhatWaited) {
  { DatagramReader killed(options_.path); }
  AgentSocket socket(loop_, options_);
  send(socket, "text", 1h);
  std::optional<DatagramReader> remoted;
  net::Timer later(loop_);
  later.repeat(1ms, [&] {
    if (!socket.status().trouble) return;
    EXPECT_THAT(*socket.status().trouble, HasSubstr("nobody reads there"));
    remoted.emplace(options_.path);
    later.stop();
  });
  loop_.run();
  EXPECT_THAT(told_, ElementsAre("sent"));
  EXPECT_THAT(remoted->read_all(), ElementsAre("text"));
}

TEST_F(AgentSocketTest, ASlowRemotedGetsEverythingInOrder) {
  DatagramReader remoted(options_.path);
  options_.retry = 1h;  // it is waited for, not polled
  AgentSocket socket(loop_, options_);
  std::vector<std::string> expected, read;
  for (int i = 0; i < 3'000; ++i) {
    expected.push_back(std::to_string(i));
    send(socket, expected.back(), 1h);
  }
  net::Timer reader(loop_);
  reader.repeat(1ms, [&] { std::ranges::move(remoted.read_all(), std::back_inserter(read)); });
  loop_.run();
  reader.stop();
  std::ranges::move(remoted.read_all(), std::back_inserter(read));
  EXPECT_EQ(read, expected);
  EXPECT_THAT(told_, Each("sent"));
}

TEST_F(AgentSocketTest, ARemotedThatReadsNothingFailsTheRestOnly) {
  DatagramReader remoted(options_.path);
  AgentSocket socket(loop_, options_);
  for (int i = 0; i < 3'000; ++i) send(socket, "text", 20ms);
  loop_.run();
  ASSERT_THAT(told_, SizeIs(3'000));
  EXPECT_EQ(told_.front(), "sent");
  EXPECT_THAT(told_.back(), HasSubstr("slow to read"));
  EXPECT_EQ(remoted.read_all().size(), socket.status().sent);
}

TEST_F(AgentSocketTest, ItsQueueIsBounded) {
  options_.waiting = 2;
  AgentSocket socket(loop_, options_);
  for (const char* text : {"first", "second", "third"}) send(socket, text, 20ms);
  EXPECT_EQ(socket.status().waiting, 2u);
  loop_.run();
  EXPECT_THAT(told_, ElementsAre(HasSubstr("2 messages wait"), HasSubstr("no such socket"),
                                 HasSubstr("no such socket")));
}

TEST_F(AgentSocketTest, StoppedItTellsNothing) {
  DatagramReader remoted(options_.path);
  AgentSocket socket(loop_, options_);
  send(socket, "dropped", 1h);
  socket.stop();
  send(socket, "first", 1h);
  socket.send("second", 1h, [&](const std::optional<Error>&) { socket.stop(); });
  socket.send("third", 1h, [](const std::optional<Error>&) { FAIL() << "it was stopped"; });
  net::Timer later(loop_);
  later.start(20ms, [&] { loop_.stop(); });
  loop_.run();
  EXPECT_THAT(told_, ElementsAre("sent"));
  EXPECT_THAT(remoted.read_all(), ElementsAre("first", "second", "third"));
}

}  // namespace
}  // namespace rollcall::sidecar
