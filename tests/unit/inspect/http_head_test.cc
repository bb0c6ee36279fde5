#include "inspect/http_head.h"

#include <gmock/gmock.h>

#include <string>

namespace rollcall::inspect {
namespace {

std::expected<Head, Refusal> parse(const std::string& text) {
  return parse_head(text, HeadLimits{.hosts = {"rollcall.example.org"}});
}

const std::string kHost = "Host: localhost\r\n";

TEST(HttpHead, AHeadIsReadIntoWhatMattersHere) {
  const auto head = parse(
      "POST /a/b%20c?x=1 HTTP/1.1\r\nhOST: 127.0.0.1:9470\r\nContent-Length: 12\r\n"
      "Accept-Encoding: br, gzip\r\nConnection: keep-alive, Close\r\nX-Other: \t y \r\n\r\n");
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/a/b%20c?x=1");
  EXPECT_EQ(head->body_bytes, 12u);
  EXPECT_TRUE(head->close);
  EXPECT_TRUE(head->gzip);
}

TEST(HttpHead, AConnectionStaysOpenUnlessItIsHttp10OrAsksToClose) {
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\n" + kHost + "\r\n")->close);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\n" + kHost + "\r\n")->close);
  EXPECT_TRUE(parse("GET / HTTP/1.1\r\nConnection: close\r\n" + kHost + "\r\n")->close);
}

