// The tool as its user meets it: arguments in, exit code and words out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "tests/unit/run_program.h"

namespace rollcall::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class PkiCommand : public ::testing::Test {
 protected:
  PkiCommand() {
    std::string name = (std::filesystem::temp_directory_path() / "rollcall-cli-XXXXXX").string();
    dir = mkdtemp(name.data());
  }
  ~PkiCommand() override { std::filesystem::remove_all(dir); }

  static Ended rollcall(const std::string& arguments) {
    return run_program(ROLLCALL_TOOL " " + arguments);
  }

  std::string dir;
};

TEST_F(PkiCommand, MakesACaAndACertificate) {
  const auto made = rollcall("pki init --dir " + dir + " --cluster demo");
  EXPECT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr(dir + "/ca.key"));
  const auto issued =
      rollcall("pki issue --dns a.example --dns b.example worker-1 --days 30 --dir " + dir);
  EXPECT_EQ(issued.code, 0) << issued.output;
  EXPECT_THAT(issued.output, HasSubstr(dir + "/worker-1.crt"));
  EXPECT_TRUE(std::filesystem::exists(dir + "/worker-1.key"));
}

TEST_F(PkiCommand, IssuesForSeveralNodesAtOnce) {
  ASSERT_EQ(rollcall("pki init --dir " + dir).code, 0);
  ASSERT_EQ(rollcall("pki issue w2 --dir " + dir).code, 0);
  const auto issued = rollcall("pki issue w1 w2 w3 --days 30 --dir " + dir);
  EXPECT_EQ(issued.code, 1) << "w2 has one";
  EXPECT_THAT(issued.output, HasSubstr("w2.key exists and is never overwritten"));
  EXPECT_THAT(issued.output, HasSubstr("Each node needs these two files"));
  for (const char* node : {"w1", "w3"})
    EXPECT_THAT(rollcall("pki show --json " + dir + "/" + node + ".crt").output,
                HasSubstr("\"days_left\":29"));
  const auto named = rollcall("pki issue w4 w5 --dns x.example --dir " + dir);
  EXPECT_EQ(named.code, 2);
  EXPECT_THAT(named.output, HasSubstr("--dns names one node only"));
  EXPECT_FALSE(std::filesystem::exists(dir + "/w4.crt"));
}

TEST_F(PkiCommand, SaysAllOfItAsJson) {
  const auto said = [&](const std::string& arguments) {
    const auto ended = rollcall("pki " + arguments + " --json --dir " + dir);
    EXPECT_EQ(ended.code, 0) << ended.output;
    return ended.output;
  };
  EXPECT_THAT(said("init"), AllOf(HasSubstr("{\"certificate\":\"" + dir + "/ca.crt\""),
                                  HasSubstr("\"key\":\"" + dir + "/ca.key\"")));
  const auto issued = said("issue w1 w2");
  EXPECT_EQ(std::ranges::count(issued, '\n'), 2) << "one line for each node";
  EXPECT_THAT(issued, AllOf(HasSubstr(dir + "/w1.key"), HasSubstr(dir + "/w2.key"),
                            HasSubstr("\"serial\":\""), HasSubstr("\"not_after\":\"")));
  EXPECT_THAT(said("renew w1"), HasSubstr("{\"certificate\":\"" + dir + "/w1.crt\""));
  EXPECT_THAT(said("revoke w1 --renewed"),
              AllOf(HasSubstr("{\"list\":\"" + dir + "/ca.crl\""), HasSubstr("\"revoked\":[\"")));
  EXPECT_THAT(said("revoke w1 --renewed"), HasSubstr("\"revoked\":[]"));
  EXPECT_THAT(said("change-ca"), HasSubstr(dir + "/ca.key"));
  for (const char* node : {"w1", "w2"}) said(std::string("renew ") + node);
  EXPECT_EQ(said("change-ca --finish"), "{\"certificate\":\"" + dir + "/ca.crt\"}\n");
}

TEST_F(PkiCommand, FailsWithOneAndAReason) {
  const auto issued = rollcall("pki issue worker-1 --dir " + dir);
  EXPECT_EQ(issued.code, 1);
  EXPECT_THAT(issued.output, HasSubstr("run `rollcall pki init` first"));
}

TEST_F(PkiCommand, RenewsRevokesAndShows) {
  ASSERT_EQ(rollcall("pki init --dir " + dir).code, 0);
  ASSERT_EQ(rollcall("pki issue w --dir " + dir).code, 0);
  const auto renewed = rollcall("pki renew w --days 5 --dir " + dir);
  EXPECT_EQ(renewed.code, 0) << renewed.output;
  const auto revoked = rollcall("pki revoke w --renewed --dir " + dir);
  EXPECT_EQ(revoked.code, 0) << revoked.output;
  EXPECT_THAT(revoked.output, HasSubstr(dir + "/ca.crl"));
  const auto shown = rollcall("pki show --dir " + dir);
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_THAT(shown.output, HasSubstr("revoked"));
  EXPECT_THAT(shown.output, HasSubstr("expires soon"));
  EXPECT_THAT(rollcall("pki show --json " + dir + "/w.crt").output, HasSubstr("\"days_left\":4"));
  EXPECT_EQ(rollcall("pki show /nonexistent").code, 1);
}

TEST_F(PkiCommand, ChangesTheCa) {
  ASSERT_EQ(rollcall("pki init --dir " + dir).code, 0);
  const auto begun = rollcall("pki change-ca --dir " + dir);
  EXPECT_EQ(begun.code, 0) << begun.output;
  EXPECT_THAT(begun.output, HasSubstr("change-ca --finish"));
  const auto ended = rollcall("pki change-ca --finish --dir " + dir);
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("1. copy " + dir + "/ca.crl"));
  EXPECT_THAT(ended.output, HasSubstr("2. copy " + dir + "/ca.crt"));
  EXPECT_EQ(rollcall("pki change-ca --finish --dir " + dir).code, 1);
}

TEST_F(PkiCommand, CalledWronglyEndsWithTwo) {
  EXPECT_EQ(rollcall("pki revoke").code, 2);
  EXPECT_EQ(rollcall("").code, 2);
  EXPECT_EQ(rollcall("pki").code, 2);
  EXPECT_EQ(rollcall("pki issue").code, 2);
  EXPECT_EQ(rollcall("pki issue w --days many").code, 2);
  EXPECT_EQ(rollcall("no-such-command").code, 2);
}

TEST_F(PkiCommand, VersionAndHelpEndWithZero) {
  const auto version = rollcall("--version");
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.output, HasSubstr("rollcall 0."));
  EXPECT_EQ(rollcall("--help").code, 0);
  EXPECT_EQ(rollcall("pki issue --help").code, 0);
}

}  // namespace
}  // namespace rollcall::cli
