#include "sidecar/source/wazuh_db_scan.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace rollcall::sidecar {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kHeaderBytes = 4;
constexpr std::int64_t kMaxSeconds = 100'000'000'000;  // beyond any clock; in microseconds it fits
constexpr std::size_t kQuotedBytes = 160;   // of a reply, in an error
constexpr std::size_t kGrowAfterPages = 8;  // pages that fitted, before more is asked
constexpr std::string_view kOk = "ok ";
constexpr std::string_view kErr = "err ";

// Texts are backquoted where they are SQL words: double quotes would make a column that is not
// there a text.
constexpr std::array<std::string_view, 17> kColumns = {
    "name",       "ip",          "version",  "os_name",
    "os_version", "os_major",    "os_minor", "os_codename",
    "os_build",   "os_platform", "os_uname", "os_arch",
    "config_sum", "merged_sum",  "`group`",  "group_config_status",
    "date_add"};

std::unexpected<Error> fail(std::string text) {
  return std::unexpected(Error{std::move(text)});
}

// The start of what the other side said, in one printable line.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kQuotedBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte >= 0x7f ? '?' : c;
  }
  return out + (text.size() > kQuotedBytes ? "\"..." : "\"");
}

std::string id_text(AgentId agent) {
  return std::to_string(static_cast<std::uint32_t>(agent));
}

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<RowStatus> status_of(std::string_view letter) {
  if (letter == "n") return RowStatus::never_connected;
  if (letter == "p") return RowStatus::pending;
  if (letter == "a") return RowStatus::active;
  if (letter == "d") return RowStatus::disconnected;
  return std::nullopt;
}

// By the length of the word in column sync_status.
std::optional<SyncMark> mark_of(std::string_view length) {
  if (length == "6") return SyncMark::synced;      // synced
  if (length == "17") return SyncMark::keepalive;  // syncreq_keepalive
  if (length == "14") return SyncMark::status;     // syncreq_status
  if (length == "7") return SyncMark::fields;      // syncreq
  return std::nullopt;
}

// FNV-1a
std::uint32_t print_of(std::string_view text) {
  std::uint32_t hash = 2'166'136'261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619u;
  return hash;
}

struct RowText {
  Row row;
  std::optional<SyncMark> mark;
  std::uint32_t print = 0;
};

// "7:d:1795373636:1795373637:3:14", and with a print ":ab73a4a87244.14.7f1de2s" behind it.
std::optional<RowText> parse_row(std::string_view text, bool with_print) {
  std::array<std::string_view, 6> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto colon = text.find(':');
    if ((colon == text.npos) != (i + 1 == parts.size() && !with_print)) return std::nullopt;
    parts[i] = text.substr(0, colon);
    text.remove_prefix(colon == text.npos ? text.size() : colon + 1);
  }
  if (text.find(':') != text.npos) return std::nullopt;
  const auto id = number_in<std::uint32_t>(parts[0]);
  const auto status = status_of(parts[1]);
  const auto keepalive = number_in<std::int64_t>(parts[2]);
  const auto disconnection = number_in<std::int64_t>(parts[3]);
  const auto code = number_in<std::int64_t>(parts[4]);
  if (!id || *id == 0 || !status || !keepalive || !disconnection || !code) return std::nullopt;
  return RowText{
      .row = {.agent = AgentId{*id},
              .status = *status,
              .keepalive_s = std::clamp<std::int64_t>(*keepalive, 0, kMaxSeconds),
              .code = static_cast<std::uint8_t>(std::clamp<std::int64_t>(*code, 0, 255))},
      .mark = mark_of(parts[5]),
      .print = print_of(text)};
}

// wazuh-db keeps numbers as doubles, so a whole one may come as either.
std::optional<std::uint64_t> whole(simdjson::simdjson_result<dom::element> value) {
  std::uint64_t number = 0;
  if (value.get(number) == simdjson::SUCCESS) return number;
  double real = 0;
  if (value.get(real) != simdjson::SUCCESS || !(real >= 0 && real < 9e15) ||
      real != std::trunc(real)) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(real);
}

