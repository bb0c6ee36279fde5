#include "master/core/log_record.h"

#include <utility>

#include "protocol/codec.h"
#include "protocol/plain_delta.h"
#include "protocol/wire.h"

namespace rollcall::master {
namespace {

using wire::Document;
using wire::Packer;
using wire::Value;

// Numbers of the records; never reused. A record is [number, field, …]; fields are only added at
// the end.
enum : std::uint64_t {
  kGenesis = 1,
  kTermBegun = 2,
  kTimeReserved = 3,
  kNodeWelcomed = 4,
  kDecided = 5,
  kRepaired = 6,  // as kDecided, with the cause: older programs must not take it for that
  kLeaseChanged = 7,
  kExpiryFrozen = 8,
  kNodeForgotten = 9,
  kAgentsForgotten = 10,
  kOffersExpired = 11,
  kNodeLeft = 12,
  kMigrationsKept = 13
};

wire::Limits limits() {
  wire::Limits l;
  l.max_depth = 10;
  return l;
}

Error bad_record(std::string_view what) {
  return Error{"log record: " + std::string(what) + " is not as this version writes it"};
}

}  // namespace

std::string_view to_string(Cause cause) {
  switch (cause) {
    case Cause::told:
      return "told";
    case Cause::missed_open:
      return "missed_open";
    case Cause::missed_change:
      return "missed_change";
    case Cause::absent:
      return "absent";
    case Cause::went_back:
      return "went_back";
    case Cause::evidence:
      return "evidence";
    case Cause::forgotten:
      return "forgotten";
  }
  return "?";
}

std::string_view to_string(LeaseStatus status) {
  switch (status) {
    case LeaseStatus::valid:
      return "valid";
    case LeaseStatus::lapsed:
      return "lapsed";
    case LeaseStatus::held:
      return "held";
    case LeaseStatus::expired:
      return "expired";
  }
  return "?";
}

std::string_view to_string(LeaseCause cause) {
  switch (cause) {
    case LeaseCause::none:
      return "none";
    case LeaseCause::silent:
      return "silent";
    case LeaseCause::unconfirmed:
      return "unconfirmed";
    case LeaseCause::confirmed:
      return "confirmed";
  }
  return "?";
}

std::string encode(const LogRecord& record) {
  std::string out;
  Packer p(out);
  std::visit(
      [&](const auto& r) {
        using T = std::decay_t<decltype(r)>;
        if constexpr (std::is_same_v<T, Genesis>) {
          p.array(2).u64(kGenesis).u64(static_cast<std::uint64_t>(r.master));
        } else if constexpr (std::is_same_v<T, TermBegun>) {
          p.array(3).u64(kTermBegun).u64(static_cast<std::uint64_t>(r.term)).str(r.cause);
        } else if constexpr (std::is_same_v<T, TimeReserved>) {
          p.array(5)
              .u64(kTimeReserved)
              .i64(r.until.us)
              .i64(r.began.us)
              .u64(r.boot)
              .i64(r.offset_us);
        } else if constexpr (std::is_same_v<T, NodeWelcomed>) {
          p.array(8).u64(kNodeWelcomed).str(r.node).str(r.machine);
          p.u64(static_cast<std::uint64_t>(r.store)).u64(static_cast<std::uint64_t>(r.stream));
          p.u64(r.first_seq).u64(r.position).i64(r.at.us);
        } else if constexpr (std::is_same_v<T, LeaseChanged>) {
          p.array(5).u64(kLeaseChanged).str(r.node);
          p.u64(std::to_underlying(r.status)).u64(std::to_underlying(r.cause)).i64(r.at.us);
        } else if constexpr (std::is_same_v<T, ExpiryFrozen>) {
          p.array(4).u64(kExpiryFrozen).str(r.node).i64(r.until.us).i64(r.at.us);
        } else if constexpr (std::is_same_v<T, NodeForgotten>) {
          p.array(3).u64(kNodeForgotten).str(r.node).i64(r.at.us);
        } else if constexpr (std::is_same_v<T, OffersExpired>) {
          p.array(4).u64(kOffersExpired).str(r.node).i64(r.upto.us).i64(r.at.us);
        } else if constexpr (std::is_same_v<T, MigrationsKept>) {
          p.array(2).u64(kMigrationsKept).u64(r.most);
        } else if constexpr (std::is_same_v<T, NodeLeft>) {
          p.array(5).u64(kNodeLeft).str(r.node).u64(std::to_underlying(r.reason));
          p.i64(r.until.us).i64(r.at.us);
        } else if constexpr (std::is_same_v<T, AgentsForgotten>) {
          p.array(3).u64(kAgentsForgotten).i64(r.at.us);
          p.array(static_cast<std::uint32_t>(r.agents.size()));
          for (const AgentId agent : r.agents) p.u64(std::to_underlying(agent));
        } else {
          const bool told = r.cause == Cause::told;
          p.array(told ? 7 : 8)
              .u64(told ? kDecided : kRepaired)
              .str(r.node)
              .u64(r.first_seq)
              .u64(r.position)
              .i64(r.at.us);
          p.array(static_cast<std::uint32_t>(r.events.size()));
          std::size_t bound = out.size();
          for (const Event& e : r.events) bound += packed_size_bound(e);
          out.reserve(bound + 5 + r.rules.size());
          for (const Event& e : r.events) pack_event(p, e);
          std::string rules;
          for (Rule rule : r.rules) rules.push_back(static_cast<char>(rule));
          p.bin(rules);
          if (!told) p.u64(std::to_underlying(r.cause));
        }
      },
      record);
  return out;
}

std::optional<Decided> read_plain_decision(std::string_view bytes) {
  msgpack_bytes::Reader reader(bytes);
  std::uint32_t size = 0, events = 0;
  std::uint64_t type = 0;
  std::string_view node, rules;
  Decided d;
  if (!reader.array(size) || size != 7 || !reader.u64(type) || type != kDecided ||
      !reader.str(node) || !is_valid_node_name(node) || !reader.u64(d.first_seq) ||
      !reader.u64(d.position) || !reader.i64(d.at.us) || !reader.array(events) ||
      events > kMaxEventsPerDelta || events > reader.left()) {
    return std::nullopt;
  }
  d.node = node;
  d.events.reserve(events);
  for (std::uint32_t i = 0; i < events; ++i) {
    if (!read_plain_event(reader, d.events.emplace_back())) return std::nullopt;
  }
  if (!reader.bin(rules) || rules.size() != events || !reader.at_end()) return std::nullopt;
  d.rules.reserve(events);
  for (const char rule : rules) d.rules.push_back(static_cast<Rule>(rule));
  return d;
}

std::expected<LogRecord, Error> decode_log_record(std::string_view bytes) {
  if (auto decision = read_plain_decision(bytes)) return std::move(*decision);
  return decode_log_record_by_values(bytes);
}

namespace {

// What was decided of each event.
std::expected<void, Error> unpack_events(const Value& record, Decided& d) {
  const Value events = record.at(5);
  const auto rules = record.at(6).as_bin();
  if (!events.is_array() || !rules || rules->size() != events.size())
    return std::unexpected(bad_record("a decision"));
  d.events.reserve(events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    auto e = unpack_event(events.at(i));
    if (!e) return std::unexpected(e.error());
    d.events.push_back(std::move(*e));
    d.rules.push_back(static_cast<Rule>((*rules)[i]));
  }
  return {};
}

std::expected<AgentsForgotten, Error> unpack_forgotten(const Value& record, std::int64_t at_us) {
  AgentsForgotten f;
  f.at = {at_us};
  const Value agents = record.at(2);
  if (!agents.is_array()) return std::unexpected(bad_record("a list of agents"));
  f.agents.reserve(agents.size());
  for (std::size_t i = 0; i < agents.size(); ++i) {
    const auto id = agents.at(i).as_u64();
    if (!id || *id > UINT32_MAX) return std::unexpected(bad_record("an agent"));
    f.agents.push_back(AgentId{static_cast<std::uint32_t>(*id)});
  }
  return f;
}

}  // namespace

std::expected<LogRecord, Error> decode_log_record_by_values(std::string_view bytes) {
  auto doc = Document::parse(bytes, limits());
  if (!doc) return std::unexpected(doc.error());
  const Value v = doc->root();
  const auto type = v.at(0).as_u64();
  if (!type) return std::unexpected(bad_record("its number"));
  bool ok = true;
  auto u64 = [&](std::size_t i) {
    const auto x = v.at(i).as_u64();
    ok = ok && x.has_value();
    return x.value_or(0);
  };
  auto i64 = [&](std::size_t i) {
    const auto x = v.at(i).as_i64();
    ok = ok && x.has_value();
    return x.value_or(0);
  };
  auto text = [&](std::size_t i) {
    const auto x = v.at(i).as_str();
    ok = ok && x.has_value();
    return std::string(x.value_or(""));
  };
  auto number = [&]<typename Enum>(std::size_t i, Enum last) {
    const auto x = v.at(i).as_u64();
    ok = ok && x && *x <= std::to_underlying(last);
    return ok ? static_cast<Enum>(*x) : Enum{};
  };
  LogRecord out;
  switch (*type) {
    case kGenesis:
      out = Genesis{MasterId{u64(1)}};
      break;
    case kTermBegun:
      out = TermBegun{Term{u64(1)}, text(2)};
      break;
    case kTimeReserved:
      out = TimeReserved{{i64(1)}, {i64(2)}, u64(3), i64(4)};
      break;
    case kNodeWelcomed:
      out = NodeWelcomed{text(1), text(2), StoreId{u64(3)}, StreamId{u64(4)},
                         u64(5),  u64(6),  {i64(7)}};
      break;
    case kDecided:
    case kRepaired: {
      Decided d;
      d.node = text(1);
      d.first_seq = u64(2);
      d.position = u64(3);
      d.at = {i64(4)};
      if (auto done = unpack_events(v, d); !done) return std::unexpected(done.error());
      if (*type == kRepaired) d.cause = number(7, kLastCause);
      ok = ok && (*type == kDecided || d.cause != Cause::told);
      out = std::move(d);
      break;
    }
    case kLeaseChanged:
      out =
          LeaseChanged{text(1), number(2, kLastLeaseStatus), number(3, kLastLeaseCause), {i64(4)}};
      ok = ok && std::get<LeaseChanged>(out).status != LeaseStatus{};
      break;
    case kExpiryFrozen:
      out = ExpiryFrozen{text(1), {i64(2)}, {i64(3)}};
      break;
    case kNodeForgotten:
      out = NodeForgotten{text(1), {i64(2)}};
      break;
    case kAgentsForgotten: {
      auto f = unpack_forgotten(v, i64(1));
      if (!f) return std::unexpected(f.error());
      out = std::move(*f);
      break;
    }
    case kOffersExpired:
      out = OffersExpired{text(1), {i64(2)}, {i64(3)}};
      break;
    case kMigrationsKept:
      out = MigrationsKept{u64(1)};
      break;
    case kNodeLeft:
      out = NodeLeft{text(1), number(2, kLastByeReason), {i64(3)}, {i64(4)}};
      ok = ok && std::get<NodeLeft>(out).reason != ByeReason{};
      break;
    default:
      return std::unexpected(
          Error{"log record of number " + std::to_string(*type) +
                ": written by a newer version of rollcall-master; run that one"});
  }
  if (!ok) return std::unexpected(bad_record("a field"));
  return out;
}

}  // namespace rollcall::master
