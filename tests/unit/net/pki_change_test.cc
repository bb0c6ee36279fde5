// Certificates that are renewed and revoked, and the change of a CA.
#include <sys/stat.h>

#include <optional>
#include <set>

#include "net/pki.h"
#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using std::chrono::days;
using std::chrono::system_clock;
using ::testing::HasSubstr;

class PkiChange : public ::testing::Test {
 protected:
  PkiChange() {
    EXPECT_TRUE(pki_init(dir.path(), "test", now));
    issue("master");
    issue("w");
  }
  std::string issue(const std::string& node) {
    const auto issued = pki_issue(dir.path(), {node, {node + ".example"}, 30}, now);
    EXPECT_TRUE(issued) << issued.error().message;
    return issued ? issued->serial : "";
  }
  std::string renew(const std::string& node) {
    const auto issued = pki_renew(dir.path(), node, 30, now);
    EXPECT_TRUE(issued) << issued.error().message;
    return issued ? issued->serial : "";
  }
  RevokedCertificates revoke(const RevokeRequest& request) {
    const auto revoked = pki_revoke(dir.path(), request, now);
    EXPECT_TRUE(revoked) << revoked.error().message;
    return revoked.value_or(RevokedCertificates{});
  }
  void begin_change() {
    const auto begun = pki_begin_change(dir.path(), now);
    EXPECT_TRUE(begun) << begun.error().message;
  }
  std::optional<Error> end_change() {
    const auto ended = pki_end_change(dir.path());
    return ended ? std::nullopt : std::optional(ended.error());
  }

  // What a node keeps: its own copies, as they are now.
  TlsFiles deployed(const std::string& node) {
    const std::string copy = dir / ("at-" + node + std::to_string(copies++));
    std::filesystem::create_directory(copy);
    TlsFiles files{copy + "/ca.crt", copy + "/node.crt", copy + "/node.key"};
    write_text(files.ca, read_text(dir / "ca.crt"));
    write_text(files.certificate, read_text(dir / (node + ".crt")));
    write_text(files.key, read_text(dir / (node + ".key")));
    if (std::filesystem::exists(dir / "ca.crl")) {
      files.crl = copy + "/ca.crl";
      write_text(files.crl, read_text(dir / "ca.crl"));
    }
    return files;
  }
  // What the first of both says that refuses the other; empty if they agree.
  static std::string between(const TlsFiles& master, const TlsFiles& worker) {
    TlsEngine server(server_context(master));
    TlsEngine client(client_context(worker), "master");
    while (true) {
      const std::string up = client.take_output();
      const std::string down = server.take_output();
      if (up.empty() && down.empty()) return server.handshake_done() ? "" : "no end";
      if (auto fed = server.feed(std::as_bytes(std::span(up))); !fed)
        return "master: " + fed.error().message;
      if (auto fed = client.feed(std::as_bytes(std::span(down))); !fed)
        return "worker: " + fed.error().message;
    }
  }
  ListedCertificate listed(const std::string& file) {
    const auto all = pki_list(dir.path());
    EXPECT_TRUE(all) << all.error().message;
    for (const auto& one : *all) {
      if (one.info.file == dir / file) return one;
    }
    ADD_FAILURE() << file << " is not listed";
    return {};
  }

  TempDir dir;
  int copies = 0;
  const system_clock::time_point now = system_clock::now();
};

TEST_F(PkiChange, ARenewedPairHasTheSameNamesAnotherKeyAndWorksBesideTheOldOne) {
  const auto before = deployed("w");
  const std::string serial = renew("w");
  const auto after = deployed("w");
  EXPECT_EQ(client_context(after).own_certificate().serial, serial);
  EXPECT_EQ(client_context(after).own_certificate().names,
            client_context(before).own_certificate().names);
  EXPECT_NE(read_text(after.key), read_text(before.key));
  EXPECT_EQ(between(deployed("master"), before), "");
  EXPECT_EQ(between(deployed("master"), after), "");
}