// A value as a field's text; nothing for what a column never is.
std::optional<std::string> field_text(dom::element value) {
  std::string_view text;
  std::int64_t integer = 0;
  double real = 0;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  if (value.get(integer) == simdjson::SUCCESS) return std::to_string(integer);
  if (value.get(real) != simdjson::SUCCESS) return std::nullopt;
  std::array<char, 32> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), real);
  return error == std::errc() ? std::optional(std::string(digits.data(), end)) : std::nullopt;
}

// Agents write some of the texts, and not all write UTF-8: such bytes become U+FFFD, so that one of
// them does not hide its whole page.
std::string with_valid_utf8(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80             ? 1
                               : (byte & 0xe0) == 0xc0 ? 2
                               : (byte & 0xf0) == 0xe0 ? 3
                               : (byte & 0xf8) == 0xf0 ? 4
                                                       : 0;
    if (length != 0 && i + length <= text.size() &&
        simdjson::validate_utf8(text.data() + i, length)) {
      out += text.substr(i, length);
      i += length;
    } else {
      out += kReplacement;
      ++i;
    }
  }
  return out;
}

struct Cut {
  std::string why;
};

// The array of a reply. The parser owns it.
std::variant<dom::array, Cut, Error> array_of(std::string_view reply, dom::parser& parser) {
  if (reply.starts_with(kErr)) {
    return Error{"wazuh-db refused the question: " + quoted(reply.substr(kErr.size()))};
  }
  if (!reply.starts_with(kOk)) {
    return Error{"the answer is not one of wazuh-db's: it begins with " +
                 quoted(reply.substr(0, 32))};
  }
  if (reply.size() >= kReplyLimitBytes) {
    return Cut{"the answer was cut at " + std::to_string(kReplyLimitBytes) + " bytes"};
  }
  const std::string_view json = reply.substr(kOk.size());
  dom::element root;
  auto status = parser.parse(json.data(), json.size()).get(root);
  if (status == simdjson::UTF8_ERROR) {
    const std::string mended = with_valid_utf8(json);
    status = parser.parse(mended.data(), mended.size()).get(root);
  }
  if (status != simdjson::SUCCESS) {
    return Cut{"the answer of " + std::to_string(reply.size()) + " bytes is not whole JSON"};
  }
  dom::array rows;
  if (root.get(rows) != simdjson::SUCCESS) {
    return Error{"wazuh-db's answer is not a list of rows: " + quoted(json)};
  }
  return rows;
}

std::string id_list(std::span<const AgentId> agents) {
  std::string out;
  for (const AgentId agent : agents) out += (out.empty() ? "" : ",") + id_text(agent);
  return out;
}

}  // namespace

// ---- frames

std::expected<std::string, Error> frame_request(std::string_view text) {
  if (text.empty() || text.size() > kMaxRequestBytes) {
    return fail("a question of " + std::to_string(text.size()) +
                " bytes is not sent to wazuh-db, which takes 1 to " +
                std::to_string(kMaxRequestBytes) + " from us; this is a fault of rollcall");
  }
  std::string out;
  out.reserve(kHeaderBytes + text.size());
  for (int shift = 0; shift < 32; shift += 8) {
    out += static_cast<char>(static_cast<std::uint32_t>(text.size()) >> shift & 0xff);
  }
  return out += text;
}

std::expected<std::optional<std::string>, Error> ReplyReader::feed(
    std::span<const std::byte> bytes) {
  std::string_view input(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto take = [&](std::size_t wanted) {
    const std::size_t count = std::min(wanted - buffer_.size(), input.size());
    buffer_ += input.substr(0, count);
    input.remove_prefix(count);
    return buffer_.size() == wanted;
  };
  if (buffer_.size() < kHeaderBytes && !take(kHeaderBytes)) return std::nullopt;
  std::uint32_t length = 0;
  for (std::size_t i = kHeaderBytes; i-- > 0;) {
    length = length << 8 | static_cast<unsigned char>(buffer_[i]);
  }
  if (length > most_) {
    return fail("an answer of " + std::to_string(length) + " bytes was announced, more than the " +
                std::to_string(kReplyLimitBytes) +
                " that wazuh-db sends; is another program behind this socket?");
  }
  if (!take(kHeaderBytes + length)) return std::nullopt;
  if (!input.empty()) return fail("more came than was asked for");
  std::string reply = buffer_.substr(kHeaderBytes);
  buffer_.clear();
  return reply;
}

bool is_reply(std::string_view reply) {
  return reply == "ok" || reply.starts_with(kOk) || reply == "err" || reply.starts_with(kErr);
}

std::string sql_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += c;
    out += c;
  }
  return out + "'";
}

