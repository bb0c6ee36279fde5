#include "net/unix_datagram.h"

#include "tests/support/datagram_reader.h"
#include "tests/unit/net/fixture.h"

namespace rollcall::net {
namespace {

using support::DatagramReader;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Outcome = UnixDatagram::Outcome;

class UnixDatagrams : public LoopTest {
 protected:
  // How many are taken until no more are.
  int fill(UnixDatagram& socket) {
    int taken = 0;
    Outcome last = Outcome::kSent;
    for (; last == Outcome::kSent && taken < 100'000; taken += last == Outcome::kSent)
      last = socket.send("datagram").outcome;
    EXPECT_EQ(last, Outcome::kFull);
    return taken;
  }

  TempDir dir;
  std::string path = dir / "ar";
};

TEST_F(UnixDatagrams, EachCallIsOneDatagram) {
  DatagramReader reader(path);
  UnixDatagram socket(loop, path);
  EXPECT_EQ(socket.send("first").outcome, Outcome::kSent);
  EXPECT_EQ(socket.send("second").outcome, Outcome::kSent);
  EXPECT_THAT(reader.read_all(), ElementsAre("first", "second"));
}

TEST_F(UnixDatagrams, WithoutASocketNobodyIsThere) {
  UnixDatagram socket(loop, path);
  const auto result = socket.send("text");
  EXPECT_EQ(result.outcome, Outcome::kAway);
  EXPECT_THAT(result.why, HasSubstr(path));
  EXPECT_THAT(result.why, HasSubstr("no such socket"));
  EXPECT_EQ(UnixDatagram(loop, std::string(200, 'x')).send("text").outcome, Outcome::kAway);
}

TEST_F(UnixDatagrams, ASocketThatWasLeftBehindHasNobodyEither) {
  { DatagramReader reader(path); }
  UnixDatagram socket(loop, path);
  const auto result = socket.send("text");
  EXPECT_EQ(result.outcome, Outcome::kAway);
  EXPECT_THAT(result.why, HasSubstr("nobody reads there"));
}

TEST_F(UnixDatagrams, GoToTheProgramThatWasStartedAnew) {
  UnixDatagram socket(loop, path);
  {
    DatagramReader reader(path);
    EXPECT_EQ(socket.send("text").outcome, Outcome::kSent);
  }
  EXPECT_EQ(socket.send("text").outcome, Outcome::kAway);
  DatagramReader again(path);
  EXPECT_EQ(socket.send("again").outcome, Outcome::kSent);
  DatagramReader third(path);
  EXPECT_EQ(socket.send("to the one that is still connected").outcome, Outcome::kSent);
  EXPECT_THAT(again.read_all(), ElementsAre("again", "to the one that is still connected"));
}

TEST_F(UnixDatagrams, AFullReaderIsWaitedFor) {
  DatagramReader reader(path);
  UnixDatagram socket(loop, path);
  const int taken = fill(socket);
  bool room = false;
  socket.when_room([&] {
    room = true;
    loop.stop();
  });
  EXPECT_FALSE(room);
  loop.at_turn_end([&] { EXPECT_EQ(reader.read_all().size(), static_cast<std::size_t>(taken)); });
  run();
  EXPECT_TRUE(room);
  EXPECT_EQ(socket.send("next").outcome, Outcome::kSent);
}

TEST_F(UnixDatagrams, ATooLongOneIsRefused) {
  DatagramReader reader(path);
  UnixDatagram socket(loop, path);
  EXPECT_EQ(socket.send(std::string(16u << 20, 'x')).outcome, Outcome::kRefused);
  EXPECT_EQ(socket.send("next").outcome, Outcome::kSent);
}

TEST_F(UnixDatagrams, OnceGoneNothingIsCalled) {
  DatagramReader reader(path);
  auto socket = std::make_unique<UnixDatagram>(loop, path);
  fill(*socket);
  socket->when_room([] { FAIL() << "nobody waits any more"; });
  socket.reset();
  reader.read_all();
}

}  // namespace
}  // namespace rollcall::net
