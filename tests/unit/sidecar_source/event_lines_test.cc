#include "sidecar/source/event_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/codec.h"

namespace rollcall::sidecar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = Observation::Kind;

constexpr std::int64_t kWallUs = 1'800'000'000'000'000;
constexpr std::int64_t kBootUs = 5'000'000'000;
constexpr Now kNow{kWallUs, 4'000'000'000, kBootUs};

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class EventLinesTest : public ::testing::Test {
 protected:
  EventBatch read(std::string_view text) {
    lines.read(bytes(text), kNow);
    return lines.take();
  }
  // Of a line that is right.
  Observation observed(const std::string& line) {
    EventBatch batch = read(line + "\n");
    EXPECT_THAT(batch.refused, IsEmpty()) << batch.refused[0].why;
    EXPECT_THAT(batch.observations, SizeIs(1));
    return batch.observations.empty() ? Observation{} : batch.observations[0];
  }
  std::string refusal(const std::string& line) {
    const EventBatch batch = read(line + "\n");
    EXPECT_THAT(batch.observations, IsEmpty()) << line;
    return batch.refused.empty() ? "" : batch.refused[0].why;
  }

  EventParser parser;
  EventLines lines{parser, 4096};
};

// ---- what is right

TEST_F(EventLinesTest, AConnectHasItsMomentByTheBootClockAndItsFields) {
  const Observation o = observed(
      R"({"agent":7,"event":"connect","at_us":1799999999000000,"info":{"os":"Debian","ip":"10.0.0.7"}})");
  EXPECT_EQ(o.agent, AgentId{7});
  EXPECT_EQ(o.kind, Kind::connect);
  EXPECT_EQ(o.boot_us, kBootUs - 1'000'000);
  EXPECT_TRUE(o.heard);
  ASSERT_NE(o.info, nullptr);
  EXPECT_EQ(*o.info, (AgentInfo{{"ip", "10.0.0.7"}, {"os", "Debian"}}));
}

TEST_F(EventLinesTest, EachKindOfEventIsKnown) {
  EXPECT_EQ(observed(R"({"event":"keepalive","agent":4294967295})").kind, Kind::keepalive);
  EXPECT_EQ(observed(R"({"event":"disconnect","agent":1})").kind, Kind::disconnect);
  EXPECT_EQ(observed(R"({"event":"remove","agent":1})").kind, Kind::remove);
}

TEST_F(EventLinesTest, EventsWithoutAMomentAreOfNowAndInTheOrderOfTheirLines) {
  const EventBatch batch = read(
      "{\"agent\":7,\"event\":\"connect\"}\n{\"agent\":7,\"event\":\"disconnect\"}\n"
      "{\"agent\":7,\"event\":\"connect\"}\n");
  ASSERT_THAT(batch.observations, SizeIs(3));
  EXPECT_EQ(batch.observations[0].boot_us, kBootUs);
  EXPECT_EQ(batch.observations[1].boot_us, kBootUs + 1);
  EXPECT_EQ(batch.observations[2].boot_us, kBootUs + 2);
}

TEST_F(EventLinesTest, AMomentALittleAheadIsNow) {
  const auto line = [](std::int64_t us) {
    return R"({"agent":7,"event":"connect","at_us":)" + std::to_string(us) + "}";
  };
  EXPECT_EQ(observed(line(kWallUs + kEventAheadUs)).boot_us, kBootUs);
  EXPECT_THAT(refusal(line(kWallUs + kEventAheadUs + 1)), HasSubstr("ahead"));
}

TEST_F(EventLinesTest, OnlyAGoodbyeWithItsMomentIsEvidence) {
  const std::string at = R"(,"at_us":1799999999000000)";
  EXPECT_TRUE(observed(R"({"agent":7,"event":"disconnect")" + at + "}").heard);
  EXPECT_FALSE(observed(R"({"agent":7,"event":"disconnect"})").heard);
  EXPECT_FALSE(
      observed(R"({"agent":7,"event":"disconnect","reason":"no_keepalive")" + at + "}").heard);
  EXPECT_FALSE(observed(R"({"agent":7,"event":"remove")" + at + "}").heard);
}

TEST_F(EventLinesTest, ADisconnectHasTheReasonThatItSays) {
  EXPECT_EQ(observed(R"({"agent":7,"event":"disconnect"})").reason, Reason::shutdown);
  for (const Reason reason : {Reason::shutdown, Reason::no_keepalive, Reason::worker_restart,
                              Reason::invalid_version, Reason::version_error, Reason::unknown}) {
    const std::string name(to_string(reason));
    EXPECT_EQ(observed(R"({"agent":7,"event":"disconnect","reason":")" + name + "\"}").reason,
              reason);
  }
}

