#include "protocol/version.h"

#include <gtest/gtest.h>

namespace rollcall {
namespace {

TEST(Version, EpochDecidesBeforeNodeAndChange) {
  EXPECT_LT((Version{Epoch{1}, "z", 9}), (Version{Epoch{2}, "a", 0}));
  EXPECT_LT((Version{Epoch{1}, "z", 0xffff'ffffu}), (Version{Epoch{2}, "a", 0}));
}

TEST(Version, NodeDecidesBeforeChange) {
  EXPECT_LT((Version{Epoch{1}, "a", 9}), (Version{Epoch{1}, "b", 0}));
}

TEST(Version, NodesAreComparedBytewiseByName) {
  EXPECT_LT((Version{Epoch{1}, "w10", 0}), (Version{Epoch{1}, "w2", 0}));
  EXPECT_LT((Version{Epoch{1}, "W", 0}), (Version{Epoch{1}, "a", 0}));
  EXPECT_LT((Version{Epoch{1}, "w", 0}), (Version{Epoch{1}, "w0", 0}));
}

TEST(Version, ChangeDecidesWithinASession) {
  EXPECT_LT((Version{Epoch{1}, "a", 1}), (Version{Epoch{1}, "a", 2}));
  EXPECT_LT((Version{Epoch{1}, "a", 1}), (Version{Epoch{1}, "a", kFirstMasterChange}));
}

TEST(Version, LargestEpochsCompareAsUnsigned) {
  EXPECT_LT((Version{Epoch{1}, "a", 0}), (Version{Epoch{UINT64_MAX}, "a", 0}));
}

TEST(Version, SessionIsNamedByEpochAndNode) {
  const Version v{Epoch{5}, "w1", 3};
  EXPECT_TRUE(v.same_session({Epoch{5}, "w1", 9}));
  EXPECT_FALSE(v.same_session({Epoch{5}, "w2", 3}));
  EXPECT_FALSE(v.same_session({Epoch{6}, "w1", 3}));
}

TEST(Version, ReadsAsEpochNodeChange) {
  EXPECT_EQ(to_string(Version{Epoch{1'700'000'000'000'000}, "w1", 3}), "1700000000000000@w1+3");
}

}  // namespace
}  // namespace rollcall