// ---- pages

bool PageSize::halve(std::size_t asked) {
  fitted_ = 0;
  if (asked <= 1) return false;
  size_ = asked / 2;
  return true;
}

void PageSize::fitted() {
  if (size_ == max_ || ++fitted_ < kGrowAfterPages) return;
  fitted_ = 0;
  size_ = std::min(max_, size_ + size_ / 8 + 1);
}

// ---- the table

TableScan::TableScan(Options options)
    : options_(std::move(options)),
      window_page_(options_.page_rows),
      whole_page_(options_.whole_rows) {
  if (options_.only_node_name)
    node_condition_ = " AND node_name=" + sql_quoted(*options_.only_node_name);
  begin();
}

void TableScan::begin(std::optional<LookPlan::Window> window) {
  window_ = window;
  last_ = 0;
  asked_ = page().get();
  head_.reset();
  done_ = {};
}

std::string TableScan::request() const {
  std::string text = "global sql SELECT group_concat(x,';') r,max(id) m,count(*) c";
  // Counted with the manager's own row: without a condition an index is enough.
  if (!head_) {
    text +=
        ",(SELECT count(*) FROM agent) n,"
        "CAST(round((julianday('now')-2440587.5)*86400000) AS INTEGER) t";
  }
  // A column that is NULL would make the whole text NULL, and group_concat passes over it.
  text +=
      " FROM (SELECT id,id||':'||substr(connection_status,1,1)||':'||ifnull(last_keepalive,0)||':'"
      "||ifnull(disconnection_time,0)||':'||ifnull(status_code,0)||':'||";
  text += has_marks_ ? "length(sync_status)" : "0";
  // Agents choose some of these texts, so what parts rows and columns is taken out.
  if (wants_prints()) {
    text +=
        "||':'||replace(replace(ifnull(substr(config_sum,1,5),'')||"
        "ifnull(substr(merged_sum,1,5),'')||ifnull(substr(version,-6),'')||"
        "ifnull(substr(group_hash,1,6),'')||ifnull(length(`group`),'')||"
        "ifnull(substr(group_config_status,1,1),''),':','.'),';','.')";
  }
  text += " AS x FROM agent WHERE id>" + std::to_string(last_) + node_condition_;
  if (window_) {
    const std::string between =
        " BETWEEN " + std::to_string(window_->from_s) + " AND " + std::to_string(window_->to_s);
    text += " AND (last_keepalive" + between + " OR disconnection_time" + between + ")";
  }
  return text + " ORDER BY id LIMIT " + std::to_string(asked_) + ")";
}

TableScan::Result TableScan::take(std::string_view reply) {
  dom::parser parser;
  auto parsed = array_of(reply, parser);
  if (const auto* error = std::get_if<Error>(&parsed)) {
    if (reply.starts_with(kErr) && forget_column(reply)) return More{};
    return std::unexpected(*error);
  }
  if (const auto* cut = std::get_if<Cut>(&parsed)) return ask_less(cut->why);
  const auto& array = std::get<dom::array>(parsed);
  dom::object object;
  if (array.size() != 1 || array.at(0).get(object) != simdjson::SUCCESS) {
    return fail("wazuh-db answered " + std::to_string(array.size()) +
                " rows where a page is always one");
  }
  const auto count = whole(object.at_key("c"));
  if (!count || *count > asked_) {
    return fail("wazuh-db's answer has no count of rows, or one above the " +
                std::to_string(asked_) + " asked for: " + quoted(reply));
  }
  std::string_view text;
  if (object.at_key("r").get(text) != simdjson::SUCCESS) text = {};  // absent if no row was found
  const std::size_t separators = static_cast<std::size_t>(std::ranges::count(text, ';'));
  if ((text.empty() ? 0 : separators + 1) != *count) {
    return ask_less("the answer holds fewer rows than it says");
  }

  while (!text.empty()) {
    const std::string_view row_text = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(row_text.size() + 1, text.size()));
    if (auto error = add(row_text)) return std::unexpected(std::move(*error));
  }
  if (*count > 0 && whole(object.at_key("m")) != last_) {
    return fail("wazuh-db's answer contradicts itself: its last agent is " + std::to_string(last_) +
                ", which is not the highest it names");
  }
  if (!head_) {
    head_ = Head{};
    if (const auto ms = whole(object.at_key("t"))) head_->table_ms = static_cast<std::int64_t>(*ms);
    head_->table_rows = std::max<std::size_t>(whole(object.at_key("n")).value_or(0), 1) - 1;
  }

  const bool last_page = *count < asked_;
  if (!last_page) page().fitted();  // a page that was not full says nothing about a full one
  asked_ = page().get();
  if (!last_page) return More{};
  return std::exchange(done_, {});
}

