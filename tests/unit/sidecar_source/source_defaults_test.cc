#include "sidecar/source/source_defaults.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace rollcall::sidecar {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

TEST(SourceDefaults, FollowFromTheVersion) {
  const SourceDefaults older = defaults_of({"4.11.2", false}, {});
  EXPECT_EQ(older.keepalive_us, 10 * kSecond);
  EXPECT_EQ(older.agent_timeout_us, 600 * kSecond);
  const SourceDefaults newer = defaults_of({"4.14.7", true}, {});
  EXPECT_EQ(newer.keepalive_us, 20 * kSecond);
  EXPECT_EQ(newer.agent_timeout_us, 900 * kSecond);
  EXPECT_EQ(defaults_of({"4.14.7", true}, 90 * kSecond).agent_timeout_us, 90 * kSecond)
      << "what the manager is told counts more";
  EXPECT_EQ(defaults_of({"4.14.7", true}, kSecond).agent_timeout_us, 60 * kSecond)
      << "but not less than three keepalives";
}

// ---- ossec.conf

std::string conf(const std::string& time) {
  return "<ossec_config>\n  <global>\n    <agents_disconnection_time>" + time +
         "</agents_disconnection_time>\n  </global>\n</ossec_config>\n";
}

struct Time {
  const char* text;
  std::int64_t seconds;  // 0: none
};
class EachTime : public ::testing::TestWithParam<Time> {};
INSTANTIATE_TEST_SUITE_P(DisconnectionTime, EachTime,
                         ::testing::Values(Time{"90", 90}, Time{"90s", 90}, Time{"15m", 900},
                                           Time{"2h", 7'200}, Time{"1d", 86'400},
                                           Time{"1w", 604'800}, Time{" 10m\n", 600}, Time{"", 0},
                                           Time{"0", 0}, Time{"-5m", 0}, Time{"10x", 0},
                                           Time{"m", 0}, Time{"10 m", 0}, Time{"400d", 0},
                                           Time{"99999999999999999999", 0}));

TEST_P(EachTime, IsReadAsWazuhDoes) {
  const auto time = disconnection_time(conf(GetParam().text));
  EXPECT_EQ(time.value_or(0), GetParam().seconds * kSecond);
}

TEST(DisconnectionTime, IsThatOfGlobalAndTheLastOneCounts) {
  EXPECT_EQ(disconnection_time("<agents_disconnection_time>1m</agents_disconnection_time>"),
            std::nullopt);
  EXPECT_EQ(disconnection_time(conf("1m") + conf("2m")), 120 * kSecond);
  EXPECT_EQ(disconnection_time(conf("1m") + conf("nonsense")), 60 * kSecond);
  EXPECT_EQ(disconnection_time("<global><agents_disconnection_time>1m"), std::nullopt);
  EXPECT_EQ(disconnection_time("<global>" + std::string(100'000, '<')), std::nullopt);
}

TEST(DisconnectionTime, OfACommentDoesNotCount) {
  EXPECT_EQ(disconnection_time("<!-- " + conf("1m") + " -->"), std::nullopt);
  EXPECT_EQ(disconnection_time(conf("3m") + "<!-- " + conf("1m")), 180 * kSecond);
  EXPECT_EQ(disconnection_time(conf("<!-- not 1m -->4m")), 240 * kSecond);
}

TEST(DisconnectionTime, IsReadFromAPlainFileThatIsNotTooLong) {
  std::string folder = ::testing::TempDir() + "rollcall-conf-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/ossec.conf";
  EXPECT_EQ(read_disconnection_time(path), std::nullopt) << "no such file";
  std::ofstream(path) << conf("5m");
  EXPECT_EQ(read_disconnection_time(path), 300 * kSecond);
  EXPECT_EQ(read_disconnection_time(folder), std::nullopt);
  std::ofstream(path) << conf("5m") << std::string(1 << 20, ' ');
  EXPECT_EQ(read_disconnection_time(path), std::nullopt);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace rollcall::sidecar
