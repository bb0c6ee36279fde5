#include "protocol/unknown_fields.h"

#include <gmock/gmock.h>

namespace rollcall {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Names = std::vector<std::string>;

TEST(UnknownFields, AreNamedInTheInfoItselfOnceEach) {
  AgentInfo info{{"name", "db-07"}};
  EXPECT_THAT(unknown_fields(info), IsEmpty());
  add_unknown_fields(info, Names{});
  EXPECT_FALSE(info.contains("unknown_fields")) << "a complete info says nothing of it";
  add_unknown_fields(info, Names{"os_uname", "label.site"});
  add_unknown_fields(info, Names{"os_uname", "ip"});
  EXPECT_THAT(unknown_fields(info), ElementsAre("os_uname", "label.site", "ip"));
  EXPECT_EQ(info.at("name"), "db-07");
}

TEST(UnknownFields, OneLabelLeavesTheOthersKnownButNotAllOfThem) {
  AgentInfo info;
  add_unknown_fields(info, Names{"label.site"});
  EXPECT_TRUE(is_unknown(info, "label.site"));
  EXPECT_FALSE(is_unknown(info, "label.room"));
  EXPECT_TRUE(is_unknown(info, kAllLabels));
  EXPECT_FALSE(is_unknown(info, "ip"));
  add_unknown_fields(info, Names{"labels"});
  EXPECT_TRUE(is_unknown(info, "label.room"));
}

TEST(UnknownFields, NamesThatDoNotFitAreNamedTogether) {
  AgentInfo info;
  Names names;
  for (int i = 0; i < 1000; ++i) names.push_back("label." + std::to_string(i));
  names.emplace_back(kMaxUnknownFields, 'x');
  names.emplace_back("");
  add_unknown_fields(info, names);
  EXPECT_LE(info.at("unknown_fields").size(), kMaxUnknownFields);
  for (const std::string& name : names) {
    const bool label = name.starts_with(kLabelPrefix);
    EXPECT_TRUE(is_unknown(info, label ? name : std::string(kOtherFields))) << name;
  }
  const AgentInfo before = info;
  add_unknown_fields(info, names);
  EXPECT_EQ(info, before) << "it grows no further";
}

}  // namespace
}  // namespace rollcall
