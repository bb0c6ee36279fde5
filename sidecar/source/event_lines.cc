#include "sidecar/source/event_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "protocol/codec.h"

namespace rollcall::sidecar {
namespace {

namespace dom = simdjson::dom;

static_assert(EventParser::kPadding >= simdjson::SIMDJSON_PADDING);

constexpr std::size_t kQuotedBytes = 80;
constexpr std::string_view kFields = "agent, event, at_us, reason and info";
constexpr std::string_view kAgents = "a whole number from 1 to 4294967295";
constexpr std::string_view kEvents = "connect, keepalive, disconnect or remove";
constexpr std::string_view kReasons =
    "shutdown, no_keepalive, worker_restart, invalid_version, version_error or unknown";
constexpr std::string_view kInfo = "an object of strings and numbers";

std::unexpected<Error> not_allowed(std::string_view what, std::string_view allowed) {
  return fail(std::string(what) + "; allowed is " + std::string(allowed));
}

// Texts that were parsed are UTF-8, and stay so when they are cut.
std::string quoted(std::string_view text) {
  if (text.size() <= kQuotedBytes) return '"' + std::string(text) + '"';
  std::size_t end = kQuotedBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return '"' + std::string(text.substr(0, end)) + "...\"";
}

std::optional<Observation::Kind> kind_of(std::string_view name) {
  if (name == "connect") return Observation::Kind::connect;
  if (name == "keepalive") return Observation::Kind::keepalive;
  if (name == "disconnect") return Observation::Kind::disconnect;
  if (name == "remove") return Observation::Kind::remove;
  return std::nullopt;
}

// Those that an agent server can know of.
std::optional<Reason> reason_of_name(std::string_view name) {
  for (const Reason reason : {Reason::shutdown, Reason::no_keepalive, Reason::worker_restart,
                              Reason::invalid_version, Reason::version_error, Reason::unknown}) {
    if (to_string(reason) == name) return reason;
  }
  return std::nullopt;
}

// Works with an info of either kind: one that takes fields in order, or a map.
template <typename Info>
void append(Info& info, std::string_view name, std::string_view value) {
  if constexpr (requires { info.append(name, value); }) {
    info.append(name, value);
  } else {
    info.emplace_hint(info.end(), name, value);
  }
}

template <typename Info>
void reserve(Info& info, std::size_t bytes) {
  if constexpr (requires { info.reserve(bytes); }) info.reserve(bytes);
}

void append_json(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

struct EventParser::Impl {
  struct Field {
    std::string_view name;
    std::string_view value;
  };
  // The top-level fields of a line, as they were given.
  struct Line {
    std::optional<std::uint32_t> agent;
    std::optional<Observation::Kind> event;
    std::optional<std::int64_t> at_us;
    std::optional<Reason> reason;
    std::optional<dom::object> info;
  };
  using Outcome = std::expected<void, Error>;

  dom::parser parser;
  std::vector<Field> fields;
  std::vector<Field> sorted;
  std::vector<std::size_t> order;  // that sorted the fields of the line before
  std::deque<std::string> texts;   // numbers and names of labels, for `fields`

  Outcome take(Line& line, std::string_view key, const dom::element& value, const Now& now) {
    if (key == "agent") return take_agent(line, value);
    if (key == "event") return take_event(line, value);
    if (key == "at_us") return take_at(line, value, now);
    if (key == "reason") return take_reason(line, value);
    if (key == "info") return take_info(line, value);
    return not_allowed(quoted(key) + " is not known", kFields);
  }

  static Outcome take_agent(Line& line, const dom::element& value) {
    if (line.agent) return fail("agent is given twice");
    std::uint64_t number = 0;
    if (value.get(number) != simdjson::SUCCESS || number == 0 ||
        number > std::numeric_limits<std::uint32_t>::max()) {
      return not_allowed("agent is no agent's number", kAgents);
    }
    line.agent = static_cast<std::uint32_t>(number);
    return {};
  }

  static Outcome take_event(Line& line, const dom::element& value) {
    if (line.event) return fail("event is given twice");
    std::string_view name;
    if (value.get(name) != simdjson::SUCCESS) return not_allowed("event is not a string", kEvents);
    line.event = kind_of(name);
    if (!line.event) return not_allowed("event " + quoted(name) + " is not known", kEvents);
    return {};
  }

  static Outcome take_at(Line& line, const dom::element& value, const Now& now) {
    if (line.at_us) return fail("at_us is given twice");
    std::int64_t at = 0;
    if (value.get(at) != simdjson::SUCCESS) {
      return not_allowed("at_us is not a moment", "a whole number of microseconds since 1970");
    }
    if (at < kEventEarliestUs) {
      return not_allowed("at_us is before September 2001",
                         "microseconds since 1970, not seconds or milliseconds");
    }
    if (at > now.wall_us + kEventAheadUs) {
      return not_allowed("at_us is ahead of this machine's clock",
                         "up to 10 s ahead, in microseconds");
    }
    line.at_us = at;
    return {};
  }

  static Outcome take_reason(Line& line, const dom::element& value) {
    if (line.reason) return fail("reason is given twice");
    std::string_view name;
    if (value.get(name) != simdjson::SUCCESS)
      return not_allowed("reason is not a string", kReasons);
    line.reason = reason_of_name(name);
    if (!line.reason) return not_allowed("reason " + quoted(name) + " is not known", kReasons);
    return {};
  }

  static Outcome take_info(Line& line, const dom::element& value) {
    if (line.info) return fail("info is given twice");
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) return not_allowed("info is not an object", kInfo);
    line.info = object;
    return {};
  }

  std::optional<std::string_view> text_of(const dom::element& value) {
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) return text;
    if (!value.is_number()) return std::nullopt;
    std::array<char, 32> digits;
    std::int64_t integer = 0;
    std::uint64_t large = 0;
    double real = 0;
    char* const end = digits.data() + digits.size();
    const std::to_chars_result result =
        value.get(integer) == simdjson::SUCCESS ? std::to_chars(digits.data(), end, integer)
        : value.get(large) == simdjson::SUCCESS ? std::to_chars(digits.data(), end, large)
        : value.get(real) == simdjson::SUCCESS
            ? std::to_chars(digits.data(), end, real)
            : std::to_chars_result{end, std::errc::invalid_argument};
    if (result.ec != std::errc()) return std::nullopt;
    return texts.emplace_back(digits.data(), result.ptr);
  }

