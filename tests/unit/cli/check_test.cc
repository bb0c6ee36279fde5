// What `rollcall check` makes of what it finds, and the commands that it names.
#include <gmock/gmock.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "cli/check_parts.h"
#include "cli/local_page.h"
#include "cli/support.h"
#include "net/pki.h"
#include "tests/unit/persist/temporary_directory.h"

namespace rollcall::cli {
namespace {

using std::chrono::days;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using State = Finding::State;

namespace fs = std::filesystem;

// Somebody whom modes keep out: root looks as another user does.
DaemonUser somebody() {
  return daemon_user("nobody");
}

std::vector<Finding> about(const Findings& findings, const std::string& what) {
  std::vector<Finding> found;
  for (const auto& one : findings.all()) {
    if (one.what == what) found.push_back(one);
  }
  return found;
}

MATCHER_P2(Says, state, text, "") {
  return arg.state == state && arg.text.find(text) != std::string::npos;
}
MATCHER_P(IsMendedBy, command, "") {
  return arg.mend.find(command) != std::string::npos;
}

class CheckTest : public ::testing::Test {
 protected:
  CheckTest() {
    fs::permissions(directory_.path(), fs::perms::all);
    config_.node.name = "w1";
    config_.master.addresses = {{"boss", 1}};
    config_.inspect.address = {"127.0.0.1", 1};
    config_.store.path = directory_ / "store";
    config_.tls = {directory_ / "pki/ca.crt", directory_ / "pki/w1.crt", directory_ / "pki/w1.key",
                   "", directory_ / "pki/ca.crl"};
  }
  CheckedDaemon daemon(const DaemonUser& user = daemon_user("root")) const {
    auto daemon = checked_daemon("/etc/rollcall/rollcall-sidecar.ini", config_, user);
    daemon.pki = directory_ / "ca";  // which is elsewhere
    return daemon;
  }

  persist::TemporaryDirectory directory_;
  app::SidecarConfig config_;
  Findings findings_;
};

// ---- certificates

class CertificateCheck : public CheckTest {
 protected:
  CertificateCheck() {
    EXPECT_TRUE(net::pki_init(pki_, "test", now_));
    EXPECT_TRUE(net::pki_issue(pki_, {"w1", {}, 100}, now_));
  }
  void look(std::chrono::system_clock::time_point when) {
    check_certificates(findings_, daemon(), config_, when);
  }

