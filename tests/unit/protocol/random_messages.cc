#include "tests/unit/protocol/random_messages.h"

#include <algorithm>

#include "protocol/codec.h"

namespace rollcall::testing {

namespace {

std::uint64_t below(Rng& rng, std::uint64_t n) {
  return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(rng);
}

bool chance(Rng& rng) {
  return below(rng, 2) == 0;
}

// Of every magnitude, so that each length on the wire occurs.
std::uint64_t number(Rng& rng) {
  return rng() >> below(rng, 64);
}

std::uint64_t positive(Rng& rng) {
  return number(rng) | 1;
}

std::uint32_t number32(Rng& rng) {
  return static_cast<std::uint32_t>(number(rng));
}

std::int64_t duration(Rng& rng) {
  return static_cast<std::int64_t>((number(rng) >> 4) | 1);
}

Epoch epoch(Rng& rng) {
  return Epoch{(number(rng) >> 4) | 1};
}

MasterTime moment(Rng& rng) {
  const std::int64_t us = duration(rng);
  return {chance(rng) ? us : -us};
}

AgentId agent(Rng& rng) {
  return AgentId{number32(rng) | 1};
}

NodeName node(Rng& rng) {
  static constexpr std::string_view kLetters = "abzAZ059.-_";
  NodeName name;
  for (std::uint64_t n = 1 + below(rng, kMaxNodeName); n > 0; --n) {
    name += kLetters[below(rng, kLetters.size())];
  }
  return name;
}

std::string bytes(Rng& rng, std::size_t max) {
  std::string s;
  for (std::uint64_t n = below(rng, max + 1); n > 0; --n) s += static_cast<char>(rng());
  return s;
}

InfoPtr info(Rng& rng) {
  AgentInfo fields;
  for (std::uint64_t n = below(rng, 20); n > 0; --n) {
    fields["f" + bytes(rng, 40)] = bytes(rng, 300);
  }
  return std::make_shared<const AgentInfo>(std::move(fields));
}

Version version(Rng& rng) {
  return {epoch(rng), node(rng), number32(rng)};
}

Winner winner(Rng& rng) {
  return {version(rng), chance(rng)};
}

std::vector<std::string> features(Rng& rng) {
  std::vector<std::string> names;
  for (std::uint64_t n = below(rng, 4); n > 0; --n) names.push_back(bytes(rng, 20));
  return names;
}

Digest digest(Rng& rng) {
  return {rng(), rng()};
}

std::optional<Digest> maybe_digest(Rng& rng) {
  return chance(rng) ? std::optional(digest(rng)) : std::nullopt;
}

Agreement agreement(Rng& rng) {
  return static_cast<Agreement>(below(rng, 3));
}

// No leaf.
TreeNode inner_node(Rng& rng) {
  const std::uint64_t depth = below(rng, kTreeLeafDepth);
  return TreeNode{static_cast<std::uint32_t>((1u << 4 * depth) + below(rng, 1u << 4 * depth))};
}

std::vector<TreeNode> leaves(Rng& rng) {
  std::vector<TreeNode> nodes;
  for (std::uint64_t n = below(rng, 8); n > 0; --n) nodes.push_back(leaf_of(agent(rng)));
  std::ranges::sort(nodes);
  nodes.erase(std::ranges::unique(nodes).begin(), nodes.end());
  return nodes;
}

Message hello(Rng& rng) {
  Hello m;
  m.protocol_min = 1 + static_cast<std::uint32_t>(below(rng, 5));
  m.protocol_max = m.protocol_min + static_cast<std::uint32_t>(below(rng, 5));
  m.cluster = bytes(rng, 20);
  m.node = node(rng);
  m.machine = bytes(rng, 40);
  m.store = StoreId{positive(rng)};
  m.stream = StreamId{positive(rng)};
  m.first_seq = positive(rng);
  m.highest_epoch = chance(rng) ? kUnstamped : epoch(rng);
  m.start_position = number(rng);
  m.acked_position = number(rng);
  m.last_master = MasterId{number(rng)};
  m.last_term = Term{number(rng)};
  m.open_sessions = number(rng);
  m.software = bytes(rng, 40);
  m.t0 = duration(rng);
  m.features = features(rng);
  m.digest = maybe_digest(rng);
  return m;
}

Message welcome(Rng& rng) {
  Welcome m;
  m.protocol = 1 + static_cast<std::uint32_t>(below(rng, 5));
  m.master = MasterId{positive(rng)};
  m.term = Term{positive(rng)};
  m.last_seq = number(rng);
  m.store_is_older = chance(rng);
  m.heartbeat_us = duration(rng);
  m.ttl_us = duration(rng);
  m.max_frame = number32(rng) | 1;
  m.window = positive(rng);
  m.t0 = duration(rng);
  m.t1 = duration(rng) / 2;
  m.t2 = m.t1 + duration(rng) / 2;
  m.time_began = {duration(rng)};
  m.features = features(rng);
  m.agreement = agreement(rng);
  m.inventory_us = duration(rng);
  m.inventory_differs_us = duration(rng);
  return m;
}

Message delta(Rng& rng) {
  Delta m;
  m.first_seq = 1 + (number(rng) >> 1);
  m.position = number(rng);
  for (std::uint64_t n = below(rng, 8); n > 0; --n) m.events.push_back(random_event(rng));
  return m;
}

Message ack(Rng& rng) {
  Ack m;
  m.through = number(rng);
  for (std::uint64_t n = below(rng, 8); n > 0; --n) {
    AckException e;
    e.seq = positive(rng);
    e.agent = agent(rng);
    e.kind = static_cast<ExceptionKind>(1 + below(rng, 3));
    if (e.kind == ExceptionKind::superseded) e.winner = winner(rng);
    m.exceptions.push_back(std::move(e));
  }
  return m;
}

Message superseded(Rng& rng) {
  Superseded m;
  for (std::uint64_t n = below(rng, 8); n > 0; --n) m.entries.push_back({agent(rng), winner(rng)});
  return m;
}

Message challenge(Rng& rng) {
  Challenge m;
  for (std::uint64_t n = below(rng, 8); n > 0; --n) {
    m.entries.push_back({agent(rng), epoch(rng), moment(rng)});
  }
  return m;
}

Message heartbeat_ack(Rng& rng) {
  HeartbeatAck m;
  m.t0 = duration(rng);
  m.t1 = duration(rng) / 2;
  m.t2 = m.t1 + duration(rng) / 2;
  m.agreement = agreement(rng);
  m.lease_us = duration(rng);
  m.heartbeat_us = chance(rng) ? 0 : duration(rng);
  return m;
}

Message want(Rng& rng) {
  Want m;
  for (std::uint64_t n = below(rng, 8); n > 0; --n) m.digests_of.push_back(inner_node(rng));
  m.inventory = chance(rng);
  m.leaves = leaves(rng);
  for (std::uint64_t n = below(rng, 8); n > 0; --n) m.infos.push_back(agent(rng));
  m.retry_after_us = chance(rng) ? 0 : duration(rng);
  return m;
}

Message digests(Rng& rng) {
  Digests m;
  m.seq = number(rng);
  for (std::uint64_t n = below(rng, 8); n > 0; --n) {
    Digests::Entry& e = m.entries.emplace_back();
    e.node = inner_node(rng);
    for (Digest& child : e.children) {
      if (chance(rng)) child = digest(rng);
    }
  }
  return m;
}

Message inventory_chunk(Rng& rng) {
  InventoryChunk m;
  m.id = positive(rng);
  std::uint64_t id = 0;
  for (std::uint64_t n = below(rng, 20); n > 0; --n) {
    id += 1 + below(rng, 1u << below(rng, 25));
    InventoryEntry& e = m.entries.emplace_back();
    e.agent = AgentId{static_cast<std::uint32_t>(id)};
    e.epoch = epoch(rng);
    e.change = number32(rng);
    e.evidence.lo = moment(rng);
    e.evidence.hi = std::max(e.evidence.lo, moment(rng));
  }
  return m;
}

Message command(Rng& rng) {
  Command m;
  m.id = node(rng);
  for (std::uint64_t n = below(rng, 8); n > 0; --n)
    m.entries.push_back({agent(rng), bytes(rng, kMaxAgentVersion)});
  m.left_us = duration(rng);
  return m;
}

Message result(Rng& rng) {
  Result m;
  m.id = node(rng);
  for (std::uint64_t n = below(rng, 8); n > 0; --n)
    m.entries.push_back({agent(rng), static_cast<CommandOutcome>(1 + below(rng, 6))});
  if (chance(rng)) m.why = bytes(rng, kMaxText);
  return m;
}

Message error(Rng& rng) {
  ErrorMessage m;
  m.code = static_cast<ErrorCode>(1 + below(rng, 100));  // also of later versions
  m.text = bytes(rng, kMaxText);
  m.fatal = chance(rng);
  m.retry_after_us = duration(rng);
  return m;
}

}  // namespace

Event random_event(Rng& rng) {
  Event e;
  e.agent = agent(rng);
  e.epoch = epoch(rng);
  e.change = number32(rng);
  e.kind = static_cast<EventKind>(1 + below(rng, 9));
  e.evidence.lo = moment(rng);
  e.evidence.hi = std::max(e.evidence.lo, moment(rng));
  e.reason = static_cast<Reason>(below(rng, 14));
  if (chance(rng)) e.info_hash = InfoHash{positive(rng)};
  if (e.info_hash && chance(rng)) e.info = info(rng);
  if (chance(rng)) e.from = SessionName{epoch(rng), node(rng)};
  if (chance(rng)) e.folded = number32(rng);
  if (chance(rng)) e.grace_us = std::min(duration(rng), kLongestGraceUs);
  return e;
}

Message random_message(std::size_t type, Rng& rng) {
  switch (type) {
    case 0:
      return hello(rng);
    case 1:
      return welcome(rng);
    case 2:
      return delta(rng);
    case 3:
      return ack(rng);
    case 4:
      return superseded(rng);
    case 5:
      return challenge(rng);
    case 6:
      return Heartbeat{number(rng), number(rng), duration(rng), maybe_digest(rng), rng() % 2 == 0};
    case 7:
      return heartbeat_ack(rng);
    case 8:
      return want(rng);
    case 9:
      return digests(rng);
    case 10:
      return InventoryBegin{positive(rng), number(rng), duration(rng), leaves(rng)};
    case 11:
      return inventory_chunk(rng);
    case 12:
      return InventoryEnd{positive(rng), number(rng), digest(rng)};
    case 13:
      return InventoryAck{positive(rng), number(rng)};
    case 14:
      return command(rng);
    case 15:
      return result(rng);
    case 16:
      return Bye{static_cast<ByeReason>(1 + below(rng, 3)), duration(rng)};
    default:
      return error(rng);
  }
}

}  // namespace rollcall::testing
