// What is packed for somebody who helps holds no secrets, and can be unpacked.
#include "cli/secrets.h"

#include <gmock/gmock.h>

#include "cli/findings.h"
#include "cli/tar.h"

namespace rollcall::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(WithoutSecrets, PrivateKeysOfAnyKindAreTakenOutAndCertificatesStay) {
  const std::string text = without_secrets(
      "a\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\nb\n"
      "-----BEGIN CERTIFICATE-----\nCCCC\n-----END CERTIFICATE-----\n"
      "-----BEGIN PRIVATE KEY-----\nBBBB\n");
  EXPECT_THAT(text, Not(HasSubstr("AAAA")));
  EXPECT_THAT(text, Not(HasSubstr("BBBB"))) << "one without an end";
  EXPECT_THAT(text, HasSubstr("CCCC"));
  EXPECT_THAT(text, HasSubstr("b\n"));
}

TEST(WithoutSecrets, TokensAreTakenOutAndSerialsStay) {
  const std::string token(64, 'a');
  const std::string serial(40, 'B');
  const std::string text =
      without_secrets("token=" + token + " Authorization: Bearer short! serial=" + serial);
  EXPECT_EQ(text, "token=[removed] Authorization: Bearer [removed] serial=" + serial);
  EXPECT_EQ(without_secrets(token), "[removed]");
}

TEST(Tar, IsOfWholeBlocksWithARightChecksum) {
  const std::string tar = tar_of({{"a/b.txt", "hello"}, {"empty", ""}}, 1'700'000'000);
  EXPECT_EQ(tar.size(), 512u * 5);
  EXPECT_EQ(tar.substr(512, 5), "hello");
  std::string head = tar.substr(0, 512);
  const unsigned told = static_cast<unsigned>(std::stoul(head.substr(148, 6), nullptr, 8));
  head.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : head) sum += static_cast<unsigned char>(c);
  EXPECT_EQ(told, sum);
}

TEST(FindingsText, NamesWhatIsWrongAndTheCommandThatMendsIt) {
  Findings findings;
  findings.good("ca", "/ca.crt");
  EXPECT_FALSE(findings.any_wrong());
  findings.wrong("key", "too\nopen", "chmod 600 /k");
  EXPECT_TRUE(findings.any_wrong());
  const std::string text = findings_text(findings);
  EXPECT_THAT(text, HasSubstr("good     ca             /ca.crt\n"));
  EXPECT_THAT(text, HasSubstr("WRONG    key            "));
  EXPECT_THAT(text, HasSubstr("mend:          chmod 600 /k\n"));
  EXPECT_THAT(text, Not(HasSubstr("too\nopen")));
  EXPECT_EQ(findings_json(findings)["good"], false);
  EXPECT_EQ(findings_json(findings)["checks"][0]["mend"], nullptr);
}

}  // namespace
}  // namespace rollcall::cli