  std::string pki_ = directory_ / "pki";
  std::chrono::system_clock::time_point now_ = std::chrono::system_clock::now();
};

TEST_F(CertificateCheck, TellsForHowLongItIsValid) {
  look(now_);
  EXPECT_FALSE(findings_.any_wrong());
  EXPECT_THAT(about(findings_, "certificate"),
              ElementsAre(Says(State::kGood, "valid for 99 days")));
}

TEST_F(CertificateCheck, WarnsThirtyDaysBeforeTheEnd) {
  look(now_ + days(69));
  EXPECT_THAT(about(findings_, "certificate"), ElementsAre(Says(State::kGood, "")));
  findings_ = {};
  look(now_ + days(71));
  EXPECT_THAT(about(findings_, "certificate"),
              ElementsAre(AllOf(Says(State::kWarning, "28 days more"),
                                IsMendedBy("ssh CA-HOST rollcall pki renew w1 && scp "))));
}

TEST_F(CertificateCheck, FindsOneThatIsOver) {
  look(now_ + days(101));
  EXPECT_THAT(about(findings_, "certificate"),
              ElementsAre(AllOf(Says(State::kWrong, "has expired on"),
                                IsMendedBy("rollcall pki renew w1"))));
}

TEST_F(CertificateCheck, FindsAClockThatIsBeforeThem) {
  look(now_ - days(2));
  EXPECT_THAT(about(findings_, "certificate"),
              ElementsAre(AllOf(Says(State::kWrong, "is not valid before"),
                                IsMendedBy("timedatectl set-ntp true"))));
}

TEST_F(CertificateCheck, FindsAListThatTheDaemonCannotRead) {
  ASSERT_TRUE(net::pki_issue(pki_, {"w2", {}, 1}, now_));
  ASSERT_TRUE(net::pki_revoke(pki_, {.node = "w2"}, now_));
  for (const char* folder : {"", "/ca.crt", "/w1.crt", "/w1.key"})
    fs::permissions(pki_ + folder, fs::perms(0755));
  fs::permissions(config_.tls.crl, ::geteuid() == 0 ? fs::perms(0600) : fs::perms::none);
  check_certificates(findings_, daemon(somebody()), config_, now_);
  EXPECT_THAT(about(findings_, "crl"),
              ElementsAre(AllOf(
                  Says(State::kWrong, config_.tls.crl + " cannot be read by " + somebody().name),
                  IsMendedBy("chmod g+r " + config_.tls.crl))));
}

TEST_F(CertificateCheck, FindsAFolderThatTheDaemonCannotPass) {
  fs::permissions(pki_, ::geteuid() == 0 ? fs::perms(0700) : fs::perms::none);
  check_certificates(findings_, daemon(somebody()), config_, now_);
  EXPECT_THAT(about(findings_, "ca"), Contains(AllOf(Says(State::kWrong, "cannot be read"),
                                                     IsMendedBy("chmod g+x " + pki_))));
  fs::permissions(pki_, fs::perms(0700));
}

TEST_F(CertificateCheck, SaysFromWhereWhatIsMissingComes) {
  fs::remove(config_.tls.key);
  look(now_);
  EXPECT_THAT(
      about(findings_, "key"),
      ElementsAre(AllOf(Says(State::kWrong, "cannot be read"),
                        IsMendedBy("scp CA-HOST:" + daemon().pki + "/w1.key " + config_.tls.key))));
}

TEST_F(CertificateCheck, FindsAnIniFileThatTheDaemonCannotRead) {
  const std::string ini = directory_ / "w1.ini";
  persist::write_file(ini,
                      "[node]\nname = w1\n[master]\naddress = 127.0.0.1:1\n[inspect]\naddress = "
                      "127.0.0.1:1\n[tls]\nca = " +
                          config_.tls.ca + "\ncertificate = " + config_.tls.certificate +
                          "\nkey = " + config_.tls.key + "\n");
  fs::permissions(ini, ::geteuid() == 0 ? fs::perms(0600) : fs::perms::none);
  Steps steps(kCheckSteps);
  const auto found = about(check_daemon(ini, "nobody", steps), "configuration");
  ASSERT_FALSE(found.empty());
  EXPECT_THAT(found.front(), Says(State::kWrong, "cannot be read"));
}

TEST_F(CheckTest, NamesTheLineOfAConfigurationThatIsWrong) {
  const std::string ini = directory_ / "w1.ini";
  persist::write_file(ini, "[node]\nname = w1\n[master]\naddress = m\n[source]\npoll = 1\n");
  Steps steps(kCheckSteps);
  const auto found = check_daemon(ini, "", steps).all();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].mend, "${EDITOR:-vi} +6 " + ini + "  # man rollcall-sidecar.ini has all keys");
}

// ---- clock

TEST_F(CheckTest, WarnsOfAClockThatIsNotSynchronised) {
  check_clock(findings_, {"", false, 0}, std::nullopt);
  EXPECT_THAT(findings_.all(), ElementsAre(AllOf(Says(State::kWarning, "not synchronised"),
                                                 IsMendedBy("timedatectl set-ntp true"))));
}