std::optional<Error> TableScan::add(std::string_view row_text) {
  const auto parsed = parse_row(row_text, wants_prints());
  if (!parsed) {
    return Error{"a row of table agent cannot be read: " + quoted(row_text) +
                 " (wanted id:status:keepalive:disconnection:code:mark); look at the agent with "
                 "this id in Wazuh"};
  }
  const auto id = static_cast<std::uint32_t>(parsed->row.agent);
  if (id <= last_) {
    return Error{"wazuh-db answered agent " + std::to_string(id) + " after " +
                 std::to_string(last_) + ": rows come twice or out of order"};
  }
  if (done_.rows.size() == options_.max_rows) {
    return Error{"table agent has more than " + std::to_string(options_.max_rows) + " rows"};
  }
  last_ = id;
  done_.rows.push_back(parsed->row);
  if (has_marks_) done_.marks.push_back(parsed->mark.value_or(SyncMark::synced));
  if (wants_prints()) done_.prints.push_back(parsed->print);
  return std::nullopt;
}

TableScan::Result TableScan::ask_less(std::string_view why) {
  if (!page().halve(asked_)) {
    return fail("the row of the first agent with an id above " + std::to_string(last_) +
                " cannot be read: asked for alone, " + std::string(why) +
                "; look at this agent in Wazuh");
  }
  asked_ = page().get();
  return More{};
}

// A version without one of these columns is looked at without what it tells. False if it is
// another column that is missing.
bool TableScan::forget_column(std::string_view complaint) {
  constexpr std::string_view kComplaint = "no such column: ";
  const auto at = complaint.find(kComplaint);
  if (at == complaint.npos || !done_.rows.empty()) return false;
  const std::string_view name = complaint.substr(at + kComplaint.size());
  if (name == "sync_status") return std::exchange(has_marks_, false);
  constexpr std::array<std::string_view, 6> kPrinted = {
      "config_sum", "merged_sum", "version", "group_hash", "group", "group_config_status"};
  return std::ranges::find(kPrinted, name) != kPrinted.end() && std::exchange(has_prints_, false);
}

// ---- single agents

void InfoRead::begin(std::vector<AgentId> agents) {
  agents_ = std::move(agents);
  next_ = 0;
  asked_ = std::min(page_.get(), agents_.size());
  stage_ = Columns{};
  done_ = {};
}

std::span<const AgentId> InfoRead::page() const {
  return std::span(agents_).subspan(next_, asked_);
}

std::string InfoRead::request() const {
  const std::string ids = " WHERE id IN (" + id_list(page()) + ")";
  if (std::holds_alternative<Labels>(stage_)) {
    return "global sql SELECT id,key,value FROM labels" + ids;
  }
  std::string text = "global sql SELECT id";
  for (const std::string_view column : kColumns) {
    if (std::ranges::find(missing_columns_, column) == missing_columns_.end()) {
      text += ",";
      text += column;
    }
  }
  return text + " FROM agent" + ids;
}

InfoRead::Result InfoRead::take(std::string_view reply) {
  if (auto* labels = std::get_if<Labels>(&stage_)) {
    return take_labels(reply, std::move(labels->found));
  }
  return take_columns(reply);
}

