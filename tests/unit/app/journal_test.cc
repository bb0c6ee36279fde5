#include "app/journal.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <string>

namespace rollcall::app {
namespace {

using ::testing::Contains;
using ::testing::Pair;

std::string entry_of(Level level, std::string_view message, std::initializer_list<Field> fields) {
  return journal_entry(level, message, fields.begin(), fields.end());
}

// As the journal reads them; empty if it would not.
std::map<std::string, std::string> fields_in(std::string_view entry) {
  std::map<std::string, std::string> fields;
  while (!entry.empty()) {
    const std::size_t end = entry.find('\n');
    if (end == std::string_view::npos) return {};
    const std::string_view line = entry.substr(0, end);
    entry.remove_prefix(end + 1);
    if (const std::size_t equals = line.find('='); equals != std::string_view::npos) {
      fields.emplace(line.substr(0, equals), line.substr(equals + 1));
      continue;
    }
    std::size_t size = 0;
    if (entry.size() < 8) return {};
    for (int i = 7; i >= 0; --i)
      size = (size << 8) | static_cast<unsigned char>(entry[static_cast<std::size_t>(i)]);
    if (entry.size() < 8 + size + 1 || entry[8 + size] != '\n') return {};
    fields.emplace(line, entry.substr(8, size));
    entry.remove_prefix(8 + size + 1);
  }
  return fields;
}

TEST(JournalEntry, HasTheLineAndEachFieldByItself) {
  const auto fields =
      fields_in(entry_of(Level::Warn, "connection lost", {{"node", "w1"}, {"open_files", "7"}}));
  EXPECT_THAT(fields, Contains(Pair("MESSAGE", "connection lost node=w1 open_files=7")));
  EXPECT_THAT(fields, Contains(Pair("PRIORITY", "4")));
  EXPECT_THAT(fields, Contains(Pair("ROLLCALL_EVENT", "connection lost")));
  EXPECT_THAT(fields, Contains(Pair("ROLLCALL_NODE", "w1")));
  EXPECT_THAT(fields, Contains(Pair("ROLLCALL_OPEN_FILES", "7")));
  EXPECT_TRUE(fields.contains("SYSLOG_IDENTIFIER"));
}

TEST(JournalEntry, NoValueBeginsAnotherField) {
  const auto fields =
      fields_in(entry_of(Level::Info, "m", {{"why", "a\nPRIORITY=0\nMESSAGE=evil"}}));
  EXPECT_THAT(fields, Contains(Pair("ROLLCALL_WHY", "a\nPRIORITY=0\nMESSAGE=evil")));
  EXPECT_THAT(fields, Contains(Pair("PRIORITY", "6")));
  EXPECT_THAT(fields, Contains(Pair("MESSAGE", "m why=\"a\\nPRIORITY=0\\nMESSAGE=evil\"")));
}

TEST(JournalEntry, KeysBecomeNamesThatTheJournalTakes) {
  EXPECT_THAT(fields_in(entry_of(Level::Info, "m", {{"a-b.c9", "v"}})),
              Contains(Pair("ROLLCALL_A_B_C9", "v")));
}

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rollcall-journal-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/socket";
  }
  void TearDown() override {
    if (socket_ >= 0) ::close(socket_);
    std::filesystem::remove_all(folder_);
  }
  void serve() {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path_.copy(at.sun_path, path_.size());
    ASSERT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  }
  void end() {
    ::close(socket_);
    socket_ = -1;
    ::unlink(path_.c_str());
  }
  std::string received() {
    std::array<char, 65'536> buffer{};
    const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
    return got < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(got));
  }

  std::string folder_, path_;
  int socket_ = -1;
};

TEST_F(JournalTest, SendsEachEntryAsOneDatagram) {
  serve();
  const Journal journal(path_);
  EXPECT_TRUE(journal.send("MESSAGE=one\n"));
  EXPECT_TRUE(journal.send("MESSAGE=two\n"));
  EXPECT_EQ(received(), "MESSAGE=one\n");
  EXPECT_EQ(received(), "MESSAGE=two\n");
}

TEST_F(JournalTest, OneThatIsNotThereIsSaidAndFoundOnceItIs) {
  const Journal journal(path_);
  EXPECT_FALSE(journal.send("MESSAGE=lost\n"));
  serve();
  EXPECT_TRUE(journal.send("MESSAGE=found\n"));
  end();
  EXPECT_FALSE(journal.send("MESSAGE=lost\n"));
  serve();
  EXPECT_TRUE(journal.send("MESSAGE=again\n"));
  EXPECT_EQ(received(), "MESSAGE=again\n");
}

TEST_F(JournalTest, OneThatDoesNotReadHoldsNobodyUp) {
  serve();
  const Journal journal(path_);
  const std::string entry = "MESSAGE=" + std::string(1'000, 'x') + "\n";
  int taken = 0;
  while (taken < 1'000'000 && journal.send(entry)) ++taken;
  EXPECT_LT(taken, 1'000'000);
}

TEST(StderrIsJournal, OnlyIfItIsTheStreamThatSystemdNamed) {
  struct stat its {};
  ASSERT_EQ(::fstat(STDERR_FILENO, &its), 0);
  const std::string device = std::to_string(its.st_dev) + ":";
  EXPECT_TRUE(stderr_is_journal((device + std::to_string(its.st_ino)).c_str()));
  EXPECT_FALSE(stderr_is_journal((device + std::to_string(its.st_ino + 1)).c_str()));
  EXPECT_FALSE(stderr_is_journal(""));
  EXPECT_FALSE(stderr_is_journal(nullptr));
}

}  // namespace
}  // namespace rollcall::app
