#include "protocol/codec.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/compression.h"
#include "protocol/inventory.h"
#include "protocol/msgpack_bytes.h"
#include "protocol/plain_delta.h"
#include "protocol/unknown_fields.h"
#include "protocol/wire_numbers.h"

namespace rollcall {

namespace {

template <typename E>
constexpr auto number(E e) {
  return static_cast<std::uint64_t>(std::to_underlying(e));
}

// ---- Parts, decoding -------------------------------------------------------------------------

std::optional<std::uint32_t> as_u32(const wire::Value& value) {
  const auto v = value.as_u64();
  if (!v || *v > UINT32_MAX) return std::nullopt;
  return static_cast<std::uint32_t>(*v);
}

std::optional<Epoch> as_epoch(const wire::Value& value) {
  const auto v = value.as_u64();
  if (!v || *v > static_cast<std::uint64_t>(kMaxTimeUs)) return std::nullopt;
  return Epoch{*v};
}

std::optional<Epoch> as_stamped_epoch(const wire::Value& value) {
  const auto epoch = as_epoch(value);
  return epoch == kUnstamped ? std::nullopt : epoch;
}

std::optional<AgentId> as_agent(const wire::Value& value) {
  const auto v = as_u32(value);
  if (!v || *v == 0) return std::nullopt;
  return AgentId{*v};
}

std::optional<NodeName> as_node(const wire::Value& value) {
  const auto v = value.as_str();
  if (!v || !is_valid_node_name(*v)) return std::nullopt;
  return NodeName(*v);
}

bool in_time_range(std::int64_t us) {
  return us >= -kMaxTimeUs && us <= kMaxTimeUs;
}

// A moment that the wire gives relative to an epoch.
std::optional<MasterTime> as_moment(Epoch epoch, const wire::Value& value) {
  const auto relative = value.as_i64();
  std::int64_t us = 0;
  if (!relative || __builtin_add_overflow(time_of(epoch).us, *relative, &us) ||
      !in_time_range(us)) {
    return std::nullopt;
  }
  return MasterTime{us};
}

std::int64_t relative_to(Epoch epoch, MasterTime moment) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(moment.us) -
                                   static_cast<std::uint64_t>(epoch));
}

bool is_known_kind(std::uint64_t v) {
  return v >= number(EventKind::opened) && v <= number(EventKind::contact);
}

// An outcome that a later version added says no more than that it is not known here.
CommandOutcome outcome_of(std::uint64_t v) {
  return v <= number(CommandOutcome::uncertain) ? static_cast<CommandOutcome>(v)
                                                : CommandOutcome::uncertain;
}

// A reason is for people: one that a later version added is still an end of the session.
Reason reason_of(std::uint64_t v) {
  return v <= number(kLastReason) ? static_cast<Reason>(v) : Reason::unknown;
}

std::optional<Error> unpack_optional_fields(const wire::Value& fields, Event& event) {
  if (const wire::Value value = fields.get(kEventReason); !value.is_nil()) {
    const auto reason = value.as_u64();
    if (!reason) return Error{"reason is not a number"};
    event.reason = reason_of(*reason);
  }
  if (const wire::Value value = fields.get(kEventInfoHash); !value.is_nil()) {
    const auto hash = value.as_u64();
    if (!hash || *hash == 0) return Error{"info hash is not a number from 1 up"};
    event.info_hash = InfoHash{*hash};
  }
  if (const wire::Value value = fields.get(kEventInfo); !value.is_nil()) {
    auto info = unpack_info(value);
    if (!info) return info.error();
    event.info = std::make_shared<const AgentInfo>(std::move(*info));
    if (!event.info_hash) return Error{"info comes without its hash"};
  }
  if (const wire::Value value = fields.get(kEventFrom); !value.is_nil()) {
    const auto epoch = as_stamped_epoch(value.at(0));
    auto node = as_node(value.at(1));
    if (!epoch || !node) return Error{"from is not [epoch, node]"};
    event.from = SessionName{*epoch, std::move(*node)};
  }
  if (const wire::Value value = fields.get(kEventFolded); !value.is_nil()) {
    const auto folded = as_u32(value);
    if (!folded) return Error{"folded is not a 32-bit number"};
    event.folded = *folded;
  }
  if (const wire::Value value = fields.get(kEventGrace); !value.is_nil()) {
    const auto grace = value.as_i64();
    if (!grace || *grace < 0 || *grace > kLongestGraceUs)
      return Error{"grace is not a time of at most a day"};
    event.grace_us = *grace;
  }
  return std::nullopt;
}

std::optional<Error> unpack_event_into(const wire::Value& value, Event& event) {
  if (!value.is_array() || value.size() < 6) {
    return Error{"not [agent, epoch, change, kind, lo, hi]"};
  }
  const auto agent = as_agent(value.at(0));
  const auto epoch = as_epoch(value.at(1));
  const auto change = as_u32(value.at(2));
  const auto kind = value.at(3).as_u64();
  if (!agent) return Error{"agent is not a 32-bit number from 1 up"};
  if (!epoch) return Error{"epoch is not a number up to 2^60"};
  if (!change) return Error{"change is not a 32-bit number"};
  if (!kind || !is_known_kind(*kind)) return Error{"kind is unknown"};
  const auto lo = as_moment(*epoch, value.at(4));
  const auto hi = as_moment(*epoch, value.at(5));
  if (!lo) return Error{"lo is not a time, or out of range"};
  if (!hi) return Error{"hi is not a time, or out of range"};
  if (*lo > *hi) return Error{"lo is after hi"};
  event.agent = *agent;
  event.epoch = *epoch;
  event.change = *change;
  event.kind = static_cast<EventKind>(*kind);
  event.evidence = {*lo, *hi};
  const wire::Value fields = value.at(6);
  if (fields.is_nil()) return std::nullopt;
  if (!fields.is_map()) return Error{"the optional fields are not a map"};
  return unpack_optional_fields(fields, event);
}