TEST(HttpHead, AskingForAnEventStreamIsSeenAndWhereItWasCut) {
  const auto head = parse(
      "GET /events HTTP/1.1\r\nAccept: text/html, Text/Event-Stream;q=0.9\r\n"
      "Last-Event-ID: 12\r\nIf-None-Match: W/\"a\"\r\n" +
      kHost + "\r\n");
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->event_stream);
  EXPECT_EQ(head->last_event_id, "12");
  EXPECT_EQ(head->if_none_match, "W/\"a\"");
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nAccept: text/*\r\n" + kHost + "\r\n")->event_stream);
}

TEST(HttpHead, GzipIsTakenUnlessItsWeightIsZero) {
  const auto gzip = [](const std::string& value) {
    return parse("GET / HTTP/1.1\r\nAccept-Encoding: " + value + "\r\n" + kHost + "\r\n")->gzip;
  };
  EXPECT_TRUE(gzip("gzip"));
  EXPECT_TRUE(gzip("br;q=1.0, GZIP;q=0.5"));
  EXPECT_FALSE(gzip("gzip;q=0"));
  EXPECT_FALSE(gzip("gzip; q=0.000"));
  EXPECT_FALSE(gzip("br"));
  EXPECT_FALSE(gzip(""));
  EXPECT_FALSE(gzip("x-gzip-not"));
}

struct Case {
  const char* name;
  std::string text;
  int status;
};

class RefusedHead : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedHead, IsRefusedWithItsStatus) {
  const auto head = parse(GetParam().text);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().status, GetParam().status);
  EXPECT_FALSE(head.error().message.empty());
}

const std::string kGet = "GET / HTTP/1.1\r\n";
const std::string kPost = "POST / HTTP/1.1\r\n" + kHost;

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedHead,
    ::testing::Values(
        Case{"ForeignHost", kGet + "Host: evil.example\r\n\r\n", 403},
        Case{"NoHost", kGet + "\r\n", 400}, Case{"EmptyHost", kGet + "Host:\r\n\r\n", 403},
        Case{"TwoHosts", kGet + kHost + kHost + "\r\n", 400},
        Case{"ForeignOrigin", kPost + "Origin: http://evil.example\r\n\r\n", 403},
        Case{"NullOrigin", kPost + "Origin: null\r\n\r\n", 403},
        Case{"Chunked", kPost + "Transfer-Encoding: chunked\r\n\r\n", 400},
        Case{"ChunkedInCapitals", kPost + "TRANSFER-ENCODING: x\r\n\r\n", 400},
        Case{"ChunkedGet", kGet + kHost + "Transfer-Encoding: identity\r\n\r\n", 400},
        Case{"BodyOnGet", kGet + kHost + "Content-Length: 1\r\n\r\n", 400},
        Case{"HugeBodyOnGet", kGet + kHost + "Content-Length: 99999999999999999999\r\n\r\n", 400},
        Case{"BodyOnHead", "HEAD / HTTP/1.1\r\n" + kHost + "Content-Length: 1\r\n\r\n", 400},
        Case{"LongBody", kPost + "Content-Length: 1048577\r\n\r\n", 413},
        Case{"EndlessBody", kPost + "Content-Length: 99999999999999999999\r\n\r\n", 413},
        Case{"NegativeBody", kPost + "Content-Length: -1\r\n\r\n", 400},
        Case{"ListOfLengths", kPost + "Content-Length: 1, 1\r\n\r\n", 400},
        Case{"HexLength", kPost + "Content-Length: 0x1\r\n\r\n", 400},
        Case{"EmptyLength", kPost + "Content-Length: \r\n\r\n", 400},
        Case{"TwoLengths", kPost + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        Case{"CompressedBody", kPost + "Content-Encoding: gzip\r\n\r\n", 415},
        Case{"Expect", kPost + "Expect: 100-continue\r\n\r\n", 417},
        Case{"LongTarget", "GET /" + std::string(2048, 'x') + " HTTP/1.1\r\n" + kHost + "\r\n",
             414},
        Case{"AbsoluteTarget", "GET http://localhost/ HTTP/1.1\r\n" + kHost + "\r\n", 400},
        Case{"SpaceInTarget", "GET /a b HTTP/1.1\r\n" + kHost + "\r\n", 400},
        Case{"RawBytesInTarget", "GET /\xc3\xbc HTTP/1.1\r\n" + kHost + "\r\n", 400},
        Case{"NoVersion", "GET /\r\n" + kHost + "\r\n", 400},
        Case{"Http2", "PRI * HTTP/2.0\r\n\r\n", 505},
        Case{"Connect", "CONNECT / HTTP/1.1\r\n\r\n", 501},
        Case{"SmallMethod", "get / HTTP/1.1\r\n" + kHost + "\r\n", 501},
        Case{"EmptyMethod", " / HTTP/1.1\r\n" + kHost + "\r\n", 400},
        Case{"EmptyFirstLine", "\r\nGET / HTTP/1.1\r\n" + kHost + "\r\n", 400},
        Case{"BareLineFeed", "GET / HTTP/1.1\n" + kHost + "\r\n", 400},
        Case{"BareLineFeedInHeader", kGet + "A: b\nHost: localhost\r\n\r\n", 400},
        Case{"Folded", kGet + kHost + "A: b\r\n c\r\n\r\n", 400},
        Case{"SpaceBeforeColon", kGet + "Host : localhost\r\n\r\n", 400},
        Case{"NoColon", kGet + kHost + "abc\r\n\r\n", 400},
        Case{"NulInHeader", kGet + kHost + std::string("A: \0\r\n\r\n", 8), 400},
        Case{"TextAfterTheEnd", kGet + kHost + "\r\nx", 400}, Case{"Nothing", "", 400},
        Case{"NoEnd", kGet + kHost, 400}),
    [](const auto& each) { return each.param.name; });

TEST(HttpHead, ABodyOfNoBytesOnGetIsNoBody) {
  EXPECT_TRUE(parse(kGet + kHost + "Content-Length: 0\r\n\r\n"));
}

TEST(HttpHead, TheOwnOriginMayAsk) {
  EXPECT_TRUE(parse(kPost + "Origin: http://127.0.0.1:9470\r\n\r\n"));
  EXPECT_TRUE(parse(kPost + "Origin: https://rollcall.example.org\r\n\r\n"));
}

TEST(HttpHead, OwnHostsAreLoopbackAndTheConfiguredNamesWithAnyPort) {
  const std::vector<std::string> hosts = {"rollcall.example.org"};
  for (const char* host :
       {"127.0.0.1", "127.0.0.1:9470", "localhost", "LocalHost:1", "[::1]", "[::1]:9470", "::1",
        "::1:9470", "rollcall.example.org", "Rollcall.Example.Org:65535", " localhost "}) {
    EXPECT_TRUE(is_own_host(host, hosts)) << host;
  }
  for (const char* host : {"",
                           ":",
                           "evil.example",
                           "localhost.evil.example",
                           "127.0.0.1.evil.example",
                           "localhost:",
                           "localhost:x",
                           "localhost:1:2",
                           "localhost:123456",
                           "localhost@evil",
                           "evil@localhost",
                           "[::1",
                           "[::1]x",
                           "[::1]:",
                           "[localhost]",
                           "[::2]",
                           "::2",
                           "::1:x",
                           "127.0.0.2",
                           "localhost."}) {
    EXPECT_FALSE(is_own_host(host, hosts)) << host;
  }
}

TEST(HttpHead, EveryPrefixAndEveryChangedByteOfAHeadIsReadOrRefusedWithoutHarm) {
  const std::string good = kPost + "Content-Length: 12\r\nOrigin: http://localhost\r\n\r\n";
  ASSERT_TRUE(parse(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse(good.substr(0, size))) << size;
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[at] = static_cast<char>(byte);
      const auto head = parse(text);
      if (head) {
        EXPECT_LE(head->body_bytes, std::size_t{1} << 20);
      }
    }
  }
}

}  // namespace
}  // namespace rollcall::inspect
