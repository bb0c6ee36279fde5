// Which daemon a command asks: arguments in, exit code and words out. Nobody listens at port 1.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/persist/temporary_directory.h"
#include "tests/unit/run_program.h"

namespace rollcall::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kUsage = 2, kNoAnswer = 4;

class AskedDaemon : public ::testing::Test {
 protected:
  AskedDaemon() {
    const std::string rest =
        "[tls]\nca = /ca.crt\ncertificate = /node.crt\nkey = /node.key\n"
        "[inspect]\naddress = 127.0.0.1:1\n";
    persist::write_file(directory_ / "sidecar.ini",
                        "[node]\nname = w1\n[master]\naddress = master.example\n" + rest);
    persist::write_file(directory_ / "master.ini", "[node]\nname = master\n" + rest);
  }
  Ended rollcall(const std::string& arguments) const {
    return run_program("cd " + directory_.path().string() + " && " ROLLCALL_TOOL " " + arguments);
  }

  persist::TemporaryDirectory directory_;
};

TEST_F(AskedDaemon, IsTheOneWhoseIniFileIsNamed) {
  const auto sidecar = rollcall("status --config sidecar.ini");
  EXPECT_EQ(sidecar.code, kNoAnswer) << sidecar.output;
  EXPECT_THAT(sidecar.output,
              HasSubstr("cannot reach the sidecar at 127.0.0.1:1: is rollcalld running?"));
  const auto master = rollcall("status --config master.ini");
  EXPECT_EQ(master.code, kNoAnswer) << master.output;
  EXPECT_THAT(master.output,
              HasSubstr("cannot reach the master at 127.0.0.1:1: is rollcall-master"));
}

TEST_F(AskedDaemon, IsNotASidecarWhereTheMasterIsMeant) {
  for (const char* command : {"freeze --for 1m", "confirm", "nodes"}) {
    const auto ended = rollcall(std::string(command) + " --config sidecar.ini");
    EXPECT_EQ(ended.code, kUsage) << ended.output;
    EXPECT_THAT(ended.output, AllOf(HasSubstr("sidecar.ini is a sidecar's"), HasSubstr("master")));
  }
}

TEST_F(AskedDaemon, IsNotTheMasterWhereASidecarIsMeant) {
  for (const char* command : {"inventory", "status --sidecar"}) {
    const auto ended = rollcall(std::string(command) + " --config master.ini");
    EXPECT_EQ(ended.code, kUsage) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr("master.ini is the master's"));
  }
}

TEST_F(AskedDaemon, IsOneOfBoth) {
  const auto file = rollcall("status --config sidecar.ini --master 127.0.0.1:1");
  EXPECT_EQ(file.code, kUsage) << file.output;
  EXPECT_THAT(file.output, HasSubstr("leave one of them out"));
  EXPECT_EQ(rollcall("status --master 127.0.0.1:1 --sidecar 127.0.0.1:1").code, kUsage);
}

}  // namespace
}  // namespace rollcall::cli