constexpr std::size_t kDigestBytes = 16;

std::string bytes_of(const Digest& digest) {
  std::string bytes;
  for (const std::uint64_t half : {digest.high, digest.low}) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(half >> shift & 0xff);
  }
  return bytes;
}

// Of kDigestBytes bytes.
Digest read_digest(std::string_view bytes) {
  Digest digest;
  for (std::size_t i = 0; i < kDigestBytes; ++i) {
    std::uint64_t& half = i < 8 ? digest.high : digest.low;
    half = half << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return digest;
}

// The body map of one message. Keeps the first thing that is wrong and goes on with defaults, so
// that each decoder below reads like the table in docs/protocol.md.
class Body {
 public:
  Body(std::string_view message, const wire::Value& map) : message_(message), map_(map) {}

  void wrong(std::string_view field, std::string_view what) {
    if (!error_) error_ = Error{std::string(message_) + " " + std::string(field) + what.data()};
  }
  // Something about entry `index` of an array, as "DELTA event 3: lo is after hi".
  void wrong_entry(std::string_view entry, std::size_t index, const std::string& what) {
    if (error_) return;
    error_ = Error{std::string(message_) + " " + std::string(entry) + " " + std::to_string(index) +
                   ": " + what};
  }

  enum class Need : bool { optional, required };

  // Each reader leaves `out` as it is, the default, if the key is absent and not required.
  template <typename T>
  void unsigned_number(std::uint64_t key, std::string_view field, Need need, T& out,
                       std::uint64_t min = 0, std::uint64_t max = UINT64_MAX) {
    const wire::Value value = get(key, field, need);
    if (value.is_nil()) return;
    const auto v = value.as_u64();
    if (!v || *v < min || *v > max) {
      wrong(field, ": not a number, or out of range");
      return;
    }
    out = static_cast<T>(*v);
  }
  void time(std::uint64_t key, std::string_view field, Need need, std::int64_t& out,
            std::int64_t min = 0) {
    const wire::Value value = get(key, field, need);
    if (value.is_nil()) return;
    const auto v = value.as_i64();
    if (!v || *v < min || *v > kMaxTimeUs) {
      wrong(field, ": not a time, or out of range");
      return;
    }
    out = *v;
  }
  void boolean(std::uint64_t key, std::string_view field, Need need, bool& out) {
    const wire::Value value = get(key, field, need);
    if (value.is_nil()) return;
    const auto v = value.as_bool();
    if (!v) {
      wrong(field, ": not a boolean");
      return;
    }
    out = *v;
  }
  void text(std::uint64_t key, std::string_view field, Need need, std::string& out) {
    const wire::Value value = get(key, field, need);
    if (value.is_nil()) return;
    const auto v = value.as_str();
    if (!v || v->size() > kMaxText) {
      wrong(field, ": not a string, or too long");
      return;
    }
    out = *v;
  }
  void node(std::uint64_t key, std::string_view field, NodeName& out) {
    const wire::Value value = get(key, field, Need::required);
    if (value.is_nil()) return;
    auto v = as_node(value);
    if (!v) {
      wrong(field, ": not a valid node name");
      return;
    }
    out = std::move(*v);
  }
  void command_id(std::uint64_t key, CommandId& out) {
    text(key, "id", Need::required, out);
    if (!is_valid_command_id(out)) wrong("id", ": not a valid command id");
  }
  void features(std::uint64_t key, std::vector<std::string>& out) {
    const wire::Value list = array(key, "features", Need::optional, kMaxFeatures);
    for (std::size_t i = 0; i < list.size() && !error_; ++i) {
      const auto v = list.at(i).as_str();
      if (!v || v->size() > kMaxText) return wrong("features", ": not strings, or too long");
      out.emplace_back(*v);
    }
  }
  void digest(std::uint64_t key, std::string_view field, Need need, std::optional<Digest>& out) {
    const wire::Value value = get(key, field, need);
    if (value.is_nil()) return;
    const auto v = value.as_bin();
    if (!v || v->size() != kDigestBytes) {
      wrong(field, ": not 16 bytes");
      return;
    }
    out = read_digest(*v);
  }
  void agreement(std::uint64_t key, Agreement& out) {
    unsigned_number(key, "agreement", Need::optional, out, 0, number(Agreement::differs));
  }
  void tree_nodes(std::uint64_t key, std::string_view field, std::size_t max,
                  std::vector<TreeNode>& out) {
    const wire::Value list = array(key, field, Need::optional, max);
    for (std::size_t i = 0; i < list.size() && !error_; ++i) {
      const auto v = list.at(i).as_u64();
      if (!v || !is_tree_node(*v)) return wrong(field, ": not nodes of the tree");
      out.push_back(TreeNode{static_cast<std::uint32_t>(*v)});
    }
  }
  void leaves(std::uint64_t key, std::vector<TreeNode>& out) {
    tree_nodes(key, "leaves", kMaxLeaves, out);
    if (!std::ranges::all_of(out, is_leaf)) wrong("leaves", ": not leaves of the tree");
    if (!std::ranges::is_sorted(out, std::less_equal<>{})) wrong("leaves", ": not in order");
  }
  wire::Value array(std::uint64_t key, std::string_view field, Need need, std::size_t max) {
    const wire::Value value = get(key, field, need);
    if (value.is_nil()) return value;
    if (!value.is_array() || value.size() > max) wrong(field, ": not an array, or too long");
    return value;
  }

  bool ok() const { return !error_; }
  template <typename M>
  std::expected<Message, Error> finish(M&& message) {
    if (error_) return std::unexpected(std::move(*error_));
    return Message(std::forward<M>(message));
  }

 private:
  wire::Value get(std::uint64_t key, std::string_view field, Need need) {
    const wire::Value value = map_.get(key);
    if (need == Need::required && value.is_nil()) wrong(field, " is missing");
    return value;
  }

  std::string_view message_;
  wire::Value map_;
  std::optional<Error> error_;
};

constexpr auto kRequired = Body::Need::required;
constexpr auto kOptional = Body::Need::optional;

// ---- Messages: each pack beside its unpack ---------------------------------------------------

// Absent if there is none, as in programs of before there were any.
void pack_features(wire::Packer& p, std::uint64_t key, const std::vector<std::string>& features) {
  if (features.empty()) return;
  p.u64(key).array(static_cast<std::uint32_t>(features.size()));
  for (const std::string& name : features) p.str(name);
}

void pack_body(wire::Packer& p, const Hello& m) {
  p.array(2).u64(kHello).map(16 + !m.features.empty() + m.digest.has_value());
  p.u64(1).u64(m.protocol_min);
  p.u64(2).u64(m.protocol_max);
  p.u64(3).str(m.cluster);
  p.u64(4).str(m.node);
  p.u64(5).str(m.machine);
  p.u64(6).u64(number(m.store));
  p.u64(7).u64(number(m.stream));
  p.u64(8).u64(m.first_seq);
  p.u64(9).u64(number(m.highest_epoch));
  p.u64(10).u64(m.start_position);
  p.u64(11).u64(m.acked_position);
  p.u64(12).u64(number(m.last_master));
  p.u64(13).u64(number(m.last_term));
  p.u64(14).u64(m.open_sessions);
  p.u64(15).str(m.software);
  p.u64(16).i64(m.t0);
  pack_features(p, 17, m.features);
  if (m.digest) p.u64(18).bin(bytes_of(*m.digest));
}

std::expected<Message, Error> unpack_hello(const wire::Value& map) {
  Body b("HELLO", map);
  Hello m;
  b.unsigned_number(1, "protocol_min", kRequired, m.protocol_min, 1, UINT32_MAX);
  b.unsigned_number(2, "protocol_max", kRequired, m.protocol_max, 1, UINT32_MAX);
  if (m.protocol_min > m.protocol_max) b.wrong("protocol_min", " is after protocol_max");
  b.text(3, "cluster", kRequired, m.cluster);
  b.node(4, "node", m.node);
  b.text(5, "machine", kRequired, m.machine);
  b.unsigned_number(6, "store", kRequired, m.store, 1);
  b.unsigned_number(7, "stream", kRequired, m.stream, 1);
  b.unsigned_number(8, "first_seq", kOptional, m.first_seq, 1);
  b.unsigned_number(9, "highest_epoch", kOptional, m.highest_epoch, 0, kMaxTimeUs);
  b.unsigned_number(10, "start_position", kOptional, m.start_position);
  b.unsigned_number(11, "acked_position", kOptional, m.acked_position);
  b.unsigned_number(12, "last_master", kOptional, m.last_master);
  b.unsigned_number(13, "last_term", kOptional, m.last_term);
  b.unsigned_number(14, "open_sessions", kOptional, m.open_sessions);
  b.text(15, "software", kOptional, m.software);
  b.time(16, "t0", kRequired, m.t0);
  b.features(17, m.features);
  b.digest(18, "digest", kOptional, m.digest);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Welcome& m) {
  p.array(2).u64(kWelcome).map(16 + !m.features.empty());
  p.u64(1).u64(m.protocol);
  p.u64(2).u64(number(m.master));
  p.u64(3).u64(number(m.term));
  p.u64(4).u64(m.last_seq);
  p.u64(5).boolean(m.store_is_older);
  p.u64(6).i64(m.heartbeat_us);
  p.u64(7).i64(m.ttl_us);
  p.u64(8).u64(m.max_frame);
  p.u64(9).u64(m.window);
  p.u64(10).i64(m.t0);
  p.u64(11).i64(m.t1);
  p.u64(12).i64(m.t2);
  p.u64(13).i64(m.time_began.us);
  pack_features(p, 14, m.features);
  p.u64(15).u64(number(m.agreement));
  p.u64(16).i64(m.inventory_us);
  p.u64(17).i64(m.inventory_differs_us);
}

std::expected<Message, Error> unpack_welcome(const wire::Value& map) {
  Body b("WELCOME", map);
  Welcome m;
  b.unsigned_number(1, "protocol", kRequired, m.protocol, 1, UINT32_MAX);
  b.unsigned_number(2, "master", kRequired, m.master, 1);
  b.unsigned_number(3, "term", kRequired, m.term, 1);
  b.unsigned_number(4, "last_seq", kOptional, m.last_seq);
  b.boolean(5, "store_is_older", kOptional, m.store_is_older);
  b.time(6, "heartbeat_us", kOptional, m.heartbeat_us, 1);
  b.time(7, "ttl_us", kOptional, m.ttl_us, 1);
  b.unsigned_number(8, "max_frame", kOptional, m.max_frame, 1, UINT32_MAX);
  b.unsigned_number(9, "window", kOptional, m.window, 1);
  b.time(10, "t0", kRequired, m.t0);
  b.time(11, "t1", kRequired, m.t1);
  b.time(12, "t2", kRequired, m.t2);
  b.time(13, "time_began", kOptional, m.time_began.us);
  b.features(14, m.features);
  b.agreement(15, m.agreement);
  b.time(16, "inventory_us", kOptional, m.inventory_us, 1);
  b.time(17, "inventory_differs_us", kOptional, m.inventory_differs_us, 1);
  if (m.t1 > m.t2) b.wrong("t1", " is after t2");
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Delta& m) {
  p.array(2).u64(kDelta).map(3);
  p.u64(1).u64(m.first_seq);
  p.u64(2).u64(m.position);
  p.u64(3).array(static_cast<std::uint32_t>(m.events.size()));
  for (const Event& event : m.events) pack_event(p, event);
}

std::expected<Message, Error> unpack_delta(const wire::Value& map) {
  Body b("DELTA", map);
  Delta m;
  b.unsigned_number(1, "first_seq", kRequired, m.first_seq, 1);
  b.unsigned_number(2, "position", kOptional, m.position);
  const wire::Value events = b.array(3, "events", kRequired, kMaxEventsPerDelta);
  if (events.size() > UINT64_MAX - m.first_seq) b.wrong("first_seq", ": too near the end of 2^64");
  if (b.ok()) m.events.reserve(events.size());
  for (std::size_t i = 0; i < events.size() && b.ok(); ++i) {
    // In place: at millions of events a second their moves would show.
    Event& event = m.events.emplace_back();
    if (const auto error = unpack_event_into(events.at(i), event)) {
      b.wrong_entry("event", i, error->message);
    } else if (event.epoch == kUnstamped && event.kind != EventKind::contact) {
      // A contact may come from a worker that never had a session of this agent.
      b.wrong_entry("event", i, "epoch is 0");
    }
  }
  return b.finish(std::move(m));
}

void pack_winner(wire::Packer& p, const Winner& winner) {
  pack_version(p, winner.version);
  p.boolean(winner.open);
}

std::expected<Winner, Error> unpack_winner(const wire::Value& version, const wire::Value& open) {
  auto v = unpack_version(version);
  if (!v) return std::unexpected(std::move(v.error()));
  if (*v == Version{}) return fail("winner is missing");
  const auto is_open = open.as_bool();
  if (!is_open) return fail("winner's open is not a boolean");
  return Winner{std::move(*v), *is_open};
}

void pack_body(wire::Packer& p, const Ack& m) {
  p.array(2).u64(kAck).map(2);
  p.u64(1).u64(m.through);
  p.u64(2).array(static_cast<std::uint32_t>(m.exceptions.size()));
  for (const AckException& e : m.exceptions) {
    const bool has_winner = e.kind == ExceptionKind::superseded;
    p.array(has_winner ? 5 : 3).u64(e.seq).u64(number(e.agent)).u64(number(e.kind));
    if (has_winner) pack_winner(p, e.winner);
  }
}

std::expected<AckException, Error> unpack_exception(const wire::Value& value) {
  AckException e;
  const auto seq = value.at(0).as_u64();
  const auto agent = as_agent(value.at(1));
  const auto kind = value.at(2).as_u64();
  if (!seq || *seq == 0) return fail("seq is not a number from 1 up");
  if (!agent) return fail("agent is not a 32-bit number from 1 up");
  if (!kind || *kind < number(ExceptionKind::superseded) ||
      *kind > number(ExceptionKind::future_epoch)) {
    return fail("kind is unknown");
  }
  e.seq = *seq;
  e.agent = *agent;
  e.kind = static_cast<ExceptionKind>(*kind);
  if (e.kind == ExceptionKind::superseded) {
    auto winner = unpack_winner(value.at(3), value.at(4));
    if (!winner) return std::unexpected(std::move(winner.error()));
    e.winner = std::move(*winner);
  }
  return e;
}

std::expected<Message, Error> unpack_ack(const wire::Value& map) {
  Body b("ACK", map);
  Ack m;
  b.unsigned_number(1, "through", kRequired, m.through);
  const wire::Value exceptions = b.array(2, "exceptions", kOptional, kMaxEntries);
  for (std::size_t i = 0; i < exceptions.size() && b.ok(); ++i) {
    if (auto exception = unpack_exception(exceptions.at(i))) {
      m.exceptions.push_back(std::move(*exception));
    } else {
      b.wrong_entry("exception", i, exception.error().message);
    }
  }
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Superseded& m) {
  p.array(2).u64(kSuperseded).map(1);
  p.u64(1).array(static_cast<std::uint32_t>(m.entries.size()));
  for (const Superseded::Entry& e : m.entries) {
    p.array(3).u64(number(e.agent));
    pack_winner(p, e.winner);
  }
}

std::expected<Message, Error> unpack_superseded(const wire::Value& map) {
  Body b("SUPERSEDED", map);
  Superseded m;
  const wire::Value entries = b.array(1, "entries", kRequired, kMaxEntries);
  for (std::size_t i = 0; i < entries.size() && b.ok(); ++i) {
    const wire::Value entry = entries.at(i);
    const auto agent = as_agent(entry.at(0));
    auto winner = unpack_winner(entry.at(1), entry.at(2));
    if (!agent) {
      b.wrong_entry("entry", i, "agent is not a 32-bit number from 1 up");
    } else if (!winner) {
      b.wrong_entry("entry", i, winner.error().message);
    } else {
      m.entries.push_back({*agent, std::move(*winner)});
    }
  }
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Challenge& m) {
  p.array(2).u64(kChallenge).map(1);
  p.u64(1).array(static_cast<std::uint32_t>(m.entries.size()));
  for (const Challenge::Entry& e : m.entries) {
    p.array(3).u64(number(e.agent)).u64(number(e.epoch)).i64(relative_to(e.epoch, e.upto));
  }
}

std::expected<Message, Error> unpack_challenge(const wire::Value& map) {
  Body b("CHALLENGE", map);
  Challenge m;
  const wire::Value entries = b.array(1, "entries", kRequired, kMaxEntries);
  for (std::size_t i = 0; i < entries.size() && b.ok(); ++i) {
    const wire::Value entry = entries.at(i);
    const auto agent = as_agent(entry.at(0));
    const auto epoch = as_stamped_epoch(entry.at(1));
    const auto upto = as_moment(epoch.value_or(kUnstamped), entry.at(2));
    if (!agent) {
      b.wrong_entry("entry", i, "agent is not a 32-bit number from 1 up");
    } else if (!epoch) {
      b.wrong_entry("entry", i, "epoch is not a number from 1 to 2^60");
    } else if (!upto) {
      b.wrong_entry("entry", i, "upto is not a time, or out of range");
    } else {
      m.entries.push_back({*agent, *epoch, *upto});
    }
  }
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Heartbeat& m) {
  p.array(2).u64(kHeartbeat).map(3 + m.digest.has_value() + m.blind);
  p.u64(1).u64(m.seq);
  p.u64(2).u64(m.open_sessions);
  p.u64(3).i64(m.t0);
  if (m.digest) p.u64(4).bin(bytes_of(*m.digest));
  if (m.blind) p.u64(5).boolean(true);
}

std::expected<Message, Error> unpack_heartbeat(const wire::Value& map) {
  Body b("HEARTBEAT", map);
  Heartbeat m;
  b.unsigned_number(1, "seq", kRequired, m.seq);
  b.unsigned_number(2, "open_sessions", kOptional, m.open_sessions);
  b.time(3, "t0", kRequired, m.t0);
  b.digest(4, "digest", kOptional, m.digest);
  b.boolean(5, "blind", kOptional, m.blind);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Bye& m) {
  p.array(2).u64(kBye).map(2);
  p.u64(1).u64(number(m.reason));
  p.u64(2).i64(m.back_within_us);
}

std::expected<Message, Error> unpack_bye(const wire::Value& map) {
  Body b("BYE", map);
  Bye m;
  std::uint64_t reason = 0;
  b.unsigned_number(1, "reason", kRequired, reason, 1);
  // For people: one that a later version added is a stop all the same.
  if (reason <= number(kLastByeReason)) m.reason = static_cast<ByeReason>(reason);
  b.time(2, "back_within_us", kOptional, m.back_within_us);
  return b.finish(m);
}

void pack_body(wire::Packer& p, const HeartbeatAck& m) {
  p.array(2).u64(kHeartbeatAck).map(5 + (m.heartbeat_us != 0));
  p.u64(1).i64(m.t0);
  p.u64(2).i64(m.t1);
  p.u64(3).i64(m.t2);
  p.u64(4).u64(number(m.agreement));
  p.u64(5).i64(m.lease_us);
  if (m.heartbeat_us != 0) p.u64(6).i64(m.heartbeat_us);
}

std::expected<Message, Error> unpack_heartbeat_ack(const wire::Value& map) {
  Body b("HEARTBEAT_ACK", map);
  HeartbeatAck m;
  b.time(1, "t0", kRequired, m.t0);
  b.time(2, "t1", kRequired, m.t1);
  b.time(3, "t2", kRequired, m.t2);
  if (m.t1 > m.t2) b.wrong("t1", " is after t2");
  b.agreement(4, m.agreement);
  b.time(5, "lease_us", kOptional, m.lease_us);
  b.time(6, "heartbeat_us", kOptional, m.heartbeat_us);
  return b.finish(std::move(m));
}

void pack_tree_nodes(wire::Packer& p, std::uint64_t key, const std::vector<TreeNode>& nodes) {
  if (nodes.empty()) return;
  p.u64(key).array(static_cast<std::uint32_t>(nodes.size()));
  for (const TreeNode node : nodes) p.u64(number(node));
}

void pack_body(wire::Packer& p, const Want& m) {
  p.array(2).u64(kWant).map(!m.digests_of.empty() + m.inventory + !m.leaves.empty() +
                            !m.infos.empty() + (m.retry_after_us != 0));
  pack_tree_nodes(p, 1, m.digests_of);
  if (m.inventory) p.u64(2).boolean(true);
  pack_tree_nodes(p, 3, m.leaves);
  if (!m.infos.empty()) {
    p.u64(4).array(static_cast<std::uint32_t>(m.infos.size()));
    for (const AgentId agent : m.infos) p.u64(number(agent));
  }
  if (m.retry_after_us != 0) p.u64(5).i64(m.retry_after_us);
}

std::expected<Message, Error> unpack_want(const wire::Value& map) {
  Body b("WANT", map);
  Want m;
  b.tree_nodes(1, "digests_of", kMaxTreeNodes, m.digests_of);
  if (std::ranges::any_of(m.digests_of, is_leaf)) b.wrong("digests_of", ": a leaf has no children");
  b.boolean(2, "inventory", kOptional, m.inventory);
  b.leaves(3, m.leaves);
  const wire::Value infos = b.array(4, "infos", kOptional, kMaxEntries);
  for (std::size_t i = 0; i < infos.size() && b.ok(); ++i) {
    if (const auto agent = as_agent(infos.at(i))) {
      m.infos.push_back(*agent);
    } else {
      b.wrong_entry("info", i, "agent is not a 32-bit number from 1 up");
    }
  }
  b.time(5, "retry_after_us", kOptional, m.retry_after_us);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Command& m) {
  p.array(2).u64(kCommand).map(4);
  p.u64(1).str(m.id);
  p.u64(2).u64(number(m.kind));
  p.u64(3).array(static_cast<std::uint32_t>(m.entries.size()));
  for (const Command::Entry& e : m.entries) p.array(2).u64(number(e.agent)).str(e.version);
  p.u64(4).i64(m.left_us);
}

std::expected<Message, Error> unpack_command(const wire::Value& map) {
  Body b("COMMAND", map);
  Command m;
  b.command_id(1, m.id);
  b.unsigned_number(2, "kind", kRequired, m.kind, number(CommandKind::restart),
                    number(CommandKind::restart));
  const wire::Value entries = b.array(3, "agents", kRequired, kMaxCommandAgents);
  for (std::size_t i = 0; i < entries.size() && b.ok(); ++i) {
    const auto agent = as_agent(entries.at(i).at(0));
    const auto version = entries.at(i).at(1).as_str();
    if (!agent || !version || version->size() > kMaxAgentVersion) {
      b.wrong_entry("agent", i, "not [agent, version], or too long");
    } else {
      m.entries.push_back({*agent, std::string(*version)});
    }
  }
  b.time(4, "left_us", kRequired, m.left_us);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const Result& m) {
  p.array(2).u64(kResult).map(2 + !m.why.empty());
  p.u64(1).str(m.id);
  p.u64(2).array(static_cast<std::uint32_t>(m.entries.size()));
  for (const Result::Entry& e : m.entries) p.array(2).u64(number(e.agent)).u64(number(e.outcome));
  if (!m.why.empty()) p.u64(3).str(std::string_view(m.why).substr(0, kMaxText));
}

std::expected<Message, Error> unpack_result(const wire::Value& map) {
  Body b("RESULT", map);
  Result m;
  b.command_id(1, m.id);
  const wire::Value entries = b.array(2, "outcomes", kRequired, kMaxCommandAgents);
  for (std::size_t i = 0; i < entries.size() && b.ok(); ++i) {
    const auto agent = as_agent(entries.at(i).at(0));
    const auto outcome = entries.at(i).at(1).as_u64();
    if (!agent || !outcome || *outcome == 0) {
      b.wrong_entry("outcome", i, "not [agent, outcome]");
    } else {
      m.entries.push_back({*agent, outcome_of(*outcome)});
    }
  }
  b.text(3, "why", kOptional, m.why);
  return b.finish(std::move(m));
}

// A node is [number, which of its children have a digest, these digests]: the others are of empty
// sets.
void pack_body(wire::Packer& p, const Digests& m) {
  p.array(2).u64(kDigests).map(2);
  p.u64(1).u64(m.seq);
  p.u64(2).array(static_cast<std::uint32_t>(m.entries.size()));
  for (const Digests::Entry& e : m.entries) {
    std::uint64_t which = 0;
    std::string digests;
    for (unsigned i = 0; i < kTreeFanout; ++i) {
      if (e.children[i] == Digest{}) continue;
      which |= 1u << i;
      digests += bytes_of(e.children[i]);
    }
    p.array(3).u64(number(e.node)).u64(which).bin(digests);
  }
}

std::optional<Error> unpack_children(const wire::Value& value, Digests::Entry& entry) {
  const auto node = value.at(0).as_u64();
  const auto which = value.at(1).as_u64();
  const auto digests = value.at(2).as_bin();
  if (!node || !is_tree_node(*node)) return Error{"not a node of the tree"};
  entry.node = TreeNode{static_cast<std::uint32_t>(*node)};
  if (is_leaf(entry.node)) return Error{"a leaf has no children"};
  if (!which || *which >= 1u << kTreeFanout) return Error{"which children is not a 16-bit number"};
  if (!digests ||
      digests->size() != kDigestBytes * static_cast<std::size_t>(std::popcount(*which))) {
    return Error{"not as many digests as it says"};
  }
  std::size_t at = 0;
  for (unsigned i = 0; i < kTreeFanout; ++i) {
    if ((*which >> i & 1) == 0) continue;
    entry.children[i] = read_digest(digests->substr(at, kDigestBytes));
    at += kDigestBytes;
  }
  return std::nullopt;
}

std::expected<Message, Error> unpack_digests(const wire::Value& map) {
  Body b("DIGESTS", map);
  Digests m;
  b.unsigned_number(1, "seq", kRequired, m.seq);
  const wire::Value entries = b.array(2, "nodes", kRequired, kMaxTreeNodes);
  for (std::size_t i = 0; i < entries.size() && b.ok(); ++i) {
    if (const auto error = unpack_children(entries.at(i), m.entries.emplace_back()))
      b.wrong_entry("node", i, error->message);
  }
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const InventoryBegin& m) {
  p.array(2).u64(kInventoryBegin).map(3 + !m.leaves.empty());
  p.u64(1).u64(m.id);
  p.u64(2).u64(m.seq);
  p.u64(3).i64(m.ttl_us);
  pack_tree_nodes(p, 4, m.leaves);
}

std::expected<Message, Error> unpack_inventory_begin(const wire::Value& map) {
  Body b("INVENTORY_BEGIN", map);
  InventoryBegin m;
  b.unsigned_number(1, "id", kRequired, m.id, 1);
  b.unsigned_number(2, "seq", kRequired, m.seq);
  b.time(3, "ttl_us", kOptional, m.ttl_us);
  b.leaves(4, m.leaves);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const InventoryChunk& m) {
  p.array(2).u64(kInventoryChunk).map(3);
  p.u64(1).u64(m.id);
  p.u64(2).u64(m.entries.size());
  p.u64(3).bin(pack_entries(m.entries));
}

std::expected<Message, Error> unpack_inventory_chunk(const wire::Value& map) {
  Body b("INVENTORY_CHUNK", map);
  InventoryChunk m;
  std::size_t count = 0;
  b.unsigned_number(1, "id", kRequired, m.id, 1);
  b.unsigned_number(2, "count", kRequired, count, 0, kMaxChunk);
  const auto packed = map.get(3).as_bin();
  if (!packed) b.wrong("entries", ": not bytes, or missing");
  if (!b.ok()) return b.finish(std::move(m));
  auto entries = unpack_entries(*packed, count);
  if (!entries) return fail("INVENTORY_CHUNK " + entries.error().message);
  m.entries = std::move(*entries);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const InventoryEnd& m) {
  p.array(2).u64(kInventoryEnd).map(3);
  p.u64(1).u64(m.id);
  p.u64(2).u64(m.count);
  p.u64(3).bin(bytes_of(m.digest));
}

std::expected<Message, Error> unpack_inventory_end(const wire::Value& map) {
  Body b("INVENTORY_END", map);
  InventoryEnd m;
  std::optional<Digest> digest;
  b.unsigned_number(1, "id", kRequired, m.id, 1);
  b.unsigned_number(2, "count", kRequired, m.count);
  b.digest(3, "digest", kRequired, digest);
  m.digest = digest.value_or(Digest{});
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const InventoryAck& m) {
  p.array(2).u64(kInventoryAck).map(2);
  p.u64(1).u64(m.id);
  p.u64(2).u64(m.entries);
}

std::expected<Message, Error> unpack_inventory_ack(const wire::Value& map) {
  Body b("INVENTORY_ACK", map);
  InventoryAck m;
  b.unsigned_number(1, "id", kRequired, m.id, 1);
  b.unsigned_number(2, "entries", kOptional, m.entries);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const ErrorMessage& m) {
  p.array(2).u64(kError).map(4);
  p.u64(1).u64(number(m.code));
  p.u64(2).str(std::string_view(m.text).substr(0, kMaxText));
  p.u64(3).boolean(m.fatal);
  p.u64(4).i64(m.retry_after_us);
}

// A code that this version does not know keeps its number: the text still says what is wrong.
std::expected<Message, Error> unpack_error(const wire::Value& map) {
  Body b("ERROR", map);
  ErrorMessage m;
  b.unsigned_number(1, "code", kRequired, m.code, 1, UINT16_MAX);
  b.text(2, "text", kOptional, m.text);
  b.boolean(3, "fatal", kOptional, m.fatal);
  b.time(4, "retry_after_us", kOptional, m.retry_after_us);
  return b.finish(std::move(m));
}

void pack_body(wire::Packer& p, const UnknownMessage& m) {
  p.array(2).u64(m.type).map(0);
}

}  // namespace

