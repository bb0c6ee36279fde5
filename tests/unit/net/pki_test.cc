#include "net/pki.h"

#include <sys/stat.h>

#include <set>

#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using std::chrono::system_clock;
using ::testing::HasSubstr;

class Pki : public ::testing::Test {
 protected:
  auto init(const std::string& cluster = "test") {
    return pki_init(dir.path(), cluster, system_clock::now());
  }
  auto issue(const CertificateRequest& request) {
    return pki_issue(dir.path(), request, system_clock::now());
  }
  static unsigned mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  TempDir dir;
};

TEST_F(Pki, KeysAreForTheirOwnerOnlyWhateverTheUmask) {
  const mode_t before = umask(0);
  const auto ca = init();
  umask(0777);
  const auto node = issue({"worker-1", {}});
  umask(before);
  ASSERT_TRUE(ca) << ca.error().message;
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(mode(dir / "ca.key"), 0600u);
  EXPECT_EQ(mode(dir / "worker-1.key"), 0600u);
  EXPECT_EQ(mode(dir / "ca.crt"), 0644u);
  EXPECT_EQ(mode(dir / "worker-1.crt"), 0644u);
}

TEST_F(Pki, LeavesNoTemporaryFiles) {
  ASSERT_TRUE(init());
  ASSERT_TRUE(issue({"w", {}}));
  EXPECT_EQ(files(), (std::set<std::string>{"ca.crt", "ca.key", "w.crt", "w.key"}));
}

TEST_F(Pki, MakesTheFolderForItsOwnerOnly) {
  ASSERT_TRUE(pki_init(dir / "a/b", "test", system_clock::now()));
  EXPECT_EQ(mode(dir / "a/b"), 0700u);
}

TEST_F(Pki, NeverOverwritesACa) {
  ASSERT_TRUE(init());
  const std::string key = read_text(dir / "ca.key");
  const auto again = init();
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr(dir / "ca.key"));
  EXPECT_THAT(again.error().message, HasSubstr("never overwritten"));
  EXPECT_EQ(read_text(dir / "ca.key"), key);
}

TEST_F(Pki, NeverOverwritesACaWhoseKeyIsKeptElsewhere) {
  ASSERT_TRUE(init());
  std::filesystem::remove(dir / "ca.key");
  const auto again = init();
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr(dir / "ca.crt"));
}

TEST_F(Pki, NeverOverwritesANodesKey) {
  ASSERT_TRUE(init());
  ASSERT_TRUE(issue({"w", {}}));
  const std::string key = read_text(dir / "w.key");
  std::filesystem::remove(dir / "w.crt");
  const auto again = issue({"w", {}});
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr(dir / "w.key"));
  EXPECT_EQ(read_text(dir / "w.key"), key);
}

TEST_F(Pki, IssuesNothingWithoutACaAndSaysHowToMakeOne) {
  const auto issued = issue({"w", {}});
  ASSERT_FALSE(issued);
  EXPECT_THAT(issued.error().message, HasSubstr(dir / "ca.crt"));
  EXPECT_THAT(issued.error().message, HasSubstr("rollcall pki init"));
  EXPECT_TRUE(files().empty());
}

TEST_F(Pki, RefusesACaWhoseKeyIsNotItsOwn) {
  ASSERT_TRUE(init());
  TempDir other;
  ASSERT_TRUE(pki_init(other.path(), "other", system_clock::now()));
  write_text(dir / "ca.key", read_text(other / "ca.key"));
  const auto issued = issue({"w", {}});
  ASSERT_FALSE(issued);
  EXPECT_THAT(issued.error().message, HasSubstr("not a certificate and its key"));
}

TEST_F(Pki, SerialsDiffer) {
  ASSERT_TRUE(init());
  const auto a = issue({"a", {}});
  const auto b = issue({"b", {}});
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->serial, b->serial);
  EXPECT_GE(a->serial.size(), 24u) << "128 random bits";
}

