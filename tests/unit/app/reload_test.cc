// What a daemon takes anew while it runs, on real files.
#include "app/reload.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <utility>

#include "net/pki.h"

namespace rollcall::app {
namespace {

using std::chrono::system_clock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class Reload : public ::testing::Test {
 protected:
  Reload() {
    std::string name = (std::filesystem::temp_directory_path() / "rollcall-rl-XXXXXX").string();
    dir = mkdtemp(name.data());
    EXPECT_TRUE(net::pki_init(dir, "test", system_clock::now()));
    for (const char* node : {"w1", "w2"})
      EXPECT_TRUE(net::pki_issue(dir, {node, {}}, system_clock::now()));
    write("s.ini", ini());
    auto config = load_sidecar_config(dir + "/s.ini");
    EXPECT_TRUE(config) << config.error().message;
    auto context =
        load_credentials(config->tls, config->origin, config->node.name, TlsRole::sidecar);
    EXPECT_TRUE(context) << context.error().message;
    began_with.emplace(*std::move(config), *std::move(context));
    begin();
  }
  ~Reload() override {
    set_log_level(Level::Info);
    std::filesystem::remove_all(dir);
  }

  // As a daemon that has read its files a while ago.
  void begin() { reloader.emplace(began_with->first, began_with->second, TlsRole::sidecar); }

  std::string ini(const std::string& more = "") {
    return "[node]\nname = w1\n[master]\naddress = localhost\n[tls]\nca = " + dir +
           "/ca.crt\ncertificate = " + dir + "/w1.crt\nkey = " + dir + "/w1.key\n[source]\n" + more;
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(dir + "/" + name) << text;
  }
  std::string read(const std::string& name) {
    std::ifstream file(dir + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // What is said to be wrong; empty if nothing is.
  std::string reloaded() {
    reloader->reload();
    return reloader->status().error;
  }
  std::string serial() { return reloader->certificates().front().serial; }

  using Tls = Reloader<SidecarConfig>::Tls;
  // Turns the loop until something is taken; what was told of the files of TLS.
  std::vector<Tls> told_in(
      net::Loop& loop, const std::function<void()>& once_begun = [] {}) {
    std::vector<Tls> told;
    net::Timer guard(loop);
    guard.start(std::chrono::seconds(60), [&] {
      ADD_FAILURE() << "nothing was taken";
      loop.stop();
    });
    reloader->start(loop, [&](const auto&, const auto&, auto tls) {
      told.push_back(tls);
      loop.stop();
    });
    loop.post(once_begun);
    loop.run();
    reloader->stop();
    return told;
  }

  std::string dir;
  std::optional<std::pair<SidecarConfig, net::TlsContext>> began_with;
  std::optional<Reloader<SidecarConfig>> reloader;
};

TEST_F(Reload, TakesARenewedCertificate) {
  const std::string before = serial();
  const auto renewed = net::pki_renew(dir, "w1", 30, system_clock::now());
  ASSERT_TRUE(renewed);
  EXPECT_EQ(serial(), before);
  EXPECT_EQ(reloaded(), "");
  EXPECT_EQ(serial(), renewed->serial);
  EXPECT_EQ(reloader->status().done, 1u);
}

TEST_F(Reload, TakesIntervalsAndTheLevelOfTheLog) {
  write("s.ini", ini("poll = 5s\nscan = 2m\n[handoff]\ngrace = 1m\n[log]\nlevel = warn\n"));
  EXPECT_EQ(reloaded(), "");
  EXPECT_EQ(reloader->config().source.poll, std::chrono::seconds(5));
  EXPECT_EQ(reloader->config().source.scan, std::chrono::minutes(2));
  EXPECT_EQ(reloader->config().handoff.grace, std::chrono::minutes(1));
  EXPECT_EQ(log_level(), Level::Warn);
  EXPECT_THAT(reloader->status().needs_restart, IsEmpty());
}

TEST_F(Reload, NamesWhatNeedsARestartUntilItIsTakenBack) {
  write("s.ini", ini("poll = 5s\nwazuh_home = /opt/w\n[store]\npath = /s\n"));
  EXPECT_EQ(reloaded(), "");
  EXPECT_THAT(reloader->status().needs_restart, ElementsAre("[source] wazuh_home", "[store] path"));
  EXPECT_EQ(reloader->config().source.wazuh_home, "/var/ossec");
  EXPECT_EQ(reloader->config().source.poll, std::chrono::seconds(5));
  EXPECT_EQ(reloaded(), "");
  EXPECT_THAT(reloader->status().needs_restart, ElementsAre("[source] wazuh_home", "[store] path"));
  write("s.ini", ini("poll = 5s\n"));
  EXPECT_EQ(reloaded(), "");
  EXPECT_THAT(reloader->status().needs_restart, IsEmpty());
}

TEST_F(Reload, ADefaultThatIsWrittenDownNeedsNoRestart) {
  write("s.ini", ini("wazuh_home = /var/ossec\n"));
  EXPECT_EQ(reloaded(), "");
  EXPECT_THAT(reloader->status().needs_restart, IsEmpty());
}

TEST_F(Reload, ABadValueChangesNothingAndIsNamedWithItsLine) {
  ASSERT_TRUE(net::pki_renew(dir, "w1", 30, system_clock::now()));
  const std::string before = serial();
  write("s.ini", ini("scan = 2m\npoll = soon\n"));
  EXPECT_THAT(reloaded(), StartsWith(dir + "/s.ini:11: [source] poll: \"soon\""));
  EXPECT_EQ(reloader->config().source.scan, std::chrono::minutes(1));
  EXPECT_EQ(serial(), before) << "nothing else is taken either";
  EXPECT_EQ(reloader->status().failed, 1u);
}

TEST_F(Reload, AHalfWrittenCertificateChangesNothing) {
  const std::string whole = read("w1.crt");
  const std::string before = serial();
  for (const double part : {0.0, 0.1, 0.5, 0.9}) {
    write("w1.crt", whole.substr(0, static_cast<std::size_t>(part * whole.size())));
    EXPECT_THAT(reloaded(), HasSubstr(dir + "/s.ini:7: [tls] certificate: "));
  }
  EXPECT_EQ(serial(), before);
  write("w1.crt", whole);
  EXPECT_EQ(reloaded(), "");
}

TEST_F(Reload, AKeyThatDoesNotFitChangesNothing) {
  const std::string key = read("w1.key");
  write("w1.key", read("w2.key"));
  EXPECT_THAT(reloaded(), HasSubstr(dir + "/s.ini:8: [tls] key: the key file"));
  write("w1.key", key);
  EXPECT_EQ(reloaded(), "");
}

TEST_F(Reload, ACertificateOfAnotherNodeChangesNothing) {
  write("w1.crt", read("w2.crt"));
  write("w1.key", read("w2.key"));
  EXPECT_THAT(reloaded(), HasSubstr("is for w2, not for w1"));
}

TEST_F(Reload, TakesAListOfRevokedOnesAndDoesNotLetGoOfIt) {
  ASSERT_TRUE(net::pki_revoke(dir, {"w2"}, system_clock::now()));
  EXPECT_EQ(reloaded(), "");
  std::filesystem::remove(dir + "/ca.crl");
  EXPECT_THAT(reloaded(), HasSubstr(dir + "/ca.crl is gone: put it back"));
}

TEST_F(Reload, SaysWhetherTheFilesOfTlsChanged) {
  net::Loop loop;
  std::vector<Tls> told;
  reloader->start(loop, [&](const auto&, const auto&, auto tls) { told.push_back(tls); });
  reloader->reload();
  ASSERT_TRUE(net::pki_renew(dir, "w1", 30, system_clock::now()));
  reloader->reload();
  reloader->reload();
  EXPECT_THAT(told, ElementsAre(Tls::kSame, Tls::kChanged, Tls::kSame));
  reloader->stop();
}

TEST_F(Reload, TakesWhatWasChangedWhileTheDaemonBegan) {
  const auto renewed = net::pki_renew(dir, "w1", 30, system_clock::now());
  ASSERT_TRUE(renewed);
  begin();
  net::Loop loop;
  std::vector<Tls> told;
  reloader->start(loop, [&](const auto&, const auto&, auto tls) { told.push_back(tls); });
  EXPECT_NE(serial(), renewed->serial) << "what is in use";
  reloader->reload();
  EXPECT_THAT(told, ElementsAre(Tls::kChanged));
  EXPECT_EQ(serial(), renewed->serial);
  reloader->stop();
}

TEST_F(Reload, TakesByItselfWhatWasChangedWhileTheDaemonBegan) {
  const auto renewed = net::pki_renew(dir, "w1", 30, system_clock::now());
  ASSERT_TRUE(renewed);
  begin();
  net::Loop first, second;
  EXPECT_THAT(told_in(first), ElementsAre(Tls::kChanged));
  EXPECT_EQ(serial(), renewed->serial);
  write("s.ini", ini("poll = 5s\n"));
  begin();
  EXPECT_THAT(told_in(second), ElementsAre(Tls::kChanged)) << "it began with the certificate before";
  EXPECT_EQ(reloader->config().source.poll, std::chrono::seconds(5));
}

TEST_F(Reload, AListThatWentAwayWhileTheDaemonBeganIsMissedAllTheSame) {
  ASSERT_TRUE(net::pki_revoke(dir, {"w2"}, system_clock::now()));
  auto& [config, context] = *began_with;
  context = *load_credentials(config.tls, config.origin, config.node.name, TlsRole::sidecar);
  std::filesystem::remove(dir + "/ca.crl");
  begin();
  EXPECT_THAT(reloaded(), HasSubstr(dir + "/ca.crl is gone: put it back"));
}

TEST_F(Reload, OnSighupTakesFilesOnceTheyAreStill) {
  const std::string before = read("s.ini");
  net::Loop loop;
  net::Timer writes(loop);
  int parts = 0;
  // Each part could be taken for the whole: no key is cut.
  const auto told = told_in(loop, [&] {
    ::raise(SIGHUP);
    writes.repeat(std::chrono::milliseconds(50), [&] {
      if (++parts == 12) return writes.stop();
      write("s.ini", before + "# part " + std::to_string(parts) +
                         "\n[log]\nlevel = " + (parts < 11 ? "debug" : "warn") + "\n");
    });
  });
  EXPECT_THAT(told, ElementsAre(Tls::kSame));
  EXPECT_EQ(parts, 12) << "not before the last part";
  EXPECT_EQ(reloader->config().log.level, Level::Warn);
}

TEST_F(Reload, OnSighupReadsFilesThatDidNotChange) {
  net::Loop loop;
  EXPECT_THAT(told_in(loop, [] { ::raise(SIGHUP); }), ElementsAre(Tls::kSame));
}

TEST(TakeLive, LeavesNothingBehindThatIsNotNamed) {
  const std::string common =
      "[timing]\nttl = 1h\nheartbeat = 5m\ngrace = 1m\ninventory = 2h\n"
      "inventory_differs = 2m\nkeep_removed = 2h\n[sink]\nevery = 1s\nsettle = 1s\n"
      "[log]\nlevel = warn\nformat = json\n[tls]\nallow = w1\nca = /a\n";
  auto running = parse_master_config("", "m.ini");
  const auto at_start = running->origin.values;
  const auto wanted = parse_master_config(common + "[limits]\nfeed = 5000\n", "m.ini");
  ASSERT_TRUE(running && wanted);
  take_live(*running, *wanted);
  EXPECT_THAT(needs_restart(*running, *wanted, at_start), ElementsAre("[limits] feed"));
  EXPECT_EQ(running->timing, wanted->timing);
  EXPECT_EQ(running->allow, wanted->allow);
}

}  // namespace
}  // namespace rollcall::app
