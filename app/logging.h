// What the daemons tell the operator, one line each, on standard error or in systemd's journal. Any
// thread may log.
//
// Values often come from a peer or an agent, so nothing of them reaches a terminal unescaped:
// control characters, bytes that are not UTF-8, and characters that reorder text are written as
// escapes, and long values are cut.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rollcall::app {

class Clock;

enum class Level { Debug, Info, Warn, Error };
// Journal: an entry with fields of its own. Auto: that where standard error leads to the journal,
// else text.
enum class LogFormat { Text, Json, Journal, Auto };
std::string_view to_string(Level level);  // "debug", as the configuration has it
std::optional<Level> level_of(std::string_view word);

struct Field {
  std::string_view key;
  std::string value;
};

// Logs one line to the process's log, which starts as text at Level::Info.
//   log(Level::Warn, "connection lost", {{"node", "w1"}, {"peer", "10.0.0.7:41234"}});
//   2026-11-22T19:20:21.123Z WARN  connection lost node=w1 peer=10.0.0.7:41234
// `message` is a text of the program, the same for every event of its kind: it is what the rate
// limit counts by. What varies goes into the fields; their keys are not time, level or message.
void log(Level level, std::string_view message, std::initializer_list<Field> fields = {});
void log(Level level, std::string_view message, std::span<const Field> fields);

void set_log_format(LogFormat format);
LogFormat log_format();  // never Auto
void set_log_level(Level level);
Level log_level();
// Tells at once how many lines the rate limit has left out; for a timer and for the end.
void flush_log();

// The log itself, for a sink and a clock of one's own. At most kBurst lines with one message are
// written in kWindowUs (of those at Debug more: who asks for them wants to see each); the rest are
// counted, and the count is written by the first call of write() after the window, or by flush().
class Log {
 public:
  static constexpr std::size_t kBurst = 20, kDebugBurst = 5'000;
  static constexpr std::int64_t kWindowUs = 10'000'000;
  static constexpr std::size_t kLongestValue = 1024;   // bytes; the rest is cut off and counted
  static constexpr std::size_t kMessagesTold = 1'024;  // messages counted apart; others share one

  // Gets one line without its newline, under the log's lock.
  using Sink = std::function<void(Level, std::string_view line)>;

  // Gets an entry for the journal; what it does not take goes to the sink as text.
  using JournalSink = std::function<bool(std::string_view entry)>;

  Log(LogFormat format, Level level, Sink sink, Clock& clock, JournalSink journal = {});

  void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});
  void write(Level level, std::string_view message, std::span<const Field> fields);
  void flush();
  void set_format(LogFormat format);
  void set_level(Level level);
  Level level() const;
  LogFormat format() const;

 private:
  struct Window {
    Level level = Level::Info;  // of the first line that was left out
    std::int64_t began_us = 0;  // monotonic
    std::size_t written = 0;
    std::uint64_t left_out = 0;
  };

  void tell_left_out(const std::string& message, Window& window, std::int64_t wall_us);
  void emit(Level level, std::string_view message, const Field* begin, const Field* end,
            std::int64_t wall_us);

  mutable std::mutex mutex_;
  LogFormat format_;
  Level level_;
  const Sink sink_;
  const JournalSink journal_;
  Clock& clock_;
  std::map<std::string, Window, std::less<>> windows_;
  std::int64_t next_sweep_us_ = 0;
};

// A message with its fields, as they stand in a line of text.
std::string plain_text(std::string_view message, const Field* begin, const Field* end);
// `value`, cut if it is too long.
std::string shortened(std::string_view value);

// One line as it is written, without the newline; Text or Json.
std::string format_line(LogFormat format, std::int64_t wall_us, Level level,
                        std::string_view message, const Field* begin, const Field* end);

}  // namespace rollcall::app
