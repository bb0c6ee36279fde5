#include "inspect/token.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace rollcall::inspect {
namespace {

using ::testing::HasSubstr;

class TokenFile : public ::testing::Test {
 protected:
  TokenFile() {
    std::string name = (std::filesystem::temp_directory_path() / "rollcall-token-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    file_ = folder_ + "/token";
  }
  ~TokenFile() override { std::filesystem::remove_all(folder_); }

  Token made() {
    auto token = Token::load_or_make(file_, ::geteuid());
    EXPECT_TRUE(token) << token.error().message;
    return *std::move(token);
  }
  std::string refusal(uid_t user = ::geteuid()) {
    const auto token = Token::load_or_make(file_, user);
    EXPECT_FALSE(token);
    return token ? "" : token.error().message;
  }
  void write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(file_) << text;
    ::chmod(file_.c_str(), mode);
  }

  std::string folder_, file_;
};

TEST_F(TokenFile, IsMadeOnceForItsOwnerOnlyAndThenKept) {
  const Token first = made();
  struct stat found {};
  ASSERT_EQ(::stat(file_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  EXPECT_EQ(made().authorization(), first.authorization());
  std::filesystem::remove(file_);
  EXPECT_NE(made().authorization(), first.authorization());
}

TEST_F(TokenFile, OnlyTheWholeTokenIsTaken) {
  const Token token = made();
  const std::string right = token.authorization();
  EXPECT_TRUE(token.is_in(right));
  std::string other = right;
  other.back() = other.back() == '0' ? '1' : '0';
  for (const std::string& wrong : {std::string(), std::string("Bearer "), other, right + "0",
                                   right.substr(0, right.size() - 1), right.substr(7),
                                   "Basic " + right.substr(7), " " + right}) {
    EXPECT_FALSE(token.is_in(wrong)) << wrong;
  }
}

TEST_F(TokenFile, ThatOthersCanReachIsRefusedWithWhatToDo) {
  for (const mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
    write(std::string(64, 'a') + "\n", mode);
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr(file_), HasSubstr("other users"), HasSubstr("chmod 600")))
        << mode;
  }
}

TEST_F(TokenFile, OfAnotherUserIsRefusedByTheDaemonAndReadByAnOperator) {
  made();
  EXPECT_THAT(refusal(::geteuid() + 1),
              AllOf(HasSubstr(file_), HasSubstr("belongs to user " + std::to_string(::geteuid())),
                    HasSubstr("Delete it")));
  EXPECT_TRUE(Token::load(file_));
}

TEST_F(TokenFile, ThatHoldsNoTokenIsRefused) {
  for (const std::string& text : {std::string(), std::string(63, 'a'), std::string(65, 'a'),
                                  std::string(64, 'A'), std::string(64, 'a') + "\n\n"}) {
    write(text);
    EXPECT_THAT(refusal(), AllOf(HasSubstr(file_), HasSubstr("64 hexadecimal digits"))) << text;
  }
}

TEST_F(TokenFile, ThatIsALinkOrAFolderIsRefused) {
  std::filesystem::create_symlink("/dev/null", file_);
  EXPECT_THAT(refusal(), HasSubstr("cannot read the token file " + file_));
  std::filesystem::remove(file_);
  std::filesystem::create_directory(file_);
  EXPECT_THAT(refusal(), HasSubstr(file_));
}

TEST_F(TokenFile, ThatIsNotThereIsMadeByTheDaemonOnly) {
  const auto token = Token::load(file_);
  ASSERT_FALSE(token);
  EXPECT_THAT(token.error().message, HasSubstr("cannot read the token file " + file_));
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(TokenFile, InAFolderThatIsNotThereCannotBeMade) {
  file_ = folder_ + "/missing/token";
  EXPECT_THAT(refusal(), HasSubstr("cannot make the token file " + file_));
}

TEST_F(TokenFile, GuardsAHandler) {
  const Token token = made();
  int calls = 0;
  const auto handler = guarded(token, [&](const Request&) {
    ++calls;
    return Response{};
  });
  const auto without = handler(Request{});
  EXPECT_EQ(without.status, 401);
  EXPECT_THAT(without.body, HasSubstr(file_));
  Request wrong;
  wrong.authorization = "Bearer " + std::string(64, '0');
  EXPECT_EQ(handler(wrong).status, 403);
  EXPECT_THAT(handler(wrong).body, HasSubstr(file_));
  EXPECT_EQ(calls, 0);
  Request right;
  right.authorization = token.authorization();
  EXPECT_EQ(handler(right).status, 200);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace rollcall::inspect