  Outcome add_field(std::string_view name, const dom::element& value) {
    const auto text = text_of(value);
    if (!text)
      return not_allowed("info field " + quoted(name) + " has a wrong type",
                         "a string or a number");
    fields.push_back({name, *text});
    return {};
  }

  Outcome add_labels(const dom::element& value) {
    dom::object labels;
    if (value.get(labels) != simdjson::SUCCESS)
      return not_allowed("labels in info are no object", kInfo);
    for (const auto [key, label] : labels) {
      const std::string_view name = texts.emplace_back("label." + std::string(key));
      if (auto added = add_field(name, label); !added) return added;
    }
    return {};
  }

  // A server gives its fields in the same order each time.
  void sort_fields() {
    const auto take_in_order = [this] {
      sorted.clear();
      for (const std::size_t i : order) sorted.push_back(fields[i]);
    };
    if (order.size() == fields.size()) {
      take_in_order();
      if (std::ranges::is_sorted(sorted, {}, &Field::name)) return fields.swap(sorted);
    }
    order.resize(fields.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [this](std::size_t i) { return fields[i].name; });
    take_in_order();
    fields.swap(sorted);
  }

  // Null if there are no fields.
  std::expected<InfoPtr, Error> read_info(const dom::object& object, bool& clipped) {
    fields.clear();
    texts.clear();
    for (const auto [key, value] : object) {
      auto added = key == "labels" ? add_labels(value) : add_field(key, value);
      if (!added) return std::unexpected(added.error());
    }
    if (fields.empty()) return nullptr;
    sort_fields();
    std::size_t bytes = 0;
    clipped = fields.size() > kMaxInfoFields;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const Field& f = fields[i];
      if (f.name.empty()) return fail("info has a field without a name");
      if (i > 0 && fields[i - 1].name == f.name) {
        return fail("info field " + quoted(f.name) + " is given twice");
      }
      clipped = clipped || f.name.size() > kMaxInfoName || f.value.size() > kMaxInfoField;
      bytes += f.name.size() + f.value.size();
    }
    auto info = std::make_shared<AgentInfo>();
    reserve(*info, bytes + 8 * fields.size());
    for (const Field& f : fields) append(*info, f.name, f.value);
    if (clipped || bytes > kMaxInfo) clipped = clip_info(*info);
    return info;
  }

