#include "wazuh/wazuh_version.h"

#include <gmock/gmock.h>

#include <ostream>

#include "tests/support/standin_wazuhdb.h"

namespace rollcall::wazuh {

// For messages of failed tests.
void PrintTo(const WazuhVersion& version, std::ostream* out) {
  *out << version.text << (version.since_4_13 ? ", since 4.13" : ", before 4.13");
}

namespace {

using rollcall::testing::StandinWazuhDb;
using rollcall::testing::WazuhFlavour;

WazuhVersion version_of(StandinWazuhDb& db, const std::string& own_row = "") {
  if (!own_row.empty()) {
    EXPECT_EQ(db.handle("global sql UPDATE agent SET version='" + own_row + "' WHERE id=0", 1),
              "ok []");
  }
  const auto version = take_version(db.handle(version_request(), 1));
  EXPECT_TRUE(version) << version.error().message;
  EXPECT_FALSE(db.seen().sql_changes);
  EXPECT_FALSE(db.seen().reads_secret);
  return version.value_or(WazuhVersion{"no answer", false});
}

TEST(WazuhVersion, IsWhatTheManagersOwnRowSays) {
  StandinWazuhDb older(WazuhFlavour::k4_11), newer(WazuhFlavour::k4_14);
  EXPECT_EQ(version_of(older, "Wazuh v4.11.2"), (WazuhVersion{"4.11.2", false}));
  EXPECT_EQ(version_of(older, "Wazuh v4.12.0"), (WazuhVersion{"4.12.0", false}));
  EXPECT_EQ(version_of(newer, "Wazuh v4.13.1"), (WazuhVersion{"4.13.1", true}));
  EXPECT_EQ(version_of(newer, "Wazuh v4.14.7"), (WazuhVersion{"4.14.7", true}));
}

TEST(WazuhVersion, WithoutThatRowIsToldByHowTheTableWasMade) {
  StandinWazuhDb older(WazuhFlavour::k4_11), newer(WazuhFlavour::k4_14);
  EXPECT_EQ(version_of(older), (WazuhVersion{"4.12 or earlier", false}));
  EXPECT_EQ(version_of(newer), (WazuhVersion{"4.13 or later", true}));
}

TEST(WazuhVersion, ARowThatContradictsTheTableIsOfBeforeAnUpgrade) {
  StandinWazuhDb older(WazuhFlavour::k4_11), newer(WazuhFlavour::k4_14);
  EXPECT_EQ(version_of(newer, "Wazuh v4.11.2"), (WazuhVersion{"4.13 or later", true}));
  EXPECT_EQ(version_of(older, "Wazuh v4.14.0"), (WazuhVersion{"4.12 or earlier", false}));
}

TEST(WazuhVersion, WhatIsNoVersionIsNotShown) {
  StandinWazuhDb db(WazuhFlavour::k4_14);
  for (const char* text : {"Wazuh v4.14.7<script>", "Wazuh v", "4.14.7", "Wazuh v4",
                           "Wazuh v99999999999.1", "Wazuh v4.14.77777777777777777777777777777777"})
    EXPECT_EQ(version_of(db, text), (WazuhVersion{"4.13 or later", true})) << text;
}

TEST(WazuhVersion, AReplyThatIsNoAnswerIsAnError) {
  for (const char* reply :
       {"", "ok", "ok []", "ok [{}]", "ok [{\"k\":\"1\"}]", "ok [{\"k\":1}", "ok [7]",
        "ok {\"k\":1}", "err Cannot execute Global database query", "ok [{\"k\":1},{\"k\":1}]"})
    EXPECT_FALSE(take_version(reply)) << reply;
}

}  // namespace
}  // namespace rollcall::wazuh
