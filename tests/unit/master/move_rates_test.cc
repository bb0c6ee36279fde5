#include "master/core/move_rates.h"

#include <gtest/gtest.h>

namespace rollcall::master {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
using Rates = MoveRates::Rates;

TEST(MoveRates, CountWhoCameAndWhoLeft) {
  MoveRates rates;
  rates.moved("w1", "w2", 100 * kSecondUs);
  rates.moved("w1", "w2", 101 * kSecondUs);
  rates.moved("w2", "w3", 130 * kSecondUs);
  EXPECT_EQ(rates.of("w1", 130 * kSecondUs), (Rates{0, 2, 0, 2}));
  EXPECT_EQ(rates.of("w2", 130 * kSecondUs), (Rates{2, 1, 2, 1}));
  EXPECT_EQ(rates.of("w3", 130 * kSecondUs), (Rates{1, 0, 1, 0}));
  EXPECT_EQ(rates.of("w4", 130 * kSecondUs), Rates{});
}

TEST(MoveRates, OfAMinuteAndOfTen) {
  MoveRates rates;
  rates.moved("w1", "w2", 100 * kSecondUs);
  EXPECT_EQ(rates.of("w1", 159 * kSecondUs), (Rates{0, 1, 0, 1}));
  EXPECT_EQ(rates.of("w1", 160 * kSecondUs), (Rates{0, 0, 0, 1}));
  EXPECT_EQ(rates.of("w1", 699 * kSecondUs), (Rates{0, 0, 0, 1}));
  EXPECT_EQ(rates.of("w1", 700 * kSecondUs), Rates{});
  rates.moved("w1", "w2", 705 * kSecondUs);
  EXPECT_EQ(rates.of("w1", 705 * kSecondUs), (Rates{0, 1, 0, 1})) << "its place was used before";
}

TEST(MoveRates, AForgottenWorkerHasNone) {
  MoveRates rates;
  rates.moved("w1", "w2", 100 * kSecondUs);
  rates.forget("w1");
  EXPECT_EQ(rates.of("w1", 100 * kSecondUs), Rates{});
}

}  // namespace
}  // namespace rollcall::master
