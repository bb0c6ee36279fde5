#include "wazuh/wdb_reply.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "wazuh/wdb_frame.h"

namespace rollcall::wazuh {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kQuotedBytes = 160;  // of a reply, in an error
constexpr std::string_view kOk = "ok ";
constexpr std::string_view kErr = "err ";

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

}  // namespace

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kQuotedBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte >= 0x7f ? '?' : c;
  }
  return out + (text.size() > kQuotedBytes ? "\"..." : "\"");
}

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

std::variant<PackedPage, Cut, Error> packed_page(std::string_view reply, std::size_t asked,
                                                 dom::parser& parser) {
  auto parsed = array_of(reply, parser);
  if (auto* error = std::get_if<Error>(&parsed)) return std::move(*error);
  if (auto* cut = std::get_if<Cut>(&parsed)) return std::move(*cut);
  const auto& array = std::get<dom::array>(parsed);
  PackedPage page;
  if (array.size() != 1 || array.at(0).get(page.all) != simdjson::SUCCESS) {
    return Error{"wazuh-db answered " + std::to_string(array.size()) +
                 " rows where a page is always one"};
  }
  const auto count = whole(page.all.at_key("c"));
  if (!count || *count > asked) {
    return Error{"wazuh-db's answer has no count of rows, or one above the " +
                 std::to_string(asked) + " asked for: " + quoted(reply)};
  }
  page.count = *count;
  page.highest = whole(page.all.at_key("m"));
  // Absent if no row was found.
  if (page.all.at_key("r").get(page.rows) != simdjson::SUCCESS) page.rows = {};
  const auto separators = static_cast<std::size_t>(std::ranges::count(page.rows, ';'));
  if ((page.rows.empty() ? 0 : separators + 1) != page.count) {
    return Cut{"the answer holds fewer rows than it says"};
  }
  return page;
}

}  // namespace rollcall::wazuh
