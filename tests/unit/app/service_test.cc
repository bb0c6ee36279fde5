#include "app/service.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string>

#include "tests/support/datagram_reader.h"

namespace rollcall::app {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

class Services : public ::testing::Test {
 protected:
  static std::string make_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "rollcall-svc-XXXXXX").string();
    return mkdtemp(name.data());
  }
  ~Services() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
    std::filesystem::remove_all(folder);
  }

  static void asks_for_life(const std::string& process) {
    setenv("WATCHDOG_USEC", "60000000", 1);
    setenv("WATCHDOG_PID", process.c_str(), 1);
  }

  const std::string folder = make_folder();
  const std::string path = folder + "/notify";
  support::DatagramReader systemd{path};
  Service service{{path, 60s}};
};

TEST_F(Services, SayWhatHappensInSystemdsWords) {
  service.ready();
  service.reloading();
  service.stopping();
  service.alive();
  EXPECT_THAT(systemd.read_all(),
              ElementsAre("READY=1", MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+"),
                          "STOPPING=1", "WATCHDOG=1"));
}

TEST_F(Services, SayTheSameStatusOnce) {
  service.status("streaming");
  service.status("streaming");
  service.status("down");
  service.status("streaming");
  EXPECT_THAT(systemd.read_all(),
              ElementsAre("STATUS=streaming", "STATUS=down", "STATUS=streaming"));
}

TEST_F(Services, LetNobodyElseSpeakThroughAStatus) {
  service.status("refused: x\nMAINPID=1\r\x7f!");
  EXPECT_THAT(systemd.read_all(), ElementsAre("STATUS=refused: x MAINPID=1  !"));
}

TEST_F(Services, CutAStatusThatIsLong) {
  service.status(std::string(10'000, 'x'));
  EXPECT_THAT(systemd.read_all(), ElementsAre(SizeIs(507)));
}

TEST_F(Services, AreAliveThriceInTheTimeThatIsGivenThem) {
  EXPECT_EQ(service.alive_every(), 20s);
  EXPECT_EQ(Service({path, 0s}).alive_every(), std::nullopt);
  EXPECT_EQ(Service({"", 60s}).alive_every(), std::nullopt);
}

TEST_F(Services, AreAskedForByTheEnvironmentWhichChildrenDoNotSee) {
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  asks_for_life(std::to_string(getpid()));
  auto asked = Service::from_environment();
  asked.ready();
  EXPECT_THAT(systemd.read_all(), ElementsAre("READY=1"));
  EXPECT_EQ(asked.alive_every(), 20s);
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    EXPECT_EQ(getenv(name), nullptr) << name;
}

TEST_F(Services, AreNotWatchedInsteadOfAnotherProcess) {
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  asks_for_life("1");
  EXPECT_EQ(Service::from_environment().alive_every(), std::nullopt);
}

TEST_F(Services, SayNothingWhenNobodyAsked) {
  auto quiet = Service::from_environment();
  quiet.ready();
  quiet.status("streaming");
  quiet.stopping();
  EXPECT_THAT(systemd.read_all(), IsEmpty());
}

// As some containers have it.
TEST_F(Services, FindASocketThatIsNoFile) {
  const std::string name = "@rollcall-" + std::to_string(getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, name.size() - 1, 1);
  const int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(file, reinterpret_cast<sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
            0);
  Service({name, 0s}).ready();
  char message[64];
  const ssize_t size = recv(file, message, sizeof message, 0);
  close(file);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(message, static_cast<std::size_t>(size)), "READY=1");
}

TEST_F(Services, GoOnWhenSystemdIsAway) {
  std::filesystem::remove(path);
  service.ready();
  service.alive();
  support::DatagramReader again{path};
  service.status("streaming");
  EXPECT_THAT(again.read_all(), ElementsAre("STATUS=streaming"));
}

}  // namespace
}  // namespace rollcall::app
