#pragma once
// Messages in the words of docs/protocol.md, one line each. Moments are seconds after `base`.
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "protocol/messages.h"

namespace rollcall::scenario {

inline std::string seconds(MasterTime t, MasterTime base) {
  char out[40];
  std::snprintf(out, sizeof out, "%.6f", static_cast<double>(t.us - base.us) / 1e6);
  std::string s = out;
  s.erase(s.find_last_not_of('0') + 1);
  if (s.back() == '.') s.pop_back();
  return s;
}

inline std::string describe(const Version& v, MasterTime base) {
  return (v.epoch == kUnstamped ? "-" : seconds(time_of(v.epoch), base)) + "@" + v.node + "+" +
         std::to_string(v.change);
}

// "7 closed 9+1 shutdown": agent, kind, epoch + change, reason if there is one.
inline std::string describe(const Event& e, MasterTime base) {
  std::string out = std::to_string(static_cast<std::uint32_t>(e.agent)) + " " +
                    std::string(to_string(e.kind)) + " " +
                    (e.epoch == kUnstamped ? "-" : seconds(time_of(e.epoch), base)) + "+" +
                    std::to_string(e.change);
  if (e.reason != Reason::none) out += " " + std::string(to_string(e.reason));
  if (e.info_hash) out += e.info ? " with info" : " with the info's hash";
  if (e.folded != 0) out += " folding " + std::to_string(e.folded);
  return out;
}

inline std::string describe(AgentId agent, const Winner& w, MasterTime base) {
  return std::to_string(static_cast<std::uint32_t>(agent)) + " by " + describe(w.version, base) +
         (w.open ? " open" : " ended");
}

inline std::string describe(Agreement agreement) {
  return agreement == Agreement::unknown ? "" : ", " + std::string(to_string(agreement));
}

inline std::string describe(const Want& want) {
  std::string out;
  const auto list = [&out](std::string_view of, const auto& numbers) {
    if (numbers.empty()) return;
    out += " " + std::string(of);
    for (const auto number : numbers) out += " " + std::to_string(std::to_underlying(number));
  };
  list("digests of", want.digests_of);
  list("leaves", want.leaves);
  list("infos", want.infos);
  if (want.inventory) out += " inventory";
  if (want.retry_after_us != 0) out += " later";
  return out;
}

inline std::string describe(const Command& command) {
  std::string out = " " + command.id + " " + std::string(to_string(command.kind));
  for (const Command::Entry& e : command.entries)
    out += " " + std::to_string(static_cast<std::uint32_t>(e.agent));
  return out;
}

inline std::string describe(const Result& result) {
  std::string out = " " + result.id;
  for (const Result::Entry& e : result.entries)
    out += " " + std::to_string(static_cast<std::uint32_t>(e.agent)) + " " +
           std::string(to_string(e.outcome));
  return out + (result.why.empty() ? "" : ": " + result.why);
}

inline std::string describe(const Message& message, MasterTime base) {
  std::string out(name_of(message));
  if (const auto* hello = std::get_if<Hello>(&message)) {
    out += " from " + hello->node + ", first seq " + std::to_string(hello->first_seq);
  } else if (const auto* welcome = std::get_if<Welcome>(&message)) {
    out += ", have seq " + std::to_string(welcome->last_seq);
    if (welcome->store_is_older) out += ", the store is older";
    out += describe(welcome->agreement);
  } else if (const auto* delta = std::get_if<Delta>(&message)) {
    for (std::size_t i = 0; i < delta->events.size(); ++i)
      out += (i == 0 ? " " : "; ") + std::to_string(delta->first_seq + i) + ": " +
             describe(delta->events[i], base);
  } else if (const auto* ack = std::get_if<Ack>(&message)) {
    out += " " + std::to_string(ack->through);
    for (const AckException& e : ack->exceptions) {
      out += "; " + std::to_string(e.seq) + ": " + std::string(to_string(e.kind)) + " ";
      out += e.kind == ExceptionKind::superseded
                 ? describe(e.agent, e.winner, base)
                 : std::to_string(static_cast<std::uint32_t>(e.agent));
    }
  } else if (const auto* superseded = std::get_if<Superseded>(&message)) {
    for (const auto& e : superseded->entries) out += " " + describe(e.agent, e.winner, base);
  } else if (const auto* challenge = std::get_if<Challenge>(&message)) {
    for (const auto& e : challenge->entries) {
      out += " " + std::to_string(static_cast<std::uint32_t>(e.agent)) + " session " +
             seconds(time_of(e.epoch), base) + " upto " + seconds(e.upto, base);
    }
  } else if (const auto* beat = std::get_if<HeartbeatAck>(&message)) {
    out += describe(beat->agreement);
  } else if (const auto* want = std::get_if<Want>(&message)) {
    out += describe(*want);
  } else if (const auto* come = std::get_if<InventoryAck>(&message)) {
    out += " " + std::to_string(come->entries);
  } else if (const auto* command = std::get_if<Command>(&message)) {
    out += describe(*command);
  } else if (const auto* result = std::get_if<Result>(&message)) {
    out += describe(*result);
  } else if (const auto* error = std::get_if<ErrorMessage>(&message)) {
    out += " " + std::string(to_string(error->code)) + (error->fatal ? " fatal" : "");
  }
  return out;
}

}  // namespace rollcall::scenario