TEST_F(PkiChange, ARenewedKeyIsForItsOwnerOnly) {
  renew("w");
  struct stat status{};
  ASSERT_EQ(stat((dir / "w.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(PkiChange, WhatWasNeverIssuedCannotBeRenewed) {
  const auto issued = pki_renew(dir.path(), "w9", 30, now);
  ASSERT_FALSE(issued);
  EXPECT_THAT(issued.error().message, HasSubstr("`rollcall pki issue w9`"));
}

TEST_F(PkiChange, ARevokedWorkerIsRefusedByTheMasterWithSerialAndFile) {
  const auto master = deployed("master");
  const auto revoked = revoke({"w"});
  ASSERT_EQ(revoked.serials.size(), 1u);
  EXPECT_EQ(between(master, deployed("w")), "") << "a master without the list";
  const auto told = deployed("master");
  const std::string refusal = between(told, deployed("w"));
  EXPECT_THAT(refusal, HasSubstr("master: the certificate of w, w.example is revoked"));
  EXPECT_THAT(refusal, HasSubstr(revoked.serials.front()));
  EXPECT_THAT(refusal, HasSubstr(told.crl));
}

TEST_F(PkiChange, ARevokedMasterIsRefusedByTheWorker) {
  revoke({"master"});
  auto master = deployed("master");
  master.crl = "";
  EXPECT_THAT(between(master, deployed("w")), HasSubstr("worker: the certificate of master"));
}

TEST_F(PkiChange, RevokingWhatWasRenewedLeavesTheNewestOne) {
  const auto before = deployed("w");
  renew("w");
  EXPECT_EQ(revoke({"w", true}).serials.size(), 1u);
  EXPECT_THAT(between(deployed("master"), before), HasSubstr("is revoked"));
  EXPECT_EQ(between(deployed("master"), deployed("w")), "");
  EXPECT_EQ(revoke({"w"}).serials.size(), 1u) << "the newest one";
}

TEST_F(PkiChange, ANodeIsRevokedThoughItHadCertificatesOfACaThatIsGone) {
  begin_change();
  renew("master");
  const std::string newest = renew("w");
  ASSERT_EQ(end_change(), std::nullopt);
  EXPECT_TRUE(revoke({"w", true}).serials.empty()) << "nothing of them counts";
  EXPECT_EQ(revoke({"w"}).serials, std::vector<std::string>{newest});
  EXPECT_THAT(between(deployed("master"), deployed("w")), HasSubstr("is revoked"));
}

TEST_F(PkiChange, ANodeWhoseNewestCertificateIsOfAnotherCaIsNotRevokedHalf) {
  renew("w");
  TestCa other;
  write_text(dir / "w.crt", read_text(other.issue("w").certificate));
  const auto revoked = pki_revoke(dir.path(), {"w"}, now);
  ASSERT_FALSE(revoked);
  EXPECT_THAT(revoked.error().message, HasSubstr("not signed by a CA in this folder"));
  EXPECT_FALSE(std::filesystem::exists(dir / "ca.crl"));
}

TEST_F(PkiChange, ACasOwnCertificateIsNeverRevoked) {
  begin_change();
  const auto refused = [&](const RevokeRequest& request) {
    const auto revoked = pki_revoke(dir.path(), request, now);
    return revoked ? "revoked" : revoked.error().message;
  };
  EXPECT_THAT(refused({"ca"}), HasSubstr("the node name \"ca\" is taken"));
  EXPECT_THAT(refused({"../w"}), HasSubstr("is not usable"));
  EXPECT_THAT(refused({.node = "", .files = {dir / "ca.crt"}}), HasSubstr("is that of a CA"));
  const auto authorities = client_context(deployed("w")).authorities();
  ASSERT_EQ(authorities.size(), 2u);
  for (const auto& authority : authorities)
    EXPECT_THAT(refused({.node = "", .serials = {authority.serial}}), HasSubstr("is that of a CA"));
  EXPECT_FALSE(std::filesystem::exists(dir / "ca.crl"));
}

TEST_F(PkiChange, RevokingNothingThatWasRenewedIsRefused) {
  const auto revoked = pki_revoke(dir.path(), {"w", true}, now);
  ASSERT_FALSE(revoked);
  EXPECT_THAT(revoked.error().message, HasSubstr("has no renewed certificate"));
}

TEST_F(PkiChange, ASerialOrAFileIsRevokedWithoutTheNode) {
  const std::string serial = issue("w2");
  const auto gone = deployed("w2");
  const auto master = deployed("master");
  std::filesystem::remove(dir / "w2.crt");
  EXPECT_EQ(revoke({.node = "", .serials = {serial}}).serials, std::vector<std::string>{serial});
  EXPECT_TRUE(revoke({.node = "", .files = {gone.certificate}}).serials.empty()) << "again";
  EXPECT_THAT(between(deployed("master"), gone), HasSubstr("is revoked"));
  EXPECT_FALSE(pki_revoke(dir.path(), {.node = "", .serials = {"w2"}}, now));
}

TEST_F(PkiChange, ASerialCountsWholeHoweverItIsWritten) {
  EXPECT_EQ(revoke({.node = "", .serials = {"4f:3a:0b"}}).serials,
            std::vector<std::string>{"4F3A0B"});
  EXPECT_EQ(revoke({.node = "", .serials = {":5F"}}).serials, std::vector<std::string>{"5F"});
  EXPECT_TRUE(revoke({.node = "", .serials = {"004F3a0B"}}).serials.empty()) << "the same";
  for (const char* wrong : {"", ":", "0", " 4F", "4F 3A", "4F\n5F", "4F # mine", "0x4F", "-4F"}) {
    const auto revoked = pki_revoke(dir.path(), {.node = "", .serials = {wrong}}, now);
    ASSERT_FALSE(revoked) << wrong;
    EXPECT_THAT(revoked.error().message, HasSubstr("is not a serial number"));
  }
}

TEST_F(PkiChange, ACertificateOfAnotherCaIsNotRevokedHere) {
  TestCa other;
  const auto revoked =
      pki_revoke(dir.path(), {.node = "", .files = {other.issue("x").certificate}}, now);
  ASSERT_FALSE(revoked);
  EXPECT_THAT(revoked.error().message, HasSubstr("not signed by a CA in this folder"));
}

TEST_F(PkiChange, AListThatOurCaDidNotSignIsRefusedWithBothFiles) {
  TempDir other;
  ASSERT_TRUE(pki_init(other.path(), "test", now));
  ASSERT_TRUE(pki_issue(other.path(), {"w", {}}, now));
  ASSERT_TRUE(pki_revoke(other.path(), {"w"}, now));
  auto files = deployed("master");
  files.crl = other / "ca.crl";
  const auto context = TlsContext::server(files);
  ASSERT_FALSE(context);
  EXPECT_THAT(context.error().message, HasSubstr(files.crl + " is not signed by a CA in "));
}

TEST_F(PkiChange, WhatIsCopiedListFirstLetsNobodyInWhoIsRevokedAndIsNeverRefused) {
  issue("stolen");
  revoke({"stolen"});
  begin_change();
  const auto stolen = deployed("stolen");  // which believes both CAs
  renew("master");
  renew("w");
  const auto master = deployed("master");
  ASSERT_EQ(end_change(), std::nullopt);
  write_text(master.crl, read_text(dir / "ca.crl"));
  EXPECT_EQ(between(master, deployed("w")), "");
  EXPECT_THAT(between(master, stolen), HasSubstr("is revoked")) << "the older CA counts still";
  write_text(master.ca, read_text(dir / "ca.crt"));
  EXPECT_EQ(between(master, deployed("w")), "");
  EXPECT_THAT(between(master, stolen), HasSubstr("is not signed by this cluster's CA"));
}

TEST_F(PkiChange, AListOfTheCaBeforeIsPassedOverOnlyBesideOneThatCounts) {
  revoke({"w"});
  const std::string older = read_text(dir / "ca.crl");
  begin_change();
  renew("master");
  renew("w");
  ASSERT_EQ(end_change(), std::nullopt);
  auto files = deployed("master");
  write_text(files.crl, older);
  EXPECT_FALSE(TlsContext::server(files)) << "only the older one";
  revoke({"master"});
  write_text(files.crl, older + read_text(dir / "ca.crl"));
  EXPECT_EQ(server_context(files).own_revoked_by(), files.crl) << "the other one counts";
  // One of another name may be that of an intermediate, which somebody relies on.
  TempDir other;
  ASSERT_TRUE(pki_init(other.path(), "another", now));
  ASSERT_TRUE(pki_issue(other.path(), {"w", {}}, now));
  ASSERT_TRUE(pki_revoke(other.path(), {"w"}, now));
  write_text(files.crl, read_text(dir / "ca.crl") + read_text(other / "ca.crl"));
  EXPECT_FALSE(TlsContext::server(files));
}

TEST_F(PkiChange, AChangeAfterAChangeTakesTheListsAsTheyAre) {
  revoke({"w"});
  for (int i = 0; i < 2; ++i) {
    begin_change();
    EXPECT_EQ(client_context(deployed("master")).authorities().size(), 2u);
    renew("master");
    renew("w");
    EXPECT_EQ(end_change(), std::nullopt);
    EXPECT_EQ(between(deployed("master"), deployed("w")), "");
  }
  revoke({"w"});
  EXPECT_THAT(between(deployed("master"), deployed("w")), HasSubstr("is revoked"));
}

TEST_F(PkiChange, AListSaysWhoSignedItAndHowLongItIsGood) {
  revoke({"w"});
  const auto context = server_context(deployed("master"));
  const auto lists = context.revocation_lists();
  ASSERT_EQ(lists.size(), 1u);
  EXPECT_EQ(lists.front().issuer, "O = test, CN = rollcall CA");
  EXPECT_EQ(lists.front().next_update, context.authorities().front().not_after);
}

TEST_F(PkiChange, AListCutAnywhereIsRefused) {
  revoke({"w"});
  auto files = deployed("master");
  const std::string whole = read_text(files.crl);
  for (std::size_t size = 0; size + 1 < whole.size(); size += 7) {
    write_text(files.crl, whole.substr(0, size));
    EXPECT_FALSE(TlsContext::server(files)) << size << " of " << whole.size();
  }
}

TEST_F(PkiChange, DuringAChangeOldAndNewWorkTogetherInAnyOrder) {
  const auto old_master = deployed("master");
  const auto old_worker = deployed("w");
  begin_change();
  auto told_master = old_master;  // has the new ca.crt, and its own certificate still
  auto told_worker = old_worker;
  told_master.ca = told_worker.ca = dir / "both.crt";
  write_text(dir / "both.crt", read_text(dir / "ca.crt"));
  EXPECT_EQ(between(told_master, old_worker), "");
  renew("w");
  const auto new_worker = deployed("w");
  EXPECT_EQ(between(told_master, new_worker), "");
  EXPECT_THAT(between(old_master, new_worker), HasSubstr("is not signed by this cluster's CA"));
  renew("master");
  EXPECT_EQ(between(deployed("master"), told_worker), "");
  EXPECT_EQ(end_change(), std::nullopt);
  EXPECT_EQ(between(deployed("master"), new_worker), "");
  EXPECT_THAT(between(deployed("master"), told_worker),
              HasSubstr("is not signed by this cluster's CA"));
  EXPECT_FALSE(std::filesystem::exists(dir / "ca.key.older"));
}

TEST_F(PkiChange, AChangeDoesNotEndWhileANodeNeedsTheOlderCa) {
  begin_change();
  renew("master");
  const auto refused = end_change();
  ASSERT_TRUE(refused);
  EXPECT_THAT(refused->message, HasSubstr("needed by: w, w.example"));
  revoke({"w"});
  EXPECT_EQ(end_change(), std::nullopt);
}

TEST_F(PkiChange, OnlyOneChangeAtATimeAndNoneIsEndedTwice) {
  EXPECT_THAT(end_change()->message, HasSubstr("no change of the CA is under way"));
  begin_change();
  const auto again = pki_begin_change(dir.path(), now);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("a change of the CA is under way"));
}

TEST_F(PkiChange, ARevokedOneStaysSoOnBothListsAndAfterTheEnd) {
  issue("stolen");
  const auto stolen = deployed("stolen");
  revoke({"stolen"});
  begin_change();
  revoke({"w"});  // of the older CA
  EXPECT_THAT(between(deployed("master"), stolen), HasSubstr("is revoked"));
  renew("master");
  renew("w");
  const std::string serial = issue("w3");
  revoke({"w3"});
  EXPECT_EQ(end_change(), std::nullopt);
  EXPECT_EQ(between(deployed("master"), deployed("w")), "");
  EXPECT_THAT(between(deployed("master"), deployed("w3")), HasSubstr(serial));
}

TEST_F(PkiChange, AChangeThatWasCutShortGoesOn) {
  const std::string ca = read_text(dir / "ca.crt");
  const std::string key = read_text(dir / "ca.key");
  begin_change();
  // As a power cut leaves it, before each of the later steps.
  std::filesystem::rename(dir / "ca.key", dir / "ca.key.next");
  write_text(dir / "ca.key", key);
  begin_change();
  std::filesystem::rename(dir / "ca.key", dir / "ca.key.next");
  std::filesystem::remove(dir / "ca.key.older");
  write_text(dir / "ca.key", key);
  EXPECT_TRUE(pki_issue(dir.path(), {"meanwhile", {}}, now));
  begin_change();
  std::filesystem::rename(dir / "ca.key", dir / "ca.key.next");
  std::filesystem::remove(dir / "ca.key.older");
  write_text(dir / "ca.key", key);
  write_text(dir / "ca.crt", ca);
  begin_change();
  EXPECT_EQ(read_text(dir / "ca.key.older"), key);
  EXPECT_FALSE(std::filesystem::exists(dir / "ca.key.next"));
  renew("w");
  EXPECT_EQ(between(deployed("master"), deployed("w")), "");
}

TEST_F(PkiChange, AnEndThatWasCutShortAtAnyStepIsEndedByTheNextCall) {
  issue("gone");
  revoke({"gone"});  // of the older CA: must not come back at any step
  begin_change();
  renew("master");
  renew("w");
  const auto gone = deployed("gone");
  const std::string ca = read_text(dir / "ca.crt");
  const std::string crl = read_text(dir / "ca.crl");
  const std::string key = read_text(dir / "ca.key.older");
  ASSERT_EQ(end_change(), std::nullopt);
  const std::string ended = read_text(dir / "ca.crt");
  const std::string ended_crl = read_text(dir / "ca.crl");
  for (int steps = 0; steps < 3; ++steps) {  // that were done: the list, ca.crt; not the key
    write_text(dir / "ca.key.older", key);
    write_text(dir / "ca.crl", steps > 0 ? ended_crl : crl);
    write_text(dir / "ca.crt", steps > 1 ? ended : ca);
    EXPECT_THAT(between(deployed("master"), gone), HasSubstr("master: the certificate of gone"))
        << steps;
    EXPECT_EQ(between(deployed("master"), deployed("w")), "") << steps;
    EXPECT_FALSE(pki_begin_change(dir.path(), now)) << steps;
    EXPECT_EQ(end_change(), std::nullopt) << steps;
    EXPECT_FALSE(std::filesystem::exists(dir / "ca.key.older")) << steps;
    EXPECT_EQ(read_text(dir / "ca.crt"), ended) << steps;
    EXPECT_EQ(between(deployed("master"), deployed("w")), "") << steps;
    EXPECT_THAT(end_change()->message, HasSubstr("no change of the CA is under way"));
  }
  begin_change();
}

TEST_F(PkiChange, ABeginningThatWasCutShortAtAnyStepIsNoChangeToEnd) {
  const std::string ca = read_text(dir / "ca.crt");
  const std::string key = read_text(dir / "ca.key");
  begin_change();
  const std::string next = read_text(dir / "ca.key");
  const std::string both = read_text(dir / "ca.crt");
  for (int steps = 1; steps < 4; ++steps) {  // that were done: the key, ca.crt, the older key
    write_text(dir / "ca.key", key);
    write_text(dir / "ca.key.next", next);
    write_text(dir / "ca.crt", steps > 1 ? both : ca);
    std::filesystem::remove(dir / "ca.key.older");
    if (steps > 2) write_text(dir / "ca.key.older", key);
    const auto refused = end_change();
    ASSERT_TRUE(refused) << steps;
    EXPECT_THAT(refused->message, HasSubstr("`rollcall pki change-ca` goes on with it")) << steps;
    revoke({"w"});
    EXPECT_THAT(between(deployed("master"), deployed("w")), HasSubstr("is revoked")) << steps;
    renew("w");
    EXPECT_EQ(between(deployed("master"), deployed("w")), "") << steps;
    begin_change();
    EXPECT_EQ(read_text(dir / "ca.key"), next) << steps;
    EXPECT_EQ(read_text(dir / "ca.key.older"), key) << steps;
    EXPECT_EQ(between(deployed("master"), deployed("w")), "") << steps;
  }
}

TEST_F(PkiChange, ListsWhatThereIs) {
  const std::string first = issue("w2");
  renew("w2");
  revoke({"w2", true});
  begin_change();
  EXPECT_TRUE(listed("ca.crt").signs) << "the first one in it";
  EXPECT_EQ(listed("w2.crt").revoked_by, "");
  EXPECT_EQ(listed("renewed/w2." + first + ".crt").revoked_by, dir / "ca.crl");
  EXPECT_TRUE(listed("w.crt").is_of_this_ca) << "of the older one";
  EXPECT_EQ(listed("w.crt").key_trouble, "");
  TestCa other;
  write_text(dir / "x.crt", read_text(other.issue("x").certificate));
  EXPECT_FALSE(listed("x.crt").is_of_this_ca);
  write_text(dir / "w.key", read_text(dir / "w2.key"));
  EXPECT_THAT(listed("w.crt").key_trouble, HasSubstr("does not belong"));
  std::filesystem::permissions(dir / "w2.key", std::filesystem::perms(0644));
  EXPECT_THAT(listed("w2.crt").key_trouble, HasSubstr("chmod o-rwx " + (dir / "w2.key")));
}

TEST_F(PkiChange, AFileIsShownOnAMachineThatIsNotTheCas) {
  const auto files = deployed("w");
  const auto read = pki_read(files.certificate);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->front().is_of_this_ca) << "ca.crt is beside it";
  EXPECT_EQ(read->front().info.names.front(), "w");
  EXPECT_FALSE(pki_read(files.key));
}

TEST(DaysLeft, CountsWholeDaysAndGoesBelowZero) {
  const system_clock::time_point end{};
  EXPECT_EQ(days_left(end, end - days(30)), 30);
  EXPECT_EQ(days_left(end, end - days(30) + std::chrono::seconds(1)), 29);
  EXPECT_EQ(days_left(end, end - std::chrono::seconds(1)), 0);
  EXPECT_EQ(days_left(end, end + std::chrono::seconds(1)), -1);
}

}  // namespace
}  // namespace rollcall::net