TEST_F(EventLinesTest, NumbersInInfoBecomeTextsAndLabelsBecomeFields) {
  const Observation o = observed(
      R"({"agent":7,"event":"keepalive","info":{"os_major":12,"load":0.25,"big":18446744073709551615,)"
      R"("label.site":"a","labels":{"rack":"r1","row":3}}})");
  ASSERT_NE(o.info, nullptr);
  EXPECT_EQ(*o.info, (AgentInfo{{"big", "18446744073709551615"},
                                {"label.rack", "r1"},
                                {"label.row", "3"},
                                {"label.site", "a"},
                                {"load", "0.25"},
                                {"os_major", "12"}}));
}

TEST_F(EventLinesTest, TheOrderOfTheFieldsMayChangeFromLineToLine) {
  for (const char* fields : {R"({"c":"1","a":"2","b":"3"})", R"({"c":"1","a":"2","b":"3"})",
                             R"({"b":"3","c":"1","a":"2"})", R"({"a":"2","b":"3","c":"1"})"}) {
    const Observation o =
        observed(R"({"agent":7,"event":"connect","info":)" + std::string(fields) + "}");
    ASSERT_NE(o.info, nullptr);
    EXPECT_EQ(*o.info, (AgentInfo{{"a", "2"}, {"b", "3"}, {"c", "1"}})) << fields;
  }
  EXPECT_THAT(refusal(R"({"agent":7,"event":"connect","info":{"c":"1","a":"2","a":"3"}})"),
              HasSubstr("\"a\" is given twice"));
}

TEST_F(EventLinesTest, AnEmptyInfoIsNone) {
  EXPECT_EQ(observed(R"({"agent":7,"event":"connect","info":{}})").info, nullptr);
}

TEST_F(EventLinesTest, EscapesAreRead) {
  const Observation o =
      observed(R"({"agent":7,"event":"connect","info":{"n\u00e4me":"a\"b\\c\u0000d"}})");
  ASSERT_NE(o.info, nullptr);
  EXPECT_EQ(*o.info, (AgentInfo{{"n\xc3\xa4me", std::string("a\"b\\c\0d", 7)}}));
}

TEST_F(EventLinesTest, FieldsOverTheProtocolsLimitsAreCutToThem) {
  EventLines wide(parser, 1 << 20);
  std::string text = R"({"agent":7,"event":"connect","info":{"long":")" +
                     std::string(kMaxInfoField + 1, 'x') + R"(","a":"b"}})" + "\n";
  text += R"({"agent":8,"event":"connect","info":{)";
  for (std::size_t i = 0; i <= kMaxInfoFields; ++i)
    text += (i == 0 ? "\"f" : ",\"f") + std::to_string(i) + "\":1";
  text += "}}\n";
  wide.read(bytes(text), kNow);
  const EventBatch batch = wide.take();
  ASSERT_THAT(batch.observations, SizeIs(2));
  for (const Observation& o : batch.observations) {
    EXPECT_TRUE(o.info_clipped);
    AgentInfo copy = *o.info;
    EXPECT_FALSE(clip_info(copy)) << "still over the limits";
  }
  EXPECT_EQ(batch.observations[0].info->find("long")->second.size(), kMaxInfoField);
  EXPECT_EQ(batch.observations[1].info->size(), kMaxInfoFields);
}

// ---- what is refused

struct Refused {
  const char* name;
  std::string line;
  std::string why;
};

class EventRefusal : public EventLinesTest, public ::testing::WithParamInterface<Refused> {};

TEST_P(EventRefusal, SaysWhatIsWrongAndWhatIsAllowed) {
  EXPECT_EQ(refusal(GetParam().line), GetParam().why);
}

