#pragma once
// A server whose pages are asked over HTTP; the test is their loop.
#include <gtest/gtest.h>

#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "inspect/http_server.h"
#include "inspect/loop_call.h"
#include "tests/unit/inspect/client.h"

namespace rollcall::inspect {

class PagesTest : public ::testing::Test {
 protected:
  void TearDown() override { server_.stop(); }

  // For those who add the pages.
  Post on_loop() {
    return [this](std::function<void()> task) {
      const std::lock_guard loop(loop_);
      task();
      return true;
    };
  }

  Client::Answer ask(const std::string& target) {
    return Client(server_.port()).send(request("GET " + target)).read_answer();
  }
  nlohmann::json get(const std::string& target) {
    const auto answer = ask(target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return nlohmann::json::parse(answer.body, nullptr, false);
  }
  std::string refused(const std::string& target, int status = 400) {
    const auto answer = ask(target);
    EXPECT_EQ(answer.status, status) << answer.body;
    return nlohmann::json::parse(answer.body).at("error");
  }
  std::vector<int> ids(const std::string& target) {
    std::vector<int> out;
    const nlohmann::json page = get(target);
    for (const nlohmann::json& agent : page["agents"]) out.push_back(agent["id"]);
    return out;
  }

  std::mutex loop_;  // what only the loop thread may touch
  HttpServer server_{{}};
};

}  // namespace rollcall::inspect
