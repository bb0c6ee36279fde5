#include "inspect/why.h"

#include <algorithm>
#include <map>

#include "inspect/master_json.h"
#include "inspect/texts.h"

namespace rollcall::inspect {
namespace {

using master::LeaseStatus;
using Entry = master::History::Entry;

std::string in_quotes(std::string_view word) {
  return "\"" + std::string(word) + "\"";
}

// Where the record came to its phase: what goes on with the stay afterwards, like new info, does
// not count. The end if that is not among the decisions.
std::vector<Entry>::const_iterator decision_of(const WhyFacts& facts) {
  auto found = facts.decisions.end();
  for (auto it = facts.decisions.begin(); it != facts.decisions.end(); ++it) {
    if (!accepted(it->rule)) continue;
    const bool same =
        it->version.same_session(facts.record.top) && phase_after(it->kind) == facts.record.phase;
    if (!same) break;
    found = it;
  }
  return found;
}

std::string status_sentence(const WhyFacts& f) {
  const std::string_view status = status_text(f.record, f.node.standing());
  std::string text = "Agent " + std::to_string(id_of(f.agent)) + " is " + std::string(status);
  if (!f.record.has_session()) {
    return text + ": workers only told that they may have heard it, none that it was there.";
  }
  text += (status == "active"      ? " on "
           : status == "migrating" ? " from "
                                   : ", last on ") +
          f.record.top.node;
  const Reason reason = master::reason_of(f.record, f.node.standing());
  if (reason != Reason::none) text += " (" + std::string(to_string(reason)) + ")";
  return text + ".";
}

// What the decision was about, in relation to what it met.
std::string met_words(const Entry& e) {
  if (e.rule == Rule::first) return "nothing was known of the agent before";
  if (e.rule == Rule::contact)
    return "it may have heard the agent, which is no stay: only the latest contact is kept";
  if (e.rule == Rule::future_epoch)
    return "its stay would have begun later than it is by the master's time";
  if (e.met.top.epoch == kUnstamped) return "no stay of the agent was known before";
  const std::string theirs =
      e.met.top.node + "'s, which was " + std::string(to_string(e.met.phase));
  if (e.version.same_session(e.met.top)) {
    if (e.rule == Rule::duplicate) return "this was known already";
    if (e.rule == Rule::conflict)
      return "it says something else than what is known under the same version, and that stands";
    if (e.rule == Rule::older)
      return "a later change of the same stay was known already, so it changes nothing";
    return "it goes on with the stay that was known";
  }
  const auto ahead =
      static_cast<std::int64_t>(e.version.epoch) - static_cast<std::int64_t>(e.met.top.epoch);
  if (e.rule == Rule::older) {
    if (ahead == 0)
      return "it is older by the names of the workers than " + theirs + ", so it changes nothing";
    return "its stay began " + length_text(-ahead) + " before " + theirs +
           ", so it changes nothing";
  }
  if (ahead == 0) return "it is newer by the names of the workers than " + theirs;
  return "its stay began " + length_text(ahead) + " after " + theirs;
}

std::string said_words(const Entry& e) {
  if (e.cause == master::Cause::told) return e.node + " said " + in_quotes(to_string(e.kind));
  return "The master found " + in_quotes(to_string(e.kind)) + " on " + e.node + " out itself (" +
         std::string(to_string(e.cause)) + ")";
}

std::string late_words(const Entry& e) {
  return length_text(std::max<std::int64_t>(0, e.at.us - e.evidence.hi.us)) +
         " after what it speaks of";
}

std::string decision_sentence(const Entry& e) {
  return " " + said_words(e) + ", decided at " + time_text(e.at) + ", " + late_words(e) +
         ", by the rule " + in_quotes(to_string(e.rule)) + ": " + met_words(e) + ".";
}

std::string export_command(const WhyFacts& f) {
  return "rollcall log export " +
         (f.log_directory.empty() ? std::string("DIRECTORY") : f.log_directory) + " --agent " +
         std::to_string(id_of(f.agent)) + " --json";
}

std::string missing_sentence(const WhyFacts& f) {
  if (!f.record.has_session()) return "";
  std::string text = " What decided that is not kept in memory";
  if (f.history_begins) text += ", which begins at " + time_text(*f.history_begins);
  return text + "; ask the log: " + export_command(f) + ".";
}

std::string since_sentence(const std::map<std::string, std::size_t>& since) {
  if (since.empty()) return "";
  std::string list;
  for (const auto& [rule, count] : since) {
    list += (list.empty() ? "" : ", ") + std::to_string(count) + " by " + in_quotes(rule);
  }
  return " What was decided since did not change that: " + list + ".";
}

std::string lease_sentence(const WhyFacts& f) {
  if (!f.record.is_open()) return "";
  const auto& [status, cause, since] = f.node.lease;
  const NodeName& node = f.record.top.node;
  const std::string why = cause == master::LeaseCause::unconfirmed
                              ? "its sessions were not confirmed for three TTLs"
                          : cause == master::LeaseCause::confirmed ? "an operator confirmed it"
                                                                   : "nothing was heard of it";
  std::string text;
  switch (status) {
    case LeaseStatus::valid:
      return f.node.connected ? "" : " " + node + " is not connected, but its lease still runs.";
    case LeaseStatus::lapsed:
      text = " " + node + "'s lease lapsed at " + time_text(since) + ", since " + why +
             ": nobody knows where its agents are";
      if (f.node.frozen_until)
        return text + "; expiry is frozen until " + time_text(*f.node.frozen_until) + ".";
      if (f.node.lease_left_us) {
        text += ", and in " + length_text(*f.node.lease_left_us) + " they count as disconnected";
      }
      return text + ".";
    case LeaseStatus::held:
      return " " + node +
             "'s lease would have expired, but too many at once would have: that waits " +
             "for \"rollcall confirm\".";
    case LeaseStatus::expired:
      return " " + node + "'s lease expired at " + time_text(since) + ", since " + why + ".";
  }
  return text;
}

std::string offer_sentence(const WhyFacts& f) {
  if (!f.record.is_offered()) return "";
  return " " + f.record.top.node + " offered it to the other workers until " +
         time_text(f.record.offered_until) + ".";
}

std::string doubt_sentence(const WhyFacts& f) {
  const auto doubt = f.record.doubt();
  if (!doubt) return "";
  std::string other = "another worker";
  for (const auto& c : f.record.contacts) {
    if (c.node != f.record.top.node && c.hi == *doubt) other = c.node;
  }
  return " It is in doubt: " + other + " can have heard it as late as " + time_text(*doubt) +
         (f.challenged ? ", and " + f.record.top.node + " was asked for newer evidence." : ".");
}

}  // namespace

std::string decision_text(const Entry& e) {
  std::string text = said_words(e);
  if (e.reason != Reason::none) text += " (" + std::string(to_string(e.reason)) + ")";
  return text + ", " + late_words(e) + (accepted(e.rule) ? ". Taken: " : ". Refused: ") +
         met_words(e) + ".";
}

Json why_json(const WhyFacts& f) {
  const auto decision = decision_of(f);
  const bool found = decision != f.decisions.end();
  std::map<std::string, std::size_t> since;
  for (auto it = f.decisions.begin(); found && it != decision; ++it) {
    ++since[std::string(to_string(it->rule))];
  }
  std::string text = status_sentence(f);
  text += found ? decision_sentence(*decision) + since_sentence(since) : missing_sentence(f);
  text += offer_sentence(f) + lease_sentence(f) + doubt_sentence(f);
  if (f.contested) {
    text += " Its worker changed so often that two agents may share one key (contested).";
  }
  const auto doubt = f.record.doubt();
  const bool known = f.record.has_session();
  Json j;
  j["agent"] = id_of(f.agent);
  j["status"] = status_text(f.record, f.node.standing());
  j["node"] = known ? Json(f.record.top.node) : Json(nullptr);
  j["reason"] = reason_json(master::reason_of(f.record, f.node.standing()));
  j["text"] = text;
  j["version"] = version_json(f.record.top);
  j["decision"] = found ? history_json(*decision) : Json(nullptr);
  j["since"] = found ? Json(since) : Json(nullptr);
  j["lease"] = known ? lease_json(f.node) : Json(nullptr);
  j["frozen_until"] = known ? time_json(f.node.frozen_until) : Json(nullptr);
  j["node_connected"] = known ? Json(f.node.connected) : Json(nullptr);
  j["doubt"] = time_json(doubt);
  j["challenged"] = f.challenged;
  j["contested"] = f.contested;
  j["history_since"] = time_json(f.history_begins);
  j["log_command"] = export_command(f);
  return j;
}

}  // namespace rollcall::inspect
