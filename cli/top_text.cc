#include "cli/top_text.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>
#include <utility>

#include "cli/drain_text.h"
#include "cli/status_text.h"

namespace rollcall::cli {
namespace {

constexpr std::size_t kNames = 9;          // "workers  "
constexpr std::size_t kSidecarNames = 11;  // "agreement  "
constexpr std::size_t kMostEvents = 8;     // below the table
constexpr std::size_t kWide = 120;         // columns from which each worker has a bar
constexpr std::size_t kShareColumns = 22;
constexpr std::size_t kAnyLength = 10'000;  // lines where there is no screen

std::int64_t sum_of(const Json& nodes, std::string_view name) {
  std::int64_t sum = 0;
  for (const Json& n : nodes) sum += number_of(field(n, name));
  return sum;
}

std::string named(std::string_view name, std::string_view text, const Screen& screen,
                  Tone tone = Tone::plain, std::size_t names = kNames) {
  std::string left(name);
  left.resize(names, ' ');
  const std::size_t room = screen.columns - std::min(screen.columns, left.size());
  return toned(left, Tone::dim, screen.colours) +
         toned(cut_to(harmless(text), room), tone, screen.colours);
}

// Which daemon, and how to leave.
std::string title(const TopView& v, const Screen& screen) {
  const std::string name =
      std::string(v.sidecar ? "rollcalld " : "rollcall-master ") +
      (v.status.is_null() ? "" : shown(field(v.status, "version")) + " ") +
      (v.sidecar && !v.status.is_null() ? "of " + shown(field(v.status, "node")) + " " : "") +
      "at " + v.address;
  const std::string keys = screen.terminal ? "q: quit" : "";
  const std::string time =
      v.sidecar ? "" : shown_time(field(v.status, "master_time")).substr(0, 19);
  std::string left = cut_to(harmless(name + (time.size() > 1 ? "  " + time + "Z" : "")),
                            screen.columns - std::min(screen.columns, keys.size() + 2));
  const std::size_t used = width_of(left) + keys.size();
  std::string gap(keys.empty() ? 0 : screen.columns - std::min(screen.columns, used), ' ');
  return toned(left, Tone::strong, screen.colours) + gap + toned(keys, Tone::dim, screen.colours);
}

std::vector<std::string> master_head(const TopView& v, const Screen& screen) {
  const Json& s = v.status;
  const auto number = [&s](std::string_view name) { return grouped(number_of(field(s, name))); };
  const auto workers = field(v.nodes, "nodes");
  std::size_t up = 0, equal = 0, differ = 0;
  for (const Json& n : workers) {
    up += field(n, "connected") == true ? 1 : 0;
    equal += field(n, "agreement") == "equal" ? 1 : 0;
    differ += field(n, "agreement") == "differs" ? 1 : 0;
  }
  const auto count = [](std::size_t n) { return grouped(static_cast<std::int64_t>(n)); };
  const bool agree = differ == 0 && up == workers.size();
  std::vector<std::string> out;
  out.push_back(named("agents",
                      number("agents") + ": " + number("active") + " active, " +
                          number("migrating") + " migrating, " + number("unreachable") +
                          " unreachable, " + number("disconnected") + " disconnected",
                      screen));
  out.push_back(std::string(kNames, ' ') +
                bar({{number_of(field(s, "active")), '#', Tone::good},
                     {number_of(field(s, "migrating")), '>', Tone::notice},
                     {number_of(field(s, "unreachable")), '?', Tone::warning},
                     {number_of(field(s, "disconnected")), '-', Tone::bad}},
                    screen.columns - kNames, screen.colours));
  out.push_back(named("workers",
                      count(workers.size()) + ": " + count(up) +
                          " connected; digests: " + count(equal) + " equal, " + count(differ) +
                          " differ; " + number("in_doubt") + " in doubt",
                      screen, agree ? Tone::plain : Tone::warning));
  char rate[32] = "-";
  if (v.events_a_second) std::snprintf(rate, sizeof rate, "%.0f", *v.events_a_second);
  out.push_back(named("moves",
                      grouped(sum_of(field(v.balance, "nodes"), "came_last_minute")) +
                          " in the last minute; " + rate +
                          " events/s; repairs: " + counts(field(s, "repairs")),
                      screen));
  if (!field(s, "log_error").is_null()) {
    out.push_back(
        named("log", "cannot be written: " + shown(field(s, "log_error")), screen, Tone::bad));
  }
  if (const auto& held = field(field(s, "leases"), "held"); !held.empty()) {
    out.push_back(named("held", list_of(held) + ": \"rollcall confirm\" lets them expire", screen,
                        Tone::warning));
  }
  return out;
}

std::string lease_of(const Json& n) {
  return field(n, "frozen_until").is_null() ? shown(field(field(n, "lease"), "status")) : "frozen";
}

// What it says to have and the master does not know of yet, or the other way.
std::string behind_of(const Json& n) {
  const Json& says = field(n, "open_sessions_reported");
  if (says.is_null()) return "-";
  const auto differ = number_of(says) - number_of(field(n, "open_sessions"));
  return grouped(differ < 0 ? -differ : differ);
}

bool in_trouble(const Json& n) {
  return link_of(n) != "up" || lease_of(n) != "valid" || field(n, "agreement") == "differs";
}

Table workers_table(const TopView& v, const Screen& screen) {
  const bool wide = screen.columns >= kWide;
  std::vector<Column> columns = {cut_column("NODE"), "LINK", "LEASE", number_column("AGENTS")};
  if (wide) columns.emplace_back("SHARE");
  columns.insert(columns.end(),
                 {number_column("OFFERED"), number_column("IN/MIN"), number_column("OUT/MIN"),
                  "DIGEST", number_column("BEHIND"), number_column("HEARD")});
  if (wide) columns.push_back(cut_column("ADDRESS"));
  Table table(std::move(columns));

  std::map<std::string, const Json*> balance;
  std::int64_t most = 1;
  for (const Json& b : field(v.balance, "nodes")) {
    balance[shown(field(b, "node"))] = &b;
    most = std::max(most, number_of(field(b, "agents")));
  }
  std::vector<const Json*> rows;
  for (const bool trouble : {true, false}) {
    for (const Json& n : field(v.nodes, "nodes")) {
      if (in_trouble(n) == trouble) rows.push_back(&n);
    }
  }
  static const Json none;
  for (const Json* n : rows) {
    const auto found = balance.find(shown(field(*n, "node")));
    const Json& b = found == balance.end() ? none : *found->second;
    const auto agents = number_of(field(b, "agents"));
    const auto number = [&b](std::string_view name) { return grouped(number_of(field(b, name))); };
    std::vector<Cell> row = {shown(field(*n, "node")), toned_cell(link_of(*n)),
                             toned_cell(lease_of(*n)), grouped(agents)};
    if (wide) {
      const auto marks = static_cast<std::size_t>(agents * std::int64_t{kShareColumns} / most);
      row.emplace_back(std::string(marks, '#'), Tone::notice);
    }
    const std::string behind = behind_of(*n);
    row.insert(row.end(),
               {number("offered"), number("came_last_minute"), number("left_last_minute"),
                toned_cell(shown(field(*n, "agreement"))),
                Cell(behind, behind == "0" || behind == "-" ? Tone::plain : Tone::warning),
                shown_length(field(*n, "silent_for_us"))});
    if (wide) row.emplace_back(shown(field(*n, "address")));
    table.add(std::move(row));
  }
  return table;
}

std::vector<std::string> sidecar_lines(const TopView& v, const Screen& screen) {
  std::vector<std::string> out;
  const auto add = [&](std::string_view name, std::string_view text, Tone tone = Tone::plain) {
    out.push_back(named(name, text, screen, tone, kSidecarNames));
  };
  for (const NamedText& f : sidecar_status(v.status)) {
    if (f.name != "sidecar") add(f.name, f.text, f.tone);
  }
  const Json& backlog = field(v.status, "backlog");
  add("unsent", grouped(number_of(field(backlog, "unsent"))) + " events, " +
                    grouped(number_of(field(backlog, "bytes"))) + " bytes in all; " +
                    grouped(number_of(field(backlog, "folded"))) + " were folded");
  if (!v.drain.is_null()) add("drain", drain_line(v.drain));
  return out;
}

std::vector<std::string> head(const TopView& v, const Screen& screen) {
  std::vector<std::string> out = {title(v, screen)};
  if (!v.error.empty()) out.push_back(named("error", v.error, screen, Tone::bad));
  if (v.status.is_null()) return out;
  const auto more = v.sidecar ? sidecar_lines(v, screen) : master_head(v, screen);
  out.insert(out.end(), more.begin(), more.end());
  if (!v.sidecar) out.emplace_back();
  return out;
}

// Below the table, if there is room for it and for some workers.
std::size_t events_shown(const TopView& v, std::size_t lines, std::size_t used, std::size_t rows) {
  const std::size_t room = lines - std::min(lines, used + 1 + std::max<std::size_t>(rows, 1));
  return room < 3 ? 0 : std::min({room - 1, kMostEvents, v.events.size()});
}

std::size_t lines_of(const Screen& screen) {
  return screen.terminal ? screen.lines : kAnyLength;
}

}  // namespace

std::string bar(const std::vector<Part>& parts, std::size_t columns, bool colours) {
  std::int64_t all = 0;
  for (const Part& part : parts) all += part.number;
  if (columns < 4) return "";
  const auto room = static_cast<std::int64_t>(columns) - 2;
  std::vector<std::int64_t> marks;
  std::int64_t used = 0;
  for (const Part& part : parts) {
    const bool any = part.number > 0;
    marks.push_back(any ? std::max<std::int64_t>(1, part.number * room / all) : 0);
    used += marks.back();
  }
  // What rounding left goes to whoever has most, and comes from there.
  const auto most = std::ranges::max_element(marks);
  if (all > 0) *most += room - used;
  std::string out = "[";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto size = static_cast<std::size_t>(std::max<std::int64_t>(0, marks[i]));
    out += toned(std::string(size, parts[i].mark), parts[i].tone, colours);
  }
  if (all == 0) out += std::string(static_cast<std::size_t>(room), ' ');
  return out + "]";
}