// ---- Frames ----------------------------------------------------------------------------------

namespace {

bool carries_info(const Message& message) {
  const auto* delta = std::get_if<Delta>(&message);
  return delta &&
         std::ranges::any_of(delta->events, [](const Event& e) { return e.info != nullptr; });
}

// Puts a COMPRESSED in the place of the payload that begins at `start`, if it is smaller.
void compress_payload(std::string& out, std::size_t start) {
  const std::size_t size = out.size() - start;
  const std::string packed = compress(std::string_view(out).substr(start));
  if (packed.empty() || packed.size() + kCompressedOverhead >= size) return;
  out.resize(start);
  wire::Packer(out).array(2).u64(kCompressed).map(2).u64(1).u64(size).u64(2).bin(packed);
}

}  // namespace

void encode_frame(const Message& message, std::string& out, Compression compression) {
  const std::size_t start = out.size();
  out.append(kFrameHeader, '\0');
  wire::Packer packer(out);
  std::visit([&](const auto& m) { pack_body(packer, m); }, message);
  const std::size_t plain = out.size() - start - kFrameHeader;
  if (plain > kMaxFrame) {
    std::fprintf(stderr, "rollcall: a %s of %zu bytes is over the frame limit of %zu\n",
                 name_of(message).data(), plain, kMaxFrame);
    std::abort();
  }
  // What has no info is numbers that differ, and small.
  if (compression == Compression::zstd && carries_info(message))
    compress_payload(out, start + kFrameHeader);
  const std::size_t length = out.size() - start - kFrameHeader;
  for (std::size_t i = 0; i < kFrameHeader; ++i) {
    out[start + i] = static_cast<char>(length >> 8 * (kFrameHeader - 1 - i) & 0xff);
  }
}

