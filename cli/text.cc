#include "cli/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "cli/command.h"
#include "inspect/texts.h"

namespace rollcall::cli {
namespace {

// Counts code points; the bytes are UTF-8, or bad luck.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (width_of(text) <= columns) return std::string(text);
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at) {
    if ((text[at] & 0xc0) != 0x80 && ++seen == columns) break;
  }
  return std::string(text.substr(0, at)) + "~";
}

constexpr std::size_t kFieldColumns = 13;

// "10.0.0.1" of "10.0.0.1:50412": the port is the connection's, and says nothing.
std::string host_of(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}

}  // namespace

Exit fail(const std::string& message, Exit how) {
  std::fprintf(stderr, "rollcall: %s\n", harmless(message).c_str());
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

std::string wrapped(std::string_view text) {
  std::string out, line;
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, space);
    if (!line.empty() && width_of(line) + 1 + width_of(word) > kColumns) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(word);
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out + line + "\n";
}

void Table::add(std::vector<std::string> row) {
  for (auto& cell : row) cell = harmless(cell);
  rows_.push_back(std::move(row));
}

void Table::print() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    std::size_t column = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      const std::size_t left = kColumns > column ? kColumns - column : 1;
      line += last ? cut_to(row[i], std::max<std::size_t>(left, 8)) : row[i];
      if (!last) line.append(widths[i] - width_of(row[i]) + 2, ' ');
      column += widths[i] + 2;
    }
    while (line.ends_with(' ')) line.pop_back();
    std::printf("%s\n", line.c_str());
  }
}

void print_field(std::string_view name, std::string_view value) {
  std::string left(name);
  left.resize(kFieldColumns, ' ');
  std::string line;
  std::string rest = harmless(value);
  while (true) {
    std::size_t end = rest.size();
    if (rest.size() > kColumns - kFieldColumns) {
      end = rest.rfind(' ', kColumns - kFieldColumns);
      if (end == std::string::npos || end == 0) end = std::min(rest.find(' '), rest.size());
    }
    std::printf("%s%s\n", left.c_str(), rest.substr(0, end).c_str());
    if (end >= rest.size()) return;
    rest.erase(0, end + 1);
    left.assign(kFieldColumns, ' ');
  }
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

Table agents_table() {
  return Table({"ID", "STATUS", "NODE", "LAST REPORTED", "REASON", "NAME"});
}

void add_agents(Table& table, const Json& agents) {
  for (const Json& a : agents) {
    table.add({shown(field(a, "id")), shown(field(a, "status")), shown(field(a, "node")),
               shown_time(field(a, "evidence_hi")).substr(0, 19), shown(field(a, "reason")),
               shown(field(field(a, "info"), "name"))});
  }
}

Table contested_table() {
  return Table({"AGENT", "CONTESTED", "FLAPPING", "WORKER", "ADDRESS", "CONTACT", "AGENT IP"});
}

void add_contested(Table& table, const Json& agents) {
  for (const Json& agent : agents) {
    const std::string moves = ", " + std::to_string(field(agent, "moves").size());
    for (const Json& w : field(agent, "workers")) {
      // Of "2026-01-01T10:00:00.000Z" the time: what is listed here is of the last hour.
      const std::string contact = shown_time(field(w, "contact"));
      table.add({shown(field(agent, "agent")), shown(field(agent, "contested")),
                 shown(field(agent, "flapping")) + moves,
                 shown(field(w, "node")) + (field(w, "on_top") == true ? " *" : ""),
                 host_of(shown(field(w, "address"))),
                 contact.size() > 19 ? contact.substr(11, 8) : contact,
                 shown(field(w, "agent_ip"))});
    }
  }
}

}  // namespace rollcall::cli
