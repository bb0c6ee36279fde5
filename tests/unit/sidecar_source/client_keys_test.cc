#include "sidecar/source/client_keys.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace rollcall::sidecar {
namespace {

class ClientKeys : public ::testing::Test {
 protected:
  ClientKeys() {
    std::string name = ::testing::TempDir() + "rollcall-keys-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~ClientKeys() override { std::filesystem::remove_all(folder_); }

  std::optional<bool> with(const std::string& text) {
    std::ofstream(path()) << text;
    return no_agents_enrolled(path());
  }
  std::string path() const { return folder_ + "/client.keys"; }

  std::string folder_;
};

TEST_F(ClientKeys, AnEmptyFileEnrolsNobody) {
  EXPECT_EQ(with(""), true);
}

TEST_F(ClientKeys, AnAgentLineEnrols) {
  EXPECT_EQ(with("001 web-1 any 6d79\n"), false);
  EXPECT_EQ(with("001 web-1 any 6d79"), false) << "without a newline at the end";
  EXPECT_EQ(with("# note\n\n002 !gone any 6d79\n003 here 10.0.0.1 6d79\n"), false);
}

TEST_F(ClientKeys, CommentsBlankLinesAndRemovedAgentsDoNotCount) {
  EXPECT_EQ(with("# 001 web-1 any 6d79\n\n   \n\r\n002 !web-2 any 6d79\n"), true);
}

TEST_F(ClientKeys, ALineOfAnyOtherShapeCountsAsEnrolled) {
  EXPECT_EQ(with("garbage\n"), false);
  EXPECT_EQ(with(std::string("\0\0\0", 3)), false);
}

TEST_F(ClientKeys, AMissingFileSaysNothing) {
  EXPECT_EQ(no_agents_enrolled(path()), std::nullopt);
}

TEST_F(ClientKeys, WhatIsNoPlainFileSaysNothing) {
  EXPECT_EQ(no_agents_enrolled(folder_), std::nullopt);
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(no_agents_enrolled(path()), std::nullopt) << "and does not wait for a writer";
}

TEST_F(ClientKeys, AFileTooLongToReadToItsEndSaysNothingUnlessAnAgentWasFound) {
  std::string removed;
  while (removed.size() <= (1 << 20)) removed += "002 !web-2 any 6d79\n";
  EXPECT_EQ(with(removed), std::nullopt);
  EXPECT_EQ(with("001 web-1 any 6d79\n" + removed), false);
}

}  // namespace
}  // namespace rollcall::sidecar
