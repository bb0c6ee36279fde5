// --check-config and the command line of the two daemons, as their user meets them.
#include <gmock/gmock.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "net/pki.h"
#include "tests/unit/run_program.h"

namespace rollcall {
namespace {

using std::chrono::system_clock;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Daemons : public ::testing::Test {
 protected:
  Daemons() {
    std::string name = (std::filesystem::temp_directory_path() / "rollcall-cfg-XXXXXX").string();
    dir = mkdtemp(name.data());
    EXPECT_TRUE(net::pki_init(dir, "test", system_clock::now()));
    issue("w1", system_clock::now());
    issue("master", system_clock::now());
  }
  ~Daemons() override { std::filesystem::remove_all(dir); }

  void issue(const std::string& node, system_clock::time_point when) {
    const auto issued = net::pki_issue(dir, {node, {}, 1}, when);
    EXPECT_TRUE(issued) << issued.error().message;
  }
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = dir + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  std::string sidecar_ini(const std::string& node = "w1", const std::string& tls = "") {
    return write("s.ini", "[node]\nname = " + node + "\n[master]\naddress = localhost\n[tls]\n" +
                              (tls.empty() ? tls_keys(node) : tls) + "[store]\npath = " + dir +
                              "/store\n");
  }
  std::string tls_keys(const std::string& node) {
    return "ca = " + dir + "/ca.crt\ncertificate = " + dir + "/" + node + ".crt\nkey = " + dir +
           "/" + node + ".key\n";
  }

  // Each of these has to end by itself; one that serves instead is ended, with status 124.
  static Ended sidecar(const std::string& arguments) {
    return run_program("timeout 30 " ROLLCALLD " " + arguments);
  }
  static Ended master(const std::string& arguments) {
    return run_program("timeout 30 " ROLLCALL_MASTER " " + arguments);
  }
  static Ended check(const std::string& ini) { return sidecar("--check-config --config " + ini); }

  // 78 and one line for each fault, the first one as given.
  static void expect_fault(const Ended& ended, const std::string& begins, int lines = 1) {
    EXPECT_EQ(ended.code, 78) << ended.output;
    EXPECT_THAT(ended.output, StartsWith(begins));
    EXPECT_EQ(std::ranges::count(ended.output, '\n'), lines) << ended.output;
  }

  std::string dir;
};

TEST_F(Daemons, TellTheirVersion) {
  EXPECT_EQ(sidecar("--version").output, "rollcalld " ROLLCALL_VERSION "\n");
  EXPECT_EQ(master("--version").output, "rollcall-master " ROLLCALL_VERSION "\n");
  EXPECT_EQ(master("--version").code, 0);
}

TEST_F(Daemons, AFlagThatIsNotKnownIsAWrongCall) {
  const Ended ended = sidecar("--chek-config");
  EXPECT_EQ(ended.code, 64);
  EXPECT_THAT(ended.output, HasSubstr("--chek-config"));
}

TEST_F(Daemons, SayThatAConfigurationIsRightAndTouchNothing) {
  const std::string ini = sidecar_ini();
  const Ended ended = check(ini);
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.output, ini + ": ok\n");
  EXPECT_FALSE(std::filesystem::exists(dir + "/store"));
  const std::string other = write("m.ini", "[tls]\n" + tls_keys("master"));
  EXPECT_EQ(master("--check-config -c " + other).output, other + ": ok\n");
}

TEST_F(Daemons, TellEachFaultOfTheFileInALine) {
  const std::string ini = write("s.ini", "[node]\nname = a b\n[log]\nlevle = info\n");
  const Ended ended = check(ini);
  expect_fault(ended, "rollcalld: " + ini + ":2: [node] name: \"a b\" is not a name; allowed is ",
               3);
  EXPECT_THAT(ended.output,
              HasSubstr("\nrollcalld: " + ini + ":4: the key \"levle\" is not known"));
  EXPECT_THAT(ended.output, HasSubstr("[master] address is missing"));
}

TEST_F(Daemons, AFileThatIsNotThereIsNamed) {
  expect_fault(
      master("-c " + dir + "/none.ini"),
      "rollcall-master: " + dir + "/none.ini: cannot be read: No such file or directory; ");
}

TEST_F(Daemons, ACertificateThatIsNotThereIsNamedWithItsLineAlsoAtAStart) {
  const std::string ini = sidecar_ini();
  std::filesystem::remove(dir + "/w1.crt");
  const std::string fault = "rollcalld: " + ini + ":7: [tls] certificate: the certificate file " +
                            dir + "/w1.crt cannot be opened (No such file or directory)";
  expect_fault(check(ini), fault);
  expect_fault(sidecar("-c " + ini), fault);
}

TEST_F(Daemons, FilesOfTheDefaultsAreNamedToo) {
  expect_fault(master("--check-config -c " + write("m.ini", "")),
               "rollcall-master: " + dir +
                   "/m.ini: [tls] ca (the default): the CA file "
                   "/etc/rollcall/ca.crt cannot be opened");
}

TEST_F(Daemons, ACaThatIsNoneIsRefused) {
  const std::string ini = sidecar_ini();
  write("ca.crt", "nonsense\n");
  expect_fault(check(ini),
               "rollcalld: " + ini + ":6: [tls] ca: the CA file " + dir + "/ca.crt holds");
}

TEST_F(Daemons, AKeyOfAnotherCertificateIsRefused) {
  const std::string ini = sidecar_ini("w1", "ca = " + dir + "/ca.crt\ncertificate = " + dir +
                                                "/w1.crt\nkey = " + dir + "/master.key\n");
  expect_fault(check(ini), "rollcalld: " + ini + ":8: [tls] key: the key file " + dir +
                               "/master.key does not belong to the certificate");
}

TEST_F(Daemons, ANodeNameThatIsNotInTheCertificateIsRefusedAlsoAtAStart) {
  const std::string ini = sidecar_ini("w2", tls_keys("w1"));
  const std::string fault = "rollcalld: " + ini + ":7: [tls] certificate: the certificate " + dir +
                            "/w1.crt is for w1, not for w2: ";
  expect_fault(check(ini), fault);
  expect_fault(sidecar("-c " + ini), fault);
}

TEST_F(Daemons, AnExpiredCertificateAndOneOfTheFutureAreTold) {
  issue("late", system_clock::now() - std::chrono::days(3));
  expect_fault(check(sidecar_ini("late")), "rollcalld: " + dir +
                                               "/s.ini:7: [tls] certificate: the certificate " +
                                               dir + "/late.crt has expired (");
  issue("soon", system_clock::now() + std::chrono::days(3));
  expect_fault(check(sidecar_ini("soon")), "rollcalld: " + dir +
                                               "/s.ini:7: [tls] certificate: the certificate " +
                                               dir + "/soon.crt is not valid before ");
}

TEST_F(Daemons, AListOfRevokedSerialsIsReadAndTheNodesOwnMustNotBeInIt) {
  const std::string tls = tls_keys("w1") + "revoked = " + dir + "/revoked\n";
  expect_fault(check(sidecar_ini("w1", tls)),
               "rollcalld: " + dir + "/s.ini:9: [tls] revoked: " + dir + "/revoked: the list");
  write("revoked", "xyz\n");
  expect_fault(check(sidecar_ini("w1", tls)), "rollcalld: " + dir + "/s.ini:9: [tls] revoked: " +
                                                  dir + "/revoked:1: this is not a serial number");
  const auto issued = net::pki_issue(dir, {"w3", {}, 1}, system_clock::now());
  ASSERT_TRUE(issued);
  write("revoked", issued->serial + "\n");
  expect_fault(check(sidecar_ini("w3", tls_keys("w3") + "revoked = " + dir + "/revoked\n")),
               "rollcalld: " + dir + "/s.ini:9: [tls] revoked: this node's own certificate");
}

TEST_F(Daemons, AListBesideTheCaCountsWithoutBeingNamedAndMustBeWholeIfItIsThere) {
  EXPECT_EQ(check(sidecar_ini()).code, 0) << "none is there";
  ASSERT_TRUE(net::pki_revoke(dir, {"w1"}, system_clock::now()));
  expect_fault(check(sidecar_ini()), "rollcalld: " + dir +
                                         "/s.ini: [tls] crl (the default): this node's own "
                                         "certificate " +
                                         dir + "/w1.crt is revoked");
  write("ca.crl", "half of it");
  expect_fault(check(sidecar_ini()),
               "rollcalld: " + dir + "/s.ini: [tls] crl (the default): the list of revoked");
  expect_fault(check(sidecar_ini("w1", tls_keys("w1") + "crl = " + dir + "/none\n")),
               "rollcalld: " + dir + "/s.ini:9: [tls] crl: the list of revoked certificates " +
                   dir + "/none cannot be opened");
}

}  // namespace
}  // namespace rollcall
