#include "protocol/inventory.h"

#include <gtest/gtest.h>

namespace rollcall {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;

InventoryEntry entry(std::uint32_t agent, std::int64_t age_us) {
  return {AgentId{agent},
          Epoch{static_cast<std::uint64_t>(kNow - age_us)},
          1,
          {{kNow - age_us % 20'000'000 - 1'000'000}, {kNow - age_us % 20'000'000}}};
}

std::string refusal(std::string_view bytes, std::size_t count) {
  const auto entries = unpack_entries(bytes, count);
  return entries ? "accepted" : entries.error().message;
}

TEST(Inventory, TakesAboutSixteenBytesForAnEntry) {
  std::vector<InventoryEntry> entries;
  for (std::uint32_t i = 1; i <= 8192; ++i) entries.push_back(entry(i, i * 977'531'101LL));
  const std::string bytes = pack_entries(entries);
  EXPECT_LT(bytes.size(), entries.size() * 17);
  const auto back = unpack_entries(bytes, entries.size());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, entries);
}

TEST(Inventory, HoldsEveryMagnitude) {
  const std::vector<InventoryEntry> entries = {
      {AgentId{1}, Epoch{1}, 0, {{-(1ll << 60)}, {-(1ll << 60)}}},
      {AgentId{2}, Epoch{1ull << 60}, UINT32_MAX, {{-(1ll << 60)}, {1ll << 60}}},
      {AgentId{UINT32_MAX}, Epoch{1}, 7, {{0}, {0}}}};
  const auto back = unpack_entries(pack_entries(entries), entries.size());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, entries);
}

TEST(Inventory, RefusesWhatIsNoEntry) {
  const std::string one = pack_entries(std::vector{entry(7, 0)});
  EXPECT_EQ(refusal(one, 1), "accepted");
  EXPECT_EQ(refusal(one, 2), "entry 1: agent is not one after the entry before");
  EXPECT_EQ(refusal(one + '\1', 1), "entry 1: there are more bytes than entries");
  EXPECT_EQ(refusal(std::string("\0\2\0\0\0", 5), 1),
            "entry 0: agent is not one after the entry before");
  EXPECT_EQ(refusal(std::string("\1\0\0\0\0", 5), 1),
            "entry 0: epoch is not a number from 1 to 2^60");
  EXPECT_EQ(refusal(std::string("\1\2\xff\xff\xff\xff\x7f\0\0", 9), 1),
            "entry 0: change is not a 32-bit number");
  EXPECT_EQ(refusal(std::string("\1\2\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0", 14), 1),
            "entry 0: hi is not a time, or out of range");
  EXPECT_EQ(refusal(std::string("\1\2\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 14), 1),
            "entry 0: lo is not a time, or out of range");
  for (std::size_t n = 0; n < one.size(); ++n) EXPECT_NE(refusal(one.substr(0, n), 1), "accepted");
}

TEST(Inventory, RefusesNumbersOfMoreThan64Bits) {
  EXPECT_EQ(refusal(std::string(10, '\xff') + '\1', 1),
            "entry 0: agent is not one after the entry before");
}

TEST(Inventory, MakesNoRoomForWhatIsNotThere) {
  EXPECT_EQ(refusal("", SIZE_MAX), "entry 0: agent is not one after the entry before");
}

}  // namespace
}  // namespace rollcall
