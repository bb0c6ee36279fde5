// The web page's files as they are served, and the streams that the page follows.
#include "inspect/web_page.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/inspect/master_pages_fixture.h"

namespace rollcall::inspect {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class WebPage : public MasterPages {
 protected:
  Client::Answer with(const std::string& target, const std::string& headers) {
    return Client(server_.port()).send(request("GET " + target, headers)).read_answer();
  }
  std::string tag_of(const Client::Answer& answer) {
    const std::size_t at = answer.head.find("ETag: ");
    return at == std::string::npos
               ? ""
               : answer.head.substr(at + 6, answer.head.find('\r', at) - at - 6);
  }
};

TEST_F(WebPage, IsServedAtTheRootAndNeedsNothingFromElsewhere) {
  const auto page = ask("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.head, HasSubstr("Content-Type: text/html; charset=utf-8"));
  EXPECT_THAT(page.head,
              HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'"));
  EXPECT_THAT(page.head, Not(HasSubstr("unsafe")));
  EXPECT_THAT(page.body, HasSubstr("<title>rollcall master</title>"));
  for (const WebFile& file : web_files()) {
    EXPECT_EQ(ask("/page/" + std::string(file.name)).body, file.text) << file.name;
    // The name of SVG's namespace is the only one that may be there, and nobody asks for it.
    std::string text(file.text);
    for (std::size_t at; (at = text.find("http://www.w3.org/2000/svg")) != text.npos;)
      text.erase(at, 26);
    EXPECT_THAT(text, Not(HasSubstr("://"))) << file.name;
    EXPECT_THAT(text, Not(HasSubstr("innerHTML"))) << file.name;
  }
}

TEST_F(WebPage, AReaderThatHasTheFileIsNotSentItAgain) {
  const auto first = ask("/page/master.js");
  const std::string tag = tag_of(first);
  ASSERT_THAT(tag, HasSubstr("W/\""));
  const auto again = with("/page/master.js", "If-None-Match: \"other\", " + tag + "\r\n");
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(tag_of(again), tag);
  EXPECT_EQ(with("/page/master.js", "If-None-Match: \"0123456789abcdef\"\r\n").status, 200);
}

TEST_F(WebPage, AFileThatIsNotThereIs404) {
  EXPECT_EQ(ask("/page/other.js").status, 404);
  EXPECT_EQ(ask("/page/..%2fmaster.js").status, 404);
}

// The events of a stream, one after the other.
class Reader {
 public:
  explicit Reader(std::uint16_t port) : client_(port) {
    client_.send(request("GET /live"));
    client_.read_until("retry: 2000\n");
  }
  json next() {
    client_.read_until("event: now\ndata: ");
    return json::parse(client_.read_until("\n\n"), nullptr, false);
  }
  // The first part of which this is true.
  json until(const std::function<bool(const json&)>& wanted) {
    for (int parts = 0; parts < 60; ++parts) {
      if (json part = next(); wanted(part)) return part;
    }
    return nullptr;
  }

 private:
  Client client_;
};

TEST_F(WebPage, TheStreamBeginsWithTheWholeCluster) {
  tell();
  Reader reader(server_.port());
  const json first = reader.next();
  EXPECT_EQ(first["daemon"], "master");
  EXPECT_EQ(first["whole"], true);
  EXPECT_EQ(first["status"]["agents"], 6);
  ASSERT_EQ(first["nodes"].size(), 2u);
  EXPECT_EQ(first["nodes"][0]["node"], "w1");
  EXPECT_EQ(first["nodes"][0]["active"], 2);
  EXPECT_EQ(first["nodes"][0]["connected"], true);
  EXPECT_EQ(first["nodes"][0]["agreed"], nullptr) << "no digest was compared";
  EXPECT_EQ(first["nodes"][1]["connected"], false);
  EXPECT_EQ(first["nodes"][1]["heard"], nullptr);
  EXPECT_EQ(first["events"].size(), 6u);
  EXPECT_EQ(first["events"][0]["name"], "web-1");
  EXPECT_EQ(first["skipped"], 0);
}

TEST_F(WebPage, TheStreamTellsWhatChangedAndOnlyThat) {
  tell();
  Reader reader(server_.port());
  reader.next();
  say(1, 30, {closed(1, 10, 25)});
  const json part = reader.until([](const json& p) { return !p["events"].empty(); });
  EXPECT_EQ(part["whole"], false);
  ASSERT_EQ(part["events"].size(), 1u);
  EXPECT_EQ(part["events"][0]["event"], "disconnect");
  EXPECT_EQ(part["events"][0]["agent"], 1);
  ASSERT_EQ(part["nodes"].size(), 1u) << "w2 stands as before";
  EXPECT_EQ(part["nodes"][0]["active"], 1);
}

TEST_F(WebPage, AStormIsToldAsItsEndAndHowMuchWasLeftOut) {
  tell();
  Reader reader(server_.port());
  reader.next();
  std::vector<Event> storm;
  for (std::uint32_t agent = 1'000; agent < 1'500; ++agent) storm.push_back(opened(agent, 25));
  say(1, 30, std::move(storm));
  const json part = reader.until([](const json& p) { return !p["events"].empty(); });
  EXPECT_EQ(part["events"].size(), 200u);
  EXPECT_EQ(part["skipped"], 300);
  EXPECT_EQ(part["events"].back()["agent"], 1'499);
}

TEST_F(WebPage, TheStreamSaysThatTheDaemonIsBusyAndGoesOnWhenItIsNot) {
  tell();
  std::atomic<bool> stuck = true;
  HttpServer server({});
  add_master_live(
      server,
      [&, loop = on_loop()](std::function<void()> task) { return !stuck && loop(std::move(task)); },
      {driver_, clock_, "1.2.3", [] { return net::TlsListener::Counters{}; }});
  ASSERT_TRUE(server.start());
  Client client(server.port());
  client.send(request("GET /live"));
  client.read_until("retry: 2000\n");
  EXPECT_THAT(client.read_until("\n\n"),
              AllOf(HasSubstr("event: busy\ndata: "), HasSubstr("the daemon is busy")));
  stuck = false;
  client.read_until("event: now\ndata: ");
  const json first = json::parse(client.read_until("\n\n"), nullptr, false);
  EXPECT_EQ(first["whole"], true);
  stuck = true;
  EXPECT_THAT(client.read_until("event: busy\n"), Not(HasSubstr("(closed)")));
  server.stop();
}

TEST_F(WebPage, AgentsAreFoundByWhatPeopleType) {
  begin();
  connect(1, "w1");
  say(1, 20,
      {opened(7, 10, {{"name", "Web-Berlin-1"}, {"ip", "10.1.2.3"}}),
       opened(70, 11, {{"name", "db"}, {"ip", "10.9.9.9"}}), opened(8, 12)});
  EXPECT_EQ(ids("/agents?q=7"), (std::vector<int>{7, 70}));
  EXPECT_EQ(ids("/agents?q=berlin"), (std::vector<int>{7}));
  EXPECT_EQ(ids("/agents?q=9.9"), (std::vector<int>{70}));
  EXPECT_EQ(ids("/agents?q=DB"), (std::vector<int>{70}));
  EXPECT_EQ(ids("/agents?q=nobody"), (std::vector<int>{}));
  EXPECT_EQ(ids("/agents?q=7&name=db"), (std::vector<int>{70}));
  EXPECT_THAT(refused("/agents?q="), HasSubstr("q takes"));
}

TEST(GuardedWebPage, ItsFilesAreForAllAndWhatTheyAskForIsNot) {
  HttpOptions options;
  options.guard_reads = [](Handler) -> Handler {
    return [](const Request&) { return error_response(401, "the token"); };
  };
  HttpServer server(options);
  add_web_page(server, "sidecar.html");
  server.route("GET", "/status", [](const Request&) { return Response{}; });
  ASSERT_TRUE(server.start());
  const auto status = [&](const std::string& target) {
    return Client(server.port()).send(request("GET " + target)).read_answer().status;
  };
  EXPECT_EQ(status("/"), 200);
  EXPECT_EQ(status("/page/style.css"), 200);
  EXPECT_EQ(status("/status"), 401);
  server.stop();
}

}  // namespace
}  // namespace rollcall::inspect
