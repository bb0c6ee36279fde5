#include "cli/text.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "cli/command.h"
#include "inspect/texts.h"

namespace rollcall::cli {
namespace {

constexpr std::size_t kFieldColumns = 13;

// "10.0.0.1" of "10.0.0.1:50412": the port is the connection's, and says nothing.
std::string host_of(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}

}  // namespace

Exit fail(const std::string& message, Exit how) {
  const std::string text = "rollcall: " + harmless(message);
  const Screen where = screen_of(STDERR_FILENO);
  // In a file it stays one line, which can be searched for.
  const std::string said =
      where.terminal ? wrapped(text, std::min(where.columns, kProse)) : text + "\n";
  std::fputs(said.c_str(), stderr);
  return how;
}

std::string harmless(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    const bool control = byte < 0x20 || byte == 0x7f;
    // U+0080 to U+009F steer terminals too.
    const bool late_control =
        byte == 0xc2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xa0;
    if (control) out[i] = '?';
    if (late_control) out[i] = out[i + 1] = '?';
  }
  return out;
}

std::string wrapped(std::string_view text, std::size_t columns) {
  std::string out, line;
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, space);
    if (!line.empty() && width_of(line) + 1 + width_of(word) > columns) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(word);
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out + line + "\n";
}

std::string wrapped(std::string_view text) {
  return wrapped(text, std::min(screen().columns, kProse));
}

void print_field(std::string_view name, std::string_view value, Tone tone) {
  const Screen where = screen();
  const std::size_t columns = std::min(where.columns, kProse);
  std::string left(name);
  left.resize(kFieldColumns, ' ');
  left = toned(left, Tone::dim, where.colours);
  std::string text = wrapped(harmless(value), columns - std::min(columns, kFieldColumns));
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    std::printf("%s%s\n", left.c_str(),
                toned(text.substr(at, end - at), tone, where.colours).c_str());
    left.assign(kFieldColumns, ' ');
    at = end + 1;
  }
}

void print_json(const Json& json) {
  std::printf("%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

const Json& field(const Json& of, std::string_view name) {
  static const Json none;
  if (!of.is_object()) return none;
  const auto found = of.find(std::string(name));
  return found == of.end() ? none : *found;
}

std::string shown(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string shown_time(const Json& us) {
  return us.is_number_integer() ? inspect::time_text({us.get<std::int64_t>()}) : "-";
}

std::string shown_length(const Json& us) {
  return us.is_number_integer() ? inspect::length_text(us.get<std::int64_t>()) : "-";
}

std::string clock_of(const std::string& time) {
  return time.size() > 19 ? time.substr(11, 8) : time;
}

std::int64_t number_of(const Json& value) {
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

std::string list_of(const Json& values) {
  std::string text;
  for (const Json& value : values) text += (text.empty() ? "" : ", ") + shown(value);
  return text;
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

Table agents_table() {
  return Table({number_column("ID"), "STATUS", cut_column("NODE"), "LAST REPORTED",
                cut_column("REASON"), cut_column("NAME")});
}

void add_agents(Table& table, const Json& agents) {
  for (const Json& a : agents) {
    table.add({shown(field(a, "id")), toned_cell(shown(field(a, "status"))),
               shown(field(a, "node")), shown_time(field(a, "evidence_hi")).substr(0, 19),
               shown(field(a, "reason")), shown(field(field(a, "info"), "name"))});
  }
}

Table contested_table() {
  return Table({number_column("AGENT"), "CONTESTED", "FLAPPING", cut_column("WORKER"), "ADDRESS",
                "CONTACT", "AGENT IP"});
}

void add_contested(Table& table, const Json& agents) {
  for (const Json& agent : agents) {
    const std::string moves = ", " + std::to_string(field(agent, "moves").size());
    for (const Json& w : field(agent, "workers")) {
      const bool contested = field(agent, "contested") == true;
      table.add({shown(field(agent, "agent")),
                 Cell(shown(field(agent, "contested")), contested ? Tone::warning : Tone::plain),
                 shown(field(agent, "flapping")) + moves,
                 shown(field(w, "node")) + (field(w, "on_top") == true ? " *" : ""),
                 host_of(shown(field(w, "address"))),
                 clock_of(shown_time(field(w, "contact"))),  // what is listed is of the last hour
                 shown(field(w, "agent_ip"))});
    }
  }
}

}  // namespace rollcall::cli
