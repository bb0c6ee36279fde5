#include "protocol/plain_delta.h"

#include <memory>
#include <utility>

#include "protocol/codec.h"
#include "protocol/wire_numbers.h"

namespace rollcall {

namespace {

using msgpack_bytes::Reader;

constexpr std::size_t kLeastEventBytes = 7;

bool take_u32(Reader& reader, std::uint32_t& v) {
  std::uint64_t wide = 0;
  if (!reader.u64(wide) || wide > UINT32_MAX) return false;
  v = static_cast<std::uint32_t>(wide);
  return true;
}

bool take_moment(Reader& reader, Epoch epoch, MasterTime& moment) {
  std::int64_t relative = 0;
  // The epoch is at most 2^60: the sum overflows only beyond the range.
  return reader.i64(relative) && !__builtin_add_overflow(time_of(epoch).us, relative, &moment.us) &&
         moment.us >= -kMaxTimeUs && moment.us <= kMaxTimeUs;
}

bool take_field(Reader& reader, AgentInfo::Field& field) {
  auto& [name, text] = field;
  return reader.str(name) && !name.empty() && name.size() <= kMaxInfoName && reader.str(text) &&
         text.size() <= kMaxInfoField;
}

}  // namespace

bool read_plain_info(Reader& reader, InfoPtr& out) {
  std::uint32_t fields = 0;
  if (!reader.map(fields) || fields > kMaxInfoFields) return false;
  AgentInfo::Field field;
  std::size_t bytes = 0;
  Reader ahead = reader;
  for (std::uint32_t i = 0; i < fields; ++i) {
    if (!take_field(ahead, field)) return false;
    bytes += field.first.size() + field.second.size();
    if (bytes > kMaxInfo) return false;
  }
  auto info = std::make_shared<AgentInfo>();
  info->reserve(bytes + 8 * std::size_t{fields});
  for (std::uint32_t i = 0; i < fields; ++i) {
    if (!take_field(reader, field) || !info->append(field.first, field.second)) return false;
  }
  out = std::move(info);
  return true;
}

namespace {

bool take_from(Reader& reader, std::optional<SessionName>& from) {
  std::uint32_t size = 0;
  std::uint64_t epoch = 0;
  std::string_view node;
  if (!reader.array(size) || size != 2 || !reader.u64(epoch) || epoch == 0 ||
      epoch > static_cast<std::uint64_t>(kMaxTimeUs) || !reader.str(node) ||
      !is_valid_node_name(node)) {
    return false;
  }
  from = SessionName{Epoch{epoch}, NodeName(node)};
  return true;
}

// The optional fields, each at most once and in the order of their keys.
bool take_fields(Reader& reader, Event& event) {
  std::uint32_t fields = 0;
  if (!reader.map(fields) || fields == 0) return false;
  std::uint64_t last = 0;
  for (; fields > 0; --fields) {
    std::uint64_t key = 0, v = 0;
    if (!reader.u64(key) || key <= last) return false;
    last = key;
    switch (key) {
      case kEventReason:
        if (!reader.u64(v) || v > std::to_underlying(kLastReason)) return false;
        event.reason = static_cast<Reason>(v);
        break;
      case kEventInfoHash:
        if (!reader.u64(v) || v == 0) return false;
        event.info_hash = InfoHash{v};
        break;
      case kEventInfo:
        if (!event.info_hash || !read_plain_info(reader, event.info)) return false;
        break;
      case kEventFrom:
        if (!take_from(reader, event.from)) return false;
        break;
      case kEventFolded:
        if (!take_u32(reader, event.folded)) return false;
        break;
      case kEventGrace:
        if (!reader.u64(v) || v > static_cast<std::uint64_t>(kLongestGraceUs)) return false;
        event.grace_us = static_cast<std::int64_t>(v);
        break;
      default:
        return false;
    }
  }
  return true;
}

}  // namespace

bool read_plain_event(Reader& reader, Event& event) {
  std::uint32_t size = 0, agent = 0;
  std::uint64_t epoch = 0, kind = 0;
  if (!reader.array(size) || size < 6 || size > 7) return false;
  if (!take_u32(reader, agent) || agent == 0) return false;
  if (!reader.u64(epoch) || epoch > static_cast<std::uint64_t>(kMaxTimeUs)) return false;
  if (!take_u32(reader, event.change)) return false;
  if (!reader.u64(kind) || kind < std::to_underlying(EventKind::opened) ||
      kind > std::to_underlying(EventKind::contact)) {
    return false;
  }
  event.agent = AgentId{agent};
  event.epoch = Epoch{epoch};
  event.kind = static_cast<EventKind>(kind);
  if (!take_moment(reader, event.epoch, event.evidence.lo) ||
      !take_moment(reader, event.epoch, event.evidence.hi) ||
      event.evidence.lo > event.evidence.hi) {
    return false;
  }
  return size == 6 || take_fields(reader, event);
}

std::optional<Delta> read_plain_delta(std::string_view payload) {
  Reader reader(payload);
  std::uint32_t size = 0, keys = 0, events = 0;
  std::uint64_t type = 0, key = 0;
  Delta m;
  if (!reader.array(size) || size != 2 || !reader.u64(type) || type != kDelta) return std::nullopt;
  if (!reader.map(keys) || keys != 3) return std::nullopt;
  if (!reader.u64(key) || key != 1 || !reader.u64(m.first_seq) || m.first_seq == 0 ||
      !reader.u64(key) || key != 2 || !reader.u64(m.position) || !reader.u64(key) || key != 3 ||
      !reader.array(events)) {
    return std::nullopt;
  }
  if (events > kMaxEventsPerDelta || events > reader.left() / kLeastEventBytes ||
      events > UINT64_MAX - m.first_seq) {
    return std::nullopt;
  }
  m.events.reserve(events);
  for (; events > 0; --events) {
    Event& event = m.events.emplace_back();
    if (!read_plain_event(reader, event)) return std::nullopt;
    if (event.epoch == kUnstamped && event.kind != EventKind::contact) return std::nullopt;
  }
  if (!reader.at_end()) return std::nullopt;
  return m;
}

}  // namespace rollcall