namespace {

// The size is judged before anything is unpacked, and only a DELTA may be inside.
std::expected<Message, Error> unpack_compressed(const wire::Value& map) {
  Body b("COMPRESSED", map);
  std::uint64_t size = 0;
  b.unsigned_number(1, "size", kRequired, size, 1, kMaxFrame);
  const auto packed = map.get(2).as_bin();
  if (!packed) b.wrong("packed", ": not bytes, or missing");
  if (!b.ok()) return b.finish(UnknownMessage{});
  const auto plain = decompress(*packed, size);
  if (!plain) return fail("COMPRESSED packed: " + plain.error().message);
  if (auto delta = read_plain_delta(*plain)) return std::move(*delta);
  const auto document = wire::Document::parse(*plain);
  if (!document) return fail("COMPRESSED packed: " + document.error().message);
  if (document->root().at(0).as_u64() != kDelta) return fail("COMPRESSED packed: not a DELTA");
  return unpack_delta(document->root().at(1));
}

}  // namespace

std::expected<Message, Error> decode(std::string_view payload) {
  if (auto delta = read_plain_delta(payload)) return std::move(*delta);
  return decode_by_values(payload);
}

// At most about 36 MiB for a frame of 1 MiB (measured): the tree of wire.cc and a DELTA of nothing
// but the smallest info fields.
std::expected<Message, Error> decode_by_values(std::string_view payload) {
  const auto document = wire::Document::parse(payload);
  if (!document) return fail("message: " + document.error().message);
  const wire::Value root = document->root();
  const auto type = as_u32(root.at(0));
  const wire::Value body = root.at(1);
  if (!type) return fail("message: not [type, body]");
  if (!body.is_map()) {
    return fail("message of type " + std::to_string(*type) + ": its body is not a map");
  }
  switch (*type) {
    case kHello:
      return unpack_hello(body);
    case kWelcome:
      return unpack_welcome(body);
    case kDelta:
      return unpack_delta(body);
    case kAck:
      return unpack_ack(body);
    case kSuperseded:
      return unpack_superseded(body);
    case kChallenge:
      return unpack_challenge(body);
    case kHeartbeat:
      return unpack_heartbeat(body);
    case kHeartbeatAck:
      return unpack_heartbeat_ack(body);
    case kError:
      return unpack_error(body);
    case kWant:
      return unpack_want(body);
    case kCommand:
      return unpack_command(body);
    case kResult:
      return unpack_result(body);
    case kDigests:
      return unpack_digests(body);
    case kInventoryBegin:
      return unpack_inventory_begin(body);
    case kInventoryChunk:
      return unpack_inventory_chunk(body);
    case kInventoryEnd:
      return unpack_inventory_end(body);
    case kInventoryAck:
      return unpack_inventory_ack(body);
    case kCompressed:
      return unpack_compressed(body);
    case kBye:
      return unpack_bye(body);
    default:
      return UnknownMessage{*type};
  }
}

