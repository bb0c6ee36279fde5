#include "net/revocation.h"

#include <gmock/gmock.h>

namespace rollcall::net {
namespace {

TEST(RevokedSerials, NothingIsRevokedWithoutAFile) {
  const auto none = RevokedSerials::load("");
  ASSERT_TRUE(none);
  EXPECT_EQ(none->size(), 0u);
  EXPECT_FALSE(none->contains("01"));
}

TEST(RevokedSerials, ASerialCountsHoweverItIsWritten) {
  const auto list = RevokedSerials::parse("# stolen laptop\n0aBC:01 # w3\n\n  77\r\n", "revoked");
  ASSERT_TRUE(list);
  EXPECT_EQ(list->size(), 2u);
  EXPECT_TRUE(list->contains("ABC01"));
  EXPECT_TRUE(list->contains("00:0a:bc:01"));
  EXPECT_TRUE(list->contains("77"));
  EXPECT_FALSE(list->contains("770"));
  EXPECT_FALSE(list->contains(""));
}

TEST(CanonicalSerial, IsOneTextForEachSerialAndNoneForWhatIsNone) {
  EXPECT_EQ(canonical_serial("00:4f:3A"), "4F3A");
  EXPECT_EQ(canonical_serial(std::string(40, 'f')), std::string(40, 'F'));
  for (const auto& wrong : {std::string(), std::string(":"), std::string("00"), std::string(" 4F"),
                            std::string("4G"), std::string(41, 'f')})
    EXPECT_EQ(canonical_serial(wrong), std::nullopt) << wrong;
}

TEST(RevokedSerials, ALineThatIsNoSerialIsRefusedWithItsNumber) {
  const auto list = RevokedSerials::parse("77\nworker-3\n", "revoked");
  ASSERT_FALSE(list);
  EXPECT_THAT(list.error().message, ::testing::StartsWith("revoked:2: "));
}

TEST(RevokedSerials, WhatCannotBeReadIsNoEmptyList) {
  const auto list = RevokedSerials::load("/");
  ASSERT_FALSE(list);
  EXPECT_THAT(list.error().message, ::testing::StartsWith("/: "));
}

TEST(RevokedSerials, AMissingFileIsAnErrorThatNamesIt) {
  const auto list = RevokedSerials::load("/nonexistent/revoked");
  ASSERT_FALSE(list);
  EXPECT_THAT(list.error().message, ::testing::StartsWith("/nonexistent/revoked: "));
}

}  // namespace
}  // namespace rollcall::net
