#include "protocol/ids.h"

#include <gtest/gtest.h>

namespace rollcall {
namespace {

TEST(NodeName, HasOneTo64LettersDigitsDotsUnderscoresAndDashes) {
  EXPECT_TRUE(is_valid_node_name("w"));
  EXPECT_TRUE(is_valid_node_name("Worker-1.rack_2"));
  EXPECT_TRUE(is_valid_node_name(std::string(64, 'a')));
  EXPECT_FALSE(is_valid_node_name(""));
  EXPECT_FALSE(is_valid_node_name(std::string(65, 'a')));
}

TEST(NodeName, RefusesWhatWouldSpoilALogLineOrAPath) {
  for (const std::string_view name :
       {"a b", "a/b", "a\n", "a\"", "a@b", "a+b", "a\xc3\xa4", "a:b"}) {
    EXPECT_FALSE(is_valid_node_name(name)) << name;
  }
  EXPECT_FALSE(is_valid_node_name(std::string_view("a\0b", 3)));
}

TEST(Epoch, IsAtLeastOneWhateverTheMoment) {
  EXPECT_EQ(epoch_at({-5}), Epoch{1});
  EXPECT_EQ(epoch_at({0}), Epoch{1});
  EXPECT_EQ(epoch_at({1}), Epoch{1});
  EXPECT_EQ(epoch_at({77}), Epoch{77});
  EXPECT_NE(epoch_at({INT64_MIN}), kUnstamped);
}

TEST(Epoch, GivesItsMomentBack) {
  EXPECT_EQ(time_of(epoch_at({1'700'000'000'000'000})), MasterTime{1'700'000'000'000'000});
  EXPECT_EQ(next(Epoch{4}), Epoch{5});
}

TEST(Id, IsShownAs16HexDigits) {
  EXPECT_EQ(to_hex(0), "0000000000000000");
  EXPECT_EQ(to_hex(0x1234'abcd), "000000001234abcd");
  EXPECT_EQ(to_hex(UINT64_MAX), "ffffffffffffffff");
}

}  // namespace
}  // namespace rollcall