// ---- Parts that stores and logs share --------------------------------------------------------

void pack_event(wire::Packer& packer, const Event& event) {
  const std::uint32_t fields = (event.reason != Reason::none) + event.info_hash.has_value() +
                               (event.info != nullptr) + event.from.has_value() +
                               (event.folded != 0) + (event.grace_us != 0);
  // In one piece: at millions of events a second each append would show.
  char head[10 * msgpack_bytes::kLongest];
  char* p = msgpack_bytes::put_array(head, fields == 0 ? 6 : 7);
  p = msgpack_bytes::put_u64(p, number(event.agent));
  p = msgpack_bytes::put_u64(p, number(event.epoch));
  p = msgpack_bytes::put_u64(p, event.change);
  p = msgpack_bytes::put_u64(p, number(event.kind));
  p = msgpack_bytes::put_i64(p, relative_to(event.epoch, event.evidence.lo));
  p = msgpack_bytes::put_i64(p, relative_to(event.epoch, event.evidence.hi));
  if (fields != 0) p = msgpack_bytes::put_map(p, fields);
  if (event.reason != Reason::none) {
    p = msgpack_bytes::put_u64(msgpack_bytes::put_u64(p, kEventReason), number(event.reason));
  }
  packer.raw({head, static_cast<std::size_t>(p - head)});
  if (event.info_hash) packer.u64(kEventInfoHash).u64(number(*event.info_hash));
  if (event.info) {
    packer.u64(kEventInfo);
    pack_info(packer, *event.info);
  }
  if (event.from) {
    packer.u64(kEventFrom).array(2).u64(number(event.from->epoch)).str(event.from->node);
  }
  if (event.folded != 0) packer.u64(kEventFolded).u64(event.folded);
  if (event.grace_us != 0) packer.u64(kEventGrace).i64(event.grace_us);
}

