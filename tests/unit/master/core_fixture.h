#pragma once
// A master's core with its log, and workers that are played by the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "master/core/master_core.h"
#include "tests/scenario/describe.h"
#include "tests/unit/master/fixture.h"

namespace rollcall::master::test {

constexpr ConnId kW1{1}, kW2{2};

inline Hello hello(const NodeName& node, std::uint64_t stream, std::uint64_t first_seq = 1) {
  Hello h;
  h.cluster = "wazuh";
  h.node = node;
  h.machine = "machine of " + node;
  h.store = StoreId{stream};
  h.stream = StreamId{stream};
  h.first_seq = first_seq;
  h.t0 = 5;
  return h;
}

inline MasterCore::Config config() {
  MasterCore::Config c;
  c.boot = kBoot;
  c.ttl_us = 1000 * kSecond;  // nobody is silent for so long, except where the test is about it
  return c;
}

class Master {
 public:
  explicit Master(std::vector<std::string> log = {}, const std::string& lost = "", double s = 1,
                  const MasterCore::Config& c = config(), std::uint64_t seed = 1)
      : records(std::move(log)), core(c, fold(records), lost, seed, at(s)) {
    take(core.start(at(s)), s);
    messages.clear();
  }

  static State fold(const std::vector<std::string>& records) {
    State state;
    for (const std::string& bytes : records) {
      auto record = decode_log_record(bytes);
      EXPECT_TRUE(record);
      EXPECT_TRUE(record && state.apply(*record));
    }
    return state;
  }

  // What was said since the last call: "2 ACK 1" on connection 2, a line for each message.
  std::string said() {
    std::string out;
    for (const auto& m : messages)
      out += (out.empty() ? "" : "\n") + std::to_string(static_cast<std::uint64_t>(m.conn)) + " " +
             scenario::describe(m.message, master_time(0));
    messages.clear();
    return out;
  }
  std::string message(double s, ConnId conn, const Message& m) {
    take(core.tick(at(s)), s);  // as it ticks all the time: the time is reserved
    take(core.message(conn, m, at(s)), s);
    return said();
  }
  std::string connect(double s, ConnId conn, const Hello& h) {
    take(core.tick(at(s)), s);
    take(core.connected(conn, {h.node}, "10.0.0.1:5", at(s)), s);
    take(core.message(conn, h, at(s)), s);
    for (const auto& m : messages) {
      if (const auto* w = std::get_if<Welcome>(&m.message)) welcome = *w;
    }
    return said();
  }
  std::string delta(double s, ConnId conn, std::uint64_t seq, std::vector<Event> events) {
    Delta d;
    d.first_seq = seq;
    d.position = position += events.size();
    d.events = std::move(events);
    return message(s, conn, d);
  }
  std::string lose(double s, ConnId conn) {
    take(core.disconnected(conn, at(s)), s);
    return said();
  }
  std::string malformed(double s, ConnId conn, const Error& error) {
    take(core.malformed(conn, error, at(s)), s);
    return said();
  }
  // What an operator asked for; false if it was refused.
  bool act(double s, std::expected<Output, Error> out) {
    if (out) take(*std::move(out), s);
    return out.has_value();
  }
  std::string tick(double s) {
    take(core.tick(at(s)), s);
    return said();
  }
  // As it does all the time.
  void ticks(double from, double until) {
    for (double s = from; s < until; s += 1) take(core.tick(at(s)), s);
  }
  std::string store(double s) {
    while (appending) finish_append(s);
    return said();
  }
  std::string top(std::uint32_t agent) const {
    const AgentRecord* r = core.state().find(AgentId{agent});
    if (!r) return "unknown";
    return scenario::describe(r->top, master_time(0)) + " " + std::string(to_string(r->phase));
  }

  enum class Disk { fast, slow };
  Disk disk = Disk::fast;
  std::vector<std::string> records;
  MasterCore core;
  Welcome welcome;
  std::vector<Output::Send> messages;
  std::vector<Output::Close> closes;
  std::vector<Note> notes;
  std::optional<Output::Append> appending;
  std::uint64_t position = 0;

 private:
  void take(Output out, double s) {
    if (out.append) {
      EXPECT_FALSE(appending) << "one group at a time";
      appending = std::move(out.append);
    }
    for (auto& m : out.send) messages.push_back(std::move(m));
    for (auto& c : out.close) closes.push_back(std::move(c));
    for (auto& n : out.notes) notes.push_back(std::move(n));
    while (disk == Disk::fast && appending) finish_append(s);
  }
  void finish_append(double s) {
    for (std::string& r : appending->records) records.push_back(std::move(r));
    const std::uint64_t ticket = appending->ticket;
    appending.reset();
    take(core.stored(ticket, at(s)), s);
  }
};

}  // namespace rollcall::master::test
