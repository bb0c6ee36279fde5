#include "app/journal.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace rollcall::app {
namespace {

// syslog's numbers.
char priority_of(Level level) {
  switch (level) {
    case Level::Debug:
      return '7';
    case Level::Info:
      return '6';
    case Level::Warn:
      return '4';
    case Level::Error:
      return '3';
  }
  return '3';
}

// "NAME=value", or, if the value has a line break, the name, the length as eight bytes, the value.
void append(std::string& entry, std::string_view name, std::string_view value) {
  entry += name;
  if (value.find('\n') == std::string_view::npos) {
    entry += '=';
  } else {
    entry += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8)
      entry += static_cast<char>((std::uint64_t{value.size()} >> shift) & 0xff);
  }
  entry += value;
  entry += '\n';
}

// The journal takes names of capital letters, digits and underscores.
std::string name_of(std::string_view key) {
  std::string name = "ROLLCALL_";
  for (const char c : key) {
    const bool small = c >= 'a' && c <= 'z';
    const bool fits = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += small ? static_cast<char>(c - 'a' + 'A') : fits ? c : '_';
  }
  return name;
}

}  // namespace

Journal::Journal(std::string socket)
    : socket_(std::move(socket)), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

bool Journal::send(std::string_view entry) const {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (fd_ < 0 || socket_.size() >= sizeof to.sun_path) return false;
  socket_.copy(to.sun_path, socket_.size());
  ssize_t sent = -1;
  do {
    sent = ::sendto(fd_, entry.data(), entry.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&to), sizeof to);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(entry.size());
}

std::string journal_entry(Level level, std::string_view message, const Field* begin,
                          const Field* end) {
  std::string entry;
  append(entry, "MESSAGE", plain_text(message, begin, end));
  append(entry, "PRIORITY", std::string(1, priority_of(level)));
  append(entry, "SYSLOG_IDENTIFIER", ::program_invocation_short_name);
  append(entry, "ROLLCALL_EVENT", shortened(message));
  for (const Field* field = begin; field != end; ++field)
    append(entry, name_of(field->key), shortened(field->value));
  return entry;
}

bool stderr_is_journal(const char* stream) {
  struct stat its {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &its) != 0) return false;
  return stream == std::to_string(its.st_dev) + ":" + std::to_string(its.st_ino);
}

}  // namespace rollcall::app