  // What the fields say together.
  std::expected<Observation, Error> observation(const Line& line, const Now& now,
                                                std::int64_t& last_boot_us) {
    using Kind = Observation::Kind;
    if (!line.agent) return not_allowed("agent is missing", kAgents);
    if (!line.event) return not_allowed("event is missing", kEvents);
    Observation o;
    o.agent = AgentId{*line.agent};
    o.kind = *line.event;
    const bool here = o.kind == Kind::connect || o.kind == Kind::keepalive;
    if (line.reason && o.kind != Kind::disconnect) {
      return fail("reason is allowed with disconnect only");
    }
    if (line.info && !here) return fail("info is allowed with connect and keepalive only");
    if (o.kind == Kind::disconnect) o.reason = line.reason.value_or(Reason::shutdown);
    // A disconnect without its moment says when it was told, not when the agent spoke.
    o.heard = here || (o.reason == Reason::shutdown && line.at_us.has_value());
    if (line.at_us) {
      o.boot_us = now.boot_us - std::max<std::int64_t>(0, now.wall_us - *line.at_us);
    } else {
      o.boot_us = last_boot_us = std::max(now.boot_us, last_boot_us + 1);
    }
    if (!line.info) return o;
    auto info = read_info(*line.info, o.info_clipped);
    if (!info) return std::unexpected(info.error());
    o.info = std::move(*info);
    return o;
  }
};

EventParser::EventParser() : impl_(std::make_unique<Impl>()) {}
EventParser::~EventParser() = default;

std::expected<Observation, Error> EventParser::parse(std::string_view text, const Now& now,
                                                     std::int64_t& last_boot_us) {
  dom::element root;
  constexpr bool kCopyForPadding = false;
  const auto error = impl_->parser.parse(text.data(), text.size(), kCopyForPadding).get(root);
  if (error == simdjson::EMPTY) return not_allowed("the line is empty", "one JSON object a line");
  if (error != simdjson::SUCCESS) {
    return not_allowed("the line is not JSON (" + std::string(simdjson::error_message(error)) + ")",
                       "one JSON object a line");
  }
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS) {
    return not_allowed("the line is not an object", "one JSON object a line");
  }
  Impl::Line line;
  for (const auto [key, value] : object) {
    if (auto taken = impl_->take(line, key, value, now); !taken)
      return std::unexpected(taken.error());
  }
  return impl_->observation(line, now, last_boot_us);
}

void EventLines::read(std::span<const std::byte> bytes, const Now& now) {
  std::size_t searched = buffer_.size();
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t size = buffer_.size();
  buffer_.append(EventParser::kPadding, ' ');
  const std::string_view all(buffer_.data(), size);
  std::size_t begin = 0;
  for (;;) {
    const std::size_t newline = all.find('\n', searched);
    if (newline == std::string_view::npos) break;
    if (!std::exchange(skipping_, false)) take_line(all.substr(begin, newline - begin), now);
    begin = searched = newline + 1;
  }
  buffer_.resize(size);
  buffer_.erase(0, begin);
  if (buffer_.size() > longest_ && !skipping_) {
    take_line(buffer_, now);
    skipping_ = true;
  }
  if (skipping_) buffer_.clear();
}

void EventLines::end(const Now& now) {
  if (buffer_.empty()) return;
  const std::size_t size = buffer_.size();
  buffer_.append(EventParser::kPadding, ' ');
  take_line({buffer_.data(), size}, now);
  buffer_.clear();
}

void EventLines::take_line(std::string_view line, const Now& now) {
  ++batch_.last;
  if (line.size() > longest_) {
    return refuse("the line is longer than " + std::to_string(longest_) + " bytes");
  }
  auto observation = parser_.parse(line, now, last_boot_us_);
  if (!observation) return refuse(std::move(observation.error().message));
  batch_.observations.push_back(std::move(*observation));
}

void EventLines::refuse(std::string why) {
  batch_.refused.push_back({batch_.last, std::move(why)});
}

EventBatch EventLines::take() {
  EventBatch next;
  next.last = batch_.last;
  next.first = batch_.last + 1;
  return std::exchange(batch_, std::move(next));
}

std::string answers_to(const EventBatch& batch) {
  std::string out;
  auto stored = [&](std::uint64_t first, std::uint64_t last) {
    if (first > last) return;
    out += first == last
               ? "{\"line\":" + std::to_string(first)
               : "{\"lines\":[" + std::to_string(first) + "," + std::to_string(last) + "]";
    out += ",\"stored\":true}\n";
  };
  std::uint64_t next = batch.first;
  for (const EventBatch::Refusal& refusal : batch.refused) {
    stored(next, refusal.line - 1);
    out += "{\"line\":" + std::to_string(refusal.line) + ",\"refused\":";
    append_json(out, refusal.why);
    out += "}\n";
    next = refusal.line + 1;
  }
  stored(next, batch.last);
  return out;
}

}  // namespace rollcall::sidecar
