#pragma once
// systemd's journal, spoken to as its socket wants it: a datagram for each line, with its fields.
// Without libsystemd, and without a connection, so that a journal that is restarted is found again.
#include <string>
#include <string_view>

#include "app/logging.h"

namespace rollcall::app {

class Journal {
 public:
  explicit Journal(std::string socket = "/run/systemd/journal/socket");
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // False if the journal did not take it; never waits.
  bool send(std::string_view entry) const;

 private:
  const std::string socket_;
  const int fd_;
};

// A line as an entry: MESSAGE (the message with its fields, as people read it), PRIORITY,
// SYSLOG_IDENTIFIER, ROLLCALL_EVENT (the message alone) and ROLLCALL_AGENT and so on for the
// fields.
std::string journal_entry(Level level, std::string_view message, const Field* begin,
                          const Field* end);

// Whether standard error leads to the journal; `stream` is what systemd says in $JOURNAL_STREAM,
// null if it says nothing.
bool stderr_is_journal(const char* stream);

}  // namespace rollcall::app