const std::string kAgentAllowed = "; allowed is a whole number from 1 to 4294967295";
const std::string kEventAllowed = "; allowed is connect, keepalive, disconnect or remove";
const std::string kReasonAllowed =
    "; allowed is shutdown, no_keepalive, worker_restart, invalid_version, version_error or "
    "unknown";
const std::string kInfoAllowed = "; allowed is an object of strings and numbers";
const std::string kLineAllowed = "; allowed is one JSON object a line";
const std::string kConnect = R"({"agent":7,"event":"connect",)";

INSTANTIATE_TEST_SUITE_P(
    Lines, EventRefusal,
    ::testing::Values(
        Refused{"Empty", "", "the line is empty" + kLineAllowed},
        Refused{"Blank", " \t\r", "the line is empty" + kLineAllowed},
        Refused{"Array", "[]", "the line is not an object" + kLineAllowed},
        Refused{"Text", "\"connect\"", "the line is not an object" + kLineAllowed},
        Refused{"AgentMissing", R"({"event":"connect"})", "agent is missing" + kAgentAllowed},
        Refused{"AgentZero", R"({"agent":0,"event":"connect"})",
                "agent is no agent's number" + kAgentAllowed},
        Refused{"AgentTooLarge", R"({"agent":4294967296,"event":"connect"})",
                "agent is no agent's number" + kAgentAllowed},
        Refused{"AgentNegative", R"({"agent":-7,"event":"connect"})",
                "agent is no agent's number" + kAgentAllowed},
        Refused{"AgentText", R"({"agent":"007","event":"connect"})",
                "agent is no agent's number" + kAgentAllowed},
        Refused{"AgentFraction", R"({"agent":7.0,"event":"connect"})",
                "agent is no agent's number" + kAgentAllowed},
        Refused{"AgentTwice", R"({"agent":7,"agent":7,"event":"connect"})", "agent is given twice"},
        Refused{"EventMissing", R"({"agent":7})", "event is missing" + kEventAllowed},
        Refused{"EventUnknown", R"({"agent":7,"event":"join"})",
                "event \"join\" is not known" + kEventAllowed},
        Refused{"EventNumber", R"({"agent":7,"event":1})", "event is not a string" + kEventAllowed},
        Refused{"EventTwice", R"({"agent":7,"event":"connect","event":"remove"})",
                "event is given twice"},
        Refused{"AtText", kConnect + R"("at_us":"now"})",
                "at_us is not a moment; allowed is a whole number of microseconds since 1970"},
        Refused{"AtFraction", kConnect + R"("at_us":1799999999000000.5})",
                "at_us is not a moment; allowed is a whole number of microseconds since 1970"},
        Refused{"AtSeconds", kConnect + R"("at_us":1799999999})",
                "at_us is before September 2001; allowed is microseconds since 1970, not seconds "
                "or milliseconds"},
        Refused{"AtNanoseconds", kConnect + R"("at_us":1799999999000000000})",
                "at_us is ahead of this machine's clock; allowed is up to 10 s ahead, in "
                "microseconds"},
        Refused{"AtTwice", kConnect + R"("at_us":1799999999000000,"at_us":1799999999000000})",
                "at_us is given twice"},
        Refused{"ReasonUnknown", R"({"agent":7,"event":"disconnect","reason":"bored"})",
                "reason \"bored\" is not known" + kReasonAllowed},
        Refused{"ReasonOfTheMaster", R"({"agent":7,"event":"disconnect","reason":"lease_expired"})",
                "reason \"lease_expired\" is not known" + kReasonAllowed},
        Refused{"ReasonNumber", R"({"agent":7,"event":"disconnect","reason":3})",
                "reason is not a string" + kReasonAllowed},
        Refused{"ReasonTwice",
                R"({"agent":7,"event":"disconnect","reason":"unknown","reason":"unknown"})",
                "reason is given twice"},
        Refused{"ReasonOfAConnect", kConnect + R"("reason":"shutdown"})",
                "reason is allowed with disconnect only"},
        Refused{"InfoOfADisconnect", R"({"agent":7,"event":"disconnect","info":{}})",
                "info is allowed with connect and keepalive only"},
        Refused{"InfoArray", kConnect + R"("info":[]})", "info is not an object" + kInfoAllowed},
        Refused{"InfoTwice", kConnect + R"("info":{},"info":{}})", "info is given twice"},
        Refused{"FieldNull", kConnect + R"("info":{"ip":null}})",
                "info field \"ip\" has a wrong type; allowed is a string or a number"},
        Refused{"FieldFlag", kConnect + R"("info":{"ip":true}})",
                "info field \"ip\" has a wrong type; allowed is a string or a number"},
        Refused{"FieldTwice", kConnect + R"("info":{"ip":"a","os":"b","ip":"a"}})",
                "info field \"ip\" is given twice"},
        Refused{"FieldWithoutName", kConnect + R"("info":{"":"a"}})",
                "info has a field without a name"},
        Refused{"LabelTwice", kConnect + R"("info":{"label.a":"1","labels":{"a":"2"}}})",
                "info field \"label.a\" is given twice"},
        Refused{"LabelsText", kConnect + R"("info":{"labels":"a"}})",
                "labels in info are no object" + kInfoAllowed},
        Refused{"LabelArray", kConnect + R"("info":{"labels":{"a":[]}}})",
                "info field \"label.a\" has a wrong type; allowed is a string or a number"},
        Refused{"UnknownField", kConnect + R"("id":7})",
                "\"id\" is not known; allowed is agent, event, at_us, reason and info"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(EventLinesTest, WhatIsNotJsonIsRefusedAloneAndTheLinesAroundItStand) {
  for (const std::string line :
       {"nonsense", "{\"agent\":7", "{\"agent\":7}}", "{\"agent\":7} {}", "{\"agent\":7,}",
        "{\"event\":\"conn", "\xff\xfe", "{\"agent\":99999999999999999999}",
        "{\"agent\":7,\"event\":\"connect\",\"info\":{\"a\":\"\xc3\"}}"}) {
    const EventBatch batch = read("{\"agent\":1,\"event\":\"connect\"}\n" + line +
                                  "\n{\"agent\":2,\"event\":\"connect\"}\n");
    ASSERT_THAT(batch.refused, SizeIs(1)) << line;
    EXPECT_EQ(batch.refused[0].line, batch.first + 1) << line;
    EXPECT_THAT(batch.refused[0].why, ::testing::StartsWith("the line is not JSON (")) << line;
    ASSERT_THAT(batch.observations, SizeIs(2)) << line;
    EXPECT_EQ(batch.observations[1].agent, AgentId{2}) << line;
  }
}

TEST_F(EventLinesTest, DeepNestingIsRefused) {
  std::string deep = R"({"agent":7,"event":"connect","info":)";
  for (int i = 0; i < 1500; ++i) deep += '[';
  EXPECT_THAT(refusal(deep), HasSubstr("is not JSON"));
}

TEST_F(EventLinesTest, ALongUnknownNameIsQuotedInPartAndStaysUtf8) {
  std::string name;
  for (int i = 0; i < 300; ++i) name += "\xc3\xa4";
  const std::string why = refusal("{\"x" + name + "\":1}");
  EXPECT_LT(why.size(), 200u);
  EXPECT_THAT(why, ::testing::StartsWith("\"x\xc3\xa4"));
  EXPECT_THAT(why, HasSubstr("\xc3\xa4...\" is not known"));
}

// ---- lines

TEST_F(EventLinesTest, TheSamePiecesCutAtAnyByteGiveTheSame) {
  const std::string text =
      "{\"agent\":1,\"event\":\"connect\",\"info\":{\"os\":\"D\xc3\xa4\"}}\r\n"
      "\n"
      "{\"agent\":2,\"event\":\"bad\"}\n"
      "{\"agent\":3,\"event\":\"keepalive\"}\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EventLines split(parser, 4096);
    split.read(bytes(text.substr(0, cut)), kNow);
    split.read(bytes(text.substr(cut)), kNow);
    const EventBatch batch = split.take();
    ASSERT_EQ(batch.lines(), 4u) << cut;
    ASSERT_THAT(batch.observations, SizeIs(2)) << cut;
    EXPECT_EQ(batch.observations[0].agent, AgentId{1});
    EXPECT_EQ(*batch.observations[0].info, (AgentInfo{{"os", "D\xc3\xa4"}}));
    EXPECT_EQ(batch.observations[1].agent, AgentId{3});
    ASSERT_THAT(batch.refused, SizeIs(2)) << cut;
    EXPECT_EQ(batch.refused[0].line, 2u);
    EXPECT_EQ(batch.refused[1].line, 3u);
    EXPECT_EQ(split.buffered(), 0u);
  }
}

TEST_F(EventLinesTest, ByteByByteIsTheSameToo) {
  for (const char c : std::string_view("{\"agent\":7,\"event\":\"connect\"}\n{}\n"))
    lines.read(bytes({&c, 1}), kNow);
  const EventBatch batch = lines.take();
  EXPECT_EQ(batch.lines(), 2u);
  EXPECT_THAT(batch.observations, SizeIs(1));
}

TEST_F(EventLinesTest, ALineThatIsTooLongIsRefusedOnceAndNotKept) {
  EventLines narrow(parser, 64);
  const std::string good = "{\"agent\":7,\"event\":\"connect\"}\n";
  narrow.read(bytes(good), kNow);
  for (int i = 0; i < 100; ++i) {
    narrow.read(bytes(std::string(50, 'x')), kNow);
    EXPECT_LE(narrow.buffered(), 64u);
  }
  narrow.read(bytes("\n" + good), kNow);
  narrow.read(bytes(std::string(65, ' ') + "\n" + good), kNow);
  const EventBatch batch = narrow.take();
  EXPECT_EQ(batch.lines(), 5u);
  ASSERT_THAT(batch.refused, SizeIs(2));
  EXPECT_EQ(batch.refused[0].line, 2u);
  EXPECT_EQ(batch.refused[0].why, "the line is longer than 64 bytes");
  EXPECT_EQ(batch.refused[1].line, 4u);
  EXPECT_THAT(batch.observations, SizeIs(3));
}

TEST_F(EventLinesTest, ALineOfExactlyTheLimitIsRead) {
  std::string line = "{\"agent\":7,\"event\":\"connect\"}";
  EventLines narrow(parser, line.size() + 5);
  narrow.read(bytes(line + "     \n"), kNow);
  EXPECT_THAT(narrow.take().observations, SizeIs(1));
  narrow.read(bytes(line + "      \n"), kNow);
  EXPECT_THAT(narrow.take().refused, SizeIs(1));
}

TEST_F(EventLinesTest, TheLastLineNeedsNoNewline) {
  lines.read(bytes("{\"agent\":7,\"event\":\"connect\"}\n{\"agent\":8,\"event\":\"connect\"}"),
             kNow);
  EXPECT_EQ(lines.batch().lines(), 1u);
  lines.end(kNow);
  EXPECT_EQ(lines.batch().lines(), 2u);
  lines.end(kNow);
  EXPECT_EQ(lines.take().lines(), 2u);
}

TEST_F(EventLinesTest, NumbersGoOnFromBatchToBatch) {
  EXPECT_EQ(read("{}\n{}\n").last, 2u);
  const EventBatch next = read("{}\n");
  EXPECT_EQ(next.first, 3u);
  EXPECT_EQ(next.last, 3u);
  EXPECT_EQ(read("").lines(), 0u);
}

// ---- answers

TEST_F(EventLinesTest, StoredLinesAreAnsweredAsRangesAndRefusedOnesOneByOne) {
  EventBatch batch;
  batch.first = 10;
  batch.last = 20;
  EXPECT_EQ(answers_to(batch), "{\"lines\":[10,20],\"stored\":true}\n");
  batch.refused = {{10, "a"}, {12, "say \"b\"\n"}, {13, "c\\"}, {20, "d"}};
  EXPECT_EQ(answers_to(batch),
            "{\"line\":10,\"refused\":\"a\"}\n"
            "{\"line\":11,\"stored\":true}\n"
            "{\"line\":12,\"refused\":\"say \\\"b\\\"\\u000a\"}\n"
            "{\"line\":13,\"refused\":\"c\\\\\"}\n"
            "{\"lines\":[14,19],\"stored\":true}\n"
            "{\"line\":20,\"refused\":\"d\"}\n");
}

}  // namespace
}  // namespace rollcall::sidecar