std::expected<Event, Error> unpack_event(const wire::Value& value) {
  Event event;
  if (auto error = unpack_event_into(value, event)) return std::unexpected(std::move(*error));
  return event;
}

std::size_t packed_size_bound(const Event& event) {
  // Numbers at their longest: head, agent, epoch, change, kind, lo, hi; reason, hash, folded,
  // grace.
  std::size_t bound = 1 + 5 + 9 + 5 + 1 + 9 + 9 + 1 + 2 + 10 + 6 + 10;
  if (event.from) bound += 1 + 1 + 9 + 2 + event.from->node.size();
  if (event.info) {
    // Its own form has 4 bytes for each length, msgpack at most 5.
    bound += 1 + 5 + event.info->bytes().size() + 2 * event.info->size();
  }
  return bound;
}

void pack_version(wire::Packer& packer, const Version& version) {
  packer.array(3).u64(number(version.epoch)).str(version.node).u64(version.change);
}

std::expected<Version, Error> unpack_version(const wire::Value& value) {
  if (!value.is_array() || value.size() < 3) return fail("version is not [epoch, node, change]");
  if (value.at(0).as_u64() == 0 && value.at(1).as_str() == "" && value.at(2).as_u64() == 0) {
    return Version{};
  }
  const auto epoch = as_stamped_epoch(value.at(0));
  auto node = as_node(value.at(1));
  const auto change = as_u32(value.at(2));
  if (!epoch) return fail("version's epoch is not a number from 1 to 2^60");
  if (!node) return fail("version's node is not a valid node name");
  if (!change) return fail("version's change is not a 32-bit number");
  return Version{*epoch, std::move(*node), *change};
}