TEST_F(Pki, CertificateCarriesTheNodeAndItsFurtherNamesOnce) {
  ASSERT_TRUE(init());
  const auto issued = issue({"w", {"w.example.org", "w", "w.example.org"}});
  ASSERT_TRUE(issued);
  const auto context = TlsContext::server({dir / "ca.crt", dir / "w.crt", dir / "w.key"});
  ASSERT_TRUE(context) << context.error().message;
  EXPECT_EQ(context->own_certificate().names, (std::vector<std::string>{"w", "w.example.org"}));
  EXPECT_EQ(context->own_certificate().serial, issued->serial);
}

TEST_F(Pki, CertificateEndsWhenItWasSaidTo) {
  ASSERT_TRUE(init());
  const auto now = system_clock::now();
  const auto issued = pki_issue(dir.path(), {"w", {}, 30}, now);
  ASSERT_TRUE(issued);
  const auto context = TlsContext::server({dir / "ca.crt", dir / "w.crt", dir / "w.key"});
  ASSERT_TRUE(context);
  EXPECT_EQ(context->own_certificate().not_after,
            std::chrono::floor<std::chrono::seconds>(now + std::chrono::days(30)));
}

TEST_F(Pki, CertificateNeverOutlivesItsCa) {
  ASSERT_TRUE(pki_init(dir.path(), "test", system_clock::now() - std::chrono::days(3600)));
  const auto issued = issue({"w", {}});
  ASSERT_TRUE(issued);
  EXPECT_LT(issued->not_after, system_clock::now() + std::chrono::days(51));
}

TEST_F(Pki, ExpiredCaIssuesNothing) {
  ASSERT_TRUE(pki_init(dir.path(), "test", system_clock::now() - std::chrono::days(3651)));
  const auto issued = issue({"w", {}});
  ASSERT_FALSE(issued);
  EXPECT_THAT(issued.error().message, HasSubstr("has expired"));
}

TEST_F(Pki, CannotWriteSaysWhere) {
  const auto made = pki_init("/proc/rollcall", "test", system_clock::now());
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("/proc/rollcall"));
}

struct RefusedRequest {
  const char* name;
  CertificateRequest request;
  const char* message;
};

class PkiRefuses : public Pki, public testing::WithParamInterface<RefusedRequest> {};

TEST_P(PkiRefuses, AndWritesNothing) {
  ASSERT_TRUE(init());
  const auto issued = issue(GetParam().request);
  ASSERT_FALSE(issued);
  EXPECT_THAT(issued.error().message, HasSubstr(GetParam().message));
  EXPECT_EQ(files(), (std::set<std::string>{"ca.crt", "ca.key"}));
}

INSTANTIATE_TEST_SUITE_P(
    Requests, PkiRefuses,
    ::testing::Values(RefusedRequest{"EmptyName", {"", {}}, "1 to 64 letters"},
                      RefusedRequest{"LongName", {std::string(65, 'a'), {}}, "1 to 64 letters"},
                      RefusedRequest{"PathInName", {"../w", {}}, "1 to 64 letters"},
                      RefusedRequest{"SpaceInName", {"w 1", {}}, "1 to 64 letters"},
                      RefusedRequest{"NewlineInName", {"w\n", {}}, "1 to 64 letters"},
                      RefusedRequest{"NonAsciiName", {"w\xc3\xb6", {}}, "1 to 64 letters"},
                      RefusedRequest{"NameOfTheCa", {"ca", {}}, "taken by the CA"},
                      RefusedRequest{"CommaInDnsName", {"w", {"a,IP:1.2.3.4"}}, "DNS name"},
                      RefusedRequest{"NoDays", {"w", {}, 0}, "0 days"},
                      RefusedRequest{"TooManyDays", {"w", {}, 3651}, "3651 days"}),
    [](const auto& test) { return test.param.name; });

TEST_F(Pki, LongestNameAndEveryAllowedCharacterWork) {
  ASSERT_TRUE(init("A-b_c.9"));
  EXPECT_TRUE(issue({std::string(64, 'a'), {}}));
  EXPECT_TRUE(issue({"A-b_c.9", {}}));
}

TEST_F(Pki, RefusesABadClusterName) {
  const auto made = init("my cluster");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("cluster name"));
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace rollcall::net