InfoRead::Result InfoRead::take_columns(std::string_view reply) {
  dom::parser parser;
  auto parsed = array_of(reply, parser);
  if (const auto* error = std::get_if<Error>(&parsed)) {
    if (reply.starts_with(kErr) && forget_column(reply)) return More{};
    return std::unexpected(*error);
  }
  if (const auto* cut = std::get_if<Cut>(&parsed)) {
    if (page_.halve(asked_)) {
      asked_ = page_.get();
      return More{};
    }
    done_.problems.emplace_back(page()[0], "what Wazuh knows of agent " + id_text(page()[0]) +
                                               " cannot be read: asked for alone, " + cut->why);
    return deliver({AgentInfo()});
  }

  std::vector<AgentInfo> found(asked_);
  bool any = false;
  for (const dom::element element : std::get<dom::array>(parsed)) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS)
      return fail("wazuh-db answered a row without columns");
    const auto id = whole(object.at_key("id"));
    const auto agents = page();
    const auto at = std::ranges::find_if(
        agents, [&](AgentId a) { return id && static_cast<std::uint32_t>(a) == *id; });
    const auto index = static_cast<std::size_t>(at - agents.begin());
    if (at == agents.end() || !found[index].empty()) {
      return fail("wazuh-db answered a row of an agent that was not asked for, or twice");
    }
    any = true;
    for (const auto [name, value] : object) {
      if (name == "id") continue;
      if (auto text = field_text(value))
        found[index].insert_or_assign(std::string(name), std::move(*text));
    }
  }
  if (!any || !has_labels_) return deliver(std::move(found));
  stage_ = Labels{std::move(found)};
  return More{};
}

InfoRead::Result InfoRead::take_labels(std::string_view reply, std::vector<AgentInfo> found) {
  dom::parser parser;
  auto parsed = array_of(reply, parser);
  if (const auto* error = std::get_if<Error>(&parsed)) {
    if (!reply.starts_with(kErr) || reply.find("no such table: labels") == reply.npos) {
      return std::unexpected(*error);
    }
    has_labels_ = false;
    return deliver(std::move(found));
  }
  if (const auto* cut = std::get_if<Cut>(&parsed)) {
    if (page_.halve(asked_)) {
      asked_ = page_.get();
      stage_ = Columns{};
      return More{};
    }
    done_.problems.emplace_back(
        page()[0], "the labels of agent " + id_text(page()[0]) +
                       " cannot be read and are left out: asked for alone, " + cut->why);
    return deliver(std::move(found));
  }
  for (const dom::element element : std::get<dom::array>(parsed)) {
    dom::object object;
    dom::element key_element;
    dom::element value_element;
    if (element.get(object) != simdjson::SUCCESS ||
        object.at_key("key").get(key_element) != simdjson::SUCCESS) {
      return fail("wazuh-db answered a label without a key");
    }
    const auto id = whole(object.at_key("id"));
    const auto agents = page();
    const auto at = std::ranges::find_if(
        agents, [&](AgentId a) { return id && static_cast<std::uint32_t>(a) == *id; });
    if (at == agents.end()) return fail("wazuh-db answered a label of an agent not asked for");
    AgentInfo& info = found[static_cast<std::size_t>(at - agents.begin())];
    // No row a moment ago: the agent was enrolled in between, and is read another time.
    if (info.empty() || object.at_key("value").get(value_element) != simdjson::SUCCESS) continue;
    const auto key = field_text(key_element);
    auto value = field_text(value_element);
    if (key && value) info.insert_or_assign("label." + *key, std::move(*value));
  }
  return deliver(std::move(found));
}

InfoRead::Result InfoRead::deliver(std::vector<AgentInfo> found) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    done_.agents.emplace_back(agents_[next_ + i], std::move(found[i]));
  }
  page_.fitted();
  next_ += found.size();
  asked_ = std::min(page_.get(), agents_.size() - next_);
  stage_ = Columns{};
  if (next_ < agents_.size()) return More{};
  return std::exchange(done_, {});
}

bool InfoRead::forget_column(std::string_view complaint) {
  constexpr std::string_view kComplaint = "no such column: ";
  const auto at = complaint.find(kComplaint);
  if (at == complaint.npos) return false;
  const std::string_view name = complaint.substr(at + kComplaint.size());
  for (const std::string_view column : kColumns) {
    std::string_view bare = column;
    if (bare.starts_with('`')) bare = bare.substr(1, bare.size() - 2);
    if (name == bare && std::ranges::find(missing_columns_, column) == missing_columns_.end()) {
      missing_columns_.push_back(column);
      return true;
    }
  }
  return false;
}

}  // namespace rollcall::sidecar