void pack_info(wire::Packer& packer, const AgentInfo& info) {
  packer.map(static_cast<std::uint32_t>(info.size()));
  for (const auto& [name, text] : info) packer.str(name).str(text);
}

std::expected<AgentInfo, Error> unpack_info(const wire::Value& value) {
  if (!value.is_map()) return fail("info is not a map");
  if (value.size() > kMaxInfoFields) return fail("info has too many fields");
  std::vector<AgentInfo::Field> fields;
  fields.reserve(value.size());
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto name = value.key_at(i).as_str();
    const auto text = value.value_at(i).as_str();
    if (!name || name->empty() || name->size() > kMaxInfoName) {
      return fail("info field " + std::to_string(i) + " has no name, or one too long");
    }
    if (!text || text->size() > kMaxInfoField) {
      return fail("info field " + std::to_string(i) + " is not a string, or too long");
    }
    bytes += name->size() + text->size();
    if (bytes > kMaxInfo) return fail("info is too large");
    fields.emplace_back(*name, *text);
  }
  // Sorted first: inserted one by one, fields in a bad order would cost their square.
  if (!std::ranges::is_sorted(fields)) std::ranges::sort(fields);
  AgentInfo info;
  info.reserve(bytes + 8 * fields.size());
  for (const auto& [name, text] : fields) {
    if (!info.append(name, text)) return fail("info has a field twice");
  }
  return info;
}

