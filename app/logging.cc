#include "app/logging.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <utility>

#include "app/clock.h"
#include "app/journal.h"

namespace rollcall::app {
namespace {

std::string moment_text(std::int64_t wall_us) {
  std::int64_t seconds = wall_us / 1'000'000;
  std::int64_t rest_us = wall_us % 1'000'000;
  if (rest_us < 0) {
    rest_us += 1'000'000;
    seconds -= 1;
  }
  const std::time_t time = seconds;
  std::tm parts{};
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  std::array<char, 40> day{};
  const std::size_t length = std::strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 8> millis{};
  std::snprintf(millis.data(), millis.size(), ".%03dZ", static_cast<int>(rest_us / 1'000));
  return std::string(day.data(), length) + millis.data();
}

struct CodePoint {
  char32_t value;
  std::size_t bytes;  // 0: the byte here is not UTF-8
};

CodePoint code_point_at(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t bytes = 0;
  char32_t value = 0;
  char32_t least = 0;
  if ((first & 0xe0) == 0xc0) {
    bytes = 2, value = first & 0x1f, least = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    bytes = 3, value = first & 0x0f, least = 0x800;
  } else if ((first & 0xf8) == 0xf0) {
    bytes = 4, value = first & 0x07, least = 0x10000;
  }
  if (bytes == 0 || text.size() < bytes) return {0, 0};
  for (std::size_t at = 1; at < bytes; ++at) {
    if ((byte(at) & 0xc0) != 0x80) return {0, 0};
    value = (value << 6) | (byte(at) & 0x3f);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < least || value > 0x10ffff || surrogate) return {0, 0};
  return {value, bytes};
}

// Characters that move the cursor, break the line or turn the direction of what follows.
bool is_unsafe(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void append_unicode_escape(std::string& out, char32_t c) {
  std::array<char, 16> text{};
  if (c > 0xffff) {  // a surrogate pair, as JSON has it
    const char32_t rest = c - 0x10000;
    std::snprintf(text.data(), text.size(), "\\u%04x\\u%04x",
                  static_cast<unsigned>(0xd800 + (rest >> 10)),
                  static_cast<unsigned>(0xdc00 + (rest & 0x3ff)));
  } else {
    std::snprintf(text.data(), text.size(), "\\u%04x", static_cast<unsigned>(c));
  }
  out += text.data();
}

void append_escaped(std::string& out, std::string_view text, LogFormat format) {
  while (!text.empty()) {
    const auto [c, bytes] = code_point_at(text);
    if (bytes == 0) {
      if (format == LogFormat::Json) {
        out += "\\ufffd";  // JSON has no way to carry a byte that is no text
      } else {
        std::array<char, 8> hex{};
        std::snprintf(hex.data(), hex.size(), "\\x%02x", static_cast<unsigned char>(text.front()));
        out += hex.data();
      }
      text.remove_prefix(1);
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (is_unsafe(c)) {
          append_unicode_escape(out, c);
        } else {
          out += text.substr(0, bytes);
        }
    }
    text.remove_prefix(bytes);
  }
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  while (!value.empty()) {
    const auto [c, bytes] = code_point_at(value);
    if (bytes == 0 || is_unsafe(c) || c == ' ' || c == '"' || c == '\\' || c == '=' || c == 0xa0) {
      return true;
    }
    value.remove_prefix(bytes);
  }
  return false;
}

void append_quoted(std::string& out, std::string_view text, LogFormat format) {
  out += '"';
  append_escaped(out, text, format);
  out += '"';
}

struct ProcessLog {
  SystemClock clock;
  Journal journal;
  std::shared_ptr<spdlog::logger> out = make_out();
  Log log{LogFormat::Text, Level::Info,
          [this](Level, std::string_view line) {
            // As an argument, never as the format: braces in a value are text.
            out->log(spdlog::level::critical, spdlog::string_view_t(line.data(), line.size()));
          },
          clock, [this](std::string_view entry) { return journal.send(entry); }};

  static std::shared_ptr<spdlog::logger> make_out() {
    auto logger = std::make_shared<spdlog::logger>(
        "rollcall", std::make_shared<spdlog::sinks::stderr_sink_st>());
    logger->set_pattern("%v");  // Log makes the whole line, and holds the lock
    return logger;
  }
};

Log& process_log() {
  // Never destroyed: threads may log until the last moment.
  static ProcessLog& log = *new ProcessLog;
  return log.log;
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::Debug:
      return "debug";
    case Level::Info:
      return "info";
    case Level::Warn:
      return "warn";
    case Level::Error:
      return "error";
  }
  return "error";
}

std::optional<Level> level_of(std::string_view word) {
  for (const Level level : {Level::Debug, Level::Info, Level::Warn, Level::Error}) {
    if (to_string(level) == word) return level;
  }
  return std::nullopt;
}

std::string shortened(std::string_view value) {
  if (value.size() <= Log::kLongestValue) return std::string(value);
  std::size_t keep = Log::kLongestValue;
  while (keep > 0 && (static_cast<unsigned char>(value[keep]) & 0xc0) == 0x80) --keep;
  // A tail of continuation bytes alone is no text; then cut anywhere.
  if (keep + 4 < Log::kLongestValue) keep = Log::kLongestValue;
  return std::string(value.substr(0, keep)) + " (and " + std::to_string(value.size() - keep) +
         " more bytes)";
}

std::string plain_text(std::string_view message, const Field* begin, const Field* end) {
  std::string text;
  append_escaped(text, shortened(message), LogFormat::Text);
  for (const Field* field = begin; field != end; ++field) {
    text += ' ';
    append_escaped(text, field->key, LogFormat::Text);
    text += '=';
    const std::string value = shortened(field->value);
    if (needs_quotes(value)) {
      append_quoted(text, value, LogFormat::Text);
    } else {
      text += value;
    }
  }
  return text;
}

std::string format_line(LogFormat format, std::int64_t wall_us, Level level,
                        std::string_view message, const Field* begin, const Field* end) {
  std::string line;
  if (format == LogFormat::Json) {
    line += R"({"time":")" + moment_text(wall_us) + R"(","level":")";
    line += to_string(level);
    line += R"(","message":)";
    append_quoted(line, shortened(message), format);
    for (const Field* field = begin; field != end; ++field) {
      line += ',';
      append_quoted(line, field->key, format);
      line += ':';
      append_quoted(line, shortened(field->value), format);
    }
    return line + '}';
  }
  line += moment_text(wall_us);
  line += ' ';
  const std::string_view name = to_string(level);
  for (const char c : name) line += static_cast<char>(c - 'a' + 'A');
  line.append(6 - name.size(), ' ');
  return line + plain_text(message, begin, end);
}

Log::Log(LogFormat format, Level level, Sink sink, Clock& clock, JournalSink journal)
    : format_(format),
      level_(level),
      sink_(std::move(sink)),
      journal_(std::move(journal)),
      clock_(clock) {}

void Log::write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  write(level, message, std::span<const Field>(fields.begin(), fields.size()));
}

void Log::write(Level level, std::string_view message, std::span<const Field> fields) {
  const std::lock_guard lock(mutex_);
  if (level < level_) return;
  const Now now = clock_.now();

  // Once in a window is enough to tell in time, and keeps a busy log from walking the map for
  // every line.
  if (now.mono_us >= next_sweep_us_) {
    next_sweep_us_ = now.mono_us + kWindowUs / 10;
    for (auto at = windows_.begin(); at != windows_.end();) {
      if (now.mono_us - at->second.began_us < kWindowUs) {
        ++at;
        continue;
      }
      tell_left_out(at->first, at->second, now.wall_us);
      at = windows_.erase(at);
    }
  }

  auto found = windows_.find(message);
  if (found == windows_.end()) {
    const bool full = windows_.size() >= kMessagesTold;
    found = windows_.try_emplace(std::string(full ? "(other messages)" : message)).first;
    if (found->second.written == 0) found->second.began_us = now.mono_us;
  }
  Window& window = found->second;
  if (now.mono_us - window.began_us >= kWindowUs) {
    tell_left_out(found->first, window, now.wall_us);
    window = Window{.began_us = now.mono_us};
  }
  if (window.written >= (level == Level::Debug ? kDebugBurst : kBurst)) {
    if (window.left_out++ == 0) window.level = level;
    return;
  }
  ++window.written;
  emit(level, message, fields.data(), fields.data() + fields.size(), now.wall_us);
}

void Log::flush() {
  const std::lock_guard lock(mutex_);
  const std::int64_t wall_us = clock_.now().wall_us;
  for (auto& [message, window] : windows_) tell_left_out(message, window, wall_us);
}

void Log::tell_left_out(const std::string& message, Window& window, std::int64_t wall_us) {
  if (window.left_out == 0) return;
  const std::initializer_list<Field> fields = {{"of", message},
                                               {"count", std::to_string(window.left_out)}};
  emit(window.level, "lines left out", fields.begin(), fields.end(), wall_us);
  window.left_out = 0;
}

void Log::emit(Level level, std::string_view message, const Field* begin, const Field* end,
               std::int64_t wall_us) {
  const bool to_journal = format_ == LogFormat::Journal;
  if (to_journal && journal_ && journal_(journal_entry(level, message, begin, end))) return;
  sink_(level, format_line(format_, wall_us, level, message, begin, end));
}

void Log::set_format(LogFormat format) {
  const std::lock_guard lock(mutex_);
  format_ = format;
}

void Log::set_level(Level level) {
  const std::lock_guard lock(mutex_);
  level_ = level;
}

Level Log::level() const {
  const std::lock_guard lock(mutex_);
  return level_;
}

LogFormat Log::format() const {
  const std::lock_guard lock(mutex_);
  return format_;
}

void log(Level level, std::string_view message, std::initializer_list<Field> fields) {
  process_log().write(level, message, fields);
}
void log(Level level, std::string_view message, std::span<const Field> fields) {
  process_log().write(level, message, fields);
}
void set_log_format(LogFormat format) {
  if (format == LogFormat::Auto) {
    const bool journal = stderr_is_journal(std::getenv("JOURNAL_STREAM"));
    format = journal ? LogFormat::Journal : LogFormat::Text;
  }
  process_log().set_format(format);
}
LogFormat log_format() {
  return process_log().format();
}
void set_log_level(Level level) {
  process_log().set_level(level);
}
Level log_level() {
  return process_log().level();
}
void flush_log() {
  process_log().flush();
}

}  // namespace rollcall::app
