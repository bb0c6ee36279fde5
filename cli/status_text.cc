#include "cli/status_text.h"

#include <utility>

namespace rollcall::cli {
namespace {

std::string number(const Json& of, std::string_view name) {
  return grouped(number_of(field(of, name)));
}

// "ok", or what is wrong.
NamedText written(std::string name, const Json& error) {
  if (error.is_null()) return {std::move(name), "ok"};
  return {std::move(name), "cannot be written: " + shown(error), Tone::bad};
}

void add_leases(std::vector<NamedText>& out, const Json& s) {
  const Json& leases = field(s, "leases");
  const auto held = field(leases, "held").size();
  const bool well = held == 0 && number_of(field(leases, "lapsed")) == 0;
  out.push_back({"workers",
                 number(s, "connections") + " connected; leases: " + number(leases, "valid") +
                     " valid, " + number(leases, "lapsed") + " lapsed, " + std::to_string(held) +
                     " held, " + number(leases, "expired") + " expired",
                 well ? Tone::plain : Tone::warning});
  if (held != 0) {
    out.push_back({"",
                   list_of(field(leases, "held")) +
                       ": too many would expire at once; \"rollcall confirm\" lets them, if they "
                       "are really gone",
                   Tone::warning});
  }
  for (const Json& f : field(s, "frozen")) {
    out.push_back({"frozen",
                   (field(f, "node").is_null() ? "every worker" : shown(field(f, "node"))) +
                       " until " + shown_time(field(f, "until")),
                   Tone::notice});
  }
}

}  // namespace

std::string counts(const Json& by_name) {
  std::string text;
  for (const auto& [name, count] : by_name.items()) {
    if (count != 0) text += (text.empty() ? "" : ", ") + name + " " + shown(count);
  }
  return text.empty() ? "none" : text;
}

std::string link_of(const Json& n) {
  if (field(n, "connected") != true) return field(n, "away").is_null() ? "down" : "away";
  return field(n, "blind") == true ? "blind" : "up";
}

std::vector<NamedText> master_status(const Json& s) {
  std::vector<NamedText> out;
  const bool ready = field(s, "ready") == true;
  out.push_back({"master",
                 "rollcall-master " + shown(field(s, "version")) +
                     (ready ? ", ready" : ", not ready: it cannot tell the time"),
                 ready ? Tone::plain : Tone::warning});
  out.push_back({"id, term", shown(field(s, "master")) + ", " + shown(field(s, "term"))});
  out.push_back({"time", shown_time(field(s, "master_time"))});
  out.push_back({"agents", number(s, "agents") + " known: " + number(s, "active") + " active, " +
                               number(s, "migrating") + " migrating, " + number(s, "unreachable") +
                               " unreachable, " + number(s, "disconnected") + " disconnected; " +
                               number(s, "in_doubt") + " in doubt"});
  add_leases(out, s);
  out.push_back({"decisions", counts(field(s, "decisions"))});
  out.push_back({"repairs", counts(field(s, "repairs"))});
  out.push_back(written("log", field(s, "log_error")));
  return out;
}

std::vector<NamedText> sidecar_status(const Json& s) {
  std::vector<NamedText> out;
  out.push_back(
      {"sidecar", "rollcalld " + shown(field(s, "version")) + " of " + shown(field(s, "node"))});
  out.push_back(
      {"agents", number(s, "agents") + " known, " + number(s, "open_sessions") + " here"});

  const Json& link = field(s, "link");
  std::string state = shown(field(link, "state"));
  const Tone tone = tone_of(state) == Tone::good ? Tone::plain : tone_of(state);
  if (!field(link, "error").is_null()) state += ": " + shown(field(link, "error"));
  if (!field(link, "master_says").is_null())
    state += "; the master says: " + shown(field(link, "master_says"));
  out.push_back({"link", std::move(state), tone});

  const Json& backlog = field(s, "backlog");
  std::string waiting = number(backlog, "events") + " events";
  if (!field(backlog, "oldest_us").is_null())
    waiting += ", the oldest for " + shown_length(field(backlog, "oldest_us"));
  out.push_back({"backlog", std::move(waiting)});

  const Json& agreement = field(s, "agreement");
  std::string agreed = shown(field(agreement, "state"));
  const Tone agrees = agreed == "differs" ? Tone::warning : Tone::plain;
  if (!field(agreement, "equal_ago_us").is_null())
    agreed += ", last equal " + shown_length(field(agreement, "equal_ago_us")) + " ago";
  out.push_back({"agreement", std::move(agreed), agrees});

  const Json& clock = field(s, "clock");
  const auto offset = number_of(field(clock, "offset_us"));
  out.push_back({"clock", field(clock, "known") == true
                              ? "the master's is " + shown_length(offset < 0 ? -offset : offset) +
                                    (offset < 0 ? " behind" : " ahead") + ", give or take " +
                                    shown_length(field(clock, "error_us"))
                              : "the master's is not known yet"});
  const Json& source = field(s, "source");
  const bool connected = field(source, "connected") == true;
  out.push_back(field(source, "error").is_null()
                    ? NamedText{"source", connected ? "connected" : "not connected"}
                    : NamedText{"source", shown(field(source, "error")), Tone::bad});
  out.push_back(written("store", field(field(s, "store"), "error")));
  return out;
}

}  // namespace rollcall::cli