namespace {

bool fits_delta(const AgentInfo& info) {
  std::size_t bytes = 0;
  for (const auto& [name, text] : info) {
    if (name.empty() || name.size() > kMaxInfoName || text.size() > kMaxInfoField) return false;
    bytes += name.size() + text.size();
  }
  return info.size() <= kMaxInfoFields && bytes <= kMaxInfo;
}

}  // namespace

bool clip_info(AgentInfo& info) {
  if (fits_delta(info)) return false;
  AgentInfo kept;
  kept.reserve(info.bytes().size());
  std::vector<std::string> lost;  // at least in part
  for (const std::string_view name : unknown_fields(info)) lost.emplace_back(name);
  std::size_t bytes = kUnknownFields.size() + kMaxUnknownFields;
  for (auto [name, text] : info) {
    if (name == kUnknownFields) continue;
    if (text.size() > kMaxInfoField) {
      lost.emplace_back(name);
      std::size_t end = kMaxInfoField;
      // Not within a UTF-8 character.
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
      text = text.substr(0, end);
    }
    const std::size_t size = name.size() + text.size();
    if (name.empty() || name.size() > kMaxInfoName || kept.size() + 1 == kMaxInfoFields ||
        bytes + size > kMaxInfo) {
      if (lost.empty() || lost.back() != name) lost.emplace_back(name);
      continue;
    }
    bytes += size;
    kept.append(name, text);
  }
  add_unknown_fields(kept, lost);
  info = std::move(kept);
  return true;
}

}  // namespace rollcall
