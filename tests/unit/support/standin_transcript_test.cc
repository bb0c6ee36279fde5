// The stand-in against what real daemons answered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <utility>

#include "tests/support/standin_wazuhdb.h"
#include "tests/unit/support/transcript.h"

namespace rollcall::testing {
namespace {

struct Recorded {
  const char* version;
  WazuhFlavour flavour;
};
void PrintTo(const Recorded& recorded, std::ostream* out) {
  *out << recorded.version;
}

class StandinTranscript : public ::testing::TestWithParam<Recorded> {
 protected:
  StandinTranscript() : db_(GetParam().flavour), entries_(read_transcript(GetParam().version)) {}

  // What the stand-in answers to the entry's request, asked at `now_seconds`.
  std::string answer(const TranscriptEntry& entry, const std::string& request,
                     std::int64_t now_seconds) {
    if (!entry.is_http()) {
      return db_.handle(request, now_seconds);
    }
    const auto space = request.find(' ');
    const auto& body = entry.raw.at("body");
    const HttpReply reply = db_.handle_http(request.substr(0, space), request.substr(space + 1),
                                            body.is_null() ? "" : body.dump(), now_seconds);
    EXPECT_EQ(reply.status, entry.raw.at("status").get<int>()) << request;
    return reply.body;
  }

  StandinWazuhDb db_;
  std::vector<TranscriptEntry> entries_;
};

INSTANTIATE_TEST_SUITE_P(Recorded, StandinTranscript,
                         ::testing::Values(Recorded{"4.11.2", WazuhFlavour::k4_11},
                                           Recorded{"4.14.7", WazuhFlavour::k4_14}),
                         [](const auto& test) {
                           return test.param.flavour == WazuhFlavour::k4_11 ? "v4_11_2" : "v4_14_7";
                         });

TEST_P(StandinTranscript, AnswersEveryRecordedRequestToTheByte) {
  bool crowd = false;
  for (const TranscriptEntry& entry : entries_) {
    if (entry.is_cut() && !std::exchange(crowd, true)) {
      connect_800_agents(db_, 100, entry.now_seconds);
    }
    const std::string reply = answer(entry, entry.request, entry.now_seconds);
    if (entry.is_cut()) {
      EXPECT_EQ(reply.size(), entry.raw.at("length").get<std::size_t>());
      EXPECT_THAT(reply, ::testing::StartsWith(entry.raw.at("begins").get<std::string>()));
      EXPECT_THAT(reply, ::testing::EndsWith(entry.raw.at("ends").get<std::string>()));
    } else {
      EXPECT_EQ(reply, entry.raw.at("reply").get<std::string>())
          << entry.step << ": " << entry.request;
    }
  }
  EXPECT_TRUE(crowd);
}

// A reply without its values: the prefix, each key in its order with the type of its value, and
// which kinds of rows there are. Error texts stay whole.
std::string shape_of_json(const nlohmann::ordered_json& value) {
  if (value.is_object()) {
    std::string shape = "{";
    for (const auto& [key, inner] : value.items()) {
      shape += key + ":" + shape_of_json(inner) + " ";
    }
    return shape + "}";
  }
  if (value.is_array()) {
    std::set<std::string> kinds;
    for (const auto& inner : value) {
      kinds.insert(shape_of_json(inner));
    }
    std::string shape = "[";
    for (const std::string& kind : kinds) {
      shape += kind + " ";
    }
    return shape + "]";
  }
  return value.type_name();
}
std::string shape_of(const std::string& reply) {
  const bool prefixed = reply.starts_with("ok ") || reply.starts_with("due ");
  const std::string json = prefixed ? reply.substr(reply.find(' ') + 1) : reply;
  const auto value = nlohmann::ordered_json::parse(json, nullptr, false);
  if (value.is_discarded()) {
    return reply;
  }
  return (prefixed ? reply.substr(0, reply.find(' ') + 1) : "") + shape_of_json(value);
}

// Another cluster: other ids, another day, other names, and beside each enrolled agent a second
// one that never connects.
constexpr std::int64_t kLater = 40'000'003;
int other_id(int id) {
  return id < 99 ? id * 37 + 1011 : id + 20'000;
}

std::string rewrite(const std::string& text) {
  static const std::regex kNumber(
      R"(("id":|info |labels |agent |agents/|id=)(\d+)(?!\d)|(17953\d{5})|agent-0)");
  std::string out;
  auto at = text.cbegin();
  for (std::sregex_iterator it(text.begin(), text.end(), kNumber), end; it != end; ++it) {
    out.append(at, text.cbegin() + it->position());
    if ((*it)[3].matched) {
      out += std::to_string(std::stoll((*it)[3].str()) + kLater);
    } else if ((*it)[2].matched) {
      out += (*it)[1].str() + std::to_string(other_id(std::stoi((*it)[2].str())));
    } else {
      out += "other-0";
    }
    at = text.cbegin() + it->position() + it->length();
  }
  return out.append(at, text.cend());
}

TEST_P(StandinTranscript, AnswersAnotherClusterInTheSameShapesWithOtherValues) {
  bool crowd = false;
  std::size_t other_values = 0;
  for (TranscriptEntry entry : entries_) {
    const std::string request = rewrite(entry.request);
    if (entry.is_http() && !entry.raw.at("body").is_null()) {
      entry.raw["body"] = nlohmann::json::parse(rewrite(entry.raw["body"].dump()));
    }
    const std::int64_t now = entry.now_seconds + kLater;
    if (entry.is_cut() && !std::exchange(crowd, true)) {
      connect_800_agents(db_, 20'000, now);
    }
    const std::string reply = answer(entry, request, now);
    if (entry.is_cut()) {
      EXPECT_EQ(reply.size(), kWazuhReplyLimitBytes);
      continue;
    }
    const auto recorded = entry.raw.at("reply").get<std::string>();
    EXPECT_EQ(shape_of(reply), shape_of(recorded)) << entry.step << ": " << request;
    other_values += reply != recorded;

    if (request.starts_with("global insert-agent ")) {
      auto twin = nlohmann::json::parse(request.substr(std::string("global insert-agent ").size()));
      twin["id"] = twin["id"].get<int>() + 7000;
      EXPECT_EQ(db_.handle("global insert-agent " + twin.dump(), now), "ok");
    }
  }
  EXPECT_GT(other_values, entries_.size() / 3) << "the replies follow the table";
}

}  // namespace
}  // namespace rollcall::testing
