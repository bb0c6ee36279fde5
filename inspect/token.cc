#include "inspect/token.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "inspect/http_connection.h"

namespace rollcall::inspect {
namespace {

constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSecretDigits = 2 * kSecretBytes;

Error failed(const std::string& what, const std::string& file, int number) {
  return Error{"cannot " + what + " the token file " + file + ": " + std::strerror(number)};
}

bool is_secret(std::string_view text) {
  return text.size() == kSecretDigits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<std::string> new_secret() {
  std::array<unsigned char, kSecretBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return std::nullopt;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string mode_text(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777));
  return text.data();
}

// Why a file with these properties is not to be trusted; empty if it is.
std::string fault_of(const struct stat& found, std::optional<uid_t> owner) {
  if (!S_ISREG(found.st_mode)) return "is no ordinary file";
  if (owner && found.st_uid != *owner) {
    return "belongs to user " + std::to_string(found.st_uid) + ", and the daemon runs as user " +
           std::to_string(*owner) +
           ": who owns it knows the token. Delete it, and the daemon makes a new one at its next "
           "start";
  }
  if ((found.st_mode & 077) != 0) {
    return "can be reached by other users (mode " + mode_text(found.st_mode) +
           "): make it private with chmod 600, or delete it, and the daemon makes a new one at its "
           "next start";
  }
  return "";
}

// Nobody ever sees a token file that is not whole: it is written under another name first.
std::expected<void, Error> make(const std::string& file) {
  const auto secret = new_secret();
  if (!secret) return std::unexpected(failed("make", file, errno));
  const std::string temporary = file + ".tmp";
  ::unlink(temporary.c_str());
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(failed("make", file, errno));
  const std::string text = *secret + "\n";
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(fd.get()) != 0 || ::rename(temporary.c_str(), file.c_str()) != 0) {
    const int number = errno;
    ::unlink(temporary.c_str());
    return std::unexpected(failed("make", file, number));
  }
  const auto directory = std::filesystem::path(file).parent_path();
  const Fd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) {
    return std::unexpected(failed("make", file, errno));
  }
  return {};
}

// The secret in it. `owner`: whose the file has to be.
std::expected<std::string, Error> read_secret(const std::string& file, std::optional<uid_t> owner) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return std::unexpected(failed("read", file, errno));
  struct stat found {};
  if (::fstat(fd.get(), &found) != 0) return std::unexpected(failed("read", file, errno));
  if (const auto fault = fault_of(found, owner); !fault.empty()) {
    return std::unexpected(Error{"the token file " + file + " " + fault});
  }
  std::array<char, kSecretDigits + 2> buffer{};
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
  if (got < 0) return std::unexpected(failed("read", file, errno));
  std::string_view text(buffer.data(), static_cast<std::size_t>(got));
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (!is_secret(text)) {
    return std::unexpected(Error{"the token file " + file + " does not hold " +
                                 std::to_string(kSecretDigits) +
                                 " hexadecimal digits: delete it, and the daemon makes a new one "
                                 "at its next start"});
  }
  return std::string(text);
}

}  // namespace

std::expected<Token, Error> Token::load(const std::string& file) {
  auto secret = read_secret(file, std::nullopt);
  if (!secret) return std::unexpected(secret.error());
  return Token(file, *std::move(secret));
}

std::expected<Token, Error> Token::load_or_make(const std::string& file, uid_t user) {
  struct stat found {};
  if (::lstat(file.c_str(), &found) != 0 && errno == ENOENT) {
    if (auto made = make(file); !made) return std::unexpected(made.error());
  }
  auto secret = read_secret(file, user);
  if (!secret) return std::unexpected(secret.error());
  return Token(file, *std::move(secret));
}

bool Token::is_in(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return false;
  authorization.remove_prefix(kScheme.size());
  if (authorization.size() != secret_.size()) return false;
  volatile unsigned differs = 0;
  for (std::size_t i = 0; i < secret_.size(); ++i) {
    differs = differs | static_cast<unsigned char>(authorization[i] ^ secret_[i]);
  }
  return differs == 0;
}

Handler guarded(Token token, Handler handler) {
  return [token = std::move(token), handler = std::move(handler)](const Request& request) {
    if (request.authorization.empty()) {
      Response response = error_response(
          401, "this call needs the token: send \"Authorization: Bearer TOKEN\" with what is in " +
                   token.file());
      response.headers.emplace_back("WWW-Authenticate", "Bearer");
      return response;
    }
    if (!token.is_in(request.authorization)) {
      return error_response(403, "this is not the token in " + token.file());
    }
    return handler(request);
  };
}

}  // namespace rollcall::inspect