std::string event_text(const Json& e) {
  const auto place = [&e](std::string_view which) {
    const Json& standing = field(e, which);
    return standing.is_null() ? std::string("-") : shown(field(standing, "node"));
  };
  std::string text = shown(field(e, "event"));
  const bool both = text == "migrate" || text == "contested";
  const std::string where =
      both ? place("from") + " -> " + place("to") : place(text == "disconnect" ? "from" : "to");
  text.resize(std::max<std::size_t>(text.size(), 11), ' ');
  text += "  " + where;
  for (const char* why : {"reason", "lease_cause"}) {
    if (!field(e, why).is_null()) text += " (" + shown(field(e, why)) + ")";
  }
  return text;
}

TopRoom top_room(const TopView& v, const Screen& screen) {
  if (v.sidecar || v.status.is_null()) return {};
  const std::size_t all = field(v.nodes, "nodes").size();
  const std::size_t used = head(v, screen).size() + 1;  // and the table's own head
  const std::size_t lines = lines_of(screen);
  const std::size_t room = lines - std::min(lines, used);
  const std::size_t events = events_shown(v, lines, used, std::min(all, room));
  return {std::min(all, room - std::min(room, events > 0 ? events + 1 : 0)), all};
}

std::vector<std::string> top_lines(const TopView& v, const Screen& screen, Scroll& scroll) {
  std::vector<std::string> out = head(v, screen);
  if (v.sidecar || v.status.is_null()) return out;
  const TopRoom room = top_room(v, screen);
  scroll.take(Key::none, room.rows, room.all);
  if (room.rows < room.all) {
    out.back() = named("",
                       "workers " + std::to_string(scroll.first + 1) + " to " +
                           std::to_string(scroll.first + room.rows) + " of " +
                           std::to_string(room.all) + " (arrows scroll)",
                       screen, Tone::dim);
  }
  const auto table = workers_table(v, screen).lines(screen.columns, screen.colours);
  out.push_back(table.front());
  const auto first = table.begin() + 1 + static_cast<std::ptrdiff_t>(scroll.first);
  out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(room.rows));
  const std::size_t events = events_shown(v, lines_of(screen), out.size(), 0);
  if (events == 0) return out;
  out.emplace_back();
  for (std::size_t i = v.events.size() - events; i < v.events.size(); ++i) {
    const Json& e = v.events[i];
    std::string agent = shown(field(e, "agent"));
    agent.insert(0, 6 - std::min<std::size_t>(6, agent.size()), ' ');
    const std::string text =
        clock_of(shown_time(field(e, "at"))) + "  agent " + agent + "  " + event_text(e);
    out.push_back(toned(cut_to(harmless(text), screen.columns), tone_of(shown(field(e, "event"))),
                        screen.colours));
  }
  return out;
}

}  // namespace rollcall::cli