TEST_F(CheckTest, TellsHowGoodAClockIsAndWhetherThatIsKnown) {
  check_clock(findings_, {"", true, 12'345}, std::nullopt);
  check_clock(findings_, {"Operation not permitted"}, std::nullopt);
  EXPECT_THAT(findings_.all(), ElementsAre(Says(State::kGood, "within 12 ms"),
                                           Says(State::kSkipped, "Operation not permitted")));
}

TEST_F(CheckTest, ComparesTheMastersClock) {
  const auto of = [](const Json& offset) { return Json{{"clock", {{"offset_us", offset}}}}; };
  for (const Json& offset : {Json(-11'000'000), Json(500'000), Json(nullptr)})
    check_clock(findings_, {"", true, 0}, of(offset));
  EXPECT_THAT(about(findings_, "master's clock"),
              ElementsAre(AllOf(Says(State::kWarning, "11.000 s behind this one"),
                                IsMendedBy("timedatectl set-ntp true")),
                          Says(State::kGood, "0.500 s ahead of this one"),
                          Says(State::kSkipped, "not known")));
}

// ---- disk

TEST_F(CheckTest, FindsADiskThatIsTooSmall) {
  const auto self = daemon();
  check_disk(findings_, self, {directory_.path(), 1ULL << 60, "max_size"});
  EXPECT_THAT(
      findings_.all().front(),
      AllOf(Says(State::kWrong, "more may be needed"), IsMendedBy("a smaller [store] max_size"),
            IsMendedBy("${EDITOR:-vi} " + self.file + " && systemctl restart " + self.unit)));
}

TEST_F(CheckTest, WhatTheFolderHoldsIsNotNeededOnceMore) {
  persist::write_file(directory_ / "log", "");
  fs::resize_file(directory_ / "log", 1ULL << 40);
  check_disk(findings_, daemon(), {directory_.path(), 1ULL << 40, "max_size"});
  EXPECT_THAT(findings_.all().front(), Says(State::kGood, "up to 0 MiB more"));
}

TEST_F(CheckTest, AFolderThatTheUnitMakesNeedNotBeThereBeforeTheFirstStart) {
  fs::permissions(directory_.path(), fs::perms(0555));
  auto self = daemon(somebody());
  self.state = directory_ / "lib/sidecar";
  for (const std::string& folder : {self.state, self.state + "/store"}) {
    findings_ = {};
    check_disk(findings_, self, {folder, 0, "max_bytes"});
    EXPECT_THAT(findings_.all(), ElementsAre(Says(State::kGood, ""),
                                             Says(State::kSkipped, "made at the first start")));
  }
  for (const std::string other : {"lib", "lib/sidecar2", "srv"}) {
    findings_ = {};
    check_disk(findings_, self, {directory_ / other, 0, "max_bytes"});
    EXPECT_THAT(findings_.all().back(),
                AllOf(Says(State::kWrong, "cannot be written by " + self.user.name),
                      IsMendedBy("install -d -m 700 -o " + self.user.name)));
  }
}

// ---- Wazuh's sockets

TEST_F(CheckTest, WhoMayNotReachWazuhIsPutIntoItsGroup) {
  config_.source.wazuh_db = directory_ / "wdb";
  config_.source.agent_socket = "";
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  config_.source.wazuh_db.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  fs::permissions(config_.source.wazuh_db, fs::perms::none);
  check_wazuh(findings_, daemon(somebody()), config_);
  ::close(listener);
  EXPECT_THAT(about(findings_, "wazuh-db"),
              ElementsAre(AllOf(Says(State::kWrong, "Permission denied"),
                                IsMendedBy("usermod -aG wazuh " + somebody().name))));
}

// ---- what the master says to the running sidecar

Json link_of(const Json& state, const Json& error, const Json& said) {
  return {{"link", {{"state", state}, {"error", error}, {"master_says", said}}}};
}

TEST_F(CheckTest, TheRunningSidecarTellsWhetherItWasLetIn) {
  check_link(findings_, daemon(), config_, link_of("streaming", nullptr, "cluster: long ago"));
  check_link(findings_, daemon(), config_, link_of("greeting", nullptr, nullptr));
  check_link(findings_, daemon(), config_, link_of("down", "timed out", "cluster: long ago"));
  EXPECT_THAT(findings_.all(),
              ElementsAre(Says(State::kGood, "has let rollcalld in"),
                          Says(State::kWarning, "not connected to the master yet"),
                          Says(State::kWarning, "no connection to the master: timed out")));
}

TEST_F(CheckTest, ARefusalByTheMasterIsWrongAndMendedWhereItIs) {
  const std::string allow = "node 'w1' is not in this master's allow list";
  const std::string cluster =
      "the worker belongs to cluster 'a', this master to 'b'; set [node] cluster alike on both";
  check_link(findings_, daemon(), config_, link_of("down", allow, "name: " + allow));
  check_link(findings_, daemon(), config_, link_of("down", cluster, "cluster: " + cluster));
  EXPECT_THAT(findings_.all(),
              ElementsAre(AllOf(Says(State::kWrong, allow), IsMendedBy("ssh -t boss vi "),
                                IsMendedBy("add w1 to [tls] allow")),
                          AllOf(Says(State::kWrong, cluster), IsMendedBy("[node] cluster = b"))));
}

// ---- commands

TEST_F(CheckTest, CommandsAreForTheMachineThatTheCaIsOn) {
  auto self = daemon();
  self.tls.certificate = "/etc/rollcall/node.crt";
  self.tls.key = "/etc/rollcall/my key";
  self.user.group = "rollcall";
  EXPECT_EQ(
      fetch_pair(self),
      "scp CA-HOST:" + self.pki + "/w1.crt /etc/rollcall/node.crt && scp CA-HOST:" + self.pki +
          "/w1.key '/etc/rollcall/my key' && chgrp rollcall /etc/rollcall/node.crt "
          "'/etc/rollcall/my key' && chmod 640 /etc/rollcall/node.crt '/etc/rollcall/my key'");
  fs::create_directory(self.pki);
  persist::write_file(self.pki + "/ca.key", "");
  EXPECT_EQ(renew(self, "w1"), "rollcall pki renew w1 && install -g rollcall -m 640 " + self.pki +
                                   "/w1.crt /etc/rollcall/node.crt && install -g rollcall -m 640 " +
                                   self.pki + "/w1.key '/etc/rollcall/my key'");
  EXPECT_EQ(renew(self, "master"),
            "rollcall pki renew master  # then copy master.crt and master.key to that machine");
}

TEST(ShellWord, IsOneWordWhateverIsInIt) {
  EXPECT_EQ(shell_word("/etc/rollcall/w-1.crt"), "/etc/rollcall/w-1.crt");
  EXPECT_EQ(shell_word("a b;$c"), "'a b;$c'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
}

// ---- pages of the daemon

// Whoever listens at the daemon's port.
class LocalPage : public CheckTest {
 protected:
  LocalPage() {
    persist::write_file(directory_ / "token", std::string(64, 'a') + "\n");
    fs::permissions(directory_ / "token", fs::perms(0600));
    server_.Get("/status", [this](const httplib::Request& request, httplib::Response& response) {
      shown_ = request.get_header_value("Authorization");
      response.status = shown_.empty() ? 401 : 200;
      response.set_content(shown_.empty() ? R"({"error":"a token"})" : "{}", "application/json");
    });
    answers("/healthz", 503, R"({"status":"failing"})");
    answers("/busy", 503, R"({"error":"the daemon is busy"})");
    answers("/metrics", 200, "rollcall_up 1\n");
    const int port = server_.bind_to_any_port("127.0.0.1");
    inspect_ = {{"127.0.0.1", static_cast<std::uint16_t>(port)}, {}, directory_ / "token"};
    thread_ = std::thread([this] { server_.listen_after_bind(); });
  }
  ~LocalPage() override {
    server_.stop();
    thread_.join();
  }
  void answers(const std::string& path, int status, const std::string& body) {
    server_.Get(path, [status, body](const httplib::Request&, httplib::Response& response) {
      response.status = status;
      response.set_content(body, "text/plain");
    });
  }

  httplib::Server server_;
  std::string shown_;
  app::InspectConfig inspect_;
  std::thread thread_;
};

TEST_F(LocalPage, TheTokenIsForADaemonThatIsToldToAskForIt) {
  EXPECT_EQ(local_json(inspect_, "/status"), std::nullopt);
  EXPECT_THAT(shown_, IsEmpty());
  inspect_.read_token = true;
  EXPECT_EQ(local_json(inspect_, "/status"), Json::object());
  EXPECT_THAT(shown_, HasSubstr(std::string(64, 'a')));
}

TEST_F(LocalPage, WhatIsNotServedIsNoPageAndWhatIsNotWellIsOne) {
  EXPECT_EQ(local_page(inspect_, "/nodes"), std::nullopt);
  EXPECT_EQ(local_json(inspect_, "/busy"), std::nullopt);
  EXPECT_EQ(local_json(inspect_, "/healthz"), (Json{{"status", "failing"}}));
  EXPECT_EQ(local_page(inspect_, "/metrics"), "rollcall_up 1\n");
  EXPECT_EQ(local_json(inspect_, "/metrics"), std::nullopt) << "it is text";
}

// ---- support

TEST(SaidBy, TheNewestIsKeptFromTheBeginningOfALine) {
  EXPECT_EQ(said_by("seq 1 3", 100), "1\n2\n3\n");
  EXPECT_EQ(said_by("seq 1 100000", 20), "[what is older is left out]\n99998\n99999\n100000\n");
}

TEST(CertificatesOf, NamesThatAreNoTextDoNotEndIt) {
  EXPECT_THAT(certificates_of({"/nonexistent/\xff.crt", "/nonexistent/b.crt", ""}),
              AllOf(HasSubstr("/nonexistent/b.crt"), Not(HasSubstr("\xff"))));
}

// ---- progress

TEST(Remaining, IsMeasuredByTheMostThatThereWas) {
  Remaining left;
  EXPECT_EQ(left.total(), 0u);
  for (const std::uint64_t now : {0, 40, 30, 10}) left.see(now);
  EXPECT_EQ(left.total(), 40u);
  EXPECT_EQ(left.done(), 30u);
}

TEST(ShownWhile, GivesWhatTheWorkGave) {
  EXPECT_EQ(shown_while("Counting", 3,
                        [](Steps& steps) {
                          steps.add_done();
                          return std::to_string(steps.done()) + "/" + std::to_string(steps.total());
                        }),
            "1/3");
}

}  // namespace
}  // namespace rollcall::cli
